//! What origins said: found in memory, asked for, kept young.
//!
//! | in memory, and                          | the caller is served             | the origin is asked   |
//! |-----------------------------------------|----------------------------------|-----------------------|
//! | fresh                                   | at once                          | not                   |
//! | stale                                   | at once                          | behind                |
//! | older, or changed; the origin failed lately | at once, as a rescue         | behind                |
//! | older, or changed                       | what the origin says; if it fails, a rescue | while it waits |
//! | not, or of no use                       | what the origin says             | while it waits        |
//!
//! A question is flown once, out of band, however many wait for it: see [`crate::cache::flight`].
//! What is in use is asked for again by [`Supply::tend`] before it passes the bound that the
//! operator set, each at a moment of its own, so that what was filled together does not come due
//! together.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foldhash::quality::RandomState;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::cache::Cache;
use crate::cache::entry::{Record, Sheet, What};
use crate::cache::flight::{Abandoned, Boarded, Flights};
use crate::cache::generation::Stamp;
use crate::cache::key::{Query, RecordKey};
use crate::cache::provenance::{Moment, Provenance, Standing, Windows, moment};
use crate::clock::{Clock, Stopwatch};
use crate::delivery::Config;
use crate::delivery::answer::Finished;
use crate::delivery::purge::{Mode, Purge};
use crate::delivery::sources::{Source, Sources};
use crate::delivery::turns::Turns;
use crate::delivery::why::{self, Attempt, Kept, Why, Window};
use crate::live::Live;
use crate::model::{OriginName, PromptName, Refusal, Timestamp};
use crate::origins::{self, Found, Question, RETRY_AFTER, Reader, Told};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::telemetry::trace::Chain;
use crate::wire::caching::{Demand, Outcome};

/// What somebody needs an origin's word on.
#[derive(Clone, Debug)]
pub(crate) struct Need<'a> {
    /// What.
    pub(crate) key: RecordKey,
    /// Who asks.
    pub(crate) reader: &'a Arc<Reader>,
    /// The share of the asker's project when projects take turns.
    pub(crate) weight: NonZeroU32,
    /// What the asker said of caches.
    pub(crate) demand: Demand,
    /// The request's id.
    pub(crate) asked_by: &'a str,
}

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Supplied {
    pub(crate) record: Arc<Record>,
    /// How; `Hit` is memory.
    pub(crate) outcome: Outcome,
    /// With which status the origin answered, if it was asked.
    pub(crate) forwarded: Option<u16>,
}

/// What is to be done with what is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    AtOnce(Outcome),
    AtOnceAndAsk(Outcome),
    IfTheOriginFails,
    Never,
}

/// A flight that has landed.
#[derive(Clone, Debug)]
struct Landed {
    record: Arc<Record>,
    status: Option<u16>,
}

/// What origins said, and the way to ask them.
pub(crate) struct Supply {
    config: Live<Config>,
    sources: Sources,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    cache: Arc<Cache<Finished>>,
    flights: Flights<(RecordKey, Stamp), Result<Landed, Refusal>>,
    turns: Turns,
    /// Decides each thing's own moment; another edge's seed decides otherwise.
    jitter: RandomState,
    /// When [`Supply::tend`] last came to its end.
    tended_at: AtomicI64,
}

impl Supply {
    /// A supply from these sources; its questions run in `tasks`.
    pub(crate) fn new(
        config: Live<Config>,
        sources: Sources,
        cache: Arc<Cache<Finished>>,
        turns: Turns,
        clock: Arc<dyn Clock>,
        (metrics, tasks): (Arc<Metrics>, &Tasks),
    ) -> Self {
        Self {
            config,
            sources,
            tended_at: AtomicI64::new(moment(clock.elapsed())),
            clock,
            metrics,
            cache,
            flights: Flights::new(tasks.clone()),
            turns,
            jitter: RandomState::default(),
        }
    }

    /// Every origin there is.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Whether a reader's origin tells of every change.
    pub(crate) fn tells_all(&self, reader: &Reader) -> bool {
        self.sources.of(reader).is_ok_and(|source| source.origin.tells_all())
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Moment {
        moment(self.clock.elapsed())
    }

    /// What is in memory, and what is to be done with it.
    fn kept(&self, need: &Need<'_>, now: Moment) -> Option<(Arc<Record>, Use)> {
        // What another origin said is nothing this one's failure could be outlived with.
        let is_of_it = |record: &Arc<Record>| record.reader.origin == need.reader.origin;
        let mut record = self.cache.record(&need.key).filter(is_of_it)?;
        loop {
            let to_do = self.use_of(&record, need.demand, now);
            if !record.provenance.is_retired() {
                return Some((record, to_do));
            }
            // Something newer may have taken its place since it was found.
            let newer = self.cache.record(&need.key).filter(is_of_it);
            match newer.filter(|newer| !Arc::ptr_eq(newer, &record)) {
                Some(newer) => record = newer,
                None => return Some((record, to_do)),
            }
        }
    }

    /// Finds what is needed: in memory, or at the origin.
    pub(crate) async fn find(self: &Arc<Self>, need: Need<'_>) -> Result<Supplied, Refusal> {
        let now = self.now();
        let Some((record, to_do)) = self.kept(&need, now) else {
            return self.ask(need, None).await;
        };
        record.provenance.used(now);
        let served = |outcome| Supplied { record: Arc::clone(&record), outcome, forwarded: None };
        match to_do {
            Use::AtOnce(outcome) => Ok(served(outcome)),
            Use::AtOnceAndAsk(outcome) => {
                self.refresh(&record, need.reader, now, None);
                Ok(served(outcome))
            }
            Use::IfTheOriginFails => match self.ask_again(need, &record).await {
                // The origin's own word on the request is no failure of it.
                Err(refusal @ Refusal::BadInput { .. }) => Err(refusal),
                Err(Refusal::NotKept) => Err(Refusal::NotKept),
                Err(refusal) => {
                    if let Refusal::OriginTimedOut { .. } = refusal {
                        // The flight may go on; nobody else has to wait as long for it.
                        record.provenance.failed(self.now(), refusal.as_str());
                    }
                    Ok(served(Outcome::Rescue))
                }
                found => found,
            },
            Use::Never => self.ask(need, None).await,
        }
    }

    /// Which of the rows above holds.
    fn use_of(&self, record: &Record, demand: Demand, now: Moment) -> Use {
        let provenance = &record.provenance;
        let standing = self.cache.standing(provenance, || now);
        let since_failure = provenance.failed_at().map(|at| now.saturating_sub(at));
        let failed_within = |window| since_failure.is_some_and(|since| since < moment(window));
        // Asking for more than that would make every caller a flood.
        let is_forced = demand.no_cache
            && now.saturating_sub(provenance.said_at()) >= moment(NO_CACHE_EVERY)
            && !failed_within(NO_CACHE_EVERY);
        let failed_lately = failed_within(FAILED_LATELY);
        match standing {
            Standing::Gone => Use::Never,
            Standing::Fresh if is_forced => Use::IfTheOriginFails,
            Standing::Fresh => Use::AtOnce(match record.what {
                What::Absent => Outcome::Absent,
                What::Listing(_) | What::Prompt(_) => Outcome::Hit,
            }),
            Standing::Stale if !is_forced => Use::AtOnceAndAsk(Outcome::Stale),
            Standing::Stale | Standing::Rescue => {
                if !is_forced && self.is_allowed(provenance, demand, now) {
                    Use::AtOnceAndAsk(Outcome::Stale)
                } else if failed_lately {
                    Use::AtOnceAndAsk(Outcome::Rescue)
                } else {
                    Use::IfTheOriginFails
                }
            }
        }
    }

    /// Whether the caller's `max-stale` covers it. What is known to have changed is not stale but
    /// wrong.
    fn is_allowed(&self, provenance: &Provenance, demand: Demand, now: Moment) -> bool {
        let over = now.saturating_sub(provenance.fresh_until().unwrap_or(now));
        let is_unchanged = self.cache.generations().hold(&provenance.stamp());
        is_unchanged && demand.max_stale.is_some_and(|most| over <= moment(most))
    }

    /// The key to ask again by: the one that it was asked by, unless it has lost that name since.
    fn key_of(&self, record: &Arc<Record>) -> RecordKey {
        let is_its_own =
            |key: &RecordKey| self.cache.record(key).is_some_and(|kept| Arc::ptr_eq(&kept, record));
        record.keys().into_iter().find(is_its_own).unwrap_or_else(|| record.asked.clone())
    }

    /// Asks the origin again for what is known: whoever has another name for it joins the flight.
    async fn ask_again(
        self: &Arc<Self>,
        need: Need<'_>,
        known: &Arc<Record>,
    ) -> Result<Supplied, Refusal> {
        let again = Need { key: self.key_of(known), ..need.clone() };
        let supplied = self.ask(again, Some(known)).await?;
        match supplied.record.keys().contains(&need.key) {
            true => Ok(supplied),
            // It has lost one of its names.
            false => self.ask(need, None).await,
        }
    }

    /// Asks the origin, or joins whoever does, and waits no longer than an ask may.
    async fn ask(
        self: &Arc<Self>,
        need: Need<'_>,
        known: Option<&Arc<Record>>,
    ) -> Result<Supplied, Refusal> {
        if need.demand.only_if_cached {
            return Err(Refusal::NotKept);
        }
        let stamp = self.cache.generations().stamp(need.key.marks());
        let fly = || {
            let by = Asked { by: need.asked_by.into(), weight: need.weight, told_at: None };
            self.fly(need.key.clone(), stamp, Arc::clone(need.reader), known.cloned(), by)
        };
        let flight = self.flights.join((need.key.clone(), stamp), fly);
        let (landed, boarded) = landing(self.config.load().deadline, flight).await?;
        let landed = landed?;
        let outcome = match (boarded, known) {
            (Boarded::Later, _) => Outcome::Collapsed,
            (Boarded::First, Some(_)) => Outcome::Revalidated,
            (Boarded::First, None) => Outcome::Miss,
        };
        Ok(Supplied { record: landed.record, outcome, forwarded: landed.status })
    }

    /// Asks the origin behind as `reader`, unless somebody does, or it failed a moment ago.
    fn refresh(
        self: &Arc<Self>,
        record: &Arc<Record>,
        reader: &Arc<Reader>,
        now: Moment,
        told_at: Option<Timestamp>,
    ) {
        if has_lost_its_key(reader) {
            return;
        }
        let failed_at = record.provenance.failed_at();
        if failed_at.is_some_and(|at| now.saturating_sub(at) < moment(RETRY_AFTER)) {
            return;
        }
        let key = self.key_of(record);
        let stamp = self.cache.generations().stamp(key.marks());
        self.flights.launch((key.clone(), stamp), || {
            let by = Asked { by: "refresh".into(), weight: NonZeroU32::MIN, told_at };
            self.fly(key.clone(), stamp, Arc::clone(reader), Some(Arc::clone(record)), by)
        });
    }

    /// One question to an origin, and what is kept of the answer.
    fn fly(
        self: &Arc<Self>,
        key: RecordKey,
        stamp: Stamp,
        reader: Arc<Reader>,
        known: Option<Arc<Record>>,
        asked: Asked,
    ) -> impl Future<Output = Result<Landed, Refusal>> + use<> {
        let supply = Arc::clone(self);
        async move {
            let source = supply.sources.of(&reader)?;
            let _turn = supply.turns.take(key.tenant.project, asked.weight).await?;
            let asked_at = supply.now();
            let told = timeout(FLIGHT_AT_MOST, supply.question(source, &key, &reader, &known));
            let told = told.await.unwrap_or_else(|_| {
                let origin = source.origin.name().clone();
                Err(origins::Error::TimedOut { origin, waited: FLIGHT_AT_MOST })
            });
            match told {
                Ok(told) => {
                    let word = Word { stamp, asked_at, reader, asked };
                    supply.keep(source, &key, told, known, word)
                }
                Err(error) => {
                    if let Some(known) = known {
                        known.provenance.failed(supply.now(), error.as_str());
                    }
                    Err(Refusal::from(&error))
                }
            }
        }
    }

    /// Puts one question, counts it and logs its failure.
    async fn question(
        &self,
        source: &Source,
        key: &RecordKey,
        reader: &Reader,
        known: &Option<Arc<Record>>,
    ) -> Result<Told<What>, origins::Error> {
        let origin = &*source.origin;
        let watch = Stopwatch::start();
        let known = known.as_ref().and_then(|record| record.validator.as_ref());
        let (operation, told) = match &key.query {
            Query::Listing => {
                let told = origin.listing(reader, known).await;
                ("listing", told.map(|told| told.map(|listed| What::Listing(listed.into()))))
            }
            Query::Prompt(prompt) | Query::Compiled(prompt, _) => {
                let compile = key.query.compile();
                let told = origin.prompt(Question { reader, prompt, compile, known }).await;
                let prepared = |text| What::Prompt(Arc::new(Sheet::new(text)));
                ("prompt", told.map(|told| told.map(prepared)))
            }
        };
        let name = origin.name().as_str();
        let outcome = told.as_ref().map_or_else(origins::Error::as_str, |_| "ok");
        self.metrics.origin_answered(name, operation, outcome, watch.elapsed());
        match &told {
            Ok(_) => {}
            // That it rests was said when it began to.
            Err(error @ origins::Error::Resting { .. }) => {
                tracing::debug!(origin = name, operation, error = %Chain(error), "not asked");
            }
            Err(error) => {
                let error = Chain(error);
                tracing::warn!(origin = name, operation, %error, "an origin gave no answer");
            }
        }
        told
    }

    /// Keeps what an origin said.
    fn keep(
        &self,
        source: &Source,
        key: &RecordKey,
        told: Told<What>,
        known: Option<Arc<Record>>,
        word: Word,
    ) -> Result<Landed, Refusal> {
        let windows = self.windows(source, key, (&told, known.as_deref()), &word.reader);
        if let Some(told_at) = word.asked.told_at {
            self.metrics.published(self.clock.now().since(told_at));
        }
        let what = match (told.found, known) {
            // Whoever asked has the key to ask with again, or the only name that is left.
            (Found::Unchanged, Some(known))
                if has_lost_its_key(&known.reader) || known.asked != *key =>
            {
                known.what.clone()
            }
            (Found::Unchanged, Some(known)) => {
                // A word from before a change says nothing of after it.
                if self.cache.generations().hold(&word.stamp) {
                    known.provenance.renew(word.stamp, windows, word.asked_at);
                }
                return Ok(Landed { record: known, status: told.status });
            }
            (Found::Unchanged, None) => {
                let origin = source.origin.name().as_str();
                tracing::warn!(origin, "an origin says of something unknown that it is unchanged");
                return Err(Refusal::OriginBroken { retry_after: RETRY_AFTER });
            }
            (Found::Absent, _) => What::Absent,
            (Found::Present(what), _) => what,
        };
        let provenance = Provenance::new(
            source.origin.name().clone(),
            &word.asked.by,
            word.stamp,
            windows,
            word.asked_at,
        );
        let asked = key.clone();
        let record = Arc::new(Record::new(what, provenance, told.validator, word.reader, asked));
        self.cache.keep_record(&record);
        Ok(Landed { record, status: told.status })
    }

    /// For how long a word is good.
    fn windows(
        &self,
        source: &Source,
        key: &RecordKey,
        (told, known): (&Told<What>, Option<&Record>),
        reader: &Reader,
    ) -> Windows {
        match &told.found {
            Found::Absent => {
                // Between four fifths and all of it: what was missed together is not asked together.
                let all = self.config.load().absent_for;
                let fresh = all.saturating_sub(all / 5 * self.share(key) / SHARES);
                Windows { fresh, ..Windows::NONE }
            }
            Found::Present(_) | Found::Unchanged => {
                let sheet = match &told.found {
                    Found::Present(What::Prompt(sheet)) => Some(sheet),
                    Found::Present(_) | Found::Absent => None,
                    Found::Unchanged => known.and_then(Record::sheet),
                };
                let freshness = source.freshness.load();
                let name = freshness.name_of(&key.query, sheet.map(|sheet| &**sheet));
                if told.is_immutable || source.origin.tells_all() {
                    return freshness.endless(reader, name.as_deref());
                }
                freshness.windows(reader, name.as_deref(), told.allowance)
            }
        }
    }

    /// Asks again for everything in use that is about to pass its bound. Returns how many.
    pub(crate) fn tend(self: &Arc<Self>) -> usize {
        let now = self.now();
        let mut seen = HashSet::new();
        let mut refreshed = 0;
        for (_, record) in self.cache.records() {
            // A prompt is kept under both of its names.
            if self.is_due(&record, now) && seen.insert(Arc::as_ptr(&record)) {
                self.refresh(&record, &record.reader, now, None);
                refreshed += 1;
            }
        }
        self.tended_at.store(now, Ordering::Relaxed);
        refreshed
    }

    /// Whether something in use is to be asked for again: at a moment of its own between a half and
    /// three quarters of its bound.
    fn is_due(&self, record: &Record, now: Moment) -> bool {
        let provenance = &record.provenance;
        let Ok(source) = self.sources.of(&record.reader) else { return false };
        let ages = provenance.fresh_until().is_some() && record.is_there();
        if !ages || provenance.is_retired() {
            return false;
        }
        let bound = source.freshness.load().max_staleness;
        let due = bound / 2 + bound / 4 * self.share(&record.asked) / SHARES;
        self.is_in_use(record, now) && now.saturating_sub(provenance.said_at()) >= moment(due)
    }

    /// A share of [`SHARES`] that is this thing's own on this edge, always the same.
    fn share(&self, key: &RecordKey) -> u32 {
        // The remainder is below `SHARES`.
        (self.jitter.hash_one(key) % u64::from(SHARES)) as u32
    }

    /// Whether [`Supply::tend`] has come to no end for too long. What an origin tells every change
    /// of needs no tending.
    pub(crate) fn is_stalled(&self) -> bool {
        let idle = self.now().saturating_sub(self.tended_at.load(Ordering::Relaxed));
        let grows_old = self.sources.all().any(|source| !source.origin.tells_all());
        grows_old && idle > moment(STALLED_AFTER)
    }

    /// Makes the maps forget. `told_at` is when the origin said that something changed, if it did.
    pub(crate) fn purge(self: &Arc<Self>, purge: &Purge, told_at: Option<Timestamp>) -> usize {
        let now = self.now();
        // Whoever comes after this must not board a flight from before it. What a flight brings may
        // be composed of anything, and fetching once more than needed does no harm. The flights come
        // first: what one brings is kept before it is over.
        for (key, _) in self.flights.under_way() {
            // What is known of something else is still to rescue.
            let known = self.cache.record(&key);
            let is_meant = known.is_none_or(|known| purge.scope.concerns(&key, &known));
            self.mark(&key, if is_meant { purge.mode } else { Mode::Soft });
        }
        let kept = self.cache.records();
        let kept: Vec<_> = kept.filter(|(key, record)| purge.scope.concerns(key, record)).collect();
        // All of them before the first is asked for again: several may share a mark. By its stamp,
        // since the name that it was asked for by may be evicted.
        for (_, record) in &kept {
            self.cache.generations().outdate(&record.provenance.stamp());
        }
        let mut seen = HashSet::new();
        for (key, record) in &kept {
            match purge.mode {
                Mode::Hard => self.cache.drop_record(key),
                Mode::Soft if !seen.contains(&Arc::as_ptr(record)) => {
                    record.provenance.forgive();
                    if record.is_there() && self.is_in_use(record, now) {
                        self.refresh(record, &record.reader, now, told_at);
                    }
                }
                Mode::Soft => {}
            }
            seen.insert(Arc::as_ptr(record));
        }
        seen.len()
    }

    /// Notes that an origin does not answer, with everything that is kept of it.
    pub(crate) fn doubt(&self, origin: &OriginName) {
        let now = self.now();
        for (_, record) in self.cache.records() {
            if record.provenance.origin == *origin {
                record.provenance.failed(now, "away");
            }
        }
    }

    /// What is kept of a prompt in one environment, and how each record came to be.
    pub(crate) fn why(&self, project: &str, environment: &str, prompt: &PromptName) -> Vec<Why> {
        let mut seen = HashSet::new();
        let records = self.cache.records().filter(|(key, record)| {
            let reader = &record.reader;
            *reader.project == *project
                && *reader.environment == *environment
                && record.depends_on(&key.query, prompt)
                && seen.insert(Arc::as_ptr(record))
        });
        records.filter_map(|(_, record)| self.why_of(&record)).collect()
    }

    /// `None` of the list, which is no prompt.
    fn why_of(&self, record: &Record) -> Option<Why> {
        let provenance = &record.provenance;
        let (now, wall) = (self.now(), self.clock.now());
        let since = |at: Moment| {
            Duration::from_millis(u64::try_from(now.saturating_sub(at)).unwrap_or_default())
        };
        let is_current = self.cache.generations().hold(&provenance.stamp());
        let (attempted_at, outcome) = match provenance.failed_at() {
            Some(at) => (at, provenance.failure()),
            None => (provenance.said_at(), "ok"),
        };
        let query = &record.asked.query;
        let prompt = query.prompt()?.clone();
        let sent = query.compile().and_then(|compile| compile.variables.as_deref());
        Some(Why {
            key: why::Key {
                prompt,
                variables: sent.map(|sent| URL_SAFE_NO_PAD.encode(Sha256::digest(sent))),
                answers: self.cache.answers_of(provenance),
            },
            kept: match record.sheet() {
                Some(sheet) => Kept::Present { version: sheet.edition.version.number },
                None => Kept::Absent,
            },
            age: since(provenance.said_at()),
            window: match self.cache.standing(provenance, || now) {
                Standing::Fresh => Window::Fresh,
                Standing::Stale => Window::Stale,
                Standing::Rescue | Standing::Gone if !is_current => Window::Purged,
                Standing::Rescue => Window::Rescue,
                Standing::Gone => Window::Expired,
            },
            generation: provenance.stamp().marks(),
            origin: provenance.origin.clone(),
            last_attempt: Attempt { at: wall.minus(since(attempted_at)), outcome },
            filled_by: provenance.filled_by.to_string(),
            has_validator: record.validator.is_some(),
            is_in_use: self.is_in_use(record, now),
        })
    }

    fn mark(&self, key: &RecordKey, mode: Mode) {
        let [what, _] = key.marks();
        match mode {
            Mode::Soft => self.cache.generations().advance(&what),
            Mode::Hard => self.cache.generations().advance_hard(&what),
        }
    }

    /// Whether somebody has asked for it in the time that it is used without waiting.
    fn is_in_use(&self, record: &Record, now: Moment) -> bool {
        let Ok(source) = self.sources.of(&record.reader) else { return false };
        let windows = source.freshness.load().windows;
        let idle = now.saturating_sub(record.provenance.used_at());
        idle < moment(windows.fresh + windows.stale)
    }
}

/// Who asked for a flight.
struct Asked {
    /// A request's id, or the edge's own reason.
    by: Box<str>,
    weight: NonZeroU32,
    /// When the origin said that something changed, if that is why.
    told_at: Option<Timestamp>,
}

/// What is known of an origin's word beside the word.
struct Word {
    stamp: Stamp,
    asked_at: Moment,
    reader: Arc<Reader>,
    asked: Asked,
}

/// Whether a caller's own key is known by its digest alone, as it is after a restart: the origin
/// cannot be asked with that.
fn has_lost_its_key(reader: &Reader) -> bool {
    reader.tenant.holder.is_some() && reader.credential.is_none()
}

/// Waits for a flight, but no longer than the caller's deadline. The flight goes on.
async fn landing<V>(
    deadline: Duration,
    flight: impl Future<Output = (Result<V, Abandoned>, Boarded)>,
) -> Result<(V, Boarded), Refusal> {
    match timeout(deadline, flight).await {
        Ok((Ok(landed), boarded)) => Ok((landed, boarded)),
        Ok((Err(abandoned), _)) => {
            tracing::error!(error = %abandoned, "a fetch ended without a result");
            Err(Refusal::Internal)
        }
        Err(_) => Err(Refusal::OriginTimedOut { retry_after: RETRY_AFTER }),
    }
}

/// The finest share that [`Supply::share`] tells apart.
const SHARES: u32 = 1 << 10;

/// How often `no-cache` reaches the origin for one thing.
const NO_CACHE_EVERY: Duration = Duration::from_secs(1);

/// For how long after a failure nobody waits for the origin who can be rescued. Longer than what is
/// in use takes to be asked for again.
const FAILED_LATELY: Duration = Duration::from_secs(10);

/// No question takes longer, whatever an adapter does: its key is free then.
const FLIGHT_AT_MOST: Duration = Duration::from_secs(60);

/// Without an end of [`Supply::tend`] for so long, something holds it up.
const STALLED_AFTER: Duration = Duration::from_secs(30);
