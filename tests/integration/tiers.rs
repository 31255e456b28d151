//! Edges in front of edges: who is handed a version uncompiled, and what it costs.

use std::num::NonZeroU64;

use prompt_edge::config::Config;
use prompt_edge::model::{Plan, PlanName, Scope};

use crate::harness::edge::Edge;
use crate::harness::exchange::{HIT, compiled, request};
use crate::harness::prompt::{Draft, prompt};

const EDITION: &str = "/edge/v1/prompts/greeting";
const EDITIONS: &str = "/edge/v1/prompts";

fn greeting() -> Draft {
    prompt("greeting").text("Hello")
}

/// Records a key of the project's live environment for another edge.
async fn key_for_edges(edge: &Edge) -> &'static str {
    edge.record_key("near", |new| new.scopes = vec![Scope::Edge]).await;
    edge.follow().await;
    "near"
}

/// Both keys are of one environment, so what either was answered is in memory for it.
#[tokio::test]
async fn a_key_without_the_scope_is_never_recalled_an_answer() {
    let edge = Edge::serving([greeting()]).await;
    let (near, live) = (key_for_edges(&edge).await, edge.live.as_str());
    let of_another_case = EDITION.replace("edge", "%65dge");

    for (target, key, without) in [
        (EDITION, near, live),
        (EDITIONS, near, live),
        (compiled("greeting").as_str(), live, near),
        ("/api/v1/prompts/greeting", live, near),
        ("/api/v1/prompts", live, near),
    ] {
        edge.get(target, key).await.expect_status(200);
        edge.get(target, key).await.expect_status(200).expect_header("cache-status", HIT);
        for _ in ["from the store", "from memory"] {
            for method in ["GET", "HEAD"] {
                edge.ask(request(method, target, without)).await.expect_status(403);
            }
        }
        edge.get(target, key).await.expect_status(200).expect_header("cache-status", HIT);
    }
    for key in [near, live] {
        let elsewhere = edge.get(&of_another_case, key).await;
        elsewhere.expect_refusal(404, "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_key_with_both_scopes_is_answered_on_both_sides() {
    let edge = Edge::serving([greeting()]).await;
    edge.record_key("both", |new| new.scopes = vec![Scope::Deliver, Scope::Edge]).await;
    edge.follow().await;

    for target in [EDITION, &compiled("greeting"), EDITION, &compiled("greeting")] {
        edge.get(target, "both").await.expect_status(200);
    }
}

/// Whoever asks the near edge is counted there.
#[tokio::test]
async fn what_another_edge_asks_is_not_counted() {
    let mut config = Config::default();
    let plan = Plan {
        name: PlanName::new("one_a_month"),
        requests_per_month: Some(NonZeroU64::MIN),
        ..config.limits.plans[&PlanName::new("enterprise")].clone()
    };
    config.limits.plans.insert(plan.name.clone(), plan);
    let edge = Edge::configured(&config, [greeting()]).await;
    edge.set_plan("acme", "one_a_month").await;
    let near = key_for_edges(&edge).await;

    edge.ledger.goes_away();
    for target in [EDITION, EDITION, EDITIONS, EDITIONS, "/edge/v1/prompts/nowhere"] {
        edge.get(target, near).await;
    }
    assert_eq!(edge.ledger.asked(), 0);
    edge.ledger.comes_back();

    edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
    edge.get(compiled("greeting"), &edge.live).await.expect_status(429);
    edge.get(EDITION, near).await.expect_status(200);
}

#[tokio::test]
async fn guessing_keys_of_edges_is_slow_as_any_guessing() {
    let edge = Edge::serving([greeting()]).await;

    let statuses = async |target: &str| {
        let mut refused = Vec::new();
        for n in 0..=20 {
            refused.push(edge.get(target, &format!("guess-{n}")).await.status);
        }
        refused
    };

    let refused = statuses(EDITION).await;
    assert_eq!((refused[0], refused[20]), (401, 429));
    assert_eq!(statuses(&compiled("greeting")).await[0], 429, "both sides count as one");
}

#[tokio::test]
async fn a_publish_reaches_other_edges_with_another_tag() {
    let edge = Edge::serving([greeting()]).await;
    let near = key_for_edges(&edge).await;
    let before = edge.get(EDITION, near).await;

    edge.publish(prompt("greeting").text("Good day")).await;
    edge.follow().await;

    let after = edge.get(EDITION, near).await;
    let text = &after.json()["version"]["content"]["blocks"][0]["content"];
    assert_eq!(text, "Good day");
    assert_ne!(after.header("etag"), before.header("etag"));
}

#[tokio::test]
async fn requests_of_edges_are_counted_under_their_routes() {
    let edge = Edge::serving([greeting()]).await;
    let near = key_for_edges(&edge).await;
    for target in [EDITION, EDITION, EDITIONS, "/edge/v1/nowhere"] {
        edge.get(target, near).await;
    }

    for (route, status, count) in
        [("/edge/v1/prompts/{prompt}", 200, 2), ("/edge/v1/prompts", 200, 1), ("unknown", 404, 1)]
    {
        let labels = format!(r#"{{route="{route}",method="GET",status="{status}"}}"#);
        let sample = format!("prompt_edge_http_requests_total{labels}");
        assert_eq!(edge.metric(&sample).await, count, "of {route}");
    }
}

#[tokio::test]
async fn too_many_requests_of_edges_are_shed_as_a_problem() {
    let mut config = Config::default();
    config.server.max_in_flight = 0;
    let edge = Edge::configured(&config, [greeting()]).await;
    let near = key_for_edges(&edge).await;

    let shed = edge.get(EDITION, near).await;

    shed.expect_status(503).expect_header("content-type", "application/problem+json");
    assert_eq!(shed.header("retry-after"), "1");
}
