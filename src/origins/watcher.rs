//! A thread that looks for changes now and then, for adapters whose source does not call.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// The thread. Dropping it ends the thread, after the look in hand.
#[derive(Debug)]
pub(super) struct Watcher {
    /// `None` only while it is being dropped: that is what ends the thread.
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts a thread of this name. `look` returns when the receiver is disconnected.
    pub(super) fn start(
        name: &str,
        look: impl FnOnce(&Receiver<()>) + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = sync_channel(0);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || look(&stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, the panic hook has said so; there is nothing left to hand over.
            drop(thread.join());
        }
    }
}
