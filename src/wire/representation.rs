//! An answer's ready bytes and headers, and how a response is made of them.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY};
use http_body_util::Full;
use serde_json::json;

use crate::wire::Response;
use crate::wire::caching::{self, CACHE_STATUS, CacheStatus};
use crate::wire::coded::{Coded, Found};
use crate::wire::coding::{Accepted, Coding};
use crate::wire::conditional::{ETag, Named};
use crate::wire::directives;

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
    cache_control: HeaderValue,
    coded: Coded,
}

/// The longest body that is never coded, in bytes: it fits into one packet as it is.
const UNCODED_BYTES: usize = 1_024;

/// What is sent of a representation.
#[derive(Debug)]
struct Variant<'a> {
    etag: HeaderValue,
    coding: Coding,
    /// `None` if the client has it.
    body: Option<&'a Bytes>,
    /// The form that would have been sent, had anybody made it.
    missing: Option<Coding>,
}

impl Representation {
    /// Finishes a JSON body. `etag` is the dialect's, since one of them hashes less than the body.
    pub fn json(body: Vec<u8>, etag: ETag, cache_control: HeaderValue) -> Self {
        // What was written by doubling keeps up to twice its length otherwise.
        Self { body: body.into_boxed_slice().into(), etag, cache_control, coded: Coded::default() }
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
        &self.cache_control
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

    /// The response to a request with these headers: 304 without a body if they name the current
    /// tag in any coding, else 200 in the coding that they prefer, if there is such a form; if
    /// nobody has made it, `missing` is told. To HEAD the same, the server leaves the body away.
    ///
    /// A 304 repeats `ETag`, `Cache-Control` and `Vary` (RFC 9110 §15.4.5).
    ///
    /// # Cost
    ///
    /// One allocation for the headers; the body is shared, not copied. `Accept-Encoding` is looked
    /// up for a body that may be coded, and for nothing else.
    pub fn respond(
        &self,
        request: &HeaderMap,
        status: CacheStatus,
        missing: impl FnOnce(Coding),
    ) -> Response {
        let variant = self.choose(request);
        let mut headers = HeaderMap::with_capacity(8);
        headers.append(ETAG, variant.etag);
        headers.append(CACHE_CONTROL, self.cache_control.clone());
        headers.append(VARY, caching::VARY);
        headers.append(CACHE_STATUS, status.header());

        let mut response = match variant.body {
            None => Response::new(Full::default()),
            Some(body) => {
                headers.append(CONTENT_TYPE, JSON);
                Response::new(Full::new(body.clone()))
            }
        };
        if variant.body.is_none() {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        if let Some(coding) = variant.coding.as_header() {
            headers.append(CONTENT_ENCODING, coding);
        }
        *response.headers_mut() = headers;
        if let Some(coding) = variant.missing {
            missing(coding);
        }
        response
    }

    /// What of it a request with these headers is sent.
    fn choose(&self, request: &HeaderMap) -> Variant<'_> {
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
