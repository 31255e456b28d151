//! What reading foreign bytes costs: as clients send them, and as long and awkward as they can be.
//!
//! The hostile inputs have 64 KiB, about the most that fits into a request target. What counts is
//! their throughput: the least that a caller can bring a worker down to.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to say")]

#[expect(dead_code, reason = "the edge in it is for the other benches")]
mod support;

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use http::HeaderMap;
use http::HeaderValue;
use http::header::IF_NONE_MATCH;
use prompt_edge::compile::template::Template;
use prompt_edge::formats::{bundle, markdown};
use prompt_edge::model::Portable;
use prompt_edge::wire::{ETag, query};
use serde_json::Value;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("parsing");
    if_none_match(&mut group);
    variables(&mut group);
    template(&mut group);
    prompts(&mut group);
    group.finish();
    criterion.final_summary();
}

fn if_none_match(group: &mut BenchmarkGroup<'_, WallTime>) {
    let tag = ETag::of(b"the present representation");
    let commas = ",".repeat(KIB_64);
    let openings = "W/".repeat(KIB_64 / 2);
    let tags = "\"x\",".repeat(KIB_64 / 4);
    for (scenario, line) in [
        ("if_none_match", tag.as_str()),
        ("if_none_match_hostile_commas", &commas),
        ("if_none_match_hostile_openings", &openings),
        ("if_none_match_hostile_tags", &tags),
    ] {
        let value = HeaderValue::from_str(line).expect("it is a header value");
        let headers = HeaderMap::from_iter([(IF_NONE_MATCH, value)]);
        group.throughput(Throughput::Bytes(line.len() as u64));
        group.bench_function(scenario, |bencher| bencher.iter(|| tag.is_named_by(&headers)));
    }
}

/// The query's pairs, and each value read as the JSON it should be.
fn variables(group: &mut BenchmarkGroup<'_, WallTime>) {
    let ordinary = "variables=%7B%22user_name%22%3A%22Alex%22%2C%22tone%22%3A%22warm%22%7D";
    let pairs = "&a=1".repeat(KIB_64 / 4);
    let escapes = format!("variables={}", "%7B".repeat(KIB_64 / 3));
    let names = (0..KIB_64 / 10).map(|n| format!("%22{n}%22:0")).collect::<Vec<_>>().join(",");
    let names = format!("variables=%7B{names}%7D");
    for (scenario, query) in [
        ("variables", ordinary),
        ("variables_hostile_escapes", &escapes),
        ("variables_hostile_names", &names),
        ("variables_hostile_pairs", &pairs),
    ] {
        group.throughput(Throughput::Bytes(query.len() as u64));
        group.bench_function(scenario, |bencher| {
            bencher.iter(|| {
                let pairs = query::pairs(query);
                pairs.filter_map(|(_, value)| serde_json::from_slice::<Value>(&value).ok()).count()
            });
        });
    }
}

fn template(group: &mut BenchmarkGroup<'_, WallTime>) {
    for (scenario, text) in [
        ("template", support::prompt(KIB_64, 50)),
        ("template_hostile_braces", "{".repeat(KIB_64)),
        ("template_hostile_openings", "{{a".repeat(KIB_64 / 3)),
        ("template_hostile_names", "{{a}}".repeat(KIB_64 / 5)),
    ] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(scenario, |bencher| {
            bencher.iter(|| Template::parse(&text));
        });
    }
}

fn prompts(group: &mut BenchmarkGroup<'_, WallTime>) {
    for (scenario, file) in [
        ("markdown", format!("{FRONT_MATTER}{}", support::prompt(KIB_64, 50))),
        ("markdown_hostile_headings", "# a\n".repeat(KIB_64 / 4)),
        ("markdown_hostile_quotes", ">".repeat(KIB_64)),
    ] {
        group.throughput(Throughput::Bytes(file.len() as u64));
        group.bench_function(scenario, |bencher| {
            bencher.iter(|| markdown::parse("bench", &file).map(|prompt| prompt.versions.len()));
        });
    }

    let bundle = bundle::write(&history(20));
    group.throughput(Throughput::Bytes(bundle.len() as u64));
    group.bench_function("bundle", |bencher| bencher.iter(|| bundle::read(&bundle)));
}

/// One prompt with this many versions.
fn history(versions: usize) -> Vec<Portable> {
    let file = format!("{FRONT_MATTER}{}", support::prompt(4 << 10, 5));
    let mut prompt = markdown::parse("bench", &file).expect("it is a prompt");
    prompt.versions = prompt.versions.into_iter().cycle().take(versions).collect();
    Vec::from([prompt])
}

const KIB_64: usize = 64 << 10;

const FRONT_MATTER: &str = "---\nname: Bench\ntags: [a, b]\nmodel_config: {model: gpt-4o}\n\
    variables:\n  user_name: {required: true, description: Who is greeted}\n---\n";
