//! PromptOT as a place that prompts come from.

use std::sync::Arc;

use prompt_edge::model::{Credential, OriginName, Reads};
use prompt_edge::origins::upstream::{Upstream, promptot};
use prompt_edge::origins::{Origin, Reader};
use prompt_edge::wire::client;

use super::{DEV, LIVE, PromptOt};
use crate::contract::origin::{self, Drafts, Keys, Place};

/// A platform at this base, unguarded.
pub(crate) fn upstream(base_url: &str) -> Upstream {
    let base_url = base_url.parse().expect("the base is a URL");
    let upstream =
        Upstream::new(OriginName::new("promptot"), &base_url, &client::Config::default());
    upstream.expect("the defaults can be used")
}

/// The adapter, with the operator's keys.
pub(crate) fn mapped(platform: &PromptOt) -> promptot::PromptOt {
    let (key, draft_key) = (Some(Credential::new(LIVE)), Some(Credential::new(DEV)));
    let config = promptot::Config { key, draft_key };
    promptot::PromptOt::new(upstream(&platform.base_url()), config)
}

/// The platform, and the adapter in front of it.
pub(crate) struct Reached {
    platform: PromptOt,
    origin: Arc<promptot::PromptOt>,
    /// Whether callers bring keys of PromptOT's, and the operator has none.
    is_passed_through: bool,
}

/// Reached with the operator's keys.
pub(crate) async fn with_keys_mapped() -> Reached {
    let platform = PromptOt::start().await;
    let origin = Arc::new(mapped(&platform));
    Reached { platform, origin, is_passed_through: false }
}

/// Reached with the callers' own keys.
pub(crate) async fn with_keys_passed_through() -> Reached {
    let platform = PromptOt::start().await;
    let upstream = upstream(&platform.base_url());
    let origin = Arc::new(promptot::PromptOt::new(upstream, promptot::Config::default()));
    Reached { platform, origin, is_passed_through: true }
}

impl Place for Reached {
    fn origin(&self) -> Arc<dyn Origin> {
        Arc::clone(&self.origin) as _
    }

    fn reader(&self, reads: Reads) -> Reader {
        let key = match reads {
            Reads::Draft => DEV,
            Reads::Published => LIVE,
        };
        let credential = self.is_passed_through.then(|| Credential::new(key));
        Reader { credential, ..origin::reader(reads) }
    }

    async fn publish(&self, name: &str, text: &str) {
        self.platform.publish(name, text);
    }

    async fn delete(&self, name: &str) {
        self.platform.delete(name);
    }

    async fn goes_away(&self) {
        self.platform.vendor.kill().await;
    }

    async fn comes_back(&self) {
        self.platform.vendor.revive().await;
    }
}

impl Drafts for Reached {
    async fn draft(&self, name: &str, text: &str) {
        self.platform.draft(name, text);
    }
}

impl Keys for Reached {
    fn key(&self) -> Credential {
        Credential::new(LIVE)
    }

    fn wrong_key(&self) -> Credential {
        Credential::new("pk_live_wrong")
    }
}
