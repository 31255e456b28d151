//! The threads that serve connections.
//!
//! Each is a runtime of its own with one thread, so a connection stays where it was accepted, and
//! a hit wakes nobody else. All accept from the same sockets. Everything that is not a connection
//! runs in the runtime that the edge was started in ([`crate::tasks`]): questions to origins,
//! refreshing, large renders, operators.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// The threads that serve connections. Dropping them ends them, with whatever they still serve.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    end: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    /// `None` only while it is being dropped.
    thread: Option<JoinHandle<()>>,
    has_turned: Arc<AtomicBool>,
}

impl Workers {
    /// Starts `count` threads; 0 is one for each core.
    ///
    /// # Errors
    ///
    /// If the system has no thread or no event queue left.
    pub fn start(count: usize) -> io::Result<Self> {
        let count = match count {
            0 => thread::available_parallelism()?.get(),
            count => count,
        };
        let mut workers = Self { workers: Vec::new(), end: CancellationToken::new() };
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (handle, end) = (runtime.handle().clone(), workers.end.clone());
            // Should one fail, dropping the others ends them.
            let thread = thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || runtime.block_on(end.cancelled()))?;
            let has_turned = Arc::new(AtomicBool::new(true));
            workers.workers.push(Worker { runtime: handle, thread: Some(thread), has_turned });
        }
        Ok(workers)
    }

    /// Acts once in the runtime of each: what is spawned there stays there.
    ///
    /// # Errors
    ///
    /// The first that there is; the rest is not acted in.
    pub(super) fn in_each(&self, mut act: impl FnMut() -> io::Result<()>) -> io::Result<()> {
        self.workers.iter().try_for_each(|worker| {
            let _entered = worker.runtime.enter();
            act()
        })
    }

    /// Whether each has gone through its events since this was called last, which asks it to.
    pub fn have_turned(&self) -> bool {
        self.workers.iter().fold(true, |have_turned, worker| {
            let turned = worker.has_turned.swap(false, Ordering::Relaxed);
            let has_turned = Arc::clone(&worker.has_turned);
            worker.runtime.spawn(async move { has_turned.store(true, Ordering::Relaxed) });
            have_turned && turned
        })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.end.cancel();
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // It cannot have panicked: a task's panic is the task's.
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, sync_channel};

    use super::*;

    #[test]
    fn a_worker_that_hangs_is_noticed_until_it_goes_on() {
        let workers = Workers::start(2).unwrap();
        let (hangs, hanging) = channel();
        let (go_on, held) = sync_channel::<()>(0);
        let last = workers.workers.last().unwrap().runtime.clone();
        last.spawn(async move {
            hangs.send(()).unwrap();
            held.recv().unwrap_err();
        });
        hanging.recv().unwrap();
        assert!(workers.have_turned(), "nobody was asked before");

        assert!(!workers.have_turned(), "the second cannot have");

        drop(go_on);
        // What is spawned there now runs behind what was asked of it.
        let (done, is_done) = channel();
        workers
            .in_each(|| {
                let done = done.clone();
                Handle::current().spawn(async move { done.send(()) });
                Ok(())
            })
            .unwrap();
        is_done.iter().take(2).for_each(drop);
        assert!(workers.have_turned());
    }

    #[test]
    fn a_panic_ends_its_task_and_nothing_else() {
        let workers = Workers::start(1).unwrap();
        let (done, is_done) = channel();

        workers
            .in_each(|| {
                let done = done.clone();
                Handle::current().spawn(async { panic!("of one connection") });
                Handle::current().spawn(async move { done.send(()) });
                Ok(())
            })
            .unwrap();

        is_done.recv().unwrap();
    }
}
