//! The read path: an ask from somebody who may ask, to an answer.
//!
//! | # | phase  | finds                      | may end with                   | outcome    |
//! |---|--------|----------------------------|--------------------------------|------------|
//! | 1 | recall | the answer, by raw target  |                                | `hit`      |
//! | 2 | find   | the template               | `NotFound`, `Origin…`          | `miss`     |
//! | 3 | match  | the answer, by variables   | `BadInput`                     | `hit`      |
//! | 4 | render | a new answer               | `BadInput`                     | `rendered` |
//!
//! Phase 1 is [`Delivery::recall`], the fast lane: memory only, nothing parsed. The rest is
//! [`Delivery::deliver`]. Who the caller is has been decided before, by `access`.
//!
//! An answer is *finished* when it is filled: a [`Shape`] that came with the ask writes the bytes
//! once, and whoever asks again is sent the same ones. Delivery never knows a dialect.
//!
//! # Invariants
//!
//! 1. New variables never ask the origin, only a new prompt does.
//!    (`new_variables_cost_a_render_and_no_question_to_the_store` in
//!    `tests/integration/delivery.rs`)
//! 2. Whatever is kept was stamped before the origin was read, so a change that came in between
//!    leaves it worthless. (`cache`, invariant 4)
//! 3. Whoever asks after a change never joins a fetch from before it: the stamp is part of what
//!    makes two fetches the same.
//!    (`whoever_asks_after_a_publish_does_not_join_a_fetch_from_before_it` in
//!    `tests/integration/delivery.rs`)

pub mod answer;
pub mod ask;
pub mod freshness;
pub mod purge;
pub mod turns;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::access::Caller;
use crate::cache::Cache;
use crate::cache::entry::{Absence, Entry, Known, Sheet};
use crate::cache::flight::{Boarded, Flights};
use crate::cache::generation::{Generations, Mark, Stamp};
use crate::cache::key::{AliasRef, AnswerKey, SheetKey, Subject, Variables};
use crate::cache::{self, Holds};
use crate::clock::{Clock, Stopwatch};
use crate::compile::Resolved;
use crate::model::{Environment, Listed, Noun, Reads, Refusal, Tenant};
use crate::origins::{self, Found, Origin, Question, RETRY_AFTER, Text};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::RouteMetrics;
use crate::telemetry::trace::Chain;
use crate::wire::Representation;
use crate::wire::caching::{Lifetimes, Outcome};

pub use answer::{Answer, Denied, Finished};
pub use ask::{Ask, ListShape, Listing, Page, Resolve, Shape, Shaped};
pub use purge::Purge;
pub use turns::Turns;

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
    config: Config,
    origin: Arc<dyn Origin>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    cache: Arc<Cache<Finished>>,
    sheet_flights: Flights<(SheetKey, Stamp), Result<Known, Refusal>>,
    list_flights: Flights<(Tenant, Stamp), Result<List, Refusal>>,
    counters: [Counter; Outcome::ALL.len()],
    turns: Turns,
}

/// A list of prompts, shared by all who waited for it.
type List = Arc<[Listed]>;

impl Delivery {
    /// A delivery from `origin`; its questions run in `tasks`.
    pub fn new(
        config: Config,
        cache: cache::Config,
        generations: Arc<Generations>,
        origin: Arc<dyn Origin>,
        clock: Arc<dyn Clock>,
        (metrics, tasks): (Arc<Metrics>, &TaskTracker),
    ) -> Self {
        Self {
            turns: Turns::new(config.turns),
            config,
            origin,
            clock,
            cache: Arc::new(Cache::new(cache, generations)),
            sheet_flights: Flights::new(tasks.clone()),
            list_flights: Flights::new(tasks.clone()),
            counters: Outcome::ALL.map(|outcome| metrics.lookups(outcome.as_str())),
            metrics,
        }
    }

    /// The answer that this caller was given for the same path and query before, if it still
    /// stands. Memory only. Not counted: it may not be served.
    ///
    /// # Cost
    ///
    /// One map look-up with a hash of the target, a pointer upgrade, two relaxed loads
    /// (`benches/delivery.rs`, `hit`).
    pub fn recall(&self, caller: &Caller, target: &str) -> Option<Answer> {
        let entry = self.cache.aliased(AliasRef { tenant: caller.grant().tenant(), target })?;
        Some(Answer::new(entry, Outcome::Hit))
    }

    /// Answers one ask for a prompt.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such prompt or nothing of it is published where the caller reads,
    /// `BadInput` if a required variable is missing or the text would be too long, and what the
    /// origin's failures mean.
    ///
    /// # Cancellation
    ///
    /// Dropping the future never cancels a question to the origin: others may wait for it.
    pub async fn deliver(&self, ask: Ask<'_>) -> Result<Answer, Denied> {
        let tenant = ask.caller.grant().tenant();
        let (sheet, found) =
            self.find(SheetKey { tenant, prompt: ask.prompt.clone() }, ask.caller).await?;

        let resolved = sheet.prepared.resolve(&ask.variables);
        let variables = match ask.resolve {
            Resolve::Nothing => Variables::Unresolved,
            Resolve::Variables => {
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
        let alias = ask.target.map(|target| AliasRef { tenant, target });
        if let Some(entry) = self.cache.answer(&key) {
            if let Some(alias) = alias {
                self.cache.keep_alias(alias.to_owned(), &entry);
            }
            return Ok(self.answer(entry, found.unwrap_or(Outcome::Hit)));
        }

        let render = Render {
            sheet: Arc::clone(&sheet),
            shape: ask.shape,
            resolve: ask.resolve,
            caller: ask.caller.clone(),
            route: Arc::clone(ask.route),
            config: self.config,
        };
        let entry = if resolved.is_costly() {
            let values = ask.variables;
            let turn = self.turns.take(tenant.project, ask.caller.plan().weight).await?;
            let rendered = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                render.run(&render.sheet.prepared.resolve(&values))
            });
            rendered.await.unwrap_or(Err(Refusal::Internal))?
        } else {
            render.run(&resolved)?
        };
        if let Some(alias) = alias {
            self.cache.keep_alias(alias.to_owned(), &entry);
        }
        self.cache.keep_answer(key, Arc::clone(&entry));
        Ok(self.answer(entry, found.unwrap_or(Outcome::Rendered)))
    }

    /// Answers one ask for the list of the caller's prompts.
    ///
    /// # Errors
    ///
    /// What the origin's failures mean.
    pub async fn list(&self, listing: Listing<'_>) -> Result<Answer, Refusal> {
        let tenant = listing.caller.grant().tenant();
        let key = AnswerKey {
            tenant,
            representation: listing.shape.name(),
            subject: Subject::Listing,
            variables: Variables::Unresolved,
        };
        if let Some(entry) = self.cache.answer(&key) {
            self.cache.keep_alias(AliasRef { tenant, target: listing.target }.to_owned(), &entry);
            return Ok(self.answer(entry, Outcome::Hit));
        }

        let marks = [Mark::Listing(tenant.project), Mark::Settings(tenant.project)];
        let stamp = self.cache.generations().stamp(marks);
        let flight =
            self.list_flights.join((tenant, stamp), || self.fetch_list(tenant, listing.caller));
        let (landed, boarded) = landing(self.config.deadline, flight).await?;
        let Shaped { body, etag } = listing.shape.write(&landed?);
        let cache_control = cache_control(&listing.caller.grant().environment, &self.config);
        let entry = finish(
            Representation::json(body, etag, cache_control),
            Arc::clone(listing.route),
            stamp,
        );
        self.cache.keep_alias(AliasRef { tenant, target: listing.target }.to_owned(), &entry);
        self.cache.keep_answer(key, Arc::clone(&entry));
        Ok(self.answer(entry, of_boarding(boarded)))
    }

    /// Makes the caches forget, and fetches again behind what is in use. Returns how many kept
    /// things it concerned.
    pub fn purge(&self, purge: &Purge) -> usize {
        let _ = purge;
        0
    }

    /// What the maps hold.
    pub fn holds(&self) -> [Holds; 3] {
        self.cache.holds()
    }

    /// Finds a prompt's template, and how: `None` if it was in memory.
    async fn find(
        &self,
        key: SheetKey,
        caller: &Caller,
    ) -> Result<(Arc<Sheet>, Option<Outcome>), Denied> {
        let (known, found) = match self.cache.sheet(&key) {
            Some(Known::Absent(absence)) if absence.until <= self.clock.now() => {
                self.fetch_or_wait(key, caller).await?
            }
            Some(known) => (known, None),
            None => self.fetch_or_wait(key, caller).await?,
        };
        match known {
            Known::Present(sheet) => Ok((sheet, found)),
            Known::Absent(_) => Err(Denied {
                refusal: Refusal::NotFound { noun: Noun::Prompt },
                outcome: found.unwrap_or(Outcome::Absent),
            }),
        }
    }

    async fn fetch_or_wait(
        &self,
        key: SheetKey,
        caller: &Caller,
    ) -> Result<(Known, Option<Outcome>), Refusal> {
        let project = key.tenant.project;
        let marks = [Mark::Prompt(project, &key.prompt), Mark::Settings(project)];
        let stamp = self.cache.generations().stamp(marks);
        let fetch = || self.fetch_sheet(key.clone(), stamp, caller);
        let flight = self.sheet_flights.join((key.clone(), stamp), fetch);
        let (landed, boarded) = landing(self.config.deadline, flight).await?;
        Ok((landed?, Some(of_boarding(boarded))))
    }

    fn fetch_sheet(
        &self,
        key: SheetKey,
        stamp: Stamp,
        caller: &Caller,
    ) -> impl Future<Output = Result<Known, Refusal>> + use<> {
        let origin = Arc::clone(&self.origin);
        let metrics = Arc::clone(&self.metrics);
        let cache = Arc::clone(&self.cache);
        let until = self.clock.now().plus(self.config.absent_for);
        let (turns, weight) = (self.turns.clone(), caller.plan().weight);
        let reader = Arc::clone(caller.reader());
        async move {
            let _turn = turns.take(key.tenant.project, weight).await?;
            let watch = Stopwatch::start();
            let question =
                Question { reader: &reader, prompt: &key.prompt, compile: None, known: None };
            let told = origin.prompt(question).await;
            match counted(&metrics, &*origin, "edition", watch, told)?.found {
                Found::Present(Text::Edition(edition)) => {
                    let sheet = Arc::new(Sheet::new(*edition, stamp));
                    cache.keep_sheet(key, Arc::clone(&sheet));
                    Ok(Known::Present(sheet))
                }
                _ => {
                    let absence = Absence { stamp, until };
                    cache.keep_absence(key, absence);
                    Ok(Known::Absent(absence))
                }
            }
        }
    }

    fn fetch_list(
        &self,
        tenant: Tenant,
        caller: &Caller,
    ) -> impl Future<Output = Result<List, Refusal>> + use<> {
        let origin = Arc::clone(&self.origin);
        let metrics = Arc::clone(&self.metrics);
        let (turns, weight) = (self.turns.clone(), caller.plan().weight);
        let reader = Arc::clone(caller.reader());
        async move {
            let _turn = turns.take(tenant.project, weight).await?;
            let watch = Stopwatch::start();
            let listed = origin.listing(&reader, None).await;
            match counted(&metrics, &*origin, "listing", watch, listed)?.found {
                Found::Present(listed) => Ok(listed.into()),
                _ => Ok(Vec::new().into()),
            }
        }
    }

    fn answer(&self, entry: Arc<Entry<Finished>>, outcome: Outcome) -> Answer {
        self.count(outcome);
        Answer::new(entry, outcome)
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
    shape: &'static dyn Shape,
    resolve: Resolve,
    caller: Caller,
    route: Arc<RouteMetrics>,
    config: Config,
}

impl Render {
    fn run(&self, resolved: &Resolved<'_>) -> Result<Arc<Entry<Finished>>, Refusal> {
        let prepared = &self.sheet.prepared;
        let compiled = match self.resolve {
            Resolve::Nothing => prepared.render_unresolved(),
            Resolve::Variables => {
                let limit_bytes = self.config.max_output_bytes;
                // A limit beyond the address space is no limit.
                let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
                prepared.render(resolved, limit).map_err(|too_long| Refusal::BadInput {
                    field: "variables",
                    problem: format!("{too_long}, the limit is {limit_bytes}: send shorter values")
                        .into(),
                })?
            }
        };
        let grant = self.caller.grant();
        let page = Page { edition: &self.sheet.edition, prepared, compiled: &compiled };
        let Shaped { body, etag } = self.shape.write(&page);
        let cache_control = cache_control(&grant.environment, &self.config);
        Ok(finish(
            Representation::json(body, etag, cache_control),
            Arc::clone(&self.route),
            self.sheet.stamp,
        ))
    }
}

fn finish(
    representation: Representation,
    route: Arc<RouteMetrics>,
    stamp: Stamp,
) -> Arc<Entry<Finished>> {
    let len_bytes = representation.len_bytes();
    Arc::new(Entry { answer: Finished { representation, route }, len_bytes, stamp })
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

fn cache_control(environment: &Environment, config: &Config) -> http::HeaderValue {
    match environment.reads {
        Reads::Draft => Lifetimes::draft(),
        Reads::Published => config.lifetimes.published(),
    }
}

/// Waits for a flight, but no longer than the caller's deadline. The flight goes on.
async fn landing<V>(
    deadline: Duration,
    flight: impl Future<Output = (Result<V, cache::flight::Abandoned>, Boarded)>,
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

fn of_boarding(boarded: Boarded) -> Outcome {
    match boarded {
        Boarded::First => Outcome::Miss,
        Boarded::Later => Outcome::Collapsed,
    }
}

/// Counts and, where it failed, logs one question to an origin: once, where it was asked.
fn counted<T>(
    metrics: &Metrics,
    origin: &dyn Origin,
    operation: &'static str,
    watch: Stopwatch,
    result: Result<T, origins::Error>,
) -> Result<T, Refusal> {
    let name = origin.name().as_str();
    let outcome = result.as_ref().map_or_else(origins::Error::as_str, |_| "ok");
    metrics.origin_answered(name, operation, outcome, watch.elapsed());
    result.map_err(|error| {
        tracing::warn!(origin = name, operation, error = %Chain(&error), "an origin gave no answer");
        Refusal::from(&error)
    })
}
