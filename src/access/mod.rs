//! May this caller do this, now?
//!
//! | # | phase    | may end with      | costs, for a key in use        |
//! |---|----------|-------------------|--------------------------------|
//! | 1 | identify | `Unauthenticated` | one SHA-256, one map look-up   |
//! | 2 | permit   | `Forbidden`       | one comparison                 |
//!
//! Keys are read from the store once and kept; a revocation reaches the kept record as a mark
//! (`cache::generation`), an expiry by the clock. Unknown keys are remembered too, in a map of
//! their own and of fixed size, so that guessing neither fills the memory nor pushes out the keys
//! in use, nor reaches the store for each repetition.
//!
//! # Invariants
//!
//! 1. A caller never learns whether a key is unknown, expired or revoked.
//!    (`unknown_expired_and_revoked_keys_are_refused_alike` in `tests/integration/access.rs`)
//! 2. A revocation that is known stops everybody who comes after it, even if the store was asked
//!    before it. (`a_revocation_outruns_a_fetch_that_began_before_it`, in the same place)
//! 3. The token is hashed at once and never kept, printed or compared as text.

pub mod credential;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use foldhash::quality::RandomState;
use moka::sync::Cache as Map;
use tokio_util::task::TaskTracker;

use crate::cache::entry::Absence;
use crate::cache::flight::Flights;
use crate::cache::generation::{Generations, Mark, Stamp};
use crate::clock::{Clock, Stopwatch};
use crate::model::{Grant, KeyDigest, KeyId, Refusal, Scope, Standing, Timestamp};
use crate::origins;
use crate::origins::Store;
use crate::telemetry::Metrics;
use crate::telemetry::trace::Chain;

use credential::Token;

/// How keys are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many digests of unknown keys are remembered.
    pub unknown_keys: u64,
    /// How long an unknown key stays unknown without the store being asked again.
    pub unknown_key_for: Duration,
    /// How often the moments of last use are written to the store.
    pub touch_interval: Duration,
}

impl Default for Config {
    /// One megabyte of unknown keys, each for as long as a person takes to fix a typing error.
    fn default() -> Self {
        Self {
            unknown_keys: 10_000,
            unknown_key_for: Duration::from_secs(5),
            touch_interval: Duration::from_secs(30),
        }
    }
}

/// Decides who may pass.
pub struct Gate {
    store: Arc<dyn Store>,
    generations: Arc<Generations>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    known: Map<KeyDigest, Caller, RandomState>,
    unknown: Map<KeyDigest, Absence, RandomState>,
    flights: Flights<(KeyDigest, Stamp), Result<Option<Caller>, Refusal>>,
    unknown_key_for: Duration,
}

/// Somebody with a usable key. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Record>);

#[derive(Debug)]
struct Record {
    grant: Grant,
    stamp: Stamp,
    /// Milliseconds since the epoch; 0 is never.
    last_used: AtomicI64,
    /// The last of them that was handed out to be written.
    written: AtomicI64,
}

impl Caller {
    /// What the caller's key stands for.
    pub fn grant(&self) -> &Grant {
        &self.0.grant
    }

    /// Judges the key and what it asks for, as of `now`.
    fn permit(&self, needs: Scope, now: Timestamp) -> Result<(), Refusal> {
        match self.0.grant.key.standing(now) {
            Standing::Expired | Standing::Revoked => return Err(Refusal::Unauthenticated),
            Standing::Valid => {}
        }
        if !self.0.grant.key.scopes.contains(&needs) {
            return Err(Refusal::Forbidden { needs });
        }
        self.0.last_used.store(now.as_millis(), Ordering::Relaxed);
        Ok(())
    }
}

impl Gate {
    /// A gate that reads keys from `store`; its questions run in `tasks`.
    pub fn new(
        config: Config,
        store: Arc<dyn Store>,
        generations: Arc<Generations>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            store,
            generations,
            clock,
            metrics,
            known: bounded(KNOWN_KEYS),
            unknown: bounded(config.unknown_keys),
            flights: Flights::new(tasks),
            unknown_key_for: config.unknown_key_for,
        }
    }

    /// Lets a caller pass, or says why not.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` without a token or for one that opens nothing, `Forbidden` for one that
    /// does not open this, and what the store's failures mean.
    pub async fn admit(&self, token: Option<Token<'_>>, needs: Scope) -> Result<Caller, Refusal> {
        let digest = token.ok_or(Refusal::Unauthenticated)?.digest();
        let now = self.clock.now();
        let caller = match self.recall_digest(&digest, now) {
            Some(known) => known?,
            None => self.identify(digest, now).await?,
        };
        caller.permit(needs, now)?;
        Ok(caller)
    }

    /// The same from memory alone; `None` if the store would have to be asked.
    pub fn recall(&self, token: Token<'_>, needs: Scope) -> Option<Result<Caller, Refusal>> {
        let now = self.clock.now();
        let caller = self.recall_digest(&token.digest(), now)?;
        Some(caller.and_then(|caller| caller.permit(needs, now).map(|()| caller)))
    }

    /// The keys used since this was asked last, and when. For `Store::touch_keys`.
    pub fn take_used(&self) -> Vec<(KeyId, Timestamp)> {
        let used = self.known.iter().filter_map(|(_, caller)| {
            let last_used = caller.0.last_used.load(Ordering::Relaxed);
            let written = caller.0.written.swap(last_used, Ordering::Relaxed);
            (last_used > written)
                .then(|| (caller.0.grant.key.id, Timestamp::from_millis(last_used)))
        });
        used.collect()
    }

    fn recall_digest(&self, digest: &KeyDigest, now: Timestamp) -> Option<Result<Caller, Refusal>> {
        if let Some(caller) = self.known.get(digest) {
            return self.generations.hold(&caller.0.stamp).then_some(Ok(caller));
        }
        let absence = self.unknown.get(digest)?;
        let holds = now < absence.until && self.generations.hold(&absence.stamp);
        holds.then_some(Err(Refusal::Unauthenticated))
    }

    async fn identify(&self, digest: KeyDigest, now: Timestamp) -> Result<Caller, Refusal> {
        let stamp = self.generations.stamp([Mark::Key(&digest), Mark::AnySettings]);
        let flight = self.flights.join((digest, stamp), || self.ask_store(digest, stamp));
        let (landed, _) = flight.await;
        match landed.unwrap_or(Err(Refusal::Internal))? {
            Some(caller) => Ok(caller),
            None => {
                let until = now.plus(self.unknown_key_for);
                self.unknown.insert(digest, Absence { stamp, until });
                Err(Refusal::Unauthenticated)
            }
        }
    }

    fn ask_store(
        &self,
        digest: KeyDigest,
        stamp: Stamp,
    ) -> impl Future<Output = Result<Option<Caller>, Refusal>> + use<> {
        let store = Arc::clone(&self.store);
        let metrics = Arc::clone(&self.metrics);
        let known = self.known.clone();
        async move {
            let watch = Stopwatch::start();
            let found = store.grant(digest).await;
            metrics.origin_answered(
                store.name().as_str(),
                "grant",
                found.as_ref().map_or_else(origins::Error::as_str, |_| "ok"),
                watch.elapsed(),
            );
            let grant = found.map_err(|error| {
                tracing::warn!(error = %Chain(&error), "key look-up failed");
                Refusal::from(&error)
            })?;
            let caller = grant.map(|grant| {
                let seen = grant.key.last_used_at.unwrap_or_default().as_millis();
                let (last_used, written) = (AtomicI64::new(seen), AtomicI64::new(seen));
                Caller(Arc::new(Record { grant, stamp, last_used, written }))
            });
            if let Some(caller) = &caller {
                known.insert(digest, caller.clone());
            }
            Ok(caller)
        }
    }
}

fn bounded<V: Clone + Send + Sync + 'static>(entries: u64) -> Map<KeyDigest, V, RandomState> {
    Map::builder().max_capacity(entries).build_with_hasher(RandomState::default())
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate(…)")
    }
}

/// How many keys in use are kept: about 100 MB of records at the most, far above any fleet seen.
const KNOWN_KEYS: u64 = 100_000;
