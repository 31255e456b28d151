//! The least that a server over hyper does for a hit: ready headers, ready bytes, and one look at
//! `If-None-Match`. What an edge is measured against, by `benches/hit_instructions.rs` and by
//! `examples/bare_hyper.rs`.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;

/// One answer, and the 304 that stands for it.
#[derive(Clone)]
pub(crate) struct Bare {
    headers: HeaderMap,
    not_modified: HeaderMap,
    body: Bytes,
}

impl Bare {
    /// Answers with JSON of this length, under the headers that an edge sends with a hit.
    pub(crate) fn new(body_bytes: usize) -> Self {
        let text = "x".repeat(body_bytes.saturating_sub(r#"{"text":""}"#.len()));
        let mut headers = HeaderMap::new();
        for (name, value) in HEADERS {
            headers.append(name, HeaderValue::from_static(value));
        }
        let mut not_modified = headers.clone();
        not_modified.remove(CONTENT_TYPE);
        Self { headers, not_modified, body: format!("{{\"text\":\"{text}\"}}").into() }
    }

    /// Answers one request, whatever it asks for.
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let known = request.headers().get(IF_NONE_MATCH);
        let mut response = Response::new(Full::default());
        if known.is_some_and(|known| Some(known) == self.headers.get(ETAG)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            *response.headers_mut() = self.not_modified.clone();
        } else {
            *response.headers_mut() = self.headers.clone();
            *response.body_mut() = Full::new(self.body.clone());
        }
        response
    }
}

/// What an edge sends with a hit, beside length and date.
const HEADERS: [(HeaderName, &str); 6] = [
    (ETAG, "\"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU\""),
    (CACHE_CONTROL, "private, max-age=30, stale-while-revalidate=300, stale-if-error=86400"),
    (VARY, "Authorization, X-API-Key, Accept-Encoding"),
    (HeaderName::from_static("cache-status"), "prompt-edge; hit"),
    (CONTENT_TYPE, "application/json"),
    (HeaderName::from_static("x-request-id"), "0199f3a2-7c41-7d15-9a55-2f6b8c0d4e1f"),
];
