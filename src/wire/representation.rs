//! An answer's ready bytes and headers, and how a response is made of them.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY};
use http_body_util::Full;
use serde_json::json;

use crate::telemetry::request_id::X_REQUEST_ID;
use crate::wire::Response;
use crate::wire::caching::{self, CACHE_STATUS, CacheStatus, Outcome};
use crate::wire::conditional::ETag;

/// The media type of answers.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The media type of problem details (RFC 9457).
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A finished answer: made once, sent any number of times without being touched.
#[derive(Debug)]
pub struct Representation {
    body: Bytes,
    etag: ETag,
    heads: Arc<Heads>,
}

/// The heads of answers that differ in their tags alone: to copy one costs less than to build it.
#[derive(Debug)]
pub struct Heads {
    ok: HeaderMap,
    not_modified: HeaderMap,
    cache_control: HeaderValue,
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
        not_modified.append(CACHE_CONTROL, cache_control.clone());
        not_modified.append(VARY, caching::VARY);
        not_modified.append(CACHE_STATUS, CacheStatus::of(Outcome::Hit).header());
        not_modified.append(X_REQUEST_ID, empty);
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
        // What was written by doubling keeps up to twice its length otherwise.
        Self { body: body.into_boxed_slice().into(), etag, heads }
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

    /// The length of its body.
    pub fn len_bytes(&self) -> usize {
        self.body.len()
    }

    /// The response to a request with these headers: 304 without a body if they name the current
    /// tag, else 200. To HEAD the same, the server leaves the body away. The request's id is still to
    /// be set.
    pub fn respond(&self, request: &HeaderMap, status: CacheStatus) -> Response {
        let is_current = self.etag.is_named_by(request);
        self.answer(is_current, status, HeaderValue::from_static(""))
    }

    /// A 304 without a body, or a 200, to the request with this id.
    ///
    /// # Cost
    ///
    /// Two allocations for the headers; the body is shared, not copied.
    pub fn answer(
        &self,
        is_current: bool,
        status: CacheStatus,
        request_id: HeaderValue,
    ) -> Response {
        let (head, body) = match is_current {
            true => (&self.heads.not_modified, Bytes::new()),
            false => (&self.heads.ok, self.body.clone()),
        };
        let mut headers = head.clone();
        let mut request_id = Some(request_id);
        for (name, value) in &mut headers {
            if *name == ETAG {
                value.clone_from(self.etag.as_header());
            } else if *name == CACHE_STATUS && status != CacheStatus::of(Outcome::Hit) {
                *value = status.header();
            } else if *name == X_REQUEST_ID
                && let Some(id) = request_id.take()
            {
                *value = id;
            }
        }
        let mut response = Response::new(Full::new(body));
        if is_current {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        *response.headers_mut() = headers;
        response
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
