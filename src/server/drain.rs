//! How a process ends: accept nothing new, finish what was started, then insist.
//!
//! | phase     | begins with             | connections                                          |
//! |-----------|-------------------------|------------------------------------------------------|
//! | closing   | [`Drain::finish`]       | those that wait to be accepted are, and no more come |
//! | stopping  | the listeners' end      | each answers what it is asked, and says that it ends |
//! | parting   | a tenth of the patience | those that are asked nothing are closed              |
//! | insisting | the end of the patience | all are cut off                                      |
//!
//! A client that keeps a connection may be sending its next request just when the edge decides to
//! close it, and would get no answer. So what is asked nothing is closed only once it had the time to
//! ask, and to be told (RFC 9112 §9.6).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::tasks::Tasks;

/// Everything that has to end before the process does. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    tasks: Tasks,
    listeners: TaskTracker,
    closing: CancellationToken,
    stopping: CancellationToken,
    /// The same as a flag: what each answer looks at must not be a lock.
    is_stopping: Arc<AtomicBool>,
    parting: CancellationToken,
    insisting: CancellationToken,
}

impl Drain {
    /// The tasks that are waited for.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The loops that accept connections: they end before any connection does.
    pub(super) fn listeners(&self) -> &TaskTracker {
        &self.listeners
    }

    /// Completes when nothing more is to be accepted than what waits already.
    pub(super) async fn closing(&self) {
        self.closing.cancelled().await;
    }

    /// Completes when the process was told to stop, and accepts no more.
    pub async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// Whether it has: each answer from then on says that its connection ends.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Completes when connections that are asked nothing are to be closed.
    pub async fn parting(&self) {
        self.parting.cancelled().await;
    }

    /// Completes when waiting is over: whoever still works must drop it.
    pub async fn insisting(&self) {
        self.insisting.cancelled().await;
    }

    /// Goes through all phases, with `patience` for what was started. Returns whether all tasks ended
    /// by themselves.
    pub async fn finish(&self, patience: Duration) -> bool {
        self.closing.cancel();
        self.listeners.close();
        // They wait for nothing, and end as soon as they are looked at.
        let _ = timeout(LISTENERS_CLOSE, self.listeners.wait()).await;
        self.is_stopping.store(true, Ordering::Relaxed);
        self.stopping.cancel();
        self.tasks.close();
        let parting = patience / 10;
        let ended = timeout(parting, self.tasks.wait()).await.is_ok();
        self.parting.cancel();
        let ended = ended || timeout(patience - parting, self.tasks.wait()).await.is_ok();
        self.insisting.cancel();
        self.tasks.wait().await;
        ended
    }
}

/// How long the loops that accept may take to end.
const LISTENERS_CLOSE: Duration = Duration::from_secs(1);
