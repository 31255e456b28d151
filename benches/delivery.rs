//! What one delivery costs, from the parsed head of a request to the response, without a socket.
//!
//! * `hit`: the same URL again; the fast lane.
//! * `hit_that_ages`: the same, of an origin that does not tell what changes: its age is judged.
//! * `not_modified`: the same, from a caller that has the present answer.
//! * `new_variables`: the template is in memory; parse the query, render, count, hash.
//! * `cold`: the prompt has changed; the store is asked, and everything above.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to say")]

#[expect(dead_code, reason = "the configuration with limits is for the other benches")]
mod support;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use http::StatusCode;

use support::{Edge, PEER};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    delivery(&mut criterion);
    criterion.final_summary();
}

fn delivery(criterion: &mut Criterion) {
    let edge = Edge::new();
    let router = &edge.router;
    let mut group = criterion.benchmark_group("delivery");
    group.throughput(Throughput::Elements(1));

    let hit = edge.ask("Alex");
    edge.check(hit.clone(), StatusCode::OK, "prompt-edge; fwd=uri-miss; stored");
    edge.check(hit.clone(), StatusCode::OK, "prompt-edge; hit");
    let not_modified = edge.ask_again("Alex");
    edge.check(not_modified.clone(), StatusCode::NOT_MODIFIED, "prompt-edge; hit");
    // Leases are renewed in the runtime.
    let entered = edge.runtime.enter();
    for (scenario, ask) in [("hit", &hit), ("not_modified", &not_modified)] {
        group.bench_function(scenario, |bencher| {
            bencher.iter_batched(|| ask.clone(), |ask| edge.hit(ask), BatchSize::SmallInput);
        });
    }
    drop(entered);

    let ages = Edge::of_what_ages();
    let hit_that_ages = ages.ask("Alex");
    ages.check(hit_that_ages.clone(), StatusCode::OK, "prompt-edge; fwd=uri-miss; stored");
    let entered = ages.runtime.enter();
    group.bench_function("hit_that_ages", |bencher| {
        bencher.iter_batched(|| hit_that_ages.clone(), |ask| ages.hit(ask), BatchSize::SmallInput);
    });
    drop(entered);

    let mut asked = 0_u64;
    let mut new = || {
        asked += 1;
        edge.ask(&asked.to_string())
    };
    edge.check(new(), StatusCode::OK, "prompt-edge; fwd=uri-miss; stored; detail=rendered");
    group.bench_function("new_variables", |bencher| {
        let bencher = &mut bencher.to_async(&edge.runtime);
        bencher.iter_batched(&mut new, |ask| router.handle(ask, PEER), BatchSize::SmallInput);
    });

    edge.forget();
    edge.check(hit.clone(), StatusCode::OK, "prompt-edge; fwd=uri-miss; stored");
    group.bench_function("cold", |bencher| {
        let forgotten = || {
            edge.forget();
            hit.clone()
        };
        let bencher = &mut bencher.to_async(&edge.runtime);
        // One at a time: a batch would be one cold request and many hits.
        bencher.iter_batched(forgotten, |ask| router.handle(ask, PEER), BatchSize::PerIteration);
    });
    group.finish();
    black_box(edge);
}
