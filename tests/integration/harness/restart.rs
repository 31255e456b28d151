//! An edge before PromptOT, and the same edge after a restart: what is in memory goes through the
//! form of a snapshot, and the new process's clock begins anew.

use std::sync::Arc;

use prompt_edge::app::{Assembly, OpenedOrigin};
use prompt_edge::clock::ManualClock;
use prompt_edge::config::{Config, Kind, Origin};
use prompt_edge::delivery::freshness::Freshness;
use prompt_edge::model::{OriginName, Timestamp};
use prompt_edge::origins::upstream::promptot as adapter;
use prompt_edge::origins::{self, guard};
use prompt_edge::snapshot::image;

use crate::harness::edge::{Edge, PEER};
use crate::harness::exchange::{Answer, request};
use crate::harness::promptot::{self, PromptOt};

/// An edge, and the platform it stands before.
pub(crate) struct Fronted {
    pub(crate) platform: PromptOt,
    pub(crate) edge: Edge,
    /// Reads what is published in the project that comes from the platform.
    pub(crate) key: String,
}

impl Fronted {
    /// In front of a platform without prompts.
    pub(crate) async fn start() -> Self {
        let origins = vec![entry("promptot")];
        Self::configured(&Config { origins, ..Config::default() }).await
    }

    /// The same, set up otherwise.
    pub(crate) async fn configured(config: &Config) -> Self {
        let platform = PromptOt::start().await;
        let origins = vec![mapped(&platform, Freshness::default())];
        let edge = Edge::in_front_of(config, origins, []).await;
        let key = edge.project_of("promptot", "shop").await;
        edge.follow().await;
        Self { platform, edge, key }
    }

    /// `GET` with the key.
    pub(crate) async fn get(&self, target: impl AsRef<str>) -> Answer {
        self.edge.get(target, &self.key).await
    }

    /// The edge after a restart at `now`.
    pub(crate) async fn restarted(&self, now: Timestamp) -> Restarted {
        self.restarted_with(Freshness::default(), now).await
    }

    /// The same, with another word of the operator on how long prompts are used.
    pub(crate) async fn restarted_with(&self, freshness: Freshness, now: Timestamp) -> Restarted {
        Restarted::of(&self.edge, vec![mapped(&self.platform, freshness)], now).await
    }
}

/// An edge that remembers what another one had in memory.
pub(crate) struct Restarted {
    pub(crate) assembly: Assembly,
    pub(crate) clock: Arc<ManualClock>,
}

impl Restarted {
    /// The edge after a restart at `now`, with these origins.
    pub(crate) async fn of(edge: &Edge, origins: Vec<OpenedOrigin>, now: Timestamp) -> Self {
        let taken = image::encode(&edge.assembly.image());
        let clock = Arc::new(ManualClock::at(now));
        let opened = edge.reopened(origins);
        let assembly = Assembly::new(&Config::default(), opened, clock.clone());
        assembly.restore(image::decode(&taken).expect("it was just written")).await;
        Self { assembly, clock }
    }

    /// `GET` as whoever holds the key.
    pub(crate) async fn get(&self, target: impl AsRef<str>, key: &str) -> Answer {
        let reply = self.assembly.router.handle(request("GET", target.as_ref(), key), PEER).await;
        Answer::of(reply.expect("a router never fails")).await
    }

    /// Waits until everything that was begun in the background is over.
    pub(crate) async fn all_is_quiet(&self) {
        let tasks = self.assembly.drain.tasks();
        tasks.close();
        tasks.wait().await;
        tasks.reopen();
    }

    /// How many things it remembers.
    pub(crate) fn remembered(&self) -> usize {
        self.assembly.delivery.capture().0.len()
    }
}

/// An origin of this name in the configuration, which operators and hooks find it by.
pub(crate) fn entry(name: &str) -> Origin {
    Origin {
        name: OriginName::new(name),
        kind: Kind::Files { path: "nowhere".into() },
        freshness: Freshness::default(),
        guard: guard::Config::default(),
        hook: None,
    }
}

/// The platform as an origin, read with the operator's keys.
pub(crate) fn mapped(platform: &PromptOt, freshness: Freshness) -> OpenedOrigin {
    guarded(Arc::new(promptot::mapped(platform)), freshness)
}

/// The platform as an origin, read with the callers' own keys.
pub(crate) fn passing(platform: &PromptOt) -> OpenedOrigin {
    let upstream = promptot::upstream(&platform.base_url());
    let origin = Arc::new(adapter::PromptOt::new(upstream, adapter::Config::default()));
    OpenedOrigin { lets_keys_through: true, ..guarded(origin, Freshness::default()) }
}

/// An origin, guarded but never asked twice: waits between two tries take real time.
pub(crate) fn guarded(origin: Arc<dyn origins::Origin>, freshness: Freshness) -> OpenedOrigin {
    let guard = guard::Config { retries: 0, ..guard::Config::default() };
    OpenedOrigin { origin, guard: Some(guard), freshness, lets_keys_through: false }
}
