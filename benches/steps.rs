//! What each step of a hit costs, in the order in which `server::route` takes them. All of them
//! together are `delivery/hit` and `delivery/not_modified` of `benches/delivery.rs`.
//!
//! * `request_id`, `request_id_new`: the caller's own name for the request, or a new one.
//! * `token`: finding the credential in the headers; `digest`: what stores know it by.
//! * `key`: the key of that digest, and what it may; `caller`: the three together, and its scope.
//! * `answer`: the answer of a target, and whether it is fresh.
//! * `rate`, `month`: what a request takes of its plan, apart; `spend`: both, as a hit takes them.
//! * `respond_200`, `respond_304`: status and headers of the answer.
//! * `settle`: what the answer says of the limits, which far from their end is nothing.
//! * `count`: the counters and the histogram of the route, and of the cache.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to say")]

#[expect(dead_code, reason = "what ages and what is on a socket is for the other benches")]
mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use prompt_edge::access::credential::Token;
use prompt_edge::access::quota::Attempt;
use prompt_edge::clock::{Clock, SystemClock};
use prompt_edge::model::Scope;
use prompt_edge::telemetry::request_id::{self, X_REQUEST_ID};
use prompt_edge::wire::caching::Outcome;

use support::{Ask, Edge, limited, seldom_renewed};

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
    let named = HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_static("job-7"))]);
    let token = || Token::of(headers).expect("it has a key");
    let (digest, now) = (token().digest(), SystemClock::default().now());

    group.bench_function("request_id", |bencher| bencher.iter(|| request_id::of(&named)));
    group.bench_function("request_id_new", |bencher| bencher.iter(|| request_id::of(headers)));
    group.bench_function("token", |bencher| bencher.iter(|| Token::of(black_box(headers))));
    group.bench_function("digest", |bencher| bencher.iter(|| token().digest()));
    group.bench_function("key", |bencher| bencher.iter(|| gate.keyring().recall(&digest, now)));
    group.bench_function("caller", |bencher| {
        bencher.iter(|| gate.recall(headers, Scope::Deliver).expect("it is known"));
    });
    group.finish();
}

/// What it takes of its plan.
fn limits(criterion: &mut Criterion, edge: &Edge, ask: &Ask) {
    let mut group = criterion.benchmark_group("steps");
    group.throughput(Throughput::Elements(1));
    let gate = &edge.assembly.gate;
    let caller = gate.recall(ask.headers(), Scope::Deliver).expect("the key is known");
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
    let spend = || match gate.try_spend(&caller) {
        Some(spent) => spent.expect("the plan is far from its end"),
        None => edge.runtime.block_on(gate.spend(&caller)).expect("the ledger answers"),
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
    let (gate, delivery) = (&edge.assembly.gate, &edge.assembly.delivery);
    let caller = gate.recall(ask.headers(), Scope::Deliver).expect("the key is known");
    let target = ask.uri().path_and_query().expect("it has a path").as_str();
    let recall = || delivery.recall(&caller, target).expect("it is in memory");
    let answer = recall();
    let route = Arc::clone(&answer.finished().route);

    group.bench_function("answer", |bencher| bencher.iter(recall));
    for (scenario, ask, status) in
        [("respond_200", ask, StatusCode::OK), ("respond_304", again, StatusCode::NOT_MODIFIED)]
    {
        assert_eq!(answer.respond(ask.headers()).status(), status);
        group.bench_function(scenario, |bencher| bencher.iter(|| answer.respond(ask.headers())));
    }
    group.bench_function("count", |bencher| {
        bencher.iter(|| {
            route.answered(&Method::GET, StatusCode::OK, black_box(Duration::from_micros(20)));
            delivery.count(Outcome::Hit);
        });
    });
    group.finish();
}
