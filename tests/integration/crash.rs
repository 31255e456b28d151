//! `kill -9`: what was acknowledged is there, whole, and the next process goes on from it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use prompt_edge::formats::files;
use prompt_edge::model::{Content, Portable};
use prompt_edge::origins::sqlite::{Config, SqliteStore};
use prompt_edge::origins::{Change, Cursor, Store};
use rusqlite::Connection;
use tokio::time::timeout;

use crate::harness::client::Client;
use crate::harness::process::{Folder, PATIENCE};
use crate::harness::store;

const FILES: usize = 300;

/// Writes a folder of prompts; each says its own name in each of two blocks.
fn write_prompts(folder: &Folder, round: &str) {
    for n in 0..FILES {
        let slug = format!("{round}-{n}");
        let text =
            format!("---\nname: {slug}\ntags: [{round}]\n---\n# Role\n{slug}\n# Context\n{slug}\n");
        folder.write(&format!("{round}/{slug}.md"), text);
    }
}

/// Another process's look at the store. It looks often, so that it sees writes as they happen.
fn look_at(folder: &Folder) -> SqliteStore {
    let often =
        Config { watch_interval: Duration::from_millis(1), ..store::patient(folder.store()) };
    SqliteStore::open(often).expect("the store opens")
}

fn start_import(folder: &Folder, round: &str) -> Child {
    let mut command = folder.command(&format!("import {round} --project acme"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary can be run")
}

/// Waits until at least `count` prompts have been written after the cursor; returns the slugs of
/// all that were.
async fn written(store: &SqliteStore, mut cursor: Cursor, count: usize) -> BTreeSet<String> {
    let mut slugs = BTreeSet::new();
    while slugs.len() < count {
        let told = timeout(PATIENCE, store.changes(cursor)).await.expect("a change is told");
        let told = told.expect("the store answers");
        slugs.extend(told.changes.iter().filter_map(|change| match change {
            Change::Prompt { slug, .. } => Some(slug.to_string()),
            Change::Everything | Change::Key(_) | Change::Named(_) | Change::Project(_) => None,
        }));
        cursor = told.cursor;
    }
    slugs
}

async fn now(store: &SqliteStore) -> Cursor {
    store.changes(Cursor::START).await.expect("the store answers").cursor
}

/// Every prompt in the store, by slug; each must be as its file says.
async fn whole_prompts(store: &SqliteStore, folder: &Folder) -> BTreeMap<String, Portable> {
    let project = store.projects().await.expect("the store answers")[0].id;
    let stored = store.export(project, None).await.expect("the store answers");
    let checked = stored.into_iter().map(|prompt| {
        let slug = prompt.slug.to_string();
        let round = slug.split('-').next().expect("a slug has a round");
        let name = format!("{round}/{slug}.md");
        let file = files::parse(Path::new(&name), folder.read(&name).as_bytes());
        let file = file.expect("the file is a prompt").pop().expect("a file is one prompt");
        assert_eq!((&prompt.name, &prompt.tags), (&file.name, &file.tags));
        let contents = |prompt: &Portable| -> Vec<Content> {
            prompt.versions.iter().map(|version| version.content.clone()).collect()
        };
        assert_eq!(contents(&prompt), contents(&file), "{slug} is not whole");
        (slug, prompt)
    });
    checked.collect()
}

fn check_integrity(folder: &Folder) {
    let connection = Connection::open(folder.store()).expect("the file opens");
    let found: String = connection
        .pragma_query_value(None, "integrity_check", |row| row.get(0))
        .expect("the file can be checked");
    assert_eq!(found, "ok");
    let strays: i64 = connection
        .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
        .expect("the file can be checked");
    assert_eq!(strays, 0, "rows without an owner");
}

#[tokio::test]
async fn a_killed_import_leaves_every_acknowledged_prompt_whole() {
    let folder = Folder::with_project();
    let mut killed_in_the_middle = 0;

    for (round, count) in [("a", 1), ("b", 3), ("c", 20), ("d", 50), ("e", 90)] {
        write_prompts(&folder, round);
        folder.run(&format!("import {round}/{round}-0.md --project acme")).done();
        let store = look_at(&folder);
        let before = now(&store).await;
        let mut import = start_import(&folder, round);
        let mut acknowledged = written(&store, before, count).await;
        import.kill().expect("it is our child");
        let status = import.wait().expect("it is our child");
        drop(store);
        killed_in_the_middle += usize::from(status.signal() == Some(9));

        let opened = look_at(&folder);
        let stored = whole_prompts(&opened, &folder).await;
        acknowledged.insert(format!("{round}-0"));
        for slug in acknowledged {
            assert!(stored.contains_key(&slug), "{slug} was acknowledged and is gone");
        }
        check_integrity(&folder);
    }

    assert!(killed_in_the_middle > 0, "every import was over before it could be killed");
    let ended = folder.run("import a b c d e --project acme");
    let all = format!("{0} of {0} files imported: ", 5 * FILES);
    assert!(ended.stderr.starts_with(&all), "{ended:?}");
    ended.done();
    assert_eq!(whole_prompts(&look_at(&folder), &folder).await.len(), 5 * FILES);
}

#[tokio::test]
async fn a_killed_server_takes_nothing_with_it() {
    let folder = Folder::with_project();
    write_prompts(&folder, "a");
    folder.run("import a/a-0.md --project acme --publish").done();
    let key = folder.key("dev");
    let server = folder.serve("");
    let mut client = Client::to(server.address).await;
    assert_eq!(client.get_as(&key, "/api/v1/prompts/a-0/compiled").await.status, 200);
    let store = look_at(&folder);
    let before = now(&store).await;

    let mut import = start_import(&folder, "a");
    written(&store, before, 10).await;
    let killed = server.kill();
    let status = import.wait().expect("it is our child");

    assert_eq!(killed.signal, Some(9));
    client.closed().await;
    assert!(status.success(), "a writer does not need the server");
    check_integrity(&folder);
    assert_eq!(whole_prompts(&store, &folder).await.len(), FILES);
    let next = folder.serve("");
    let mut client = Client::to(next.address).await;
    for slug in ["a-0".to_owned(), format!("a-{}", FILES - 1)] {
        let answer = client.get_as(&key, &format!("/api/v1/prompts/{slug}/compiled")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = format!("## Role\n{slug}\n\n## Context\n{slug}\n");
        assert_eq!(answer.json()["data"]["prompt"], *text);
    }
}
