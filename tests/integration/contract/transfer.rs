//! Importing and exporting prompts with their history.

use std::sync::Arc;

use prompt_edge::model::{
    Block, BlockKind, Content, Imported, Label, Layout, Portable, Slug, Variable, Visibility,
};
use prompt_edge::origins::{Import, Store, WriteError};
use serde_json::json;

use super::given::{Given, at, name, prompt, text};

pub(crate) async fn an_unchanged_content_makes_no_version(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let slug: Slug = "greeting".parse().expect("a slug");

    let first = given.import(prompt("greeting", &["Hello"])).await;
    let second = given.import(prompt("greeting", &["Hello"])).await;

    assert_eq!(first, Imported::Created { slug: slug.clone(), version: 1 });
    assert_eq!(second, Imported::Unchanged { slug, version: 1 });
    assert_eq!(given.export("greeting").await.versions.len(), 1);
}

pub(crate) async fn a_changed_content_is_the_next_draft(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["Hello"])).await;
    given.publish("greeting", 1, "live").await.expect("it can be published");

    let outcome = given.import(prompt("greeting", &["Hi"])).await;

    assert!(matches!(outcome, Imported::Drafted { version: 2, .. }), "{outcome:?}");
    assert_eq!(given.served(given.dev, "greeting").await, Some(2));
    assert_eq!(given.served(given.live, "greeting").await, Some(1), "a draft is not live");
}

pub(crate) async fn a_longer_history_is_continued(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one", "two"])).await;
    let before = given.export("greeting").await;

    let outcome = given.import(prompt("greeting", &["one", "two", "three", "four"])).await;

    assert!(matches!(outcome, Imported::Drafted { version: 4, .. }), "{outcome:?}");
    let after = given.export("greeting").await;
    assert_eq!(after.versions[..2], before.versions, "what was there stays");
    assert_eq!(texts(&after), ["one", "two", "three", "four"]);
}

pub(crate) async fn a_diverged_history_is_kept(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one", "two"])).await;

    let mut other = prompt("greeting", &["uno", "due", "tre"]);
    other.labels = vec![(label("beta"), 3)];
    other.published = vec![("live".into(), vec![3])];
    let outcome = given.import(other).await;

    assert!(matches!(outcome, Imported::Drafted { version: 3, .. }), "{outcome:?}");
    let after = given.export("greeting").await;
    assert_eq!(texts(&after), ["one", "two", "tre"]);
    assert_eq!((after.labels.len(), after.published.len()), (0, 0), "its numbers mean others");

    let outcome = given.import(prompt("greeting", &["something", "tre"])).await;
    assert!(matches!(outcome, Imported::Unchanged { version: 3, .. }), "{outcome:?}");
}

pub(crate) async fn a_described_prompt_is_described_anew(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one"])).await;
    let before = given.export("greeting").await;

    let mut described = prompt("greeting", &["one"]);
    described.name = "Greeting".into();
    described.tags = vec!["support".into()];
    described.visibility = Visibility::Public;
    let described = Import { at: at(50), ..given.importing([described]) };
    let outcome = store.import(described.clone()).await.expect("it can be imported");
    let again = Import { at: at(60), ..described };
    store.import(again).await.expect("it can be imported");

    assert!(matches!(outcome[..], [Imported::Unchanged { version: 1, .. }]), "{outcome:?}");
    let after = given.export("greeting").await;
    assert_eq!((after.name.as_str(), &after.tags[..]), ("Greeting", &["support".to_owned()][..]));
    assert_eq!((after.id, after.created_at), (before.id, before.created_at));
    assert_eq!(after.updated_at, Some(at(50)), "saying the same again is no update");
}

pub(crate) async fn labels_and_pointers_of_an_import_are_taken_over(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let mut first = prompt("greeting", &["one", "two"]);
    first.labels = vec![(label("beta"), 2), (label("stable"), 1)];
    first.published = vec![("live".into(), vec![1, 2])];
    given.import(first).await;

    given.import(prompt("greeting", &["one", "two"])).await;
    let silent = given.export("greeting").await;
    assert_eq!(silent.labels.len(), 2, "what an import does not name stays");
    assert_eq!(silent.published, [("live".to_owned(), vec![1, 2])]);

    let mut second = prompt("greeting", &["one", "two", "three"]);
    second.labels = vec![(label("beta"), 3)];
    second.published = vec![("live".into(), vec![1, 3])];
    given.import(second).await;
    let after = given.export("greeting").await;
    assert_eq!(after.labels, [(label("beta"), 3), (label("stable"), 1)]);
    assert_eq!(after.published, [("live".to_owned(), vec![1, 3])]);
    assert_eq!(given.served(given.live, "greeting").await, Some(3));
}

pub(crate) async fn what_is_imported_can_be_published_at_once(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let prompts = [prompt("greeting", &["one", "two"]), prompt("farewell", &["one"])];
    let import = Import { publish_in: Some("live".into()), ..given.importing(prompts) };

    store.import(import.clone()).await.expect("it can be imported");
    store.import(import).await.expect("it can be imported again");

    assert_eq!(given.served(given.live, "greeting").await, Some(2));
    assert_eq!(given.served(given.live, "farewell").await, Some(1));
    assert_eq!(given.export("greeting").await.published, [("live".to_owned(), vec![2])]);
}

pub(crate) async fn a_failed_import_stores_nothing(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["Hello"])).await;
    let before = store.export(given.project.id, None).await.expect("the store answers");

    let good = || [prompt("greeting", &["Hi"]), prompt("farewell", &["Bye"])];
    let with = |bad: Portable| given.importing([&good()[..], &[bad]].concat());
    let mut lost = prompt("lost", &["one"]);
    lost.published = vec![("staging".into(), vec![1])];
    let mut ahead = prompt("ahead", &["one"]);
    ahead.labels = vec![(label("beta"), 2)];
    for (import, missing) in [
        (with(lost), "environment"),
        (with(ahead), "version"),
        (Import { publish_in: Some("staging".into()), ..given.importing(good()) }, "environment"),
    ] {
        let refused = store.import(import).await;
        assert!(
            matches!(&refused, Err(WriteError::Missing { noun, .. }) if *noun == missing),
            "{refused:?}"
        );
    }

    let after = store.export(given.project.id, None).await.expect("the store answers");
    assert_eq!(after, before);
}

pub(crate) async fn an_export_comes_back_as_it_was(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let mut rich = prompt("greeting", &["one", "two", "three"]);
    rich.labels = vec![(label("beta"), 3), (label("stable"), 1)];
    rich.published = vec![("dev".into(), vec![3]), ("live".into(), vec![1, 2, 1])];
    rich.tags = vec!["b".into(), "a".into()];
    rich.created_at = Some(at(-100));
    given.import(rich).await;
    given.import(prompt("farewell", &["Bye"])).await;
    given.publish("greeting", 3, "live").await.expect("it can be published");
    given.rollback("greeting", "live").await.expect("there is one before");
    let exported = store.export(given.project.id, None).await.expect("the store answers");
    assert!(exported.is_sorted_by(|one, next| one.slug < next.slug));

    for slug in ["greeting", "farewell"] {
        store.delete(given.project.id, name(slug)).await.expect("it can be deleted");
    }
    let later = Import { at: at(1_000), ..given.importing(exported.clone()) };
    store.import(later).await.expect("it can be imported");

    let again = store.export(given.project.id, None).await.expect("the store answers");
    assert_eq!(again, exported);
    assert_eq!(given.served(given.live, "greeting").await, Some(1));
}

pub(crate) async fn an_export_of_one_prompt_holds_that_one(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["Hello"])).await;
    given.import(prompt("farewell", &["Bye"])).await;

    let one = store.export(given.project.id, Some(name("greeting"))).await;
    let none = store.export(given.project.id, Some(name("nowhere"))).await;

    assert_eq!(one.expect("the store answers").len(), 1);
    assert_eq!(none.expect("the store answers"), []);
}

pub(crate) async fn a_taken_id_is_replaced(store: Arc<dyn Store>) {
    let (acme, zeta) = (Given::project(&store, "acme").await, Given::project(&store, "zeta").await);
    acme.import(prompt("greeting", &["Hello"])).await;
    let original = acme.export("greeting").await;

    zeta.import(original.clone()).await;

    let copy = zeta.export("greeting").await;
    assert_ne!(copy.id, original.id);
    assert_ne!(copy.versions[0].id, original.versions[0].id);
    assert_eq!(copy.versions[0].content, original.versions[0].content);
    assert_eq!(acme.export("greeting").await, original);
}

/// Digits, nulls and the order of keys are part of what is delivered.
pub(crate) async fn exact_content_survives(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let variable = |name: &str, default| Variable {
        name: name.into(),
        description: "é \u{1F600} \"quoted\"\n".into(),
        required: default == Some(json!(null)),
        default,
    };
    let exact = Content {
        layout: Layout::Sections(vec![Block {
            kind: BlockKind::OutputFormat,
            title: String::new(),
            content: "{{a}}\r\n\ttext".into(),
            enabled: false,
        }]),
        variables: vec![variable("a", None), variable("b", Some(json!(null)))],
        model_config: serde_json::from_str(r#"{"z":0.70,"a":1e400,"m":12345678901234567890123}"#)
            .expect("JSON"),
        input_schema: Some(json!({"type": "object"})),
    };
    let mut arriving = prompt("exact", &["replaced"]);
    arriving.versions[0].content = exact.clone();

    given.import(arriving).await;

    let edition = store.edition(given.dev, &name("exact")).await.expect("the store answers");
    let delivered = edition.expect("it is served").version.content;
    assert_eq!(delivered, exact);
    let keys: Vec<_> = delivered.model_config.keys().collect();
    assert_eq!(keys, ["z", "a", "m"]);
}

fn label(text: &str) -> Label {
    text.parse().expect("a label")
}

fn texts(portable: &Portable) -> Vec<&str> {
    portable.versions.iter().map(|version| text(&version.content)).collect()
}
