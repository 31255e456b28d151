//! The read path: an ask from somebody who may ask, to an answer.
//!
//! | # | phase  | finds                      | may end with                       | outcome    |
//! |---|--------|----------------------------|------------------------------------|------------|
//! | 1 | recall | the answer, by raw target  |                                    | `hit`      |
//! | 2 | find   | the template               | `NotFound`, `NotKept`, `Origin…`   | `absent`, `stale`, `rescue`, `revalidated`, `miss`, `collapsed` |
//! | 3 | match  | the answer, by variables   | `BadInput`                         | `hit`      |
//! | 4 | render | a new answer               | `BadInput`                         | `rendered` |
//!
//! Phase 1 is [`Delivery::recall`], the fast lane: memory only, nothing parsed. The rest is
//! [`Delivery::deliver`]. Who the caller is has been decided before, by `access`. What an origin
//! said is found by `supply`, for as long as [`freshness`] allows.
//!
//! An answer is *finished* when it is filled: a [`Shape`] that came with the ask writes the bytes
//! once, and whoever asks again is sent the same ones. Delivery never knows a dialect.
//!
//! # Invariants
//!
//! 1. New variables never ask an origin that hands its versions over, only a new prompt does.
//!    (`new_variables_cost_a_render_and_no_question_to_the_store` in
//!    `tests/integration/delivery.rs`)
//! 2. Whatever is kept was stamped before the origin was read, so a change that came in between
//!    leaves it outdated. (`cache`, invariant 4)
//! 3. Whoever asks after a change never joins a fetch from before it: the stamp is part of what
//!    makes two fetches the same.
//!    (`whoever_asks_after_a_publish_does_not_join_a_fetch_from_before_it` in
//!    `tests/integration/delivery.rs`)
//! 4. An answer is served only with the very word of the origin that it was made of: the moment a
//!    newer one is there, none made of the older is served.
//!    (`without_a_hook_a_publish_is_served_within_the_bound_and_never_taken_back` in
//!    `tests/integration/push.rs`)
//! 5. What is warm is served whatever happens to the origin, until its windows end.
//!    (`whatever_the_fault_what_is_warm_is_served_until_the_origin_is_back` in
//!    `tests/integration/outage.rs`)

pub mod answer;
pub mod ask;
mod coding;
pub mod freshness;
pub mod lane;
mod memory;
mod promises;
pub mod purge;
pub mod sources;
mod supply;
pub mod turns;
pub mod why;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use crate::access::{Caller, Presented};
use crate::cache::entry::{Entry, Sheet, What};
use crate::cache::generation::Generations;
use crate::cache::key::{AnswerKey, Query, RecordKey, Subject, Variables};
use crate::cache::provenance::{self, Moment, Provenance, Standing, Windows};
use crate::cache::{self, Cache, Holds};
use crate::clock::{self, Clock};
use crate::compile::Resolved;
use crate::live::Live;
use crate::model::{Noun, OriginName, PromptName, Refusal, Timestamp};
use crate::origins::{Compile, Compiles, Reader};
use crate::snapshot::image::{self, Image};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::RouteMetrics;
use crate::wire::Coding;
use crate::wire::Representation;
use crate::wire::caching::{CacheStatus, Lifetimes, Outcome};
use crate::wire::representation::Heads;

use coding::Coder;
use freshness::Freshness;
use lane::Lane;
use promises::Promises;
use supply::{Need, Supplied, Supply};

pub use answer::{Answer, Denied, Finished};
pub use ask::{Ask, ListShape, Listing, Message, Page, Resolve, Shape, Shaped, View};
pub use lane::Line;
pub use purge::Purge;
pub use sources::{Source, Sources};
pub use turns::Turns;
pub use why::Why;

/// How answers are made and for how long they may be kept by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// What clients may do with a published prompt.
    pub lifetimes: Lifetimes,
    /// The longest compiled text, in bytes.
    pub max_output_bytes: u64,
    /// How long an absent prompt stays absent without the origin being asked again.
    pub absent_for: Duration,
    /// How long one ask may wait for the origin.
    pub deadline: Duration,
    /// How many misses and large renders go on at once. Beyond, projects take turns.
    pub turns: NonZeroUsize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lifetimes: Lifetimes::default(),
            max_output_bytes: 4 << 20,
            absent_for: Duration::from_secs(5),
            deadline: Duration::from_secs(5),
            // Far more than a store has readers or a machine cores, far fewer than a flood.
            turns: NonZeroUsize::MIN.saturating_add(63),
        }
    }
}

/// Answers asks.
pub struct Delivery {
    config: Live<Config>,
    metrics: Arc<Metrics>,
    cache: Arc<Cache<Finished>>,
    lane: Lane,
    promises: Live<Promises>,
    supply: Arc<Supply>,
    counters: [Counter; Outcome::ALL.len()],
    turns: Turns,
    /// Where large prompts are rendered.
    tasks: Tasks,
    coder: Arc<Coder>,
}

impl Delivery {
    /// A delivery from these sources; its questions run in `tasks`.
    pub fn new(
        config: Config,
        cache: cache::Config,
        generations: Arc<Generations>,
        sources: Sources,
        clock: Arc<dyn Clock>,
        (metrics, tasks): (Arc<Metrics>, &Tasks),
    ) -> Self {
        let turns = Turns::new(config.turns);
        // Half for what is asked for again and again, half for what is asked for at all.
        let lane = Lane::new(cache.answers_bytes / 2);
        let promises = Live::new(Promises::new(config.lifetimes));
        let config = Live::new(config);
        let cache = Arc::new(Cache::new(cache, generations));
        let coder = Coder::new(&cache, &metrics, tasks);
        let supply = Arc::new(Supply::new(
            config.clone(),
            sources,
            Arc::clone(&cache),
            turns.clone(),
            clock,
            (Arc::clone(&metrics), tasks),
        ));
        let counters = Outcome::ALL.map(|outcome| metrics.lookups(outcome.as_str()));
        let tasks = tasks.clone();
        Self { config, metrics, cache, lane, promises, supply, counters, turns, tasks, coder }
    }

    /// Goes by other settings from now on. `freshness` is by origin; one that is not named keeps its
    /// own. What is kept stays: where a setting stands in finished answers they are made anew of what
    /// the origins said, and no origin is asked.
    ///
    /// A shorter time holds at once for what was said before too. A longer one begins with the next
    /// word of the origin, which alone allows it.
    pub fn reconfigure<'f>(
        &self,
        config: Config,
        freshness: impl IntoIterator<Item = (&'f OriginName, &'f Freshness)>,
    ) {
        let before = **self.config.load();
        self.config.store(config);
        self.turns.resize(config.turns);
        let mut changed = BTreeSet::new();
        for (name, freshness) in freshness {
            let source = self.supply.sources().named.get(name);
            if let Some(source) = source.filter(|source| **source.freshness.load() != *freshness) {
                source.freshness.store(freshness.clone());
                changed.insert(name);
            }
        }
        if before.lifetimes != config.lifetimes {
            self.promises.store(Promises::new(config.lifetimes));
        }
        // What an answer says to caches, and how long it may be.
        let stands = |config: Config| (config.lifetimes, config.max_output_bytes);
        let is_shorter = config.absent_for < before.absent_for;
        if stands(before) != stands(config) || is_shorter || !changed.is_empty() {
            self.cache.remake_answers(|record| match record.is_there() {
                true if changed.contains(&record.provenance.origin) => {
                    memory::held(&self.supply, record)
                }
                false if is_shorter => Some(Windows { fresh: config.absent_for, ..Windows::NONE }),
                true | false => None,
            });
        }
    }

    /// What whoever presents this was answered for the same path and query before. Memory
    /// only, and not judged yet: neither the caller nor the answer.
    pub fn recall(&self, presented: Presented<'_>, target: &str) -> Option<Arc<Line>> {
        self.lane.find(presented, target)
    }

    /// Where a recalled answer comes from, if it is fresh. Not counted: it may not be served.
    ///
    /// # Cost
    ///
    /// Four loads; of what grows old a few more (`benches/delivery.rs`, `hit` and `hit_that_ages`).
    pub fn judge(&self, line: &Line, moment: clock::Moment) -> Option<CacheStatus> {
        let provenance = &line.entry().provenance;
        let now = || provenance::moment(moment.elapsed);
        let is_fresh = self.cache.standing(provenance, now) == Standing::Fresh;
        is_fresh.then(|| self.status(provenance, Outcome::Hit, None, now))
    }

    /// Has a form of a recalled answer made that somebody prefers.
    pub fn set_going(&self, line: &Line, missing: Coding) {
        self.coder.set_going(line.entry(), missing);
    }

    /// Answers one ask for a prompt.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such prompt or nothing of it is published where the caller reads,
    /// `CompiledByOrigin` if the version itself is asked for and the origin keeps it to itself,
    /// `BadInput` if a required variable is missing or the text would be too long, `NotKept` if
    /// the request forbids asking the origin, and what the origin's failures mean.
    ///
    /// # Cancellation
    ///
    /// Dropping the future never cancels a question to the origin: others may wait for it.
    pub async fn deliver(&self, ask: Ask<'_>) -> Result<Answer<'_>, Denied> {
        let tenant = ask.caller.reader().tenant;
        let query = self.query(&ask)?;
        let sent = query.compile().cloned();
        let need = Need {
            key: RecordKey { tenant, query },
            reader: ask.caller.reader(),
            weight: ask.caller.plan().weight,
            demand: ask.demand,
            asked_by: ask.asked_by,
        };
        let supplied = self.supply.find(need).await?;
        let status = self.status_of(&supplied);
        let Some(sheet) = supplied.record.sheet() else {
            return Err(Denied { refusal: Refusal::NotFound { noun: Noun::Prompt }, status });
        };

        let resolved = sheet.prepared.resolve(&ask.variables);
        let variables = match (sent, ask.resolve) {
            (Some(compile), _) => Variables::Sent(compile),
            (None, Resolve::Nothing) => Variables::Unresolved,
            (None, Resolve::Variables) => {
                require(&resolved)?;
                Variables::Resolved(resolved.canonical())
            }
        };
        let key = AnswerKey {
            tenant,
            representation: ask.shape.name(),
            subject: Subject::Prompt(sheet.edition.prompt.id),
            variables,
        };
        let provenance = &supplied.record.provenance;
        if let Some(entry) = self.kept(&key, provenance) {
            self.remember(ask.caller, ask.target, &entry);
            return Ok(self.answer(entry, status));
        }

        let render = Render {
            sheet: Arc::clone(sheet),
            provenance: Arc::clone(provenance),
            key,
            shape: ask.shape,
            resolve: ask.resolve,
            route: Arc::clone(ask.route),
            heads: self.promises.load().of(&ask.caller.grant().environment, provenance),
            limit_bytes: self.config.load().max_output_bytes,
        };
        let entry = if resolved.is_costly() {
            let values = ask.variables;
            let turn = self.turns.take(tenant.project, ask.caller.plan().weight).await?;
            let rendered = self.tasks.spawn_blocking(move || {
                let _turn = turn;
                let sheet = Arc::clone(&render.sheet);
                render.run(&sheet.prepared.resolve(&values))
            });
            rendered.await.unwrap_or(Err(Refusal::Internal))?
        } else {
            render.run(&resolved)?
        };
        self.cache.keep_answer(Arc::clone(&entry));
        if status.outcome == Outcome::Hit {
            return Ok(self.answer(entry, CacheStatus::of(Outcome::Rendered)));
        }
        Ok(self.answer(entry, status))
    }

    /// Answers one ask for the list of the caller's prompts.
    ///
    /// # Errors
    ///
    /// `NotKept` if the request forbids asking the origin, and what the origin's failures mean.
    pub async fn list(&self, listing: Listing<'_>) -> Result<Answer<'_>, Refusal> {
        let tenant = listing.caller.reader().tenant;
        let need = Need {
            key: RecordKey { tenant, query: Query::Listing },
            reader: listing.caller.reader(),
            weight: listing.caller.plan().weight,
            demand: listing.demand,
            asked_by: listing.asked_by,
        };
        let supplied = self.supply.find(need).await?;
        let status = self.status_of(&supplied);
        let key = AnswerKey {
            tenant,
            representation: listing.shape.name(),
            subject: Subject::Listing,
            variables: Variables::Unresolved,
        };
        let provenance = &supplied.record.provenance;
        let target = Some(listing.target);
        if let Some(entry) = self.kept(&key, provenance) {
            self.remember(listing.caller, target, &entry);
            return Ok(self.answer(entry, status));
        }

        let listed = match &supplied.record.what {
            What::Listing(listed) => &**listed,
            // An origin without prompts may say so as of a prompt.
            What::Absent | What::Prompt(_) => &[],
        };
        let Shaped { body, etag } = listing.shape.write(listed);
        let heads = self.promises.load().of(&listing.caller.grant().environment, provenance);
        let answer = Finished {
            representation: Representation::json(body, etag, heads),
            route: Arc::clone(listing.route),
        };
        let entry = Arc::new(Entry { key, answer, provenance: Arc::clone(provenance) });
        self.cache.keep_answer(Arc::clone(&entry));
        Ok(self.answer(entry, status))
    }

    /// Opens the fast lane for the next who asks for the same: it was asked for twice, and most values
    /// of variables come once. A request with a body has no target to be known by.
    fn remember(&self, caller: &Caller, target: Option<&str>, entry: &Arc<Entry<Finished>>) {
        if let Some(target) = target {
            self.lane.keep(caller, target, entry);
        }
    }

    /// Makes the caches forget, and asks again behind for what is in use. Returns how many things
    /// it concerned that were kept.
    pub fn purge(&self, purge: &Purge) -> usize {
        self.supply.purge(purge, None)
    }

    /// An origin says that prompts of its changed, or, without a name, that any may have. Whoever
    /// asks from now on is served what it says now, unless it fails. `at` is when it happened, if
    /// that is known. Returns how many things it concerned that were kept.
    pub fn told(
        &self,
        origin: &OriginName,
        prompts: Vec<PromptName>,
        at: Option<Timestamp>,
    ) -> usize {
        let scope = match prompts.is_empty() {
            true => purge::Scope::Origin(origin.clone()),
            false => purge::Scope::OfOrigin(origin.clone(), prompts),
        };
        self.supply.purge(&Purge { scope, mode: purge::Mode::Soft }, at)
    }

    /// Asks again for what is in use and about to grow too old. To be called every second.
    pub fn tend(&self) -> usize {
        self.supply.tend()
    }

    /// Whether [`Delivery::tend`] has not come to an end for too long, where something grows old.
    pub fn is_stalled(&self) -> bool {
        self.supply.is_stalled()
    }

    /// Every origin there is.
    pub fn sources(&self) -> &Sources {
        self.supply.sources()
    }

    /// Takes what is in memory down: what origins said, and the answers in use that were made of it.
    pub fn capture(&self) -> (Vec<image::Record>, Vec<image::Answer>) {
        memory::capture(&self.supply, &self.cache)
    }

    /// Fills memory with what was taken down `since` ago. `shapes` are the representations there
    /// are, with the routes they are counted under. Returns the origins it is of.
    pub fn restore(
        &self,
        image: &Image,
        since: Duration,
        shapes: &[(&'static str, Arc<RouteMetrics>)],
        is_known: impl Fn(&Reader) -> bool,
    ) -> BTreeSet<OriginName> {
        memory::restore(
            (&self.supply, &self.cache, &self.promises.load()),
            image,
            since,
            shapes,
            is_known,
        )
    }

    /// An origin does not answer just now: whoever asks for what is remembered of it does not wait.
    pub fn doubt(&self, origin: &OriginName) {
        self.supply.doubt(origin);
    }

    /// What is kept of a prompt in one environment, and how each record came to be. All are meant
    /// by their names.
    pub fn why(&self, project: &str, environment: &str, prompt: &PromptName) -> Vec<Why> {
        self.supply.why(project, environment, prompt)
    }

    /// What the maps hold.
    pub fn holds(&self) -> [Holds; 3] {
        let [templates, answers] = self.cache.holds();
        [templates, answers, self.lane.holds()]
    }

    /// What the origin is to be asked for.
    fn query(&self, ask: &Ask<'_>) -> Result<Query, Refusal> {
        let source = self.supply.sources().of(ask.caller.reader())?;
        let prompt = ask.prompt.clone();
        match (source.origin.compiles(), ask.resolve) {
            (Compiles::Here, _) => Ok(Query::Prompt(prompt)),
            (Compiles::There, Resolve::Variables) => {
                let view = ask.shape.view().ok_or(Refusal::CompiledByOrigin)?;
                Ok(Query::Compiled(prompt, Compile::of(view, &ask.variables)))
            }
            (Compiles::There, Resolve::Nothing) => Err(Refusal::CompiledByOrigin),
        }
    }

    /// A finished answer that was made of this very word of the origin.
    fn kept(&self, key: &AnswerKey, provenance: &Arc<Provenance>) -> Option<Arc<Entry<Finished>>> {
        self.cache.answer(key).filter(|entry| Arc::ptr_eq(&entry.provenance, provenance))
    }

    fn status_of(&self, supplied: &Supplied) -> CacheStatus {
        let Supplied { record, outcome, forwarded } = supplied;
        self.status(&record.provenance, *outcome, *forwarded, || self.supply.now())
    }

    fn status(
        &self,
        provenance: &Provenance,
        outcome: Outcome,
        forwarded: Option<u16>,
        now: impl FnOnce() -> Moment,
    ) -> CacheStatus {
        let ages = provenance.fresh_until().filter(|_| forwarded.is_none());
        let ttl = match outcome {
            Outcome::Hit | Outcome::Stale | Outcome::Rescue => ages.map(|until| {
                let now = now();
                provenance.used(now);
                let age = now.saturating_sub(provenance.said_at());
                self.metrics.served(Duration::from_millis(u64::try_from(age).unwrap_or_default()));
                let left = until.saturating_sub(now).div_euclid(1_000);
                // What is known to have changed is not fresh, however young it is.
                if outcome == Outcome::Hit { left } else { left.min(0) }
            }),
            Outcome::Absent
            | Outcome::Rendered
            | Outcome::Revalidated
            | Outcome::Miss
            | Outcome::Collapsed
            | Outcome::Refused => None,
        };
        CacheStatus { outcome, ttl, forwarded }
    }

    fn answer(&self, entry: Arc<Entry<Finished>>, status: CacheStatus) -> Answer<'_> {
        self.count(status.outcome);
        Answer::new(entry, status, &self.coder)
    }

    /// Counts where an answer came from. [`Delivery::deliver`] and [`Delivery::list`] do so
    /// themselves.
    pub fn count(&self, outcome: Outcome) {
        if let Some(counter) = self.counters.get(outcome as usize) {
            counter.inc();
        }
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Delivery(…)")
    }
}

/// Everything phase 4 needs, free to move to another thread.
struct Render {
    sheet: Arc<Sheet>,
    provenance: Arc<Provenance>,
    key: AnswerKey,
    shape: &'static dyn Shape,
    resolve: Resolve,
    route: Arc<RouteMetrics>,
    heads: Arc<Heads>,
    limit_bytes: u64,
}

impl Render {
    fn run(self, resolved: &Resolved<'_>) -> Result<Arc<Entry<Finished>>, Refusal> {
        let prepared = &self.sheet.prepared;
        let compiled = match self.resolve {
            Resolve::Nothing => prepared.render_unresolved(),
            Resolve::Variables => {
                let limit_bytes = self.limit_bytes;
                // A limit beyond the address space is no limit.
                let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
                prepared.render(resolved, limit).map_err(|too_long| Refusal::BadInput {
                    field: "variables",
                    problem: format!("{too_long}, the limit is {limit_bytes}: send shorter values")
                        .into(),
                })?
            }
        };
        let page = Page { edition: &self.sheet.edition, prepared, compiled: &compiled };
        let Shaped { body, etag } = self.shape.write(&page);
        let answer = Finished {
            representation: Representation::json(body, etag, self.heads),
            route: self.route,
        };
        Ok(Arc::new(Entry { key: self.key, answer, provenance: self.provenance }))
    }
}

/// Refuses an ask that lacks a required variable, naming every one.
fn require(resolved: &Resolved<'_>) -> Result<(), Refusal> {
    let missing = resolved.missing_required();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refusal::BadInput {
        field: "variables",
        problem: format!("missing required variables: {}", missing.join(", ")).into(),
    })
}
