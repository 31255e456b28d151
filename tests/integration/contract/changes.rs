//! Saying what changed, so that copies can be dropped.

use std::sync::Arc;

use prompt_edge::model::{KeyDigest, ProjectId};
use prompt_edge::origins::{Change, Cursor, NewProject, Store};

use super::given::{Given, at, name, prompt};

pub(crate) async fn the_start_is_answered_at_once(store: Arc<dyn Store>) {
    let empty = store.changes(Cursor::START).await.expect("the store answers");
    assert_eq!(empty.changes, []);

    let given = Given::project(&store, "acme").await;
    let later = given.changes(Cursor::START).await;
    assert_eq!(later.changes, [], "what came before is nobody's concern");
    assert_ne!(later.cursor, empty.cursor);
}

pub(crate) async fn waiting_ends_with_the_next_change(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let mut cursor = given.now().await;

    for text in ["one", "two", "three"] {
        let (told, _) = tokio::join!(
            biased;
            given.changes(cursor),
            given.import(prompt("greeting", &[text])),
        );
        assert_eq!(told.changes, [changed(&given, "greeting").await]);
        assert!(told.cursor > cursor);
        cursor = told.cursor;
    }
}

pub(crate) async fn a_change_is_readable_when_it_is_told(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let texts: Vec<String> = (1..=50).map(|number| number.to_string()).collect();
    given.import(prompt("greeting", &texts.iter().map(String::as_str).collect::<Vec<_>>())).await;
    let mut cursor = given.now().await;

    for number in 1..=50 {
        let served_when_told = async {
            let told = given.changes(cursor).await.cursor;
            (told, given.served(given.live, "greeting").await)
        };
        let ((told, served), published) =
            tokio::join!(biased; served_when_told, given.publish("greeting", number, "live"));
        published.expect("it can be published");
        assert_eq!(served, Some(number), "a change was told before it could be read");
        cursor = told;
    }
}

pub(crate) async fn every_write_to_a_prompt_tells_it(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let mut cursor = given.now().await;
    let mut told = async || {
        let changes = given.changes(cursor).await;
        cursor = changes.cursor;
        changes.changes
    };

    given.import(prompt("greeting", &["one", "two"])).await;
    let expected = [changed(&given, "greeting").await];
    assert_eq!(told().await, expected, "made");

    given.import(prompt("greeting", &["one", "two", "three"])).await;
    assert_eq!(told().await, expected, "given another version");

    let mut labelled = prompt("greeting", &["one", "two", "three"]);
    labelled.labels = vec![("beta".parse().expect("a label"), 1)];
    given.import(labelled).await;
    assert_eq!(told().await, expected, "labelled");

    let mut labelled = prompt("greeting", &["one", "two", "three"]);
    labelled.labels = vec![("beta".parse().expect("a label"), 2)];
    given.import(labelled).await;
    assert_eq!(told().await, expected, "its label moved");

    let mut described = prompt("greeting", &["three"]);
    described.description = "says hello".into();
    given.import(described).await;
    assert_eq!(told().await, expected, "described");
}

pub(crate) async fn publishing_and_rolling_back_tell_the_prompt(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one", "two"])).await;
    let expected = [changed(&given, "greeting").await];
    let start = given.now().await;

    given.publish("greeting", 1, "live").await.expect("it can be published");
    let published = given.changes(start).await;
    given.publish("greeting", 2, "live").await.expect("it can be published");
    let published_again = given.changes(published.cursor).await;
    given.rollback("greeting", "live").await.expect("there is one before");
    let rolled_back = given.changes(published_again.cursor).await;

    assert_eq!(published.changes, expected);
    assert_eq!(published_again.changes, expected);
    assert_eq!(rolled_back.changes, expected);
}

pub(crate) async fn a_delete_tells_both_names(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one", "two"])).await;
    given.publish("greeting", 1, "live").await.expect("it can be published");
    let expected = changed(&given, "greeting").await;
    let cursor = given.now().await;

    store.delete(given.project.id, name("greeting")).await.expect("it can be deleted");

    assert_eq!(given.changes(cursor).await.changes, [expected]);
}

pub(crate) async fn every_write_to_a_key_tells_its_digest(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let cursor = given.now().await;

    let key = store.create_key(given.key(7, "live")).await.expect("the key is recorded");
    let made = given.changes(cursor).await;
    store.revoke_key(key.id, at(9)).await.expect("it can be revoked");
    let revoked = given.changes(made.cursor).await;

    assert_eq!(made.changes, [Change::Key(KeyDigest([7; 32]))]);
    assert_eq!(revoked.changes, [Change::Key(KeyDigest([7; 32]))]);
}

pub(crate) async fn a_key_that_was_used_is_no_change(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let key = store.create_key(given.key(7, "live")).await.expect("the key is recorded");
    let cursor = given.now().await;

    store.touch_keys(vec![(key.id, at(9))]).await.expect("it is stored");

    assert_eq!(given.now().await, cursor);
}

pub(crate) async fn every_write_to_a_project_tells_it(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let cursor = given.now().await;

    store.set_defaults(given.live.environment, serde_json::Map::new()).await.expect("stored");
    let defaults = given.changes(cursor).await;
    store.set_plan(given.project.id, "free".into()).await.expect("it is stored");
    let plan = given.changes(defaults.cursor).await;
    let zeta = Given::project(&store, "zeta").await;
    let made = given.changes(plan.cursor).await;

    assert_eq!(defaults.changes, [Change::Project(given.project.id)]);
    assert_eq!(plan.changes, [Change::Project(given.project.id)]);
    assert_eq!(made.changes, [Change::Project(zeta.project.id)]);
}

pub(crate) async fn repeats_are_told_once(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let cursor = given.now().await;

    given.import(prompt("greeting", &["one", "two"])).await;
    given.import(prompt("farewell", &["one"])).await;
    for version in [1, 2, 1] {
        given.publish("greeting", version, "live").await.expect("it can be published");
    }

    let expected = [changed(&given, "greeting").await, changed(&given, "farewell").await];
    assert_eq!(given.changes(cursor).await.changes, expected);
}

pub(crate) async fn a_failed_write_is_no_change(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one"])).await;
    let cursor = given.now().await;

    let again = NewProject { name: "acme".into(), plan: "free".into(), origin: None, at: at(9) };
    store.create_project(again).await.expect_err("the name is taken");
    let mut lost = prompt("lost", &["one"]);
    lost.published = vec![("staging".into(), vec![1])];
    let lost = given.importing([prompt("greeting", &["two"]), lost]);
    store.import(lost).await.expect_err("there is no such environment");
    given.publish("greeting", 9, "live").await.expect_err("there is no such version");
    store.set_plan(ProjectId(-5), "free".into()).await.expect_err("there is no such project");

    assert_eq!(given.now().await, cursor);
}

/// The change a write to this prompt is told as.
async fn changed(given: &Given, slug: &str) -> Change {
    let prompt = given.export(slug).await;
    Change::Prompt {
        project: given.project.id,
        id: prompt.id.expect("an export has ids"),
        slug: prompt.slug,
    }
}
