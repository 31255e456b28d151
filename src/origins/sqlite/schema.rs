//! What is in the file: whose it is, which schema it has, and how it gets the newest one.
//!
//! `application_id` says that the file is ours, `user_version` how many of the [`MIGRATIONS`] it
//! has had. A migration is never edited once released; a change is the next one.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

/// Why the store cannot be used at all. For the operator who starts it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is a database, but not one of ours.
    #[error(
        "{path} belongs to another program (application id {found:#x}): \
         name another file, or move this one away"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The id it carries.
        found: i32,
    },

    /// The file cannot be opened or made.
    #[error("the store {path} cannot be opened")]
    Inaccessible {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: rusqlite::Error,
    },

    /// The file could not be brought to the newest schema. It is what it was before.
    #[error("the store {path} could not be brought to schema version {number}")]
    Migration {
        /// The file.
        path: PathBuf,
        /// The schema version that was to be reached.
        number: i64,
        /// What happened.
        source: rusqlite::Error,
    },

    /// A newer binary has used the file.
    #[error(
        "{path} has schema version {found}, this binary knows up to {known}: \
         upgrade prompt-edge, or restore a backup from before the upgrade"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest one this binary knows.
        known: i64,
    },

    /// The file holds something else.
    #[error("{path} is not a database: name another file, or move this one away")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },

    /// The operating system gave no thread.
    #[error("the store cannot start its threads")]
    NoThread(#[source] std::io::Error),
}

impl OpenError {
    /// What a failure of the first statements on the file at `path` means.
    pub(super) fn of(path: &Path, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path: path.to_owned() },
            _ => Self::Inaccessible { path: path.to_owned(), source },
        }
    }
}

/// Makes sure the file is ours, writes ahead, and has the newest schema.
///
/// Any number of processes may do this to the same fresh file at once
/// (`tests::a_crowd_can_open_a_fresh_file_at_once`).
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let found = identify(connection, path)?;
    write_ahead(connection)
        .map_err(|source| OpenError::Inaccessible { path: path.to_owned(), source })?;
    if found < known() {
        migrate(connection, path, found)?;
    }
    Ok(())
}

/// Reads the schema version, and changes nothing: the file may be somebody else's.
fn identify(connection: &mut Connection, path: &Path) -> Result<i64, OpenError> {
    let (owner, version, tables) =
        marks(connection).map_err(|source| OpenError::of(path, source))?;
    let is_fresh = owner == 0 && version == 0 && tables == 0;
    if owner != APPLICATION_ID && !is_fresh {
        return Err(OpenError::Foreign { path: path.to_owned(), found: owner });
    }
    refuse_newer(version, path)?;
    Ok(version)
}

/// Owner, schema version and number of tables, as of one moment.
fn marks(connection: &mut Connection) -> rusqlite::Result<(i32, i64, i64)> {
    let transaction = connection.transaction()?;
    let owner = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version = schema_version(&transaction)?;
    let tables =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok((owner, version, tables))
}

/// Switches the file to write-ahead logging, which it then keeps.
///
/// The switch needs the file to itself for a moment and, unlike every other statement, does not
/// wait for it. An exclusive transaction does wait, so each failed attempt is followed by one.
fn write_ahead(connection: &mut Connection) -> rusqlite::Result<()> {
    let mut attempts_left = 100;
    loop {
        let switched = connection.pragma_update(None, "journal_mode", "wal");
        attempts_left -= 1;
        match switched {
            Err(error)
                if attempts_left > 0
                    && error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) =>
            {
                connection.transaction_with_behavior(TransactionBehavior::Exclusive)?.rollback()?;
            }
            result => return result,
        }
    }
}

/// Runs the migrations the file has not had, each in a transaction of its own.
fn migrate(connection: &mut Connection, path: &Path, found: i64) -> Result<(), OpenError> {
    let mut number = found + 1;
    loop {
        let stepped = step(connection);
        let failed = |source| OpenError::Migration { path: path.to_owned(), number, source };
        match stepped.map_err(failed)? {
            Step::Done(version) => return refuse_newer(version, path),
            Step::Reached(version) => number = version + 1,
        }
    }
}

/// What became of one step.
enum Step {
    /// There is no migration left: the file has this version.
    Done(i64),
    /// The file has this version now.
    Reached(i64),
}

fn step(connection: &mut Connection) -> rusqlite::Result<Step> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Asked again under the lock: another process may have been here in between.
    let version = schema_version(&transaction)?;
    let next = usize::try_from(version).ok().and_then(|had| MIGRATIONS.get(had));
    let Some(migration) = next else {
        return Ok(Step::Done(version));
    };
    transaction.execute_batch(migration)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version + 1)?;
    transaction.commit()?;
    Ok(Step::Reached(version + 1))
}

fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn refuse_newer(found: i64, path: &Path) -> Result<(), OpenError> {
    if (0..=known()).contains(&found) {
        return Ok(());
    }
    Err(OpenError::Newer { path: path.to_owned(), found, known: known() })
}

/// The newest schema version this binary knows.
const fn known() -> i64 {
    MIGRATIONS.len() as i64
}

/// `pedg` in ASCII.
const APPLICATION_ID: i32 = 0x7065_6467;

/// What makes schema version `n` of version `n - 1`, at place `n - 1`.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_ledger.sql"),
    include_str!("migrations/0003_origins.sql"),
];

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn open(path: &Path) -> Result<Connection, OpenError> {
        let mut connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::from_secs(60)).unwrap();
        prepare(&mut connection, path)?;
        Ok(connection)
    }

    #[test]
    fn a_crowd_can_open_a_fresh_file_at_once() {
        for _ in 0..5 {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("store.db");
            let start = Barrier::new(8);

            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        start.wait();
                        let connection = open(&path).expect("every opener succeeds");
                        assert_eq!(schema_version(&connection).unwrap(), known());
                    });
                }
            });
        }
    }

    #[test]
    fn a_file_of_another_program_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("PRAGMA application_id = 7; CREATE TABLE theirs (a)").unwrap();
        drop(other);
        let before = std::fs::read(&path).unwrap();

        let refused = open(&path).expect_err("the file is another program's");

        assert!(matches!(refused, OpenError::Foreign { found: 7, .. }), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_database_without_an_owner_is_another_programs_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();

        assert!(matches!(open(&path), Err(OpenError::Foreign { found: 0, .. })));
    }

    #[test]
    fn a_newer_schema_is_refused_and_the_message_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();

        let refused = open(&path).expect_err("the schema is newer").to_string();

        assert!(refused.contains("schema version 99, this binary knows up to 3"), "{refused}");
        assert!(refused.contains("upgrade prompt-edge, or restore a backup"), "{refused}");
    }

    #[test]
    fn a_file_of_any_earlier_schema_is_brought_to_the_newest() {
        let directory = tempfile::tempdir().unwrap();
        for version in 1..known() {
            let path = directory.path().join(format!("{version}.db"));
            let mut old = Connection::open(&path).unwrap();
            for migration in &MIGRATIONS[..usize::try_from(version).unwrap()] {
                old.execute_batch(migration).unwrap();
            }
            old.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
            old.pragma_update(None, "user_version", version).unwrap();
            old.execute_batch("INSERT INTO projects VALUES (1, 'u', 'acme', 'free', 0)").unwrap();
            assert_eq!(marks(&mut old).unwrap().1, version);
            drop(old);

            let connection = open(&path).expect("the schema is known");

            assert_eq!(schema_version(&connection).unwrap(), known());
            let kept = connection.query_row("SELECT name FROM projects", [], |row| row.get(0));
            assert_eq!(kept, Ok("acme".to_owned()), "what was there still is");
        }
    }

    #[test]
    fn a_file_that_is_no_database_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notes.txt");
        std::fs::write(&path, "not a database, but long enough to look at".repeat(100)).unwrap();

        assert!(matches!(open(&path), Err(OpenError::NotADatabase { .. })));
    }

    #[test]
    fn a_version_never_changes() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("store.db")).unwrap();
        connection
            .execute_batch(
                "INSERT INTO projects VALUES (1, 'u', 'acme', 'free', 0, NULL);
                 INSERT INTO prompts VALUES (1, 'p', 1, 's', '', '', '', 'private', '[]', '', 0, 0);
                 INSERT INTO versions VALUES (1, 1, 1, 'v', 'c', '{}', 0);",
            )
            .unwrap();

        for column in ["content = '{\"a\":1}'", "number = 2", "commit_hash = 'd'"] {
            let refused = connection.execute(&format!("UPDATE versions SET {column}"), []);
            assert_eq!(refused.expect_err(column).to_string(), "a version never changes");
        }
    }
}
