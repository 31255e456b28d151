//! For operators, on a listener of its own. It asks for no key: keep it off the network.
//!
//! | path       | answers                                                             |
//! |------------|---------------------------------------------------------------------|
//! | `/livez`   | 200 while the process runs                                          |
//! | `/readyz`  | 200 from the first data until the drain begins, else 503            |
//! | `/metrics` | every metric, in the text form of OpenMetrics                       |
//! | `/version` | version and revision of the binary                                  |
//! | `/admin/usage` | what projects have used of their months; `?project=NAME` for one    |

pub mod health;

use std::sync::Arc;

use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::Uri;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::authoring::usage::{Row, Usage};
use crate::delivery::Delivery;
use crate::telemetry::Metrics;
use crate::telemetry::metrics;
use crate::wire::Response;
use crate::wire::caching::NO_STORE;
use crate::wire::query;
use crate::wire::representation::uncached_json;

use health::Health;

/// The operators' pages.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Whether the process is ready.
    pub health: Arc<Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whose caches are gauged.
    pub delivery: Arc<Delivery>,
    /// What was used.
    pub usage: Usage,
    /// The binary's version and the revision it was built from.
    pub build: (&'static str, &'static str),
}

impl Admin {
    /// Answers one request.
    pub async fn answer(&self, method: &Method, uri: &Uri) -> Response {
        const PAGES: [&str; 5] = ["/livez", "/readyz", "/metrics", "/version", "/admin/usage"];
        let path = uri.path();
        let is_page = PAGES.contains(&path);
        if is_page && !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
            response.headers_mut().append(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/livez" => plain(StatusCode::OK, "alive\n"),
            "/readyz" => self.ready(),
            "/metrics" => self.metrics(),
            "/version" => self.version(),
            "/admin/usage" => self.usage(uri.query().unwrap_or_default()).await,
            _ => plain(StatusCode::NOT_FOUND, format!("try {}\n", PAGES.join(" "))),
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
            Err(error) => {
                let status = if error.is_missing() {
                    StatusCode::NOT_FOUND
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                let body = json!({"error": error.to_string()});
                uncached_json(status, body.to_string().into_bytes())
            }
        }
    }

    fn version(&self) -> Response {
        let (version, revision) = self.build;
        let body = json!({"name": "prompt-edge", "version": version, "revision": revision});
        uncached_json(StatusCode::OK, body.to_string().into_bytes())
    }
}

fn plain(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().append(CONTENT_TYPE, media_type);
    response.headers_mut().append(CACHE_CONTROL, NO_STORE);
    response
}
