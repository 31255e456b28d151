//! A thread that asks: its runtime, its connections, its part of the schedule.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::load::choice::Choice;
use crate::load::connection::{Answer, Dialer, Failed, Kind, Slot};
use crate::load::line::{Line, MARGIN};
use crate::load::recorder::{Moments, Record};
use crate::load::schedule::Schedule;

/// A thread's own: nothing here is shared with another worker.
pub(crate) struct Worker {
    runtime: Runtime,
    /// For each target, the slots that ask it.
    slots: Vec<Vec<Slot>>,
}

/// One go at one target, the same for all workers.
#[derive(Clone)]
pub(crate) struct Go {
    /// Which of the targets.
    pub(crate) target: usize,
    /// What is drawn from here on; gos have numbers of their own.
    pub(crate) first_number: u64,
    pub(crate) choice: Arc<Choice>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) live: Arc<Live>,
}

/// What others may see of a go while it lasts.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub(crate) answered: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Worker {
    /// A worker without a target.
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, slots: Vec::new() })
    }

    /// Connects to one more target.
    pub(crate) fn connect(
        &mut self,
        dialer: &Arc<Dialer>,
        connections: usize,
        streams: usize,
    ) -> Result<(), Failed> {
        let slots = self.runtime.block_on(async {
            let mut opening = JoinSet::new();
            for mut slot in Slot::several(dialer, connections, streams) {
                opening.spawn(async move { slot.open().await.map(|()| slot) });
            }
            opening.join_all().await
        });
        self.slots.push(slots.into_iter().collect::<Result<_, _>>()?);
        Ok(())
    }

    /// Asks one target by a schedule, and returns what was measured.
    pub(crate) fn run(&mut self, go: &Go, schedule: Schedule) -> Record {
        let Some(slots) = self.slots.get_mut(go.target) else { return Record::new() };
        let taken = std::mem::take(slots);
        let (record, back) = self.runtime.block_on(ask_by(schedule, taken, go, MARGIN));
        *slots = back;
        record
    }
}

/// Whoever answers requests.
pub(crate) trait Ask: Send + 'static {
    /// Sends the request of this number, and waits for its answer.
    fn ask(
        &mut self,
        number: u64,
        choice: &Choice,
    ) -> impl Future<Output = Result<Answer, Kind>> + Send;
}

impl Ask for Slot {
    async fn ask(&mut self, number: u64, choice: &Choice) -> Result<Answer, Kind> {
        let draw = choice.draw(number);
        let request = self.target().request(draw.request, draw.is_conditional);
        match Self::ask(self, request).await {
            Ok(mut answer) => {
                if let Some(tag) = answer.tag.take() {
                    self.target().learn(draw.request, tag);
                }
                Ok(answer)
            }
            Err(failed) => {
                if failed.kind == Kind::Connect {
                    self.pause().await;
                }
                Err(failed.kind)
            }
        }
    }
}

/// Lets all slots serve one line, and returns them with what they have measured.
async fn ask_by<A: Ask>(
    schedule: Schedule,
    slots: Vec<A>,
    go: &Go,
    margin: Duration,
) -> (Record, Vec<A>) {
    let line = Arc::new(Line::new(schedule, slots.len(), margin));
    let record = Arc::new(Mutex::new(Record::new()));
    let mut asking = JoinSet::new();
    for (seat, slot) in slots.into_iter().enumerate() {
        let (line, record, go) = (Arc::clone(&line), Arc::clone(&record), go.clone());
        asking.spawn(serve(slot, seat, line, record, go));
    }
    let mut pacing = JoinSet::new();
    if schedule.is_open() {
        let (line, clock) = (Arc::clone(&line), Arc::clone(&go.clock));
        pacing.spawn(async move { line.pace(&*clock).await });
    }
    let slots = asking.join_all().await;
    pacing.shutdown().await;

    let mut record = record.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let now = go.clock.elapsed();
    for due in line.unsent() {
        record.add_unsent(due, schedule.end().unwrap_or(now));
    }
    record.elapsed = record.elapsed.saturating_sub(schedule.start()).max(schedule.span());
    (record, slots)
}

/// Serves a line from one seat, until there is no more.
async fn serve<A: Ask>(
    mut slot: A,
    seat: usize,
    line: Arc<Line>,
    record: Arc<Mutex<Record>>,
    go: Go,
) -> A {
    let mut free = Duration::ZERO;
    while let Some(ticket) = line.next(seat, &*go.clock).await {
        let sent = go.clock.elapsed();
        let answered = slot.ask(go.first_number + ticket.number, &go.choice).await;
        let done = go.clock.elapsed();
        let count = if answered.is_ok() { &go.live.answered } else { &go.live.failed };
        count.fetch_add(1, Ordering::Relaxed);
        let moments = Moments { free, due: ticket.due, sent, done };
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        record.add(moments, answered.as_ref().map_err(|kind| *kind));
        record.elapsed = done;
        free = done;
    }
    slot
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::load::choice::Zipf;
    use crate::load::schedule::Length;
    use crate::model::Timestamp;

    /// The runtime's clock, which a test moves by waiting.
    struct Runtimes(tokio::time::Instant);

    impl Clock for Runtimes {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }

        fn elapsed(&self) -> Duration {
            self.0.elapsed()
        }
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Answers at once, but for a stall in which it answers nobody.
    struct Stalling {
        clock: Arc<dyn Clock>,
        stall: std::ops::Range<Duration>,
    }

    impl Ask for Stalling {
        #[expect(clippy::disallowed_methods, reason = "the runtime's time stands still for tests")]
        async fn ask(&mut self, _: u64, _: &Choice) -> Result<Answer, Kind> {
            let now = self.clock.elapsed();
            if self.stall.contains(&now) {
                tokio::time::sleep(self.stall.end - now).await;
            }
            Ok(Answer { status: StatusCode::OK, body_bytes: 1, tag: None })
        }
    }

    fn go() -> Go {
        Go {
            target: 0,
            first_number: 0,
            choice: Arc::new(Choice::new(Zipf::new(1, 0.0), Zipf::new(1, 0.0), 0.0, 1)),
            clock: Arc::new(Runtimes(tokio::time::Instant::now())),
            live: Arc::default(),
        }
    }

    async fn measured(length: Length, slots: usize, stall: std::ops::Range<Duration>) -> Record {
        let go = go();
        let slot = || Stalling { clock: Arc::clone(&go.clock), stall: stall.clone() };
        let slots = std::iter::repeat_with(slot).take(slots).collect();
        // A margin of nothing: the paused clock moves by sleeping alone.
        let schedule = Schedule::new(ms(0), Some(1_000.0), length, (0, 1));
        let (record, _) = ask_by(schedule, slots, &go, Duration::ZERO).await;
        record
    }

    /// However many connections there are: requests in the stall are late by what is left of it.
    #[tokio::test(start_paused = true)]
    async fn a_stall_of_the_server_is_measured_by_due_times() {
        for slots in [1, 8, 200] {
            let record = measured(Length::Requests(1_000), slots, ms(500)..ms(600)).await;

            let at = |quantile| Duration::from_nanos(record.latency.value_at_quantile(quantile));
            assert_eq!((record.answered(), record.failed()), (1_000, 0));
            assert!(at(0.89) <= ms(2), "{slots}: {:?}", at(0.89));
            assert!((ms(48)..ms(53)).contains(&at(0.95)), "{slots}: {:?}", at(0.95));
            assert!((ms(88)..ms(93)).contains(&at(0.99)), "{slots}: {:?}", at(0.99));
            assert!(record.lag.max() <= 2_000_000, "{slots}: {}", record.lag.max());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_sent_in_time_counts_as_waiting() {
        let record = measured(Length::For(ms(1_000)), 1, ms(900)..ms(3_000)).await;

        assert_eq!(record.errors.get(&Kind::Unsent), Some(&99), "{record:?}");
        assert_eq!(record.answered() + record.failed(), 1_000, "none is left out");
        let at = Duration::from_nanos(record.latency.value_at_quantile(0.95));
        assert!((ms(48)..ms(53)).contains(&at), "{at:?}");
        assert!(record.latency.max() >= 2_000_000_000, "the one that was sent waited to the end");
    }
}
