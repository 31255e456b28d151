//! PromptOT, as far as its contract goes: prompts with versions in memory, behind its API on a
//! socket of its own.

mod api;
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prompt_edge::model::Reads;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::harness::vendor::Vendor;

pub(crate) use place::{mapped, upstream, with_keys_mapped, with_keys_passed_through};

/// Reads what is published in the project `acme`.
pub(crate) const LIVE: &str = "pk_live_acme";

/// Reads the drafts of the project `acme`.
pub(crate) const DEV: &str = "pk_dev_acme";

/// Reads what is published in the project `zeta`.
pub(crate) const LIVE_OF_ANOTHER: &str = "pk_live_zeta";

/// The project `acme`, as PromptOT names it.
const ACME: Uuid = Uuid::from_u128(0xacce);

/// The project `zeta`.
const ZETA: Uuid = Uuid::from_u128(0x2e7a);

/// The keys there are: whose prompts each reads, and which version of them.
const KEYS: [(&str, Uuid, Reads); 3] = [
    (LIVE, ACME, Reads::Published),
    (DEV, ACME, Reads::Draft),
    (LIVE_OF_ANOTHER, ZETA, Reads::Published),
];

/// The platform. It begins without prompts.
pub(crate) struct PromptOt {
    /// To see what was asked, and to make it fail.
    pub(crate) vendor: Vendor,
    prompts: Arc<Mutex<Prompts>>,
    revoked: Arc<Mutex<BTreeSet<&'static str>>>,
}

/// By project and slug.
type Prompts = BTreeMap<(Uuid, String), Prompt>;

/// A prompt and its history.
#[derive(Default)]
struct Prompt {
    id: Uuid,
    versions: Vec<Draft>,
    /// How many versions there were at the last publication; 0 if there was none.
    published: usize,
}

/// What a version says: text with `{{variables}}`, which may have defaults or be required.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) text: String,
    pub(crate) defaults: Vec<(&'static str, Option<&'static str>)>,
    pub(crate) required: Vec<&'static str>,
    pub(crate) model_config: Map<String, Value>,
}

impl From<&str> for Draft {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

impl PromptOt {
    /// Starts to listen.
    pub(crate) async fn start() -> Self {
        let prompts = Arc::<Mutex<Prompts>>::default();
        let revoked = Arc::<Mutex<BTreeSet<_>>>::default();
        let (known, over) = (Arc::clone(&prompts), Arc::clone(&revoked));
        let answer = move |asked: &_| api::answer(&locked(&known), &locked(&over), asked);
        let vendor = Vendor::start(answer).await;
        Self { vendor, prompts, revoked }
    }

    /// The base of its API.
    pub(crate) fn base_url(&self) -> String {
        format!("{}{}", self.vendor.url(), api::BASE)
    }

    /// Makes a prompt of `acme` or its next version, and leaves it unpublished.
    pub(crate) fn draft(&self, slug: &str, draft: impl Into<Draft>) {
        self.write(ACME, slug, draft.into(), Reads::Draft);
    }

    /// Makes a prompt of `acme` or its next version, and publishes it.
    pub(crate) fn publish(&self, slug: &str, draft: impl Into<Draft>) {
        self.write(ACME, slug, draft.into(), Reads::Published);
    }

    /// The same in `zeta`.
    pub(crate) fn publish_in_another(&self, slug: &str, draft: impl Into<Draft>) {
        self.write(ZETA, slug, draft.into(), Reads::Published);
    }

    /// Opens nothing with this key any more.
    pub(crate) fn revoke(&self, key: &'static str) {
        locked(&self.revoked).insert(key);
    }

    /// Deletes a prompt of `acme`.
    pub(crate) fn delete(&self, slug: &str) {
        let deleted = locked(&self.prompts).remove(&(ACME, slug.to_owned()));
        assert!(deleted.is_some(), "{slug} should exist");
    }

    /// Gives a prompt of `acme` another slug.
    pub(crate) fn rename(&self, slug: &str, new: &str) {
        let mut prompts = locked(&self.prompts);
        let renamed = prompts.remove(&(ACME, slug.to_owned())).expect("the prompt exists");
        prompts.insert((ACME, new.to_owned()), renamed);
    }

    fn write(&self, project: Uuid, slug: &str, draft: Draft, reads: Reads) {
        let mut prompts = locked(&self.prompts);
        let new = || Prompt { id: Uuid::new_v4(), ..Prompt::default() };
        let prompt = prompts.entry((project, slug.to_owned())).or_insert_with(new);
        prompt.versions.push(draft);
        if reads == Reads::Published {
            prompt.published = prompt.versions.len();
        }
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
