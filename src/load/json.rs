//! What was measured, for programs: `docs/bench.schema.json` describes it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::load::figures::{Measured, Ratio};
use crate::load::recorder::Record;

/// One object with everything; `settings` is how it was asked for.
pub fn document(
    settings: &Value,
    measured: &[Measured],
    ratios: &[Ratio],
    warnings: &[String],
) -> Value {
    let ratios = ratios.iter().map(|ratio| {
        let Ratio { name, median, min, max } = *ratio;
        (name.to_owned(), json!({"median": median, "min": min, "max": max}))
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "settings": settings,
        "targets": measured.iter().map(target).collect::<Vec<_>>(),
        "ratios": ratios.collect::<Map<_, _>>(),
        "warnings": warnings,
    })
}

fn target(Measured { url, total, rounds, .. }: &Measured) -> Value {
    json!({
        "url": url,
        "total": record(total),
        "rounds": rounds.iter().map(record).collect::<Vec<_>>(),
        "distribution": distribution(&total.latency),
    })
}

fn record(record: &Record) -> Value {
    let statuses = record.statuses.iter().map(|(status, count)| (status.to_string(), *count));
    let errors = record.errors.iter().map(|(kind, count)| (kind.as_str(), *count));
    json!({
        "seconds": record.elapsed.as_secs_f64(),
        "requests": record.answered() + record.failed(),
        "rate": record.rate(),
        "statuses": statuses.collect::<BTreeMap<_, _>>(),
        "errors": errors.collect::<BTreeMap<_, _>>(),
        "body_bytes": record.body_bytes,
        "latency_ns": quantiles(&record.latency),
        "lag_ns": quantiles(&record.lag),
        "queued": record.queued,
    })
}

fn quantiles(histogram: &Histogram<u64>) -> Value {
    let at = |quantile| histogram.value_at_quantile(quantile);
    json!({
        "count": histogram.len(),
        "min": histogram.min(),
        "p50": at(0.5),
        "p90": at(0.9),
        "p99": at(0.99),
        "p99.9": at(0.999),
        "max": histogram.max(),
        "mean": histogram.mean(),
    })
}

/// Points of the distribution, closer to each other towards its end, as `HdrHistogram` prints it.
fn distribution(histogram: &Histogram<u64>) -> Vec<Value> {
    let points = histogram.iter_quantiles(TICKS_PER_HALVING);
    let points = points.map(|point| {
        json!({"quantile": point.quantile_iterated_to(), "latency_ns": point.value_iterated_to()})
    });
    points.collect()
}

const TICKS_PER_HALVING: u32 = 5;
