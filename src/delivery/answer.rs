//! What a caller gets, with where it came from.

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderValue;

use crate::cache::entry::{Entry, Weigh};
use crate::delivery::coding::Coder;
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

impl Weigh for Finished {
    fn len_bytes(&self) -> usize {
        self.representation.len_bytes()
    }
}

/// One answer on its way to one caller.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    entry: Arc<Entry<Finished>>,
    status: CacheStatus,
    coder: &'a Arc<Coder>,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(
        entry: Arc<Entry<Finished>>,
        status: CacheStatus,
        coder: &'a Arc<Coder>,
    ) -> Self {
        Self { entry, status, coder }
    }

    /// What is kept of it.
    pub fn finished(&self) -> &Finished {
        &self.entry.answer
    }

    /// Where it came from.
    pub fn outcome(&self) -> Outcome {
        self.status.outcome
    }

    /// The response to a request with these headers, whose id is still to be set: 304 if they name
    /// the answer's tag, else 200.
    ///
    /// What was rendered just now is coded when it is asked for again: most values of variables
    /// come once, and coding costs many times what rendering does.
    pub fn respond(&self, request: &HeaderMap) -> Response {
        let representation = &self.finished().representation;
        let variant = representation.choose(request);
        if let Some(missing) = variant.missing().filter(|_| self.outcome() != Outcome::Rendered) {
            self.coder.set_going(&self.entry, missing);
        }
        representation.send(variant, self.status, HeaderValue::from_static(""))
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
