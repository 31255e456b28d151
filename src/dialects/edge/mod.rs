//! Our own API for other edges: an edge can have this one as its origin.
//!
//! It hands out versions as they are, uncompiled, to keys with the scope `edge` alone. The near edge
//! renders them, so new variables cost no trip, and both edges answer byte for byte the same: the
//! edition carries everything that an answer is made of (`formats::edition`).
//!
//! | route                           | answers with                             |
//! |---------------------------------|------------------------------------------|
//! | `/edge/v1/prompts`              | the prompts that the environment serves  |
//! | `/edge/v1/prompts/{prompt}`     | the version that the environment serves  |
//!
//! `GET` and `HEAD`, with `If-None-Match`. Nothing is counted against a plan: whoever asks the near
//! edge is counted there. Refusals are problem details (RFC 9457). Version 1 of the path grows by
//! fields that only a newer prompt needs: what an edge does not know it refuses (`formats::edition`,
//! invariant 2), so the far edge of two may be the older one.

pub mod errors;
pub mod handlers;
pub mod routes;
pub mod shapes;

use std::sync::Arc;

use http::Request;

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
pub struct Edge {
    services: Services,
    prompts: Arc<RouteMetrics>,
    prompt: Arc<RouteMetrics>,
    unknown: Arc<RouteMetrics>,
}

impl Edge {
    /// The dialect over the product's verbs.
    pub fn new(services: Services, metrics: &Metrics) -> Self {
        let of = |route: Route| Arc::new(metrics.route(route.template()));
        Self {
            services,
            prompts: of(Route::Prompts),
            prompt: of(Route::Prompt),
            unknown: of(Route::Unknown),
        }
    }

    /// Every representation, and the route it is counted under.
    pub fn shapes(&self) -> [(&'static str, Arc<RouteMetrics>); 2] {
        [
            (shapes::Edition.name(), Arc::clone(&self.prompt)),
            (shapes::Prompts.name(), Arc::clone(&self.prompts)),
        ]
    }

    /// Answers one request, whatever it is. Its body means nothing and is not read.
    pub async fn serve<B>(&self, request: Request<B>, peer: &Peer) -> Served {
        let (parts, _) = request.into_parts();
        let (route, prompt) = routes::find(parts.uri.path());
        let metrics = match route {
            Route::Prompts => &self.prompts,
            Route::Prompt => &self.prompt,
            Route::Unknown => &self.unknown,
        };
        match handlers::handle(&self.services, route, &prompt, (&parts, peer), metrics).await {
            Ok(response) => Served { response, route: Arc::clone(metrics), refused: None },
            Err(denied) => self.deny(&denied, Arc::clone(metrics)),
        }
    }

    /// Turns a request away before anything of it was looked at.
    pub fn shed(&self, refusal: Refusal) -> Served {
        self.deny(&refusal.into(), Arc::clone(&self.unknown))
    }

    fn deny(&self, denied: &Denied, route: Arc<RouteMetrics>) -> Served {
        let Denied { refusal, status } = denied;
        let mut response = errors::respond(refusal);
        response.headers_mut().append(CACHE_STATUS, status.header());
        self.services.delivery.count(status.outcome);
        Served { response, route, refused: Some(refusal.as_str()) }
    }
}
