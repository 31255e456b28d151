//! Another prompt-edge as an origin: tiers.
//!
//! The far edge hands its versions over uncompiled (`dialects::edge`), with everything that an
//! answer is made of. So this edge answers byte for byte what the far one answers, and new variables
//! cost no trip. What the far edge says is read by the file that wrote it, `formats::edition`.
//!
//! A key of the far edge decides whose prompts are read there; it needs the scope `edge`.

use std::sync::{Mutex, PoisonError};

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::formats::Misfit;
use crate::formats::edition;
use crate::model::{Credential, Listed, OriginName, Reads};
use crate::origins::error::BoxError;
use crate::origins::upstream::Upstream;
use crate::origins::{
    Changes, Compiles, Cursor, Error, Found, Origin, Pending, Question, Reader, Text, Told,
    Validator,
};
use crate::wire::caching::Allowance;

/// The operator's keys of the far edge: what callers with a key of ours read by.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Reads for everybody. `None` where every caller brings a key of the far edge.
    pub key: Option<Credential>,
    /// Reads in its place for environments that serve drafts.
    pub draft_key: Option<Credential>,
}

/// An edge as an origin.
#[derive(Debug)]
pub struct Edge {
    upstream: Upstream,
    config: Config,
    /// What marks the list as `config.key` read it last: whether that still holds is the cheapest
    /// question there is.
    listed: Mutex<Option<Validator>>,
}

impl Edge {
    /// The edge whose root is the base of `upstream`, such as `http://127.0.0.1:7080`.
    pub fn new(upstream: Upstream, config: Config) -> Self {
        Self { upstream, config, listed: Mutex::new(None) }
    }

    async fn list(
        &self,
        key: &Credential,
        known: Option<&Validator>,
    ) -> Result<Told<Vec<Listed>>, Error> {
        let told = self.ask(LIST, key, known, edition::read_list).await?;
        if self.config.key.as_ref() == Some(key) {
            *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = told.validator.clone();
        }
        Ok(told)
    }

    async fn ask<T>(
        &self,
        target: &str,
        key: &Credential,
        known: Option<&Validator>,
        read: fn(Value) -> Result<T, Misfit>,
    ) -> Result<Told<T>, Error> {
        let heard = self.upstream.get(target, &self.bearer(key)?, known).await;
        let heard = heard.map_err(|error| self.judged(error))?;
        let found = match heard.status {
            200 => Found::Present(read(heard.body).map_err(|misfit| self.malformed(misfit))?),
            304 => Found::Unchanged,
            404 if heard.body.get("code").is_some_and(|code| code == edition::NO_PROMPT) => {
                Found::Absent
            }
            status => return Err(self.malformed(format!("it answers with status {status}"))),
        };
        // A 404 says `no-store`, as every refusal does. How long an absence is believed is decided
        // here.
        let is_absent = matches!(found, Found::Absent);
        let allowance = if is_absent { Allowance::default() } else { heard.allowance };
        Ok(Told {
            validator: heard.validator,
            found,
            allowance,
            is_immutable: false,
            status: Some(heard.status),
        })
    }

    /// The key that a reader's questions are asked with.
    fn key_of<'a>(&'a self, reader: &'a Reader) -> Result<&'a Credential, Error> {
        let draft_key = match reader.reads {
            Reads::Draft => self.config.draft_key.as_ref(),
            Reads::Published => None,
        };
        let ours = draft_key.or(self.config.key.as_ref());
        reader.credential.as_ref().or(ours).ok_or_else(|| self.opens_nothing())
    }

    fn bearer(&self, key: &Credential) -> Result<HeaderValue, Error> {
        let bearer = HeaderValue::try_from(format!("Bearer {}", key.expose()));
        let mut bearer = bearer.map_err(|_| self.opens_nothing())?;
        bearer.set_sensitive(true);
        Ok(bearer)
    }

    /// What the far edge would say of no key, or of one that no header can hold.
    fn opens_nothing(&self) -> Error {
        Error::Rejected { origin: self.upstream.name().clone(), status: 401 }
    }

    /// The far edge answers 501 where the origin behind it compiles: asking again gives the same.
    fn judged(&self, error: Error) -> Error {
        if let Error::Failed { status: 501, .. } = error {
            return self.malformed("it has an origin that compiles: make that the origin here");
        }
        error
    }

    fn malformed(&self, source: impl Into<BoxError>) -> Error {
        let origin = self.upstream.name().clone();
        Error::Malformed { origin, expected: "what an edge hands over", source: source.into() }
    }
}

impl Origin for Edge {
    fn name(&self) -> &OriginName {
        self.upstream.name()
    }

    fn compiles(&self) -> Compiles {
        Compiles::Here
    }

    fn tells_all(&self) -> bool {
        false
    }

    fn prompt<'a>(&'a self, question: Question<'a>) -> Pending<'a, Told<Text>> {
        Box::pin(async move {
            let name = question.prompt.to_string();
            let target = format!("{LIST}/{}", utf8_percent_encode(&name, SEGMENT));
            let key = self.key_of(question.reader)?;
            self.ask(&target, key, question.known, |body| {
                edition::read(body).map(|edition| Text::Edition(Box::new(edition)))
            })
            .await
        })
    }

    fn listing<'a>(
        &'a self,
        reader: &'a Reader,
        known: Option<&'a Validator>,
    ) -> Pending<'a, Told<Vec<Listed>>> {
        Box::pin(async move { self.list(self.key_of(reader)?, known).await })
    }

    /// An edge tells nobody what has changed: its answers grow old.
    fn changes(&self, cursor: Cursor) -> Pending<'_, Changes> {
        Box::pin(async move {
            if cursor != Cursor::START {
                return std::future::pending().await;
            }
            self.probe().await?;
            Ok(Changes { changes: Vec::new(), cursor: Cursor(0) })
        })
    }

    /// Whether the list is still the same. Without a key of the operator's there is no question that
    /// would not count as a guess there: the next caller's is the probe.
    fn probe(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            let Some(key) = &self.config.key else { return Ok(()) };
            let known = self.listed.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.list(key, known.as_ref()).await.map(drop)
        })
    }

    fn admits<'a>(&'a self, credential: &'a Credential) -> Pending<'a, bool> {
        Box::pin(async move {
            match self.list(credential, None).await {
                Ok(_) => Ok(true),
                Err(Error::Rejected { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }
}

/// Where the far edge lists its prompts; each is below, by its name.
const LIST: &str = "/edge/v1/prompts";

/// What is escaped in one segment of a path: slashes and dots, too.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
