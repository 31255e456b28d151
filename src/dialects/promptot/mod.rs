//! PromptOT's delivery API, version 1: the native dialect.
//!
//! Keys named `pk_live_…` read what is published, `pk_dev_…` the newest draft. Every answer is an
//! envelope `{"data", "error"}`, one of the two `null`.
//!
//! Beyond the vendor's pages: a prompt's id and slug are interchangeable in every path; `HEAD` works
//! wherever `GET` does; `QUERY …/compiled` (RFC 10008) takes the variables as a JSON body, so that
//! they need not stand in a URL; `?resolve=none` leaves placeholders untouched; the key may come in
//! `X-API-Key`.

pub mod errors;
pub mod handlers;
pub mod routes;
pub mod shapes;

use std::sync::Arc;

use http::Request;
use hyper::body::Body;

use crate::access::Peer;
use crate::delivery::{Denied, ListShape, Shape};
use crate::dialects::{Served, Services};
use crate::model::Refusal;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::RouteMetrics;
use crate::wire::caching::CACHE_STATUS;

use routes::Route;

/// The dialect with everything it needs.
#[derive(Debug)]
pub struct PromptOt {
    services: Services,
    compiled: Arc<RouteMetrics>,
    prompts: Arc<RouteMetrics>,
    prompt: Arc<RouteMetrics>,
    unknown: Arc<RouteMetrics>,
}

impl PromptOt {
    /// The dialect over the product's verbs.
    pub fn new(services: Services, metrics: &Metrics) -> Self {
        let of = |route: Route| Arc::new(metrics.route(route.template()));
        Self {
            services,
            compiled: of(Route::Compiled),
            prompts: of(Route::Prompts),
            prompt: of(Route::Prompt),
            unknown: of(Route::Unknown),
        }
    }

    /// Every representation, and the route it is counted under.
    pub fn shapes(&self) -> [(&'static str, Arc<RouteMetrics>); 3] {
        [
            (shapes::Compiled.name(), Arc::clone(&self.compiled)),
            (shapes::Delivered.name(), Arc::clone(&self.prompt)),
            (shapes::Prompts.name(), Arc::clone(&self.prompts)),
        ]
    }

    /// Answers one request, whatever it is.
    pub async fn serve<B>(&self, request: Request<B>, peer: &Peer) -> Served
    where
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let (parts, body) = request.into_parts();
        let (route, prompt) = routes::find(parts.uri.path());
        let metrics = match route {
            Route::Compiled => &self.compiled,
            Route::Prompts => &self.prompts,
            Route::Prompt => &self.prompt,
            Route::Unknown => &self.unknown,
        };
        let served =
            handlers::handle(&self.services, route, prompt, (&parts, body, peer), metrics).await;

        match served {
            Ok(response) => Served { response, route: Arc::clone(metrics), refused: None },
            Err(denied) => self.deny(&denied, Arc::clone(metrics)),
        }
    }

    /// Turns a request on a route away.
    pub fn deny(&self, denied: &Denied, route: Arc<RouteMetrics>) -> Served {
        let Denied { refusal, status } = denied;
        let mut response = errors::respond(refusal);
        response.headers_mut().append(CACHE_STATUS, status.header());
        self.services.gate.say_refused(refusal, &mut response);
        self.services.delivery.count(status.outcome);
        Served { response, route, refused: Some(refusal.as_str()) }
    }

    /// Turns a request away before anything of it was looked at.
    pub fn shed(&self, refusal: Refusal) -> Served {
        self.deny(&refusal.into(), Arc::clone(&self.unknown))
    }
}
