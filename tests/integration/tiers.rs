//! Edges in front of edges: who is handed a version uncompiled, what it costs, and what callers of
//! the nearest are served.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use prompt_edge::config::Config;
use prompt_edge::model::{Credential, Plan, PlanName, Scope};
use prompt_edge::origins::upstream::edge::{self as adapter, Edge as Adapter};
use serde_json::json;

use crate::contract::origin::{Drafts, Place};
use crate::harness::edge::Edge;
use crate::harness::exchange::{Answer, HIT, compiled, compiled_with, request};
use crate::harness::far::{self, Far};
use crate::harness::prompt::{Draft, prompt};
use crate::harness::promptot::{self, PromptOt};

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

/// A store behind an edge behind an edge behind an edge, each on a socket of its own.
struct Tiers {
    near: Far,
    middle: Far,
    far: Far,
}

impl Tiers {
    async fn start() -> Self {
        let far = Far::start().await;
        let middle = Far::in_front_of(far.origin()).await;
        let near = Far::in_front_of(middle.origin()).await;
        Self { near, middle, far }
    }

    /// A second, for each of them.
    async fn tick(&self) {
        for tier in [&self.far, &self.middle, &self.near] {
            tier.tick().await;
        }
    }
}

/// A greeting to somebody who is named.
fn personal() -> Draft {
    prompt("greeting").text("Hello {{name}}")
}

/// Where it is for somebody.
fn greeting_to(name: &str) -> String {
    compiled_with("greeting", &json!({ "name": name }).to_string())
}

#[track_caller]
fn expect_same(near: &Answer, far: &Answer) {
    far.expect_status(200);
    assert_eq!((near.status, &near.body), (200, &far.body));
    assert_eq!(near.header("etag"), far.header("etag"));
}

#[tokio::test]
async fn every_tier_answers_byte_for_byte_the_same() {
    let tiers = Tiers::start().await;
    let id = "0198f3a1-7c2e-7d30-9a4b-5c6d7e8f9b01";
    let sections = personal()
        .id(id)
        .block("Rules", "Be kind in {{language}}.\n")
        .default("language", "Hebrew עברית")
        .model_config("temperature", 0.70);
    let chat = prompt("chat").message("system", "You are {{who}}.").placeholder("history");
    let verbatim = prompt("verbatim").verbatim("\n Hi {{ who }}!\n\n");
    for draft in [sections, chat, verbatim] {
        tiers.far.edge.publish(draft).await;
    }
    tiers.far.edge.set_defaults("live", json!({"who": "Ada"})).await;
    tiers.far.edge.follow().await;

    let by_id = format!("/api/v1/prompts/{id}");
    for target in [
        "/api/v1/prompts",
        "/api/v1/prompts/greeting",
        &greeting_to("Ada"),
        "/api/v1/prompts/chat",
        &compiled("chat"),
        "/api/v1/prompts/verbatim",
        &compiled("verbatim"),
        &by_id,
        &compiled_with(id, r#"{"name": "Bo", "language": 1.0}"#),
    ] {
        let near = tiers.near.get(target).await;

        for other in [&tiers.middle, &tiers.far] {
            expect_same(&near, &other.get(target).await);
        }
    }
}

#[tokio::test]
async fn every_tier_refuses_alike_what_does_not_fit() {
    let tiers = Tiers::start().await;
    tiers.far.edge.publish(personal().required("name")).await;
    tiers.far.edge.follow().await;

    for (target, status) in [(compiled("greeting"), 400), (compiled("nowhere"), 404)] {
        let near = tiers.near.get(&target).await;

        near.expect_status(status);
        for other in [&tiers.middle, &tiers.far] {
            let other = other.get(&target).await;
            assert_eq!((near.status, &near.body), (other.status, &other.body));
        }
    }
}

#[tokio::test]
async fn new_variables_cost_no_trip_beyond_the_near_edge() {
    let tiers = Tiers::start().await;
    tiers.far.edge.publish(personal()).await;
    tiers.far.edge.follow().await;
    tiers.near.get(&greeting_to("Ada")).await.expect_text("Hello Ada");
    assert_eq!((tiers.middle.asked(200).await, tiers.far.asked(200).await), (1, 1));

    for n in 0..100 {
        let name = format!("number {n}");
        tiers.near.get(&greeting_to(&name)).await.expect_text(&format!("Hello {name}"));
    }

    assert_eq!((tiers.middle.asked(200).await, tiers.far.asked(200).await), (1, 1));
}

/// For ten minutes, longer than what it holds is fresh or stale.
#[tokio::test]
async fn with_the_farther_edge_dead_the_near_one_goes_on() {
    let tiers = Tiers::start().await;
    let Tiers { near, middle, far } = &tiers;
    far.edge.publish(personal()).await;
    far.edge.follow().await;
    near.get(&greeting_to("Ada")).await.expect_text("Hello Ada");

    middle.goes_away().await;

    for minute in 0..10 {
        let name = format!("minute {minute}");
        near.get(&greeting_to(&name)).await.expect_text(&format!("Hello {name}"));
        for _ in 0..60 {
            near.tick().await;
        }
    }
    let rescued = near.get(&greeting_to("Ada")).await;
    assert!(rescued.source().contains("detail=rescue"), "{}", rescued.source());

    far.edge.publish(prompt("greeting").text("Good day {{name}}")).await;
    far.edge.follow().await;
    middle.comes_back().await;
    for _ in 0..120 {
        tiers.tick().await;
    }
    near.get(&greeting_to("Ada")).await.expect_text("Good day Ada");
}

#[tokio::test]
async fn a_publish_reaches_the_near_edge_within_its_bound() {
    let far = Far::start().await;
    let near = Far::in_front_of(far.origin()).await;
    far.edge.publish(personal()).await;
    far.edge.follow().await;
    near.get(&greeting_to("Ada")).await.expect_text("Hello Ada");
    for _ in 0..120 {
        near.tick().await;
    }
    assert_eq!(far.asked(200).await, 1, "what is unchanged is not sent again");
    assert!(far.asked(304).await >= 2, "but asked for, though nobody calls");

    far.edge.publish(prompt("greeting").text("Good day {{name}}")).await;
    far.edge.follow().await;
    for _ in 0..60 {
        near.tick().await;
    }

    let answer = near.get(&greeting_to("Ada")).await;
    answer.expect_text("Good day Ada");
    assert!(answer.source().starts_with(HIT) || answer.source().contains("rendered"));
    assert_eq!(far.asked(200).await, 2);
}

/// Each tier adds its own bound, and never serves the old text after the new one.
#[tokio::test]
async fn a_publish_passes_every_tier() {
    let tiers = Tiers::start().await;
    tiers.far.edge.publish(personal()).await;
    tiers.far.edge.follow().await;
    tiers.near.get(&greeting_to("Ada")).await.expect_text("Hello Ada");
    tiers.far.edge.publish(prompt("greeting").text("Good day {{name}}")).await;
    tiers.far.edge.follow().await;

    let mut is_new = false;
    for _ in 0..120 {
        tiers.tick().await;
        let text = tiers.near.get(&greeting_to("Ada")).await.json()["data"]["prompt"].clone();
        assert!(text == "Good day Ada\n" || !is_new, "{text} came after the new one");
        is_new = text == "Good day Ada\n";
    }

    assert!(is_new, "it should have come within two bounds");
}

/// The operator's mistake, which no caller's key can mend.
#[tokio::test]
async fn a_far_key_that_opens_nothing_is_an_alarm_and_never_a_401_or_404() {
    let far = Far::start().await;
    far.publish("greeting", "Hello").await;

    for key in [&*far.live, "far-nothing"] {
        let config = adapter::Config { key: Some(Credential::new(key)), draft_key: None };
        let near =
            Far::in_front_of(Arc::new(Adapter::new(far::upstream(&far.root()), config))).await;

        let first = near.get(&compiled("greeting")).await;
        let second = near.get("/api/v1/prompts").await;

        for refused in [first, second] {
            refused.expect_refusal(502, "ORIGIN_BROKEN");
            assert!(!String::from_utf8_lossy(&refused.body).contains(key));
        }
        let alarms = r#"prompt_edge_origin_rejections_total{origin="far"}"#;
        assert_eq!(near.edge.metric(alarms).await, 2);
    }
}

/// What it holds goes on, until somebody has put another key in.
#[tokio::test]
async fn a_far_key_that_is_revoked_wipes_nothing() {
    let far = Far::start().await;
    let revoked = far.edge.record_key("far-soon-over", |new| new.scopes = vec![Scope::Edge]).await;
    far.publish("greeting", "Hello").await;
    let key = Some(Credential::new("far-soon-over"));
    let config = adapter::Config { key, draft_key: None };
    let near = Far::in_front_of(Arc::new(Adapter::new(far::upstream(&far.root()), config))).await;
    let before = near.get(&compiled("greeting")).await;

    far.edge.revoke(revoked).await;
    far.edge.follow().await;

    for _ in 0..10 {
        near.edge.clock.advance(Duration::from_secs(60));
        let after = near.get(&compiled("greeting")).await;
        near.edge.all_is_quiet().await;
        assert_eq!((after.status, &after.body), (200, &before.body));
    }
    near.get(&compiled("unknown")).await.expect_status(502);
}

#[tokio::test]
async fn a_dev_key_reads_drafts_through_every_tier() {
    let tiers = Tiers::start().await;
    tiers.far.publish("greeting", "Hello").await;
    tiers.far.draft("greeting", "Hello, draft").await;

    let target = compiled("greeting");
    for tier in [&tiers.near, &tiers.middle, &tiers.far] {
        let [dev, live] = [&tier.dev, &tier.live].map(|key| tier.edge.get(&target, key));
        assert_eq!(dev.await.json()["data"]["prompt"], "Hello, draft");
        assert_eq!(live.await.json()["data"]["prompt"], "Hello");
    }
}

/// The far edge has no version to hand over; only its operator's log says why.
#[tokio::test]
async fn a_prompt_that_the_far_origin_compiles_cannot_be_handed_over() {
    let platform = PromptOt::start().await;
    platform.publish("greeting", "planted-in-text");
    let far = Far::in_front_of(Arc::new(promptot::mapped(&platform))).await;
    let near = Far::in_front_of(far.origin()).await;
    far.get(&compiled("greeting")).await.expect_text("planted-in-text");

    let refused = near.get(&compiled("greeting")).await;

    refused.expect_refusal(502, "ORIGIN_BROKEN");
    let body = String::from_utf8_lossy(&refused.body).into_owned();
    for secret in ["planted", far::LIVE, promptot::LIVE, &far.root(), "promptot"] {
        assert!(!body.contains(secret), "{body}");
    }
}
