//! Prompts in one SQLite file: the store that needs no server.
//!
//! Several processes may use the file at once: running edges, and the command line beside them.
//! Writes are in a write-ahead log, so readers never wait for a writer and a writer never waits
//! for readers; each write is on the disk before it is answered (`synchronous = FULL`).
//!
//! ```text
//!            ┌▶ reads   store-reader-0 … n   one read transaction per question     read.rs
//! a method ──┤
//!            └▶ writes  store-writer         one immediate transaction per write   write.rs import.rs ledger.rs
//!                          │ rings after each commit, but for the ledger's
//!                          ▼
//! changes() ◀── bell ◀── store-watch         polls for commits of other processes  watch.rs
//! ```
//!
//! The same file holds the months that are counted: [`SqliteStore`] is a `Ledger` as well.
//!
//! What changed is written down by triggers (`migrations/`), in the transaction of the change
//! itself: it cannot be forgotten, and it is never seen before the change is. About the newest
//! ten thousand changes are kept; whoever fell behind further is told to forget everything.

mod fault;
mod import;
mod ledger;
mod pool;
mod read;
mod row;
mod schema;
mod watch;
mod write;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value};

use crate::model::{
    ApiKey, Edition, Environment, EnvironmentId, Grant, Imported, KeyDigest, KeyId, Listed,
    OriginName, Overview, Portable, Project, ProjectId, PromptName, Tenant, Timestamp,
};
use crate::origins::sqlite::pool::Lane;
use crate::origins::sqlite::watch::Bell;
use crate::origins::watcher::Watcher;
use crate::origins::{
    Changes, Cursor, Import, NewKey, NewProject, Pending, Publish, Rollback, Store, WriteError,
};

pub use schema::OpenError;

/// Where the file is, and how patient its users are.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file; made if there is none. Its folder must exist.
    pub path: PathBuf,
    /// How many reads run at once.
    pub readers: NonZeroUsize,
    /// How long to wait for another process to finish a write.
    pub busy_timeout: Duration,
    /// How long one question may take, waiting included. An import or export of thousands of
    /// prompts is one question.
    pub timeout: Duration,
    /// How often to look for writes of other processes: at most this long until they are noticed.
    pub watch_interval: Duration,
}

impl Config {
    /// The defaults for a file at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            // A read takes well under a millisecond; a second thread keeps a long export from
            // holding up deliveries.
            readers: NonZeroUsize::MIN.saturating_add(1),
            busy_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            watch_interval: Duration::from_millis(100),
        }
    }
}

/// The embedded store.
///
/// Dropping it joins its threads. That takes as long as the question in hand: at most about
/// `busy_timeout`, commonly nothing.
#[derive(Debug)]
pub struct SqliteStore {
    name: OriginName,
    bell: Bell,
    // Dropped in this order: the writer's connection is the last one, and tidies the log away.
    reads: Lane,
    _watcher: Watcher,
    writes: Lane,
}

impl SqliteStore {
    /// Opens the store, makes the file if there is none, and brings its schema up to date.
    ///
    /// Blocks: call it before the first request is served.
    ///
    /// # Errors
    ///
    /// If the file is not ours, is newer than this binary, or cannot be used.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        // An absolute path is a file, never one of SQLite's special names such as `:memory:`.
        let path = std::path::absolute(&config.path).unwrap_or_else(|_| config.path.clone());
        let failed = |source| OpenError::of(&path, source);

        let mut writer = connect(&path, OpenFlags::SQLITE_OPEN_CREATE, &config).map_err(failed)?;
        schema::prepare(&mut writer, &path)?;
        let reader = || {
            let connection = connect(&path, OpenFlags::empty(), &config)?;
            connection.pragma_update(None, "query_only", true)?;
            Ok(connection)
        };
        let mut readers = Vec::with_capacity(config.readers.get());
        for index in 0..config.readers.get() {
            readers.push((format!("store-reader-{index}"), reader().map_err(failed)?));
        }
        let watcher = reader().map_err(failed)?;

        let bell = Bell::new();
        let writer = Vec::from([("store-writer".to_owned(), writer)]);
        let lane = |workers, capacity| Lane::start(workers, capacity, config.timeout);
        Ok(Self {
            name: fault::name(),
            reads: lane(readers, READS_WAITING).map_err(OpenError::NoThread)?,
            _watcher: watch::start(watcher, config.watch_interval, bell.clone())
                .map_err(OpenError::NoThread)?,
            writes: lane(writer, WRITES_WAITING).map_err(OpenError::NoThread)?,
            bell,
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T, WriteError> + Send + 'static,
    ) -> Result<T, WriteError> {
        let bell = self.bell.clone();
        self.writes.write(|transaction| write(transaction), move || bell.ring()).await
    }
}

impl Store for SqliteStore {
    fn name(&self) -> &OriginName {
        &self.name
    }

    fn edition<'a>(
        &'a self,
        tenant: Tenant,
        prompt: &'a PromptName,
    ) -> Pending<'a, Option<Edition>> {
        let prompt = prompt.clone();
        Box::pin(self.reads.read(move |connection| read::edition(connection, tenant, &prompt)))
    }

    fn listing(&self, tenant: Tenant) -> Pending<'_, Vec<Listed>> {
        Box::pin(self.reads.read(move |connection| read::listing(connection, tenant)))
    }

    fn changes(&self, cursor: Cursor) -> Pending<'_, Changes> {
        Box::pin(async move {
            // Listening begins before the first look, so that nothing falls in between.
            let mut rings = self.bell.listen();
            loop {
                let found = self.reads.read(move |connection| read::changes(connection, cursor));
                if let Some(changes) = found.await? {
                    return Ok(changes);
                }
                rings.changed().await.map_err(fault::broken_off)?;
            }
        })
    }

    fn grant(&self, digest: KeyDigest) -> Pending<'_, Option<Grant>> {
        Box::pin(self.reads.read(move |connection| read::grant(connection, digest)))
    }

    fn environment_named<'a>(
        &'a self,
        project: &'a str,
        environment: &'a str,
    ) -> Pending<'a, Option<(Project, Environment)>> {
        let (project, environment) = (project.to_owned(), environment.to_owned());
        Box::pin(
            self.reads.read(move |connection| {
                read::environment_named(connection, &project, &environment)
            }),
        )
    }

    fn create_project(&self, new: NewProject) -> Pending<'_, Project, WriteError> {
        Box::pin(self.write(move |connection| write::create_project(connection, new)))
    }

    fn projects(&self) -> Pending<'_, Vec<Project>> {
        Box::pin(self.reads.read(|connection| read::projects(connection)))
    }

    fn set_plan(&self, project: ProjectId, plan: String) -> Pending<'_, (), WriteError> {
        Box::pin(self.write(move |connection| write::set_plan(connection, project, &plan)))
    }

    fn set_origin(
        &self,
        project: ProjectId,
        origin: Option<OriginName>,
    ) -> Pending<'_, (), WriteError> {
        Box::pin(
            self.write(move |connection| write::set_origin(connection, project, origin.as_ref())),
        )
    }

    fn environments(&self, project: ProjectId) -> Pending<'_, Vec<Environment>> {
        Box::pin(self.reads.read(move |connection| read::environments(connection, project)))
    }

    fn set_defaults(
        &self,
        environment: EnvironmentId,
        defaults: Map<String, Value>,
    ) -> Pending<'_, (), WriteError> {
        Box::pin(
            self.write(move |connection| write::set_defaults(connection, environment, &defaults)),
        )
    }

    fn create_key(&self, new: NewKey) -> Pending<'_, ApiKey, WriteError> {
        Box::pin(self.write(move |connection| write::create_key(connection, new)))
    }

    fn keys(&self) -> Pending<'_, Vec<Grant>> {
        Box::pin(self.reads.read(|connection| read::keys(connection)))
    }

    fn revoke_key(&self, id: KeyId, at: Timestamp) -> Pending<'_, (), WriteError> {
        Box::pin(self.write(move |connection| write::revoke_key(connection, id, at)))
    }

    fn touch_keys(&self, used: Vec<(KeyId, Timestamp)>) -> Pending<'_, (), WriteError> {
        Box::pin(self.write(move |connection| write::touch_keys(connection, &used)))
    }

    fn overview(&self, project: ProjectId) -> Pending<'_, Vec<Overview>> {
        Box::pin(self.reads.read(move |connection| read::overview(connection, project)))
    }

    fn export(&self, project: ProjectId, only: Option<PromptName>) -> Pending<'_, Vec<Portable>> {
        Box::pin(
            self.reads.read(move |connection| read::export(connection, project, only.as_ref())),
        )
    }

    fn import(&self, import: Import) -> Pending<'_, Vec<Imported>, WriteError> {
        Box::pin(self.write(move |connection| import::import(connection, &import)))
    }

    fn publish(&self, publish: Publish) -> Pending<'_, u32, WriteError> {
        Box::pin(self.write(move |connection| write::publish(connection, &publish)))
    }

    fn rollback(&self, rollback: Rollback) -> Pending<'_, u32, WriteError> {
        Box::pin(self.write(move |connection| write::rollback(connection, &rollback)))
    }

    fn delete(&self, project: ProjectId, prompt: PromptName) -> Pending<'_, (), WriteError> {
        Box::pin(self.write(move |connection| write::delete(connection, project, &prompt)))
    }
}

/// One more connection to the file, set up as they all are.
fn connect(path: &Path, extra: OpenFlags, config: &Config) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | extra;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(config.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}

/// How many reads may wait for a thread. At a tenth of a millisecond each, the last of them is
/// answered well before it times out.
const READS_WAITING: usize = 1024;

/// How many writes may wait. Each costs a flush to disk, so more would only time out.
const WRITES_WAITING: usize = 64;
