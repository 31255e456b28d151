//! Rates: GCRA, by governor.
//!
//! A limiter belongs to one project (or one key) and is held by its record: nothing is looked up
//! by what a request says. When a plan changes, the new limiter takes over how much of the old one
//! was in use, counted in requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, Reference};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::model::{Budget, Rate};

/// The limiter of one project or key.
pub struct Limiter {
    rate: Rate,
    started: Duration,
    arrival: Arrival,
    inner: RateLimiter<NotKeyed, Arrival, Monotonic, StateInformationMiddleware>,
}

impl Limiter {
    /// A limiter with its whole burst to give.
    pub fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        Self::with_debt(rate, clock, 0)
    }

    /// A limiter that has given what this one has given, under another rate.
    pub fn at_rate(&self, rate: Rate, clock: Arc<dyn Clock>) -> Self {
        let since_start = Nanos::from(clock.elapsed().saturating_sub(self.started)).as_u64();
        let debt = self.arrival.0.load(Ordering::Acquire).saturating_sub(since_start);
        let requests = debt.div_ceil(nanos_per_request(self.rate)).min(rate.burst.get().into());
        Self::with_debt(rate, clock, requests)
    }

    /// Takes one request, or says how long to wait for the next. Returns how many more may come at
    /// once.
    ///
    /// Whoever is let in is let in by the time of a moment ago; whoever is turned away, by the time
    /// it is.
    pub fn take(&self) -> Result<u32, Duration> {
        let taken = self.inner.check().or_else(|_| {
            self.inner.clock().0.refresh();
            self.inner.check()
        });
        taken
            .map(|state| state.remaining_burst_capacity())
            .map_err(|not_until| not_until.wait_time_from(self.inner.clock().now()))
    }

    /// What is left after [`Limiter::take`] said so.
    pub fn budget(&self, taken: Result<u32, Duration>) -> Budget {
        let quota = u64::from(self.rate.burst.get());
        let remaining = u64::from(taken.unwrap_or(0));
        let missing = quota.saturating_sub(remaining);
        let whole_again = Duration::from_nanos(missing * nanos_per_request(self.rate));
        Budget {
            policy: "burst",
            quota,
            window: self.rate.window(),
            remaining,
            resets_in: taken.err().unwrap_or(whole_again),
        }
    }

    fn with_debt(rate: Rate, clock: Arc<dyn Clock>, requests: u64) -> Self {
        let arrival = Arrival(Arc::new(AtomicU64::new(requests * nanos_per_request(rate))));
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        let started = clock.elapsed();
        let inner = RateLimiter::new(quota, arrival.clone(), Monotonic(clock));
        Self { rate, started, arrival, inner }
    }
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("rate", &self.rate).finish_non_exhaustive()
    }
}

fn nanos_per_request(rate: Rate) -> u64 {
    (1_000_000_000 / u64::from(rate.per_second.get())).max(1)
}

/// GCRA's one number: the theoretical arrival time, in nanoseconds since the limiter was made. 0 is
/// none yet.
#[derive(Clone)]
struct Arrival(Arc<AtomicU64>);

impl StateStore for Arrival {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut before = self.0.load(Ordering::Acquire);
        loop {
            let (decided, after) = decide((before > 0).then(|| Nanos::new(before)))?;
            let replaced = self.0.compare_exchange_weak(
                before,
                after.as_u64(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match replaced {
                Ok(_) => return Ok(decided),
                Err(changed) => before = changed,
            }
        }
    }
}

/// Our clock, as governor asks for one.
#[derive(Clone)]
struct Monotonic(Arc<dyn Clock>);

impl governor::clock::Clock for Monotonic {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(self.0.recently().elapsed.into())
    }
}

/// Nanoseconds on [`Clock::elapsed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Nanos);

impl std::ops::Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, span: Nanos) -> Self {
        Self(self.0 + span)
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0)
    }

    fn saturating_sub(&self, span: Nanos) -> Self {
        Self(self.0.saturating_sub(span))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use crate::clock::ManualClock;
    use crate::model::Timestamp;

    use super::*;

    fn rate(per_second: u32, burst: u32) -> Rate {
        let of = |n| NonZeroU32::new(n).unwrap();
        Rate { per_second: of(per_second), burst: of(burst) }
    }

    fn clock() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(Timestamp::from_millis(1_000)))
    }

    fn admitted(limiter: &Limiter, tries: u32) -> usize {
        (0..tries).filter(|_| limiter.take().is_ok()).count()
    }

    #[test]
    fn ten_a_second_with_a_burst_of_twenty_admits_320_in_half_a_minute() {
        let clock = clock();
        let limiter = Limiter::new(rate(10, 20), clock.clone());

        let mut total = admitted(&limiter, 50);
        for _ in 0..30_000 {
            clock.advance(Duration::from_millis(1));
            total += admitted(&limiter, 2);
        }

        assert_eq!(total, 320);
    }

    #[test]
    fn whoever_waits_as_long_as_told_is_admitted() {
        let clock = clock();
        let limiter = Limiter::new(rate(3, 1), clock.clone());
        limiter.take().unwrap();

        let wait = limiter.take().unwrap_err();
        assert!(wait > Duration::from_millis(333) && wait < Duration::from_millis(334));
        clock.advance(wait + Duration::from_millis(1));

        assert!(limiter.take().is_ok());
    }

    #[test]
    fn a_change_of_rate_keeps_what_was_given() {
        let clock = clock();
        let old = Limiter::new(rate(10, 20), clock.clone());
        assert_eq!(admitted(&old, 15), 15);

        let new = old.at_rate(rate(100, 200), clock.clone());
        assert_eq!(admitted(&new, 1_000), 185);
        let smaller = new.at_rate(rate(1, 5), clock.clone());
        assert_eq!(admitted(&smaller, 10), 0);
        clock.advance(Duration::from_secs(2));
        assert_eq!(admitted(&smaller, 10), 2);
    }

    #[test]
    fn the_budget_says_what_is_left_and_when_it_is_whole() {
        let limiter = Limiter::new(rate(10, 20), clock());

        let budget = limiter.budget(limiter.take());

        assert_eq!((budget.quota, budget.remaining), (20, 19));
        assert_eq!(budget.resets_in, Duration::from_millis(100));
        assert_eq!(budget.window, Duration::from_secs(2));
    }
}
