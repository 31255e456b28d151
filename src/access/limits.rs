//! The limits of every project in use: one record each, shared by the project's keys.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::Guard;
use foldhash::quality::RandomState;
use prometheus_client::metrics::counter::Counter;

use crate::access::quota;
use crate::access::quota::Meter;
use crate::access::rate::Limiter;
use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::live::Live;
use crate::model::{Budgets, Plan, PlanName, Project, ProjectId, Rate, Timestamp};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;

/// Which plans there are, and what is said about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Every plan, by name.
    pub plans: BTreeMap<PlanName, Plan>,
    /// The plan of a project whose own is not configured (any more).
    pub fallback_plan: PlanName,
    /// Whether a 304 counts against the month, as a 200 does.
    pub count_not_modified: bool,
    /// When answers say what is left.
    pub headers: Headers,
    /// Whether they say so in `X-RateLimit-…` too.
    pub legacy_headers: bool,
    /// How months are leased.
    pub quota: quota::Config,
}

impl Config {
    /// What a project's requests go by beside its plan.
    fn terms(&self) -> Terms {
        Terms { count_not_modified: self.count_not_modified, headers: self.headers }
    }
}

/// What a hit goes by beside its plan. It stands in the project's record, so that a hit finds it
/// without a look-up and without asking whether it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether a 304 counts against the month.
    pub count_not_modified: bool,
    /// When answers say what is left.
    pub headers: Headers,
}

/// When answers say what is left of a caller's budgets. A 429 always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headers {
    /// On every answer: about 8 % of a hit's instructions.
    Always,
    /// From the moment four fifths of a budget are used.
    NearEnd,
    /// On a 429 only.
    Refused,
}

impl Headers {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Always, Self::NearEnd, Self::Refused];

    /// The configured form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::NearEnd => "near_end",
            Self::Refused => "refused",
        }
    }
}

/// What was decided about a request. The labels of `prompt_edge_limit_decisions_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let through.
    Admitted,
    /// Turned away: the month is spent.
    QuotaSpent,
    /// Turned away: the month cannot be counted.
    QuotaUnknown,
    /// Turned away: too fast.
    RateLimited,
}

impl Decision {
    const ALL: [Self; 4] =
        [Self::Admitted, Self::QuotaSpent, Self::QuotaUnknown, Self::RateLimited];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::QuotaSpent => "quota_spent",
            Self::QuotaUnknown => "quota_unknown",
            Self::RateLimited => "rate_limited",
        }
    }
}

/// What one project may do, and what it has done of it.
#[derive(Debug)]
pub struct Limits {
    plan: Plan,
    terms: Terms,
    rate: Option<Limiter>,
    meter: Arc<Meter>,
    decisions: [Counter; Decision::ALL.len()],
}

impl Limits {
    /// The plan they come from.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What holds beside the plan.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// The project's month.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Takes one request from the project's rate, if it has one. `Ok` and `Err` are those of
    /// [`Limiter::take`].
    pub fn take(&self) -> Option<Result<u32, Duration>> {
        self.rate.as_ref().map(Limiter::take)
    }

    /// What is left, given what [`Limits::take`] said.
    pub fn budgets(&self, taken: Option<Result<u32, Duration>>, now: Timestamp) -> Budgets {
        let burst = self.rate.as_ref().zip(taken).map(|(rate, taken)| rate.budget(taken));
        Budgets { burst, month: self.meter.budget(now) }
    }

    /// Whether four fifths of a budget are used, given what [`Limits::take`] said and as of this place
    /// in the month.
    pub fn is_near_end(
        &self,
        taken: Option<Result<u32, Duration>>,
        place: &quota::Receipt,
    ) -> bool {
        let of_burst = |taken: Result<u32, Duration>| {
            let burst = self.plan.rate.map_or(u32::MAX, |rate| rate.burst.get());
            taken.unwrap_or(0).saturating_mul(5) <= burst
        };
        taken.is_some_and(of_burst) || self.meter.is_near_end_after(place)
    }

    /// Counts a decision.
    pub fn count(&self, decision: Decision) {
        if let Some(counter) = self.decisions.get(decision as usize) {
            counter.inc();
        }
    }
}

/// The limits of every project that was seen. Grows with projects, never with requests.
pub struct Book {
    config: Live<Config>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
    /// Guards the map, for the length of a look-up. Not touched by a request whose key is known.
    projects: Mutex<HashMap<ProjectId, Arc<Limits>, RandomState>>,
}

impl Book {
    /// An empty book; renewals run in `tasks`.
    pub fn new(
        config: Live<Config>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        tasks: Tasks,
    ) -> Self {
        Self { config, ledger, clock, metrics, tasks, projects: Mutex::default() }
    }

    /// How limits are configured now.
    pub fn config(&self) -> Guard<Arc<Config>> {
        self.config.load()
    }

    /// Configures limits anew. A project's limits are made again the next time a record of one of its
    /// keys is: whoever calls this says then that any may have changed.
    pub fn reconfigure(&self, config: Config) {
        self.config.store(config);
    }

    /// The limits of a project on its present plan. A change of plan keeps what was used.
    ///
    /// `is_current` says whether `project` was read after the last change: one that was not must
    /// not put the plan of before back.
    pub fn limits_of(&self, project: &Project, is_current: impl FnOnce() -> bool) -> Arc<Limits> {
        let config = self.config.load();
        let (plan, terms) = (plan_of(&config, project), config.terms());
        let quota = plan.requests_per_month.map_or(u64::MAX, Into::into);
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        let before = projects.get(&project.id);
        let holds = |limits: &Limits| {
            limits.plan == *plan
                && limits.terms == terms
                && limits.meter.counts(quota, config.quota)
        };
        if let Some(before) = before.filter(|limits| holds(limits) || !is_current()) {
            return Arc::clone(before);
        }

        let rate = plan.rate.map(|rate| self.limiter(rate, before.and_then(|b| b.rate.as_ref())));
        let meter = before.map(|before| &before.meter);
        let meter = meter.filter(|meter| meter.counts(quota, config.quota)).cloned();
        let name = plan.name.as_str();
        let limits = Arc::new(Limits {
            plan: plan.clone(),
            terms,
            rate,
            meter: meter.unwrap_or_else(|| self.meter((project.id, quota), config.quota)),
            decisions: Decision::ALL
                .map(|decision| self.metrics.decisions(name, decision.as_str())),
        });
        let before = projects.insert(project.id, Arc::clone(&limits));
        if let Some(before) = before.filter(|before| !Arc::ptr_eq(&before.meter, &limits.meter)) {
            limits.meter.take_over(&before.meter);
            self.tasks.spawn(async move { before.meter.settle().await });
        }
        limits
    }

    fn meter(&self, of: (ProjectId, u64), config: quota::Config) -> Arc<Meter> {
        Arc::new(Meter::new(
            of,
            config,
            Arc::clone(&self.ledger),
            Arc::clone(&self.clock),
            self.tasks.clone(),
            self.metrics.overdrafts(),
        ))
    }

    /// A limiter of this rate that has given what `before` has given.
    pub fn limiter(&self, rate: Rate, before: Option<&Limiter>) -> Limiter {
        let clock = Arc::clone(&self.clock);
        match before {
            Some(before) => before.at_rate(rate, clock),
            None => Limiter::new(rate, clock),
        }
    }

    /// Renews leases in use and gives back the others.
    pub async fn tend(&self) {
        for limits in self.all() {
            limits.meter.tend().await;
        }
    }

    /// Gives back every lease.
    pub async fn settle(&self) {
        for limits in self.all() {
            limits.meter.settle().await;
        }
    }

    fn all(&self) -> Vec<Arc<Limits>> {
        let projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        projects.values().cloned().collect()
    }
}

#[expect(clippy::expect_used, reason = "the configuration names a fallback that exists")]
fn plan_of<'c>(config: &'c Config, project: &Project) -> &'c Plan {
    let plans = &config.plans;
    plans.get(&PlanName::new(&project.plan)).unwrap_or_else(|| {
        let (project, plan) = (project.id.0, &project.plan);
        tracing::error!(project, plan, "a project's plan is not configured: it has the fallback");
        plans.get(&config.fallback_plan).expect("the fallback plan is configured")
    })
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Book(…)")
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            plans: default_plans().into_iter().map(|plan| (plan.name.clone(), plan)).collect(),
            fallback_plan: PlanName::new("free"),
            count_not_modified: true,
            headers: Headers::NearEnd,
            legacy_headers: false,
            quota: quota::Config::default(),
        }
    }
}

/// The plans PromptOT sells, with rates that let none of them hurt its neighbours.
fn default_plans() -> [Plan; 3] {
    use std::num::{NonZeroU32, NonZeroU64};

    let plan = |name: &str, per_month: u64, per_second: u32, burst: u32| Plan {
        name: PlanName::new(name),
        requests_per_month: NonZeroU64::new(per_month),
        rate: NonZeroU32::new(per_second)
            .zip(NonZeroU32::new(burst))
            .map(|(per_second, burst)| Rate { per_second, burst }),
        key_rate: None,
        weight: NonZeroU32::MIN,
    };
    [plan("free", 1_000, 10, 20), plan("pro", 100_000, 100, 200), plan("enterprise", 0, 0, 0)]
}
