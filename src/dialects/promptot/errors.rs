//! How PromptOT says no: `{"data": null, "error": {"code", "message"}}`.
//!
//! Codes are frozen, clients match on them. A new refusal does not compile until it has a place in
//! each `match`.

use std::borrow::Cow;

use http::StatusCode;
use serde::Serialize;

use crate::dialects;
use crate::model::{Noun, Refusal};
use crate::wire::Response;
use crate::wire::representation::uncached_json;

/// The whole response to a refused request.
pub fn respond(refusal: &Refusal) -> Response {
    let body = Body { data: None, error: Error { code: code(refusal), message: message(refusal) } };
    let bytes = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = uncached_json(status(refusal), bytes);
    dialects::append_remedy(refusal, response.headers_mut());
    response
}

/// The status PromptOT documents for each refusal.
pub const fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::BadInput { .. } => StatusCode::BAD_REQUEST,
        Refusal::Unauthenticated => StatusCode::UNAUTHORIZED,
        Refusal::Forbidden { .. } => StatusCode::FORBIDDEN,
        Refusal::NotFound { .. } => StatusCode::NOT_FOUND,
        Refusal::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
        Refusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Refusal::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Refusal::CompiledByOrigin => StatusCode::NOT_IMPLEMENTED,
        Refusal::OriginBroken { .. } => StatusCode::BAD_GATEWAY,
        Refusal::RateLimited { .. } | Refusal::QuotaSpent { .. } => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Overloaded { .. }
        | Refusal::QuotaUnknown { .. }
        | Refusal::OriginUnreachable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        // RFC 9111 §5.2.1.7 names the status for `only-if-cached`.
        Refusal::OriginTimedOut { .. } | Refusal::NotKept => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// The code clients match on.
const fn code(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::BadInput { .. } | Refusal::TooLarge { .. } => "VALIDATION_ERROR",
        Refusal::TooSlow => "REQUEST_TIMEOUT",
        Refusal::Unauthenticated => "UNAUTHORIZED",
        Refusal::Forbidden { .. } => "FORBIDDEN",
        Refusal::NotFound { .. } => "NOT_FOUND",
        Refusal::MethodNotAllowed { .. } => "METHOD_NOT_ALLOWED",
        Refusal::RateLimited { .. } | Refusal::QuotaSpent { .. } => "RATE_LIMITED",
        Refusal::Overloaded { .. } => "OVERLOADED",
        Refusal::QuotaUnknown { .. } => "QUOTA_UNKNOWN",
        Refusal::CompiledByOrigin => "COMPILED_BY_ORIGIN",
        Refusal::OriginBroken { .. } => "ORIGIN_BROKEN",
        Refusal::NotKept => "NOT_CACHED",
        Refusal::OriginTimedOut { .. } => "ORIGIN_TIMED_OUT",
        Refusal::OriginUnreachable { .. } => "ORIGIN_UNREACHABLE",
        Refusal::Internal => "INTERNAL_ERROR",
    }
}

fn message(refusal: &Refusal) -> Cow<'static, str> {
    match refusal {
        Refusal::BadInput { field, problem } => format!("{field}: {problem}").into(),
        Refusal::Unauthenticated => "Missing or invalid API key".into(),
        Refusal::Forbidden { needs } => {
            format!("This API key lacks the scope `{}`", needs.as_str()).into()
        }
        Refusal::NotFound { noun: Noun::Prompt } => "Prompt not found".into(),
        Refusal::NotFound { noun: Noun::Route } => {
            "Route not found: this API lives under /api/v1/prompts".into()
        }
        Refusal::MethodNotAllowed { allow } => {
            format!("Method not allowed: this route answers {allow}").into()
        }
        Refusal::TooLarge { limit_bytes } => {
            format!("body: longer than {limit_bytes} bytes: send less").into()
        }
        Refusal::TooSlow => "body: it did not arrive in time: send it again, without pauses".into(),
        Refusal::RateLimited { .. } => {
            "Too many requests in a short time: slow down, see Retry-After".into()
        }
        Refusal::QuotaSpent { .. } => {
            "The plan's requests for this month are spent: wait for the next, or change plan".into()
        }
        Refusal::Overloaded { .. } => "Too busy at the moment: try again shortly".into(),
        Refusal::QuotaUnknown { .. } => {
            "The plan's requests for this month cannot be counted at the moment".into()
        }
        Refusal::NotKept => {
            "Not in memory: leave `Cache-Control: only-if-cached` out to have it fetched".into()
        }
        Refusal::CompiledByOrigin => {
            "This prompt is compiled by its origin, which does not hand over its placeholders"
                .into()
        }
        Refusal::OriginBroken { .. } => "The prompt's origin gave an unusable answer".into(),
        Refusal::OriginTimedOut { .. } => "The prompt's origin did not answer in time".into(),
        Refusal::OriginUnreachable { .. } => "The prompt's origin cannot be reached".into(),
        Refusal::Internal => "Internal error: report the X-Request-Id of this answer".into(),
    }
}

#[derive(Serialize)]
struct Body {
    data: Option<()>,
    error: Error,
}

#[derive(Serialize)]
struct Error {
    code: &'static str,
    message: Cow<'static, str>,
}
