//! Noticing writes, whichever process made them.
//!
//! A thread asks SQLite for `data_version`, a number that moves when another connection commits,
//! and wakes whoever waits for changes when it has. It says that there may be something to read,
//! never what: waiters read that themselves, so one wake-up too many costs a read and no answer.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use crate::origins::watcher::Watcher;

/// Where waiters are woken.
///
/// Counts wake-ups; the count means nothing but that it moved.
#[derive(Clone, Debug)]
pub(super) struct Bell(Arc<watch::Sender<u64>>);

impl Bell {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Wakes everybody who waits.
    pub(super) fn ring(&self) {
        self.0.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Hears every ring from now on.
    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// Starts a thread that looks every `interval` for writes of other processes and rings `bell`.
pub(super) fn start(connection: Connection, interval: Duration, bell: Bell) -> io::Result<Watcher> {
    Watcher::start("store-watch", move |stopped| look(&connection, interval, &bell, stopped))
}

fn look(connection: &Connection, interval: Duration, bell: &Bell, stopped: &Receiver<()>) {
    let mut seen = data_version(connection).ok();
    while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        let found = data_version(connection);
        if let (Some(_), Err(error)) = (seen, &found) {
            tracing::warn!(error = %error, "store cannot be watched");
        }
        // A failure rings too, once: whoever waits then meets it when reading.
        let found = found.ok();
        if found != seen {
            seen = found;
            bell.ring();
        }
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}
