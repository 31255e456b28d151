//! What is served to whom.

use std::sync::Arc;

use prompt_edge::model::{Listed, PromptId, PromptName, Tenant};
use prompt_edge::origins::{Store, WriteError};
use uuid::Uuid;

use super::given::{Given, name, prompt, text};

/// Absence is an answer. Only failure is an error.
pub(crate) async fn a_missing_prompt_is_none(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;

    for missing in [name("nowhere"), PromptName::Id(PromptId(Uuid::from_u128(1)))] {
        let found = store.edition(given.live, &missing).await.expect("the store answers");
        assert_eq!(found, None);
    }
    assert_eq!(store.listing(given.dev).await.expect("the store answers"), []);
}

pub(crate) async fn drafts_are_served_to_dev_alone(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one", "two"])).await;

    assert_eq!(given.served(given.live, "greeting").await, None);
    assert_eq!(given.served(given.dev, "greeting").await, Some(2));

    given.publish("greeting", 1, "live").await.expect("it can be published");

    assert_eq!(given.served(given.live, "greeting").await, Some(1));
    assert_eq!(given.served(given.dev, "greeting").await, Some(2));
}

pub(crate) async fn a_project_never_sees_anothers_prompt(store: Arc<dyn Store>) {
    let (acme, zeta) = (Given::project(&store, "acme").await, Given::project(&store, "zeta").await);
    acme.import(prompt("greeting", &["of acme"])).await;
    acme.import(prompt("secret", &["of acme alone"])).await;
    zeta.import(prompt("greeting", &["of zeta"])).await;

    let said = |given: &Given| {
        let (store, tenant) = (Arc::clone(&given.store), given.dev);
        async move {
            let edition = store.edition(tenant, &name("greeting")).await;
            let edition = edition.expect("the store answers").expect("it is served");
            text(&edition.version.content).to_owned()
        }
    };
    assert_eq!(said(&acme).await, "of acme");
    assert_eq!(said(&zeta).await, "of zeta");

    let secret = acme.export("secret").await.id.expect("an export has ids");
    for by in [name("secret"), PromptName::Id(secret)] {
        let found = store.edition(zeta.dev, &by).await.expect("the store answers");
        assert_eq!(found, None, "{by} belongs to another project");
        let deleted = store.delete(zeta.project.id, by).await;
        assert!(matches!(deleted, Err(WriteError::Missing { noun: "prompt", .. })));
    }
    let listed = store.listing(zeta.dev).await.expect("the store answers");
    assert_eq!(listed.len(), 1);
}

pub(crate) async fn an_environment_of_another_project_serves_nothing(store: Arc<dyn Store>) {
    let (acme, zeta) = (Given::project(&store, "acme").await, Given::project(&store, "zeta").await);
    acme.import(prompt("greeting", &["of acme"])).await;

    let crossed = Tenant::new(acme.project.id, zeta.dev.environment);

    assert_eq!(acme.served(crossed, "greeting").await, None);
    assert_eq!(store.listing(crossed).await.expect("the store answers"), []);
}

pub(crate) async fn a_prompt_is_found_by_slug_and_by_id_alike(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["Hello"])).await;

    let by_slug = store.edition(given.dev, &name("greeting")).await.expect("the store answers");
    let id = by_slug.as_ref().expect("it is served").prompt.id;
    let by_id = store.edition(given.dev, &PromptName::Id(id)).await.expect("the store answers");

    assert_eq!(by_id, by_slug);
}

pub(crate) async fn the_list_holds_what_the_environment_serves(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    for (slug, texts) in [("zebra", &["one", "two"][..]), ("ant", &["one"]), ("mule", &["one"])] {
        given.import(prompt(slug, texts)).await;
    }
    given.publish("zebra", 1, "live").await.expect("it can be published");
    given.publish("ant", 1, "live").await.expect("it can be published");

    let live = store.listing(given.live).await.expect("the store answers");
    let dev = store.listing(given.dev).await.expect("the store answers");

    assert_eq!(lines(&live), [("ant", "ANT", Some(1)), ("zebra", "ZEBRA", Some(1))]);
    let drafts = [("ant", "ANT", Some(1)), ("mule", "MULE", Some(1)), ("zebra", "ZEBRA", Some(2))];
    assert_eq!(lines(&dev), drafts);
    assert_eq!(Some(live[0].id), given.export("ant").await.id);
}

fn lines(listed: &[Listed]) -> Vec<(&str, &str, Option<u32>)> {
    listed.iter().map(|l| (l.slug.as_str(), l.name.as_str(), l.current_version)).collect()
}

pub(crate) async fn the_overview_holds_everything(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("zebra", &["one", "two"])).await;
    given.import(prompt("ant", &["one"])).await;
    given.publish("zebra", 1, "live").await.expect("it can be published");
    given.publish("zebra", 2, "dev").await.expect("it can be published");

    let overview = store.overview(given.project.id).await.expect("the store answers");

    let lines: Vec<_> = overview
        .iter()
        .map(|line| (line.prompt.slug.as_str(), line.latest, line.published.clone()))
        .collect();
    let published = vec![("dev".to_owned(), 2), ("live".to_owned(), 1)];
    assert_eq!(lines, [("ant", Some(1), vec![]), ("zebra", Some(2), published)]);
}

pub(crate) async fn a_deleted_prompt_is_gone(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one", "two"])).await;
    given.publish("greeting", 1, "live").await.expect("it can be published");

    store.delete(given.project.id, name("greeting")).await.expect("it can be deleted");

    assert_eq!(given.served(given.live, "greeting").await, None);
    assert_eq!(given.served(given.dev, "greeting").await, None);
    assert_eq!(store.export(given.project.id, None).await.expect("the store answers"), []);
    let again = store.delete(given.project.id, name("greeting")).await;
    assert!(matches!(again, Err(WriteError::Missing { noun: "prompt", .. })), "{again:?}");
}
