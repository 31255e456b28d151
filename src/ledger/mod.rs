//! Months that are counted: the port behind a plan's monthly quota.
//!
//! A quota is shared by every edge that serves a project, yet no request may wait for a database.
//! So an edge *leases* a part of what is left of the month, spends it from memory, and settles
//! with the ledger now and then. The ledger knows two numbers of a month: what was *used*, and what
//! is *leased*: handed out and not accounted for yet. It never hands out more than the quota less
//! both.
//!
//! # What every implementer owes
//!
//! 1. Over all holders, used and leased together never exceed the quota by a lease: however calls
//!    interleave, in however many processes. (`leases_together_never_exceed_the_quota`)
//! 2. What was leased and is not settled by its expiry counts as used: its holder may have crashed
//!    after spending it. So a crash costs at most one lease, and never admits a request twice.
//!    (`an_expired_lease_counts_as_used`, `a_crash_never_admits_a_request_twice`)
//! 3. What is settled or leased survives the death of the process.
//!    (`what_was_settled_or_leased_is_there_after_reopening`)

pub mod month;

use std::future::Future;
use std::pin::Pin;

use uuid::Uuid;

use crate::model::{ProjectId, Timestamp};

pub use month::Month;

/// An answer that is on its way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Away>> + Send + 'a>>;

/// The ledger gave no answer; whether it did what it was asked is not known.
#[derive(Debug, thiserror::Error)]
#[error("the ledger is away")]
pub struct Away(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Counts the months of projects.
pub trait Ledger: Send + Sync + 'static {
    /// Settles what a holder has spent, and leases more to it.
    ///
    /// In one transaction:
    /// 1. Every lease of the project that has expired at `ask.at`, of whatever month and holder,
    ///    is counted as used and ended.
    /// 2. If the holder's lease of this month stands, `spent` is moved from leased to used (back,
    ///    if it is negative: what was spent and then given back). If it does not, `spent` was
    ///    counted when it expired, and is ignored.
    /// 3. `overdrawn` is counted as used.
    /// 4. Up to `want` of what is left of `quota` is added to the holder's lease, which now expires
    ///    at `expires_at`. A lease of nothing is ended.
    fn lease(&self, ask: Ask) -> Pending<'_, Leased>;

    /// Ends a holder's lease: `spent` of it is counted as used, the rest is given back. A lease
    /// that does not stand (any more) was counted already: then only `overdrawn` is counted.
    fn settle(&self, settle: Settle) -> Pending<'_, ()>;

    /// Every month of the projects (of all, if none is named), newest first.
    fn usage(&self, project: Option<ProjectId>) -> Pending<'_, Vec<Usage>>;
}

/// A process that spends: made anew at each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Holder(pub Uuid);

/// What [`Ledger::lease`] is asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whose month.
    pub project: ProjectId,
    /// Which one.
    pub month: Month,
    /// Who asks.
    pub holder: Holder,
    /// What the month may hold in all. `u64::MAX` for a plan without a quota.
    pub quota: u64,
    /// What was spent of the lease since it was settled last.
    pub spent: i64,
    /// What was admitted without a lease while the ledger was away.
    pub overdrawn: u64,
    /// How much more is wanted.
    pub want: u64,
    /// The present moment.
    pub at: Timestamp,
    /// When the lease ends if it is not renewed.
    pub expires_at: Timestamp,
}

/// What [`Ledger::lease`] answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leased {
    /// What was added to the lease: at most what was wanted.
    pub granted: u64,
    /// Whether the holder's lease stood. If not, what the holder has left of it is void.
    pub is_continued: bool,
    /// What is left of the quota after this, neither used nor leased.
    pub left: u64,
    /// What other holders have leased: some of it may come back.
    pub leased_elsewhere: u64,
}

/// What [`Ledger::settle`] is told.
#[derive(Clone, Debug)]
pub struct Settle {
    /// Whose month.
    pub project: ProjectId,
    /// Which one.
    pub month: Month,
    /// Whose lease.
    pub holder: Holder,
    /// What was spent of the lease since it was settled last.
    pub spent: i64,
    /// What was admitted without a lease while the ledger was away.
    pub overdrawn: u64,
}

/// One month of one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Whose.
    pub project: ProjectId,
    /// Which.
    pub month: Month,
    /// What was used and is settled.
    pub used: u64,
    /// What is handed out and not accounted for yet.
    pub leased: u64,
}
