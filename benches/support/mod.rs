//! What the benches stand on: an edge in this process, over a real store in a temporary folder.

use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::StatusCode;
use http::header::IF_NONE_MATCH;
use http_body_util::Empty;
use prompt_edge::access::Peer;
use prompt_edge::app::{Assembly, Opened, OpenedOrigin};
use prompt_edge::authoring::Authoring;
use prompt_edge::cache::provenance::Windows;
use prompt_edge::clock::SystemClock;
use prompt_edge::compile::tokens;
use prompt_edge::config::Config;
use prompt_edge::delivery::freshness::Freshness;
use prompt_edge::formats::markdown;
use prompt_edge::model::{Credential, Listed, OriginName, Plan, PlanName, PromptId, Rate, Slug};
use prompt_edge::origins::sqlite::{self, SqliteStore};
use prompt_edge::origins::stored::Projects;
use prompt_edge::origins::{
    Change, Changes, Compiles, Cursor, Origin, Pending, Question, Reader, Store, Stored, Text,
    Told, Validator,
};
use prompt_edge::server::{Reply, Router};
use prompt_edge::wire::Response;
use prompt_edge::wire::caching::CACHE_STATUS;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A request as the router takes it in process: a head, no body.
pub(crate) type Ask = Request<Empty<Bytes>>;

/// Where requests come from.
pub(crate) const PEER: &Peer = &Peer::at(IpAddr::V4(Ipv4Addr::LOCALHOST));

/// An edge without sockets: router, gate, delivery, cache and store are the real ones.
pub(crate) struct Edge {
    pub(crate) router: Router,
    pub(crate) runtime: Runtime,
    pub(crate) assembly: Assembly,
    store: Arc<dyn Store>,
    change: Change,
    token: String,
    // Dropped last: by then the store has closed its file.
    _folder: TempDir,
}

impl Edge {
    /// An edge that serves a published prompt to a project without limits, with a vocabulary that
    /// is built already.
    pub(crate) fn new() -> Self {
        Self::on(&PlanName::new("enterprise"), &seldom_renewed())
    }

    /// The same, to a project on a plan of the configuration.
    pub(crate) fn on(plan: &PlanName, config: &Config) -> Self {
        Self::over(plan, config, |_| Vec::new())
    }

    /// The same, to a project without limits whose prompts come from an origin that does not tell
    /// what changes: they grow old, within a day.
    pub(crate) fn of_what_ages() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        let windows = Windows { fresh: day, ..Windows::default() };
        let freshness = Freshness { windows, max_staleness: day, ..Freshness::default() };
        let edge = Self::over(&PlanName::new("enterprise"), &seldom_renewed(), |store| {
            let name = OriginName::new(UNTOLD);
            let origin = Arc::new(Untold(Stored::new(name, Arc::clone(store), Projects::Own)));
            let lets_keys_through = false;
            Vec::from([OpenedOrigin { origin, guard: None, freshness, lets_keys_through }])
        });
        let store = Arc::clone(&edge.store);
        let authoring = Authoring::new(store, Vec::new(), Arc::new(SystemClock::default()));
        let authoring = authoring.with_origins(Vec::from([OriginName::new(UNTOLD)]));
        edge.runtime.block_on(authoring.set_origin("bench", UNTOLD)).expect("it can be set");
        edge
    }

    fn over(
        plan: &PlanName,
        config: &Config,
        origins: impl FnOnce(&Arc<dyn Store>) -> Vec<OpenedOrigin>,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let Stocked { store, sqlite, change, token, folder } = Stocked::with(&runtime, plan);
        tokens::warm();
        let origins = origins(&store);
        let opened = Opened { store: Arc::clone(&store), ledger: sqlite, origins };

        let assembly = Assembly::new(config, opened, Arc::new(SystemClock::default()));
        let router = assembly.router.clone();
        Self { router, runtime, assembly, store, change, token, _folder: folder }
    }

    /// A request for the compiled prompt with this user.
    pub(crate) fn ask(&self, user: &str) -> Ask {
        let path = "/api/v1/prompts/greeting/compiled";
        Request::get(format!("{path}?variables=%7B%22user_name%22%3A%22{user}%22%7D"))
            .header("authorization", format!("Bearer {}", self.token))
            .body(Empty::new())
            .expect("the request is one")
    }

    /// The same request, from somebody who has its present answer.
    pub(crate) fn ask_again(&self, user: &str) -> Ask {
        let mut ask = self.ask(user);
        let answer = self.answer(ask.clone());
        let etag = answer.headers().get("etag").expect("an answer has a tag").clone();
        ask.headers_mut().insert(IF_NONE_MATCH, etag);
        ask
    }

    /// Answers one request.
    pub(crate) fn answer(&self, ask: Ask) -> Response {
        let answered = self.runtime.block_on(self.router.handle(ask, PEER));
        answered.expect("a router always answers")
    }

    /// The response to a request that is answered from memory; to be called within the runtime.
    pub(crate) fn hit(&self, ask: Ask) -> Response {
        match self.router.handle(ask, PEER) {
            Reply::Now(answer) => answer.expect("nobody took it yet"),
            // The first leases of a month are small, and spent before they are renewed.
            later => self.runtime.block_on(later).expect("a router always answers"),
        }
    }

    /// Says that the prompt changed, as the store does after a publish.
    pub(crate) fn forget(&self) {
        self.assembly.generations.apply(&self.change);
    }

    /// Makes sure that a scenario measures what its name says.
    pub(crate) fn check(&self, ask: Ask, status: StatusCode, cache_status: &str) {
        let answer = self.answer(ask);
        assert_eq!(answer.status(), status);
        assert_eq!(
            answer.headers().get(CACHE_STATUS).expect("it is on every answer"),
            cache_status
        );
    }
}

/// A store with a project, one published prompt and a key.
pub(crate) struct Stocked {
    store: Arc<dyn Store>,
    sqlite: Arc<SqliteStore>,
    change: Change,
    pub(crate) token: String,
    // Dropped last: by then the store has closed its file.
    folder: TempDir,
}

impl Stocked {
    /// The project is on a plan of the configuration.
    pub(crate) fn with(runtime: &Runtime, plan: &PlanName) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let store = SqliteStore::open(sqlite::Config::at(folder.path().join("bench.db")));
        let sqlite = Arc::new(store.expect("the store opens"));
        let store: Arc<dyn Store> = sqlite.clone();
        let (change, token) = runtime.block_on(fill(&store, plan));
        Self { store, sqlite, change, token, folder }
    }

    /// It as an edge opens it.
    pub(crate) fn opened(&self) -> Opened {
        let (store, ledger) = (Arc::clone(&self.store), Arc::clone(&self.sqlite) as _);
        Opened { store, ledger, origins: Vec::new() }
    }
}

/// A store that keeps its changes to itself.
struct Untold(Stored);

/// Its name as an origin.
const UNTOLD: &str = "untold";

impl Origin for Untold {
    fn name(&self) -> &OriginName {
        self.0.name()
    }

    fn compiles(&self) -> Compiles {
        self.0.compiles()
    }

    fn tells_all(&self) -> bool {
        false
    }

    fn prompt<'a>(&'a self, question: Question<'a>) -> Pending<'a, Told<Text>> {
        self.0.prompt(question)
    }

    fn listing<'a>(
        &'a self,
        reader: &'a Reader,
        known: Option<&'a Validator>,
    ) -> Pending<'a, Told<Vec<Listed>>> {
        self.0.listing(reader, known)
    }

    fn changes(&self, _: Cursor) -> Pending<'_, Changes> {
        Box::pin(std::future::pending())
    }

    fn probe(&self) -> Pending<'_, ()> {
        self.0.probe()
    }

    fn admits<'a>(&'a self, credential: &'a Credential) -> Pending<'a, bool> {
        self.0.admits(credential)
    }
}

/// Makes a project, one published prompt and a key; returns what a change of it looks like.
async fn fill(store: &Arc<dyn Store>, plan: &PlanName) -> (Change, String) {
    let plans = Vec::from([plan.clone()]);
    let authoring = Authoring::new(Arc::clone(store), plans, Arc::new(SystemClock::default()));
    let project = authoring.create_project("bench", plan.as_str()).await.expect("it can be made");
    let prompt = markdown::parse("greeting", &prompt(1024, 5)).expect("it is a prompt");
    let imported = authoring.import(&project, Vec::from([prompt]), Some("live")).await;
    imported.expect("it can be imported");
    let (secret, _) =
        authoring.issue_key("bench", "live", "", None).await.expect("a key can be issued");

    let slug: Slug = "greeting".parse().expect("it is a slug");
    let id: PromptId = authoring
        .prompts("bench")
        .await
        .expect("the store answers")
        .first()
        .map(|overview| overview.prompt.id)
        .expect("there is one prompt");
    (Change::Prompt { project: project.id, id, slug }, secret.reveal().to_owned())
}

/// A configuration whose leases grow so large that the ledger is asked a few times in a whole run:
/// for benches that do not mean its cost.
pub(crate) fn seldom_renewed() -> Config {
    let mut config = Config::default();
    config.limits.quota.max_lease = 1_000_000_000;
    config
}

/// Adds to a configuration a plan `limited` that limits rate and month, so far away that no bench
/// comes near.
pub(crate) fn limited(mut config: Config) -> (PlanName, Config) {
    let name = PlanName::new("limited");
    let often = NonZeroU32::new(1_000_000_000).expect("it is not zero");
    let plan = Plan {
        name: name.clone(),
        requests_per_month: NonZeroU64::new(999_999_999_999_999),
        rate: Some(Rate { per_second: often, burst: often }),
        key_rate: None,
        weight: NonZeroU32::MIN,
    };
    config.limits.plans.insert(name.clone(), plan);
    (name, config)
}

/// A Markdown prompt of about `len_bytes` with `variables` placeholders, the first of them
/// `user_name`, spread over prose.
pub(crate) fn prompt(len_bytes: usize, variables: usize) -> String {
    let gap = len_bytes / (variables + 1);
    let mut text = String::from("# Role\n");
    for place in 0..variables {
        text.push_str(&prose(gap));
        match place {
            0 => text.push_str(" {{user_name}} "),
            _ => text.push_str(&format!(" {{{{value_{place}}}}} ")),
        }
    }
    text.push_str(&prose(gap));
    text
}

/// English prose of exactly `len_bytes`.
pub(crate) fn prose(len_bytes: usize) -> String {
    SENTENCES.chars().cycle().take(len_bytes).collect()
}

/// ASCII, so that a character is a byte.
const SENTENCES: &str = "You help one customer at a time, in a chat window. Say in one sentence \
    what you understood the problem to be. If something you need is missing, ask for it; one \
    question at a time. Otherwise give the steps that solve it, numbered, one action per step.\n";
