//! The meter over a ledger in memory that keeps to the port's word, and fails on demand.

use std::collections::HashMap;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::ManualClock;
use crate::ledger::{Pending, Usage};

use super::*;

const PROJECT: ProjectId = ProjectId(7);

/// One project's months.
struct Memory {
    state: Mutex<State>,
    is_holding: watch::Sender<bool>,
    calls: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    months: HashMap<Month, Account>,
    grants: Vec<u64>,
    most_leased: u64,
}

#[derive(Clone, Copy)]
enum Fault {
    /// Does nothing, and says so.
    Away,
    /// Does what it is told, and does not say so.
    LosesAnswers,
}

#[derive(Default)]
struct Account {
    used: i64,
    leases: HashMap<Holder, (i64, Timestamp)>,
}

impl Account {
    fn leased(&self) -> i64 {
        self.leases.values().map(|(outstanding, _)| outstanding).sum()
    }

    fn count(&mut self, spent: i64) {
        self.used = (self.used + spent).max(0);
    }
}

impl State {
    fn lease(&mut self, ask: &Ask) -> Leased {
        for account in self.months.values_mut() {
            let expired = account.leases.extract_if(|_, (_, expires_at)| *expires_at <= ask.at);
            let lost: i64 = expired.map(|(_, (outstanding, _))| outstanding).sum();
            account.count(lost);
        }
        let account = self.months.entry(ask.month).or_default();
        let own = account.leases.remove(&ask.holder).map(|(outstanding, _)| outstanding);
        let elsewhere = account.leased();
        let mut outstanding = own.unwrap_or(0);
        if own.is_some() {
            account.count(ask.spent);
            outstanding = (outstanding - ask.spent).max(0);
        }
        account.count(signed(ask.overdrawn));
        let left = (signed(ask.quota) - account.used - outstanding - elsewhere).max(0);
        let granted = signed(ask.want).min(left);
        if outstanding + granted > 0 {
            account.leases.insert(ask.holder, (outstanding + granted, ask.expires_at));
        }
        self.grants.push(granted.unsigned_abs());
        self.most_leased = self.most_leased.max(account.leased().unsigned_abs());
        Leased {
            granted: granted.unsigned_abs(),
            is_continued: own.is_some(),
            left: (left - granted).unsigned_abs(),
            leased_elsewhere: elsewhere.unsigned_abs(),
        }
    }

    fn settle(&mut self, settle: &Settle) {
        let account = self.months.entry(settle.month).or_default();
        if account.leases.remove(&settle.holder).is_some() {
            account.count(settle.spent);
        }
        account.count(signed(settle.overdrawn));
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Memory {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn calls(&self) -> usize {
        *self.calls.borrow()
    }

    /// What of the month is used, and what is leased.
    fn counts(&self, month: Month) -> (i64, i64) {
        self.state().months.get(&month).map_or((0, 0), |account| (account.used, account.leased()))
    }

    async fn ask<T>(&self, question: impl FnOnce(&mut State) -> T) -> Result<T, Away> {
        self.calls.send_modify(|calls| *calls += 1);
        self.is_holding.subscribe().wait_for(|is_holding| !is_holding).await.unwrap();
        let mut state = self.state();
        let away = || Away("on purpose".into());
        match state.fault {
            None => Ok(question(&mut state)),
            Some(Fault::Away) => Err(away()),
            Some(Fault::LosesAnswers) => {
                question(&mut state);
                Err(away())
            }
        }
    }
}

impl Ledger for Memory {
    fn lease(&self, ask: Ask) -> Pending<'_, Leased> {
        assert_eq!(ask.project, PROJECT);
        Box::pin(self.ask(move |state| state.lease(&ask)))
    }

    fn settle(&self, settle: Settle) -> Pending<'_, ()> {
        assert_eq!(settle.project, PROJECT);
        Box::pin(self.ask(move |state| state.settle(&settle)))
    }

    fn usage(&self, _: Option<ProjectId>) -> Pending<'_, Vec<Usage>> {
        let unsigned = |count: i64| u64::try_from(count).unwrap();
        Box::pin(self.ask(move |state| {
            let months = state.months.iter().map(|(month, account)| Usage {
                project: PROJECT,
                month: *month,
                used: unsigned(account.used),
                leased: unsigned(account.leased()),
            });
            months.collect()
        }))
    }
}

/// What meters stand on. It is the middle of November.
struct Given {
    ledger: Arc<Memory>,
    clock: Arc<ManualClock>,
    tasks: Tasks,
    overdrafts: Counter,
    config: Config,
}

impl Given {
    fn new() -> Self {
        let given = Self {
            ledger: Arc::new(Memory {
                state: Mutex::default(),
                is_holding: watch::Sender::new(false),
                calls: watch::Sender::new(0),
            }),
            clock: Arc::new(ManualClock::at(Timestamp::default())),
            tasks: Tasks::default(),
            overdrafts: Counter::default(),
            config: Config::default(),
        };
        given.it_is("2026-11-15T12:00:00Z");
        given
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut given = Self::new();
        change(&mut given.config);
        given
    }

    fn meter(&self, quota: u64) -> Arc<Meter> {
        Arc::new(Meter::new(
            (PROJECT, quota),
            self.config,
            Arc::clone(&self.ledger) as _,
            Arc::clone(&self.clock) as _,
            self.tasks.clone(),
            self.overdrafts.clone(),
        ))
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn month(&self) -> Month {
        Month::of(self.now())
    }

    fn it_is(&self, moment: &str) {
        self.clock.set(Timestamp::parse(moment).unwrap());
    }

    fn pass(&self, span: Duration) {
        self.clock.advance(span);
    }

    fn fails(&self, fault: impl Into<Option<Fault>>) {
        self.ledger.state().fault = fault.into();
    }

    /// Waits until everything that was begun in the background is over.
    async fn all_is_quiet(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }
}

/// Spends until nothing more is admitted. Returns how much was, and why no more.
async fn spend_all(meter: &Arc<Meter>) -> (u64, Unspent) {
    let mut admitted = 0;
    loop {
        match meter.spend().await {
            Ok(_) => admitted += 1,
            Err(unspent) => return (admitted, unspent),
        }
    }
}

async fn renew(meter: &Arc<Meter>) -> Result<(), Lost> {
    let (renewed, _) = meter.renewals.join((), || Arc::clone(meter).renew()).await;
    renewed.unwrap()
}

async fn spend(meter: &Arc<Meter>, count: usize) {
    for _ in 0..count {
        meter.spend().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_admitted_is_what_was_granted() {
    let given = Given::new();
    let meter = given.meter(3_000);
    let mut crowd = JoinSet::new();
    for spender in 0..32 {
        let meter = Arc::clone(&meter);
        crowd.spawn(async move {
            let mut kept = 0_u64;
            for turn in 0.. {
                match meter.spend().await {
                    Ok(receipt) if (spender + turn) % 3 == 0 => receipt.refund(),
                    Ok(_) => kept += 1,
                    Err(unspent) => {
                        assert_eq!(unspent, Unspent::Spent);
                        break;
                    }
                }
            }
            kept
        });
    }

    let by_the_crowd: u64 = crowd.join_all().await.into_iter().sum();
    // What was given back after the others had left.
    let (by_the_last, _) = spend_all(&meter).await;

    assert_eq!(by_the_crowd + by_the_last, 3_000);
    meter.settle().await;
    assert_eq!(given.ledger.counts(given.month()), (3_000, 0));
}

#[tokio::test]
async fn a_new_month_starts_with_its_whole_quota() {
    let given = Given::new();
    let meter = given.meter(50);
    spend(&meter, 20).await;
    let november = given.month();

    given.it_is("2026-12-01T00:00:00Z");
    let before = meter.budget(given.now()).unwrap();
    let december = spend_all(&meter).await;

    assert_eq!(before.remaining, 50, "before the ledger was asked");
    assert_eq!(december, (50, Unspent::Spent));
    assert_eq!(given.ledger.counts(november), (20, 0), "what was leased of November went back");
    assert_eq!(given.ledger.counts(given.month()).0, 50);
}

#[tokio::test]
async fn a_lease_is_renewed_before_anybody_has_to_wait() {
    let given = Given::new();
    let meter = given.meter(100_000);
    spend(&meter, 1).await;

    for n in 0..10_000 {
        given.pass(Duration::from_millis(1));
        let attempt = meter.try_spend(given.now());
        assert!(matches!(attempt, Attempt::Yes(_)), "request {n} had to wait: {attempt:?}");
        given.all_is_quiet().await;
    }

    let calls = given.ledger.calls();
    assert!(calls < 100, "10,000 requests took {calls} questions to the ledger");
}

#[tokio::test]
async fn leases_shrink_to_single_requests_near_the_end() {
    let given = Given::new();
    let meter = given.meter(1_000);

    assert_eq!(spend_all(&meter).await, (1_000, Unspent::Spent));

    let grants = given.ledger.state().grants.clone();
    let mut left = 1_000;
    for granted in &grants {
        assert!(*granted <= (left / 8).max(1), "{granted} of {left} is too much");
        left -= granted;
    }
    let last: Vec<_> = grants.iter().rev().filter(|granted| **granted > 0).take(8).collect();
    assert_eq!(last, [&1; 8]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_is_leased_at_once_than_a_crash_may_strand() {
    let given = Given::with(|config| config.max_lease = 5);
    let meter = given.meter(500);
    let mut crowd = JoinSet::new();
    for _ in 0..16 {
        let meter = Arc::clone(&meter);
        crowd.spawn(async move { spend_all(&meter).await.0 });
    }

    let admitted: u64 = crowd.join_all().await.into_iter().sum();

    assert_eq!(admitted, 500);
    // What is spent while it is being renewed is leased for that moment too, and is not stranded.
    let most = given.ledger.state().most_leased;
    assert!(most <= 5 + 16, "{most} were leased at once");
}

#[tokio::test]
async fn what_is_settled_goes_back() {
    let given = Given::new();
    let meter = given.meter(1_000);
    spend(&meter, 3).await;
    assert!(given.ledger.counts(given.month()).1 > 0);

    meter.settle().await;

    assert_eq!(given.ledger.counts(given.month()), (3, 0));
    assert_eq!(spend_all(&meter).await, (997, Unspent::Spent), "the next request leases anew");
}

#[tokio::test]
async fn a_settlement_waits_for_the_renewal_that_is_under_way() {
    let given = Given::new();
    let meter = given.meter(1_000);
    given.ledger.is_holding.send_replace(true);
    let renewal = given.tasks.spawn({
        let meter = Arc::clone(&meter);
        async move { meter.spend().await }
    });
    given.ledger.calls.subscribe().wait_for(|calls| *calls == 1).await.unwrap();
    let mut settlement = Box::pin(meter.settle());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(settlement.as_mut().poll(&mut context).is_pending());

    given.ledger.is_holding.send_replace(false);
    renewal.await.unwrap().unwrap();
    settlement.await;

    assert_eq!(given.ledger.counts(given.month()), (1, 0));
}

#[tokio::test]
async fn a_lease_in_use_is_kept_and_one_that_is_not_goes_back() {
    let given = Given::new();
    let meter = given.meter(1_000);
    spend(&meter, 2).await;
    given.all_is_quiet().await;

    given.pass(given.config.lease_for / 2);
    meter.tend().await;
    given.pass(given.config.lease_for / 2);
    let (used, leased) = given.ledger.counts(given.month());
    assert_eq!(used, 2, "it was reported");
    assert!(leased > 0, "and the lease was kept");
    assert!(!meter.lease.load().would_ask(given.now()));

    meter.tend().await;
    assert_eq!(given.ledger.counts(given.month()), (2, 0), "nobody has used it since");
    assert!(meter.lease.load().would_ask(given.now()));
    let calls = given.ledger.calls();
    meter.tend().await;
    assert_eq!(given.ledger.calls(), calls, "nothing is left to be said");
}

/// A renewal may find that nothing is left but what this meter holds.
#[tokio::test]
async fn the_last_of_a_month_can_be_had_again_after_it_went_back() {
    let given = Given::new();
    let meter = given.meter(2);
    spend(&meter, 1).await;
    meter.spend().await.unwrap().refund();
    renew(&meter).await.unwrap();

    meter.settle().await;

    assert_eq!(spend_all(&meter).await, (1, Unspent::Spent));
}

#[tokio::test]
async fn a_crash_strands_one_lease_and_never_admits_twice() {
    let given = Given::with(|config| config.max_lease = 5);
    let crashed = given.meter(100);
    spend(&crashed, 50).await;
    given.all_is_quiet().await;
    drop(crashed);

    let next = given.meter(100);
    let before_expiry = spend_all(&next).await.0;
    given.pass(given.config.lease_for);
    let after_expiry = spend_all(&next).await.0;

    assert_eq!(after_expiry, 0, "what was stranded counts as used");
    assert!((45..=50).contains(&before_expiry), "{before_expiry} after 50 of 100, less one lease");
    assert_eq!(given.ledger.counts(given.month()), (100, 0));
}

#[tokio::test]
async fn without_the_ledger_what_is_leased_is_spent_and_then_the_allowance() {
    let given = Given::with(|config| config.ledger_loss_allowance = 10);
    let meter = given.meter(1_000);
    spend(&meter, 1).await;
    given.all_is_quiet().await;
    let leased = given.ledger.counts(given.month()).1.unsigned_abs() - 1;

    given.fails(Fault::Away);
    let without = spend_all(&meter).await;

    assert_eq!(without, (leased + 10, Unspent::LedgerAway));
    assert_eq!(given.overdrafts.get(), 10);
    for _ in 0..10 {
        given.pass(PAUSE);
        assert_eq!(spend_all(&meter).await.0, 0, "the allowance is for the month");
    }
}

#[tokio::test]
async fn without_the_ledger_an_exact_month_ends_with_what_is_leased() {
    let given = Given::with(|config| config.on_ledger_loss = OnLedgerLoss::Refuse);
    let meter = given.meter(1_000);
    spend(&meter, 1).await;
    given.all_is_quiet().await;
    let leased = given.ledger.counts(given.month()).1.unsigned_abs() - 1;

    given.fails(Fault::Away);
    let without = spend_all(&meter).await;
    given.fails(None);
    given.pass(PAUSE);
    let after = spend_all(&meter).await;

    assert_eq!(without, (leased, Unspent::LedgerAway));
    assert_eq!(1 + without.0 + after.0, 1_000);
    assert_eq!(given.overdrafts.get(), 0);
}

#[tokio::test]
async fn a_ledger_that_is_away_is_left_alone_for_a_while() {
    let given = Given::new();
    let meter = given.meter(1_000);
    given.fails(Fault::Away);

    spend(&meter, 100).await;

    assert_eq!(given.ledger.calls(), 1);
    given.pass(PAUSE);
    spend(&meter, 1).await;
    assert_eq!(given.ledger.calls(), 2);
}

#[tokio::test]
async fn a_ledger_that_comes_back_is_told_what_was_overdrawn() {
    let given = Given::new();
    let meter = given.meter(100);
    given.fails(Fault::Away);
    spend(&meter, 30).await;

    given.fails(None);
    given.pass(PAUSE);
    let rest = spend_all(&meter).await;

    assert_eq!(rest, (70, Unspent::Spent));
    meter.settle().await;
    assert_eq!(given.ledger.counts(given.month()), (100, 0));
    let quiet = given.ledger.calls();
    meter.tend().await;
    assert_eq!(given.ledger.calls(), quiet, "it was told once");
}

/// What is overdrawn while the ledger is being told of the rest must not be forgotten with it.
#[tokio::test]
async fn what_is_overdrawn_while_the_ledger_is_told_is_told_next() {
    let given = Given::new();
    let meter = given.meter(100);
    given.fails(Fault::Away);
    spend(&meter, 5).await;
    given.fails(None);
    given.ledger.is_holding.send_replace(true);
    let telling = given.tasks.spawn({
        let meter = Arc::clone(&meter);
        async move { meter.tend().await }
    });
    given.ledger.calls.subscribe().wait_for(|calls| *calls == 2).await.unwrap();
    spend(&meter, 2).await;

    given.ledger.is_holding.send_replace(false);
    telling.await.unwrap();
    given.pass(PAUSE);
    let rest = spend_all(&meter).await;

    assert_eq!(rest, (93, Unspent::Spent));
    meter.settle().await;
    assert_eq!(given.ledger.counts(given.month()), (100, 0));
}

#[tokio::test]
async fn the_allowance_is_one_across_the_turn_of_the_month() {
    let given = Given::with(|config| config.ledger_loss_allowance = 10);
    let meter = given.meter(1_000);
    spend(&meter, 1).await;
    given.all_is_quiet().await;

    given.fails(Fault::Away);
    given.it_is("2026-12-01T00:00:00Z");
    let mut overdrawn = 0;
    for _ in 0..10 {
        overdrawn += spend_all(&meter).await.0;
        given.pass(PAUSE);
    }

    assert_eq!(overdrawn, 10);
    given.fails(None);
    given.pass(PAUSE);
    assert_eq!(spend_all(&meter).await, (990, Unspent::Spent), "it is told of in its own month");
}

#[tokio::test]
async fn a_lease_that_has_expired_is_void() {
    let given = Given::new();
    let meter = given.meter(100);
    spend(&meter, 1).await;
    given.all_is_quiet().await;
    let leased = given.ledger.counts(given.month()).1 + given.ledger.counts(given.month()).0;

    given.pass(given.config.lease_for);
    given.meter(100).spend().await.unwrap();
    let (used, _) = given.ledger.counts(given.month());
    assert_eq!(used, leased, "whoever asks next counts it as used");
    let (admitted, _) = spend_all(&meter).await;

    let total = admitted + 2;
    assert!(total <= 100, "{total} were admitted");
    meter.settle().await;
    assert_eq!(given.ledger.state().months[&given.month()].leases.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_meters_share_a_month_exactly() {
    let given = Given::new();
    let meters = [given.meter(2_000), given.meter(2_000)];
    let mut crowd = JoinSet::new();
    for meter in meters.iter().cycle().take(8) {
        let meter = Arc::clone(meter);
        crowd.spawn(async move { spend_all(&meter).await.0 });
    }

    let admitted: u64 = crowd.join_all().await.into_iter().sum();

    assert_eq!(admitted, 2_000);
    for meter in &meters {
        meter.settle().await;
    }
    assert_eq!(given.ledger.counts(given.month()), (2_000, 0));
}

#[tokio::test]
async fn whoever_has_none_asks_again_while_another_holds_some() {
    let given = Given::new();
    let holder = given.meter(8);
    spend(&holder, 1).await;
    let other = given.meter(8);
    let (by_other, _) = spend_all(&other).await;
    let held = given.ledger.counts(given.month()).1.unsigned_abs();
    holder.settle().await;

    assert_eq!(spend_all(&other).await.0, 0, "it asks no more often than once in a while");
    given.pass(PAUSE);
    let (returned, _) = spend_all(&other).await;

    assert_eq!(1 + by_other + returned, 8, "of which {held} were held or spent elsewhere");
}

#[tokio::test]
async fn what_is_given_back_can_be_spent_again() {
    let given = Given::new();
    let meter = given.meter(10);
    for _ in 0..1_000 {
        meter.spend().await.unwrap().refund();
    }

    assert_eq!(spend_all(&meter).await, (10, Unspent::Spent));
    assert_eq!(meter.budget(given.now()).unwrap().remaining, 0);
}

/// The ledger ends a lease that is spent. Whoever asked just before that has it asked once more.
#[tokio::test]
async fn what_is_given_back_after_the_ledger_ended_the_lease_can_be_spent_again() {
    let given = Given::new();
    let meter = given.meter(3);
    let mut receipts = Vec::new();
    for _ in 0..3 {
        receipts.push(meter.spend().await.unwrap());
    }
    renew(&meter).await.unwrap();
    assert_eq!(given.ledger.counts(given.month()), (3, 0));

    receipts.pop().unwrap().refund();
    renew(&meter).await.unwrap();
    receipts.pop().unwrap().refund();

    assert_eq!(spend_all(&meter).await, (2, Unspent::Spent));
    meter.settle().await;
    assert_eq!(given.ledger.counts(given.month()), (3, 0));
}

#[tokio::test]
async fn a_receipt_that_is_dropped_keeps_its_place() {
    let given = Given::new();
    let meter = given.meter(2);

    drop(meter.spend().await.unwrap());

    assert_eq!(spend_all(&meter).await.0, 1);
}

/// The ledger has settled, and the answer is lost: what went back is not spent here as well.
#[tokio::test]
async fn a_settlement_whose_answer_is_lost_admits_nothing_twice() {
    let given = Given::with(|config| config.on_ledger_loss = OnLedgerLoss::Refuse);
    let meter = given.meter(100);
    spend(&meter, 5).await;

    given.fails(Fault::LosesAnswers);
    meter.settle().await;
    given.fails(None);
    given.pass(PAUSE);

    assert_eq!(spend_all(&meter).await, (95, Unspent::Spent));
}

/// The ledger has not settled: what was spent of the lease still has to be counted.
#[tokio::test]
async fn a_settlement_that_failed_forgets_no_request() {
    let given = Given::with(|config| config.on_ledger_loss = OnLedgerLoss::Refuse);
    let meter = given.meter(100);
    spend(&meter, 5).await;

    given.fails(Fault::Away);
    meter.settle().await;
    given.fails(None);
    given.pass(PAUSE);
    let (rest, _) = spend_all(&meter).await;
    meter.settle().await;
    given.pass(given.config.lease_for);
    let (later, _) = spend_all(&given.meter(100)).await;

    assert!(5 + rest + later <= 100, "5 + {rest} + {later} were admitted of 100");
    assert_eq!(given.ledger.counts(given.month()), (100, 0));
}

/// The ledger has renewed, and the answer is lost: the same report comes twice.
#[tokio::test]
async fn a_renewal_whose_answer_is_lost_admits_nothing_twice() {
    let given = Given::with(|config| config.on_ledger_loss = OnLedgerLoss::Refuse);
    let meter = given.meter(100);
    let mut receipts = Vec::new();
    for _ in 0..5 {
        receipts.push(meter.spend().await.unwrap());
    }
    renew(&meter).await.unwrap();
    for receipt in receipts.drain(..3) {
        receipt.refund();
    }

    given.fails(Fault::LosesAnswers);
    for _ in 0..2 {
        renew(&meter).await.unwrap_err();
    }
    given.fails(None);
    given.pass(PAUSE);
    let (rest, _) = spend_all(&meter).await;
    meter.settle().await;
    let (later, _) = spend_all(&given.meter(100)).await;

    assert!(2 + rest + later <= 100, "2 + {rest} + {later} were admitted of 100");
}

#[tokio::test]
async fn a_clock_that_is_set_back_admits_no_more() {
    let given = Given::new();
    let meter = given.meter(50);
    spend(&meter, 20).await;
    given.it_is("2026-12-01T00:00:01Z");
    spend(&meter, 20).await;

    given.it_is("2026-11-30T23:59:59Z");
    let back = spend_all(&meter).await.0;
    given.it_is("2026-12-01T00:00:02Z");
    let forward = spend_all(&meter).await.0;

    let admitted = 20 + 20 + back + forward;
    assert!(admitted <= 100, "{admitted} were admitted in two months of 50");
    let budget = meter.budget(given.now()).unwrap();
    assert!(budget.remaining <= 50);
}

#[tokio::test]
async fn a_plan_without_a_quota_is_counted_and_never_ends() {
    let given = Given::with(|config| config.ledger_loss_allowance = 1);
    let meter = given.meter(u64::MAX);
    spend(&meter, 100).await;

    given.fails(Fault::Away);
    spend(&meter, 5_000).await;
    given.fails(None);
    given.pass(PAUSE);
    spend(&meter, 1).await;
    meter.settle().await;

    assert_eq!(meter.budget(given.now()), None);
    assert!(!meter.is_near_end());
    assert_eq!(given.ledger.counts(given.month()), (5_101, 0));
}

#[tokio::test]
async fn the_budget_counts_down_and_is_near_its_end_from_four_fifths_on() {
    let given = Given::new();
    let meter = given.meter(100);

    for spent in 1..=100 {
        spend(&meter, 1).await;
        let budget = meter.budget(given.now()).unwrap();
        assert_eq!(budget.remaining, 100 - spent);
        assert_eq!(meter.is_near_end(), spent >= 80, "after {spent}");
    }

    let budget = meter.budget(given.now()).unwrap();
    assert_eq!((budget.policy, budget.quota), ("month", 100));
    assert_eq!(budget.window, Duration::from_secs(30 * 86_400));
    assert_eq!(budget.resets_in, Duration::from_secs(15 * 86_400 + 43_200));
}

#[tokio::test]
async fn the_allowance_is_one_however_often_the_ledger_comes_and_goes() {
    let given = Given::with(|config| config.ledger_loss_allowance = 10);
    let meter = given.meter(20);
    assert_eq!(spend_all(&meter).await, (20, Unspent::Spent));

    let mut beyond = 0;
    for _ in 0..3 {
        given.pass(Duration::from_secs(60));
        given.fails(Fault::Away);
        meter.tend().await;
        beyond += (0..4).filter(|_| meter.overdraw(given.now()).is_ok()).count();
        given.pass(Duration::from_secs(60));
        given.fails(None);
        renew(&meter).await.unwrap();
    }

    assert_eq!(beyond, 10);
    assert_eq!(given.ledger.counts(given.month()), (30, 0), "each is reported once");
}

#[tokio::test]
async fn the_next_plans_meter_goes_on_with_the_allowance() {
    let given = Given::with(|config| config.ledger_loss_allowance = 10);
    given.fails(Fault::Away);
    let before = given.meter(20);
    spend(&before, 4).await;

    let after = given.meter(40);
    after.take_over(&before);

    assert_eq!(spend_all(&after).await, (6, Unspent::LedgerAway));
    given.fails(None);
    given.pass(Duration::from_secs(60));
    before.settle().await;
    renew(&after).await.unwrap();
    assert_eq!(given.ledger.counts(given.month()).0, 10, "each is reported once");
}
