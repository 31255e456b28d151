//! Stores that live as long as the test that uses them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prompt_edge::ledger::Ledger;
use prompt_edge::origins::Store;
use prompt_edge::origins::sqlite::{Config, SqliteStore};
use tempfile::TempDir;

/// A store in a folder of its own, which goes with it.
pub(crate) struct Temporary {
    // Dropped in this order: the store closes its file before the folder goes.
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ledger: Arc<dyn Ledger>,
    directory: TempDir,
}

/// An empty SQLite store.
pub(crate) fn sqlite() -> Temporary {
    let directory = tempfile::tempdir().expect("a temporary folder can be made");
    let store = open(directory.path().join("store.db"));
    Temporary { store: Arc::clone(&store) as _, ledger: store, directory }
}

impl Temporary {
    /// The store's file.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("store.db")
    }

    /// The same file, opened once more, as another process would.
    pub(crate) fn opened_again(&self) -> Arc<SqliteStore> {
        open(self.path())
    }

    /// The ledger, as each of two processes has it.
    pub(crate) fn ledgers(&self) -> [Arc<dyn Ledger>; 2] {
        [Arc::clone(&self.ledger), self.opened_again()]
    }

    /// Drops the store, and keeps its folder.
    pub(crate) fn closed(self) -> TempDir {
        self.directory
    }
}

/// The defaults, but patient: a slow machine is no reason to fail a test.
pub(crate) fn patient(path: impl Into<PathBuf>) -> Config {
    let minute = Duration::from_secs(60);
    Config { busy_timeout: minute, timeout: minute, ..Config::at(path) }
}

fn open(path: PathBuf) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(patient(path)).expect("the store opens"))
}
