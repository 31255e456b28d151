//! `[[origins]]`: the places prompts come from besides the store, one entry each.

pub(crate) mod entry;
mod remote;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use crate::delivery::freshness::Freshness;
use crate::hooks;
use crate::model::{Credential, OriginName};
use crate::origins::guard;
use crate::wire::client;

/// A place prompts come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Unique among origins, and never `store`.
    pub name: OriginName,
    /// What is there.
    pub kind: Kind,
    /// For how long what it said is used.
    pub freshness: Freshness,
    /// How it is asked when it is in trouble.
    pub guard: guard::Config,
    /// How it signs when it says what changed; it is not believed if this is `None`.
    pub hook: Option<hooks::Config>,
}

impl Origin {
    /// The platform that it is, if it is one.
    pub fn remote(&self) -> Option<&Remote> {
        match &self.kind {
            Kind::Files { .. } | Kind::Sqlite { .. } => None,
            Kind::Langfuse { remote, .. } | Kind::PromptEdge(remote) | Kind::PromptOt(remote) => {
                Some(remote)
            }
        }
    }
}

/// What is behind an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder of prompts in the formats that `import` takes.
    Files {
        /// The folder; relative to the working directory.
        path: PathBuf,
    },
    /// Langfuse. Its key is the public key, a colon and the secret key.
    Langfuse {
        /// Where, and how to get in.
        remote: Remote,
        /// Which versions live keys read, and which drafts do.
        labels: Labels,
        /// How often its list is looked through for changes.
        poll_interval: Duration,
        /// Prompts that are read in one version, whatever their labels say.
        pins: BTreeMap<String, u32>,
    },
    /// Another edge.
    PromptEdge(Remote),
    /// PromptOT.
    PromptOt(Remote),
    /// Another edge's store, whose projects and environments have the names that ours have.
    Sqlite {
        /// The file; relative to the working directory.
        path: PathBuf,
    },
}

/// The labels of Langfuse that stand for our environments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// What keys that read published versions ask for.
    pub live: String,
    /// What keys that read drafts ask for.
    pub draft: String,
}

/// A platform over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// What every path is appended to, without a slash at its end.
    pub base_url: Uri,
    /// Whose keys it is asked with.
    pub keys: Keys,
    /// How it is asked.
    pub client: client::Config,
}

/// Whose keys a platform is asked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// Ours outside, the platform's inside.
    Mapped {
        /// What the platform issued to this edge.
        key: Credential,
        /// What drafts are read with; the same key if there is none.
        draft_key: Option<Credential>,
    },
    /// The caller's own.
    PassThrough,
}

#[cfg(test)]
mod tests;
