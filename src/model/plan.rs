//! What a project's plan allows.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

/// The name of a plan, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanName(Arc<str>);

impl PlanName {
    /// Names a plan.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for PlanName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a plan allows. What it does not name it does not limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub name: PlanName,
    /// Answers in one calendar month, UTC.
    pub requests_per_month: Option<NonZeroU64>,
    /// A rate, for all keys of a project together.
    pub rate: Option<Rate>,
    /// A rate for each key, below the project's.
    pub key_rate: Option<Rate>,
    /// How large a share of the work on misses the project gets, beside projects of other plans.
    pub weight: NonZeroU32,
}

/// A rate with room for a burst: GCRA's two parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests in a second, sustained.
    pub per_second: NonZeroU32,
    /// Requests at once, after a pause.
    pub burst: NonZeroU32,
}

impl Rate {
    /// How long a spent burst takes to be whole again, rounded up to a second: the window of the
    /// policy.
    pub fn window(&self) -> Duration {
        Duration::from_secs(self.burst.get().div_ceil(self.per_second.get()).into())
    }
}
