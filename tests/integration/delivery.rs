//! What callers see of delivery: one answer for one meaning, no text from before a change, and
//! prompts that stay while the store is away.

use std::sync::Arc;
use std::time::Duration;

use prompt_edge::app::OpenedOrigin;
use prompt_edge::cache;
use prompt_edge::config::Config;
use prompt_edge::delivery;
use prompt_edge::delivery::freshness::Freshness;
use prompt_edge::origins::Origin;
use serde_json::json;

use crate::harness::edge::Edge;
use crate::harness::exchange::{
    ABSENT, COLLAPSED, HIT, MISS, RENDERED, compiled, compiled_with, query, request, with,
};
use crate::harness::prompt::{Draft, prompt};
use crate::harness::promptot::{PromptOt, mapped};
use crate::harness::watched::Fault;

const ID: &str = "0198f3a1-7c2e-7d30-9a4b-5c6d7e8f9a01";

fn greeting() -> Draft {
    prompt("greeting").id(ID).text("Hello {{name}}")
}

#[tokio::test]
async fn variables_that_mean_the_same_are_one_answer() {
    let both = prompt("both").text("{{a}} {{b}}").default("b", "2");
    let edge = Edge::serving([both]).await;
    let first = edge.get(compiled_with("both", r#"{"a":"1"}"#), &edge.live).await;

    for variables in [
        r#"{"a":"1","b":"2"}"#,
        r#"{"b":"2","a":"1"}"#,
        r#" { "a" : "1" } "#,
        r#"{"a":1}"#,
        r#"{"unused":[true],"a":"1"}"#,
    ] {
        let again = edge.get(compiled_with("both", variables), &edge.live).await;

        again.expect_text("1 2").expect_header("cache-status", HIT);
        assert_eq!(again.header("etag"), first.header("etag"), "of {variables}");
    }
}

#[tokio::test]
async fn new_variables_cost_a_render_and_no_question_to_the_store() {
    let edge = Edge::serving([greeting()]).await;
    edge.get(compiled_with("greeting", r#"{"name":"Ada"}"#), &edge.live).await.expect_status(200);
    let before = edge.store.asked();

    let answer = edge.get(compiled_with("greeting", r#"{"name":"Grace"}"#), &edge.live).await;

    answer.expect_text("Hello Grace").expect_header("cache-status", RENDERED);
    assert_eq!(edge.store.asked(), before, "the template is in memory");
}

#[tokio::test]
async fn a_repeated_url_is_a_hit_and_counted_as_one() {
    let edge = Edge::serving([greeting()]).await;
    let target = compiled_with("greeting", r#"{"name":"Ada"}"#);
    let first = edge.get(&target, &edge.live).await;

    let second = edge.get(&target, &edge.live).await;

    first.expect_header("cache-status", MISS);
    second.expect_text("Hello Ada").expect_header("cache-status", HIT);
    assert_eq!(second.body, first.body);
    let lookups = |outcome| format!("prompt_edge_cache_lookups_total{{outcome=\"{outcome}\"}}");
    assert_eq!(edge.metric(&lookups("miss")).await, 1);
    assert_eq!(edge.metric(&lookups("hit")).await, 1);
    let requests = r#"prompt_edge_http_requests_total{route="/api/v1/prompts/{prompt}/compiled",method="GET",status="200"}"#;
    assert_eq!(edge.metric(requests).await, 2);
}

#[tokio::test]
async fn a_query_shares_the_answer_of_a_get() {
    let edge = Edge::serving([greeting()]).await;
    let get = edge.get(compiled_with("greeting", r#"{"name":"Ada"}"#), &edge.live).await;

    let asked = query(&compiled("greeting"), &edge.live, r#"{ "name": "Ada", "x": 1 }"#);
    let query = edge.ask(asked).await;

    query.expect_text("Hello Ada").expect_header("cache-status", HIT);
    assert_eq!(query.header("etag"), get.header("etag"));
}

#[tokio::test]
async fn two_queries_of_one_url_are_told_apart_by_their_bodies() {
    let edge = Edge::serving([greeting()]).await;

    for name in ["Ada", "Grace"] {
        let variables = json!({ "name": name }).to_string();
        let answer = edge.ask(query(&compiled("greeting"), &edge.live, &variables)).await;
        answer.expect_text(&format!("Hello {name}"));
    }
}

#[tokio::test]
async fn a_prompt_is_the_same_by_slug_and_by_id() {
    let edge = Edge::serving([greeting()]).await;

    for path in ["", "/compiled"] {
        let of = |name: &str| format!("/api/v1/prompts/{name}{path}");
        let by_slug = edge.get(of("greeting"), &edge.live).await;
        let by_id = edge.get(of(ID), &edge.live).await;

        assert_eq!(by_id.body, by_slug.body);
        assert_eq!(by_id.header("etag"), by_slug.header("etag"));
    }
}

#[tokio::test]
async fn head_is_told_what_get_is_told() {
    let edge = Edge::serving([greeting()]).await;

    for target in ["/api/v1/prompts", "/api/v1/prompts/greeting", &compiled("greeting")] {
        let get = edge.get(target, &edge.live).await;
        let head = edge.ask(request("HEAD", target, &edge.live)).await;

        head.expect_status(200);
        for name in ["etag", "cache-control", "vary", "content-type"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {target}");
        }
    }
}

#[tokio::test]
async fn the_current_tag_is_not_modified_on_both_ways() {
    let edge = Edge::serving([greeting()]).await;
    let target = compiled_with("greeting", r#"{"name":"Ada"}"#);
    let first = edge.get(&target, &edge.live).await;
    let tag = first.header("etag").to_owned();

    let fast = edge.ask(with(request("GET", &target, &edge.live), "if-none-match", &tag)).await;
    let other = compiled_with("greeting", r#"{"name":"Ada","x":1}"#);
    let slow = edge.ask(with(request("GET", &other, &edge.live), "if-none-match", &tag)).await;

    for answer in [fast, slow] {
        answer.expect_status(304);
        assert!(answer.body.is_empty());
        for name in ["etag", "cache-control", "vary"] {
            assert_eq!(answer.header(name), first.header(name), "{name} is repeated");
        }
    }
}

#[tokio::test]
async fn a_publish_is_served_as_soon_as_it_is_known() {
    let edge = Edge::serving([greeting()]).await;
    let targets = [compiled("greeting"), compiled(ID), "/api/v1/prompts/greeting".to_owned()];
    let mut tags = Vec::new();
    for target in &targets {
        tags.push(edge.get(target, &edge.live).await.header("etag").to_owned());
    }

    edge.publish(prompt("greeting").text("Good day")).await;
    edge.follow().await;

    for (target, tag) in targets.iter().zip(&tags) {
        let answer = edge.ask(with(request("GET", target, &edge.live), "if-none-match", tag)).await;
        answer.expect_status(200);
        let data = &answer.json()["data"];
        let text = data.get("prompt").or(data.get("compiled_prompt"));
        assert_eq!(text, Some(&json!("Good day\n")), "of {target}");
        assert_ne!(answer.header("etag"), tag);
    }
}

#[tokio::test]
async fn the_list_changes_with_a_publish() {
    let edge = Edge::serving([greeting()]).await;
    let list = async || edge.get("/api/v1/prompts", &edge.live).await.json()["data"].clone();
    assert_eq!(list().await[0]["current_version"], "1");

    edge.publish(prompt("greeting").text("Good day")).await;
    edge.follow().await;

    assert_eq!(list().await[0]["current_version"], "2");
}

#[tokio::test]
async fn a_rollback_serves_the_version_before() {
    let edge = Edge::serving([prompt("greeting").text("one")]).await;
    edge.publish(prompt("greeting").text("two")).await;
    edge.follow().await;
    edge.get(compiled("greeting"), &edge.live).await.expect_text("two");

    edge.roll_back("greeting").await;
    edge.follow().await;

    edge.get(compiled("greeting"), &edge.live).await.expect_text("one");
}

#[tokio::test]
async fn a_deleted_prompt_is_not_found_on_any_way() {
    let edge = Edge::serving([greeting()]).await;
    let targets = [compiled("greeting"), compiled(ID), "/api/v1/prompts/greeting".to_owned()];
    for target in &targets {
        edge.get(target, &edge.live).await.expect_status(200);
    }

    edge.delete("greeting").await;
    edge.follow().await;

    for target in &targets {
        edge.get(target, &edge.live).await.expect_refusal(404, "NOT_FOUND");
    }
    let list = edge.get("/api/v1/prompts", &edge.live).await;
    assert_eq!(list.json()["data"], json!([]));
}

#[tokio::test]
async fn a_draft_changes_nothing_for_live_keys() {
    let edge = Edge::serving([prompt("greeting").text("one")]).await;
    edge.get(compiled("greeting"), &edge.dev).await.expect_text("one");

    edge.draft(prompt("greeting").text("two")).await;
    edge.follow().await;

    edge.get(compiled("greeting"), &edge.live).await.expect_text("one");
    edge.get(compiled("greeting"), &edge.dev).await.expect_text("two");
}

/// The store is asked, the answer is on its way, and then it is out of date.
#[tokio::test]
async fn what_was_fetched_before_a_publish_is_not_kept() {
    let edge = Edge::serving([prompt("greeting").text("one")]).await;
    edge.get("/api/v1/prompts", &edge.live).await.expect_status(200);
    edge.store.hold();
    let early = edge.begin(request("GET", &compiled("greeting"), &edge.live));
    edge.store.has_answered(3).await;

    edge.publish(prompt("greeting").text("two")).await;
    edge.follow().await;
    edge.store.release();

    early.answer().await.expect_text("one");
    edge.get(compiled("greeting"), &edge.live).await.expect_text("two");
}

/// Whoever asks after a change must not be given what was asked for before it.
#[tokio::test]
async fn whoever_asks_after_a_publish_does_not_join_a_fetch_from_before_it() {
    let edge = Edge::serving([prompt("greeting").text("one")]).await;
    edge.get("/api/v1/prompts", &edge.live).await.expect_status(200);
    edge.store.hold();
    let early = edge.begin(request("GET", &compiled("greeting"), &edge.live));
    edge.store.has_answered(3).await;
    edge.publish(prompt("greeting").text("two")).await;
    edge.follow().await;

    let late = edge.begin(request("GET", &compiled("greeting"), &edge.live));
    edge.store.release();

    early.answer().await.expect_status(200);
    late.answer().await.expect_text("two");
}

#[tokio::test]
async fn whoever_asks_for_the_list_after_a_change_does_not_join_a_fetch_from_before_it() {
    let edge = Edge::serving([greeting()]).await;
    edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
    edge.store.hold();
    let early = edge.begin(request("GET", "/api/v1/prompts", &edge.live));
    edge.store.has_answered(3).await;
    edge.publish(prompt("greeting").text("two")).await;
    edge.follow().await;

    let late = edge.begin(request("GET", "/api/v1/prompts", &edge.live));
    edge.store.release();

    early.answer().await.expect_status(200);
    let list = late.answer().await.json();
    assert_eq!(list["data"][0]["current_version"], "2");
}

#[tokio::test]
async fn an_absence_is_remembered_as_long_as_it_is_meant_to_be() {
    let edge = Edge::serving([]).await;
    edge.get(compiled("nowhere"), &edge.live).await.expect_refusal(404, "NOT_FOUND");
    // Each absence ends at a moment of its own, in the last fifth of its time.
    edge.clock.advance(Duration::from_millis(3_999));
    edge.get(compiled("nowhere"), &edge.live).await.expect_refusal(404, "NOT_FOUND");
    assert_eq!(edge.store.asked().editions, 1, "it is known to be absent");

    edge.clock.advance(Duration::from_millis(1_001));
    edge.get(compiled("nowhere"), &edge.live).await.expect_refusal(404, "NOT_FOUND");

    assert_eq!(edge.store.asked().editions, 2, "after `absent_for` the store is asked again");
}

#[tokio::test]
async fn an_absence_says_where_it_was_found_and_is_counted_once() {
    let edge = Edge::serving([]).await;

    let asked = edge.get(compiled("nowhere"), &edge.live).await;
    let remembered = edge.get(compiled("nowhere"), &edge.live).await;

    asked.expect_status(404).expect_header("cache-status", MISS);
    remembered.expect_status(404).expect_header("cache-status", ABSENT);
    let lookups = |outcome| format!("prompt_edge_cache_lookups_total{{outcome=\"{outcome}\"}}");
    assert_eq!(edge.metric(&lookups("miss")).await, 1);
    assert_eq!(edge.metric(&lookups("absent")).await, 1);
    assert_eq!(edge.metric(&lookups("refused")).await, 0);
}

#[tokio::test]
async fn an_absence_ends_when_the_prompt_is_published() {
    let edge = Edge::serving([]).await;
    edge.draft(greeting()).await;
    edge.follow().await;
    edge.get(compiled("greeting"), &edge.live).await.expect_refusal(404, "NOT_FOUND");
    edge.get(compiled(ID), &edge.live).await.expect_refusal(404, "NOT_FOUND");

    edge.publish(greeting()).await;
    edge.follow().await;

    edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
    edge.get(compiled(ID), &edge.live).await.expect_status(200);
}

#[tokio::test]
async fn an_absence_ends_when_the_prompt_is_made() {
    let edge = Edge::serving([]).await;
    edge.get(compiled("greeting"), &edge.dev).await.expect_refusal(404, "NOT_FOUND");

    edge.draft(greeting()).await;
    edge.follow().await;

    edge.get(compiled("greeting"), &edge.dev).await.expect_status(200);
}

#[tokio::test]
async fn a_crowd_on_a_cold_prompt_asks_the_store_once() {
    let edge = Edge::serving([greeting()]).await;
    // Enough of the month is leased ahead for nobody in the crowd to wait for that.
    for _ in 0..20 {
        edge.get("/api/v1/prompts", &edge.live).await.expect_status(200);
    }
    edge.store.hold();
    let ask = |_| edge.begin(request("GET", &compiled("greeting"), &edge.live));
    let crowd: Vec<_> = (0..100).map(ask).collect();

    edge.store.release();

    let mut sources = Vec::new();
    for begun in crowd {
        sources.push(begun.answer().await.expect_status(200).source().to_owned());
    }
    assert_eq!(edge.store.asked().editions, 1, "the crowd should have shared one fetch");
    assert_eq!(sources.iter().filter(|source| *source == MISS).count(), 1);
    assert_eq!(sources.iter().filter(|source| *source == COLLAPSED).count(), 99);
}

#[tokio::test]
async fn the_first_of_a_crowd_may_leave() {
    let edge = Edge::serving([greeting()]).await;
    edge.get("/api/v1/prompts", &edge.live).await.expect_status(200);
    edge.store.hold();
    let first = edge.begin(request("GET", &compiled("greeting"), &edge.live));
    let second = edge.begin(request("GET", &compiled("greeting"), &edge.live));

    drop(first);
    edge.store.release();

    second.answer().await.expect_text("Hello {{name}}");
    assert_eq!(edge.store.asked().editions, 1, "the fetch went on");
}

#[tokio::test]
async fn a_crowd_on_a_cold_list_asks_the_store_once() {
    let edge = Edge::serving([greeting()]).await;
    edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
    edge.store.hold();
    let ask = |_| edge.begin(request("GET", "/api/v1/prompts", &edge.live));
    let crowd: Vec<_> = (0..10).map(ask).collect();

    edge.store.release();

    for begun in crowd {
        begun.answer().await.expect_status(200);
    }
    assert_eq!(edge.store.asked().listings, 1);
}

#[tokio::test]
async fn a_warm_prompt_is_answered_while_the_store_is_away() {
    let edge = Edge::serving([greeting()]).await;
    let target = compiled_with("greeting", r#"{"name":"Ada"}"#);
    edge.get(&target, &edge.live).await.expect_status(200);

    edge.store.fail_with(Fault::Unreachable);
    edge.clock.advance(Duration::from_secs(30 * 24 * 3_600));

    edge.get(&target, &edge.live).await.expect_text("Hello Ada").expect_header("cache-status", HIT);
    let other = edge.get(compiled_with("greeting", r#"{"name":"Grace"}"#), &edge.live).await;
    other.expect_text("Hello Grace");
}

#[tokio::test]
async fn a_cold_prompt_is_never_not_found_because_the_store_is_away() {
    for (fault, status, code) in [
        (Fault::Unreachable, 503, "ORIGIN_UNREACHABLE"),
        (Fault::Busy, 503, "OVERLOADED"),
        (Fault::TimedOut, 504, "ORIGIN_TIMED_OUT"),
    ] {
        let edge = Edge::serving([greeting(), prompt("warm").text("x")]).await;
        edge.get(compiled("warm"), &edge.live).await.expect_status(200);

        edge.store.fail_with(fault);

        for target in ["/api/v1/prompts", &compiled("greeting"), &compiled("nowhere")] {
            let answer = edge.get(target, &edge.live).await;
            answer.expect_refusal(status, code).expect_header("retry-after", "1");
        }
    }
}

#[tokio::test]
async fn a_failure_of_the_store_is_not_remembered() {
    let edge = Edge::serving([greeting(), prompt("warm").text("x")]).await;
    edge.get(compiled("warm"), &edge.live).await.expect_status(200);
    edge.store.fail_with(Fault::Unreachable);
    edge.get(compiled("greeting"), &edge.live).await.expect_status(503);

    edge.store.recover();

    edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
}

#[tokio::test]
async fn a_store_that_panics_costs_one_request_and_no_more() {
    let edge = Edge::serving([greeting(), prompt("warm").text("x")]).await;
    edge.get(compiled("warm"), &edge.live).await.expect_status(200);
    edge.store.fail_with(Fault::Panics);

    edge.get(compiled("greeting"), &edge.live).await.expect_refusal(500, "INTERNAL_ERROR");

    edge.store.recover();
    edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
}

/// A deadline of nothing is over before a store that keeps its answer back lets it go.
#[tokio::test]
async fn a_caller_is_not_kept_waiting_beyond_the_deadline() {
    let delivery = delivery::Config { deadline: Duration::ZERO, ..delivery::Config::default() };
    let config = Config { delivery, ..Config::default() };
    let edge = Edge::configured(&config, [greeting()]).await;
    edge.get("/api/v1/prompts", &edge.live).await; // From here on the key is known.
    edge.store.hold();

    let answer = edge.get(compiled("greeting"), &edge.live).await;

    answer.expect_refusal(504, "ORIGIN_TIMED_OUT").expect_header("retry-after", "1");
    edge.store.release();
    // The fetch goes on without anybody: once it has landed, its result is in memory.
    edge.assembly.drain.finish(Duration::from_secs(60)).await;
    edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
    assert_eq!(edge.store.asked().editions, 1);
}

#[tokio::test]
async fn two_projects_with_the_same_slug_never_see_each_others_text() {
    let edge = Edge::serving([prompt("greeting").text("ours")]).await;
    let other = edge.another_project("other").await;
    let (key, _) = edge.key("other", "live").await;
    edge.import(&other, prompt("greeting").text("theirs"), Some("live")).await;
    edge.follow().await;

    for _ in 0..2 {
        for target in [compiled("greeting"), compiled_with("greeting", r#"{"name":"Ada"}"#)] {
            edge.get(&target, &edge.live).await.expect_text("ours");
            edge.get(&target, &key).await.expect_text("theirs");
        }
    }
}

#[tokio::test]
async fn the_id_of_another_projects_prompt_finds_nothing() {
    let edge = Edge::serving([greeting()]).await;
    edge.another_project("other").await;
    let (key, _) = edge.key("other", "live").await;
    edge.follow().await;
    edge.get(compiled(ID), &edge.live).await.expect_status(200);

    for target in [compiled(ID), format!("/api/v1/prompts/{ID}"), compiled("greeting")] {
        edge.get(target, &key).await.expect_refusal(404, "NOT_FOUND");
    }
    let list = edge.get("/api/v1/prompts", &key).await;
    assert_eq!(list.json()["data"], json!([]));
}

#[tokio::test]
async fn what_may_be_kept_by_others_depends_on_the_environment() {
    let edge = Edge::serving([greeting()]).await;

    for target in ["/api/v1/prompts", "/api/v1/prompts/greeting", &compiled("greeting")] {
        let live = edge.get(target, &edge.live).await;
        let dev = edge.get(target, &edge.dev).await;

        live.expect_header(
            "cache-control",
            "private, max-age=30, stale-while-revalidate=300, stale-if-error=86400",
        );
        dev.expect_header("cache-control", "private, no-cache");
    }
}

#[tokio::test]
async fn defaults_of_the_environment_are_used_and_can_change() {
    let edge = Edge::serving([greeting()]).await;
    edge.set_defaults("live", json!({"name": "world"})).await;
    edge.follow().await;
    edge.get(compiled("greeting"), &edge.live).await.expect_text("Hello world");
    edge.get(compiled("greeting"), &edge.dev).await.expect_text("Hello {{name}}");

    edge.set_defaults("live", json!({"name": "moon"})).await;
    edge.follow().await;

    edge.get(compiled("greeting"), &edge.live).await.expect_text("Hello moon");
}

#[tokio::test]
async fn a_required_variable_may_come_from_the_environment() {
    let edge = Edge::serving([greeting().required("name")]).await;
    let refused = edge.get(compiled("greeting"), &edge.live).await;
    refused.expect_refusal(400, "VALIDATION_ERROR");

    edge.set_defaults("live", json!({"name": "world"})).await;
    edge.follow().await;

    edge.get(compiled("greeting"), &edge.live).await.expect_text("Hello world");
}

#[tokio::test]
async fn a_required_variable_is_asked_for_on_both_routes() {
    let edge = Edge::serving([greeting().required("name")]).await;

    for target in [compiled("greeting"), "/api/v1/prompts/greeting".to_owned()] {
        let refused = edge.get(&target, &edge.live).await;
        refused.expect_refusal(400, "VALIDATION_ERROR");
        let unresolved = edge.get(format!("{target}?resolve=none"), &edge.live).await;
        unresolved.expect_status(200);
    }
}

#[tokio::test]
async fn a_value_is_never_a_template() {
    let edge = Edge::serving([prompt("pair").text("{{a}} {{b}}")]).await;

    let answer = edge.get(compiled_with("pair", r#"{"a":"{{b}}","b":"x"}"#), &edge.live).await;

    answer.expect_text("{{b}} x");
}

#[tokio::test]
async fn null_is_a_value_that_renders_empty() {
    let edge = Edge::serving([greeting().default("name", "world")]).await;

    let answer = edge.get(compiled_with("greeting", r#"{"name":null}"#), &edge.live).await;

    answer.expect_text("Hello ");
}

#[tokio::test]
async fn a_text_over_the_limit_is_refused_and_one_at_it_is_not() {
    let delivery = delivery::Config { max_output_bytes: 1_024, ..delivery::Config::default() };
    let config = Config { delivery, ..Config::default() };
    let edge = Edge::configured(&config, [prompt("echo").text("{{a}}")]).await;
    let of = |len: usize| compiled_with("echo", &json!({ "a": "x".repeat(len) }).to_string());

    let longest = edge.get(of(1_023), &edge.live).await;
    let longer = edge.get(of(1_024), &edge.live).await;

    longest.expect_status(200);
    longer.expect_refusal(400, "VALIDATION_ERROR");
    let message = longer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("1024"), "the limit should be named: {message}");
}

/// Above 16 KiB a prompt is rendered on another thread.
#[tokio::test]
async fn a_large_prompt_is_rendered_as_any_other() {
    let text = "All work and no play. ".repeat(4_000);
    let edge = Edge::serving([prompt("large").text(format!("{text}{{{{name}}}}"))]).await;
    let target = compiled_with("large", r#"{"name":"Jack"}"#);

    let first = edge.get(&target, &edge.live).await;
    let second = edge.get(&target, &edge.live).await;

    first.expect_text(&format!("{text}Jack"));
    assert_eq!(second.expect_header("cache-status", HIT).body, first.body);
}

#[tokio::test]
async fn a_flood_of_variables_stays_within_the_memory_for_answers() {
    const CAPACITY: u64 = 1 << 20;
    let cache = cache::Config { answers_bytes: CAPACITY, ..cache::Config::default() };
    let config = Config { cache, ..Config::default() };
    let edge = Edge::configured(&config, [greeting()]).await;

    for n in 0..20_000 {
        let target = format!("/api/v1/prompts/greeting?variables=%7B%22name%22%3A{n}%7D");
        edge.get(target, &edge.live).await.expect_status(200);
    }

    let weight = |map| format!("prompt_edge_cache_weight_bytes{{cache=\"{map}\"}}");
    let answers = edge.metric(&weight("answers")).await;
    let lane = edge.metric(&weight("lane")).await;
    assert!(answers + lane <= CAPACITY, "{answers} + {lane} should be within {CAPACITY}");
    assert!(answers > CAPACITY / 4, "the memory should be used: {answers}");
    assert_eq!(edge.store.asked().editions, 1);
}

#[tokio::test]
async fn an_edge_is_ready_once_the_store_has_told_where_its_changes_are() {
    let edge = Edge::serving([]).await;

    edge.page("/readyz").await.expect_status(200);
}

/// The origin's 404 is over the moment the origin says so: nobody is told it again because the
/// origin cannot be asked.
#[tokio::test]
async fn an_absence_that_is_over_does_not_rescue() {
    let platform = PromptOt::start().await;
    let origin = Arc::new(mapped(&platform));
    let name = origin.name().clone();
    let (guard, freshness) = (None, Freshness::default());
    let opened = OpenedOrigin { origin, guard, freshness, lets_keys_through: false };
    let edge = Edge::in_front_of(&Config::default(), vec![opened], []).await;
    let key = edge.project_of("promptot", "remote").await;
    edge.get(compiled("greeting"), &key).await.expect_refusal(404, "NOT_FOUND");

    edge.assembly.delivery.told(&name, vec!["greeting".parse().expect("a name")], None);
    platform.vendor.kill().await;

    edge.get(compiled("greeting"), &key).await.expect_refusal(503, "ORIGIN_UNREACHABLE");
}
