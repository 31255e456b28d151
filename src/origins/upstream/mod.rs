//! Platforms over HTTP: what their adapters share.
//!
//! An adapter knows its vendor's paths and shapes; [`Upstream`] knows how to ask. Whatever a vendor
//! answers is hostile until it has been read: bounded in bytes and depth, of the right media type,
//! never followed anywhere.

pub mod edge;
mod json;
mod keys;
pub mod langfuse;
pub mod promptot;
mod quiet;

use http::HeaderMap;
use http::HeaderValue;
use http::Uri;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use serde_json::Value;

use crate::model::OriginName;
use crate::origins::error::BoxError;
use crate::origins::{Error, Validator};
use crate::wire::caching::Allowance;
use crate::wire::client;
use crate::wire::client::{Client, Received, Unusable};
use crate::wire::retry;

/// One platform, and the pooled connections to it.
#[derive(Debug)]
pub struct Upstream {
    name: OriginName,
    client: Client,
    /// Scheme, authority and path, without a slash at the end.
    base_url: String,
}

/// An answer that was understood as HTTP and JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// 200, 304, 400 or 404: every other status is an [`Error`].
    pub status: u16,
    /// What the body says. `Null` for a 304, and for a 400 or 404 that has no JSON.
    pub body: Value,
    /// Its `ETag`.
    pub validator: Option<Validator>,
    /// What its `Cache-Control` allows.
    pub allowance: Allowance,
}

impl Upstream {
    /// The platform at `base_url`, such as `https://api.example.com/api/v1`.
    ///
    /// # Errors
    ///
    /// The error names the setting that cannot be used, and its file if it has one.
    pub fn new(
        name: OriginName,
        base_url: &Uri,
        config: &client::Config,
    ) -> Result<Self, Unusable> {
        let client = Client::new(config)?;
        let base_url = usable(base_url, &client)
            .map_err(|problem| Unusable::Setting { setting: "base_url", problem })?;
        Ok(Self { name, client, base_url })
    }

    /// Its name, for errors.
    pub fn name(&self) -> &OriginName {
        &self.name
    }

    /// Asks `GET {base_url}{target}`, with `If-None-Match` if something is known. The target begins
    /// with a slash and is escaped.
    ///
    /// # Errors
    ///
    /// `Rejected` for 401 and 403, `Limited` for 429, `Failed` for 5xx, `Malformed` for any other
    /// status and for a body that is not bounded JSON, `TimedOut`, `Unreachable`; `Refused` for a
    /// target that is too long for a URL, which is not asked.
    pub async fn get(
        &self,
        target: &str,
        authorization: &HeaderValue,
        known: Option<&Validator>,
    ) -> Result<Heard, Error> {
        self.ask(target, Some(authorization), known).await
    }

    /// Asks `GET {base_url}{target}` without a key, to find out whether anybody is there. That none
    /// is refused is an answer.
    ///
    /// # Errors
    ///
    /// Those of [`Upstream::get`], but for `Rejected`.
    pub async fn knock(&self, target: &str) -> Result<(), Error> {
        keys::admitted(self.ask(target, None, None).await).map(drop)
    }

    async fn ask(
        &self,
        target: &str,
        authorization: Option<&HeaderValue>,
        known: Option<&Validator>,
    ) -> Result<Heard, Error> {
        let uri = [&self.base_url, target].concat().parse().map_err(|_| Error::Refused {
            origin: self.name.clone(),
            problem: "they are too long for a URL: send less".to_owned(),
        })?;
        let asked = self.client.get(uri, headers(authorization, known)).await;
        self.understood(&asked.map_err(|error| self.failed(error))?, known.is_some())
    }

    fn understood(&self, received: &Received, was_known: bool) -> Result<Heard, Error> {
        let origin = || self.name.clone();
        let retry_after = || retry::after(&received.headers);
        let status = received.status.as_u16();
        let body = match status {
            200 => self.document(received)?,
            304 if was_known => Value::Null,
            400 | 404 => json::read(&received.body).unwrap_or_default(),
            401 | 403 => return Err(Error::Rejected { origin: origin(), status }),
            429 => return Err(Error::Limited { origin: origin(), retry_after: retry_after() }),
            500..=599 => {
                let retry_after = retry_after();
                return Err(Error::Failed { origin: origin(), status, retry_after });
            }
            _ => return Err(self.malformed(ANSWER, format!("its status is {status}"))),
        };
        Ok(Heard {
            status,
            body,
            validator: validator(&received.headers),
            allowance: Allowance::of(&received.headers),
        })
    }

    fn document(&self, received: &Received) -> Result<Value, Error> {
        if !is_json(&received.headers) {
            return Err(self.malformed("JSON", "its media type is another"));
        }
        json::read(&received.body).map_err(|problem| self.malformed("JSON", problem))
    }

    fn failed(&self, error: client::Error) -> Error {
        use client::Error as Failure;
        let origin = self.name.clone();
        match error {
            Failure::Encoded | Failure::Redirected { .. } => self.malformed(ANSWER, error),
            Failure::TooLarge { .. } => self.malformed("a body of a sensible length", error),
            Failure::TimedOut { waited } => Error::TimedOut { origin, waited },
            Failure::BrokenOff { .. } | Failure::Insecure | Failure::Unreachable { .. } => {
                Error::Unreachable { origin, source: error.into() }
            }
        }
    }

    fn malformed(&self, expected: &'static str, source: impl Into<BoxError>) -> Error {
        Error::Malformed { origin: self.name.clone(), expected, source: source.into() }
    }
}

/// The base of every question, or why there cannot be one.
fn usable(base_url: &Uri, client: &Client) -> Result<String, &'static str> {
    let (Some(scheme), Some(authority)) = (base_url.scheme_str(), base_url.authority()) else {
        return Err("is no URL: write https://HOST/PATH");
    };
    if !["http", "https"].contains(&scheme) {
        return Err("has another scheme: write https://");
    }
    if authority.as_str().contains('@') {
        return Err("holds a user: give the key in `key`");
    }
    if base_url.query().is_some() {
        return Err("holds a query: end it with the path");
    }
    if !client.permits(base_url) {
        return Err("is http:// to another machine: write https://, or set `allow_http`");
    }
    Ok(format!("{scheme}://{authority}{}", base_url.path().trim_end_matches('/')))
}

fn headers(authorization: Option<&HeaderValue>, known: Option<&Validator>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.extend(authorization.cloned().map(|mut authorization| {
        authorization.set_sensitive(true);
        (AUTHORIZATION, authorization)
    }));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let known = known.and_then(|Validator(tag)| HeaderValue::from_str(tag).ok());
    headers.extend(known.map(|tag| (IF_NONE_MATCH, tag)));
    headers
}

/// The answer's entity tag, unless nobody could send it back.
fn validator(headers: &HeaderMap) -> Option<Validator> {
    let tag = headers.get(ETAG)?.to_str().ok()?;
    (1..=MAX_TAG_BYTES).contains(&tag.len()).then(|| Validator(tag.into()))
}

/// `application/json`, or a type that is built on it (RFC 6839 §3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json"
        || essence.starts_with("application/") && essence.ends_with("+json")
}

/// What everything else than the statuses of a [`Heard`] is not.
const ANSWER: &str = "an answer to what was asked";

/// Twice what a digest in hexadecimal takes, many times over: a tag is kept with each prompt.
const MAX_TAG_BYTES: usize = 1_024;
