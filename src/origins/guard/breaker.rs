//! Leaving an origin alone that fails, and finding out when it is well again.
//!
//! ```text
//!             N failures in a row                 its time is over
//!   closed ──────────────────────▶ open ────────────────────────────▶ half-open
//!     ▲                             ▲  ▲                                │  │
//!     │                             │  └── the probe fails, or leaves ──┘  │
//!     │                 told to wait│                                      │
//!     └─────────────────────────────┴── the probe is answered ─────────────┘
//! ```

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;

use crate::origins::{Error, RETRY_AFTER};

/// The breaker of one origin. All moments are of the monotonic clock.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: NonZeroU32,
    longest: Duration,
    /// Guards the state only, for the length of one decision.
    state: Mutex<State>,
    gauge: Gauge,
}

#[derive(Clone, Copy, Debug)]
enum State {
    // In the order of the picture above, which is that of the metric.
    /// Every question passes; so many failed in a row.
    Closed { failures: u32 },
    /// A probe is on its way, after the breaker was open for so long because of failures.
    HalfOpen { lasted: Duration },
    /// No question passes until then; `lasting` is how much of that is for failures.
    Open { until: Duration, lasting: Duration },
}

/// What an answer says of the origin that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It failed; it may have said when it wants to be asked again.
    Failed { retry_after: Option<Duration> },
    /// It is well and wants to be left alone for so long.
    Limited { rest: Duration },
    /// Nothing: it was not asked.
    Unknown,
    /// It is well.
    Well,
}

impl Verdict {
    /// Judges an answer. `is_ours` says whether the question was asked with a key of our own: one
    /// caller who is told to ask less is no reason to leave the others without answers.
    pub(super) fn of<T>(answer: &Result<T, Error>, is_ours: bool) -> Self {
        match answer {
            Ok(_) => Self::Well,
            Err(Error::Failed { retry_after, .. }) => Self::Failed { retry_after: *retry_after },
            // What lies is broken too.
            Err(Error::Malformed { .. } | Error::TimedOut { .. } | Error::Unreachable { .. }) => {
                Self::Failed { retry_after: None }
            }
            Err(Error::Limited { retry_after: Some(rest), .. }) if is_ours => {
                Self::Limited { rest: *rest }
            }
            // An answer, if not the one that was hoped for.
            Err(Error::Limited { .. } | Error::Refused { .. } | Error::Rejected { .. }) => {
                Self::Well
            }
            Err(Error::Busy { .. } | Error::Resting { .. }) => Self::Unknown,
        }
    }
}

impl Breaker {
    /// A closed breaker, which shows its state in `gauge`. It opens after `failures` in a row and
    /// is never open for more than `longest` at a time, unless the origin asks for more.
    pub(super) fn new(failures: NonZeroU32, longest: Duration, gauge: Gauge) -> Self {
        gauge.set(0);
        Self { failures, longest, state: Mutex::new(State::Closed { failures: 0 }), gauge }
    }

    /// Whether a question may be asked at `now`; if not, how long to wait.
    pub(super) fn admit(&self, now: Duration) -> Result<Permit<'_>, Duration> {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => Ok(Permit { breaker: self, probes_after: None }),
            State::HalfOpen { .. } => Err(RETRY_AFTER),
            State::Open { until, .. } if now < until => Err(until - now),
            State::Open { lasting, .. } => {
                self.enter(&mut state, State::HalfOpen { lasted: lasting });
                Ok(Permit { breaker: self, probes_after: Some(lasting) })
            }
        }
    }

    /// Whether a question would be admitted at `now`, as things are.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        match *self.lock() {
            State::Closed { .. } => true,
            State::HalfOpen { .. } => false,
            State::Open { until, .. } => until <= now,
        }
    }

    /// Whether questions are let through as they come.
    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.lock(), State::Closed { .. })
    }

    /// What the answer to the probe means.
    fn probed(&self, verdict: Verdict, now: Duration) {
        let mut state = self.lock();
        let State::HalfOpen { lasted } = *state else { return };
        let next = match verdict {
            Verdict::Failed { retry_after } => self.opened(lasted, retry_after, now),
            Verdict::Limited { rest } => rested(lasted, rest, now),
            Verdict::Unknown => State::Open { until: Duration::ZERO, lasting: lasted },
            Verdict::Well => State::Closed { failures: 0 },
        };
        self.enter(&mut state, next);
    }

    /// What any other answer means. While the breaker is not closed, it is to a question from
    /// before, and only the probe counts; but an origin may ask for more rest at any time.
    fn answered(&self, verdict: Verdict, now: Duration) {
        let mut state = self.lock();
        let next = match (*state, verdict) {
            (State::Closed { failures }, Verdict::Failed { retry_after }) => {
                let failures = failures.saturating_add(1);
                match failures < self.failures.get() {
                    true => State::Closed { failures },
                    false => self.opened(Duration::ZERO, retry_after, now),
                }
            }
            (State::Closed { .. }, Verdict::Limited { rest }) => rested(Duration::ZERO, rest, now),
            (State::Closed { .. }, Verdict::Well) => State::Closed { failures: 0 },
            (State::Open { until, lasting }, Verdict::Limited { rest }) => {
                State::Open { until: until.max(end_of(rest, now)), lasting }
            }
            (same, _) => same,
        };
        self.enter(&mut state, next);
    }

    /// Open for twice as long as the last time, and no shorter than the origin asked for.
    fn opened(&self, lasted: Duration, retry_after: Option<Duration>, now: Duration) -> State {
        let lasting = lasted.saturating_mul(2).max(FIRST).min(self.longest);
        let asked_for = retry_after.unwrap_or_default().min(self.longest);
        State::Open { until: now.saturating_add(lasting.max(asked_for)), lasting }
    }

    fn enter(&self, state: &mut State, next: State) {
        *state = next;
        self.gauge.set(match next {
            State::Closed { .. } => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to ask once. A probe that is dropped without an answer leaves its place to the next.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    /// For how long the breaker was open because of failures, if it waits for this answer to know
    /// whether the origin is well.
    probes_after: Option<Duration>,
}

impl Permit<'_> {
    /// Whether the breaker waits for this answer to know whether the origin is well again. One that
    /// only asked for a rest never was anything else.
    pub(super) fn is_probe(&self) -> bool {
        self.probes_after.is_some_and(|lasted| !lasted.is_zero())
    }

    /// Tells the breaker what came of it.
    pub(super) fn settle(mut self, verdict: Verdict, now: Duration) {
        match self.probes_after.take() {
            Some(_) => self.breaker.probed(verdict, now),
            None => self.breaker.answered(verdict, now),
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probes_after.is_some() {
            self.breaker.probed(Verdict::Unknown, Duration::ZERO);
        }
    }
}

/// Left alone because the origin wants it, which is no failure: nothing is doubled.
fn rested(lasted: Duration, rest: Duration, now: Duration) -> State {
    State::Open { until: end_of(rest, now), lasting: lasted }
}

fn end_of(rest: Duration, now: Duration) -> Duration {
    now.saturating_add(rest.min(LONGEST_REST))
}

/// How long a breaker is open the first time.
const FIRST: Duration = Duration::from_secs(1);

/// The longest rest that an origin gets for one word of its own. Windows of rate limits are
/// minutes; who asks for a day may have meant something else, and is asked again after this.
const LONGEST_REST: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use crate::model::OriginName;

    use super::*;

    const FAILED: Verdict = Verdict::Failed { retry_after: None };

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A breaker that opens at the second failure, for 8 s at most.
    fn breaker() -> Breaker {
        Breaker::new(NonZeroU32::MIN.saturating_add(1), seconds(8), Gauge::default())
    }

    /// One that opened at 0 s.
    fn open() -> Breaker {
        let breaker = breaker();
        answer(&breaker, FAILED, 0);
        answer(&breaker, FAILED, 0);
        breaker
    }

    #[track_caller]
    fn answer(breaker: &Breaker, verdict: Verdict, at: u64) {
        breaker.admit(seconds(at)).unwrap().settle(verdict, seconds(at));
    }

    fn wait(breaker: &Breaker, at: u64) -> Option<Duration> {
        breaker.admit(seconds(at)).err()
    }

    #[test]
    fn failures_in_a_row_open_it() {
        for (verdicts, is_open) in [
            (vec![FAILED, FAILED], true),
            (vec![FAILED], false),
            (vec![FAILED, Verdict::Well, FAILED], false),
            (vec![FAILED, Verdict::Unknown, FAILED], true),
            (vec![Verdict::Limited { rest: seconds(1) }], true),
        ] {
            let breaker = breaker();

            verdicts.iter().for_each(|verdict| answer(&breaker, *verdict, 0));

            assert_eq!(breaker.admit(seconds(0)).is_err(), is_open, "after {verdicts:?}");
        }
    }

    #[test]
    fn each_failed_probe_doubles_the_time_up_to_the_longest() {
        let breaker = open();
        let mut at = 0;

        for lasting in [1, 2, 4, 8, 8] {
            assert_eq!(wait(&breaker, at), Some(seconds(lasting)));
            at += lasting;
            answer(&breaker, FAILED, at);
        }

        answer(&breaker, Verdict::Well, at + 8);
        answer(&breaker, FAILED, at + 8);
        answer(&breaker, FAILED, at + 8);
        assert_eq!(wait(&breaker, at + 8), Some(seconds(1)), "success forgets the doubling");
    }

    #[test]
    fn a_probe_is_alone_and_its_success_lets_everybody_in() {
        let breaker = open();

        let probe = breaker.admit(seconds(1)).unwrap();
        assert!(probe.is_probe());
        assert_eq!(wait(&breaker, 1), Some(RETRY_AFTER));
        assert!(!breaker.is_due(seconds(100)));
        probe.settle(Verdict::Well, seconds(1));

        assert!(!breaker.admit(seconds(1)).unwrap().is_probe());
        assert!(breaker.admit(seconds(1)).is_ok());
    }

    #[test]
    fn a_probe_that_leaves_frees_its_place() {
        let breaker = open();

        drop(breaker.admit(seconds(1)).unwrap());

        assert!(breaker.admit(seconds(1)).unwrap().is_probe());
    }

    #[test]
    fn an_answer_from_before_does_not_decide_for_the_probe() {
        let breaker = breaker();
        let [late_success, late_failure] = [0, 1].map(|_| breaker.admit(seconds(0)).unwrap());
        answer(&breaker, FAILED, 0);
        answer(&breaker, FAILED, 0);

        late_success.settle(Verdict::Well, seconds(0));
        assert_eq!(wait(&breaker, 0), Some(seconds(1)));
        let probe = breaker.admit(seconds(1)).unwrap();
        late_failure.settle(FAILED, seconds(1));

        probe.settle(Verdict::Well, seconds(1));
        assert!(breaker.admit(seconds(1)).is_ok());
    }

    #[test]
    fn an_origin_rests_for_as_long_as_it_wants_within_reason() {
        for (verdict, lasting) in [
            (Verdict::Limited { rest: seconds(90) }, seconds(90)),
            (Verdict::Limited { rest: Duration::MAX }, LONGEST_REST),
            (Verdict::Failed { retry_after: Some(seconds(5)) }, seconds(5)),
            (Verdict::Failed { retry_after: Some(Duration::MAX) }, seconds(8)),
        ] {
            let breaker = breaker();

            answer(&breaker, FAILED, 0);
            answer(&breaker, verdict, 0);

            assert_eq!(wait(&breaker, 0), Some(lasting), "after {verdict:?}");
            assert!(breaker.is_due(lasting));
        }
    }

    #[test]
    fn the_gauge_shows_the_state() {
        let breaker = open();
        assert_eq!(breaker.gauge.get(), 2);
        let probe = breaker.admit(seconds(1)).unwrap();
        assert_eq!(breaker.gauge.get(), 1);
        probe.settle(Verdict::Well, seconds(1));
        assert_eq!(breaker.gauge.get(), 0);
    }

    #[test]
    fn what_an_origin_says_of_a_key_is_no_failure_of_the_origin() {
        let origin = OriginName::new("far");
        let rest = Some(seconds(3));
        let limited = || Error::Limited { origin: origin.clone(), retry_after: rest };
        let of = |error, is_ours| Verdict::of::<()>(&Err(error), is_ours);

        let rejected = Error::Rejected { origin: origin.clone(), status: 401 };
        assert_eq!(of(rejected, true), Verdict::Well);
        assert_eq!(of(limited(), true), Verdict::Limited { rest: seconds(3) });
        assert_eq!(of(limited(), false), Verdict::Well);
    }
}
