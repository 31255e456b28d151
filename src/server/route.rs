//! From a request to whom it concerns, and what every response carries.
//!
//! Every GET and HEAD is offered to the fast lane first: if its key and its very path and query
//! were answered before, the answer is in memory and nothing of the request is parsed. What the
//! fast lane declines goes to a dialect or, where they are received on this side, to the hooks.
//!
//! # Invariant
//!
//! The path alone decides the dialect, and the dialect which scope opens it, in both lanes. So what
//! was answered on a path is recalled for nobody who may not ask there.
//! (`a_key_without_the_scope_is_never_recalled_an_answer` in `tests/integration/tiers.rs`)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use http::Method;
use http::Request;
use http::Uri;
use http::header::CACHE_CONTROL;
use hyper::body::{Body, Incoming};
use prometheus_client::metrics::counter::Counter;

use crate::access::Peer;
use crate::admin::Admin;
use crate::clock::Stopwatch;
use crate::dialects::edge;
use crate::dialects::edge::Edge;
use crate::dialects::promptot::PromptOt;
use crate::dialects::{Served, Services};
use crate::hooks::{self, Hooks};
use crate::live::Live;
use crate::model::{Refusal, Scope};
use crate::origins::RETRY_AFTER;
use crate::server::Config;
use crate::server::reply::{Reply, Service};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::RouteMetrics;
use crate::telemetry::request_id::{self, X_REQUEST_ID};
use crate::wire::Response;
use crate::wire::caching::Outcome;

/// The callers' side: the fast lane, then the dialects.
#[derive(Clone, Debug)]
pub struct Router(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    services: Services,
    edge: Edge,
    promptot: PromptOt,
    hooks: (Arc<Hooks>, Arc<RouteMetrics>),
    config: Live<Config>,
    in_flight: AtomicUsize,
    shed: Counter,
}

impl Router {
    /// A router over the product's verbs. If the configuration says so, origins reach `hooks` here too,
    /// not only on the operators' side.
    pub fn new(
        services: Services,
        metrics: &Metrics,
        config: Live<Config>,
        hooks: Arc<Hooks>,
    ) -> Self {
        let edge = Edge::new(services.clone(), metrics);
        let promptot = PromptOt::new(services.clone(), metrics);
        let hooks = (hooks, Arc::new(metrics.route(hooks::ROUTE)));
        let (in_flight, shed) = (AtomicUsize::new(0), metrics.shed("in_flight"));
        Self(Arc::new(Parts { services, edge, promptot, hooks, config, in_flight, shed }))
    }

    /// Every representation there is, and the route it is counted under.
    pub fn shapes(&self) -> Vec<(&'static str, Arc<RouteMetrics>)> {
        self.0.promptot.shapes().into_iter().chain(self.0.edge.shapes()).collect()
    }

    /// Answers one request from a connection with `peer`.
    pub fn handle<B>(&self, mut request: Request<B>, peer: &Peer) -> Reply
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let watch = Stopwatch::start();
        let request_id = request_id::of(request.headers());
        if let Some(served) = self.recall(&request) {
            served.route.answered(request.method(), served.response.status(), watch.elapsed());
            log(&served, &request_id);
            return Reply::now(signed(served.response, request_id));
        }
        let (method, dialect) = (request.method().clone(), Dialect::of(request.uri()));
        let Some(place) = InFlight::enter(&self.0) else {
            self.0.shed.inc();
            let refusal = Refusal::Overloaded { retry_after: RETRY_AFTER };
            let served = match dialect {
                Dialect::Edge => self.0.edge.shed(refusal),
                Dialect::PromptOt => self.0.promptot.shed(refusal),
            };
            served.route.answered(&method, served.response.status(), watch.elapsed());
            return Reply::now(signed(served.response, request_id));
        };
        request_id::keep(request.extensions_mut(), &request_id);
        let peer = peer.clone();
        Reply::Later(Box::pin(async move {
            let served = place.0.serve(dialect, request, &peer).await;
            served.route.answered(&method, served.response.status(), watch.elapsed());
            log(&served, &request_id);
            signed(served.response, request_id)
        }))
    }

    /// The fast lane: memory only.
    fn recall<B>(&self, request: &Request<B>) -> Option<Served> {
        // Who makes demands of caches has them read on the long way.
        let is_plain = !request.headers().contains_key(CACHE_CONTROL);
        if !(is_plain && matches!(*request.method(), Method::GET | Method::HEAD)) {
            return None;
        }
        let target = request.uri().path_and_query()?.as_str();
        let dialect = Dialect::of(request.uri());
        let Services { gate, delivery, .. } = &self.0.services;
        let caller = gate.recall(request.headers(), dialect.needs())?;
        let answer = delivery.recall(&caller, target)?;
        let route = Arc::clone(&answer.finished().route);
        let receipt = match dialect {
            Dialect::Edge => None,
            Dialect::PromptOt => match gate.try_spend(&caller)? {
                Ok(receipt) => Some(receipt),
                Err(refusal) => return Some(self.0.promptot.deny(&refusal.into(), route)),
            },
        };
        let mut response = answer.respond(request.headers());
        if let Some(receipt) = receipt {
            gate.settle(receipt, &mut response);
        }
        delivery.count(Outcome::Hit);
        Some(Served { response, route, refused: None })
    }
}

/// Whose API a path belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Edge,
    PromptOt,
}

impl Dialect {
    fn of(uri: &Uri) -> Self {
        if edge::routes::owns(uri.path()) { Self::Edge } else { Self::PromptOt }
    }

    /// The scope that opens every route of the API.
    const fn needs(self) -> Scope {
        match self {
            Self::Edge => Scope::Edge,
            Self::PromptOt => Scope::Deliver,
        }
    }
}

impl Parts {
    /// The long way: to an origin's hook, or to a dialect.
    async fn serve<B>(&self, dialect: Dialect, request: Request<B>, peer: &Peer) -> Served
    where
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        if request.uri().path().starts_with(hooks::PATH) && self.config.load().hooks {
            let (hooks, route) = &self.hooks;
            let response = hooks.answer(request).await;
            return Served { response, route: Arc::clone(route), refused: None };
        }
        match dialect {
            Dialect::Edge => self.edge.serve(request, peer).await,
            Dialect::PromptOt => self.promptot.serve(request, peer).await,
        }
    }
}

impl Service for Router {
    fn call(&self, request: Request<Incoming>, peer: &Peer) -> Reply {
        self.handle(request, peer)
    }
}

/// One request among those in flight; dropping it makes room.
struct InFlight(Arc<Parts>);

impl InFlight {
    fn enter(parts: &Arc<Parts>) -> Option<Self> {
        let before = parts.in_flight.fetch_add(1, Ordering::Relaxed);
        let entered = Self(Arc::clone(parts));
        (before < parts.config.load().max_in_flight).then_some(entered)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Service for Admin {
    fn call(&self, request: Request<Incoming>, _: &Peer) -> Reply {
        let request_id = request_id::of(request.headers());
        let admin = self.clone();
        Reply::Later(Box::pin(async move { signed(admin.answer(request).await, request_id) }))
    }
}

/// Puts the request's name on the response.
fn signed(mut response: Response, request_id: HeaderValue) -> Response {
    response.headers_mut().append(X_REQUEST_ID, request_id);
    response
}

fn log(served: &Served, request_id: &HeaderValue) {
    let request_id = request_id.to_str().unwrap_or_default();
    let status = served.response.status().as_u16();
    let route = served.route.template();
    match served.refused {
        Some(reason) => tracing::debug!(request_id, route, status, reason, "refused"),
        None => tracing::trace!(request_id, route, status, "answered"),
    }
}
