//! A project's month, counted exactly and without waiting.
//!
//! A [`Meter`] holds a lease of the month's quota (`ledger`) and spends it by one atomic decrement
//! a request. It renews the lease in the background before it runs out, and asks for less the
//! nearer the end is, down to single requests, so that edges which share a month do not starve
//! each other of the rest.
//!
//! ```text
//! try_spend ── lease.remaining − 1 ──▶ Yes        no lock, no IO
//!     │ below the watermark: renew, behind
//!     └ nothing left ──▶ spend: wait for one renewal, shared by everybody who waits
//!                          └ the ledger is away ──▶ the configured policy
//! ```
//!
//! # Invariants
//!
//! 1. What is admitted never exceeds what the ledger granted, but for the configured allowance
//!    while the ledger is away. A process that dies strands what it had leased, never more.
//!    (`tests::what_is_admitted_is_what_was_granted`)
//! 2. A lease is spent only within its own month. (`tests::a_new_month_starts_with_its_whole_quota`)
//! 3. A renewal reports what was spent before it adds what was granted, so the ledger's count is
//!    never behind what it has handed out.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;
use tokio::time::timeout;
use uuid::Uuid;

use crate::cache::flight::{Boarded, Flights};
use crate::clock::Clock;
use crate::ledger::{Ask, Away, Holder, Leased, Ledger, Month, Settle};
use crate::model::{Budget, ProjectId, Timestamp};
use crate::tasks::Tasks;
use crate::telemetry::trace::Chain;

/// How months are leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The largest lease, in requests: what a crash may strand.
    pub max_lease: u64,
    /// How long a lease stands without being renewed.
    pub lease_for: Duration,
    /// What happens when a lease is spent and the ledger is away.
    pub on_ledger_loss: OnLedgerLoss,
    /// How many requests of a project an edge admits in that case, in one month.
    pub ledger_loss_allowance: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            // A hundredth of the smallest paid plan: some seconds of a busy service.
            max_lease: 1_000,
            // Several background renewals fit in, so a missed one costs nothing.
            lease_for: Duration::from_secs(60),
            on_ledger_loss: OnLedgerLoss::Admit,
            ledger_loss_allowance: 1_000,
        }
    }
}

/// What happens when a lease is spent and the ledger is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLedgerLoss {
    /// Go on, within the allowance: the month may be exceeded by it.
    Admit,
    /// Refuse: the month stays exact.
    Refuse,
}

impl OnLedgerLoss {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Admit, Self::Refuse];

    /// The configured form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Refuse => "refuse",
        }
    }
}

/// Counts one project's month under one plan.
pub struct Meter {
    project: ProjectId,
    /// `u64::MAX` for a plan without a quota: counted all the same.
    quota: u64,
    config: Config,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    overdrafts: Counter,
    lease: ArcSwap<Lease>,
    renewals: Flights<(), Result<(), Lost>>,
    is_renewing: AtomicBool,
    waiting: AtomicUsize,
    /// Until then (ms) the ledger is not asked again: it was away.
    away_until: AtomicI64,
    /// Guards what only a renewal, and an overdraft, touch; held for a few instructions.
    books: Mutex<Books>,
}

/// What a meter has leased of one month.
#[derive(Debug)]
pub struct Lease {
    month: Month,
    /// The month's end, in ms: from then on the lease is void.
    ends_at: i64,
    remaining: AtomicU64,
    /// A renewal starts when this many remain.
    renew_at: AtomicU64,
    /// What was left of the quota beside this lease, when the ledger was heard last.
    left: AtomicU64,
    /// Until then (ms) nothing more can be had.
    none_until: AtomicI64,
}

/// The account of the present lease.
#[derive(Debug)]
struct Books {
    /// Of this meter alone: a meter under the project's next plan has another lease.
    holder: Holder,
    granted: u64,
    /// How much of what was spent the ledger knows.
    reported: i64,
    renewed_at: Timestamp,
    overdraft: Option<Overdraft>,
}

/// What was admitted without the ledger.
#[derive(Clone, Copy, Debug)]
struct Overdraft {
    /// In which month.
    month: Month,
    /// All of it: the allowance is for the month, however often the ledger comes and goes.
    drawn: u64,
    /// What the ledger does not know of yet.
    unreported: u64,
}

impl Books {
    fn new() -> Self {
        Self {
            holder: Holder(Uuid::new_v4()),
            granted: 0,
            reported: 0,
            renewed_at: Timestamp::default(),
            overdraft: None,
        }
    }

    /// What was spent of the present lease since it was granted.
    fn spent(&self, remaining: u64) -> i64 {
        let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
        signed(self.granted) - signed(remaining)
    }

    /// Whether the ledger knows of all that was granted that it is spent, or nothing was granted.
    fn is_settled(&self) -> bool {
        u64::try_from(self.reported) == Ok(self.granted)
    }

    /// What was admitted in a month without the ledger.
    fn overdraft_of(&self, month: Month) -> Overdraft {
        let none = Overdraft { month, drawn: 0, unreported: 0 };
        self.overdraft.filter(|overdraft| overdraft.month == month).unwrap_or(none)
    }

    /// Notes that the ledger knows of so many. More may have come while it was told.
    fn overdraft_is_known(&mut self, month: Month, known: u64) {
        if let Some(overdraft) = self.overdraft.as_mut().filter(|o| o.month == month) {
            overdraft.unreported = overdraft.unreported.saturating_sub(known);
        }
    }
}

/// The ledger did not answer.
#[derive(Clone, Copy, Debug)]
struct Lost;

/// One request's place in a month. Dropping it keeps the place.
#[derive(Debug)]
pub struct Receipt(Option<Arc<Lease>>);

impl Receipt {
    /// Gives the place back: the request was not answered with what it asked for.
    pub fn refund(self) {
        if let Some(lease) = self.0 {
            lease.remaining.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// What came of an attempt to spend.
#[derive(Debug)]
pub enum Attempt {
    /// The ledger has to be asked.
    Ask,
    /// Nothing is left of the month.
    Spent,
    /// Admitted.
    Yes(Receipt),
}

/// Why nothing was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unspent {
    /// The ledger is away and policy says no.
    LedgerAway,
    /// Nothing is left of the month.
    Spent,
}

impl Lease {
    /// Whether to spend of it would be to ask the ledger.
    fn would_ask(&self, now: Timestamp) -> bool {
        let now = now.as_millis();
        now >= self.ends_at
            || (self.remaining.load(Ordering::Relaxed) == 0
                && now >= self.none_until.load(Ordering::Relaxed))
    }
}

impl Meter {
    /// A meter without a lease; its renewals run in `tasks`. `overdrafts` counts what is admitted
    /// without the ledger.
    pub fn new(
        (project, quota): (ProjectId, u64),
        config: Config,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
        overdrafts: Counter,
    ) -> Self {
        let lease = Lease::new(Month::of(clock.now()), 0, quota);
        Self {
            project,
            quota,
            config,
            ledger,
            clock,
            renewals: Flights::new(tasks.clone()),
            tasks,
            overdrafts,
            lease: ArcSwap::from_pointee(lease),
            is_renewing: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            away_until: AtomicI64::new(i64::MIN),
            books: Mutex::new(Books::new()),
        }
    }

    /// Whether it counts against this quota and in this way.
    pub fn counts(&self, quota: u64, config: Config) -> bool {
        self.quota == quota && self.config == config
    }

    /// Takes over what the project's meter under its plan before has admitted without the ledger:
    /// the allowance goes on, and what is unreported is reported once.
    pub fn take_over(&self, before: &Self) {
        let overdraft = before.books().overdraft.take();
        self.books().overdraft = overdraft;
    }

    /// Spends one request from memory, if there is one.
    ///
    /// # Cost
    ///
    /// Two loads and one compare-and-swap (`benches/limits.rs`).
    pub fn try_spend(self: &Arc<Self>, now: Timestamp) -> Attempt {
        self.try_spend_of(&self.lease.load(), now)
    }

    /// The same after something else was taken `first`, which it is only if the ledger need not be
    /// asked; `None` if it would have to be.
    pub fn try_spend_after<T, E>(
        self: &Arc<Self>,
        now: Timestamp,
        first: impl FnOnce() -> Result<T, E>,
    ) -> Option<Result<(T, Attempt), E>> {
        let lease = self.lease.load();
        if lease.would_ask(now) {
            return None;
        }
        Some(first().map(|taken| (taken, self.try_spend_of(&lease, now))))
    }

    fn try_spend_of(self: &Arc<Self>, lease: &Arc<Lease>, now: Timestamp) -> Attempt {
        if now.as_millis() >= lease.ends_at {
            return Attempt::Ask;
        }
        let take = |remaining: u64| remaining.checked_sub(1);
        match lease.remaining.fetch_update(Ordering::AcqRel, Ordering::Acquire, take) {
            Ok(before) => {
                if before <= lease.renew_at.load(Ordering::Relaxed) {
                    self.renew_behind(now);
                }
                Attempt::Yes(Receipt(Some(Arc::clone(lease))))
            }
            Err(_) if now.as_millis() < lease.none_until.load(Ordering::Relaxed) => Attempt::Spent,
            Err(_) => Attempt::Ask,
        }
    }

    /// Spends one request, asking the ledger if need be. The caller bounds the wait.
    ///
    /// # Errors
    ///
    /// If the month is spent, or the ledger is away and policy (or the allowance) says no.
    pub async fn spend(self: &Arc<Self>) -> Result<Receipt, Unspent> {
        let _waiting = Waiting::one_more(&self.waiting);
        loop {
            let now = self.clock.now();
            match self.try_spend(now) {
                Attempt::Yes(receipt) => return Ok(receipt),
                Attempt::Spent => return Err(Unspent::Spent),
                Attempt::Ask => {}
            }
            if now.as_millis() < self.away_until.load(Ordering::Relaxed) {
                return self.overdraw(now);
            }
            // Others may have taken all that a renewal brought: then it is asked again.
            let meter = Arc::clone(self);
            let renewal = self.renewals.join((), || async move { meter.renew().await });
            match timeout(ANSWER_WITHIN, renewal).await {
                Ok((Ok(Ok(())), _)) => {}
                Ok(_) => return self.overdraw(self.clock.now()),
                Err(_) => {
                    // It hangs: those who come next are not to wait for it too.
                    self.leave_alone(self.clock.now());
                    return self.overdraw(self.clock.now());
                }
            }
        }
    }

    /// Whether four fifths of the month are used, as far as this edge knows.
    pub fn is_near_end(&self) -> bool {
        self.is_near_end_of(&self.lease.load())
    }

    /// The same, as of the lease that a place was taken from.
    pub fn is_near_end_after(&self, place: &Receipt) -> bool {
        place.0.as_ref().map_or_else(|| self.is_near_end(), |lease| self.is_near_end_of(lease))
    }

    fn is_near_end_of(&self, lease: &Lease) -> bool {
        let here = lease.remaining.load(Ordering::Relaxed);
        let left = here.saturating_add(lease.left.load(Ordering::Relaxed));
        self.quota != u64::MAX && left.saturating_mul(5) <= self.quota
    }

    /// What is left of the month, as far as this edge knows.
    pub fn budget(&self, now: Timestamp) -> Option<Budget> {
        if self.quota == u64::MAX {
            return None;
        }
        let lease = self.lease.load();
        let month = Month::of(now);
        let remaining = if lease.month == month {
            let here = lease.remaining.load(Ordering::Relaxed);
            here.saturating_add(lease.left.load(Ordering::Relaxed)).min(self.quota)
        } else {
            self.quota
        };
        let until_end = month.end().as_millis().saturating_sub(now.as_millis());
        Some(Budget {
            policy: "month",
            quota: self.quota,
            window: month.length(),
            remaining,
            resets_in: Duration::from_millis(u64::try_from(until_end).unwrap_or_default()),
        })
    }

    /// Keeps a lease that is in use, and gives back one that is not. To be called several times
    /// within `lease_for`.
    pub async fn tend(self: &Arc<Self>) {
        let lease = self.lease.load_full();
        let was_used = {
            let books = self.books();
            let spent = books.spent(lease.remaining.load(Ordering::Acquire));
            spent > books.reported || books.overdraft.is_some_and(|o| o.unreported > 0)
        };
        if was_used {
            let meter = Arc::clone(self);
            let (_, _) = self.renewals.join((), || async move { meter.renew().await }).await;
        } else {
            self.settle().await;
        }
    }

    /// Gives back what is leased and not spent. The next request leases anew.
    pub async fn settle(self: &Arc<Self>) {
        // As a flight, so that it never runs beside a renewal; after one that is under way.
        loop {
            let meter = Arc::clone(self);
            let settle = || async move {
                let lease = meter.lease.load_full();
                meter.close(&lease).await
            };
            if let (_, Boarded::First) = self.renewals.join((), settle).await {
                return;
            }
        }
    }

    fn renew_behind(self: &Arc<Self>, now: Timestamp) {
        let is_away = now.as_millis() < self.away_until.load(Ordering::Relaxed);
        if is_away || self.is_renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let meter = Arc::clone(self);
        self.tasks.spawn(async move {
            let flight = Arc::clone(&meter);
            let (_, _) = meter.renewals.join((), || async move { flight.renew().await }).await;
            meter.is_renewing.store(false, Ordering::Release);
        });
    }

    /// One exchange with the ledger. Only ever one at a time: it runs as a flight.
    async fn renew(self: Arc<Self>) -> Result<(), Lost> {
        let now = self.clock.now();
        let month = Month::of(now);
        let lease = self.lease.load_full();
        if lease.month != month {
            // A lease of the old month that cannot be settled expires, and counts as used: of a
            // month that is over.
            let _ = self.close(&lease).await;
        }

        let is_present = lease.month == month;
        let (holder, spent, overdrawn, want) = {
            let books = self.books();
            // Read once: what is spent meanwhile is neither reported nor replaced.
            let remaining = if is_present { lease.remaining.load(Ordering::Acquire) } else { 0 };
            // What was given back after it was reported stays with the lease and is spent again:
            // a report that may be repeated must not take anything back twice.
            let spent =
                if is_present { (books.spent(remaining) - books.reported).max(0) } else { 0 };
            let want = self.want(&books, &lease, (spent, remaining), now);
            (books.holder, spent, books.overdraft_of(month).unreported, want)
        };
        let asked = self.ledger.lease(Ask {
            project: self.project,
            month,
            holder,
            quota: self.quota,
            spent,
            overdrawn,
            want,
            at: now,
            expires_at: now.plus(self.config.lease_for),
        });
        let leased = asked.await.map_err(|away| self.lost(&away, now))?;

        let mut books = self.books();
        books.overdraft_is_known(month, overdrawn);
        books.renewed_at = now;
        // The ledger ends a lease of which it knows every request spent. None of it was lost, so
        // what was given back since then can be spent, and is given back still.
        if is_present && (leased.is_continued || books.is_settled()) {
            books.granted = books.granted.saturating_add(leased.granted);
            books.reported += spent;
            lease.hear(&leased, now);
            lease.remaining.fetch_add(leased.granted, Ordering::AcqRel);
        } else {
            // What is left of a lease that did not stand was counted as used when it expired.
            lease.remaining.store(0, Ordering::Release);
            books.granted = leased.granted;
            books.reported = 0;
            let fresh = Lease::new(month, leased.granted, leased.left);
            fresh.hear(&leased, now);
            self.lease.store(Arc::new(fresh));
        }
        Ok(())
    }

    /// Ends a lease: what remains of it can no longer be spent, and goes back.
    async fn close(&self, lease: &Lease) -> Result<(), Lost> {
        let unspent = lease.remaining.swap(0, Ordering::AcqRel);
        // Even if there was nothing more to be had: what goes back can be.
        lease.none_until.store(i64::MIN, Ordering::Relaxed);
        let (holder, spent, overdrawn) = {
            let mut books = self.books();
            let spent = books.spent(unspent) - books.reported;
            let overdrawn = books.overdraft_of(lease.month).unreported;
            if books.granted == 0 && overdrawn == 0 {
                return Ok(());
            }
            (books.granted, books.reported) = (0, 0);
            (books.holder, spent, overdrawn)
        };
        let settle = Settle { project: self.project, month: lease.month, holder, spent, overdrawn };
        let settled = self.ledger.settle(settle).await;

        let mut books = self.books();
        match settled {
            Ok(()) => {
                books.overdraft_is_known(lease.month, overdrawn);
                Ok(())
            }
            Err(away) => {
                // Whether the lease has ended is not known, so it is never named again: if it
                // stands it ends with its expiry, and counts as used.
                books.holder = Holder(Uuid::new_v4());
                Err(self.lost(&away, self.clock.now()))
            }
        }
    }

    /// How much more to ask for: what will last some seconds at the present speed, less what
    /// remains; never more than an eighth of what is left of the month.
    fn want(
        &self,
        books: &Books,
        lease: &Lease,
        (spent, remaining): (i64, u64),
        now: Timestamp,
    ) -> u64 {
        let since = now.as_millis().saturating_sub(books.renewed_at.as_millis()).max(1);
        let millis = i64::try_from(LAST_FOR.as_millis()).unwrap_or(i64::MAX);
        let at_this_speed = u64::try_from(spent.saturating_mul(millis) / since).unwrap_or(0);
        let waiting = self.waiting.load(Ordering::Relaxed) as u64;
        let near_the_end = (lease.left.load(Ordering::Relaxed) / 8).max(1);

        let lasting = at_this_speed.max(FIRST_LEASE).max(waiting);
        let target = lasting.min(near_the_end).min(self.config.max_lease).max(1);
        lease.renew_at.store(target / 2, Ordering::Relaxed);
        target.saturating_sub(remaining)
    }

    /// Admits a request without the ledger, if policy and allowance say so.
    fn overdraw(&self, now: Timestamp) -> Result<Receipt, Unspent> {
        let month = Month::of(now);
        let allowance = match (self.config.on_ledger_loss, self.quota) {
            // A plan without a quota cannot be exceeded.
            (_, u64::MAX) => u64::MAX,
            (OnLedgerLoss::Admit, _) => self.config.ledger_loss_allowance,
            (OnLedgerLoss::Refuse, _) => 0,
        };
        let mut books = self.books();
        let Overdraft { drawn, unreported, .. } = books.overdraft_of(month);
        if drawn >= allowance {
            return Err(Unspent::LedgerAway);
        }
        let (drawn, unreported) = (drawn + 1, unreported + 1);
        books.overdraft = Some(Overdraft { month, drawn, unreported });
        self.overdrafts.inc();
        Ok(Receipt(None))
    }

    fn lost(&self, away: &Away, now: Timestamp) -> Lost {
        let project = self.project.0;
        tracing::error!(project, error = %Chain(away), "the ledger is away: months are not counted");
        self.leave_alone(now);
        Lost
    }

    fn leave_alone(&self, now: Timestamp) {
        self.away_until.store(now.plus(PAUSE).as_millis(), Ordering::Relaxed);
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter").field("project", &self.project).finish_non_exhaustive()
    }
}

impl Lease {
    fn new(month: Month, granted: u64, left: u64) -> Self {
        Self {
            month,
            ends_at: month.end().as_millis(),
            remaining: AtomicU64::new(granted),
            renew_at: AtomicU64::new(granted / 2),
            left: AtomicU64::new(left),
            none_until: AtomicI64::new(i64::MIN),
        }
    }

    /// Notes what the ledger said of the rest of the month.
    fn hear(&self, leased: &Leased, now: Timestamp) {
        self.left.store(leased.left, Ordering::Relaxed);
        let none_until = match (leased.granted, leased.left, leased.leased_elsewhere) {
            (0, 0, 0) => self.ends_at,
            // Another edge may give some of its lease back.
            (0, 0, _) => now.plus(PAUSE).as_millis(),
            _ => i64::MIN,
        };
        self.none_until.store(none_until, Ordering::Relaxed);
        if leased.left == 0 {
            // There is nothing to renew it with.
            self.renew_at.store(0, Ordering::Relaxed);
        }
    }
}

/// Counts those who wait for a renewal, so that it brings something for each.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn one_more(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a project without a history is leased first.
const FIRST_LEASE: u64 = 8;

/// How long a lease is meant to last at the present speed.
const LAST_FOR: Duration = Duration::from_secs(5);

/// How long a request waits for the ledger before it counts as away.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_500);

/// How long the ledger is left alone after it was away, or had nothing while others held some.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
