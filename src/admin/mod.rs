//! For operators, on a listener of its own. It asks for no key: keep it off the network.
//!
//! | path       | answers                                                             |
//! |------------|---------------------------------------------------------------------|
//! | `/livez`   | 200 while the process runs, 503 once it refreshes nothing any more  |
//! | `/readyz`  | 200 from the first data until the drain begins, else 503            |
//! | `/metrics` | every metric, in the text form of OpenMetrics                       |
//! | `/version` | version and revision of the binary                                  |
//! | `/admin/usage` | what projects have used of their months; `?project=NAME` for one    |
//! | `/admin/why` | what is kept of `?project=NAME&slug=SLUG&environment=NAME`, and why      |
//! | `POST /admin/purge` | makes this edge forget: [`purge`]                                |
//! | `POST /admin/reload` | reads the configuration anew: [`reload`]                      |
//! | `POST /hooks/{origin}` | an origin's word that something changed: [`crate::hooks`]     |
//!
//! A page that changes something takes JSON only: a browser asks before it sends that to another
//! site than its own, and nobody here says yes.

pub mod health;
pub mod purge;
pub mod reload;
pub mod why;

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use http::StatusCode;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http_body_util::Full;
use hyper::body::Body;
use serde_json::{Value, json};

use crate::authoring;
use crate::authoring::Authoring;
use crate::authoring::usage::{Row, Usage};
use crate::delivery::Delivery;
use crate::delivery::purge::Scope;
use crate::hooks::{self, Hooks};
use crate::live::Live;
use crate::model::OriginName;
use crate::telemetry::Metrics;
use crate::telemetry::metrics;
use crate::wire::Response;
use crate::wire::body::{self, Limits};
use crate::wire::caching::NO_STORE;
use crate::wire::query;
use crate::wire::representation::{uncached_error, uncached_json};

use health::Health;
use reload::Reloads;
use why::Asked;

/// The operators' pages.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Whether the process is ready.
    pub health: Arc<Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whose caches are gauged, looked into and purged.
    pub delivery: Arc<Delivery>,
    /// What is told of changes.
    pub hooks: Arc<Hooks>,
    /// Where projects and environments are found by their names.
    pub authoring: Authoring,
    /// Every origin there is.
    pub origins: Vec<OriginName>,
    /// How much of a request's body is waited for.
    pub body: Live<Limits>,
    /// Where the configuration is read anew.
    pub reloads: Reloads,
    /// What was used.
    pub usage: Usage,
    /// The binary's version and the revision it was built from.
    pub build: (&'static str, &'static str),
}

impl Admin {
    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response
    where
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let path = request.uri().path();
        if path.starts_with(hooks::PATH) {
            return self.hooks.answer(request).await;
        }
        let page = PAGES.iter().find(|(page, _)| *page == path);
        if let Some((_, methods)) = page
            && !methods.split(", ").any(|method| method == request.method().as_str())
        {
            return not_allowed(methods);
        }
        let query = request.uri().query().unwrap_or_default();
        match path {
            "/livez" => self.live(),
            "/readyz" => self.ready(),
            "/metrics" => self.metrics(),
            "/version" => self.version(),
            "/admin/usage" => self.usage(query).await,
            "/admin/why" => self.why(query).await,
            "/admin/purge" => {
                let (parts, body) = request.into_parts();
                self.purge(&parts.headers, body).await
            }
            "/admin/reload" => match is_json(request.headers()) {
                true => self.reloads.respond().await,
                false => not_json(),
            },
            _ => plain(StatusCode::NOT_FOUND, format!("try {}\n", PAGES.map(|p| p.0).join(" "))),
        }
    }

    /// Whether what grows old is no longer refreshed. While the edge drains it need not be.
    pub fn is_stalled(&self) -> bool {
        self.health.state() != health::State::Draining && self.delivery.is_stalled()
    }

    fn live(&self) -> Response {
        match self.is_stalled() {
            true => plain(StatusCode::SERVICE_UNAVAILABLE, "refresh stalled\n"),
            false => plain(StatusCode::OK, "alive\n"),
        }
    }

    fn ready(&self) -> Response {
        let state = self.health.state();
        let status = match state {
            health::State::Ready => StatusCode::OK,
            health::State::Starting | health::State::Draining => StatusCode::SERVICE_UNAVAILABLE,
        };
        plain(status, state.as_str())
    }

    fn metrics(&self) -> Response {
        self.metrics.refresh_is_stalled(self.is_stalled());
        for holds in self.delivery.holds() {
            self.metrics.cache_holds(holds.map, holds.entries, holds.weight_bytes);
        }
        match self.metrics.encode() {
            Ok(text) => {
                let mut response = plain(StatusCode::OK, text);
                let media_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
                response.headers_mut().insert(CONTENT_TYPE, media_type);
                response
            }
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "metrics could not be written\n"),
        }
    }

    async fn usage(&self, query: &str) -> Response {
        let named = query::pairs(query).find(|(name, _)| **name == *b"project");
        let named = named.map(|(_, value)| String::from_utf8_lossy(&value).into_owned());
        match self.usage.rows(named.as_deref()).await {
            Ok(rows) => {
                let rows: Vec<_> = rows.iter().map(Row::to_json).collect();
                uncached_json(StatusCode::OK, Value::from(rows).to_string().into_bytes())
            }
            Err(error) => failed(&error),
        }
    }

    async fn why(&self, query: &str) -> Response {
        let asked = match Asked::parse(query) {
            Ok(asked) => asked,
            Err(problem) => return uncached_error(StatusCode::BAD_REQUEST, &problem),
        };
        let Asked { project, environment, prompt } = &asked;
        let environments = match self.authoring.project(project).await {
            Ok(project) => self.authoring.environments(&project).await,
            Err(error) => return failed(&error),
        };
        let is_there = environments.map(|there| there.iter().any(|e| e.name == *environment));
        match is_there {
            Ok(true) => {
                let page = asked.page(&self.delivery.why(project, environment, prompt));
                uncached_json(StatusCode::OK, page.to_string().into_bytes())
            }
            Ok(false) => missing("environment", environment),
            Err(error) => failed(&error),
        }
    }

    async fn purge<B>(&self, headers: &HeaderMap, body: B) -> Response
    where
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        if !is_json(headers) {
            return not_json();
        }
        let limits = **self.body.load();
        let body = match body::read(body, limits).await {
            Ok(body) => body,
            Err(refusal) => return body::refused(&refusal),
        };
        let purge = match purge::parse(&body) {
            Ok(purge) => purge,
            Err(problem) => return uncached_error(StatusCode::BAD_REQUEST, &problem),
        };
        match &purge.scope {
            Scope::Origin(origin) | Scope::OfOrigin(origin, _) => {
                if !self.origins.contains(origin) {
                    return missing("origin", origin.as_str());
                }
            }
            Scope::Project(project) | Scope::Prompt(project, _) => {
                if let Err(error) = self.authoring.project(project).await {
                    return failed(&error);
                }
            }
            Scope::All => {}
        }
        let purged = self.delivery.purge(&purge);
        tracing::debug!(mode = ?purge.mode, purged, "purged");
        uncached_json(StatusCode::OK, json!({"purged": purged}).to_string().into_bytes())
    }

    fn version(&self) -> Response {
        let (version, revision) = self.build;
        let body = json!({"name": "prompt-edge", "version": version, "revision": revision});
        uncached_json(StatusCode::OK, body.to_string().into_bytes())
    }
}

/// Every page and the methods it takes.
const PAGES: [(&str, &str); 8] = [
    ("/livez", READ),
    ("/readyz", READ),
    ("/metrics", READ),
    ("/version", READ),
    ("/admin/usage", READ),
    ("/admin/why", READ),
    ("/admin/purge", "POST"),
    ("/admin/reload", "POST"),
];

const READ: &str = "GET, HEAD";

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let essence = media_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"application/json")
}

fn not_json() -> Response {
    let problem = "Content-Type: the body is `application/json`: say so";
    uncached_error(StatusCode::UNSUPPORTED_MEDIA_TYPE, problem)
}

fn not_allowed(methods: &'static str) -> Response {
    let first = methods.split(", ").next().unwrap_or_default();
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, format!("use {first}\n"));
    response.headers_mut().append(ALLOW, HeaderValue::from_static(methods));
    response
}

fn failed(error: &authoring::Error) -> Response {
    let status = match error.is_missing() {
        true => StatusCode::NOT_FOUND,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    uncached_error(status, &error.to_string())
}

fn missing(noun: &str, name: &str) -> Response {
    uncached_error(StatusCode::NOT_FOUND, &format!("there is no {noun} `{name}`"))
}

fn plain(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().append(CONTENT_TYPE, media_type);
    response.headers_mut().append(CACHE_CONTROL, NO_STORE);
    response
}
