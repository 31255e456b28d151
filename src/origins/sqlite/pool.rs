//! The threads SQLite runs on, and how a question gets to one and its answer back.
//!
//! SQLite blocks, so it never runs on an async worker. A [`Lane`] is a bounded queue with one or
//! more threads behind it, each with a connection of its own; the store has one lane for reads and
//! one, with a single thread, for writes.
//!
//! # Invariants
//!
//! 1. A full queue refuses at once (`tests::a_full_queue_refuses_at_once`).
//! 2. A question nobody waits for any more is not begun (`tests::an_abandoned_question_is_not_begun`).
//! 3. A write either was answered in time or leaves no trace, but for the one case where it is
//!    being committed when the time ends: then its answer is waited for
//!    (`tests::a_write_that_times_out_is_not_stored`,
//!    `tests::a_write_that_is_being_committed_is_waited_for`).
//! 4. A question that panics costs its asker the answer and nobody else anything
//!    (`tests::a_panicking_question_leaves_the_thread_usable`).

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::origins::error::{Error, WriteError};
use crate::origins::sqlite::fault::{broken_off, name};

/// A queue of questions and the threads that answer them.
///
/// Dropping it waits for the question in hand and ends the threads. Nobody else can be waiting: to
/// ask is to borrow the lane.
#[derive(Debug)]
pub(super) struct Lane {
    /// `None` only while it is being dropped: that is what ends the threads.
    queue: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
    timeout: Duration,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

impl Lane {
    /// Starts a thread for each of the `workers`, which are a thread's name and its connection.
    pub(super) fn start(
        workers: Vec<(String, Connection)>,
        capacity: usize,
        timeout: Duration,
    ) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(capacity);
        let jobs = Arc::new(Mutex::new(jobs));
        let mut lane = Self { queue: Some(queue), threads: Vec::new(), timeout };
        for (name, connection) in workers {
            let jobs = Arc::clone(&jobs);
            let thread = thread::Builder::new().name(name);
            // Should one fail, dropping the lane ends those before it.
            lane.threads.push(thread.spawn(move || work(&jobs, connection))?);
        }
        Ok(lane)
    }

    /// Answers a question from one consistent state of the store.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.ask(move |connection, _| Ok(question(&connection.transaction()?)?)).await
    }

    /// Does all of a write, or nothing of it.
    ///
    /// # Cancellation
    ///
    /// Dropping the future keeps a write from beginning, but does not stop one that has begun.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, WriteError> + Send + 'static,
        committed: impl FnOnce() + Send + 'static,
    ) -> Result<T, WriteError> {
        let waited = self.timeout;
        self.ask(move |connection, outcome| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let answer = write(&transaction)?;
            if !outcome.claim() {
                return Err(Error::TimedOut { origin: name(), waited }.into());
            }
            transaction.commit()?;
            committed();
            Ok(answer)
        })
        .await
    }

    async fn ask<T, E>(
        &self,
        question: impl FnOnce(&mut Connection, &Outcome) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let outcome = Arc::new(Outcome::default());
        let (answer, mut answered) = oneshot::channel();
        let job: Job = Box::new({
            let outcome = Arc::clone(&outcome);
            move |connection| {
                if answer.is_closed() {
                    return;
                }
                let result = question(connection, &outcome);
                // Whoever asked may be gone by now; then the answer is nobody's.
                drop(answer.send(result));
            }
        });

        let queue = self.queue.as_ref().ok_or_else(|| broken_off("the store is closed"))?;
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Disconnected(_) => broken_off("the store is closed"),
            TrySendError::Full(_) => Error::Busy { origin: name() },
        })?;

        let in_time = match timeout(self.timeout, &mut answered).await {
            Ok(in_time) => in_time,
            Err(_) if outcome.claim() => {
                return Err(Error::TimedOut { origin: name(), waited: self.timeout }.into());
            }
            // It is being committed: only the answer tells how that ends.
            Err(_) => answered.await,
        };
        // The answer's sender goes without a word only when the question panics.
        in_time.unwrap_or_else(|_| Err(broken_off("the question panicked").into()))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        drop(self.queue.take());
        for thread in self.threads.drain(..) {
            // A thread that panicked outside of a question has nothing left to hand over.
            drop(thread.join());
        }
    }
}

/// Who decides how a write ends: its thread by committing, or its asker by giving up.
#[derive(Debug, Default)]
struct Outcome {
    is_decided: AtomicBool,
}

impl Outcome {
    /// Whether the caller is the first to decide.
    fn claim(&self) -> bool {
        !self.is_decided.swap(true, Ordering::AcqRel)
    }
}

/// Answers questions until the queue is closed.
fn work(jobs: &Mutex<Receiver<Job>>, mut connection: Connection) {
    loop {
        // One idle thread waits in `recv`, the others for the lock: either way one wakes per job.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // Unwinding drops the question's transaction, which rolls it back: the connection is as
        // good as before. The panic itself has been reported by the panic hook.
        drop(catch_unwind(AssertUnwindSafe(|| job(&mut connection))));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn lane(capacity: usize, timeout: Duration) -> Lane {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (a)").unwrap();
        Lane::start(vec![("test".into(), connection)], capacity, timeout).unwrap()
    }

    fn insert(transaction: &Transaction<'_>) -> Result<(), WriteError> {
        transaction.execute("INSERT INTO t VALUES (1)", [])?;
        Ok(())
    }

    async fn rows(lane: &Lane) -> i64 {
        let count = |t: &Transaction<'_>| t.query_row("SELECT count(*) FROM t", [], |r| r.get(0));
        lane.read(count).await.unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let lane = lane(1, LONG);
        let (started, has_started) = channel();
        let (release, is_released) = channel::<()>();
        let hold = move |_: &Transaction<'_>| {
            started.send(()).unwrap();
            is_released.recv().unwrap();
            Ok(())
        };

        let refused = async {
            // Polled after the other two: one question is in hand, one waits.
            has_started.recv().unwrap();
            let waiting = lane.read(|_| Ok(()));
            let refused = async {
                let refused = lane.read(|_| Ok(())).await;
                release.send(()).unwrap();
                refused
            };
            let (waiting, refused) = tokio::join!(biased; waiting, refused);
            waiting.expect("the one that fits is answered");
            refused
        };
        let (held, refused) = tokio::join!(biased; lane.read(hold), refused);

        held.expect("the first is answered");
        assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn a_panicking_question_leaves_the_thread_usable() {
        let lane = lane(8, LONG);

        let panicked: Result<(), WriteError> = lane
            .write(
                |transaction| {
                    insert(transaction)?;
                    panic!("this panic is part of the test")
                },
                || {},
            )
            .await;

        assert!(matches!(panicked, Err(WriteError::Store(Error::Unreachable { .. }))));
        assert_eq!(rows(&lane).await, 0, "what the question wrote is rolled back");
        lane.write(insert, || {}).await.unwrap();
        assert_eq!(rows(&lane).await, 1);
    }

    #[tokio::test]
    async fn a_write_that_times_out_is_not_stored() {
        let mut lane = lane(8, Duration::from_millis(20));
        let (release, is_released) = channel::<()>();

        let late = lane
            .write(
                move |transaction| {
                    is_released.recv().unwrap();
                    insert(transaction)
                },
                || {},
            )
            .await;
        release.send(()).unwrap();

        assert!(matches!(late, Err(WriteError::Store(Error::TimedOut { .. }))));
        lane.timeout = LONG;
        assert_eq!(rows(&lane).await, 0);
    }

    #[tokio::test]
    async fn a_write_that_is_being_committed_is_waited_for() {
        let lane = lane(8, Duration::from_millis(100));
        let (committed, has_committed) = channel();
        let (release, is_released) = channel::<()>();
        let hold = move || {
            committed.send(()).unwrap();
            is_released.recv().unwrap();
        };

        let mut write = Box::pin(lane.write(insert, hold));
        tokio::select! {
            biased;
            _ = &mut write => panic!("the thread is held"),
            () = std::future::ready(()) => has_committed.recv().unwrap(),
        }
        let beyond_its_time = timeout(Duration::from_millis(150), &mut write).await;
        release.send(()).unwrap();

        assert!(beyond_its_time.is_err(), "it is too late to say that nothing was stored");
        write.await.expect("it was committed");
    }

    #[tokio::test]
    async fn an_abandoned_question_is_not_begun() {
        let lane = lane(8, LONG);
        let (started, has_started) = channel();
        let (release, is_released) = channel::<()>();
        let hold = move |_: &Transaction<'_>| {
            started.send(()).unwrap();
            is_released.recv().unwrap();
            Ok(())
        };

        let abandon = async {
            has_started.recv().unwrap();
            let mut abandoned = Box::pin(lane.write(insert, || {}));
            tokio::select! {
                biased;
                _ = &mut abandoned => panic!("the thread is held"),
                () = std::future::ready(()) => drop(abandoned),
            }
            release.send(()).unwrap();
        };
        let (held, ()) = tokio::join!(biased; lane.read(hold), abandon);

        held.unwrap();
        assert_eq!(rows(&lane).await, 0);
    }

    #[test]
    fn dropping_a_lane_ends_its_threads() {
        let lane = lane(8, LONG);
        let alive = Arc::new(());
        let seen = Arc::downgrade(&alive);
        let job: Job = Box::new(move |_| drop(alive));
        assert!(lane.queue.as_ref().unwrap().try_send(job).is_ok());

        drop(lane);

        assert!(seen.upgrade().is_none(), "the thread ran the job and has ended");
    }
}
