//! Whose key is this? What the store knows of keys, kept in memory.
//!
//! A key in use is read from the store once; a revocation or a change of plan reaches the kept
//! record as a mark (`cache::generation`), an expiry by the clock. A key that is unknown is
//! remembered too, in a map of its own and of fixed size: guessing neither fills the memory nor
//! pushes out the keys in use, and a repeated guess does not reach the store.
//!
//! A certificate that names a project and an environment is remembered like a key, by a digest of
//! those names ([`crate::access::peer`]): a change of the project reaches it in the same way.
//!
//! A key that no store knows may be an origin's own ([`crate::access::foreign`]). Its caller is a
//! tenant by itself: what it is served, no other key is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::quality::RandomState;
use moka::sync::Cache as Map;

use crate::access::credential::{Presented, Shown};
use crate::access::foreign::{Foreign, Passes, Verdict};
use crate::access::limits::{Book, Limits};
use crate::access::peer::Identity;
use crate::access::rate::Limiter;
use crate::cache::flight::Flights;
use crate::cache::generation::{Generations, Mark, Stamp};
use crate::clock::Stopwatch;
use crate::live::Live;
use crate::model::{
    Credential, Grant, KeyDigest, KeyId, Plan, Refusal, Scope, Standing, Tenant, Timestamp,
};
use crate::origins;
use crate::origins::{Reader, Store};
use crate::snapshot::image::KnownKey;
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::telemetry::trace::Chain;

/// How keys are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many digests of unknown keys are remembered.
    pub unknown_keys: u64,
    /// How long an unknown key stays unknown without the store being asked again.
    pub unknown_key_for: Duration,
    /// How often the moments of last use are written to the store.
    pub touch_interval: Duration,
    /// How long an origin's word on a caller's own key is good for.
    pub foreign_for: Duration,
}

impl Default for Config {
    /// One megabyte of unknown keys, each for as long as a person takes to fix a typing error.
    fn default() -> Self {
        Self {
            unknown_keys: 10_000,
            unknown_key_for: Duration::from_secs(5),
            touch_interval: Duration::from_secs(30),
            // A key that was revoked at the platform stops within this time.
            foreign_for: Duration::from_secs(5 * 60),
        }
    }
}

/// That a key was not known.
#[derive(Clone, Copy, Debug)]
struct Absence {
    /// What it was found under.
    stamp: Stamp,
    /// From this moment on the store is asked again.
    until: Timestamp,
}

/// Somebody with a key that is known. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Record>);

/// What a caller presented.
#[derive(Clone, Debug)]
enum Kept {
    Certificate(KeyDigest),
    Token(Credential),
}

#[derive(Debug)]
struct Record {
    grant: Grant,
    reader: Arc<Reader>,
    /// What the caller presents, once it was presented since the start.
    presented: Option<Kept>,
    /// What the origin said, if it is the origin that knows the key.
    verdict: Option<Arc<Verdict>>,
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

    /// Who reads, as an origin needs to know it.
    pub fn reader(&self) -> &Arc<Reader> {
        &self.0.reader
    }

    /// The plan of the caller's project.
    pub fn plan(&self) -> &Plan {
        self.0.limits.plan()
    }

    /// What the caller presents; `None` if it was not seen since the start.
    pub(crate) fn presents(&self) -> Option<Presented<'_>> {
        self.0.presented.as_ref().map(|presented| match presented {
            Kept::Certificate(digest) => Presented::Certificate(digest),
            Kept::Token(token) => Presented::Token(token.expose().as_bytes()),
        })
    }

    /// What the caller's project may do.
    pub(super) fn limits(&self) -> &Arc<Limits> {
        &self.0.limits
    }

    /// The limiter of the caller's own key.
    pub(super) fn key_rate(&self) -> Option<&Limiter> {
        self.0.key_rate.as_ref()
    }

    /// Judges the key and what it asks for, as of `now`.
    pub(super) fn permit(&self, needs: Scope, now: Timestamp) -> Result<(), Refusal> {
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

    /// The same with the project's present limits, as if it had been read under `stamp`.
    fn again(&self, stamp: Stamp, (book, generations): (&Book, &Generations)) -> Self {
        let before = &self.0;
        let limits = book.limits_of(&before.grant.project, || generations.hold(&stamp));
        let key_rate = limits.plan().key_rate;
        let copy = |moment: &AtomicI64| AtomicI64::new(moment.load(Ordering::Relaxed));
        Self(Arc::new(Record {
            grant: before.grant.clone(),
            reader: Arc::clone(&before.reader),
            presented: before.presented.clone(),
            verdict: before.verdict.clone(),
            stamp,
            limits,
            key_rate: key_rate.map(|rate| book.limiter(rate, before.key_rate.as_ref())),
            last_used: copy(&before.last_used),
            written: copy(&before.written),
        }))
    }

    /// A record read under `stamp`, which goes on from the one `before` it.
    fn new(
        Known { grant, presented, holder, verdict }: Known,
        stamp: Stamp,
        before: Option<&Self>,
        (book, generations): (&Book, &Generations),
    ) -> Self {
        let limits = book.limits_of(&grant.project, || generations.hold(&stamp));
        let rate_before = before.and_then(Self::key_rate);
        let key_rate = limits.plan().key_rate.map(|rate| book.limiter(rate, rate_before));

        let stored = grant.key.last_used_at.unwrap_or_default().as_millis();
        let moment = |of: fn(&Record) -> &AtomicI64| {
            let kept = before.map_or(i64::MIN, |caller| of(&caller.0).load(Ordering::Relaxed));
            AtomicI64::new(kept.max(stored))
        };
        let (last_used, written) = (moment(|r| &r.last_used), moment(|r| &r.written));
        let reader = Arc::new(reader_of(&grant, holder));
        Self(Arc::new(Record {
            grant,
            reader,
            presented,
            verdict,
            stamp,
            limits,
            key_rate,
            last_used,
            written,
        }))
    }
}

/// The last moves of the mark `AnySettings` that were a keyring's own: they outdate limits, and
/// nothing that is read from the store.
#[derive(Clone, Copy, Debug)]
struct OwnMoves {
    place: u32,
    /// From the state before the first of them to the one after the last, without another's between.
    states: (u64, u64),
}

impl OwnMoves {
    /// What the stamp would be if it had been taken after them.
    fn undo(&self, stamp: Stamp) -> Option<Stamp> {
        let [key, (place, state)] = stamp.marks();
        let (first, last) = self.states;
        let is_theirs = place == self.place && (first..last).contains(&state);
        is_theirs.then(|| Stamp::of([key, (place, last)]))
    }
}

/// What a keyring stands on.
pub struct Parts {
    /// Where keys are.
    pub store: Arc<dyn Store>,
    /// What has changed.
    pub generations: Arc<Generations>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where questions run.
    pub tasks: Tasks,
}

/// The keys in memory, in front of the store.
pub struct Keyring {
    store: Arc<dyn Store>,
    generations: Arc<Generations>,
    metrics: Arc<Metrics>,
    book: Arc<Book>,
    known: KnownKeys,
    unknown: Map<KeyDigest, Absence, RandomState>,
    flights: Flights<(KeyDigest, Stamp), Result<Option<Caller>, Refusal>>,
    unknown_key_for: Live<Duration>,
    /// Guards two numbers, for a request whose key's record is outdated.
    own_moves: Mutex<Option<OwnMoves>>,
    foreign: Option<Arc<Foreign>>,
    /// The store's keys of a snapshot: believed until the store has answered once.
    remembered: Arc<Mutex<HashMap<KeyDigest, Grant>>>,
    /// The keys that their origin is being asked about again.
    judgements: Arc<Judgements>,
}

impl Keyring {
    /// An empty keyring, whose records get their limits from `book`.
    pub fn new(
        config: Config,
        book: Arc<Book>,
        foreign: Option<Arc<Foreign>>,
        parts: Parts,
    ) -> Self {
        let Parts { store, generations, metrics, tasks } = parts;
        Self {
            foreign,
            remembered: Arc::default(),
            judgements: Arc::new(Flights::new(tasks.clone())),
            store,
            generations,
            metrics,
            book,
            known: bounded(KNOWN_KEYS),
            unknown: bounded(config.unknown_keys),
            flights: Flights::new(tasks),
            unknown_key_for: Live::new(config.unknown_key_for),
            own_moves: Mutex::default(),
        }
    }

    /// Remembers otherwise from now on, but for how many: that is what it was made for.
    pub fn reconfigure(&self, config: Config) {
        let before = **self.unknown_key_for.load();
        self.unknown_key_for.store(config.unknown_key_for);
        if config.unknown_key_for < before {
            self.unknown.invalidate_all();
        }
        if let Some(foreign) = &self.foreign {
            foreign.reconfigure(config.foreign_for);
            for (_, caller) in &self.known {
                caller.0.verdict.iter().for_each(|verdict| foreign.shorten(verdict));
            }
        }
    }

    /// Says that the limits of any key may be others: each has the present ones at its next use. For
    /// that nothing is read; whatever else has changed of it is still read from the store.
    pub fn renew_limits(&self) {
        let mut own = self.own_moves();
        let (place, from) = self.generations.advance_from(&Mark::AnySettings);
        let goes_on = own.filter(|own| own.place == place && own.states.1 == from);
        let start = goes_on.map_or(from, |own| own.states.0);
        *own = Some(OwnMoves { place, states: (start, from + 1) });
    }

    /// The same key with the present limits, if nothing else has changed since it was read.
    fn carried_over(&self, digest: &KeyDigest, caller: &Caller) -> Option<Caller> {
        let stamp = self.own_moves().as_ref()?.undo(caller.0.stamp)?;
        if !self.generations.hold(&stamp) {
            return None;
        }
        let carried = caller.again(stamp, (&self.book, &self.generations));
        self.known.insert(*digest, carried.clone());
        Some(carried)
    }

    fn own_moves(&self) -> MutexGuard<'_, Option<OwnMoves>> {
        self.own_moves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What memory knows of a key; `None` if the store has to be asked.
    pub fn recall(&self, digest: &KeyDigest, now: Timestamp) -> Option<Result<Caller, Refusal>> {
        if let Some(caller) = self.known.get(digest) {
            // New limits are no reason to believe a key whose origin has to be asked first.
            if !self.is_vouched(&caller) {
                return None;
            }
            return match self.generations.hold(&caller.0.stamp) {
                true => Some(Ok(caller)),
                false => self.carried_over(digest, &caller).map(Ok),
            };
        }
        let absence = self.unknown.get(digest)?;
        let holds = now < absence.until && self.generations.hold(&absence.stamp);
        holds.then_some(Err(Refusal::Unauthenticated))
    }

    /// Whether what is remembered of a caller still holds. Memory only.
    ///
    /// # Cost
    ///
    /// Two relaxed loads, for a key of the store.
    pub fn vouches_for(&self, caller: &Caller) -> bool {
        self.is_vouched(caller) && self.generations.hold(&caller.0.stamp)
    }

    /// Whether a key is the store's, or its origin's word on it is still good.
    fn is_vouched(&self, caller: &Caller) -> bool {
        let Record { verdict, reader, .. } = &*caller.0;
        verdict.is_none()
            || reader.tenant.holder.is_some_and(|digest| self.recall_foreign(digest, caller))
    }

    /// What the store knows of a key, or of what a certificate names. Whoever asks at the same time
    /// shares the question, unless something changed in between.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` if it is unknown, and what the store's failures mean.
    pub async fn fetch(&self, shown: Shown<'_>, now: Timestamp) -> Result<Caller, Refusal> {
        let digest = shown.digest();
        let stamp = self.generations.stamp([Mark::Key(&digest), Mark::AnySettings]);
        let ask = || self.ask_store(digest, Question::of(shown), stamp);
        let flight = self.flights.join((digest, stamp), ask);
        let (landed, _) = flight.await;
        landed.unwrap_or(Err(Refusal::Internal))?.ok_or_else(|| {
            let until = now.plus(self.unknown_for(&digest));
            self.unknown.insert(digest, Absence { stamp, until });
            Refusal::Unauthenticated
        })
    }

    /// The keys in memory, for a snapshot.
    pub fn capture(&self) -> Vec<KnownKey> {
        let known = self.known.iter().map(|(digest, caller)| {
            let record = &caller.0;
            let vouched = self.foreign.as_ref().zip(record.verdict.as_ref());
            let vouched = vouched.map(|(foreign, verdict)| foreign.age(verdict));
            KnownKey { digest: *digest, grant: record.grant.clone(), vouched }
        });
        known.collect()
    }

    /// Remembers the keys of a snapshot that was taken at `saved_at`. Those of the store are used
    /// while it has not answered yet; those of an origin until its word on them is too old.
    pub fn restore(&self, keys: impl Iterator<Item = KnownKey>, saved_at: Timestamp) {
        let Some(foreign) = &self.foreign else {
            let of_store = keys.filter(|key| key.vouched.is_none());
            let remembered = of_store.map(|key| (key.digest, key.grant)).collect();
            *self.remembered() = remembered;
            return;
        };
        for KnownKey { digest, grant, vouched } in keys {
            let Some(vouched) = vouched else {
                self.remembered().insert(digest, grant);
                continue;
            };
            // Another platform's word is no word on keys of this one.
            if grant.project.origin.as_ref() != Some(foreign.name()) {
                continue;
            }
            let stamp = self.generations.stamp([Mark::Key(&digest), Mark::AnySettings]);
            let holder = Some(Holder { digest, credential: None });
            let verdict = Some(Arc::new(foreign.vouched(vouched, saved_at)));
            let found = Known { grant, presented: None, holder, verdict };
            let caller = Caller::new(found, stamp, None, (&self.book, &self.generations));
            self.known.insert(digest, caller);
        }
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<KeyDigest, Grant>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Between four fifths and all of the time that a key stays unknown, by the key: what was
    /// guessed together is not asked for together.
    fn unknown_for(&self, digest: &KeyDigest) -> Duration {
        let ([first, ..], all) = (digest.0, **self.unknown_key_for.load());
        all.saturating_sub(all / 5 * u32::from(first) / 256)
    }

    /// The keys used since this was asked last, and when. For `Store::touch_keys`.
    pub fn take_used(&self) -> Vec<(KeyId, Timestamp)> {
        // A key that an origin knows is in no store, and a certificate has none.
        let known = self.known.iter().filter(|(_, caller)| caller.0.grant.has_key());
        let used = known.filter_map(|(_, caller)| {
            let last_used = caller.0.last_used.load(Ordering::Relaxed);
            let written = caller.0.written.swap(last_used, Ordering::Relaxed);
            (last_used > written)
                .then(|| (caller.0.grant.key.id, Timestamp::from_millis(last_used)))
        });
        used.collect()
    }

    /// Whether a key that its origin knows can be served from memory. Has the origin asked again,
    /// behind, when its word has become old.
    fn recall_foreign(&self, digest: KeyDigest, caller: &Caller) -> bool {
        let record = &caller.0;
        let (Some(foreign), Some(verdict)) = (&self.foreign, &record.verdict) else { return false };
        // After a restart the key is known by its digest alone, until it is presented.
        let Some(credential) = record.reader.credential.clone() else { return false };
        match foreign.passes(verdict) {
            Passes::Yes => {}
            Passes::AndAsks => {
                let (foreign, verdict) = (Arc::clone(foreign), Arc::clone(verdict));
                let known = self.known.clone();
                self.judgements
                    .launch(digest, || judgement(foreign, known, digest, verdict, credential));
            }
            Passes::Waits => return false,
        }
        true
    }

    fn ask_store(
        &self,
        digest: KeyDigest,
        question: Question,
        stamp: Stamp,
    ) -> impl Future<Output = Result<Option<Caller>, Refusal>> + use<> {
        let store = Arc::clone(&self.store);
        let metrics = Arc::clone(&self.metrics);
        let known = self.known.clone();
        let (book, generations) = (Arc::clone(&self.book), Arc::clone(&self.generations));
        let (foreign, remembered) = (self.foreign.clone(), Arc::clone(&self.remembered));
        let judgements = Arc::clone(&self.judgements);
        async move {
            let before = known.get(&digest);
            let watch = Stopwatch::start();
            let (operation, found) = question.ask(&*store, digest).await;
            metrics.origin_answered(
                store.name().as_str(),
                operation,
                found.as_ref().map_or_else(origins::Error::as_str, |_| "ok"),
                watch.elapsed(),
            );
            let grant = match found {
                Ok(grant) => {
                    // From now on only its own word counts.
                    remembered.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    grant
                }
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "key look-up failed");
                    let remembered = remembered.lock().unwrap_or_else(PoisonError::into_inner);
                    Some(remembered.get(&digest).cloned().ok_or(Refusal::from(&error))?)
                }
            };
            let found = match (grant, foreign, question) {
                // Nothing could be asked with it: the origin takes its own keys, and we hold none.
                (Some(grant), Some(foreign), _) if foreign.is_of(&grant.project) => None,
                (Some(grant), _, question) => {
                    let presented = Some(question.presented());
                    Some(Known { grant, presented, holder: None, verdict: None })
                }
                (None, None, _) | (None, _, Question::Environment(_)) => None,
                (None, Some(foreign), Question::Key(credential)) => {
                    let of_before = before.as_ref().and_then(|caller| caller.0.verdict.clone());
                    let asked = Asked { digest, credential: &credential, of_before };
                    let introduced = asked.of(&foreign, &*store, &known, &judgements).await;
                    let introduced = introduced.map_err(|error| {
                        tracing::warn!(error = %Chain(&error), "a caller's key was not judged");
                        Refusal::from(&error)
                    })?;
                    introduced.map(|(grant, verdict)| Known {
                        grant,
                        presented: Some(Kept::Token(credential.clone())),
                        holder: Some(Holder { digest, credential: Some(credential) }),
                        verdict: Some(verdict),
                    })
                }
            };
            Ok(found.map(|found| {
                let caller = Caller::new(found, stamp, before.as_ref(), (&book, &generations));
                known.insert(digest, caller.clone());
                caller
            }))
        }
    }
}

/// What the store is asked.
enum Question {
    /// About the environment that a certificate names.
    Environment(Arc<Identity>),
    /// About a key.
    Key(Credential),
}

impl Question {
    fn of(shown: Shown<'_>) -> Self {
        match shown {
            Shown::Certificate(identity) => Self::Environment(Arc::clone(identity)),
            Shown::Token(token) => Self::Key(token.to_credential()),
        }
    }

    /// What was presented.
    fn presented(self) -> Kept {
        match self {
            Self::Environment(identity) => Kept::Certificate(identity.digest()),
            Self::Key(credential) => Kept::Token(credential),
        }
    }

    /// What the question is called in metrics, and the store's answer.
    async fn ask(
        &self,
        store: &dyn Store,
        digest: KeyDigest,
    ) -> (&'static str, Result<Option<Grant>, origins::Error>) {
        match self {
            Self::Environment(identity) => {
                let found =
                    store.environment_named(identity.project(), identity.environment()).await;
                let grant = |(project, environment)| Grant::without_key(project, environment);
                ("environment_named", found.map(|found| found.map(grant)))
            }
            Self::Key(_) => ("grant", store.grant(digest).await),
        }
    }
}

/// The keys that their origin is being asked about again, and whether each is over.
type Judgements = Flights<KeyDigest, bool>;

/// A key that the store does not know.
struct Asked<'a> {
    digest: KeyDigest,
    credential: &'a Credential,
    /// What the origin said of it before.
    of_before: Option<Arc<Verdict>>,
}

impl Asked<'_> {
    /// What it stands for, if the origin admits it or has done so a short while ago.
    async fn of(
        self,
        foreign: &Arc<Foreign>,
        store: &dyn Store,
        known: &KnownKeys,
        judgements: &Judgements,
    ) -> Result<Option<(Grant, Arc<Verdict>)>, origins::Error> {
        let Self { digest, credential, of_before } = self;
        let Some(verdict) = of_before else {
            let introduced = foreign.introduce(store, credential).await?;
            return Ok(introduced.map(|(grant, verdict)| (grant, Arc::new(verdict))));
        };
        // Its project may have changed.
        let Some(grant) = foreign.grant(store, credential).await? else { return Ok(None) };
        if foreign.passes(&verdict) == Passes::Waits {
            let (foreign, known) = (Arc::clone(foreign), known.clone());
            let (judged, credential) = (Arc::clone(&verdict), credential.clone());
            let judge = || judgement(foreign, known, digest, judged, credential);
            let (is_over, _) = judgements.join(digest, judge).await;
            if is_over.unwrap_or(false) {
                return Ok(None);
            }
        }
        Ok(Some((grant, verdict)))
    }
}

/// Asks the origin again about a key that it admitted, and forgets it if it is over.
async fn judgement(
    foreign: Arc<Foreign>,
    known: KnownKeys,
    digest: KeyDigest,
    verdict: Arc<Verdict>,
    credential: Credential,
) -> bool {
    let witness = || {
        let others =
            known.iter().filter(|(other, _)| **other != digest).filter_map(|(_, other)| {
                Some((other.0.verdict.clone()?, other.0.reader.credential.clone()?))
            });
        others.max_by_key(|(verdict, _)| verdict.admitted_at())
    };
    let is_over = foreign.judge(&verdict, &credential, witness).await;
    if is_over {
        known.invalidate(&digest);
        tracing::info!(origin = %foreign.name(), "a caller's key is over");
    }
    is_over
}

/// What is known of a key.
struct Known {
    grant: Grant,
    /// What was presented, if it was.
    presented: Option<Kept>,
    /// The key itself, if it is the origin that knows it.
    holder: Option<Holder>,
    verdict: Option<Arc<Verdict>>,
}

/// A caller with a key that only its origin knows.
struct Holder {
    digest: KeyDigest,
    /// The key itself, once it was presented since the start.
    credential: Option<Credential>,
}

fn reader_of(grant: &Grant, holder: Option<Holder>) -> Reader {
    let holder = holder.map(|Holder { digest, credential }| (digest, credential));
    let (holder, credential) = holder.unzip();
    let credential = credential.flatten();
    Reader {
        tenant: Tenant { holder, ..grant.tenant() },
        project: grant.project.name.as_str().into(),
        environment: grant.environment.name.as_str().into(),
        reads: grant.environment.reads,
        origin: grant.project.origin.clone(),
        credential,
    }
}

fn bounded<V: Clone + Send + Sync + 'static>(entries: u64) -> Map<KeyDigest, V, RandomState> {
    Map::builder().max_capacity(entries).build_with_hasher(RandomState::default())
}

/// By digest.
type KnownKeys = Map<KeyDigest, Caller, RandomState>;

/// How many keys in use are kept: about 100 MB of records at the most, far above any fleet seen.
const KNOWN_KEYS: u64 = 100_000;
