//! May this caller do this, now?
//!
//! | # | phase    | may end with                | costs, for a key in use      |
//! |---|----------|-----------------------------|------------------------------|
//! | 1 | identify | `Unauthenticated`           | one SHA-256, one map look-up |
//! | 2 | permit   | `Forbidden`                 | one comparison               |
//! | 3 | spend    | `RateLimited`, `QuotaSpent` | two compare-and-swaps        |
//!
//! Rate comes before month, so a flood cannot drain one. A place in the month is taken before the
//! answer is made and given back if there is none: 200 and 304 count, refusals and failures do not.
//! An answer that the client never received counts, since nobody can know.
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
pub mod guesses;
pub mod limits;
pub mod quota;
pub mod rate;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use foldhash::quality::RandomState;
use http::HeaderMap;
use http::StatusCode;
use moka::sync::Cache as Map;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::cache::entry::Absence;
use crate::cache::flight::Flights;
use crate::cache::generation::{Generations, Mark, Stamp};
use crate::clock::{Clock, Stopwatch};
use crate::ledger::Ledger;
use crate::model::{Budgets, Grant, KeyDigest, KeyId, Plan, Refusal, Scope, Standing, Timestamp};
use crate::origins;
use crate::origins::{RETRY_AFTER, Store};
use crate::telemetry::Metrics;
use crate::telemetry::trace::Chain;
use crate::wire;
use crate::wire::Response;

use credential::Token;
use guesses::{Guesses, Source};
use limits::{Book, Decision, Headers, Limits};
use quota::{Attempt, Unspent};
use rate::Limiter;

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
    book: Arc<Book>,
    guesses: Guesses,
}

/// What a gate decides by.
#[derive(Clone)]
pub struct Parts {
    /// Where keys are.
    pub store: Arc<dyn Store>,
    /// Where months are counted.
    pub ledger: Arc<dyn Ledger>,
    /// What has changed.
    pub generations: Arc<Generations>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where questions run.
    pub tasks: TaskTracker,
}

/// Somebody with a usable key. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Record>);

#[derive(Debug)]
struct Record {
    grant: Grant,
    stamp: Stamp,
    limits: Arc<Limits>,
    /// Below the project's rate, if the plan has one for keys.
    key_rate: Option<Limiter>,
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

    /// The plan of the caller's project.
    pub fn plan(&self) -> &Plan {
        self.0.limits.plan()
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
    /// A gate over these parts.
    pub fn new(
        keys: Config,
        limits: limits::Config,
        guesses: guesses::Config,
        parts: Parts,
    ) -> Self {
        let Parts { store, ledger, generations, clock, metrics, tasks } = parts;
        let flights = Flights::new(tasks.clone());
        let book = Book::new(limits, ledger, Arc::clone(&clock), Arc::clone(&metrics), tasks);
        Self {
            store,
            generations,
            clock,
            metrics,
            known: bounded(KNOWN_KEYS),
            unknown: bounded(keys.unknown_keys),
            flights,
            unknown_key_for: keys.unknown_key_for,
            book: Arc::new(book),
            guesses: Guesses::new(guesses),
        }
    }

    /// The limits of every project.
    pub fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// Lets a caller pass, or says why not. `peer` is who the connection is from.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` without a token or for one that opens nothing, `RateLimited` where too
    /// many of those came from, `Forbidden` for one that does not open this, and what the store's
    /// failures mean.
    pub async fn admit(
        &self,
        headers: &HeaderMap,
        peer: IpAddr,
        needs: Scope,
    ) -> Result<Caller, Refusal> {
        let digest = Token::of(headers).ok_or(Refusal::Unauthenticated)?.digest();
        let now = self.clock.now();
        let permit = |caller: Caller| caller.permit(needs, now).map(|()| caller);
        let recalled = self.recall_digest(&digest, now).map(|known| known.and_then(permit));
        let opens_nothing = match recalled {
            Some(Err(Refusal::Unauthenticated)) => true,
            Some(known) => return known,
            None => false,
        };

        let source = self.guesses.source(peer, headers);
        self.may_guess(source)?;
        let found = match opens_nothing {
            true => Err(Refusal::Unauthenticated),
            false => self.identify(digest, now).await.and_then(permit),
        };
        // Unknown, expired and revoked keys count alike: else the limit would tell them apart.
        if matches!(found, Err(Refusal::Unauthenticated)) {
            self.guesses.failed(source, self.clock.elapsed());
        }
        found
    }

    /// The same from memory alone; `None` if the store would have to be asked, or somebody to be
    /// turned away.
    pub fn recall(&self, headers: &HeaderMap, needs: Scope) -> Option<Caller> {
        let now = self.clock.now();
        let caller = self.recall_digest(&Token::of(headers)?.digest(), now)?.ok()?;
        caller.permit(needs, now).ok()?;
        Some(caller)
    }

    /// Takes one request from the caller's rates and month; `None` if the ledger would have to be
    /// asked. Memory only.
    pub fn try_spend(&self, caller: &Caller) -> Option<Result<Receipt, Refusal>> {
        let (limits, now) = (&caller.0.limits, self.clock.now());
        if limits.meter().would_ask(now) {
            return None;
        }
        let taken = match self.take(caller, now) {
            Ok(taken) => taken,
            Err(refusal) => return Some(Err(refusal)),
        };
        match limits.meter().try_spend(now) {
            Attempt::Yes(place) => Some(Ok(self.receipt(caller, place, taken, now))),
            Attempt::Spent => Some(Err(self.month_spent(caller, taken, now))),
            Attempt::Ask => None,
        }
    }

    /// Takes one request from the caller's rates and month.
    ///
    /// # Errors
    ///
    /// `RateLimited`, `QuotaSpent`, or `QuotaUnknown` if the ledger is away and policy says no.
    pub async fn spend(&self, caller: &Caller) -> Result<Receipt, Refusal> {
        let limits = &caller.0.limits;
        let taken = self.take(caller, self.clock.now())?;
        let spent = timeout(SPEND_WITHIN, limits.meter().spend()).await;
        let now = self.clock.now();
        match spent.unwrap_or(Err(Unspent::LedgerAway)) {
            Ok(place) => Ok(self.receipt(caller, place, taken, now)),
            Err(Unspent::Spent) => Err(self.month_spent(caller, taken, now)),
            Err(Unspent::LedgerAway) => {
                limits.count(Decision::QuotaUnknown);
                Err(Refusal::QuotaUnknown { retry_after: RETRY_AFTER })
            }
        }
    }

    /// Ends what [`Gate::spend`] began, now that there is a response: gives the place back if it
    /// does not count, and says on the response what is left, if it is to be said.
    pub fn settle(&self, receipt: Receipt, response: &mut Response) {
        let config = self.book.config();
        let counts = match response.status() {
            StatusCode::OK => true,
            StatusCode::NOT_MODIFIED => config.count_not_modified,
            _ => false,
        };
        if let Some(budgets) = receipt.say {
            self.say(&budgets, response);
        }
        if !counts {
            receipt.place.refund();
        }
    }

    /// Says on the response to a refusal what is left, if that is why.
    pub fn say_refused(&self, refusal: &Refusal, response: &mut Response) {
        if let Refusal::RateLimited { budgets, .. } | Refusal::QuotaSpent { budgets } = refusal {
            self.say(budgets, response);
        }
    }

    fn say(&self, budgets: &Budgets, response: &mut Response) {
        wire::limits::append(response.headers_mut(), budgets);
        if self.book.config().legacy_headers {
            wire::limits::append_legacy(response.headers_mut(), budgets);
        }
    }

    fn may_guess(&self, source: Source) -> Result<(), Refusal> {
        match self.guesses.wait(source, self.clock.elapsed()) {
            Some(retry_after) => Err(Refusal::RateLimited { retry_after, budgets: Box::default() }),
            None => Ok(()),
        }
    }

    /// Takes one request from the key's rate and the project's.
    fn take(&self, caller: &Caller, now: Timestamp) -> Result<Taken, Refusal> {
        let limits = &caller.0.limits;
        let of_key = caller.0.key_rate.as_ref().map(Limiter::take);
        let wait = match of_key {
            Some(Err(wait)) => Some(wait),
            Some(Ok(_)) | None => None,
        };
        let taken = if wait.is_none() { limits.take() } else { None };
        let Some(wait) = wait.or(taken.and_then(Result::err)) else { return Ok(taken) };

        limits.count(Decision::RateLimited);
        let mut budgets = limits.budgets(taken, now);
        if let (None, Some(key_rate)) = (budgets.burst, &caller.0.key_rate) {
            budgets.burst = Some(key_rate.budget(Err(wait)));
        }
        Err(Refusal::RateLimited { retry_after: wait, budgets: Box::new(budgets) })
    }

    fn receipt(
        &self,
        caller: &Caller,
        place: quota::Receipt,
        taken: Taken,
        now: Timestamp,
    ) -> Receipt {
        let limits = &caller.0.limits;
        limits.count(Decision::Admitted);
        let is_said = match self.book.config().headers {
            Headers::Always => true,
            Headers::NearEnd => limits.is_near_end(taken),
            Headers::Refused => false,
        };
        Receipt { place, say: is_said.then(|| limits.budgets(taken, now)) }
    }

    fn month_spent(&self, caller: &Caller, taken: Taken, now: Timestamp) -> Refusal {
        let limits = &caller.0.limits;
        limits.count(Decision::QuotaSpent);
        let mut budgets = limits.budgets(taken, now);
        if let Some(month) = &mut budgets.month {
            // A place that is just being given back is nobody's yet.
            month.remaining = 0;
        }
        Refusal::QuotaSpent { budgets: Box::new(budgets) }
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
        let book = Arc::clone(&self.book);
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
                let limits = book.limits_of(&grant.project);
                let before = known.get(&digest);
                let before = before.as_ref().and_then(|caller| caller.0.key_rate.as_ref());
                let key_rate = limits.plan().key_rate.map(|rate| book.limiter(rate, before));
                Caller(Arc::new(Record { grant, stamp, limits, key_rate, last_used, written }))
            });
            if let Some(caller) = &caller {
                known.insert(digest, caller.clone());
            }
            Ok(caller)
        }
    }
}

/// What a project's limiter said, if it has one.
type Taken = Option<Result<u32, Duration>>;

/// One admitted request. Dropping it unsettled keeps its place in the month.
#[derive(Debug)]
pub struct Receipt {
    place: quota::Receipt,
    /// What the response is to say is left.
    say: Option<Budgets>,
}

impl Receipt {
    /// Gives the place in the month back: the request was refused after all.
    pub fn refund(self) {
        self.place.refund();
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

/// How long a request may wait for its place in the month.
const SPEND_WITHIN: Duration = Duration::from_secs(5);
