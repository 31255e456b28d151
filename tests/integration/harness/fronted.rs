//! An edge in process, in front of a platform that speaks PromptOT's API on a socket of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use prompt_edge::app::OpenedOrigin;
use prompt_edge::config::Config;
use prompt_edge::delivery::Purge;
use prompt_edge::delivery::freshness::Freshness;
use prompt_edge::delivery::purge::{Mode, Scope};
use prompt_edge::model::{Credential, OriginName};
use prompt_edge::origins::guard;
use prompt_edge::origins::upstream::{Upstream, promptot};
use prompt_edge::wire::client;
use tokio::task::JoinSet;

use crate::harness::edge::{Edge, PEER};
use crate::harness::exchange::{Answer, compiled, request, with};
use crate::harness::process::PATIENCE;
use crate::harness::promptot::{LIVE, PromptOt};
use crate::harness::vendor::Vendor;

/// How the edge is set up.
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) client: client::Config,
    pub(crate) guard: guard::Config,
    pub(crate) freshness: Freshness,
}

impl Default for Settings {
    /// The edge's own defaults, but that every deadline is as long as a test's and that a question
    /// is asked once.
    fn default() -> Self {
        let mut config = Config::default();
        config.delivery.deadline = PATIENCE;
        Self {
            config,
            client: client::Config {
                connect_timeout: PATIENCE,
                first_byte_timeout: PATIENCE,
                total_timeout: PATIENCE,
                ..client::Config::default()
            },
            guard: guard::Config { retries: 0, deadline: PATIENCE, ..guard::Config::default() },
            freshness: Freshness::default(),
        }
    }
}

impl Settings {
    /// The adapter of the platform at this base, and how it is guarded.
    pub(crate) fn opened(&self, base_url: &str) -> OpenedOrigin {
        let base_url = base_url.parse().expect("the base is a URL");
        let upstream = Upstream::new(OriginName::new("promptot"), &base_url, &self.client);
        let upstream = upstream.expect("loopback needs no TLS");
        let config = promptot::Config { key: Some(Credential::new(LIVE)), draft_key: None };
        OpenedOrigin {
            origin: Arc::new(promptot::PromptOt::new(upstream, config)),
            guard: Some(self.guard),
            freshness: self.freshness.clone(),
            lets_keys_through: false,
        }
    }
}

/// The edge, the platform, and a key for the project `remote` whose prompts are the platform's.
pub(crate) struct Fronted {
    pub(crate) edge: Edge,
    pub(crate) platform: PromptOt,
    pub(crate) key: String,
}

impl Fronted {
    /// In front of a platform that has these prompts published, each with its text.
    pub(crate) async fn with(prompts: &[(&str, &str)]) -> Self {
        Self::configured(Settings::default(), prompts).await
    }

    /// The same, set up otherwise.
    pub(crate) async fn configured(settings: Settings, prompts: &[(&str, &str)]) -> Self {
        let platform = PromptOt::start().await;
        for (slug, text) in prompts {
            platform.publish(slug, *text);
        }
        let opened = settings.opened(&platform.base_url());
        let edge = Edge::in_front_of(&settings.config, vec![opened], []).await;
        let key = edge.project_of("promptot", "remote").await;
        edge.follow().await;
        let fronted = Self { edge, platform, key };
        // From here on the edge knows the key and asks its own store nothing.
        fronted.ask_with("nothing", "only-if-cached").await.expect_refusal(504, "NOT_CACHED");
        fronted
    }

    /// To see what was asked, and to make it fail.
    pub(crate) fn vendor(&self) -> &Vendor {
        &self.platform.vendor
    }

    /// Asks for a prompt's text.
    pub(crate) async fn ask(&self, prompt: &str) -> Answer {
        self.edge.get(compiled(prompt), &self.key).await
    }

    /// Asks for it as so many callers at once. The runtime of a test has one thread: if they were
    /// expected, each of them waits for the platform before it hears of the first.
    pub(crate) fn crowd(&self, callers: usize, prompt: &str) -> JoinSet<Answer> {
        let mut crowd = JoinSet::new();
        for _ in 0..callers {
            let reply = self.edge.assembly.router.handle(self.request(prompt), PEER);
            crowd.spawn(async { Answer::of(reply.await.expect("a router never fails")).await });
        }
        crowd
    }

    /// Has the ledger lease what so many callers take, for as many who find nothing.
    pub(crate) async fn expect(&self, callers: usize) {
        for answer in self.crowd(callers, "nothing").join_all().await {
            answer.expect_refusal(404, "NOT_FOUND");
        }
    }

    /// Asks for it with a `Cache-Control`.
    pub(crate) async fn ask_with(&self, prompt: &str, demand: &str) -> Answer {
        self.edge.ask(with(self.request(prompt), "cache-control", demand)).await
    }

    /// A request for a prompt's text.
    pub(crate) fn request(&self, prompt: &str) -> Request<Full<Bytes>> {
        request("GET", &compiled(prompt), &self.key)
    }

    /// Lets time pass, in which nobody does anything.
    pub(crate) fn pass(&self, seconds: u64) {
        self.edge.clock.advance(Duration::from_secs(seconds));
    }

    /// Does once what is done every second, and waits for what comes of it.
    pub(crate) async fn tend(&self) -> usize {
        let refreshed = self.edge.assembly.delivery.tend();
        self.edge.all_is_quiet().await;
        refreshed
    }

    /// Forgets the platform's prompts.
    pub(crate) fn purge(&self, mode: Mode) -> usize {
        let scope = Scope::Origin(OriginName::new("promptot"));
        self.edge.assembly.delivery.purge(&Purge { scope, mode })
    }

    /// Purges one prompt of it.
    pub(crate) fn purge_one(&self, prompt: &str, mode: Mode) -> usize {
        let name = prompt.parse().expect("it is a slug");
        let scope = Scope::OfOrigin(OriginName::new("promptot"), vec![name]);
        self.edge.assembly.delivery.purge(&Purge { scope, mode })
    }

    /// How many answers came from there.
    pub(crate) async fn lookups(&self, outcome: &str) -> u64 {
        let labels = format!("{{outcome=\"{outcome}\"}}");
        self.edge.metric(&format!("prompt_edge_cache_lookups_total{labels}")).await
    }
}

/// For how many more seconds the answer says that it is fresh.
#[track_caller]
pub(crate) fn ttl(answer: &Answer) -> i64 {
    let ttl = answer.source().split("; ").find_map(|part| part.strip_prefix("ttl="));
    ttl.and_then(|ttl| ttl.parse().ok()).unwrap_or_else(|| panic!("{answer:?} should have a ttl"))
}

/// Whether it says that the origin failed.
pub(crate) fn is_rescue(answer: &Answer) -> bool {
    answer.source().ends_with("; detail=rescue")
}
