//! When a peer has taken too long.
//!
//! The hot path notes what a connection is at, not since when: it reads no clock and touches no
//! timer. One timer per connection fires every [`LOOK`] at the latest ([`Looks`]), and what has not
//! changed since the last look has lasted at least as long. Where the peer has the turn and a short deadline
//! runs, a look is taken at once, and the timer set to that deadline.
//!
//! | what                                    | deadline                       | precision      |
//! |-----------------------------------------|--------------------------------|----------------|
//! | head, from its first byte               | `header`                       | exact          |
//! | answer, from a write that has to wait   | `write` behind `min_rate`      | exact          |
//! | nothing asked                           | `idle`                         | up to a look   |
//!
//! The first byte has its own place ([`first`](super::first)), and the body too
//! ([`wire::body`](crate::wire::body)).
//!
//! # Invariant
//!
//! Nobody is cut before a deadline, and nobody later than a look after it.
//! (`nobody_is_cut_before_a_deadline_and_nobody_long_after_it`)

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::server::Deadlines;
use crate::server::connection::pulse::{Phase, Pulse};
use crate::wire::pace::Pace;

/// The longest time between two looks at a connection.
pub(super) const LOOK: Duration = Duration::from_secs(2);

/// The shortest.
const FIRST_LOOK: Duration = Duration::from_millis(100);

/// How long it is from one look at a connection to the next.
///
/// Short at first: who asks once gives its buffers back soon. Twice as long whenever a request came
/// meanwhile: who asks on is looked at seldom, and keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looks(Duration);

impl Default for Looks {
    fn default() -> Self {
        Self(FIRST_LOOK)
    }
}

impl Looks {
    /// Those that are the furthest apart.
    pub(super) const SELDOM: Self = Self(LOOK);

    /// Those that are twice as far apart, as far as that goes.
    pub(super) fn longer(self) -> Self {
        Self((2 * self.0).min(LOOK))
    }
}

/// How long bytes that nobody wants are read before a connection is closed, so that what was said
/// is not lost in a reset (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(2);

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The peer took too long, at what is named: it is cut.
    Late(&'static str),
    /// The peer took too long to read: it is cut, and what is left for it thrown away.
    Unread,
    /// It is asked to leave.
    Part,
    /// HTTP/1.1: nothing was asked for a look, and it needs no buffers; or it needs other ones.
    Rest,
}

/// The timer of one connection.
#[derive(Debug)]
pub(super) struct Watch {
    deadlines: Deadlines,
    is_http2: bool,
    looks: Looks,
    timer: Pin<Box<Sleep>>,
    /// What the last look saw, and since when it may have been so.
    turn: (Phase, u32),
    since: Instant,
    stalled: Option<Pace>,
    /// The process ends: from when on the peer is asked to leave, and whether it was.
    ending: Option<Instant>,
    has_parted: bool,
}

impl Watch {
    /// The watch over a connection whose head began at `since`.
    pub(super) fn new(
        deadlines: Deadlines,
        is_http2: bool,
        (since, looks): (Instant, Looks),
    ) -> Self {
        Self {
            deadlines,
            is_http2,
            looks,
            timer: Box::pin(sleep_until(since + looks.0.min(deadlines.idle / 4))),
            turn: (Phase::Head, 1),
            since,
            stalled: None,
            ending: None,
            has_parted: false,
        }
    }

    /// Since when nothing was asked, if nothing is.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// How far apart its looks are.
    pub(super) fn looks(&self) -> Looks {
        self.looks
    }

    /// Whether the process ends.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether the connection is one of HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.is_http2
    }

    /// The process ends, and the peer is to leave.
    pub(super) fn end(&mut self) {
        self.ending = Some(Instant::now());
    }

    /// Looks, and wakes for the next look.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, pulse: &Pulse) -> Poll<Verdict> {
        loop {
            match self.look(pulse, Instant::now()) {
                Ok(next) if next == self.timer.deadline() => {}
                Ok(next) => self.timer.as_mut().reset(next),
                Err(verdict) => return Poll::Ready(verdict),
            }
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// What is to be done now, or when to look again.
    fn look(&mut self, pulse: &Pulse, now: Instant) -> Result<Instant, Verdict> {
        self.follow(pulse, now);
        let dues = [
            self.part_due(),
            self.turn_due(pulse),
            self.stall_due(pulse, now),
            self.owed_due(pulse, now),
        ];
        // A timer that every look sets anew would never fire.
        let next = Some(self.timer.deadline()).filter(|next| *next > now);
        let next = next.unwrap_or(now + self.every());
        let next = dues.into_iter().flatten().try_fold(next, |next, (due, verdict)| {
            if due <= now { Err(verdict) } else { Ok(next.min(due)) }
        });
        if next == Err(Verdict::Part) {
            (self.has_parted, self.since) = (true, now);
        }
        next
    }

    /// Notes what has changed since the last look.
    fn follow(&mut self, pulse: &Pulse, now: Instant) {
        let turn = pulse.turn();
        if turn.1 != self.turn.1 {
            self.looks = self.looks.longer();
        }
        let is_busy = turn.0 == Phase::Idle && !pulse.is_quiet();
        if turn != self.turn || is_busy {
            (self.turn, self.since) = (turn, now);
        }
    }

    fn part_due(&self) -> Option<(Instant, Verdict)> {
        // HTTP/1.1: hyper would drop a request of which a part is here.
        let may = self.is_http2 || self.turn.0 != Phase::Head;
        self.ending.filter(|_| may && !self.has_parted).map(|at| (at, Verdict::Part))
    }

    fn turn_due(&self, pulse: &Pulse) -> Option<(Instant, Verdict)> {
        let Deadlines { header, idle, pong, .. } = self.deadlines;
        let (after, verdict) = match self.turn.0 {
            Phase::Head => (header, Verdict::Late("head")),
            Phase::Leaving => (LINGER, Verdict::Late("leaving")),
            Phase::Asked | Phase::Answered => return None,
            Phase::Idle if self.has_parted => (pong, Verdict::Late("parting")),
            Phase::Idle if self.is_http2 => (idle, Verdict::Part),
            Phase::Idle if pulse.is_outgrown() => (Duration::ZERO, Verdict::Rest),
            Phase::Idle => (self.every(), Verdict::Rest),
        };
        Some((self.since + after, verdict))
    }

    /// A write waits for the peer.
    fn stall_due(&mut self, pulse: &Pulse, now: Instant) -> Option<(Instant, Verdict)> {
        let taken = pulse.stalled();
        let fresh = self.pace(now);
        self.stalled = taken.map(|taken| passed(self.stalled.unwrap_or(fresh), taken, now));
        self.stalled.map(|pace| (pace.due(), Verdict::Unread))
    }

    /// Answers of HTTP/2 wait for the windows of their streams.
    fn owed_due(&self, pulse: &Pulse, now: Instant) -> Option<(Instant, Verdict)> {
        if !self.is_http2 {
            return None;
        }
        let mut owed = pulse.owed();
        let dues = owed.iter_mut().map(|owed| {
            let pace = owed.pace.unwrap_or_else(|| self.pace(now));
            let pace = passed(pace, mem::take(&mut owed.taken), now);
            owed.pace.insert(pace).due()
        });
        dues.min().map(|due| (due, Verdict::Unread))
    }

    /// How long it is to the next look.
    fn every(&self) -> Duration {
        self.looks.0.min(self.deadlines.idle / 4)
    }

    fn pace(&self, now: Instant) -> Pace {
        Pace::from(now, self.deadlines.write, self.deadlines.min_rate)
    }
}

fn passed(mut pace: Pace, bytes: u64, now: Instant) -> Pace {
    pace.pass(bytes, now);
    pace
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::timeout;

    use super::*;
    use crate::server::Config;

    fn answer_one(pulse: &Pulse) {
        pulse.heard();
        pulse.ask(false);
        pulse.answer();
        pulse.flushed();
    }

    /// How long after the last of some requests a connection rests, and how it is looked at by then.
    async fn rests_after(requests: u32, apart: Duration) -> (Duration, Looks) {
        let (pulse, began) = (Pulse::default(), (Instant::now(), Looks::default()));
        let mut watch = Watch::new(Config::default().deadlines, false, began);
        answer_one(&pulse);
        for _ in 1..requests {
            let verdict = timeout(apart, poll_fn(|context| watch.poll(context, &pulse))).await;
            assert!(verdict.is_err(), "{verdict:?} between two requests");
            answer_one(&pulse);
        }
        let last = Instant::now();
        assert_eq!(poll_fn(|context| watch.poll(context, &pulse)).await, Verdict::Rest);
        (last.elapsed(), watch.looks())
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_once_rests_soon_and_who_asks_on_does_not() {
        let (once, looks) = rests_after(1, Duration::ZERO).await;
        assert!(FIRST_LOOK <= once && once <= 2 * FIRST_LOOK + FIRST_LOOK / 10, "{once:?}");
        assert_eq!(looks, Looks::default());

        let (often, looks) = rests_after(50, FIRST_LOOK / 2).await;
        assert!(LOOK <= often && often <= 2 * LOOK + LOOK / 10, "{often:?}");
        assert_eq!(looks, Looks::SELDOM);
    }
}
