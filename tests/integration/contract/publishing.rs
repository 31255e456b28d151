//! Making versions live, and taking that back.

use std::sync::Arc;

use prompt_edge::origins::{Store, WriteError};

use super::given::{Given, name, prompt, text};

const COUNTED: u32 = 200;

/// A reader never sees half of a publish.
pub(crate) async fn a_publish_is_seen_whole_or_not_at_all(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let texts: Vec<String> = (1..=COUNTED).map(|number| number.to_string()).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    given.import(prompt("counter", &texts)).await;
    given.publish("counter", 1, "live").await.expect("it can be published");

    let publishing = async {
        for number in 2..=COUNTED {
            given.publish("counter", number, "live").await.expect("it can be published");
        }
    };
    let reading = async {
        let mut last = 0;
        while last < COUNTED {
            let edition = store.edition(given.live, &name("counter")).await;
            let version = edition.expect("the store answers").expect("one is always live").version;
            assert_eq!(text(&version.content), version.number.to_string());
            assert!(version.number >= last, "{} was live after {last}", version.number);
            last = version.number;
        }
    };
    tokio::join!(publishing, reading);
}

pub(crate) async fn publishing_the_live_version_changes_nothing(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one", "two"])).await;

    assert_eq!(given.publish("greeting", None, "live").await.expect("it can be published"), 2);
    assert_eq!(given.publish("greeting", 2, "live").await.expect("it is live already"), 2);

    assert_eq!(given.export("greeting").await.published, [("live".to_owned(), vec![2])]);
}

pub(crate) async fn environments_are_published_to_one_by_one(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one", "two"])).await;

    given.publish("greeting", 1, "live").await.expect("it can be published");
    given.publish("greeting", 2, "dev").await.expect("it can be published");
    given.publish("greeting", 1, "dev").await.expect("it can be published");

    assert_eq!(given.served(given.live, "greeting").await, Some(1));
    let stacks = [("dev".to_owned(), vec![2, 1]), ("live".to_owned(), vec![1])];
    assert_eq!(given.export("greeting").await.published, stacks);
}

pub(crate) async fn publishing_what_is_not_there_is_refused(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one"])).await;

    for (slug, version, environment, missing) in [
        ("nowhere", 1, "live", "prompt"),
        ("greeting", 1, "staging", "environment"),
        ("greeting", 2, "live", "version"),
        ("greeting", 0, "live", "version"),
    ] {
        let refused = given.publish(slug, version, environment).await;
        assert!(
            matches!(refused, Err(WriteError::Missing { noun, .. }) if noun == missing),
            "{slug}@{version} in {environment}: {refused:?}"
        );
    }
    assert_eq!(given.served(given.live, "greeting").await, None);
}

pub(crate) async fn a_rollback_goes_back_one_publication_at_a_time(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one", "two", "three"])).await;
    for version in [1, 3, 2] {
        given.publish("greeting", version, "live").await.expect("it can be published");
    }

    assert_eq!(given.rollback("greeting", "live").await.expect("there are two before"), 3);
    assert_eq!(given.served(given.live, "greeting").await, Some(3));
    assert_eq!(given.rollback("greeting", "live").await.expect("there is one before"), 1);
    assert_eq!(given.served(given.live, "greeting").await, Some(1));

    let refused = given.rollback("greeting", "live").await;
    assert!(matches!(refused, Err(WriteError::NothingBefore { .. })), "{refused:?}");
    assert_eq!(given.served(given.live, "greeting").await, Some(1), "the first one stays live");
}

pub(crate) async fn a_rollback_without_a_publication_before_is_refused(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one"])).await;

    let never_published = given.rollback("greeting", "live").await;
    assert!(matches!(never_published, Err(WriteError::NothingBefore { .. })));
    let unknown = given.rollback("nowhere", "live").await;
    assert!(matches!(unknown, Err(WriteError::Missing { noun: "prompt", .. })), "{unknown:?}");
    let unknown = given.rollback("greeting", "staging").await;
    assert!(matches!(unknown, Err(WriteError::Missing { noun: "environment", .. })));
}

pub(crate) async fn publishing_again_after_a_rollback_starts_from_there(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    given.import(prompt("greeting", &["one", "two", "three"])).await;
    for version in [1, 2] {
        given.publish("greeting", version, "live").await.expect("it can be published");
    }
    given.rollback("greeting", "live").await.expect("there is one before");

    given.publish("greeting", 3, "live").await.expect("it can be published");

    assert_eq!(given.export("greeting").await.published, [("live".to_owned(), vec![1, 3])]);
    assert_eq!(given.rollback("greeting", "live").await.expect("there is one before"), 1);
}
