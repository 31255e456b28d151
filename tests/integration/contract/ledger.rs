//! Months that are counted.

use std::sync::Arc;
use std::time::Duration;

use prompt_edge::ledger::{Ask, Holder, Leased, Ledger, Month, Settle, Usage};
use prompt_edge::model::{ProjectId, Timestamp};
use prompt_edge::origins::Store;
use uuid::Uuid;

use super::crowd::{self, Mishaps};
use super::given::{Given, at};

/// The ledger, as each of two processes has it.
type Ledgers = [Arc<dyn Ledger>; 2];

pub(crate) async fn leases_together_never_exceed_the_quota(
    store: Arc<dyn Store>,
    ledgers: Ledgers,
) {
    for seed in 1..=3 {
        let project = Given::project(&store, &format!("seed-{seed}")).await.project.id;

        let admitted = crowd::spend(&ledgers, project, 300, Mishaps::Never, seed).await;

        assert_eq!(admitted, 300, "seed {seed}: all of it can be spent");
        assert_eq!(usage(&ledgers[0], project).await, [month(project, at(0), 300, 0)]);
    }
}

pub(crate) async fn a_crash_never_admits_a_request_twice(store: Arc<dyn Store>, ledgers: Ledgers) {
    for seed in 1..=3 {
        let project = Given::project(&store, &format!("seed-{seed}")).await.project.id;

        let admitted = crowd::spend(&ledgers, project, 300, Mishaps::Common, seed).await;

        assert!(admitted < 300, "seed {seed}: what crashed was not admitted, and yet is used");
        let next = Edge::new(project, &ledgers[0]);
        assert_eq!(next.lease(300, 1, at(100_000)).await.granted, 0, "seed {seed}");
        assert_eq!(next.usage().await, [month(project, at(0), 300, 0)], "seed {seed}");
    }
}

pub(crate) async fn an_expired_lease_counts_as_used(store: Arc<dyn Store>, [one, other]: Ledgers) {
    let given = Given::project(&store, "acme").await;
    let crashed = Edge::new(given.project.id, &one);
    let next = Edge::new(given.project.id, &other);
    crashed.lease(100, 30, at(0)).await;

    let before = next.lease(100, 0, at(59)).await;
    let after = next.lease(100, 100, at(60)).await;

    assert_eq!((before.left, before.leased_elsewhere), (70, 30), "it stands until it expires");
    assert_eq!((after.granted, after.leased_elsewhere), (70, 0), "and is never handed out again");
    assert_eq!(crashed.usage().await, [month(given.project.id, at(0), 30, 70)]);
}

pub(crate) async fn any_ask_counts_what_has_expired_in_past_months(
    store: Arc<dyn Store>,
    [one, other]: Ledgers,
) {
    let given = Given::project(&store, "acme").await;
    let (crashed, next) = (Edge::new(given.project.id, &one), Edge::new(given.project.id, &other));
    crashed.lease(100, 30, at(0)).await;
    let unswept = crashed.usage().await;

    next.lease(100, 1, at(MONTH)).await;

    let project = given.project.id;
    assert_eq!(unswept, [month(project, at(0), 0, 30)], "it is leased until somebody looks");
    assert_eq!(next.usage().await, [month(project, at(MONTH), 0, 1), month(project, at(0), 30, 0)]);
}

pub(crate) async fn an_expired_lease_is_not_continued(store: Arc<dyn Store>, [one, _]: Ledgers) {
    let given = Given::project(&store, "acme").await;
    let edge = Edge::new(given.project.id, &one);
    edge.lease(100, 30, at(0)).await;

    let late = edge.ask(Ask { spent: 20, ..edge.asking(100, 10, at(60)) }).await;

    assert_eq!(late, Leased { granted: 10, is_continued: false, left: 60, leased_elsewhere: 0 });
    let counted = [month(given.project.id, at(0), 30, 10)];
    assert_eq!(edge.usage().await, counted, "what was spent of it is not counted twice");
}

pub(crate) async fn a_renewed_lease_expires_later(store: Arc<dyn Store>, [one, _]: Ledgers) {
    let given = Given::project(&store, "acme").await;
    let edge = Edge::new(given.project.id, &one);

    let first = edge.lease(100, 30, at(0)).await;
    let renewed = edge.lease(100, 0, at(59)).await;
    let still_there = edge.lease(100, 0, at(100)).await;

    assert!(!first.is_continued, "there was none before");
    assert!(renewed.is_continued && still_there.is_continued);
    assert_eq!(edge.usage().await, [month(given.project.id, at(0), 0, 30)]);
}

pub(crate) async fn a_lease_is_at_most_what_is_left(store: Arc<dyn Store>, [one, other]: Ledgers) {
    let given = Given::project(&store, "acme").await;
    let (edge, sibling) = (Edge::new(given.project.id, &one), Edge::new(given.project.id, &other));

    let all_it_wants = edge.lease(100, 60, at(0)).await;
    let the_rest = sibling.lease(100, 60, at(1)).await;
    let nothing = edge.lease(100, 60, at(2)).await;

    let leased = |granted, is_continued, left, leased_elsewhere| Leased {
        granted,
        is_continued,
        left,
        leased_elsewhere,
    };
    assert_eq!(all_it_wants, leased(60, false, 40, 0));
    assert_eq!(the_rest, leased(40, false, 0, 60));
    assert_eq!(nothing, leased(0, true, 0, 40));
    assert_eq!(edge.usage().await, [month(given.project.id, at(0), 0, 100)]);
}

pub(crate) async fn what_is_spent_moves_from_leased_to_used(
    store: Arc<dyn Store>,
    [one, _]: Ledgers,
) {
    let given = Given::project(&store, "acme").await;
    let edge = Edge::new(given.project.id, &one);
    edge.lease(100, 30, at(0)).await;

    let more = edge.ask(Ask { spent: 20, ..edge.asking(100, 5, at(1)) }).await;
    let counted = edge.usage().await;
    let back = edge.ask(Ask { spent: -4, ..edge.asking(100, 0, at(2)) }).await;

    assert_eq!((more.granted, more.left, more.is_continued), (5, 65, true));
    assert_eq!(counted, [month(given.project.id, at(0), 20, 15)]);
    assert_eq!((back.left, back.is_continued), (65, true));
    let counted = [month(given.project.id, at(0), 16, 19)];
    assert_eq!(edge.usage().await, counted, "what was spent and given back is leased again");
}

pub(crate) async fn nothing_is_lost_or_made_by_a_holder_that_miscounts(
    store: Arc<dyn Store>,
    [one, _]: Ledgers,
) {
    let given = Given::project(&store, "acme").await;
    let edge = Edge::new(given.project.id, &one);

    edge.lease(100, 10, at(0)).await;
    edge.ask(Ask { spent: -5, ..edge.asking(100, 0, at(1)) }).await;
    let gave_too_much_back = edge.usage().await;
    edge.ask(Ask { spent: 12, ..edge.asking(100, 3, at(2)) }).await;
    let spent_too_much = edge.usage().await;

    assert_eq!(gave_too_much_back, [month(given.project.id, at(0), 0, 10)]);
    assert_eq!(spent_too_much, [month(given.project.id, at(0), 12, 3)]);
}

pub(crate) async fn a_lease_of_nothing_is_ended(store: Arc<dyn Store>, [one, _]: Ledgers) {
    let given = Given::project(&store, "acme").await;
    let edge = Edge::new(given.project.id, &one);
    edge.lease(100, 30, at(0)).await;

    let spent = edge.ask(Ask { spent: 30, ..edge.asking(100, 0, at(1)) }).await;
    let again = edge.lease(100, 10, at(2)).await;

    assert!(spent.is_continued, "it stood until now");
    assert!(!again.is_continued);
    assert_eq!(edge.usage().await, [month(given.project.id, at(0), 30, 10)]);
}

pub(crate) async fn settling_gives_the_rest_back(store: Arc<dyn Store>, [one, other]: Ledgers) {
    let given = Given::project(&store, "acme").await;
    let (edge, sibling) = (Edge::new(given.project.id, &one), Edge::new(given.project.id, &other));
    edge.lease(100, 100, at(0)).await;

    edge.settle(20, 0).await;
    let rest = sibling.lease(100, 100, at(1)).await;
    edge.settle(20, 0).await;

    assert_eq!((rest.granted, rest.leased_elsewhere), (80, 0));
    let counted = [month(given.project.id, at(0), 20, 80)];
    assert_eq!(edge.usage().await, counted, "what is settled once is not settled again");
}

pub(crate) async fn what_is_overdrawn_counts_with_a_lease_and_without(
    store: Arc<dyn Store>,
    [one, _]: Ledgers,
) {
    let given = Given::project(&store, "acme").await;
    let edge = Edge::new(given.project.id, &one);

    edge.settle(5, 1).await;
    let first = edge.ask(Ask { overdrawn: 20, ..edge.asking(100, 30, at(0)) }).await;
    let beyond = edge.ask(Ask { overdrawn: 300, ..edge.asking(100, 30, at(1)) }).await;
    edge.settle(10, 4000).await;

    assert_eq!((first.granted, first.left), (30, 49), "it comes before what is wanted");
    assert_eq!((beyond.granted, beyond.left), (0, 0));
    assert_eq!(edge.usage().await, [month(given.project.id, at(0), 4331, 0)]);
}

pub(crate) async fn a_new_month_starts_at_zero(store: Arc<dyn Store>, [one, _]: Ledgers) {
    let given = Given::project(&store, "acme").await;
    let edge = Edge::new(given.project.id, &one);
    let eve = Month::of(at(0)).end();
    let (before, after) = (Timestamp::from_millis(eve.as_millis() - 1_000), eve);
    edge.lease(100, 100, before).await;

    let next = edge.lease(100, 70, after).await;
    let past = edge.ask(Ask { month: Month::of(before), spent: 60, ..edge.asking(100, 0, after) });
    let past = past.await;

    assert_eq!(next, Leased { granted: 70, is_continued: false, left: 30, leased_elsewhere: 0 });
    assert!(past.is_continued, "the old month's lease is another one");
    let project = given.project.id;
    assert_eq!(edge.usage().await, [month(project, after, 0, 70), month(project, before, 60, 40)]);
}

pub(crate) async fn another_project_is_untouched(store: Arc<dyn Store>, [one, _]: Ledgers) {
    let (acme, zeta) = (Given::project(&store, "acme").await, Given::project(&store, "zeta").await);
    let (acme, zeta) = (acme.project.id, zeta.project.id);
    let edge = Edge::new(acme, &one);
    let same_holder = Edge { project: zeta, ..edge.clone() };
    edge.lease(100, 100, at(0)).await;

    let granted = same_holder.lease(100, 100, at(60)).await;
    same_holder.settle(7, 0).await;

    assert_eq!((granted.granted, granted.is_continued), (100, false));
    assert_eq!(edge.usage().await, [month(acme, at(0), 0, 100)], "not even what has expired of it");
    assert_eq!(same_holder.usage().await, [month(zeta, at(0), 7, 0)]);
}

pub(crate) async fn a_quota_below_what_is_used_grants_nothing(
    store: Arc<dyn Store>,
    [one, other]: Ledgers,
) {
    let given = Given::project(&store, "acme").await;
    let (edge, sibling) = (Edge::new(given.project.id, &one), Edge::new(given.project.id, &other));
    edge.lease(100, 60, at(0)).await;
    edge.ask(Ask { spent: 40, ..edge.asking(100, 0, at(1)) }).await;

    let lowered = sibling.lease(30, 10, at(2)).await;
    let raised = sibling.lease(70, 20, at(3)).await;

    let nothing = Leased { granted: 0, is_continued: false, left: 0, leased_elsewhere: 20 };
    assert_eq!(lowered, nothing);
    assert_eq!((raised.granted, raised.left), (10, 0));
}

pub(crate) async fn no_quota_is_never_spent(store: Arc<dyn Store>, [one, _]: Ledgers) {
    let given = Given::project(&store, "acme").await;
    let edge = Edge::new(given.project.id, &one);
    let quota = u64::MAX;

    let some = edge.lease(quota, 1_000, at(0)).await;
    let everything = edge.lease(quota, u64::MAX, at(1)).await;
    edge.ask(Ask { spent: i64::MIN, ..edge.asking(quota, 1, at(2)) }).await;
    edge.ask(Ask { spent: i64::MAX, overdrawn: u64::MAX, ..edge.asking(quota, 1, at(3)) }).await;
    edge.settle(1, u64::MAX).await;

    assert_eq!(some.granted, 1_000);
    assert!(some.left > 1 << 60, "{some:?}");
    assert_eq!(everything.left, 0);
    let [counted] = &edge.usage().await[..] else { panic!("there is one month") };
    assert!(counted.used > 1 << 60, "numbers end, but never wrap: {counted:?}");
}

pub(crate) async fn usage_is_listed_newest_first_then_by_project(
    store: Arc<dyn Store>,
    [one, _]: Ledgers,
) {
    let (acme, zeta) = (Given::project(&store, "acme").await, Given::project(&store, "zeta").await);
    let (acme, zeta) = (acme.project.id, zeta.project.id);
    assert_eq!(one.usage(None).await.expect("the ledger answers"), []);
    let (old, new) = (at(0), at(MONTH));
    for (project, when, want) in [(zeta, old, 1), (acme, new, 2), (zeta, new, 3), (acme, old, 4)] {
        let edge = Edge::new(project, &one);
        edge.lease(100, want, when).await;
        let settle = Settle { month: Month::of(when), ..edge.settling(i64::from(want > 1), 0) };
        one.settle(settle).await.expect("the ledger answers");
    }

    let all = one.usage(None).await.expect("the ledger answers");

    let listed = [
        month(acme, new, 1, 0),
        month(zeta, new, 1, 0),
        month(acme, old, 1, 0),
        month(zeta, old, 0, 0),
    ];
    assert_eq!(all, listed);
    assert_eq!(usage(&one, zeta).await, [month(zeta, new, 1, 0), month(zeta, old, 0, 0)]);
}

pub(crate) async fn an_unknown_project_cannot_be_counted(_: Arc<dyn Store>, [one, _]: Ledgers) {
    let edge = Edge::new(ProjectId(-5), &one);

    let asked = one.lease(edge.asking(100, 10, at(0))).await;
    let settled = one.settle(edge.settling(0, 10)).await;

    asked.expect_err("nobody owns the month");
    settled.expect_err("nobody owns the month");
    assert_eq!(edge.usage().await, []);
}

/// How many seconds after the first moment it is surely another month.
const MONTH: i64 = 31 * 86_400;

/// A holder of leases in one project.
#[derive(Clone)]
struct Edge {
    project: ProjectId,
    holder: Holder,
    ledger: Arc<dyn Ledger>,
}

impl Edge {
    fn new(project: ProjectId, ledger: &Arc<dyn Ledger>) -> Self {
        Self { project, holder: Holder(Uuid::new_v4()), ledger: Arc::clone(ledger) }
    }

    /// The ask for a lease of a minute, not yet asked.
    fn asking(&self, quota: u64, want: u64, at: Timestamp) -> Ask {
        Ask {
            project: self.project,
            month: Month::of(at),
            holder: self.holder,
            quota,
            spent: 0,
            overdrawn: 0,
            want,
            at,
            expires_at: at.plus(Duration::from_secs(60)),
        }
    }

    fn settling(&self, spent: i64, overdrawn: u64) -> Settle {
        let (project, holder) = (self.project, self.holder);
        Settle { project, month: Month::of(at(0)), holder, spent, overdrawn }
    }

    async fn ask(&self, ask: Ask) -> Leased {
        self.ledger.lease(ask).await.expect("the ledger answers")
    }

    async fn lease(&self, quota: u64, want: u64, at: Timestamp) -> Leased {
        self.ask(self.asking(quota, want, at)).await
    }

    async fn settle(&self, spent: i64, overdrawn: u64) {
        self.ledger.settle(self.settling(spent, overdrawn)).await.expect("the ledger answers");
    }

    async fn usage(&self) -> Vec<Usage> {
        usage(&self.ledger, self.project).await
    }
}

async fn usage(ledger: &Arc<dyn Ledger>, project: ProjectId) -> Vec<Usage> {
    ledger.usage(Some(project)).await.expect("the ledger answers")
}

/// The month that a moment lies in.
fn month(project: ProjectId, at: Timestamp, used: u64, leased: u64) -> Usage {
    Usage { project, month: Month::of(at), used, leased }
}
