//! What a project's plan allows.

use std::cmp::Reverse;
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

/// What is left of a policy, for whoever has to keep to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The policy's name in header fields.
    pub policy: &'static str,
    /// How many requests its window holds.
    pub quota: u64,
    /// The window.
    pub window: Duration,
    /// How many of them are left.
    pub remaining: u64,
    /// After this the budget is whole again; if nothing is left, after this there is more.
    pub resets_in: Duration,
}

impl Budget {
    /// Whether four fifths of it are used.
    pub fn is_near_end(&self) -> bool {
        self.remaining.saturating_mul(5) <= self.quota
    }
}

/// The budgets of a caller: at most one of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// Of the rate.
    pub burst: Option<Budget>,
    /// Of the month.
    pub month: Option<Budget>,
}

impl Budgets {
    /// Every budget there is.
    pub fn all(&self) -> impl Iterator<Item = &Budget> {
        self.burst.iter().chain(&self.month)
    }

    /// The budget of which the smallest share is left; of equals the one that lasts longer, so that
    /// whoever waits for it does not wait in vain.
    pub fn nearest_to_its_end(&self) -> Option<&Budget> {
        let share = |budget: &Budget| {
            u128::from(budget.remaining) * u128::from(u64::MAX) / u128::from(budget.quota.max(1))
        };
        self.all().min_by_key(|budget| (share(budget), Reverse(budget.resets_in)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_spent_budgets_the_one_that_resets_later_is_nearest_to_its_end() {
        let burst = Budget {
            policy: "burst",
            quota: 20,
            window: Duration::from_secs(2),
            remaining: 0,
            resets_in: Duration::from_millis(100),
        };
        let month = Budget { policy: "month", resets_in: Duration::from_secs(86_400), ..burst };
        let nearest = |month| {
            let budgets = Budgets { burst: Some(burst), month: Some(month) };
            budgets.nearest_to_its_end().map(|budget| budget.policy)
        };

        assert_eq!(nearest(month), Some("month"));
        assert_eq!(nearest(Budget { remaining: 1, ..month }), Some("burst"));
    }
}
