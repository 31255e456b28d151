//! Edges that spend one month of one project at the same time, by dice.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prompt_edge::ledger::{Ask, Holder, Ledger, Month, Settle};
use prompt_edge::model::ProjectId;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::given::at;

/// What happens to edges beside their work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishaps {
    /// Some crash, and some are so slow that their leases expire.
    Common,
    /// They all live to settle, in time.
    Never,
}

/// Lets a crowd, half of it in each process, spend the month that starts the contract until
/// nothing is left of its quota. Answers how many requests were admitted; panics when it is one
/// too many.
pub(crate) async fn spend(
    ledgers: &[Arc<dyn Ledger>; 2],
    project: ProjectId,
    quota: u64,
    mishaps: Mishaps,
    seed: u64,
) -> u64 {
    let month = Arc::new(Shared { quota, ..Shared::default() });
    let mut crowd = JoinSet::new();
    for (place, ledger) in ledgers.iter().cycle().take(EDGES).enumerate() {
        let dice = Dice(seed.wrapping_mul(1_000).wrapping_add(place as u64));
        let edge = Edge {
            ledger: Arc::clone(ledger),
            project,
            month: Arc::clone(&month),
            mishaps,
            dice,
            holder: Holder(Uuid::new_v4()),
            left: 0,
            spent: 0,
            leased: 0,
            admitted: 0,
        };
        crowd.spawn(edge.live());
    }
    crowd.join_all().await;
    month.admitted.load(Ordering::SeqCst)
}

/// What the crowd does together.
#[derive(Default)]
struct Shared {
    quota: u64,
    admitted: AtomicU64,
    /// Seconds since it began.
    moment: AtomicI64,
}

/// One of the crowd: what a holder keeps in memory.
struct Edge {
    ledger: Arc<dyn Ledger>,
    project: ProjectId,
    month: Arc<Shared>,
    mishaps: Mishaps,
    dice: Dice,
    holder: Holder,
    /// What it may still spend.
    left: u64,
    /// What it has spent and not settled; negative if more was given back.
    spent: i64,
    /// What the ledger knows of its lease.
    leased: u64,
    /// How many of the admitted requests are its own.
    admitted: u64,
}

impl Edge {
    async fn live(mut self) {
        for _ in 0..STEPS {
            match self.dice.below(12) {
                0..4 => self.spend(),
                4..6 => self.give_back(),
                6..10 => drop(self.lease().await),
                10 => self.settle().await,
                _ if self.mishaps == Mishaps::Common => self.crash(),
                _ => self.spend(),
            }
        }
        loop {
            while self.left > 0 {
                self.spend();
            }
            if self.lease().await == 0 {
                break self.settle().await;
            }
        }
    }

    fn spend(&mut self) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        self.spent += 1;
        self.admitted += 1;
        let admitted = self.month.admitted.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(admitted <= self.month.quota, "{:?} admits one too many", self.dice);
    }

    /// What was admitted turns out not to count.
    fn give_back(&mut self) {
        if self.leased == 0 || self.admitted == 0 {
            return;
        }
        self.left += 1;
        self.spent -= 1;
        self.admitted -= 1;
        self.month.admitted.fetch_sub(1, Ordering::SeqCst);
    }

    async fn lease(&mut self) -> u64 {
        let (seconds, lifetime) = match self.mishaps {
            Mishaps::Common => (self.month.moment.fetch_add(1, Ordering::SeqCst), 20),
            Mishaps::Never => (0, 1),
        };
        let ask = Ask {
            project: self.project,
            month: Month::of(at(0)),
            holder: self.holder,
            quota: self.month.quota,
            spent: self.spent,
            overdrawn: 0,
            want: self.dice.below(15) + 1,
            at: at(seconds),
            expires_at: at(seconds).plus(Duration::from_secs(lifetime)),
        };
        let leased = self.ledger.lease(ask).await.expect("the ledger answers");
        if !leased.is_continued {
            self.left = 0;
        }
        self.left += leased.granted;
        self.spent = 0;
        self.leased = self.left;
        leased.granted
    }

    async fn settle(&mut self) {
        let (project, month, holder) = (self.project, Month::of(at(0)), self.holder);
        let settle = Settle { project, month, holder, spent: self.spent, overdrawn: 0 };
        self.ledger.settle(settle).await.expect("the ledger answers");
        (self.left, self.spent, self.leased) = (0, 0, 0);
    }

    /// Another process starts in its place and knows nothing.
    fn crash(&mut self) {
        self.holder = Holder(Uuid::new_v4());
        (self.left, self.spent, self.leased, self.admitted) = (0, 0, 0, 0);
    }
}

/// SplitMix64: the same seed throws the same numbers.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

const EDGES: usize = 8;

const STEPS: usize = 40;
