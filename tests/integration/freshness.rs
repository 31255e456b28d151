//! How old an answer may be, who says so, and what is done before it is too old.

use std::collections::BTreeMap;
use std::time::Duration;

use prompt_edge::admin::health::State;
use prompt_edge::app::OpenedOrigin;
use prompt_edge::config::Config;
use prompt_edge::delivery::freshness::{Exception, Freshness};
use prompt_edge::delivery::purge::Mode;
use prompt_edge::origins::upstream::langfuse;
use serde_json::{Value, json};

use crate::contract::origin::Place;
use crate::harness::edge::Edge;
use crate::harness::exchange::{HIT, compiled};
use crate::harness::fronted::{Fronted, Settings, is_rescue, ttl};
use crate::harness::langfuse::{self as platform, Project};
use crate::harness::vendor::{Fault, Said, Vendor};

const GREETING: [(&str, &str); 1] = [("greeting", "Hello")];

/// Until then the default windows ask nobody.
const FRESH: u64 = 30;

/// Until then they serve at once.
const BOUND: u64 = 60;

fn exception(fresh: u64) -> Exception {
    Exception { fresh: Some(Duration::from_secs(fresh)), ..Exception::default() }
}

#[tokio::test]
async fn what_is_fresh_is_served_without_a_question() {
    let edge = Fronted::with(&GREETING).await;
    edge.ask("greeting").await.expect_text("Hello");

    edge.pass(FRESH - 1);
    let answer = edge.ask("greeting").await;

    answer.expect_text("Hello").expect_header("cache-status", &format!("{HIT}; ttl=1"));
    edge.edge.all_is_quiet().await;
    assert_eq!(edge.vendor().asked_count(), 1);
}

#[tokio::test]
async fn what_is_stale_is_served_at_once_and_asked_for_behind() {
    let edge = Fronted::with(&GREETING).await;
    edge.ask("greeting").await.expect_text("Hello");
    edge.platform.publish("greeting", "Good day");
    edge.vendor().hold();

    edge.pass(FRESH + 2);
    for _ in 0..3 {
        let answer = edge.ask("greeting").await;
        answer.expect_text("Hello").expect_header("cache-status", &format!("{HIT}; ttl=-2"));
    }
    edge.vendor().release();
    edge.edge.all_is_quiet().await;

    edge.ask("greeting").await.expect_text("Good day");
    assert_eq!(ttl(&edge.ask("greeting").await), 30);
    assert_eq!(edge.vendor().asked_count(), 2, "there is one refresh");
}

#[tokio::test]
async fn what_is_too_old_waits_for_the_new_text() {
    let edge = Fronted::with(&GREETING).await;
    edge.ask("greeting").await.expect_text("Hello");
    edge.platform.publish("greeting", "Good day");

    edge.pass(BOUND);
    let answer = edge.ask("greeting").await;

    answer.expect_text("Good day");
    answer.expect_header("cache-status", "prompt-edge; fwd=stale; fwd-status=200; stored");
}

#[tokio::test]
async fn what_has_not_changed_is_young_again_and_the_same_bytes() {
    let edge = Fronted::with(&GREETING).await;
    let first = edge.ask("greeting").await;

    edge.pass(BOUND);
    let answer = edge.ask("greeting").await;

    answer.expect_header("cache-status", "prompt-edge; fwd=stale; fwd-status=304; stored");
    assert_eq!((&answer.body, answer.header("etag")), (&first.body, first.header("etag")));
    assert_eq!(ttl(&edge.ask("greeting").await), 30);
}

#[tokio::test]
async fn what_is_in_use_is_asked_for_before_it_is_too_old_and_what_is_idle_is_not() {
    let edge = Fronted::with(&[("greeting", "Hello"), ("farewell", "Bye")]).await;
    edge.ask("farewell").await.expect_text("Bye");
    // Beyond this a prompt is idle: the windows of the default.
    edge.pass(6 * 60);
    edge.ask("greeting").await.expect_text("Hello");
    edge.platform.publish("greeting", "Good day");

    let mut refreshed = 0;
    for _ in 0..BOUND - 1 {
        edge.pass(1);
        refreshed += edge.tend().await;
    }

    assert_eq!(refreshed, 1, "the other is idle");
    edge.ask_with("greeting", "only-if-cached").await.expect_text("Good day");
    let last = edge.vendor().asked().pop().map(|asked| asked.target);
    assert_eq!(last, Some(compiled("greeting")));
}

#[tokio::test]
async fn each_of_many_comes_due_at_a_moment_of_its_own() {
    let slugs: Vec<_> = (0..40).map(|n| format!("prompt-{n}")).collect();
    let prompts: Vec<_> = slugs.iter().map(|slug| (&**slug, "Hello")).collect();
    let edge = Fronted::with(&prompts).await;

    let mut rounds = Vec::new();
    for _ in 0..2 {
        for slug in &slugs {
            edge.ask_with(slug, "no-cache").await.expect_text("Hello");
        }
        let mut due = BTreeMap::new();
        for second in 1..BOUND {
            edge.pass(1);
            let before = edge.vendor().asked_count();
            edge.tend().await;
            for asked in edge.vendor().asked().split_off(before) {
                due.entry(asked.target).or_insert(second);
            }
        }
        rounds.push(due);
    }

    let first = &rounds[0];
    assert_eq!(first.len(), slugs.len(), "all were asked for");
    assert!(first.values().all(|second| (BOUND / 2..=BOUND * 3 / 4).contains(second)), "{first:?}");
    let most = first.values().map(|at| first.values().filter(|other| *other == at).count()).max();
    assert!(most < Some(slugs.len() / 2), "{first:?}");
    assert_eq!(rounds[0], rounds[1], "one edge decides the same each time");
}

#[tokio::test]
async fn environments_and_prompts_have_windows_of_their_own() {
    let freshness = Freshness {
        environments: [("live".to_owned(), exception(10))].into(),
        prompts: [("greeting".to_owned(), exception(5))].into(),
        ..Freshness::default()
    };
    let settings = Settings { freshness, ..Settings::default() };
    let edge = Fronted::configured(settings, &[("greeting", "Hello"), ("other", "Other")]).await;

    for (slug, fresh) in [("greeting", 5), ("other", 10)] {
        edge.ask(slug).await.expect_status(200);
        assert_eq!(ttl(&edge.ask(slug).await), fresh, "of {slug}");
    }
}

#[tokio::test]
async fn an_origin_shortens_what_the_operator_said() {
    for (said, fresh) in [("max-age=7", 7), ("max-age=3600", 30)] {
        let vendor = Vendor::start(move |_| text("Hello").with("cache-control", said)).await;
        let opened = Settings::default().opened(&vendor.url());
        let edge = Edge::in_front_of(&Config::default(), vec![opened], []).await;
        let key = edge.project_of("promptot", "remote").await;

        edge.get(compiled("greeting"), &key).await.expect_text("Hello");
        let again = edge.get(compiled("greeting"), &key).await;

        assert_eq!(ttl(&again), fresh, "of {said}");
    }
}

/// What PromptOT says of a compiled prompt.
fn text(text: &str) -> Said {
    let data: Value = json!({
        "prompt": format!("{text}\n"),
        "version": "1",
        "tokens": 1,
        "variables_used": [],
        "prompt_id": "0198f3a1-7c2e-7d30-9a4b-5c6d7e8f9a01",
        "project_id": "0198f3a1-7c2e-7d30-9a4b-5c6d7e8f9a02",
    });
    Said::json(json!({"data": data, "error": null}))
}

/// An edge in front of a platform that knows its prompts by name, and a key.
async fn in_front_of(project: &Project) -> (Edge, String) {
    let opened = OpenedOrigin {
        origin: project.origin(),
        guard: None,
        freshness: Freshness::default(),
        lets_keys_through: false,
    };
    let edge = Edge::in_front_of(&Config::default(), vec![opened], []).await;
    let key = edge.project_of("langfuse", "remote").await;
    (edge, key)
}

/// Its ids are made up: only the whole list tells which prompt one is of.
#[tokio::test]
async fn a_refresh_asks_for_a_prompt_by_its_name() {
    let project = Project::empty().await;
    let (edge, key) = in_front_of(&project).await;
    for n in 0..8 {
        let slug = format!("prompt-{n}");
        project.publish(&slug, "Hello\n").await;
        edge.get(compiled(&slug), &key).await.expect_text("Hello");
    }

    edge.clock.advance(Duration::from_secs(BOUND));
    assert_eq!(edge.assembly.delivery.tend(), 8);
    edge.all_is_quiet().await;

    assert_eq!((project.vendor.asked_count(), project.lists().len()), (16, 0));
}

#[tokio::test]
async fn a_pinned_version_never_grows_old() {
    let versions = [("greeting".to_owned(), 1)].into();
    let project = Project::configured(langfuse::Config { versions, ..platform::config() }).await;
    project.publish("greeting", "Hello\n").await;
    let (edge, key) = in_front_of(&project).await;
    edge.get(compiled("greeting"), &key).await.expect_text("Hello");
    project.goes_away().await;

    edge.clock.advance(Duration::from_secs(400 * 24 * 60 * 60));
    edge.assembly.delivery.tend();

    let answer = edge.get(compiled("greeting"), &key).await;
    answer.expect_text("Hello").expect_header("cache-status", HIT);
}

#[tokio::test]
async fn who_wants_no_cache_is_told_what_the_origin_says_now() {
    let edge = Fronted::with(&GREETING).await;
    edge.ask("greeting").await.expect_text("Hello");
    edge.platform.publish("greeting", "Good day");

    edge.pass(1);
    edge.ask_with("greeting", "no-cache").await.expect_text("Good day");
    edge.ask("greeting").await.expect_text("Good day");
    assert_eq!(edge.vendor().asked_count(), 2);
}

#[tokio::test]
async fn the_origin_is_asked_once_a_second_at_most_however_many_want_no_cache() {
    for fault in [None, Some(Fault::Status(500))] {
        let edge = Fronted::with(&GREETING).await;
        edge.ask("greeting").await.expect_text("Hello");
        if let Some(fault) = fault {
            edge.vendor().fail_with(fault);
        }

        for second in 1..4 {
            edge.pass(1);
            for _ in 0..10 {
                edge.ask_with("greeting", "no-cache").await.expect_text("Hello");
            }
            assert_eq!(edge.vendor().asked_count(), 1 + second);
        }
    }
}

#[tokio::test]
async fn who_wants_only_what_is_cached_causes_no_question() {
    let edge = Fronted::with(&GREETING).await;

    let cold = edge.ask_with("greeting", "only-if-cached").await;
    cold.expect_refusal(504, "NOT_CACHED");
    assert_eq!(edge.vendor().asked_count(), 0);

    edge.ask("greeting").await.expect_text("Hello");
    edge.ask_with("greeting", "only-if-cached").await.expect_text("Hello");
    assert_eq!(edge.vendor().asked_count(), 1);

    edge.pass(BOUND);
    edge.ask_with("greeting", "only-if-cached").await.expect_refusal(504, "NOT_CACHED");
    assert_eq!(edge.vendor().asked_count(), 1);
}

#[tokio::test]
async fn who_takes_old_answers_is_served_within_what_they_say() {
    let edge = Fronted::with(&GREETING).await;
    edge.ask("greeting").await.expect_text("Hello");
    edge.pass(BOUND + 40);
    edge.vendor().hold();

    let answer = edge.ask_with("greeting", "max-stale=70").await;

    answer.expect_text("Hello").expect_header("cache-status", &format!("{HIT}; ttl=-70"));
    edge.vendor().release();
    edge.edge.all_is_quiet().await;
    edge.pass(BOUND + 40);
    let answer = edge.ask_with("greeting", "max-stale=69").await;
    answer.expect_header("cache-status", "prompt-edge; fwd=stale; fwd-status=304; stored");
}

#[tokio::test]
async fn nobody_is_served_what_is_known_to_have_changed_for_taking_old_answers() {
    let edge = Fronted::with(&GREETING).await;
    edge.ask("greeting").await.expect_text("Hello");
    edge.platform.publish("greeting", "Good day");
    edge.purge(Mode::Soft);

    edge.ask_with("greeting", "max-stale").await.expect_text("Good day");
}

#[tokio::test]
async fn an_edge_that_has_stopped_refreshing_says_so() {
    let edge = Fronted::with(&GREETING).await;
    let stalled = "prompt_edge_refresh_stalled";
    edge.tend().await;

    edge.pass(30);
    edge.edge.page("/livez").await.expect_status(200);
    assert_eq!(edge.edge.metric(stalled).await, 0);

    edge.pass(1);
    assert_eq!(edge.edge.metric(stalled).await, 1);
    edge.edge.page("/livez").await.expect_status(503);

    edge.tend().await;
    edge.edge.page("/livez").await.expect_status(200);
    assert_eq!(edge.edge.metric(stalled).await, 0);
}

/// Whoever ends a process that says it is stuck would cut its last answers off.
#[tokio::test]
async fn an_edge_that_drains_has_no_need_to_refresh() {
    let edge = Fronted::with(&GREETING).await;
    edge.edge.assembly.admin.health.reach(State::Draining);

    edge.pass(3_600);

    edge.edge.page("/livez").await.expect_status(200);
}

/// Its store tells every change.
#[tokio::test]
async fn an_edge_of_its_store_alone_has_nothing_to_refresh() {
    let edge = Edge::serving([]).await;

    edge.clock.advance(Duration::from_secs(3_600));

    edge.page("/livez").await.expect_status(200);
    assert_eq!(edge.metric("prompt_edge_refresh_stalled").await, 0);
}

#[tokio::test]
async fn every_source_of_an_answer_is_counted_apart() {
    let edge = Fronted::with(&GREETING).await;
    edge.ask("greeting").await;
    edge.ask("greeting").await;
    edge.pass(FRESH);
    edge.ask("greeting").await;
    edge.edge.all_is_quiet().await;
    edge.pass(BOUND);
    edge.ask("greeting").await;
    edge.vendor().kill().await;
    edge.pass(BOUND);
    assert!(is_rescue(&edge.ask("greeting").await));

    for outcome in ["miss", "hit", "stale", "revalidated", "rescue"] {
        assert_eq!(edge.lookups(outcome).await, 1, "of {outcome}");
    }
}

#[tokio::test]
async fn the_age_of_what_is_served_from_memory_is_measured() {
    let edge = Fronted::with(&GREETING).await;
    edge.ask("greeting").await;
    for seconds in [1, FRESH, BOUND] {
        edge.pass(seconds);
        edge.ask("greeting").await;
        edge.edge.all_is_quiet().await;
    }

    // A hit of a second and a stale answer of 31; the last one was asked for.
    assert_eq!(edge.edge.metric("prompt_edge_served_age_seconds_count").await, 2);
    let page = edge.edge.page("/metrics").await;
    let page = String::from_utf8_lossy(&page.body);
    assert!(page.contains("prompt_edge_served_age_seconds_sum 32.0\n"), "{page}");
}
