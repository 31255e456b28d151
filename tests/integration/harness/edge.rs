//! An edge in process: the product over a real store, a clock that is moved by hand, no sockets.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Waker};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::body::Body;
use prompt_edge::access::{Identity, Peer};
use prompt_edge::app::{Assembly, Opened, OpenedOrigin};
use prompt_edge::authoring::Authoring;
use prompt_edge::clock::{Clock, ManualClock};
use prompt_edge::config::Config;
use prompt_edge::live::Live;
use prompt_edge::model::{
    Environment, KeyDigest, KeyId, OriginName, Portable, Project, PromptName, Scope,
};
use prompt_edge::origins::{Cursor, NewKey, Store};
use prompt_edge::server::{self, Door, Drain, Places, Reply};
use prompt_edge::telemetry::Metrics;
use rusqlite::Connection;
use serde_json::Value;

use crate::contract::given::at;
use crate::harness::account::Account;
use crate::harness::exchange::{Answer, request};
use crate::harness::prompt::Draft;
use crate::harness::store::{self, Temporary};
use crate::harness::watched::Watched;

/// An edge that serves one project, with a key for each of its environments.
pub(crate) struct Edge {
    pub(crate) store: Arc<Watched>,
    pub(crate) ledger: Arc<Account>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) assembly: Assembly,
    pub(crate) project: Project,
    /// Reads what is published.
    pub(crate) live: String,
    /// Reads drafts.
    pub(crate) dev: String,
    authoring: Authoring,
    cursor: AtomicI64,
    /// Dropped last: everything above reads from it.
    kept: Temporary,
}

/// Where requests come from, as far as the edge can tell.
pub(crate) const PEER: &Peer = &Peer::at(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

impl Edge {
    /// An edge that has these prompts published.
    pub(crate) async fn serving(prompts: impl IntoIterator<Item = Draft>) -> Self {
        Self::configured(&Config::default(), prompts).await
    }

    /// The same, set up otherwise.
    pub(crate) async fn configured(
        config: &Config,
        prompts: impl IntoIterator<Item = Draft>,
    ) -> Self {
        Self::in_front_of(config, Vec::new(), prompts).await
    }

    /// The same, with origins beside the store.
    pub(crate) async fn in_front_of(
        config: &Config,
        origins: Vec<OpenedOrigin>,
        prompts: impl IntoIterator<Item = Draft>,
    ) -> Self {
        let kept = store::sqlite();
        let store = Arc::new(Watched::new(Arc::clone(&kept.store)));
        let clock = Arc::new(ManualClock::at(at(0)));
        let plans = config.limits.plans.keys().cloned().collect();
        let authoring = Authoring::new(Arc::clone(&kept.store), plans, clock.clone());
        let unlimited = authoring.create_project("acme", "enterprise").await;
        let project = unlimited.expect("the name is free");
        let ledger = Arc::new(Account::over(Arc::clone(&kept.ledger)));
        let opened = Opened { store: store.clone(), ledger: ledger.clone(), origins };
        let assembly = Assembly::new(config, opened, clock.clone());
        let mut edge = Self {
            store,
            ledger,
            clock,
            assembly,
            project,
            live: String::new(),
            dev: String::new(),
            authoring,
            cursor: AtomicI64::new(Cursor::START.0),
            kept,
        };
        edge.live = edge.key("acme", "live").await.0;
        edge.dev = edge.key("acme", "dev").await.0;
        for prompt in prompts {
            edge.publish(prompt).await;
        }
        edge.follow().await;
        edge
    }

    /// Lets the edge learn what has changed since it learned last. Something must have.
    pub(crate) async fn follow(&self) {
        let cursor = Cursor(self.cursor.load(Ordering::SeqCst));
        let next = self.assembly.follow_once(cursor).await.expect("the store tells its changes");
        self.cursor.store(next.0, Ordering::SeqCst);
    }

    /// Makes another project.
    pub(crate) async fn another_project(&self, name: &str) -> Project {
        self.authoring.create_project(name, "enterprise").await.expect("the name is free")
    }

    /// Makes a project whose prompts come from an origin, and a live key of it.
    pub(crate) async fn project_of(&self, origin: &str, name: &str) -> String {
        let made = self.authoring.create_project(name, "enterprise").await;
        let project = made.expect("the name is free").id;
        let origin = Some(OriginName::new(origin));
        self.store.set_origin(project, origin).await.expect("the project is there");
        self.key(name, "live").await.0
    }

    /// Issues a key of a project's environment.
    pub(crate) async fn key(&self, project: &str, environment: &str) -> (String, KeyId) {
        let issued = self.authoring.issue_key(project, environment, "test", None).await;
        let (secret, key) = issued.expect("the key can be issued");
        (secret.reveal().to_owned(), key.id)
    }

    /// Records a key with a token, scopes and a life of one's own choice.
    pub(crate) async fn record_key(&self, token: &str, change: impl FnOnce(&mut NewKey)) -> KeyId {
        let digest = prompt_edge::access::credential::Token::presented(token.as_bytes())
            .map_or(KeyDigest([0; 32]), |token| token.digest());
        let mut new = NewKey {
            project: self.project.id,
            environment: "live".to_owned(),
            name: "test".to_owned(),
            digest,
            prefix: token.chars().take(4).collect(),
            scopes: vec![Scope::Deliver],
            expires_at: None,
            at: self.clock.now(),
        };
        change(&mut new);
        self.store.create_key(new).await.expect("the key can be recorded").id
    }

    /// Revokes a key.
    pub(crate) async fn revoke(&self, key: KeyId) {
        self.authoring.revoke_key(key).await.expect("the key can be revoked");
    }

    /// Makes a prompt, or the next version of one, and publishes it.
    pub(crate) async fn publish(&self, prompt: Draft) {
        self.import(&self.project, prompt, Some("live")).await;
    }

    /// Makes a prompt, or the next version of one, and leaves it unpublished.
    pub(crate) async fn draft(&self, prompt: Draft) {
        self.import(&self.project, prompt, None).await;
    }

    /// Adds a prompt to a project.
    pub(crate) async fn import(&self, project: &Project, prompt: Draft, publish_in: Option<&str>) {
        let prompts = vec![Portable::from(prompt)];
        let imported = self.authoring.import(project, prompts, publish_in).await;
        imported.expect("the prompt can be imported");
    }

    /// Takes the newest publication of a prompt back.
    pub(crate) async fn roll_back(&self, prompt: &str) {
        let rolled_back = self.authoring.rollback("acme", name(prompt), "live").await;
        rolled_back.expect("there is something to go back to");
    }

    /// Deletes a prompt.
    pub(crate) async fn delete(&self, prompt: &str) {
        self.authoring.delete("acme", name(prompt)).await.expect("the prompt exists");
    }

    /// The project's environment of that name.
    pub(crate) async fn environment(&self, name: &str) -> Environment {
        let environments = self.authoring.environments(&self.project).await;
        let mut environments = environments.expect("the store answers").into_iter();
        environments.find(|environment| environment.name == name).expect("there is one such")
    }

    /// Replaces the default variables of an environment of the project.
    pub(crate) async fn set_defaults(&self, environment: &str, defaults: Value) {
        let Value::Object(defaults) = defaults else { panic!("defaults are an object") };
        let environment = self.environment(environment).await.id;
        let set = self.store.set_defaults(environment, defaults).await;
        set.expect("the defaults can be set");
    }

    /// The edge's store, to be opened by another edge with these origins beside it.
    pub(crate) fn reopened(&self, origins: Vec<OpenedOrigin>) -> Opened {
        Opened { store: self.store.clone(), ledger: self.ledger.clone(), origins }
    }

    /// Another edge on the same store: one more process, or the same after it was killed.
    pub(crate) fn beside(&self, config: &Config) -> Assembly {
        let again = self.kept.opened_again();
        let opened = Opened { store: Arc::clone(&again) as _, ledger: again, origins: Vec::new() };
        Assembly::new(config, opened, self.clock.clone())
    }

    /// Waits until everything that was begun in the background is over.
    pub(crate) async fn all_is_quiet(&self) {
        let tasks = self.assembly.drain.tasks();
        tasks.close();
        tasks.wait().await;
        tasks.reopen();
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.ask_from(PEER.address, request).await
    }

    /// Asks from an address.
    pub(crate) async fn ask_from<B>(&self, peer: IpAddr, request: Request<B>) -> Answer
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let reply = self.assembly.router.handle(request, &Peer::at(peer)).await;
        Answer::of(reply.expect("a router never fails")).await
    }

    /// Asks on a connection whose certificate names this project and environment.
    pub(crate) async fn ask_as(
        &self,
        project: &str,
        environment: &str,
        request: Request<Full<Bytes>>,
    ) -> Answer {
        let identity = Some(Arc::new(Identity::new(project, environment)));
        let peer = Peer { identity, ..PEER.clone() };
        let reply = self.assembly.router.handle(request, &peer).await;
        Answer::of(reply.expect("a router never fails")).await
    }

    /// Gives a project another name.
    pub(crate) fn rename(&self, project: &str, name: &str) {
        let file = Connection::open(self.kept.path()).expect("the store is a file of SQLite");
        let sql = "UPDATE projects SET name = ?2 WHERE name = ?1";
        assert_eq!(file.execute(sql, [project, name]).expect("it can be written"), 1);
    }

    /// `GET` as whoever holds the key.
    pub(crate) async fn get(&self, target: impl AsRef<str>, key: &str) -> Answer {
        self.ask(request("GET", target.as_ref(), key)).await
    }

    /// Asks, and goes as far as it goes without waiting.
    pub(crate) fn begin(&self, request: Request<Full<Bytes>>) -> Begun {
        let mut reply = Box::pin(self.assembly.router.handle(request, PEER));
        let polled = reply.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "the answer should have to wait for the store");
        Begun(reply)
    }

    /// One of the operators' pages.
    pub(crate) async fn page(&self, path: &str) -> Answer {
        let request = Request::get(path).body(Full::default()).expect("the path is one");
        self.operate(request).await
    }

    /// A request on the operators' side.
    pub(crate) async fn operate(&self, request: Request<Full<Bytes>>) -> Answer {
        Answer::of(self.assembly.admin.answer(request).await).await
    }

    /// Makes another project on this plan, with one prompt published, and a live key for it.
    pub(crate) async fn project_on(&self, plan: &str, name: &str, prompt: Draft) -> String {
        let project = self.authoring.create_project(name, plan).await.expect("the name is free");
        self.import(&project, prompt, Some("live")).await;
        self.key(name, "live").await.0
    }

    /// Puts a project on another plan.
    pub(crate) async fn set_plan(&self, project: &str, plan: &str) {
        self.authoring.set_plan(project, plan).await.expect("there is such a plan");
    }

    /// A sample of `/metrics`, by its name and labels; 0 if there is none yet.
    pub(crate) async fn metric(&self, sample: &str) -> u64 {
        let page = self.page("/metrics").await;
        let text = String::from_utf8(page.body.to_vec()).expect("metrics are text");
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(sample));
        let value = lines.find_map(|rest| rest.strip_prefix(' '));
        value.map_or(0, |value| value.parse().expect("the sample is a whole number"))
    }
}

/// What serves a listener's connections, with the default settings.
pub(crate) fn door<S>(service: Arc<S>, drain: &Drain) -> Door<S> {
    let (config, metrics) = (server::Config::default(), Metrics::new("0", "0"));
    let (config, places) = (Live::new(config), Places::by_source(&metrics));
    Door { service, config, places, tls: None, drain: drain.clone() }
}

/// A request under way.
pub(crate) struct Begun(Pin<Box<Reply>>);

impl Begun {
    /// Waits for the answer.
    pub(crate) async fn answer(self) -> Answer {
        Answer::of(self.0.await.expect("a router never fails")).await
    }
}

fn name(prompt: &str) -> PromptName {
    prompt.parse().expect("the name is a slug or an id")
}
