//! What a caller gets, with where it came from.

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;

use crate::cache::entry::Entry;
use crate::model::Refusal;
use crate::telemetry::metrics::RouteMetrics;
use crate::wire::Representation;
use crate::wire::Response;
use crate::wire::caching::{CacheStatus, Outcome};

/// A finished answer, as it is kept.
#[derive(Debug)]
pub struct Finished {
    /// The ready bytes and headers.
    pub representation: Representation,
    /// Under which route it is counted.
    pub route: Arc<RouteMetrics>,
}

impl Finished {
    /// Whether a line of `If-None-Match` names the answer's tag.
    pub fn is_named_in(&self, line: &HeaderValue) -> bool {
        self.representation.etag().is_in(line)
    }

    /// What the answer's status is to somebody who has it already, or not.
    pub const fn status(&self, is_current: bool) -> StatusCode {
        if is_current { StatusCode::NOT_MODIFIED } else { StatusCode::OK }
    }
}

/// One answer on its way to one caller.
#[derive(Clone, Debug)]
pub struct Answer {
    entry: Arc<Entry<Finished>>,
    status: CacheStatus,
}

impl Answer {
    pub(crate) fn new(entry: Arc<Entry<Finished>>, status: CacheStatus) -> Self {
        Self { entry, status }
    }

    /// What is kept of it.
    pub fn finished(&self) -> &Finished {
        &self.entry.answer
    }

    /// Where it came from.
    pub fn outcome(&self) -> Outcome {
        self.status.outcome
    }

    /// The response to a request with these headers: 304 if they name the answer's tag, else 200.
    /// Both doors of delivery, the fast lane and the long way, end here.
    pub fn respond(&self, request: &HeaderMap) -> Response {
        self.finished().representation.respond(request, self.status)
    }
}

/// Why there is no answer, and where that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The reason.
    pub refusal: Refusal,
    /// Where it was found: of an absent prompt, in memory or at the origin.
    pub status: CacheStatus,
}

/// Any other reason was found on the way to an answer.
impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, status: CacheStatus::of(Outcome::Refused) }
    }
}
