//! Making coded forms of answers, behind those who ask for them.
//!
//! Whoever is the first to prefer a coding is answered as the answer is, and sets the form going:
//! on a thread that may block, never on one that answers. Who asks later is sent it.
//!
//! # Invariants
//!
//! 1. Nobody waits for a form. (`who_asks_first_does_not_wait` in `tests/integration/coding.rs`)
//! 2. A form is made once, however many ask. (`a_crowd_makes_a_form_once` in
//!    `tests/integration/coding.rs`)
//! 3. What is made counts as the answer's memory, and brings no answer back that has gone.
//!    (`cache::tests::what_has_gone_is_not_brought_back_by_its_new_weight`)

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::Semaphore;

use crate::cache::Cache;
use crate::cache::entry::Entry;
use crate::delivery::answer::Finished;
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::wire::Coding;

/// Makes coded forms.
pub(crate) struct Coder {
    cache: Arc<Cache<Finished>>,
    tasks: Tasks,
    under_way: Arc<Semaphore>,
    made: [Counter; Coding::ALL.len()],
}

/// How many forms are made at once. More are not queued: the next who asks sets them going.
const AT_ONCE: usize = 2;

impl Coder {
    /// A coder of this cache's answers; it works in `tasks`.
    pub(crate) fn new(cache: &Arc<Cache<Finished>>, metrics: &Metrics, tasks: &Tasks) -> Arc<Self> {
        Arc::new(Self {
            cache: Arc::clone(cache),
            tasks: tasks.clone(),
            under_way: Arc::new(Semaphore::new(AT_ONCE)),
            made: Coding::ALL.map(|coding| metrics.coded_answers(coding.as_str())),
        })
    }

    /// Sets a form of an answer going, unless somebody did or too many are under way.
    pub(crate) fn set_going(self: &Arc<Self>, entry: &Arc<Entry<Finished>>, coding: Coding) {
        let Ok(place) = Arc::clone(&self.under_way).try_acquire_owned() else { return };
        if !entry.answer.representation.claim(coding) {
            return;
        }
        let (coder, entry) = (Arc::clone(self), Arc::clone(entry));
        let making = move || {
            coder.make(&entry, coding);
            drop(place);
        };
        drop(self.tasks.spawn_blocking(making));
    }

    fn make(&self, entry: &Arc<Entry<Finished>>, coding: Coding) {
        let is_made = entry.answer.representation.make(coding);
        self.cache.weigh_again(entry);
        let place = Coding::ALL.iter().position(|its| *its == coding);
        if let Some(counter) = place.and_then(|place| self.made.get(place))
            && is_made
        {
            counter.inc();
        }
    }
}

impl std::fmt::Debug for Coder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Coder(…)")
    }
}
