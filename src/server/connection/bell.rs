//! A waker that says that it was it who woke.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// Wakes the task of a connection on behalf of what happens rarely: a timer, the end of the process.
///
/// A connection is polled for each request. Its rare futures are polled when their bell rang, and
/// else cost a request one load, not a look at a timer and at two tokens.
#[derive(Debug)]
pub(super) struct Bell {
    rang: AtomicBool,
    task: Mutex<Waker>,
}

impl Bell {
    /// A bell that has rung: what has never been polled is due.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { rang: AtomicBool::new(true), task: Mutex::new(Waker::noop().clone()) })
    }

    /// Whom it wakes from now on.
    pub(super) fn wakes(&self, task: &Waker) {
        task.clone_into(&mut self.task.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Whether it rang since it was asked last.
    pub(super) fn rang(&self) -> bool {
        self.rang.load(Ordering::Relaxed) && self.rang.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        task.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_rings_once_for_each_time_it_is_rung() {
        let (task, bell) = (Bell::new(), Bell::new());
        assert!(task.rang() && bell.rang(), "what is new is due");
        bell.wakes(&Waker::from(Arc::clone(&task)));
        assert!(!task.rang() && !bell.rang());

        Waker::from(Arc::clone(&bell)).wake();

        assert!(task.rang(), "it wakes the task");
        assert!(bell.rang() && !bell.rang(), "and says so once");
    }
}
