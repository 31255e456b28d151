//! A far edge as a place that prompts come from: a real one, on a socket.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prompt_edge::app::OpenedOrigin;
use prompt_edge::config::Config;
use prompt_edge::delivery::freshness::Freshness;
use prompt_edge::model::{
    Content, Credential, Layout, OriginName, Portable, PortableVersion, Reads, Scope,
};
use prompt_edge::origins::guard;
use prompt_edge::origins::upstream::Upstream;
use prompt_edge::origins::upstream::edge as adapter;
use prompt_edge::origins::{Import, Origin, Reader, Store};
use prompt_edge::server::{Drain, Listener};
use prompt_edge::wire::client;

use crate::contract::given;
use crate::contract::origin::{self, Drafts, Keys, Place};
use crate::harness::edge::{Edge, door};
use crate::harness::exchange::Answer;

/// An edge that listens, and the adapter in front of it.
pub(crate) struct Far {
    pub(crate) edge: Edge,
    /// A caller's key that reads what is published.
    pub(crate) live: String,
    /// A caller's key that reads drafts.
    pub(crate) dev: String,
    origin: Arc<dyn Origin>,
    address: SocketAddr,
    /// What the listener and its connections end with.
    open: Mutex<Drain>,
}

/// The key of the far edge that a near one has.
pub(crate) const LIVE: &str = "far-live";

/// Its key for environments that serve drafts.
const DEV: &str = "far-dev";

impl Far {
    /// A far edge without prompts.
    pub(crate) async fn start() -> Self {
        let edge = Edge::serving([]).await;
        let keys = (edge.live.clone(), edge.dev.clone());
        Self::listening(edge, "acme", keys).await
    }

    /// An edge in front of an origin, which listens as well.
    pub(crate) async fn in_front_of(origin: Arc<dyn Origin>) -> Self {
        let name = origin.name().as_str().to_owned();
        let opened = OpenedOrigin {
            origin,
            guard: Some(guard::Config { retries: 0, ..guard::Config::default() }),
            freshness: Freshness::default(),
            lets_keys_through: false,
        };
        let edge = Edge::in_front_of(&Config::default(), vec![opened], []).await;
        let live = edge.project_of(&name, "chained").await;
        let dev = edge.key("chained", "dev").await.0;
        Self::listening(edge, "chained", (live, dev)).await
    }

    /// Gives an edge keys for a nearer one, of a project of its own, and puts it on a socket.
    async fn listening(edge: Edge, project: &str, (live, dev): (String, String)) -> Self {
        let projects = edge.store.projects().await.expect("the store answers");
        let named = projects.into_iter().find(|its| its.name == project);
        let project = named.expect("there is the project").id;
        for (token, environment) in [(LIVE, "live"), (DEV, "dev")] {
            let environment = environment.to_owned();
            edge.record_key(token, |new| {
                new.project = project;
                new.environment = environment;
                new.scopes = vec![Scope::Edge];
            })
            .await;
        }
        edge.follow().await;
        let (address, open) = listen(&edge, (Ipv4Addr::LOCALHOST, 0).into());
        let origin = edge_at(&format!("http://{address}"));
        Self { edge, live, dev, origin: Arc::new(origin), address, open: Mutex::new(open) }
    }

    async fn import(&self, slug: &str, text: &str, publish_in: Option<&str>) {
        let content = Content { layout: Layout::Verbatim(text.to_owned()), ..Content::default() };
        let version = PortableVersion { id: None, content, created_at: None };
        let prompt = Portable { versions: vec![version], ..given::prompt(slug, &[]) };
        let import = Import {
            project: self.edge.project.id,
            prompts: vec![prompt],
            publish_in: publish_in.map(str::to_owned),
            at: given::at(1),
        };
        self.edge.store.import(import).await.expect("the prompt can be imported");
        self.edge.follow().await;
    }

    /// The root of its URL.
    pub(crate) fn root(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it answers to a caller who reads what is published.
    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.edge.get(target, &self.live).await
    }

    /// How often a nearer edge has asked it, answered with this status.
    pub(crate) async fn asked(&self, status: u16) -> u64 {
        let mut asked = 0;
        for route in ["/edge/v1/prompts", "/edge/v1/prompts/{prompt}"] {
            let labels = format!(r#"{{route="{route}",method="GET",status="{status}"}}"#);
            asked += self.edge.metric(&format!("prompt_edge_http_requests_total{labels}")).await;
        }
        asked
    }

    /// Lets a second pass, with all that goes on in it.
    pub(crate) async fn tick(&self) {
        self.edge.clock.advance(Duration::from_secs(1));
        self.edge.assembly.delivery.tend();
        self.edge.all_is_quiet().await;
    }
}

impl Place for Far {
    fn origin(&self) -> Arc<dyn Origin> {
        Arc::clone(&self.origin)
    }

    fn reader(&self, reads: Reads) -> Reader {
        origin::reader(reads)
    }

    async fn publish(&self, slug: &str, text: &str) {
        self.import(slug, text, Some("live")).await;
    }

    async fn delete(&self, slug: &str) {
        self.edge.delete(slug).await;
        self.edge.follow().await;
    }

    async fn goes_away(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        open.finish(Duration::ZERO).await;
    }

    async fn comes_back(&self) {
        let (_, open) = listen(&self.edge, self.address);
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = open;
    }
}

impl Drafts for Far {
    async fn draft(&self, slug: &str, text: &str) {
        self.import(slug, text, None).await;
    }
}

impl Keys for Far {
    fn key(&self) -> Credential {
        Credential::new(LIVE)
    }

    fn wrong_key(&self) -> Credential {
        Credential::new("far-nothing")
    }
}

/// The adapter for an edge whose root this is, with the keys of a near one.
pub(crate) fn edge_at(root: &str) -> adapter::Edge {
    let key = |token| Some(Credential::new(token));
    adapter::Edge::new(upstream(root), adapter::Config { key: key(LIVE), draft_key: key(DEV) })
}

/// Connections to that root.
pub(crate) fn upstream(root: &str) -> Upstream {
    let root = root.parse().expect("the root is a URL");
    let upstream = Upstream::new(OriginName::new("far"), &root, &client::Config::default());
    upstream.expect("the root can be asked")
}

/// Puts an edge behind a listener.
fn listen(edge: &Edge, address: SocketAddr) -> (SocketAddr, Drain) {
    let listener = Listener::bind(address).expect("the address is free");
    let address = listener.address().expect("it is one of TCP");
    let (router, open) = (Arc::new(edge.assembly.router.clone()), Drain::default());
    listener.serve(&door(router, &open)).expect("there are descriptors left");
    (address, open)
}
