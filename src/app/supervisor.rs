//! The service manager that watches over the process: systemd's, or one that speaks its protocol
//! (sd_notify(3)). Without `NOTIFY_SOCKET` nobody is told anything.

use tokio::time::timeout;

use sd_notify::NotifyState;

use crate::server::Drain;

/// Every listener is open, and memory is what it was.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The end has begun.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says that the edge is alive, twice in the time after which it is taken for dead
/// (`WatchdogSec=`), as long as it is.
pub(super) async fn report(is_alive: impl Fn() -> bool, drain: Drain) {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    while timeout(patience / 2, drain.stopping()).await.is_err() {
        match is_alive() {
            true => tell(&[NotifyState::Watchdog]),
            false => tracing::error!("the watchdog is not told that the edge is alive: it is not"),
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager was not told");
    }
}
