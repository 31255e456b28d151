//! How many retries an origin may be given: a share of the questions, so that an outage is not
//! answered with a multiple of the load that may have caused it.

use std::sync::atomic::{AtomicU32, Ordering};

/// A bucket of retries, counted in tenths of one.
#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Budget {
    /// A budget with a reserve, so that an origin that was asked little may be asked again at all.
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(RESERVE))
    }

    /// Counts a question: it earns a tenth of a retry.
    pub(super) fn earn(&self) {
        let earned = |tenths: u32| (tenths < MOST).then_some(tenths + 1);
        // A full bucket stays as it is.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earned);
    }

    /// Takes a retry, if one is left.
    pub(super) fn spend(&self) -> bool {
        let spent = |tenths: u32| tenths.checked_sub(RETRY);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent).is_ok()
    }
}

/// One retry, in tenths: retries are at most 10 % of the questions.
const RETRY: u32 = 10;

/// Three retries at the start.
const RESERVE: u32 = 3 * RETRY;

/// Ten retries at once, however many questions went well before.
const MOST: u32 = 10 * RETRY;

#[cfg(test)]
mod tests {
    use super::*;

    /// How many retries are left.
    fn left(budget: &Budget) -> usize {
        std::iter::repeat_with(|| budget.spend()).take_while(|is_spent| *is_spent).count()
    }

    #[test]
    fn retries_are_a_reserve_and_a_tenth_of_the_questions_up_to_ten() {
        for (questions, retries) in [(0, 3), (9, 3), (10, 4), (70, 10), (1_000_000, 10)] {
            let budget = Budget::new();

            (0..questions).for_each(|_| budget.earn());

            assert_eq!(left(&budget), retries, "after {questions} questions");
        }
    }
}
