//! How this API says no: problem details (RFC 9457).
//!
//! A new refusal does not compile until it has a place in each `match`. The other edge decides by
//! the status, but takes a prompt for absent by the `code` alone: any web server answers 404.

use std::borrow::Cow;

use http::StatusCode;
use serde::Serialize;

use crate::dialects;
use crate::formats::edition::NO_PROMPT;
use crate::model::{Noun, Refusal};
use crate::wire::Response;
use crate::wire::representation::{PROBLEM_JSON, uncached};

/// The whole response to a refused request.
pub fn respond(refusal: &Refusal) -> Response {
    let status = status(refusal);
    let problem = Problem {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail: detail(refusal),
        code: code(refusal),
    };
    let bytes = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = uncached(status, PROBLEM_JSON, bytes);
    dialects::append_remedy(refusal, response.headers_mut());
    response
}

/// The status of each refusal.
pub const fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::BadInput { .. } => StatusCode::BAD_REQUEST,
        Refusal::Unauthenticated => StatusCode::UNAUTHORIZED,
        Refusal::Forbidden { .. } => StatusCode::FORBIDDEN,
        Refusal::NotFound { .. } => StatusCode::NOT_FOUND,
        Refusal::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
        Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Refusal::RateLimited { .. } | Refusal::QuotaSpent { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Refusal::CompiledByOrigin => StatusCode::NOT_IMPLEMENTED,
        Refusal::OriginBroken { .. } => StatusCode::BAD_GATEWAY,
        Refusal::Overloaded { .. }
        | Refusal::QuotaUnknown { .. }
        | Refusal::OriginUnreachable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::NotKept | Refusal::OriginTimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// What programs go by: frozen.
const fn code(refusal: &Refusal) -> &'static str {
    if let Refusal::NotFound { noun: Noun::Prompt } = refusal {
        return NO_PROMPT;
    }
    refusal.as_str()
}

fn detail(refusal: &Refusal) -> Cow<'static, str> {
    match refusal {
        Refusal::BadInput { field, problem } => format!("{field}: {problem}").into(),
        Refusal::CompiledByOrigin => {
            "this prompt is compiled by its origin, so there is no version to hand over: \
             give the near edge that origin itself"
                .into()
        }
        Refusal::Forbidden { needs } => format!(
            "this API key lacks the scope `{0}`: issue one with `--scope {0}`",
            needs.as_str()
        )
        .into(),
        Refusal::Internal => "internal error: report the X-Request-Id of this answer".into(),
        Refusal::MethodNotAllowed { allow } => format!("this route answers {allow}").into(),
        Refusal::NotFound { noun: Noun::Prompt } => "there is no such prompt".into(),
        Refusal::NotFound { noun: Noun::Route } => {
            "there is no such route: this API lives under /edge/v1/prompts".into()
        }
        Refusal::NotKept => {
            "not in memory: leave `Cache-Control: only-if-cached` out to have it fetched".into()
        }
        Refusal::OriginBroken { .. } => "the prompt's origin gave an unusable answer".into(),
        Refusal::OriginTimedOut { .. } => "the prompt's origin did not answer in time".into(),
        Refusal::OriginUnreachable { .. } => "the prompt's origin cannot be reached".into(),
        Refusal::Overloaded { .. } => "too busy at the moment: try again shortly".into(),
        Refusal::QuotaSpent { .. } => "the plan's requests for this month are spent".into(),
        Refusal::QuotaUnknown { .. } => {
            "the plan's requests for this month cannot be counted at the moment".into()
        }
        Refusal::RateLimited { .. } => {
            "too many requests in a short time: slow down, see Retry-After".into()
        }
        Refusal::TooLarge { limit_bytes } => {
            format!("body: longer than {limit_bytes} bytes: send less").into()
        }
        Refusal::TooSlow => "body: it did not arrive in time: send it again, without pauses".into(),
        Refusal::Unauthenticated => "missing or invalid API key".into(),
    }
}

#[derive(Serialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: Cow<'static, str>,
    code: &'static str,
}
