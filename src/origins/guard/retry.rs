//! Whether to ask the same again, and when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::origins::Error;

/// The retries of one question.
#[derive(Debug)]
pub(super) struct Retries<'a> {
    jitter: &'a Jitter,
    left: u32,
    waited: Duration,
    has_timed_out: bool,
}

impl<'a> Retries<'a> {
    pub(super) fn new(most: u32, jitter: &'a Jitter) -> Self {
        Self { jitter, left: most, waited: SHORTEST, has_timed_out: false }
    }

    /// How long to wait before the question is asked again, never less than the origin said;
    /// `None` if asking again does not help or was tried often enough.
    pub(super) fn wait(&mut self, error: &Error) -> Option<Duration> {
        let earliest = earliest(error)?;
        // Who was given much time twice would be given it a third time: two are the answer.
        let is_timeout = matches!(error, Error::TimedOut { .. });
        if is_timeout && std::mem::replace(&mut self.has_timed_out, true) {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        self.waited = self.jitter.between(SHORTEST, self.waited * 3).min(LONGEST);
        Some(earliest.saturating_add(self.waited))
    }
}

/// How soon after an error the same question may have another answer; `None` if never. All
/// questions only read, so that asking twice does no harm.
fn earliest(error: &Error) -> Option<Duration> {
    match error {
        Error::Failed { status: 502..=504, retry_after, .. } => {
            Some(retry_after.unwrap_or_default())
        }
        Error::Limited { retry_after, .. } => *retry_after,
        Error::TimedOut { .. } | Error::Unreachable { .. } => Some(Duration::ZERO),
        Error::Busy { .. }
        | Error::Failed { .. }
        | Error::Malformed { .. }
        | Error::Refused { .. }
        | Error::Rejected { .. }
        | Error::Resting { .. } => None,
    }
}

/// Random numbers that spread retries, the same ones for the same seed: splitmix64 (Steele, Lea
/// and Flood, 2014), whose state is a counter and needs no lock.
#[derive(Debug)]
pub(super) struct Jitter(AtomicU64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A span of time, each with the same chance.
    fn between(&self, shortest: Duration, longest: Duration) -> Duration {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let choices = micros(longest.saturating_sub(shortest)).saturating_add(1);
        // The bias of the remainder is below one in 10^12.
        shortest + Duration::from_micros(self.next() % choices)
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Decorrelated jitter, as AWS describes it ("Exponential Backoff and Jitter", 2015): each wait is
/// between the shortest and three times the one before it.
const SHORTEST: Duration = Duration::from_millis(25);

/// The longest wait, but for what an origin asks for.
const LONGEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use crate::model::OriginName;

    use super::*;

    fn limited(retry_after: Option<Duration>) -> Error {
        Error::Limited { origin: OriginName::new("far"), retry_after }
    }

    fn failed(status: u16, retry_after: Option<Duration>) -> Error {
        Error::Failed { origin: OriginName::new("far"), status, retry_after }
    }

    fn timed_out() -> Error {
        Error::TimedOut { origin: OriginName::new("far"), waited: Duration::from_secs(1) }
    }

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let jitter = Jitter::new(1_234_567);

        let numbers: Vec<u64> = std::iter::repeat_with(|| jitter.next()).take(3).collect();

        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn each_wait_is_at_most_three_times_the_one_before_it() {
        let jitter = Jitter::new(7);
        let mut retries = Retries::new(100, &jitter);
        let mut before = SHORTEST;

        for _ in 0..100 {
            let wait = retries.wait(&failed(503, None)).unwrap();

            assert!((SHORTEST..=LONGEST.min(before * 3)).contains(&wait), "{wait:?} is too long");
            before = wait;
        }
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        let origin = OriginName::new("far");
        let second = Some(Duration::from_secs(1));
        let helps = |error: &Error| Retries::new(2, &Jitter::new(1)).wait(error).is_some();

        for error in [
            failed(502, None),
            failed(503, second),
            failed(504, None),
            limited(second),
            timed_out(),
            Error::Unreachable { origin: origin.clone(), source: "gone".into() },
        ] {
            assert!(helps(&error), "{error} may pass");
        }
        for error in [
            failed(500, second),
            failed(501, None),
            limited(None),
            Error::Busy { origin: origin.clone() },
            Error::Rejected { origin: origin.clone(), status: 401 },
            Error::Refused { origin: origin.clone(), problem: String::new() },
            Error::Malformed { origin, expected: "JSON", source: "is not".into() },
        ] {
            assert!(!helps(&error), "{error} stays");
        }
    }

    #[test]
    fn nothing_is_asked_again_before_the_origin_wants_it() {
        let jitter = Jitter::new(7);
        let seconds = Duration::from_secs(3);

        for error in [limited(Some(seconds)), failed(503, Some(seconds))] {
            let wait = Retries::new(2, &jitter).wait(&error).unwrap();

            assert!((seconds + SHORTEST..seconds + LONGEST).contains(&wait), "{wait:?}");
        }
        let endless = limited(Some(Duration::MAX));
        assert_eq!(Retries::new(2, &jitter).wait(&endless), Some(Duration::MAX));
    }

    #[test]
    fn a_timeout_is_tried_once_more_and_anything_else_as_often_as_configured() {
        let jitter = Jitter::new(7);
        let tries = |error: &Error| {
            let mut retries = Retries::new(5, &jitter);
            std::iter::from_fn(|| retries.wait(error)).count()
        };

        assert_eq!(tries(&timed_out()), 1);
        assert_eq!(tries(&failed(503, None)), 5);
    }
}
