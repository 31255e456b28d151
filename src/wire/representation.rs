//! An answer's ready bytes and headers, and how a response is made of them.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY};
use http_body_util::Full;
use serde_json::json;

use crate::wire::Response;
use crate::wire::caching::{self, CACHE_STATUS, CacheStatus};
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
    cache_control: HeaderValue,
}

impl Representation {
    /// Finishes a JSON body. `etag` is the dialect's, since one of them hashes less than the body.
    pub fn json(body: Vec<u8>, etag: ETag, cache_control: HeaderValue) -> Self {
        // What was written by doubling keeps up to twice its length otherwise.
        Self { body: body.into_boxed_slice().into(), etag, cache_control }
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

    /// The length of its body.
    pub fn len_bytes(&self) -> usize {
        self.body.len()
    }

    /// The response to a request with these headers: 304 without a body if they name the current
    /// tag, else 200. To HEAD the same, the server leaves the body away.
    ///
    /// A 304 repeats `ETag`, `Cache-Control` and `Vary` (RFC 9110 §15.4.5).
    ///
    /// # Cost
    ///
    /// One allocation for the headers; the body is shared, not copied.
    pub fn respond(&self, request: &HeaderMap, status: CacheStatus) -> Response {
        let mut headers = HeaderMap::with_capacity(8);
        headers.append(ETAG, self.etag.as_header().clone());
        headers.append(CACHE_CONTROL, self.cache_control.clone());
        headers.append(VARY, caching::VARY);
        headers.append(CACHE_STATUS, status.header());

        let is_current = self.etag.is_named_by(request);
        let mut response = if is_current {
            Response::new(Full::default())
        } else {
            headers.append(CONTENT_TYPE, JSON);
            Response::new(Full::new(self.body.clone()))
        };
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
