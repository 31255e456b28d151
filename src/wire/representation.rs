//! An answer's ready bytes and headers, and how a response is made of them.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY};
use http_body_util::Full;
use serde_json::json;

use crate::telemetry::request_id::X_REQUEST_ID;
use crate::wire::Response;
use crate::wire::caching::{self, CACHE_STATUS, CacheStatus, Outcome};
use crate::wire::coded::{Coded, Found, exactly};
use crate::wire::coding::{Accepted, Coding};
use crate::wire::conditional::{ETag, Named};
use crate::wire::directives;
use crate::wire::heeded::Heeded;

/// The media type of answers.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The media type of problem details (RFC 9457).
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A finished answer: made once, sent any number of times without being touched.
///
/// Beside its body hang the coded forms of it that were asked for. Each has a strong tag of its own.
#[derive(Debug)]
pub struct Representation {
    body: Bytes,
    etag: ETag,
    heads: Arc<Heads>,
    coded: Coded,
}

/// The heads of answers that differ in their tags alone: to copy one costs less than to build it.
///
/// Both begin with what differs from one response to the next: the tag, the request's id,
/// `Cache-Status`. A copy has the order of what it is a copy of, and a place costs less than a name to
/// be found by.
#[derive(Debug)]
pub struct Heads {
    ok: HeaderMap,
    not_modified: HeaderMap,
    cache_control: HeaderValue,
}

/// What most answers are: as the heads say it.
const HIT: CacheStatus = CacheStatus::of(Outcome::Hit);

/// The longest body that is never coded, in bytes: it fits into one packet as it is.
const UNCODED_BYTES: usize = 1_024;

/// What is sent of a representation.
#[derive(Debug)]
pub struct Variant<'a> {
    etag: HeaderValue,
    coding: Coding,
    /// `None` if the client has it.
    body: Option<&'a Bytes>,
    /// The form that would have been sent, had anybody made it.
    missing: Option<Coding>,
}

impl Variant<'_> {
    /// The form that would have been sent, had anybody made it.
    pub const fn missing(&self) -> Option<Coding> {
        self.missing
    }

    /// 304 for a client that has it, else 200.
    pub const fn status(&self) -> StatusCode {
        if self.is_current() { StatusCode::NOT_MODIFIED } else { StatusCode::OK }
    }

    /// Whether the client has it.
    pub const fn is_current(&self) -> bool {
        self.body.is_none()
    }
}

impl Heads {
    /// The heads of answers that clients may keep for so long.
    ///
    /// A 304 repeats `ETag`, `Cache-Control` and `Vary` (RFC 9110 §15.4.5).
    pub fn new(cache_control: HeaderValue) -> Self {
        // One more would double what is allocated for each answer.
        let mut not_modified = HeaderMap::with_capacity(6);
        let empty = HeaderValue::from_static("");
        not_modified.append(ETAG, empty.clone());
        not_modified.append(X_REQUEST_ID, empty);
        not_modified.append(CACHE_STATUS, HIT.header());
        not_modified.append(CACHE_CONTROL, cache_control.clone());
        not_modified.append(VARY, caching::VARY);
        let mut ok = not_modified.clone();
        ok.append(CONTENT_TYPE, JSON);
        Self { ok, not_modified, cache_control }
    }

    /// For how long clients may keep the answer.
    pub fn cache_control(&self) -> &HeaderValue {
        &self.cache_control
    }
}

impl Representation {
    /// Finishes a JSON body. `etag` is the dialect's, since one of them hashes less than the body.
    pub fn json(body: Vec<u8>, etag: ETag, heads: Arc<Heads>) -> Self {
        Self { body: exactly(body).into(), etag, heads, coded: Coded::default() }
    }

    /// Its body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Its tag.
    pub fn etag(&self) -> &ETag {
        &self.etag
    }

    /// For how long clients may keep it.
    pub fn cache_control(&self) -> &HeaderValue {
        &self.heads.cache_control
    }

    /// The length of its body and of everything that was coded of it.
    pub fn len_bytes(&self) -> usize {
        self.body.len() + self.coded.len_bytes()
    }

    /// Whether it is up to the caller to [`make`](Self::make) this form of it.
    pub fn claim(&self, coding: Coding) -> bool {
        self.coded.claim(coding)
    }

    /// Codes its body, and returns whether that is of use: [`Coded::make`].
    pub fn make(&self, coding: Coding) -> bool {
        self.coded.make(coding, &self.body, &self.etag)
    }

    /// The length of its body and, as far as it may be coded, of what may come to hang from it.
    pub fn most_bytes(&self) -> usize {
        let is_coded = self.body.len() > UNCODED_BYTES;
        self.body.len() * if is_coded { 2 } else { 1 }
    }

    /// The response that sends a variant: 304 without a body to a client that has it, else 200. The
    /// request's id may still be set. To HEAD the same, the server leaves the body away.
    ///
    /// A 304 repeats `ETag`, `Cache-Control` and `Vary` (RFC 9110 §15.4.5).
    ///
    /// # Cost
    ///
    /// Two allocations for the headers; the body is shared, not copied.
    pub fn send(
        &self,
        variant: Variant<'_>,
        status: CacheStatus,
        request_id: HeaderValue,
    ) -> Response {
        let (head, body) = match variant.body {
            None => (&self.heads.not_modified, Bytes::new()),
            Some(body) => (&self.heads.ok, body.clone()),
        };
        let (status_code, coding) = (variant.status(), variant.coding.as_header());
        let mut headers = head.clone();
        let mut places = headers.values_mut();
        // In this order: what is exhausted first must not have taken a place already.
        for (value, place) in [variant.etag, request_id].into_iter().zip(places.by_ref()) {
            *place = value;
        }
        if status != HIT {
            places.next().into_iter().for_each(|place| *place = status.header());
        }
        if let Some(coding) = coding {
            headers.append(CONTENT_ENCODING, coding);
        }
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status_code;
        *response.headers_mut() = headers;
        response
    }

    /// What of it a plain request is sent that heeds these fields: what [`Self::choose`] says, at
    /// the cost of a comparison where the client names the very tag, or accepts no coding.
    pub fn choose_plain(&self, heeded: &Heeded<'_>, request: &HeaderMap) -> Variant<'_> {
        let etag = self.etag.as_header();
        let is_whole = match heeded.if_none_match {
            Some(line) if line == etag => false,
            Some(_) => return self.choose(request),
            None if heeded.accept_encoding.is_none() || self.body.len() <= UNCODED_BYTES => true,
            None => return self.whole(request),
        };
        let body = is_whole.then_some(&self.body);
        Variant { etag: etag.clone(), coding: Coding::Identity, body, missing: None }
    }

    /// What of it a request with these headers is sent: nothing if they name the current tag in any
    /// coding, else all of it in the coding that they prefer, if there is such a form.
    pub fn choose(&self, request: &HeaderMap) -> Variant<'_> {
        let etag = match self.etag.named_by(request) {
            Named::Nothing => return self.whole(request),
            Named::Any => self.whole(request).etag,
            Named::These(codings) if codings.has(Coding::Identity) => self.etag.as_header().clone(),
            // The client has no other form of it, or several: the tag tells it which of them it may
            // use (RFC 9111 §4.3.4). One that this very request does not accept it may not.
            Named::These(codings) => {
                let held = Accepted::of(request).preferred_of(|coding| codings.has(coding));
                self.etag.coded(held).as_header().clone()
            }
        };
        Variant { etag, coding: Coding::Identity, body: None, missing: None }
    }

    /// What of it a request that has nothing of it is sent.
    fn whole(&self, request: &HeaderMap) -> Variant<'_> {
        let coding = self.preferred(request);
        let (coding, etag, body, missing) = match self.coded.find(coding) {
            Found::Form(form) => (coding, &form.etag, &form.body, None),
            Found::Nothing => (Coding::Identity, &self.etag, &self.body, None),
            Found::Missing => (Coding::Identity, &self.etag, &self.body, Some(coding)),
        };
        Variant { etag: etag.as_header().clone(), coding, body: Some(body), missing }
    }

    fn preferred(&self, request: &HeaderMap) -> Coding {
        if self.body.len() <= UNCODED_BYTES {
            return Coding::Identity;
        }
        match Accepted::of(request).preferred() {
            Coding::Identity => Coding::Identity,
            _ if directives::forbid_transforming(request) => Coding::Identity,
            coding @ (Coding::Gzip | Coding::Brotli | Coding::Zstd) => coding,
        }
    }
}

/// A JSON response that nobody keeps: refusals and operators' pages.
pub fn uncached_json(status: StatusCode, body: Vec<u8>) -> Response {
    uncached(status, JSON, body)
}

/// A response that nobody keeps.
pub fn uncached(status: StatusCode, media_type: HeaderValue, body: Vec<u8>) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().append(CONTENT_TYPE, media_type);
    response.headers_mut().append(CACHE_CONTROL, caching::NO_STORE);
    response
}

/// What is wrong, to an operator or an origin: `{"error": "…"}`.
pub fn uncached_error(status: StatusCode, problem: &str) -> Response {
    uncached_json(status, json!({"error": problem}).to_string().into_bytes())
}
