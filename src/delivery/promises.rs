//! What clients may do with an answer (`Cache-Control`).

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::cache::provenance::Provenance;
use crate::model::{Environment, Reads};
use crate::wire::caching::Lifetimes;
use crate::wire::representation::Heads;

/// What clients may do with answers, as the heads of all that promise the same.
pub(crate) struct Promises {
    published: Arc<Heads>,
    /// What fails closed here is not to outlive a failure there.
    published_closed: Arc<Heads>,
    draft: Arc<Heads>,
}

impl Promises {
    pub(crate) fn new(lifetimes: Lifetimes) -> Self {
        let closed = Lifetimes { stale_if_error: Duration::ZERO, ..lifetimes };
        Self {
            published: Arc::new(Heads::new(lifetimes.published())),
            published_closed: Arc::new(Heads::new(closed.published())),
            draft: Arc::new(Heads::new(Lifetimes::draft())),
        }
    }

    pub(crate) fn of(&self, environment: &Environment, provenance: &Provenance) -> Arc<Heads> {
        let heads = match (environment.reads, provenance.has_rescue()) {
            (Reads::Draft, _) => &self.draft,
            (Reads::Published, true) => &self.published,
            (Reads::Published, false) => &self.published_closed,
        };
        Arc::clone(heads)
    }

    /// The heads of what was promised before a restart.
    pub(crate) fn as_promised(&self, cache_control: &HeaderValue) -> Arc<Heads> {
        let known = [&self.published, &self.published_closed, &self.draft];
        let same = known.into_iter().find(|heads| heads.cache_control() == cache_control);
        same.map_or_else(|| Arc::new(Heads::new(cache_control.clone())), Arc::clone)
    }
}
