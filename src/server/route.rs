//! From a request to whom it concerns, and what every response carries.
//!
//! Every GET and HEAD is offered to the fast lane first: if its key and its very path and query
//! were answered before, the answer is in memory and nothing of the request is parsed. What the
//! fast lane declines goes to a dialect.

use std::sync::Arc;

use http::HeaderValue;
use http::Method;
use http::Request;
use hyper::body::{Body, Incoming};

use crate::access::credential::Token;
use crate::admin::Admin;
use crate::clock::Stopwatch;
use crate::dialects::promptot::PromptOt;
use crate::dialects::{Served, Services};
use crate::model::Scope;
use crate::server::reply::{Reply, Service};
use crate::telemetry::Metrics;
use crate::telemetry::request_id::{self, X_REQUEST_ID};
use crate::wire::Response;

/// The callers' side: the fast lane, then the dialects.
#[derive(Clone, Debug)]
pub struct Router(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    services: Services,
    promptot: PromptOt,
}

impl Router {
    /// A router over the product's verbs.
    pub fn new(services: Services, metrics: &Metrics) -> Self {
        let promptot = PromptOt::new(services.clone(), metrics);
        Self(Arc::new(Parts { services, promptot }))
    }

    /// Answers one request.
    pub fn handle<B>(&self, request: Request<B>) -> Reply
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
    {
        let watch = Stopwatch::start();
        let request_id = request_id::of(request.headers());
        if let Some(served) = self.recall(&request) {
            served.route.answered(request.method(), served.response.status(), watch.elapsed());
            tracing::trace!(request_id = request_id.to_str().unwrap_or_default(), "hit");
            return Reply::now(signed(served.response, request_id));
        }
        let parts = Arc::clone(&self.0);
        let method = request.method().clone();
        Reply::Later(Box::pin(async move {
            let served = parts.promptot.serve(request).await;
            served.route.answered(&method, served.response.status(), watch.elapsed());
            log(&served, &request_id);
            signed(served.response, request_id)
        }))
    }

    /// The fast lane: memory only.
    fn recall<B>(&self, request: &Request<B>) -> Option<Served> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let token = Token::of(request.headers())?;
        let target = request.uri().path_and_query()?.as_str();
        let services = &self.0.services;
        let caller = services.gate.recall(token, Scope::Deliver)?.ok()?;
        let answer = services.delivery.recall(&caller, target)?;
        Some(Served {
            response: answer.respond(request.headers()),
            route: Arc::clone(&answer.finished().route),
            refused: None,
        })
    }
}

impl Service for Router {
    fn call(&self, request: Request<Incoming>) -> Reply {
        self.handle(request)
    }
}

impl Service for Admin {
    fn call(&self, request: Request<Incoming>) -> Reply {
        let request_id = request_id::of(request.headers());
        let response = self.answer(request.method(), request.uri().path());
        Reply::now(signed(response, request_id))
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
