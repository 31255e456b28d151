//! The service manager that watches over the process: systemd's, or one that speaks its protocol
//! (sd_notify(3)). Without `NOTIFY_SOCKET` nobody is told anything.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sd_notify::NotifyState;
use tokio::time::timeout;

use crate::server::Drain;

/// Tells the service manager how the edge is, on a thread of its own: telling blocks while the
/// manager hangs, which must not hold up anything here. Nobody waits for the thread.
#[derive(Clone, Debug)]
pub struct Supervisor(SyncSender<NotifyState<'static>>);

impl Supervisor {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// If the system has none left.
    pub fn start() -> io::Result<Self> {
        let (sender, states) = sync_channel(QUEUE);
        thread::Builder::new().name("supervisor".to_owned()).spawn(move || tell(&states))?;
        Ok(Self(sender))
    }

    /// Every listener is open, and memory is what it was.
    pub fn ready(&self) {
        self.say(NotifyState::Ready);
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.say(NotifyState::Stopping);
    }

    fn say(&self, state: NotifyState<'static>) {
        if let Err(error) = self.0.try_send(state) {
            tracing::warn!(%error, "the service manager takes nothing in");
        }
    }
}

/// What is said while the manager does not listen.
const QUEUE: usize = 16;

fn tell(states: &Receiver<NotifyState<'static>>) {
    for state in states {
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::warn!(%error, "the service manager was not told");
        }
    }
}

/// Says that the edge is alive, twice in the time after which it is taken for dead
/// (`WatchdogSec=`), as long as it is.
pub(super) async fn report(supervisor: Supervisor, is_alive: impl Fn() -> bool, drain: Drain) {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    while timeout(patience / 2, drain.stopping()).await.is_err() {
        match is_alive() {
            true => supervisor.say(NotifyState::Watchdog),
            false => tracing::error!("the watchdog is not told that the edge is alive: it is not"),
        }
    }
}
