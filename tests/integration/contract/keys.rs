//! API keys.

use std::sync::Arc;

use prompt_edge::model::{KeyDigest, KeyId, Scope};
use prompt_edge::origins::{NewKey, Store, WriteError};

use super::given::{Given, at};

pub(crate) async fn an_unknown_digest_is_none(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    store.create_key(given.key(1, "live")).await.expect("the key is recorded");

    let found = store.grant(KeyDigest([2; 32])).await.expect("the store answers");

    assert_eq!(found, None);
}

pub(crate) async fn a_granted_key_brings_its_project_and_environment(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let new = NewKey { expires_at: Some(at(60)), ..given.key(1, "dev") };

    let key = store.create_key(new).await.expect("the key is recorded");

    let grant = store.grant(KeyDigest([1; 32])).await.expect("the store answers");
    let grant = grant.expect("the key is known");
    assert_eq!(grant.key, key);
    assert_eq!(grant.tenant(), given.dev);
    assert_eq!(grant.project, given.project);
    assert_eq!(grant.environment.name, "dev");
    assert_eq!((key.name.as_str(), key.prefix.as_str()), ("ci", "pk_dev_1"));
    assert_eq!((key.scopes.as_slice(), key.created_at), ([Scope::Deliver].as_slice(), at(5)));
    assert_eq!((key.expires_at, key.revoked_at, key.last_used_at), (Some(at(60)), None, None));
}

pub(crate) async fn a_key_needs_an_environment_of_its_project(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;

    let refused = store.create_key(given.key(1, "staging")).await;

    assert!(
        matches!(&refused, Err(WriteError::Missing { noun: "environment", name }) if name == "staging"),
        "{refused:?}"
    );
    assert_eq!(store.keys().await.expect("the store answers"), []);
}

pub(crate) async fn a_digest_belongs_to_one_key(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    store.create_key(given.key(1, "live")).await.expect("the key is recorded");

    let again = store.create_key(given.key(1, "dev")).await;

    assert!(matches!(again, Err(WriteError::Taken { noun: "key", .. })), "{again:?}");
    assert_eq!(store.keys().await.expect("the store answers").len(), 1);
}

pub(crate) async fn a_revoked_key_keeps_its_first_moment(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let key = store.create_key(given.key(1, "live")).await.expect("the key is recorded");

    store.revoke_key(key.id, at(7)).await.expect("it can be revoked");
    store.revoke_key(key.id, at(8)).await.expect("and once more");

    let grant = store.grant(KeyDigest([1; 32])).await.expect("the store answers");
    assert_eq!(grant.expect("a revoked key is still known").key.revoked_at, Some(at(7)));
    let unknown = store.revoke_key(KeyId(-5), at(9)).await;
    assert!(matches!(unknown, Err(WriteError::Missing { noun: "key", .. })), "{unknown:?}");
}

pub(crate) async fn keys_are_listed_by_id(store: Arc<dyn Store>) {
    let (acme, zeta) = (Given::project(&store, "acme").await, Given::project(&store, "zeta").await);
    for new in [zeta.key(3, "live"), acme.key(1, "dev"), acme.key(2, "live")] {
        store.create_key(new).await.expect("the key is recorded");
    }

    let grants = store.keys().await.expect("the store answers");

    let prefixes: Vec<_> = grants.iter().map(|grant| grant.key.prefix.as_str()).collect();
    assert_eq!(prefixes, ["pk_live_3", "pk_dev_1", "pk_live_2"]);
    assert!(grants.is_sorted_by_key(|grant| grant.key.id));
}

pub(crate) async fn last_use_never_moves_back(store: Arc<dyn Store>) {
    let given = Given::project(&store, "acme").await;
    let key = store.create_key(given.key(1, "live")).await.expect("the key is recorded");

    for used in [at(20), at(30), at(25)] {
        let touched = vec![(key.id, used), (KeyId(-5), used)];
        store.touch_keys(touched).await.expect("a key that is gone is passed over");
    }

    let grant = store.grant(KeyDigest([1; 32])).await.expect("the store answers");
    assert_eq!(grant.expect("the key is known").key.last_used_at, Some(at(30)));
}
