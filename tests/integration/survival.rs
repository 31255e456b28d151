//! What a restart leaves: memory goes on where it was, as old as it would have been.

use std::time::Duration;

use prompt_edge::delivery::freshness::{Exception, Freshness};
use prompt_edge::model::OriginName;
use prompt_edge::origins::Store;
use prompt_edge::origins::upstream::langfuse as adapter;

use crate::contract::given::at;
use crate::contract::origin::Place;
use crate::harness::edge::Edge;
use crate::harness::exchange::{compiled, compiled_with};
use crate::harness::langfuse;
use crate::harness::prompt::prompt;
use crate::harness::promptot::{LIVE, PromptOt};
use crate::harness::restart::{Fronted, Restarted, guarded, passing};
use crate::harness::watched::Fault;

const LIST: &str = "/api/v1/prompts";
const DELIVERED: &str = "/api/v1/prompts/greeting";

#[tokio::test]
async fn the_first_answer_after_a_restart_is_a_finished_one_from_memory() {
    let fronted = Fronted::start().await;
    fronted.platform.publish("greeting", "Hello {{name}}");
    let ada = compiled_with("greeting", r#"{"name":"Ada"}"#);
    let targets = [LIST, DELIVERED, &ada, &compiled("greeting")];
    let mut before = Vec::new();
    for target in targets {
        before.push(fronted.get(target).await);
    }
    fronted.platform.vendor.kill().await;
    let asked = fronted.platform.vendor.asked_count();

    let restarted = fronted.restarted(at(5)).await;

    for (target, before) in targets.iter().zip(&before) {
        let after = restarted.get(target, &fronted.key).await;
        after.expect_status(200).expect_header("cache-status", "prompt-edge; hit; ttl=25");
        assert_eq!(after.body, before.body, "{target}");
        assert_eq!(after.header("etag"), before.header("etag"), "{target}");
        assert_eq!(after.header("cache-control"), before.header("cache-control"), "{target}");
    }
    assert_eq!(fronted.platform.vendor.asked_count(), asked);
}

#[tokio::test]
async fn new_variables_after_a_restart_cost_a_render() {
    let project = langfuse::Project::empty().await;
    project.publish("greeting", "Hello {{name}}").await;
    let origins = || vec![guarded(project.origin(), Freshness::default())];
    let fronted = Edge::in_front_of(&Default::default(), origins(), []).await;
    let key = fronted.project_of("langfuse", "shop").await;
    fronted.get(compiled_with("greeting", r#"{"name":"Ada"}"#), &key).await.expect_status(200);
    project.vendor.kill().await;

    let restarted = Restarted::of(&fronted, origins(), at(1)).await;

    let answer = restarted.get(compiled_with("greeting", r#"{"name":"Grace"}"#), &key).await;
    assert_eq!(answer.json()["data"]["prompt"], "Hello Grace");
}

#[tokio::test]
async fn what_the_store_said_only_rescues_after_a_restart() {
    let edge = Edge::serving([prompt("greeting").text("Hello")]).await;
    edge.get(compiled("greeting"), &edge.live).await.expect_text("Hello");
    edge.publish(prompt("greeting").text("Good day")).await;

    let restarted = Restarted::of(&edge, Vec::new(), at(1)).await;
    edge.store.fail_with(Fault::Unreachable);
    let without = restarted.get(compiled("greeting"), &edge.live).await;
    edge.store.recover();
    restarted.clock.advance(Duration::from_secs(10));
    let with = restarted.get(compiled("greeting"), &edge.live).await;

    without.expect_text("Hello");
    assert!(without.source().ends_with("detail=rescue"), "{}", without.source());
    with.expect_text("Good day");
}

#[tokio::test]
async fn a_key_that_was_revoked_while_the_edge_was_down_is_refused() {
    let fronted = Fronted::start().await;
    fronted.platform.publish("greeting", "Hello");
    let (key, id) = fronted.edge.key("shop", "live").await;
    fronted.edge.get(compiled("greeting"), &key).await.expect_status(200);
    fronted.edge.revoke(id).await;

    let restarted = fronted.restarted(at(1)).await;

    restarted.get(compiled("greeting"), &key).await.expect_status(401);
    restarted.get(compiled("greeting"), &fronted.key).await.expect_text("Hello");
}

#[tokio::test]
async fn a_key_is_remembered_while_the_store_is_away() {
    let fronted = Fronted::start().await;
    fronted.platform.publish("greeting", "Hello");
    fronted.get(compiled("greeting")).await.expect_status(200);

    let restarted = fronted.restarted(at(1)).await;
    fronted.edge.store.fail_with(Fault::Unreachable);

    restarted.get(compiled("greeting"), &fronted.key).await.expect_text("Hello");
}

#[tokio::test]
async fn a_project_that_has_another_origin_now_is_not_remembered() {
    let fronted = Fronted::start().await;
    fronted.platform.publish("greeting", "Hello");
    fronted.get(compiled("greeting")).await.expect_text("Hello");
    let projects = fronted.edge.store.projects().await.expect("the store answers");
    let shop = projects.iter().find(|project| project.name == "shop").expect("it was made").id;

    for origin in [None, Some(OriginName::new("elsewhere"))] {
        fronted.edge.store.set_origin(shop, origin).await.expect("the project is there");
        assert_eq!(fronted.restarted(at(1)).await.remembered(), 0);
    }
}

#[tokio::test]
async fn a_project_that_is_no_longer_there_is_not_remembered() {
    let fronted = Fronted::start().await;
    fronted.platform.publish("greeting", "Hello");
    fronted.get(compiled("greeting")).await.expect_text("Hello");
    let image = fronted.edge.assembly.image();
    let other = Edge::serving([]).await;
    other.project_of("promptot", "another").await;

    other.assembly.restore(image).await;

    assert_eq!(other.assembly.delivery.capture().0, []);
}

#[tokio::test]
async fn what_fails_closed_since_a_restart_does_not_rescue() {
    let fronted = Fronted::start().await;
    fronted.platform.publish("greeting", "Hello");
    let answer = fronted.get(compiled("greeting")).await;
    let id = answer.json()["data"]["prompt_id"].as_str().expect("an id is text").to_owned();
    fronted.platform.vendor.kill().await;
    let closed = Exception { fail_closed: Some(true), ..Exception::default() };
    let prompts = [("greeting".to_owned(), closed)].into();

    let open = fronted.restarted(at(90)).await;
    let freshness = Freshness { prompts, ..Freshness::default() };
    let closed = fronted.restarted_with(freshness, at(90)).await;

    for name in ["greeting", &id] {
        open.get(compiled(name), &fronted.key).await.expect_text("Hello");
        let refused = closed.get(compiled(name), &fronted.key).await;
        assert!((502..=504).contains(&refused.status), "{refused:?}");
    }
}

#[tokio::test]
async fn ages_go_on_over_a_restart() {
    let fronted = Fronted::start().await;
    fronted.platform.publish("greeting", "Hello");
    fronted.get(compiled("greeting")).await.expect_text("Hello");
    fronted.edge.clock.set(at(20));
    fronted.platform.vendor.kill().await;

    for (now, source) in [
        (20, "prompt-edge; hit; ttl=10"),
        (40, "prompt-edge; hit; ttl=-10"),
        (90, "prompt-edge; hit; ttl=-60; detail=rescue"),
    ] {
        let restarted = fronted.restarted(at(now)).await;
        let answer = restarted.get(compiled("greeting"), &fronted.key).await;
        answer.expect_text("Hello").expect_header("cache-status", source);
        restarted.all_is_quiet().await;
    }
    let restarted = fronted.restarted(at(2 * 24 * 60 * 60)).await;
    let gone = restarted.get(compiled("greeting"), &fronted.key).await;
    assert!((502..=504).contains(&gone.status), "{gone:?}");
    assert!(!gone.header("retry-after").is_empty(), "{gone:?}");
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_nothing_younger() {
    let fronted = Fronted::start().await;
    fronted.platform.publish("greeting", "Hello");
    fronted.get(compiled("greeting")).await.expect_text("Hello");
    fronted.edge.clock.set(at(20));

    let restarted = fronted.restarted(at(-3_600)).await;

    let answer = restarted.get(compiled("greeting"), &fronted.key).await;
    answer.expect_text("Hello").expect_header("cache-status", "prompt-edge; hit; ttl=10");
}

#[tokio::test]
async fn a_pinned_version_does_not_begin_to_age_with_a_restart() {
    let versions = [("greeting".to_owned(), 1)].into();
    let config = adapter::Config { versions, ..langfuse::config() };
    let project = langfuse::Project::configured(config).await;
    project.publish("greeting", "Hello").await;
    let origins = || vec![guarded(project.origin(), Freshness::default())];
    let edge = Edge::in_front_of(&Default::default(), origins(), []).await;
    let key = edge.project_of("langfuse", "shop").await;
    edge.get(compiled("greeting"), &key).await.expect_status(200);
    edge.clock.set(at(20));

    let restarted = Restarted::of(&edge, origins(), at(90)).await;

    let answer = restarted.get(compiled("greeting"), &key).await;
    answer.expect_status(200).expect_header("cache-status", "prompt-edge; hit");
    assert_eq!(restarted.assembly.delivery.tend(), 0, "it is never asked for again");
}

/// An edge whose callers bring keys of PromptOT's.
async fn passed_through() -> (PromptOt, Edge) {
    let platform = PromptOt::start().await;
    platform.publish("greeting", "Hello");
    let edge = Edge::in_front_of(&Default::default(), vec![passing(&platform)], []).await;
    edge.project_of("promptot", "shop").await;
    edge.follow().await;
    edge.get(compiled("greeting"), LIVE).await.expect_text("Hello");
    (platform, edge)
}

#[tokio::test]
async fn a_callers_own_key_is_known_after_a_restart_by_its_digest() {
    let (platform, edge) = passed_through().await;
    platform.vendor.kill().await;

    let restarted = Restarted::of(&edge, vec![passing(&platform)], at(5)).await;

    restarted.get(compiled("greeting"), LIVE).await.expect_text("Hello");
    let other = restarted.get(compiled("greeting"), "pk_live_other").await;
    assert!((502..=504).contains(&other.status), "nobody can tell whose it is: {other:?}");
}

/// What is remembered has no key to be asked for with, until the caller presents it.
#[tokio::test]
async fn what_a_callers_own_key_reads_is_asked_for_after_a_restart_with_that_key_alone() {
    let (platform, edge) = passed_through().await;
    platform.publish("greeting", "Good day");

    let restarted = Restarted::of(&edge, vec![passing(&platform)], at(45)).await;
    restarted.assembly.delivery.tend();
    restarted.all_is_quiet().await;
    restarted.get(compiled("greeting"), LIVE).await.expect_text("Hello");
    restarted.all_is_quiet().await;

    restarted.get(compiled("greeting"), LIVE).await.expect_text("Good day");
    let keys =
        platform.vendor.asked().into_iter().filter(|asked| asked.target.contains("greeting"));
    for asked in keys {
        assert_eq!(asked.headers["authorization"], format!("Bearer {LIVE}"));
    }
    let metrics = restarted.assembly.admin.metrics.encode().expect("metrics can be written");
    assert!(!metrics.contains("origin_rejections_total{"), "{metrics}");
}
