//! Requests, and what a test may ask of their answers.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use prompt_edge::wire::Response;
use serde_json::Value;

/// A request without a body, by whoever holds the key.
pub(crate) fn request(method: &str, target: &str, key: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("authorization", format!("Bearer {key}"))
        .body(Full::default())
        .expect("the parts make a request")
}

/// A `QUERY` with these variables.
pub(crate) fn query(target: &str, key: &str, variables: &str) -> Request<Full<Bytes>> {
    let mut request = request(Method::QUERY.as_str(), target, key);
    let json = "application/json".parse().expect("a media type is a header value");
    request.headers_mut().insert("content-type", json);
    *request.body_mut() = Full::from(variables.to_owned());
    request
}

/// The same request with one header more.
pub(crate) fn with(
    mut request: Request<Full<Bytes>>,
    name: &'static str,
    value: &str,
) -> Request<Full<Bytes>> {
    let value = value.parse().expect("the text is a header value");
    request.headers_mut().append(name, value);
    request
}

/// Where a prompt's compiled text is.
pub(crate) fn compiled(prompt: &str) -> String {
    format!("/api/v1/prompts/{prompt}/compiled")
}

/// Where it is for these variables, written as they stand here.
pub(crate) fn compiled_with(prompt: &str, variables: &str) -> String {
    let variables = utf8_percent_encode(variables, NON_ALPHANUMERIC);
    format!("/api/v1/prompts/{prompt}/compiled?variables={variables}")
}

/// An answer that has arrived as a whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body in memory is whole").to_bytes();
        Self { status: head.status.as_u16(), headers: head.headers, body }
    }

    /// A header that occurs once; empty if it does not.
    pub(crate) fn header(&self, name: &str) -> &str {
        assert!(self.headers.get_all(name).iter().count() <= 1, "{name} should occur once");
        self.headers.get(name).map_or("", |value| value.to_str().expect("headers are ASCII"))
    }

    /// The status with its reason, `404 Not Found`.
    pub(crate) fn status_line(&self) -> String {
        StatusCode::from_u16(self.status).expect("it was one before").to_string()
    }

    /// The body.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// Where it says that it came from.
    pub(crate) fn source(&self) -> &str {
        self.header("cache-status")
    }

    #[track_caller]
    pub(crate) fn expect_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "of {self:?}");
        self
    }

    /// A compiled prompt with this text; the line break at its end is left away.
    #[track_caller]
    pub(crate) fn expect_text(&self, text: &str) -> &Self {
        self.expect_status(200);
        assert_eq!(self.json()["data"]["prompt"], format!("{text}\n"));
        self
    }

    /// A refusal in the envelope.
    #[track_caller]
    pub(crate) fn expect_refusal(&self, status: u16, code: &str) -> &Self {
        self.expect_status(status);
        let body = self.json();
        assert_eq!(body["error"]["code"], code);
        assert_eq!(body["data"], Value::Null);
        self
    }

    #[track_caller]
    pub(crate) fn expect_header(&self, name: &str, value: &str) -> &Self {
        assert_eq!(self.header(name), value, "{name} of {self:?}");
        self
    }
}

/// The sources that `Cache-Status` tells apart.
pub(crate) const HIT: &str = "prompt-edge; hit";
pub(crate) const ABSENT: &str = "prompt-edge; hit; detail=absent";
pub(crate) const RENDERED: &str = "prompt-edge; fwd=uri-miss; stored; detail=rendered";
pub(crate) const MISS: &str = "prompt-edge; fwd=uri-miss; stored";
pub(crate) const COLLAPSED: &str = "prompt-edge; fwd=uri-miss; collapsed";
