//! Builds the store and the origins that are configured: nobody else names an adapter.

use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{self, Config, Keys, Kind, Remote, StoreUrl};
use crate::delivery::freshness::Freshness;
use crate::ledger::Ledger;
use crate::model::{Credential, OriginName};
use crate::origins::files::{self, FilesOrigin};
use crate::origins::guard;
use crate::origins::sqlite::{self, OpenError, SqliteStore};
use crate::origins::stored::{Projects, Stored};
use crate::origins::upstream::Upstream;
use crate::origins::upstream::edge::{self, Edge};
use crate::origins::upstream::langfuse::{self, Langfuse};
use crate::origins::upstream::promptot::{self, PromptOt};
use crate::origins::{Origin, Store};
use crate::wire::client::Unusable;

/// The ports that the configured store is behind.
pub struct Opened {
    /// Where prompts live.
    pub store: Arc<dyn Store>,
    /// Where months are counted.
    pub ledger: Arc<dyn Ledger>,
    /// The origins beside the store.
    pub origins: Vec<OpenedOrigin>,
}

/// Opens the configured store, and no origin beside it: that is [`open_origins`].
///
/// # Errors
///
/// If it cannot be used; the message says why.
pub fn open(config: &config::Store) -> Result<Opened, OpenError> {
    let StoreUrl::Sqlite(path) = &config.url;
    let opened = SqliteStore::open(sqlite::Config {
        path: path.clone(),
        readers: config.readers,
        busy_timeout: config.busy_timeout,
        timeout: config.timeout,
        watch_interval: config.watch_interval,
    })?;
    let opened = Arc::new(opened);
    Ok(Opened { store: Arc::clone(&opened) as _, ledger: opened, origins: Vec::new() })
}

/// An origin that can be asked, and how.
pub struct OpenedOrigin {
    /// Where to ask.
    pub origin: Arc<dyn Origin>,
    /// How it is guarded; `None` for what is on this machine and cannot be in trouble of its own.
    pub guard: Option<guard::Config>,
    /// How long what it says is used.
    pub freshness: Freshness,
    /// Whether callers may use keys of its own.
    pub lets_keys_through: bool,
}

/// Opens the configured origins, in the order of the configuration. None is asked anything yet.
///
/// # Errors
///
/// If one cannot be used; the message names it and says why.
pub fn open_origins(config: &Config) -> Result<Vec<OpenedOrigin>, OpenOriginError> {
    let open = |entry: &config::Origin| {
        let opened = open_origin(entry, &config.store);
        let origin =
            opened.map_err(|source| OpenOriginError { name: entry.name.clone(), source })?;
        let remote = entry.remote();
        Ok(OpenedOrigin {
            origin,
            guard: remote.map(|_| entry.guard),
            freshness: entry.freshness.clone(),
            lets_keys_through: remote.is_some_and(|remote| remote.keys == Keys::PassThrough),
        })
    };
    config.origins.iter().map(open).collect()
}

fn open_origin(entry: &config::Origin, store: &config::Store) -> Result<Arc<dyn Origin>, Fault> {
    let name = entry.name.clone();
    Ok(match &entry.kind {
        Kind::Files { path } => Arc::new(FilesOrigin::open(files::Config::at(name, path.clone()))?),
        Kind::Langfuse { remote, labels, poll_interval, pins } => {
            let config = langfuse::Config {
                key: keys(remote).0,
                live_label: labels.live.clone(),
                draft_label: labels.draft.clone(),
                versions: pins.clone(),
                poll_interval: *poll_interval,
                full_list_every: in_an_hour(*poll_interval),
            };
            Arc::new(Langfuse::new(upstream(name, remote)?, config))
        }
        Kind::PromptEdge(remote) => {
            let (key, draft_key) = keys(remote);
            Arc::new(Edge::new(upstream(name, remote)?, edge::Config { key, draft_key }))
        }
        Kind::PromptOt(remote) => {
            let (key, draft_key) = keys(remote);
            Arc::new(PromptOt::new(upstream(name, remote)?, promptot::Config { key, draft_key }))
        }
        Kind::Sqlite { path } => {
            // Opening would make one, and an empty store has no prompts.
            path.metadata()?;
            let url = StoreUrl::Sqlite(path.clone());
            let store = open(&config::Store { url, ..store.clone() })?.store;
            Arc::new(Stored::new(name, store, Projects::ByName))
        }
    })
}

fn upstream(name: OriginName, remote: &Remote) -> Result<Upstream, Unusable> {
    Upstream::new(name, &remote.base_url, &remote.client)
}

/// The key and the draft key of a platform; none where callers bring theirs.
fn keys(remote: &Remote) -> (Option<Credential>, Option<Credential>) {
    match &remote.keys {
        Keys::Mapped { key, draft_key } => (Some(key.clone()), draft_key.clone()),
        Keys::PassThrough => (None, None),
    }
}

/// How many intervals there are in an hour.
fn in_an_hour(interval: Duration) -> NonZeroU32 {
    let times = 3600 / interval.as_secs().max(1);
    u32::try_from(times).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

/// An origin that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the origin `{name}` cannot be used")]
pub struct OpenOriginError {
    name: OriginName,
    source: Fault,
}

type Fault = Box<dyn Error + Send + Sync>;
