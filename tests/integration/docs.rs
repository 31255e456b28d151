//! README.md says what there is: every metric and every setting, and nothing that is not.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use http::{Method, StatusCode};
use prompt_edge::config;
use prompt_edge::model::{OriginName, Timestamp};
use prompt_edge::telemetry::Metrics;

#[test]
fn the_readme_lists_every_metric() {
    let readme = first_columns(|cell| cell.starts_with("prompt_edge_"));

    assert_eq!(readme, declared_metrics());
}

#[test]
fn the_readme_lists_every_setting() {
    let keys: BTreeSet<String> = config::keys().iter().map(|key| key.path.to_string()).collect();
    let tables: BTreeSet<_> = keys.iter().filter_map(|key| key.split('.').next()).collect();

    let readme = first_columns(|cell| {
        cell.split_once('.').map_or(keys.contains(cell), |(table, _)| tables.contains(table))
    });

    assert_eq!(readme, keys);
}

/// Metrics by the name of the family they are sampled under.
fn declared_metrics() -> BTreeSet<String> {
    let metrics = Metrics::new("0", "0");
    metrics.route("/").answered(&Method::GET, StatusCode::OK, Some(Duration::ZERO));
    metrics.lookups("hit").inc();
    metrics.coded_answers("gzip").inc();
    metrics.cache_holds("answers", 0, 0);
    metrics.origin_answered("store", "edition", "ok", Duration::ZERO);
    metrics.origin_breaker("store");
    metrics.origin_succeeded("store", Timestamp::default());
    metrics.origin_retried("store", "failed");
    metrics.origin_rejected("store");
    metrics.decisions("free", "admitted").inc();
    metrics.shed("connections").inc();
    metrics.tls_handshakes("public", "full").inc();
    metrics.tls_reloads("public", "changed").inc();
    metrics.tls_certificate_expires("public", "edge.test", Timestamp::default());
    metrics.reloads("applied").inc();
    metrics.hooks(&OriginName::new("promptot"), "applied").inc();

    let text = metrics.encode().expect("metrics can be written");
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let sampled = families.map(|family| {
        let (name, kind) = family.split_once(' ').expect("a family has a type");
        match kind {
            "counter" => format!("{name}_total"),
            "info" => format!("{name}_info"),
            _ => name.to_owned(),
        }
    });
    sampled.collect()
}

/// The first cells of the tables' rows in README.md that are one quoted word and wanted.
fn first_columns(is_wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = fs::read_to_string(readme).expect("README.md is there");
    let rows = readme.lines().filter_map(|line| line.trim_start().strip_prefix("| `"));
    let cells = rows.filter_map(|row| row.split_once('`').map(|(cell, _)| cell));
    cells.filter(|cell| is_wanted(cell)).map(str::to_owned).collect()
}
