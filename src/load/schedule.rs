//! When requests are due.
//!
//! In an open loop each request has its due time before the run begins. A server that stalls
//! changes none of them, and latency counts from the due time: the requests that had to wait for
//! the stall to end show it. A generator that waits for answers before it asks again sends little
//! while the server stalls, and so leaves out what it was to measure: coordinated omission (Gil
//! Tene, "How NOT to Measure Latency").

use std::time::Duration;

/// How much is asked for in one go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// As much as fits into a time.
    For(Duration),
    /// So many requests.
    Requests(u64),
}

/// The due times of one worker in one go. Workers take turns: of `strides` workers, the one with
/// `offset` *k* has the requests *k*, *k* + `strides`, *k* + 2 `strides` and so on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    /// When the first request of all workers is due.
    start: Duration,
    /// Requests per second of all workers; without one, each is due when a connection is free.
    rate: Option<f64>,
    /// Requests of all workers.
    count: u64,
    /// When to give up what is not sent yet.
    end: Option<Duration>,
    offset: u64,
    strides: u64,
}

/// A request that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Its number among those of all workers.
    pub(crate) number: u64,
    /// When it is due, on the run's clock.
    pub(crate) due: Duration,
}

impl Schedule {
    /// The part of one worker, `(offset, strides)`, in what begins at `start`.
    pub(crate) fn new(
        start: Duration,
        rate: Option<f64>,
        length: Length,
        (offset, strides): (u64, u64),
    ) -> Self {
        let (count, end) = match (length, rate) {
            (Length::Requests(count), _) => (count, None),
            (Length::For(time), Some(rate)) => (planned(rate, time), Some(start + time)),
            (Length::For(time), None) => (u64::MAX, Some(start + time)),
        };
        Self { start, rate, count, end, offset, strides }
    }

    /// The worker's `nth` ticket, from 0, if there are so many. Without a rate it is due `now`.
    pub(crate) fn ticket(&self, nth: u64, now: Duration) -> Option<Ticket> {
        let number = nth.checked_mul(self.strides)?.checked_add(self.offset)?;
        if number >= self.count {
            return None;
        }
        let due = self.rate.map_or(now, |rate| self.start + due(number, rate));
        Some(Ticket { number, due })
    }

    /// Whether the time is over, and nothing more is to be sent.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        self.end.is_some_and(|end| now >= end)
    }

    /// When the time is over, if it is a time that ends this.
    pub(crate) fn end(&self) -> Option<Duration> {
        self.end
    }

    /// Whether due times are fixed.
    pub(crate) fn is_open(&self) -> bool {
        self.rate.is_some()
    }

    /// The least time it takes.
    pub(crate) fn span(&self) -> Duration {
        match (self.end, self.rate) {
            (Some(end), _) => end - self.start,
            (None, Some(rate)) => due(self.count, rate),
            (None, None) => Duration::ZERO,
        }
    }

    /// When it starts.
    pub(crate) fn start(&self) -> Duration {
        self.start
    }
}

/// The requests that are due before `time` has passed; one at least.
fn planned(rate: f64, time: Duration) -> u64 {
    // Rates and times are bounded where they are read: this fits.
    ((rate * time.as_secs_f64()).ceil() as u64).max(1)
}

/// When a request is due after the start. A double holds whole nanoseconds for 104 days.
fn due(number: u64, rate: f64) -> Duration {
    Duration::try_from_secs_f64(number as f64 / rate).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Duration = Duration::from_secs(7);

    proptest! {
        #[test]
        fn workers_share_one_schedule(
            rate in 1.0_f64..1e6,
            count in 1_u64..500,
            strides in 1_u64..9,
        ) {
            let mut all = Vec::new();
            for offset in 0..strides {
                let length = Length::Requests(count);
                let schedule = Schedule::new(START, Some(rate), length, (offset, strides));
                all.extend((0..).map_while(|nth| schedule.ticket(nth, Duration::ZERO)));
            }
            all.sort_by_key(|ticket| ticket.number);

            prop_assert_eq!(all.len() as u64, count);
            for (number, ticket) in all.iter().enumerate() {
                let expected = START.as_secs_f64() + number as f64 / rate;
                prop_assert_eq!(ticket.number, number as u64);
                prop_assert!((ticket.due.as_secs_f64() - expected).abs() < 1e-6);
            }
        }

        #[test]
        fn nothing_is_due_at_the_end_or_later(rate in 1.0_f64..1e4, millis in 1_u64..500) {
            let time = Duration::from_millis(millis);
            let schedule = Schedule::new(START, Some(rate), Length::For(time), (0, 1));

            let tickets: Vec<_> = (0..).map_while(|nth| schedule.ticket(nth, START)).collect();

            prop_assert!(tickets.iter().all(|t| t.due >= START && t.due < START + time));
            prop_assert!(tickets.len() as f64 >= rate * time.as_secs_f64());
        }
    }

    #[test]
    fn without_a_rate_a_request_is_due_when_it_can_be_sent() {
        let time = Duration::from_secs(1);
        let schedule = Schedule::new(START, None, Length::For(time), (0, 1));

        let ticket = schedule.ticket(5, START + time / 2).expect("there is no end to them");

        assert_eq!(ticket, Ticket { number: 5, due: START + time / 2 });
        assert!(!schedule.is_over(START + time / 2));
        assert!(schedule.is_over(START + time));
    }
}
