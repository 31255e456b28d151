//! Who sends the next request: the place where free connections wait for what falls due.
//!
//! A request belongs to no connection. Whichever is free takes the next one, and those that wait
//! are served in turn. So a connection that is held up holds up one request, while a server that
//! stalls on all of them holds up the schedule, which shows in every request behind.
//!
//! Timers of the runtime tick in milliseconds, which is more than an answer takes. So [`Line::pace`]
//! sleeps until shortly before the next due time and polls for the rest: precise to a few
//! microseconds, at the price of a core while connections wait.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::yield_now;

use crate::clock::Clock;
use crate::load::schedule::{Schedule, Ticket};

/// The schedule of one worker, and the seats of those who serve it.
pub(crate) struct Line {
    schedule: Schedule,
    /// How long before a due time sleeping ends and polling begins.
    margin: Duration,
    /// Held for a few instructions; the worker's thread alone takes it.
    state: Mutex<State>,
    /// Told when somebody begins to wait.
    is_waited: Notify,
}

struct State {
    /// How many tickets were handed out.
    taken: u64,
    seats: Vec<Seat>,
    /// The seats that wait, in turn.
    waiting: VecDeque<usize>,
}

#[derive(Default)]
struct Seat {
    ticket: Option<Ticket>,
    waker: Option<Waker>,
    is_waiting: bool,
}

impl Line {
    /// A line with so many seats.
    pub(crate) fn new(schedule: Schedule, seats: usize, margin: Duration) -> Self {
        let state = State {
            taken: 0,
            seats: std::iter::repeat_with(Seat::default).take(seats).collect(),
            waiting: VecDeque::with_capacity(seats),
        };
        Self { schedule, margin, state: Mutex::new(state), is_waited: Notify::new() }
    }

    /// Waits for a request to be due; `None` when there will be no more.
    pub(crate) async fn next(&self, seat: usize, clock: &dyn Clock) -> Option<Ticket> {
        poll_fn(|context| self.poll_next(seat, clock.elapsed(), context)).await
    }

    fn poll_next(&self, seat: usize, now: Duration, context: &Context<'_>) -> Poll<Option<Ticket>> {
        let mut state = self.state();
        let State { taken, seats, waiting } = &mut *state;
        let Some(own) = seats.get_mut(seat) else { return Poll::Ready(None) };
        if let Some(ticket) = own.ticket.take() {
            return Poll::Ready(Some(ticket));
        }
        // Who comes free when the time is over takes nothing more.
        let next = self.schedule.ticket(*taken, now).filter(|_| !self.schedule.is_over(now));
        if next.is_some_and(|ticket| ticket.due > now) {
            own.waker = Some(context.waker().clone());
            if !std::mem::replace(&mut own.is_waiting, true) {
                waiting.push_back(seat);
            }
            self.is_waited.notify_one();
            return Poll::Pending;
        }
        if std::mem::take(&mut own.is_waiting) {
            waiting.retain(|other| *other != seat);
        }
        *taken += u64::from(next.is_some());
        Poll::Ready(next)
    }

    /// Hands out what falls due, until nothing more will. Runs beside those who wait.
    pub(crate) async fn pace(&self, clock: &dyn Clock) {
        loop {
            let now = clock.elapsed();
            let (next, is_waited) = self.hand_out(now);
            let Some(next) = next else { return };
            if !is_waited {
                self.is_waited.notified().await;
                continue;
            }
            self.approach(next.due.saturating_sub(now)).await;
        }
    }

    /// Gives those who wait what is due, and returns what is next and whether anybody waits for it.
    /// When there is nothing more, all who wait are sent home. Who waited was free in time, so that
    /// this goes on when the time is over.
    fn hand_out(&self, now: Duration) -> (Option<Ticket>, bool) {
        let mut state = self.state();
        let State { taken, seats, waiting } = &mut *state;
        let next = loop {
            let next = self.schedule.ticket(*taken, now);
            let is_due = next.is_some_and(|ticket| ticket.due <= now);
            if next.is_some() && !is_due {
                break next;
            }
            let Some(seat) = waiting.pop_front() else { break next };
            let Some(seat) = seats.get_mut(seat) else { break next };
            seat.is_waiting = false;
            seat.ticket = next;
            *taken += u64::from(is_due);
            if let Some(waker) = seat.waker.take() {
                waker.wake();
            }
        };
        (next, !waiting.is_empty())
    }

    /// Comes nearer to a due time: sleeps if it is far, lets others run if it is near.
    #[expect(clippy::disallowed_methods, reason = "pacing is waiting for a moment")]
    async fn approach(&self, ahead: Duration) {
        match ahead.checked_sub(self.margin).filter(|far| !far.is_zero()) {
            Some(far) => tokio::time::sleep(far).await,
            None => yield_now().await,
        }
    }

    /// The due times of what was never sent, when the line has ended.
    pub(crate) fn unsent(&self) -> impl Iterator<Item = Duration> {
        let taken = self.state().taken;
        let rest = (taken..).map_while(|nth| self.schedule.ticket(nth, Duration::ZERO));
        rest.take_while(|_| self.schedule.is_open()).map(|ticket| ticket.due)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tick of the runtime's timer, and as much again for a thread to be woken.
pub(crate) const MARGIN: Duration = Duration::from_millis(2);
