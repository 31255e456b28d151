//! Parse → act → shape, one function per route.
//!
//! Who asks is settled before the request is read any further.

use std::sync::Arc;

use http::request::Parts;
use serde_json::Map;

use crate::access::{Caller, Peer};
use crate::delivery::{Answer, Ask, Denied, Listing, Resolve};
use crate::dialects::Services;
use crate::dialects::edge::routes::{ALLOW, Route};
use crate::dialects::edge::shapes;
use crate::model::{Noun, PromptName, Refusal, Scope};
use crate::telemetry::metrics::RouteMetrics;
use crate::telemetry::request_id;
use crate::wire::Response;
use crate::wire::caching::Demand;

/// Answers a request on a route.
pub(super) async fn handle(
    services: &Services,
    route: Route,
    prompt: &str,
    (parts, peer): (&Parts, &Peer),
    metrics: &Arc<RouteMetrics>,
) -> Result<Response, Denied> {
    if route == Route::Unknown {
        return Err(Refusal::NotFound { noun: Noun::Route }.into());
    }
    if !route.allows(&parts.method) {
        return Err(Refusal::MethodNotAllowed { allow: ALLOW }.into());
    }
    let caller = services.gate.admit(&parts.headers, peer, Scope::Edge).await?;
    let answer = match route {
        Route::Prompts | Route::Unknown => list(services, parts, &caller, metrics).await?,
        Route::Prompt => edition(services, prompt, parts, &caller, metrics).await?,
    };
    Ok(answer.respond(&parts.headers))
}

async fn edition<'a>(
    services: &'a Services,
    prompt: &str,
    parts: &Parts,
    caller: &Caller,
    route: &Arc<RouteMetrics>,
) -> Result<Answer<'a>, Denied> {
    let prompt = PromptName::anywhere(prompt);
    let ask = Ask {
        caller,
        prompt: prompt.map_err(|_| Refusal::NotFound { noun: Noun::Prompt })?,
        variables: Map::new(),
        resolve: Resolve::Nothing,
        shape: &shapes::Edition,
        demand: Demand::of(&parts.headers),
        asked_by: request_id::known(parts),
        target: Some(target(parts)),
        route,
    };
    services.delivery.deliver(ask).await
}

async fn list<'a>(
    services: &'a Services,
    parts: &Parts,
    caller: &Caller,
    route: &Arc<RouteMetrics>,
) -> Result<Answer<'a>, Refusal> {
    let listing = Listing {
        caller,
        shape: &shapes::Prompts,
        target: target(parts),
        demand: Demand::of(&parts.headers),
        asked_by: request_id::known(parts),
        route,
    };
    services.delivery.list(listing).await
}

fn target(parts: &Parts) -> &str {
    parts.uri.path_and_query().map_or("/", |target| target.as_str())
}
