//! What the SQLite store owes beyond the contract: its file, and the other users of it.

use std::time::Duration;

use prompt_edge::ledger::{Ask, Holder, Ledger, Month, Usage};
use prompt_edge::model::{KeyDigest, ProjectId};
use prompt_edge::origins::sqlite::{Config, OpenError, SqliteStore};
use prompt_edge::origins::{Change, Cursor, Error, NewProject, Store, WriteError};
use rusqlite::Connection;
use uuid::Uuid;

use crate::contract::given::{Given, at, prompt};
use crate::harness::store;

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let kept = store::sqlite();
    let given = Given::project(&kept.store, "acme").await;
    given.import(prompt("greeting", &["one", "two"])).await;
    given.publish("greeting", 1, "live").await.expect("it can be published");
    let before = given.export("greeting").await;
    let (project, cursor) = (given.project.id, given.now().await);

    let store = kept.opened_again();

    assert_eq!(store.export(project, None).await.expect("the store answers"), [before]);
    let now = store.changes(Cursor::START).await.expect("the store answers").cursor;
    assert_eq!(now, cursor, "a cursor outlives the process");
}

/// The command line writes to the file of a running edge.
#[tokio::test]
async fn changes_of_another_process_are_told() {
    let kept = store::sqlite();
    let given = Given::project(&kept.store, "acme").await;
    let other = kept.opened_again();
    let cursor = given.now().await;

    let (told, made) =
        tokio::join!(biased; given.changes(cursor), other.create_key(given.key(7, "live")));

    made.expect("the key is recorded");
    assert_eq!(told.changes, [Change::Key(KeyDigest([7; 32]))]);
    let grant = kept.store.grant(KeyDigest([7; 32])).await.expect("the store answers");
    assert!(grant.is_some(), "what is told can be read");
}

#[tokio::test]
async fn whoever_falls_behind_what_is_kept_must_forget_everything() {
    let kept = store::sqlite();
    let given = Given::project(&kept.store, "acme").await;
    let cursor = given.now().await;
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001)
                INSERT INTO changes (kind, project) SELECT 'project', i FROM n";
    let connection = Connection::open(kept.path()).expect("the file opens");
    assert_eq!(connection.execute(many, []).expect("the rows are written"), 10_001);

    let behind = given.changes(cursor).await;
    let just_kept = given.changes(Cursor(cursor.0 + 1)).await;

    assert_eq!(behind.changes, [Change::Everything]);
    assert_eq!(behind.cursor, Cursor(cursor.0 + 10_001));
    assert_eq!(just_kept.changes.len(), 10_000, "what is kept is told one by one");
    assert_eq!(just_kept.cursor, behind.cursor);
}

/// After a restore from a backup the file's own count is behind.
#[tokio::test]
async fn a_cursor_ahead_of_the_file_must_forget_everything() {
    let kept = store::sqlite();
    let given = Given::project(&kept.store, "acme").await;
    let now = given.now().await;

    let ahead = given.changes(Cursor(now.0 + 1)).await;

    assert_eq!((&ahead.changes[..], ahead.cursor), (&[Change::Everything][..], now));
}

/// Whoever writes to the file, by whatever statement: what changed is told.
#[tokio::test]
async fn every_table_tells_what_changed_in_it() {
    let kept = store::sqlite();
    let given = Given::project(&kept.store, "acme").await;
    let mut full = prompt("greeting", &["one", "two"]);
    full.labels = vec![("beta".parse().expect("a label"), 2)];
    full.published = vec![("live".into(), vec![1, 2])];
    given.import(full).await;
    given.store.create_key(given.key(7, "live")).await.expect("the key is recorded");
    let connection = Connection::open(kept.path()).expect("the file opens");
    let month = format!("INSERT INTO months VALUES ({}, '2026-11', 7)", given.project.id.0);

    let project = Change::Project(given.project.id);
    let key = Change::Key(KeyDigest([7; 32]));
    let exported = given.export("greeting").await;
    let id = exported.id.expect("an export has ids");
    let changed = Change::Prompt { project: given.project.id, id, slug: exported.slug };
    for (statement, expected) in [
        ("UPDATE projects SET plan = 'free'", vec![&project]),
        ("UPDATE environments SET name = 'test' WHERE name = 'dev'", vec![&project]),
        ("DELETE FROM environments WHERE name = 'test'", vec![&project]),
        ("UPDATE keys SET expires_at = 1", vec![&key]),
        ("UPDATE keys SET last_used_at = 1", vec![]),
        ("DELETE FROM keys", vec![&key]),
        ("UPDATE prompts SET owner = 'ada'", vec![&changed]),
        ("DELETE FROM labels", vec![&changed]),
        ("DELETE FROM publications WHERE version = 2", vec![&changed]),
        ("DELETE FROM versions WHERE number = 2", vec![&changed]),
        (&month, vec![]),
        ("INSERT INTO leases SELECT project, month, 'h', 1, 1 FROM months", vec![]),
        ("UPDATE months SET used = 8", vec![]),
        ("UPDATE leases SET outstanding = 2", vec![]),
        ("DELETE FROM projects", vec![&project, &changed]),
    ] {
        let before = given.now().await;
        connection.execute_batch("PRAGMA foreign_keys = ON").expect("rows go with their owners");
        connection.execute(statement, []).expect(statement);
        let told = match given.now().await {
            now if now == before => Vec::new(),
            _ => given.changes(before).await.changes,
        };
        let agrees = told.len() == expected.len() && expected.iter().all(|one| told.contains(one));
        assert!(agrees, "{statement}: {told:?}");
    }
    for table in ["months", "leases"] {
        let left = format!("SELECT count(*) FROM {table}");
        assert_eq!(connection.query_row(&left, [], |row| row.get(0)), Ok(0), "{table}");
    }
}

#[tokio::test]
async fn what_was_settled_or_leased_is_there_after_reopening() {
    let kept = store::sqlite();
    let project = Given::project(&kept.store, "acme").await.project.id;
    let ask = Ask { overdrawn: 5, ..asking(project, 30) };
    kept.ledger.lease(ask.clone()).await.expect("the ledger answers");
    let path = kept.path();
    let directory = kept.closed();

    let ledger = SqliteStore::open(store::patient(path)).expect("the store opens");

    let usage = ledger.usage(None).await.expect("the ledger answers");
    assert_eq!(usage, [Usage { project, month: ask.month, used: 5, leased: 30 }]);
    let again = Ask { spent: 20, overdrawn: 0, want: 0, ..ask };
    let again = ledger.lease(again).await.expect("the ledger answers");
    assert!(again.is_continued, "a lease is its holder's, whoever opened the file");
    drop((ledger, directory));
}

#[tokio::test]
async fn asking_for_more_of_a_spent_quota_writes_nothing() {
    let kept = store::sqlite();
    let project = Given::project(&kept.store, "acme").await.project.id;
    let spent = Ask { overdrawn: 100, ..asking(project, 30) };
    kept.ledger.lease(spent).await.expect("the ledger answers");
    let other = Connection::open(kept.path()).expect("the file opens");
    let commits = || other.pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0));
    let before = commits().expect("the file can be read");

    for _ in 0..3 {
        let refused = kept.ledger.lease(asking(project, 30)).await.expect("the ledger answers");
        assert_eq!(refused.granted, 0);
    }

    assert_eq!(commits(), Ok(before));
}

/// A new holder's ask for a lease of a quota of one hundred.
fn asking(project: ProjectId, want: u64) -> Ask {
    Ask {
        project,
        month: Month::of(at(0)),
        holder: Holder(Uuid::new_v4()),
        quota: 100,
        spent: 0,
        overdrawn: 0,
        want,
        at: at(0),
        expires_at: at(60),
    }
}

#[tokio::test]
async fn a_renamed_prompt_changes_under_both_slugs() {
    let kept = store::sqlite();
    let given = Given::project(&kept.store, "acme").await;
    given.import(prompt("greeting", &["one"])).await;
    let cursor = given.now().await;

    let connection = Connection::open(kept.path()).expect("the file opens");
    connection.execute("UPDATE prompts SET slug = 'welcome'", []).expect("it is renamed");

    let told = given.changes(cursor).await.changes;
    let slugs: Vec<_> = told
        .iter()
        .map(|change| match change {
            Change::Prompt { slug, .. } => slug.as_str(),
            Change::Everything | Change::Key(_) | Change::Named(_) | Change::Project(_) => "",
        })
        .collect();
    assert_eq!(slugs, ["greeting", "welcome"]);
}

#[tokio::test]
async fn a_write_waits_no_longer_than_it_may_for_another_process() {
    let directory = tempfile::tempdir().expect("a temporary folder can be made");
    let path = directory.path().join("store.db");
    let impatient = Config { busy_timeout: Duration::ZERO, ..store::patient(&path) };
    let store = SqliteStore::open(impatient).expect("the store opens");
    let other = Connection::open(&path).expect("the file opens");
    let new = || NewProject { name: "acme".into(), plan: "free".into(), origin: None, at: at(1) };

    other.execute_batch("BEGIN IMMEDIATE").expect("the file can be locked");
    let refused = store.create_project(new()).await;
    let read = store.projects().await;
    other.execute_batch("COMMIT").expect("the file can be unlocked");

    assert!(matches!(refused, Err(WriteError::Store(Error::Busy { .. }))), "{refused:?}");
    assert_eq!(read.expect("readers do not wait for writers"), []);
    store.create_project(new()).await.expect("the lock is gone");
}

/// The log goes when the last connection is closed, which is when the last thread has ended.
#[tokio::test]
async fn dropping_the_store_ends_its_threads() {
    let kept = store::sqlite();
    let given = Given::project(&kept.store, "acme").await;
    let (path, log) = (kept.path(), kept.path().with_extension("db-wal"));
    assert!(log.exists(), "an open store has a log");

    drop(given);
    let directory = kept.closed();

    assert!(path.exists());
    assert!(!log.exists(), "no connection is open any more");
    drop(directory);
}

#[test]
fn a_file_in_a_missing_folder_is_refused() {
    let directory = tempfile::tempdir().expect("a temporary folder can be made");

    let refused = SqliteStore::open(Config::at(directory.path().join("missing/store.db")));

    assert!(matches!(refused, Err(OpenError::Inaccessible { .. })), "{refused:?}");
}

#[test]
fn a_file_that_is_no_database_is_said_to_be_none() {
    let directory = tempfile::tempdir().expect("a temporary folder can be made");
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "long enough to be looked at. ".repeat(100)).expect("it is written");

    let refused = SqliteStore::open(Config::at(path));

    assert!(matches!(refused, Err(OpenError::NotADatabase { .. })), "{refused:?}");
}
