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
use http::StatusCode;
use http::Uri;
use hyper::body::{Body, Incoming};
use prometheus_client::metrics::counter::Counter;

use crate::access::{Peer, Presented};
use crate::admin::Admin;
use crate::clock::{Clock, Stopwatch};
use crate::dialects::edge;
use crate::dialects::edge::Edge;
use crate::dialects::promptot::PromptOt;
use crate::dialects::{Served, Services};
use crate::hooks::{self, Hooks};
use crate::live::Live;
use crate::model::{Noun, Refusal, Scope};
use crate::origins::RETRY_AFTER;
use crate::server::reply::{Reply, Service};
use crate::server::{Config, Serves};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::RouteMetrics;
use crate::telemetry::request_id::{self, X_REQUEST_ID};
use crate::wire::Response;
use crate::wire::caching::Outcome;
use crate::wire::heeded::Heeded;

/// The callers' side: the fast lane, then the dialects.
#[derive(Clone)]
pub struct Router {
    parts: Arc<Parts>,
    serves: Serves,
}

struct Parts {
    services: Services,
    clock: Arc<dyn Clock>,
    edge: Edge,
    promptot: PromptOt,
    hooks: (Arc<Hooks>, Arc<RouteMetrics>),
    refused: RouteMetrics,
    config: Live<Config>,
    in_flight: AtomicUsize,
    shed: Counter,
}

impl Router {
    /// A router over the product's verbs. If the configuration says so, origins reach `hooks` here too,
    /// not only on the operators' side.
    pub fn new(
        services: Services,
        (metrics, clock): (&Metrics, Arc<dyn Clock>),
        config: Live<Config>,
        hooks: Arc<Hooks>,
    ) -> Self {
        let edge = Edge::new(services.clone(), metrics);
        let promptot = PromptOt::new(services.clone(), metrics);
        let hooks = (hooks, Arc::new(metrics.route(hooks::ROUTE)));
        let (in_flight, shed) = (AtomicUsize::new(0), metrics.shed("in_flight"));
        let refused = metrics.route(REFUSED);
        let parts =
            Parts { services, clock, edge, promptot, hooks, refused, config, in_flight, shed };
        Self { parts: Arc::new(parts), serves: Serves::ALL }
    }

    /// The same router, of which only these dialects can be reached.
    pub fn serving(&self, serves: Serves) -> Self {
        Self { parts: Arc::clone(&self.parts), serves }
    }

    /// Every representation there is, and the route it is counted under.
    pub fn shapes(&self) -> Vec<(&'static str, Arc<RouteMetrics>)> {
        self.parts.promptot.shapes().into_iter().chain(self.parts.edge.shapes()).collect()
    }

    /// Answers one request, by the fast lane or the long way. What a listener lets in, and only that,
    /// has been checked (`server::check`).
    pub fn handle<B>(&self, request: Request<B>, peer: &Peer) -> Reply
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let heeded = Heeded::of(request.headers());
        match heeded.and_then(|heeded| self.recall(&request, &heeded, peer)) {
            Some(response) => Reply::now(response),
            None => self.ask(request, peer),
        }
    }

    /// The long way.
    fn ask<B>(&self, mut request: Request<B>, peer: &Peer) -> Reply
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let watch = Stopwatch::start();
        let request_id = request_id::of(request.headers(), self.parts.clock.now());
        let (method, dialect) = (request.method().clone(), Dialect::of(request.uri()));
        let Some(place) = InFlight::enter(&self.parts) else {
            self.parts.shed.inc();
            let refusal = Refusal::Overloaded { retry_after: RETRY_AFTER };
            let served = match dialect {
                Dialect::Edge => self.parts.edge.shed(refusal),
                Dialect::PromptOt => self.parts.promptot.shed(refusal),
            };
            served.route.answered(&method, served.response.status(), Some(watch.elapsed()));
            return Reply::now(signed(served.response, request_id));
        };
        request_id::keep(request.extensions_mut(), &request_id);
        let (peer, is_served) = (peer.clone(), dialect.is_among(self.serves));
        Reply::Later(Box::pin(async move {
            let served = place.0.serve((dialect, is_served), request, &peer).await;
            served.route.answered(&method, served.response.status(), Some(watch.elapsed()));
            log(&served.route, served.response.status(), served.refused, &request_id);
            signed(served.response, request_id)
        }))
    }

    /// The fast lane: memory only. Counts, but reads no clock and so times nothing.
    fn recall<B>(
        &self,
        request: &Request<B>,
        heeded: &Heeded<'_>,
        peer: &Peer,
    ) -> Option<Response> {
        let is_head = match *request.method() {
            Method::GET => false,
            Method::HEAD => true,
            _ => return None,
        };
        let target = request.uri().path_and_query()?.as_str();
        let Parts { services: Services { gate, delivery, .. }, clock, .. } = &*self.parts;
        let line = delivery.recall(Presented::of(heeded, peer)?, target)?;

        let (moment, dialect) = (clock.recently(), Dialect::of(request.uri()));
        let caller = line.caller();
        if !(dialect.is_among(self.serves) && gate.readmits(caller, dialect.needs(), moment.now)) {
            return None;
        }
        let status = delivery.judge(&line, moment)?;
        let finished = line.finished();
        let request_id = request_id::answer_to(heeded.request_id, moment.now);
        let receipt = match dialect {
            Dialect::Edge => None,
            Dialect::PromptOt => match gate.try_spend(caller, moment.now)? {
                Ok(receipt) => Some(receipt),
                Err(refusal) => {
                    let route = Arc::clone(&finished.route);
                    let served = self.parts.promptot.deny(&refusal.into(), route);
                    let status = served.response.status();
                    served.route.answered(request.method(), status, None);
                    log(&served.route, status, served.refused, &request_id);
                    return Some(signed(served.response, request_id));
                }
            },
        };
        let variant = finished.representation.choose_plain(heeded, request.headers());
        if let Some(missing) = variant.missing() {
            delivery.set_going(&line, missing);
        }
        log(&finished.route, variant.status(), None, &request_id);
        finished.route.recalled(is_head, variant.is_current());
        let mut response = finished.representation.send(variant, status, request_id);
        if let Some(receipt) = receipt {
            gate.settle(receipt, &mut response);
        }
        delivery.count(Outcome::Hit);
        Some(response)
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

    const fn is_among(self, serves: Serves) -> bool {
        match self {
            Self::Edge => serves.edge,
            Self::PromptOt => serves.promptot,
        }
    }
}

impl Parts {
    /// The long way: to an origin's hook, or to a dialect. One that is not served here knows no
    /// route.
    async fn serve<B>(
        &self,
        (dialect, is_served): (Dialect, bool),
        request: Request<B>,
        peer: &Peer,
    ) -> Served
    where
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        if request.uri().path().starts_with(hooks::PATH) && self.config.load().hooks {
            let (hooks, route) = &self.hooks;
            let response = hooks.answer(request).await;
            return Served { response, route: Arc::clone(route), refused: None };
        }
        match (dialect, is_served) {
            (Dialect::Edge, true) => self.edge.serve(request, peer).await,
            (Dialect::Edge, false) => self.edge.shed(NO_ROUTE),
            (Dialect::PromptOt, true) => self.promptot.serve(request, peer).await,
            (Dialect::PromptOt, false) => self.promptot.shed(NO_ROUTE),
        }
    }
}

/// What requests are counted under that are refused before their path is looked at.
const REFUSED: &str = "none";

const NO_ROUTE: Refusal = Refusal::NotFound { noun: Noun::Route };

impl Service for Router {
    fn recall(
        &self,
        request: &Request<Incoming>,
        heeded: &Heeded<'_>,
        peer: &Peer,
    ) -> Option<Response> {
        self.recall(request, heeded, peer)
    }

    fn call(&self, request: Request<Incoming>, peer: &Peer) -> Reply {
        self.ask(request, peer)
    }

    fn refuse(&self, request: &Request<Incoming>, refused: Response) -> Response {
        let request_id = request_id::of(request.headers(), self.parts.clock.now());
        let (route, status) = (&self.parts.refused, refused.status());
        route.answered(request.method(), status, None);
        log(route, status, Some("malformed"), &request_id);
        signed(refused, request_id)
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
        let request_id = request_id::of(request.headers(), self.usage.clock.now());
        let admin = self.clone();
        Reply::Later(Box::pin(async move { signed(admin.answer(request).await, request_id) }))
    }

    fn refuse(&self, request: &Request<Incoming>, refused: Response) -> Response {
        let request_id = request_id::of(request.headers(), self.usage.clock.now());
        signed(refused, request_id)
    }
}

/// Puts the request's name on the response.
fn signed(mut response: Response, request_id: HeaderValue) -> Response {
    response.headers_mut().insert(X_REQUEST_ID, request_id);
    response
}

fn log(
    route: &RouteMetrics,
    status: StatusCode,
    refused: Option<&'static str>,
    request_id: &HeaderValue,
) {
    let (route, status) = (route.template(), status.as_u16());
    let request_id = || request_id.to_str().unwrap_or_default();
    match refused {
        Some(reason) => {
            tracing::debug!(request_id = request_id(), route, status, reason, "refused");
        }
        None => tracing::trace!(request_id = request_id(), route, status, "answered"),
    }
}
