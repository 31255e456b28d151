//! The fast lane: who asks for what, byte for byte, and the answer that they were given.
//!
//! A line is found by one seeded hash of the raw token (or the certificate) and the raw path and
//! query. The hash only leads there: both are compared, so that a collision is a miss and never another
//! tenant's answer. What a line says is judged each time by what its caller and its answer share with
//! all others: the key's marks and expiry (`access`), the answer's provenance (`cache`). So a
//! revocation, a purge, a publish or a change of plan costs a hit a few relaxed loads, and nothing has
//! to be searched for.
//!
//! A line is made when something is asked for again: most values of variables come once, and would only
//! push out what does not. The lane holds its answers itself. What is asked for all the time never
//! passes by the map of answers, which therefore takes it for forgotten: the lane is bounded by the
//! policy of a map of its own, and together they stay within the memory for answers.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::quality::RandomState;
use quick_cache::Weighter;
use quick_cache::sync::{Cache as Map, DefaultLifecycle};

use crate::access::{Caller, Presented};
use crate::cache::Holds;
use crate::cache::entry::Entry;
use crate::cache::place::Unhashed;
use crate::delivery::answer::Finished;

/// One answer as one caller asks for it.
#[derive(Debug)]
pub struct Line {
    caller: Caller,
    target: Box<str>,
    entry: Arc<Entry<Finished>>,
}

impl Line {
    /// Who asks.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What is kept of the answer.
    pub fn finished(&self) -> &Finished {
        &self.entry.answer
    }

    /// The answer as it is kept.
    pub(crate) fn entry(&self) -> &Arc<Entry<Finished>> {
        &self.entry
    }

    fn weight_bytes(&self) -> usize {
        // What the map takes for each: key, value and the places in its queues (docs/performance.md).
        const IN_MAP_BYTES: usize = 64;
        let forms = self.finished().representation.most_bytes();
        size_of::<Self>() + IN_MAP_BYTES + self.target.len() + self.entry.shell_bytes() + forms
    }
}

/// Lines, bounded by what they and their answers take.
pub(crate) struct Lane {
    lines: Map<u64, Arc<Line>, Weigh, Unhashed>,
    hasher: RandomState,
}

impl Lane {
    /// An empty lane.
    pub(crate) fn new(capacity_bytes: u64) -> Self {
        let lines = Map::with(
            // What is expected only sizes the map to begin with.
            usize::try_from(capacity_bytes / 2_048).unwrap_or(usize::MAX).min(EXPECTED_AT_MOST),
            capacity_bytes,
            Weigh,
            Unhashed::default(),
            DefaultLifecycle::default(),
        );
        Self { lines, hasher: RandomState::default() }
    }

    /// The line of whoever presents this and asks for this path and query.
    pub(crate) fn find(&self, presented: Presented<'_>, target: &str) -> Option<Arc<Line>> {
        let line = self.lines.get(&self.place(presented, target))?;
        let is_it = line.caller.presents() == Some(presented) && *line.target == *target;
        is_it.then_some(line)
    }

    /// Remembers what a caller was answered. One whose token was not seen is not remembered, nor is
    /// a target that is longer than most answers.
    pub(crate) fn keep(&self, caller: &Caller, target: &str, entry: &Arc<Entry<Finished>>) {
        let presented = caller.presents().filter(|_| target.len() <= LONGEST_TARGET);
        let Some(presented) = presented else { return };
        let line = Line { caller: caller.clone(), target: target.into(), entry: Arc::clone(entry) };
        self.lines.insert(self.place(presented, target), Arc::new(line));
    }

    /// What the lane holds.
    pub(crate) fn holds(&self) -> Holds {
        let (entries, weight_bytes) = (self.lines.len() as u64, self.lines.weight());
        Holds { map: "lane", entries, weight_bytes }
    }

    fn place(&self, presented: Presented<'_>, target: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        target.hash(&mut hasher);
        presented.hash(&mut hasher);
        hasher.finish()
    }
}

/// A line's part of the lane's memory.
#[derive(Clone)]
struct Weigh;

impl Weighter<u64, Arc<Line>> for Weigh {
    fn weight(&self, _: &u64, line: &Arc<Line>) -> u64 {
        line.weight_bytes() as u64
    }
}

/// The longest path and query that is remembered, in bytes. Longer ones are answered all the same.
const LONGEST_TARGET: usize = 16 << 10;

/// A hundred thousand lines take a map of four megabytes.
const EXPECTED_AT_MOST: usize = 100_000;
