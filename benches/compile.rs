//! What compiling costs, step by step: once per version, once per new set of values.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to say")]

#[expect(dead_code, reason = "the edge in it is for the other benches")]
mod support;

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use prompt_edge::compile::Prepared;
use prompt_edge::compile::tokens::{self, Encoding};
use prompt_edge::formats::markdown;
use prompt_edge::model::Content;
use serde_json::{Map, Value};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("compile");
    prepare(&mut group);
    for variables in [0, 5, 50] {
        render(&mut group, variables);
    }
    for kib in [1, 16] {
        count(&mut group, kib);
    }
    group.finish();
    criterion.final_summary();
}

/// Joins and parses a version: once per version, when it is fetched.
fn prepare(group: &mut BenchmarkGroup<'_, WallTime>) {
    let content = content(50);
    group.throughput(Throughput::Bytes(LEN_BYTES as u64));
    group.bench_function("prepare", |bencher| {
        bencher.iter(|| Prepared::new(&content, Map::new()));
    });
}

/// Finds the values, makes the canonical form, writes the text.
fn render(group: &mut BenchmarkGroup<'_, WallTime>, variables: usize) {
    let prepared = Prepared::new(&content(variables), Map::new());
    let values = values(&prepared);
    let resolved = prepared.resolve(&values);
    let text = prepared.render(&resolved, usize::MAX).expect("there is no limit").text;

    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function(format!("render_{variables}"), |bencher| {
        bencher.iter(|| prepared.render(&prepared.resolve(&values), usize::MAX));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function(format!("canonical_{variables}"), |bencher| {
        bencher.iter(|| resolved.canonical());
    });
}

/// Counts tokens of prose.
fn count(group: &mut BenchmarkGroup<'_, WallTime>, kib: usize) {
    let text = support::prose(kib << 10);
    let encoding = Encoding::of_model(None);
    tokens::warm();

    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function(format!("tokens_{kib}_kib"), |bencher| {
        bencher.iter(|| encoding.count(&text));
    });
}

/// The length of the source, before values are inserted.
const LEN_BYTES: usize = 4 << 10;

fn content(variables: usize) -> Content {
    let prompt = markdown::parse("bench", &support::prompt(LEN_BYTES, variables));
    let versions = prompt.expect("it is a prompt").versions;
    versions.into_iter().next().expect("a file has one version").content
}

/// A short text for every variable.
fn values(prepared: &Prepared) -> Map<String, Value> {
    prepared.names().map(|name| (name.to_owned(), Value::from("a short value"))).collect()
}
