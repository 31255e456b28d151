//! Which origin a reader's prompts come from, and how long what it says is used.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::delivery::freshness::Freshness;
use crate::live::Live;
use crate::model::{OriginName, Refusal};
use crate::origins::{Origin, Reader};

/// An origin, and how long what it says is used.
pub struct Source {
    /// Where to ask.
    pub origin: Arc<dyn Origin>,
    /// How long what it says is used.
    pub freshness: Live<Freshness>,
}

/// Every origin there is.
pub struct Sources {
    /// The store: for projects that name no origin.
    pub own: Source,
    /// Those that are configured, by name.
    pub named: BTreeMap<OriginName, Source>,
}

impl Sources {
    /// The store alone.
    pub fn of_store(origin: Arc<dyn Origin>) -> Self {
        let own = Source { origin, freshness: Live::new(Freshness::default()) };
        Self { own, named: BTreeMap::new() }
    }

    /// The origin of a reader's project.
    ///
    /// # Errors
    ///
    /// `OriginUnreachable` if the project names one that is not configured: another edge may know
    /// it, and this one may tomorrow.
    pub fn of(&self, reader: &Reader) -> Result<&Source, Refusal> {
        match &reader.origin {
            None => Ok(&self.own),
            Some(name) => {
                self.named.get(name).ok_or(Refusal::OriginUnreachable { retry_after: UNKNOWN })
            }
        }
    }

    /// Every origin there is, the store first.
    pub fn all(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.own).chain(self.named.values())
    }
}

/// When to ask again for prompts of an origin that is not configured: a person has to act first.
const UNKNOWN: Duration = Duration::from_secs(60);
