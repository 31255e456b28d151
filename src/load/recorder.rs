//! What a run has measured.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::load::connection::{Answer, Kind};

/// What was measured of one target in one go: by one worker, or by all of them once merged.
#[derive(Clone, Debug)]
pub struct Record {
    /// How long answers took, in nanoseconds: from the due time in an open loop, else from when the
    /// request was sent. Requests that were given up are in it with the time until then, and those
    /// that could not be sent in time with the time they had waited at the end.
    pub latency: Histogram<u64>,
    /// How late requests were sent although they were due and a connection was free, in
    /// nanoseconds: the generator's own doing.
    pub lag: Histogram<u64>,
    /// How many were due before a connection was free.
    pub queued: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests without a whole answer, by why.
    pub errors: BTreeMap<Kind, u64>,
    /// Bytes of bodies.
    pub body_bytes: u64,
    /// From the first due time to the last answer.
    pub elapsed: Duration,
}

/// The moments of one request, on the run's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    /// When its connection had become free.
    pub(crate) free: Duration,
    /// When it should have been sent.
    pub(crate) due: Duration,
    /// When it was.
    pub(crate) sent: Duration,
    /// When its answer was whole, or was given up.
    pub(crate) done: Duration,
}

impl Record {
    /// Nothing measured yet.
    pub(crate) fn new() -> Self {
        Self {
            latency: histogram(),
            lag: histogram(),
            queued: 0,
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            body_bytes: 0,
            elapsed: Duration::ZERO,
        }
    }

    /// Adds a request that was sent.
    pub(crate) fn add(&mut self, moments: Moments, result: Result<&Answer, Kind>) {
        let Moments { free, due, sent, done } = moments;
        let could_be_sent = due.max(free);
        self.lag.saturating_record(nanos(sent.saturating_sub(could_be_sent)));
        self.queued += u64::from(free > due);
        match result {
            Ok(answer) => {
                *self.statuses.entry(answer.status.as_u16()).or_default() += 1;
                self.body_bytes += answer.body_bytes;
            }
            Err(kind) => *self.errors.entry(kind).or_default() += 1,
        }
        // A connection that was refused took no time, and would make the target look good.
        if matches!(result, Ok(_) | Err(Kind::Timeout)) {
            self.latency.saturating_record(nanos(done.saturating_sub(due)));
        }
    }

    /// Adds a request that was due and could not be sent before `end`.
    pub(crate) fn add_unsent(&mut self, due: Duration, end: Duration) {
        *self.errors.entry(Kind::Unsent).or_default() += 1;
        self.latency.saturating_record(nanos(end.saturating_sub(due)));
    }

    /// Adds what another worker has measured at the same time.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.add_counts(other);
        self.elapsed = self.elapsed.max(other.elapsed);
    }

    /// Adds what was measured at another time.
    pub(crate) fn append(&mut self, other: &Self) {
        self.add_counts(other);
        self.elapsed += other.elapsed;
    }

    #[expect(clippy::expect_used, reason = "all histograms here have the same bounds")]
    fn add_counts(&mut self, other: &Self) {
        self.latency.add(&other.latency).expect("the bounds are the same");
        self.lag.add(&other.lag).expect("the bounds are the same");
        self.queued += other.queued;
        self.body_bytes += other.body_bytes;
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (kind, count) in &other.errors {
            *self.errors.entry(*kind).or_default() += count;
        }
    }

    /// Whole answers, whatever they say.
    pub fn answered(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Answers that say what was asked for: 2xx and 304.
    pub fn good(&self) -> u64 {
        let good = self.statuses.iter().filter(|(status, _)| matches!(status, 200..=299 | 304));
        good.map(|(_, count)| count).sum()
    }

    /// Requests without a whole answer.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Whole answers per second.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.answered() as f64 / seconds } else { 0.0 }
    }
}

/// Up to an hour, with three digits: 270 KiB.
#[expect(clippy::expect_used, reason = "the bounds are constants that the crate accepts")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HOUR_IN_NANOS, 3).expect("the bounds are in order")
}

const HOUR_IN_NANOS: u64 = 3_600_000_000_000;

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn answer(status: u16) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        Answer { status, body_bytes: 10, tag: None }
    }

    /// A request a millisecond, and a server that answers at once but for a stall of 100 ms: those
    /// that were due in it have waited for its end, whenever they were sent.
    #[test]
    fn a_stall_shows_in_all_that_were_due_in_it() {
        let (stall_begins, stall_ends) = (ms(500), ms(600));
        let mut record = Record::new();
        let mut free = ms(0);
        let mut longest_service = ms(0);

        for due in (0..1_000).map(ms) {
            let sent = due.max(free);
            let is_stalled = (stall_begins..stall_ends).contains(&sent);
            let done = if is_stalled { stall_ends } else { sent };
            record.add(Moments { free, due, sent, done }, Ok(&answer(200)));
            longest_service = longest_service.max(done - sent);
            free = done;
        }

        let at = |quantile| Duration::from_nanos(record.latency.value_at_quantile(quantile));
        assert_eq!(longest_service, ms(100), "one request alone took long once it was sent");
        assert!(at(0.89) < ms(1), "{:?}", at(0.89));
        assert!((ms(49)..ms(52)).contains(&at(0.95)), "{:?}", at(0.95));
        assert!((ms(89)..ms(92)).contains(&at(0.99)), "{:?}", at(0.99));
        assert_eq!(record.queued, 99, "all but the first found no connection free");
        assert!(record.lag.max() <= 1, "none of it was the generator's doing");
    }

    #[test]
    fn lag_is_what_the_generator_was_late_by() {
        let mut record = Record::new();

        let moments = Moments { free: ms(0), due: ms(10), sent: ms(13), done: ms(14) };
        record.add(moments, Ok(&answer(200)));
        let moments = Moments { free: ms(30), due: ms(20), sent: ms(32), done: ms(34) };
        record.add(moments, Ok(&answer(200)));

        let close = |a: u64, b: Duration| a.abs_diff(nanos(b)) < nanos(b) / 500;
        assert!(close(record.lag.max(), ms(3)) && close(record.lag.min(), ms(2)));
        assert!(close(record.latency.max(), ms(14)) && close(record.latency.min(), ms(4)));
        assert_eq!(record.queued, 1);
    }

    #[test]
    fn what_had_no_answer_counts_with_the_time_it_had() {
        let mut record = Record::new();
        let moments = Moments { free: ms(0), due: ms(1), sent: ms(1), done: ms(31) };

        record.add(moments, Err(Kind::Timeout));
        record.add_unsent(ms(1), ms(31));
        record.add(moments, Err(Kind::Connect));
        record.add(moments, Ok(&answer(304)));
        record.add(moments, Ok(&answer(404)));

        assert_eq!(record.latency.len(), 4, "a refused connection has no latency");
        assert_eq!((record.failed(), record.answered(), record.good()), (3, 2, 1));
        assert_eq!(record.body_bytes, 20);
    }

    #[test]
    fn workers_run_beside_each_other_and_rounds_one_after_the_other() {
        let one = |elapsed| {
            let moments = Moments { free: ms(0), due: ms(0), sent: ms(0), done: elapsed };
            let mut record = Record::new();
            record.add(moments, Ok(&answer(200)));
            record.elapsed = elapsed;
            record
        };

        let mut merged = one(ms(500));
        merged.merge(&one(ms(400)));
        let mut appended = one(ms(500));
        appended.append(&one(ms(500)));

        assert_eq!((merged.answered(), merged.rate()), (2, 4.0));
        assert_eq!((appended.answered(), appended.rate()), (2, 2.0));
    }
}
