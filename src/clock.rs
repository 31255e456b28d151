//! The only reader of time.
//!
//! Everything that decides by time takes a [`Clock`], so that tests move time by hand.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time: for expiries, calendar months and what is written down. May be set back.
    fn now(&self) -> Timestamp;

    /// Time since some moment before: for rates and ages. Never goes back.
    fn elapsed(&self) -> Duration;

    /// Both, as they were at most [`TICK`] ago, for what is asked for with every request: two loads
    /// where the system's clocks cost 25 ns each (measured).
    fn recently(&self) -> Moment {
        Moment { now: self.now(), elapsed: self.elapsed() }
    }

    /// Brings [`Clock::recently`] up to date, for whoever is about to turn somebody away.
    fn refresh(&self) {}
}

/// A reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// [`Clock::now`].
    pub now: Timestamp,
    /// [`Clock::elapsed`].
    pub elapsed: Duration,
}

/// How old [`Clock::recently`] is at the most. A rate admits up to this much time's worth too many;
/// two hundred readings a second cost a thousandth of a core.
pub const TICK: Duration = Duration::from_millis(5);

/// The machine's clocks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SystemClock {
    started: Instant,
    ticks: Arc<Ticks>,
}

/// What [`SystemClock::ticking`] read last.
#[derive(Debug, Default)]
struct Ticks {
    is_ticking: AtomicBool,
    now_ms: AtomicI64,
    elapsed_ns: AtomicU64,
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the reader everybody else takes")]
    fn default() -> Self {
        Self { started: Instant::now(), ticks: Arc::default() }
    }
}

impl SystemClock {
    /// A clock that is read by a thread of its own every [`TICK`], until it is dropped. One that is
    /// not is read each time.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub fn ticking() -> io::Result<Self> {
        let clock = Self::default();
        clock.refresh();
        clock.ticks.is_ticking.store(true, Ordering::Release);
        let (started, ticks) = (clock.started, Arc::downgrade(&clock.ticks));
        thread::Builder::new().name("clock".to_owned()).spawn(move || tick(started, &ticks))?;
        Ok(clock)
    }
}

#[expect(clippy::disallowed_methods, reason = "the thread does nothing else")]
fn tick(started: Instant, ticks: &Weak<Ticks>) {
    while let Some(ticks) = ticks.upgrade() {
        SystemClock { started, ticks }.refresh();
        thread::sleep(TICK);
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the reader everybody else takes")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::default().plus(since_epoch)
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn recently(&self) -> Moment {
        if !self.ticks.is_ticking.load(Ordering::Relaxed) {
            return Moment { now: self.now(), elapsed: self.elapsed() };
        }
        Moment {
            now: Timestamp::from_millis(self.ticks.now_ms.load(Ordering::Relaxed)),
            elapsed: Duration::from_nanos(self.ticks.elapsed_ns.load(Ordering::Relaxed)),
        }
    }

    fn refresh(&self) {
        let elapsed_ns = u64::try_from(self.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // Two threads may refresh: what has been read never goes back.
        self.ticks.elapsed_ns.fetch_max(elapsed_ns, Ordering::Relaxed);
        self.ticks.now_ms.store(self.now().as_millis(), Ordering::Relaxed);
    }
}

/// A clock that stands still until somebody moves it.
#[derive(Debug)]
pub struct ManualClock {
    millis: AtomicI64,
    started: Timestamp,
}

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { millis: AtomicI64::new(now.as_millis()), started: now }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, now: Timestamp) {
        self.millis.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        let millis = self.now().as_millis().saturating_sub(self.started.as_millis());
        Duration::from_millis(u64::try_from(millis).unwrap_or_default())
    }
}

/// Measures how long something took, for metrics only: no decision hangs on it.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[expect(clippy::disallowed_methods, reason = "this is the reader everybody else takes")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it has been running.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_recently_is_read_anew_on_demand() {
        let clock = SystemClock::default();
        clock.ticks.is_ticking.store(true, Ordering::Relaxed);
        let before = clock.recently();
        assert_eq!(before.elapsed, Duration::ZERO, "nothing was read yet");

        clock.refresh();

        let after = clock.recently();
        assert!(after.elapsed > Duration::ZERO && after.elapsed <= clock.elapsed());
        assert!(after.now > before.now);
    }

    #[test]
    fn a_clock_that_does_not_tick_is_read_each_time() {
        let clock = SystemClock::default();

        let before = clock.elapsed();

        assert!(clock.recently().elapsed >= before);
    }
}
