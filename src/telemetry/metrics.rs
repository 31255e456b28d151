//! Every metric, declared once. README.md lists them; a test compares the two.
//!
//! Names and labels follow OpenMetrics: base units, `_total` on counters (added by the encoder).
//! What the hot path touches is resolved once and kept: [`RouteMetrics`] and the counters of
//! [`Metrics::lookups`] cost an index and a relaxed addition, no map.

use std::fmt;
use std::hash::Hash;
use std::sync::OnceLock;
use std::time::Duration;

use http::Method;
use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::model::{OriginName, Timestamp};

/// What `/metrics` answers with. Prometheus 3 refuses a scrape without a known type.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// From 50 µs, below which a memory answer lies, to 5 s, the default deadline of a request.
const DURATION_BUCKETS: [f64; 14] =
    [50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 1.0, 5.0];

/// In seconds: the windows of freshness, to their defaults.
const AGE_BUCKETS: [f64; 10] = [1.0, 5.0, 15.0, 30.0, 45.0, 60.0, 300.0, 3600.0, 21600.0, 86400.0];

/// In seconds: a hook, a poll, the bound of staleness.
const DELAY_BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0];

/// All metrics of one edge.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_duration: Family<RouteLabels, Histogram, fn() -> Histogram>,
    lookups: Family<OutcomeLabels, Counter>,
    coded_answers: Family<CodingLabels, Counter>,
    cache_entries: Family<CacheLabels, Gauge>,
    cache_weight: Family<CacheLabels, Gauge>,
    origins: OriginMetrics,
    memory: MemoryMetrics,
    decisions: Family<DecisionLabels, Counter>,
    overdrafts: Counter,
    shed: Family<ReasonLabels, Counter>,
    reloads: Family<ResultLabels, Counter>,
    configured: Gauge,
    tls: TlsMetrics,
}

/// How callers and listeners agree on TLS.
struct TlsMetrics {
    handshakes: Family<HandshakeLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    expiry: Family<CertificateLabels, Gauge>,
}

impl TlsMetrics {
    fn declared(all: &mut Registry) -> Self {
        let expiry = "When a certificate of a listener ends";
        let expiry = moment(all, "tls_certificate_expiry_timestamp", expiry);
        Self {
            handshakes: declared(all, "tls_handshakes", "Handshakes of TLS with callers"),
            reloads: declared(all, "tls_reloads", "Readings of certificates and keys"),
            expiry,
        }
    }
}

/// How origins are asked, and what they tell.
struct OriginMetrics {
    requests: Family<OriginLabels, Counter>,
    duration: Family<OperationLabels, Histogram, fn() -> Histogram>,
    breaker: Family<NamedOrigin, Gauge>,
    last_success: Family<NamedOrigin, Gauge>,
    retries: Family<RetryLabels, Counter>,
    rejections: Family<NamedOrigin, Counter>,
    changes: Counter,
    hooks: Family<HookLabels, Counter>,
}

impl OriginMetrics {
    fn declared(all: &mut Registry) -> Self {
        let last_success = "When an origin last answered a question";
        let last_success = moment(all, "origin_last_success_timestamp", last_success);
        Self {
            requests: declared(all, "origin_requests", "Questions to an origin"),
            duration: timed(all, "origin_request_duration", "Time an origin took to answer"),
            breaker: declared(
                all,
                "origin_breaker",
                "Whether an origin is asked: 0 closed, 1 half open, 2 open",
            ),
            last_success,
            retries: declared(all, "origin_retries", "Questions asked again"),
            rejections: declared(
                all,
                "origin_rejections",
                "Refusals of a key that is configured for an origin: alert on any",
            ),
            changes: declared(all, "changes", "Changes reported by an origin and applied"),
            hooks: declared(all, "hooks", "Hooks received from an origin"),
        }
    }
}

/// How old what is in memory is, and whether it is kept young.
struct MemoryMetrics {
    served_age: Histogram,
    publish_delay: Histogram,
    refresh_stalled: Gauge,
    snapshot: Gauge,
}

impl MemoryMetrics {
    fn declared(all: &mut Registry) -> Self {
        let served_age = Histogram::new(AGE_BUCKETS);
        all.register_with_unit(
            "served_age",
            "Time since the origin last said that a served answer is so",
            Unit::Seconds,
            served_age.clone(),
        );
        let publish_delay = Histogram::new(DELAY_BUCKETS);
        all.register_with_unit(
            "publish_delay",
            "Time from an origin's word that something changed to its new text being here",
            Unit::Seconds,
            publish_delay.clone(),
        );
        let snapshot = "When what the snapshot holds was in memory; its age is the time since";
        let snapshot = moment(all, "snapshot_timestamp", snapshot);
        let refresh_stalled = declared(
            all,
            "refresh_stalled",
            "1 while what is in use is not asked for again as it should be: alert on it",
        );
        Self { served_age, publish_delay, refresh_stalled, snapshot }
    }
}

/// Declares a metric without a unit.
fn declared<M>(all: &mut Registry, name: &'static str, help: &'static str) -> M
where
    M: Metric + Clone + Default,
{
    let metric = M::default();
    all.register(name, help, metric.clone());
    metric
}

/// Declares when something was or is to be, in seconds of Unix time.
fn moment<M>(all: &mut Registry, name: &'static str, help: &'static str) -> M
where
    M: Metric + Clone + Default,
{
    let metric = M::default();
    all.register_with_unit(name, help, Unit::Seconds, metric.clone());
    metric
}

/// Declares how long something takes.
fn timed<L>(
    all: &mut Registry,
    name: &'static str,
    help: &'static str,
) -> Family<L, Histogram, fn() -> Histogram>
where
    L: EncodeLabelSet + Clone + fmt::Debug + Hash + Eq + Send + Sync + 'static,
{
    let histogram: fn() -> Histogram = || Histogram::new(DURATION_BUCKETS);
    let family = Family::new_with_constructor(histogram);
    all.register_with_unit(name, help, Unit::Seconds, family.clone());
    family
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DecisionLabels {
    plan: String,
    decision: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HookLabels {
    origin: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct HandshakeLabels {
    listener: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReloadLabels {
    listener: String,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CertificateLabels {
    listener: String,
    certificate: String,
}

impl CertificateLabels {
    fn of(listener: &str, certificate: &str) -> Self {
        Self { listener: listener.to_owned(), certificate: certificate.to_owned() }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CodingLabels {
    coding: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CacheLabels {
    cache: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OriginLabels {
    origin: String,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OperationLabels {
    origin: String,
    operation: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct NamedOrigin {
    origin: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RetryLabels {
    origin: String,
    reason: &'static str,
}

impl NamedOrigin {
    fn of(origin: &str) -> Self {
        Self { origin: origin.to_owned() }
    }
}

impl Metrics {
    /// Declares every metric. `revision` is the source revision the binary was built from.
    pub fn new(version: &'static str, revision: &'static str) -> Self {
        let mut registry = Registry::with_prefix("prompt_edge");
        let build = Info::new([("version", version), ("revision", revision)]);
        registry.register("build", "The running binary", build);

        let all = &mut registry;
        let requests = declared(all, "http_requests", "Answered requests");
        let request_duration = timed(
            all,
            "http_request_duration",
            "Time from a request's head to its answer's head, but for the fast lane",
        );
        let lookups = declared(all, "cache_lookups", "Where answers came from");
        let coded_answers =
            declared(all, "coded_answers", "Answers of which a coded form was made");
        let cache_entries = declared(all, "cache_entries", "Entries held");
        let cache_weight = Family::default();
        let weight = "Memory that the entries are reckoned to take";
        all.register_with_unit("cache_weight", weight, Unit::Bytes, cache_weight.clone());
        let decisions = declared(all, "limit_decisions", "What plans decided of requests");
        let overdrafts = declared(
            all,
            "ledger_overdrafts",
            "Requests admitted while the ledger of months was away: alert on any",
        );
        let shed = declared(all, "shed", "Connections and requests shed over a limit");
        let reloads = declared(all, "config_reloads", "Readings of the configuration while it ran");
        let configured = "When the configuration was last read and found right";
        let configured = moment(all, "config_last_reload_success_timestamp", configured);
        Self {
            requests,
            request_duration,
            lookups,
            coded_answers,
            cache_entries,
            cache_weight,
            decisions,
            overdrafts,
            shed,
            reloads,
            configured,
            origins: OriginMetrics::declared(all),
            memory: MemoryMetrics::declared(all),
            tls: TlsMetrics::declared(all),
            registry,
        }
    }

    /// The metrics of one route, to be kept by whoever serves it. `route` is a template such as
    /// `/api/v1/prompts/{prompt}`, never a path.
    pub fn route(&self, route: &'static str) -> RouteMetrics {
        RouteMetrics {
            route,
            requests: self.requests.clone(),
            resolved: [const { [const { OnceLock::new() }; STATUSES.len()] }; METHODS.len()],
            duration: self.request_duration.get_or_create_owned(&RouteLabels { route }),
        }
    }

    /// The counter of answers with one outcome, to be kept by whoever counts.
    pub fn lookups(&self, outcome: &'static str) -> Counter {
        self.lookups.get_or_create_owned(&OutcomeLabels { outcome })
    }

    /// The counter of answers that were coded, to be kept by whoever codes.
    pub fn coded_answers(&self, coding: &'static str) -> Counter {
        self.coded_answers.get_or_create_owned(&CodingLabels { coding })
    }

    /// The counter of one decision under one plan. Plans are configured, so they are few.
    pub fn decisions(&self, plan: &str, decision: &'static str) -> Counter {
        self.decisions.get_or_create_owned(&DecisionLabels { plan: plan.to_owned(), decision })
    }

    /// The counter of requests admitted without the ledger.
    pub fn overdrafts(&self) -> Counter {
        self.overdrafts.clone()
    }

    /// The counter of what was shed, by the limit it was over.
    pub fn shed(&self, reason: &'static str) -> Counter {
        self.shed.get_or_create_owned(&ReasonLabels { reason })
    }

    /// The counter of readings of the configuration, by what came of them.
    pub fn reloads(&self, result: &'static str) -> Counter {
        self.reloads.get_or_create_owned(&ResultLabels { result })
    }

    /// Notes that the configuration was read at `at` and found right.
    pub fn configured(&self, at: Timestamp) {
        self.configured.set(at.as_millis().div_euclid(1_000));
    }

    /// The counter of an origin's hooks, by what came of them.
    pub fn hooks(&self, origin: &OriginName, outcome: &'static str) -> Counter {
        self.origins.hooks.get_or_create_owned(&HookLabels { origin: origin.to_string(), outcome })
    }

    /// The counter of a listener's handshakes, by how they ended.
    pub fn tls_handshakes(&self, listener: &str, outcome: &'static str) -> Counter {
        let listener = listener.to_owned();
        self.tls.handshakes.get_or_create_owned(&HandshakeLabels { listener, outcome })
    }

    /// The counter of how often a listener's certificates were read again, by what came of it.
    pub fn tls_reloads(&self, listener: &str, result: &'static str) -> Counter {
        let listener = listener.to_owned();
        self.tls.reloads.get_or_create_owned(&ReloadLabels { listener, result })
    }

    /// Says when a certificate of a listener ends.
    pub fn tls_certificate_expires(&self, listener: &str, certificate: &str, at: Timestamp) {
        let labels = CertificateLabels::of(listener, certificate);
        self.tls.expiry.get_or_create(&labels).set(at.as_millis().div_euclid(1_000));
    }

    /// Says that a listener has a certificate no longer.
    pub fn tls_certificate_is_gone(&self, listener: &str, certificate: &str) {
        self.tls.expiry.remove(&CertificateLabels::of(listener, certificate));
    }

    /// Sets what a cache holds at the moment.
    pub fn cache_holds(&self, cache: &'static str, entries: u64, weight_bytes: u64) {
        let labels = CacheLabels { cache };
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.cache_entries.get_or_create(&labels).set(gauge(entries));
        self.cache_weight.get_or_create(&labels).set(gauge(weight_bytes));
    }

    /// Counts one question to an origin. `outcome` is `ok` or the kind of the error.
    pub fn origin_answered(
        &self,
        origin: &str,
        operation: &'static str,
        outcome: &'static str,
        took: Duration,
    ) {
        let origin = origin.to_owned();
        let labels = OperationLabels { origin: origin.clone(), operation };
        self.origins.duration.get_or_create(&labels).observe(took.as_secs_f64());
        self.origins.requests.get_or_create(&OriginLabels { origin, operation, outcome }).inc();
    }

    /// Notes the age of an answer that was served, of those that grow old.
    pub fn served(&self, age: Duration) {
        self.memory.served_age.observe(age.as_secs_f64());
    }

    /// Notes how long a change took to get here.
    pub fn published(&self, took: Duration) {
        self.memory.publish_delay.observe(took.as_secs_f64());
    }

    /// Says whether what is in use is asked for again as it should be.
    pub fn refresh_is_stalled(&self, is_stalled: bool) {
        self.memory.refresh_stalled.set(i64::from(is_stalled));
    }

    /// The gauge of an origin's breaker, to be kept by the breaker: 0 closed, 1 half open, 2 open.
    pub fn origin_breaker(&self, origin: &str) -> Gauge {
        self.origins.breaker.get_or_create_owned(&NamedOrigin::of(origin))
    }

    /// Notes that an origin answered a question at `at`.
    pub fn origin_succeeded(&self, origin: &str, at: Timestamp) {
        let seconds = at.as_millis().div_euclid(1_000);
        self.origins.last_success.get_or_create(&NamedOrigin::of(origin)).set(seconds);
    }

    /// Counts a question that is asked again. `reason` is the kind of the error before.
    pub fn origin_retried(&self, origin: &str, reason: &'static str) {
        let labels = RetryLabels { origin: origin.to_owned(), reason };
        self.origins.retries.get_or_create(&labels).inc();
    }

    /// Counts a refusal of the key that is configured for an origin.
    pub fn origin_rejected(&self, origin: &str) {
        self.origins.rejections.get_or_create(&NamedOrigin::of(origin)).inc();
    }

    /// Notes that the snapshot holds what was in memory at `at`.
    pub fn snapshot_written(&self, at: Timestamp) {
        self.memory.snapshot.set(at.as_millis().div_euclid(1_000));
    }

    /// Counts changes that an origin reported.
    pub fn changes_applied(&self, count: usize) {
        self.origins.changes.inc_by(count as u64);
    }

    /// Everything, in the text form of OpenMetrics.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(…)")
    }
}

/// The metrics of one route. Each series appears with its first request.
#[derive(Debug)]
pub struct RouteMetrics {
    route: &'static str,
    requests: Family<RequestLabels, Counter>,
    resolved: [[OnceLock<Counter>; STATUSES.len()]; METHODS.len()],
    duration: Histogram,
}

/// The methods told apart; `OTHER` is all the rest. [`RouteMetrics::recalled`] knows the first two.
const METHODS: [&str; 6] = ["GET", "HEAD", "QUERY", "POST", "OPTIONS", "OTHER"];

/// The statuses told apart; [`RouteMetrics::recalled`] knows the first two, 0 is any other, which would be a mistake of ours.
const STATUSES: [u16; 17] =
    [200, 304, 204, 400, 401, 403, 404, 405, 408, 413, 429, 500, 501, 502, 503, 504, 0];

impl RouteMetrics {
    /// The route's template, as it stands in metrics and log lines.
    pub fn template(&self) -> &'static str {
        self.route
    }

    /// Counts one answered request, and how long it took if that was measured.
    pub fn answered(&self, method: &Method, status: StatusCode, took: Option<Duration>) {
        let place = |known: Option<usize>, all: usize| known.unwrap_or(all - 1);
        let method = METHODS.iter().position(|known| *known == method.as_str());
        let status = STATUSES.iter().position(|known| *known == status.as_u16());
        let method = place(method, METHODS.len());
        let status = place(status, STATUSES.len());

        self.count(method, status);
        if let Some(took) = took {
            self.duration.observe(took.as_secs_f64());
        }
    }

    /// Counts one GET or HEAD that was answered from the fast lane with 200 or 304. It is not timed:
    /// reading the clock twice would cost it more than its look-up.
    pub fn recalled(&self, is_head: bool, is_not_modified: bool) {
        self.count(usize::from(is_head), usize::from(is_not_modified));
    }

    /// Counts by places in [`METHODS`] and [`STATUSES`].
    fn count(&self, method: usize, status: usize) {
        if let Some(counter) = self.resolved.get(method).and_then(|row| row.get(status)) {
            counter.get_or_init(|| self.resolve(method, status)).inc();
        }
    }

    fn resolve(&self, method: usize, status: usize) -> Counter {
        self.requests.get_or_create_owned(&RequestLabels {
            route: self.route,
            method: METHODS.get(method).copied().unwrap_or("OTHER"),
            status: STATUSES.get(status).copied().unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_under_its_route_method_and_status() {
        let metrics = Metrics::new("1.2.3", "abc");
        let route = metrics.route("/x/{y}");

        route.answered(&Method::GET, StatusCode::OK, Some(Duration::from_micros(60)));
        route.answered(&Method::GET, StatusCode::OK, Some(Duration::from_micros(60)));
        route.answered(&Method::TRACE, StatusCode::IM_A_TEAPOT, Some(Duration::ZERO));

        let text = metrics.encode().unwrap();
        for line in [
            r#"prompt_edge_http_requests_total{route="/x/{y}",method="GET",status="200"} 2"#,
            r#"prompt_edge_http_requests_total{route="/x/{y}",method="OTHER",status="0"} 1"#,
            r#"prompt_edge_http_request_duration_seconds_bucket{le="0.0001",route="/x/{y}"} 3"#,
            r#"prompt_edge_build_info{version="1.2.3",revision="abc"} 1"#,
        ] {
            assert!(text.contains(line), "{line} should be in\n{text}");
        }
    }
}
