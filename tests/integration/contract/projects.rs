//! Projects and their environments.

use std::sync::Arc;

use prompt_edge::model::{EnvironmentId, KeyDigest, Project, ProjectId, Reads};
use prompt_edge::origins::{NewProject, Store, WriteError};
use serde_json::json;

use super::given::{Given, at, name, prompt};

pub(crate) async fn a_project_starts_with_live_and_dev(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;

    let environments = store.environments(given.project.id).await.expect("the store answers");

    let found: Vec<_> = environments.iter().map(|e| (e.name.as_str(), e.reads)).collect();
    assert_eq!(found, [("live", Reads::Published), ("dev", Reads::Draft)]);
    assert!(environments.iter().all(|environment| environment.defaults.is_empty()));
}

pub(crate) async fn a_name_is_taken_once(store: Arc<dyn Store>) {
    Given::project(&store, "acme").await;

    let again = NewProject { name: "acme".into(), plan: "free".into(), origin: None, at: at(9) };
    let again = store.create_project(again).await;

    assert!(matches!(again, Err(WriteError::Taken { noun: "project", .. })), "{again:?}");
    assert_eq!(store.projects().await.expect("the store answers").len(), 1);
}

pub(crate) async fn projects_are_sorted_by_name(store: Arc<dyn Store>) {
    let zeta = Given::project(&store, "zeta").await;
    let acme = Given::project(&store, "acme").await;

    let projects = store.projects().await.expect("the store answers");

    assert_eq!(projects, [acme.project, zeta.project]);
}

pub(crate) async fn a_plan_is_replaced_and_granted(store: Arc<dyn Store>) {
    let (acme, zeta) = (Given::project(&store, "acme").await, Given::project(&store, "zeta").await);
    store.create_key(acme.key(1, "live")).await.expect("the key is recorded");

    store.set_plan(acme.project.id, "free".into()).await.expect("it is stored");

    let projects = store.projects().await.expect("the store answers");
    assert_eq!(projects, [Project { plan: "free".into(), ..acme.project }, zeta.project]);
    let grant = store.grant(KeyDigest([1; 32])).await.expect("the store answers");
    assert_eq!(grant.expect("the key is known").project.plan, "free");
    let unknown = store.set_plan(ProjectId(-5), "free".into()).await;
    assert!(matches!(unknown, Err(WriteError::Missing { noun: "project", .. })), "{unknown:?}");
}

pub(crate) async fn an_environment_is_found_by_name_in_its_project_alone(store: Arc<dyn Store>) {
    let (acme, zeta) = (Given::project(&store, "acme").await, Given::project(&store, "zeta").await);
    let named = async |project, environment| {
        let found = store.environment_named(project, environment).await.expect("the store answers");
        found.map(|(project, environment)| (project, environment.id, environment.name))
    };

    let live = named("acme", "live").await;
    assert_eq!(live, Some((acme.project, acme.live.environment, "live".to_owned())));
    let dev = named("zeta", "dev").await;
    assert_eq!(dev, Some((zeta.project, zeta.dev.environment, "dev".to_owned())));
    for (project, environment) in [("acme", "staging"), ("acm", "live"), ("ACME", "live"), ("", "")]
    {
        assert_eq!(named(project, environment).await, None, "{project}/{environment}");
    }
}

pub(crate) async fn the_plan_a_project_is_on_is_no_change(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let cursor = given.now().await;

    store.set_plan(given.project.id, given.project.plan.clone()).await.expect("nothing to do");

    assert_eq!(given.now().await, cursor);
}

pub(crate) async fn defaults_are_replaced_and_delivered(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["Hello"])).await;

    for defaults in [json!({"tone": "warm", "left": 0.70}), json!({"tone": null})] {
        let defaults = defaults.as_object().expect("an object").clone();
        store.set_defaults(given.dev.environment, defaults.clone()).await.expect("it is stored");

        let edition = store.edition(given.dev, &name("greeting")).await.expect("the store answers");
        assert_eq!(edition.expect("it is served").defaults, defaults);
    }

    let unknown = store.set_defaults(EnvironmentId(-5), serde_json::Map::new()).await;
    assert!(matches!(unknown, Err(WriteError::Missing { noun: "environment", .. })));
}
