//! For operators, on a listener of its own. It asks for no key: keep it off the network.
//!
//! | path       | answers                                                             |
//! |------------|---------------------------------------------------------------------|
//! | `/livez`   | 200 while the process runs                                          |
//! | `/readyz`  | 200 from the first data until the drain begins, else 503            |
//! | `/metrics` | every metric, in the text form of OpenMetrics                       |
//! | `/version` | version and revision of the binary                                  |

pub mod health;

use std::sync::Arc;

use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http_body_util::Full;
use serde_json::json;

use crate::delivery::Delivery;
use crate::telemetry::Metrics;
use crate::telemetry::metrics;
use crate::wire::Response;
use crate::wire::caching::NO_STORE;
use crate::wire::representation::uncached_json;

use health::Health;

/// The operators' pages.
#[derive(Debug)]
pub struct Admin {
    /// Whether the process is ready.
    pub health: Arc<Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whose caches are gauged.
    pub delivery: Arc<Delivery>,
    /// The binary's version and the revision it was built from.
    pub build: (&'static str, &'static str),
}

impl Admin {
    /// Answers one request.
    pub fn answer(&self, method: &Method, path: &str) -> Response {
        let is_page = matches!(path, "/livez" | "/readyz" | "/metrics" | "/version");
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
            _ => plain(StatusCode::NOT_FOUND, "try /livez /readyz /metrics /version\n"),
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
