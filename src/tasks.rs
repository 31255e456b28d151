//! Tasks that somebody waits for, and where they run.
//!
//! The threads that serve connections end with the listeners, and each is a runtime of its own. What
//! outlives its caller (a question to an origin, a renewal, a large render) must not end with one
//! of them, nor hold it up. So it is spawned into [`Tasks`], which remember the runtime that they
//! were made in, and run there whoever spawns.

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// Tasks that are waited for together. Cheap to clone; a clone is the same tasks.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    /// `None` if they were made outside of any runtime: then it is that of whoever spawns.
    home: Option<Handle>,
}

impl Default for Tasks {
    /// None yet, at home in the runtime that this is called in.
    fn default() -> Self {
        Self { tracker: TaskTracker::new(), home: Handle::try_current().ok() }
    }
}

impl Tasks {
    /// Runs a task at home.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        match &self.home {
            Some(home) => self.tracker.spawn_on(task, home),
            None => self.tracker.spawn(task),
        }
    }

    /// Runs what takes a thread for a while on a thread at home.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        match &self.home {
            Some(home) => self.tracker.spawn_blocking_on(work, home),
            None => self.tracker.spawn_blocking(work),
        }
    }

    /// Runs a task in the runtime that this is called in: one that belongs to a connection.
    pub fn spawn_here<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.tracker.spawn(task)
    }

    /// From here on [`Self::wait`] ends once no task is left.
    pub fn close(&self) {
        self.tracker.close();
    }

    /// Takes [`Self::close`] back.
    pub fn reopen(&self) {
        self.tracker.reopen();
    }

    /// Waits until they are closed and none is left.
    pub async fn wait(&self) {
        self.tracker.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_task_runs_at_home_whoever_spawns_it() {
        let home = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("home")
            .build()
            .unwrap();
        let away = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tasks = home.block_on(async { Tasks::default() });
        let name = || thread::current().name().unwrap_or_default().to_owned();

        let [task, work, here] = away.block_on(async {
            let task = tasks.spawn(async move { name() }).await.unwrap();
            let work = tasks.spawn_blocking(name).await.unwrap();
            [task, work, tasks.spawn_here(async move { name() }).await.unwrap()]
        });

        assert_eq!((&*task, &*work), ("home", "home"));
        assert_ne!(here, "home");
        tasks.close();
        away.block_on(tasks.wait());
    }
}
