//! What each step of a hit costs, in the order in which `server::route` takes them. All of them
//! together are `delivery/hit` and `delivery/not_modified` of `benches/delivery.rs`.
//!
//! * `heeded`: finding the fields that matter in the head.
//! * `recall`: the answer of a token and a target, bytes compared.
//! * `moment`: the present time, to within a tick.
//! * `readmit`: whether the key is still good for this.
//! * `judge`: whether the answer is fresh.
//! * `rate`, `month`: what a request takes of its plan, apart; `spend`: both, as a hit takes them.
//! * `request_id`, `request_id_new`: the caller's own name for the request, or a new one.
//! * `send_200`, `send_304`: status and headers of the answer.
//! * `settle`: what the answer says of the limits, which far from their end is nothing.
//! * `count`: the counters of the route and of the cache.
//!
//! Beside them, for whoever takes the long way: `digest`, what stores know a token by, and `key`, the
//! key of that digest.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to say")]

#[expect(dead_code, reason = "what ages and what is on a socket is for the other benches")]
mod support;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use http::{HeaderMap, HeaderValue, StatusCode};
use prompt_edge::access::Presented;
use prompt_edge::access::credential::Token;
use prompt_edge::access::quota::Attempt;
use prompt_edge::clock::{Clock, SystemClock};
use prompt_edge::delivery::Line;
use prompt_edge::model::Scope;
use prompt_edge::telemetry::request_id::{self, X_REQUEST_ID};
use prompt_edge::wire::caching::{CacheStatus, Outcome};
use prompt_edge::wire::heeded::Heeded;

use support::{Ask, Edge, PEER, limited, seldom_renewed};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let (plan, config) = limited(seldom_renewed());
    let edge = Edge::on(&plan, &config);
    let ask = edge.ask("Alex");
    edge.check(ask.clone(), StatusCode::OK, "prompt-edge; fwd=uri-miss; stored");
    edge.check(ask.clone(), StatusCode::OK, "prompt-edge; hit");
    let again = edge.ask_again("Alex");
    edge.check(again.clone(), StatusCode::NOT_MODIFIED, "prompt-edge; hit");
    // Leases are renewed in the runtime.
    let _entered = edge.runtime.enter();

    who(&mut criterion, &edge, &ask);
    limits(&mut criterion, &edge, &ask);
    what(&mut criterion, &edge, &ask, &again);
    criterion.final_summary();
}

/// Who asks.
fn who(criterion: &mut Criterion, edge: &Edge, ask: &Ask) {
    let mut group = criterion.benchmark_group("steps");
    group.throughput(Throughput::Elements(1));
    let (gate, headers) = (&edge.assembly.gate, ask.headers());
    let clock = SystemClock::ticking().expect("there is a thread left");
    let now = clock.now();
    let token = || Token::of(headers).expect("it has a key");
    let (digest, line) = (token().digest(), line(edge, ask));
    let named = HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_static("job-7"))]);

    group.bench_function("heeded", |bencher| bencher.iter(|| Heeded::of(black_box(headers))));
    group.bench_function("recall", |bencher| bencher.iter(|| self::line(edge, ask)));
    group.bench_function("moment", |bencher| bencher.iter(|| clock.recently()));
    group.bench_function("readmit", |bencher| {
        bencher.iter(|| gate.readmits(line.caller(), Scope::Deliver, now));
    });
    group.bench_function("request_id", |bencher| bencher.iter(|| request_id::of(&named, now)));
    group.bench_function("request_id_new", |bencher| bencher.iter(|| request_id::of(headers, now)));
    group.bench_function("digest", |bencher| bencher.iter(|| token().digest()));
    group.bench_function("key", |bencher| bencher.iter(|| gate.keyring().recall(&digest, now)));
    group.finish();
}

/// What the fast lane knows of a request.
fn line(edge: &Edge, ask: &Ask) -> Arc<Line> {
    let heeded = Heeded::of(ask.headers()).expect("the head is plain");
    let presented = Presented::of(&heeded, PEER).expect("it has a key");
    let target = ask.uri().path_and_query().expect("it has a path").as_str();
    edge.assembly.delivery.recall(presented, target).expect("it is in memory")
}

/// What it takes of its plan.
fn limits(criterion: &mut Criterion, edge: &Edge, ask: &Ask) {
    let mut group = criterion.benchmark_group("steps");
    group.throughput(Throughput::Elements(1));
    let gate = &edge.assembly.gate;
    let line = line(edge, ask);
    let caller = line.caller();
    let limits = gate.book().limits_of(&caller.grant().project, || true);
    let (meter, now) = (limits.meter(), SystemClock::default().now());

    group.bench_function("rate", |bencher| bencher.iter(|| limits.take()));
    group.bench_function("month", |bencher| {
        bencher.iter(|| match meter.try_spend(now) {
            Attempt::Yes(place) => place,
            // While the first leases are small.
            Attempt::Ask | Attempt::Spent => {
                edge.runtime.block_on(meter.spend()).expect("the ledger answers")
            }
        });
    });
    let spend = || match gate.try_spend(caller, now) {
        Some(spent) => spent.expect("the plan is far from its end"),
        None => edge.runtime.block_on(gate.spend(caller)).expect("the ledger answers"),
    };
    group.bench_function("spend", |bencher| bencher.iter(spend));
    group.bench_function("settle", |bencher| {
        let ready = || (spend(), edge.hit(ask.clone()));
        let settle = |(receipt, mut response)| {
            gate.settle(receipt, &mut response);
            response
        };
        bencher.iter_batched(ready, settle, BatchSize::SmallInput);
    });
    group.finish();
}

/// What it gets.
fn what(criterion: &mut Criterion, edge: &Edge, ask: &Ask, again: &Ask) {
    let mut group = criterion.benchmark_group("steps");
    group.throughput(Throughput::Elements(1));
    let (delivery, line) = (&edge.assembly.delivery, line(edge, ask));
    let clock = SystemClock::default();
    let moment = clock.recently();
    let finished = line.finished();
    let id = HeaderValue::from_static("job-7");

    group.bench_function("judge", |bencher| bencher.iter(|| delivery.judge(&line, moment)));
    for (scenario, ask, status) in
        [("send_200", ask, StatusCode::OK), ("send_304", again, StatusCode::NOT_MODIFIED)]
    {
        let send = || {
            let heeded = Heeded::of(ask.headers()).expect("the head is plain");
            let variant = finished.representation.choose_plain(&heeded, ask.headers());
            finished.representation.send(variant, CacheStatus::of(Outcome::Hit), id.clone())
        };
        assert_eq!(send().status(), status);
        group.bench_function(scenario, |bencher| bencher.iter(send));
    }
    group.bench_function("count", |bencher| {
        bencher.iter(|| {
            finished.route.recalled(black_box(false), black_box(false));
            delivery.count(Outcome::Hit);
        });
    });
    group.finish();
}
