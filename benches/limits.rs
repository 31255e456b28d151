//! What plan limits cost a request, in nanoseconds. `benches/hit_instructions.rs` counts
//! instructions, which other work on the machine does not change.
//!
//! * `spend`: both limits of a plan, as a hit takes them: one request of the rate, one of the month.
//! * `rate`: the rate alone.
//! * `guess`: whether a source may present another unknown key.
//! * `near_end`: whether the answer is to say what is left.
//! * `hit_unlimited`, `hit_limited`: a hit through the router, on a plan without and with limits.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to say")]

#[expect(dead_code, reason = "changed prompts and tags are for the other benches")]
mod support;

use std::num::NonZeroU32;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use http::{HeaderMap, StatusCode};
use prompt_edge::access::guesses::{self, Guesses};
use prompt_edge::access::rate::Limiter;
use prompt_edge::clock::{Clock, SystemClock};
use prompt_edge::model::{Rate, Scope};

use support::{Edge, PEER, limited, seldom_renewed};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    parts(&mut criterion);
    hits(&mut criterion);
    criterion.final_summary();
}

fn parts(criterion: &mut Criterion) {
    let (plan, config) = limited(seldom_renewed());
    let edge = Edge::on(&plan, &config);
    // Leases are renewed in the runtime.
    let _entered = edge.runtime.enter();
    let ask = edge.ask("Alex");
    edge.check(ask.clone(), StatusCode::OK, "prompt-edge; fwd=uri-miss; stored");
    let gate = &edge.assembly.gate;
    let caller = edge
        .runtime
        .block_on(gate.admit(ask.headers(), PEER, Scope::Deliver))
        .expect("the key is known");
    let clock = Arc::new(SystemClock::default());
    let mut group = criterion.benchmark_group("limits");
    group.throughput(Throughput::Elements(1));

    group.bench_function("spend", |bencher| {
        bencher.iter(|| match gate.try_spend(&caller, clock.now()) {
            Some(spent) => spent.expect("the plan is far from its end"),
            // While the first leases are small.
            None => edge.runtime.block_on(gate.spend(&caller)).expect("the ledger answers"),
        });
    });

    let often = NonZeroU32::new(1_000_000_000).expect("it is not zero");
    let limiter = Limiter::new(Rate { per_second: often, burst: often }, clock.clone());
    group.bench_function("rate", |bencher| bencher.iter(|| limiter.take()));

    let guesses = Guesses::new(guesses::Config::default());
    let headers = HeaderMap::new();
    group.bench_function("guess", |bencher| {
        bencher.iter(|| guesses.wait(guesses.source(PEER.address, &headers), clock.elapsed()));
    });

    let limits = gate.book().limits_of(&caller.grant().project, || true);
    let taken = limits.take();
    let place = edge.runtime.block_on(limits.meter().spend()).expect("the ledger answers");
    group.bench_function("near_end", |bencher| bencher.iter(|| limits.is_near_end(taken, &place)));
    group.finish();
}

fn hits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("limits");
    group.throughput(Throughput::Elements(1));
    let (plan, config) = limited(seldom_renewed());
    for (scenario, edge) in
        [("hit_unlimited", Edge::new()), ("hit_limited", Edge::on(&plan, &config))]
    {
        let hit = edge.ask("Alex");
        edge.check(hit.clone(), StatusCode::OK, "prompt-edge; fwd=uri-miss; stored");
        edge.check(hit.clone(), StatusCode::OK, "prompt-edge; hit");
        let _entered = edge.runtime.enter();
        group.bench_function(scenario, |bencher| {
            bencher.iter_batched(|| hit.clone(), |ask| edge.hit(ask), BatchSize::SmallInput);
        });
    }
    group.finish();
}
