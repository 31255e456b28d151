//! How a process ends: accept nothing new, finish what was started, then insist.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Everything that has to end before the process does. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    tasks: TaskTracker,
    stopping: CancellationToken,
    insisting: CancellationToken,
}

impl Drain {
    /// The tasks that are waited for.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Completes when the process was told to stop.
    pub async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// Completes when waiting is over: whoever still works must drop it.
    pub async fn insisting(&self) {
        self.insisting.cancelled().await;
    }

    /// Tells everybody to stop, waits up to `patience`, then insists. Returns whether all tasks
    /// ended by themselves.
    pub async fn finish(&self, patience: Duration) -> bool {
        self.stopping.cancel();
        self.tasks.close();
        let ended = timeout(patience, self.tasks.wait()).await.is_ok();
        self.insisting.cancel();
        self.tasks.wait().await;
        ended
    }
}
