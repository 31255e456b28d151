//! How slowly a peer may send or take.

use std::time::Duration;

use tokio::time::Instant;

/// What a peer has of time: it may fall behind a rate by so much, and no further.
///
/// Each byte gives it back the time that the rate allows for it, but never more than it had at
/// first. So a burst, that of a socket's buffers for one, does not pay for a pause after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    grace: Duration,
    /// In bytes a second.
    min_rate: u64,
    due: Instant,
}

impl Pace {
    /// The pace of a peer that has sent or taken nothing by `now`.
    pub fn from(now: Instant, grace: Duration, min_rate: u64) -> Self {
        Self { grace, min_rate: min_rate.max(1), due: now + grace }
    }

    /// It sent or took some bytes.
    #[expect(clippy::cast_precision_loss, reason = "a body is far shorter than 2^52 bytes")]
    pub fn pass(&mut self, bytes: u64, now: Instant) {
        let full = now + self.grace;
        let seconds = bytes as f64 / self.min_rate as f64;
        let left = full.saturating_duration_since(self.due).as_secs_f64();
        self.due = if seconds >= left { full } else { self.due + Duration::from_secs_f64(seconds) };
    }

    /// When it has fallen behind too far.
    pub fn due(&self) -> Instant {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_does_not_pay_for_a_pause() {
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut pace = Pace::from(now, Duration::from_secs(10), 1 << 10);
        assert_eq!(pace.due(), after(10), "nothing came");

        pace.pass(4 << 20, after(1));
        assert_eq!(pace.due(), after(11), "a burst");
        pace.pass(512, after(2));
        assert_eq!(pace.due(), now + Duration::from_millis(11_500), "half the rate");
        pace.pass(1 << 10, after(3));
        assert_eq!(pace.due(), now + Duration::from_millis(12_500), "the rate");
        pace.pass(u64::MAX, after(4));
        assert_eq!(pace.due(), after(14), "more than there is");
    }
}
