//! From a publish at the platform to its text here: with a hook at once, without one in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use prompt_edge::config::{Config, Origin};
use prompt_edge::delivery::freshness::Freshness;
use prompt_edge::hooks::signature::PROMPTOT_SIGNATURE;
use prompt_edge::hooks::{self, Scheme};
use prompt_edge::model::Credential;
use prompt_edge::origins::upstream::langfuse::Langfuse;
use prompt_edge::server::{self, Drain, Listener};
use serde_json::json;

use crate::harness::client::Client;
use crate::harness::edge::{Edge, door};
use crate::harness::exchange::{compiled, compiled_with};
use crate::harness::langfuse;
use crate::harness::restart::{Fronted, entry, guarded};
use crate::harness::vendor::{Said, Vendor};

const SECRET: &str = "s3cret";

/// The header of PromptOT's signature.
const PROMPTOTS: &str = "x-promptot-signature";

/// An origin of this name that tells what has changed.
fn hooked(name: &str, scheme: Scheme) -> Config {
    let hook = hooks::Config::new(scheme, &Credential::new(SECRET));
    let origin = Origin { hook: Some(hook.expect("the secret can be one")), ..entry(name) };
    let server = server::Config { hooks: true, ..server::Config::default() };
    Config { origins: vec![origin], server, ..Config::default() }
}

async fn fronted() -> Fronted {
    Fronted::configured(&hooked("promptot", Scheme::PromptOt { header: PROMPTOT_SIGNATURE })).await
}

/// What PromptOT posts when a prompt was published.
fn published(slug: &str) -> String {
    json!({
        "event": "prompt.published",
        "timestamp": "2026-03-01T12:00:00Z",
        "data": {"slug": slug},
    })
    .to_string()
}

fn signature(of: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, of.as_bytes());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A signature as PromptOT sends it.
fn promptots(of: &str) -> String {
    format!("sha256={}", signature(of))
}

/// Sends a hook to the operators' side.
async fn send(edge: &Edge, origin: &str, header: (&str, &str), body: String) -> u16 {
    let request = Request::post(format!("/hooks/{origin}")).header(header.0, header.1);
    let request: Request<Full<Bytes>> = request.body(Full::from(body)).expect("a request");
    edge.operate(request).await.status
}

/// Tells an edge, as PromptOT does, that a prompt was published.
async fn tell(fronted: &Fronted, slug: &str) {
    let body = published(slug);
    let signed = promptots(&body);
    let header = (PROMPTOTS, &*signed);
    assert_eq!(send(&fronted.edge, "promptot", header, body).await, 200);
}

#[tokio::test]
async fn after_a_hook_on_either_socket_the_next_answer_is_what_was_published() {
    let fronted = fronted().await;
    let any = "127.0.0.1:0".parse().expect("an address");
    let drain = Drain::default();
    let public = Listener::bind(any).expect("a free port");
    let private = Listener::bind(any).expect("a free port");
    let [callers, operators] = [&public, &private].map(|side| side.address().expect("an address"));
    let router = Arc::new(fronted.edge.assembly.router.clone());
    let admin = Arc::clone(&fronted.edge.assembly.admin);
    public.serve(&door(router, &drain)).expect("there are descriptors left");
    private.serve(&door(admin, &drain)).expect("there are descriptors left");
    let mut caller = Client::to(callers).await;

    for (side, slug) in [(operators, "first"), (callers, "second")] {
        fronted.platform.publish(slug, "Hello");
        caller.get_as(&fronted.key, &compiled(slug)).await;
        fronted.platform.publish(slug, "Good day");
        let asked = fronted.platform.vendor.asked_count();
        let body = published(slug);
        let signed = promptots(&body);
        let header = (PROMPTOTS, &*signed);
        let mut sender = Client::to(side).await;

        let told = sender.ask(Method::POST, "/hooks/promptot", &[header], body).await;
        let answer = caller.get_as(&fronted.key, &compiled(slug)).await;

        assert_eq!(told.status, 200, "{told:?}");
        assert_eq!(answer.json()["data"]["prompt"], "Good day\n");
        assert_eq!(fronted.platform.vendor.asked_count(), asked + 1);
    }
}

#[tokio::test]
async fn a_hook_costs_one_question_for_each_prompt_in_use() {
    let fronted = fronted().await;
    let slugs = ["a", "b", "c", "d", "e", "f", "g", "h"];
    for slug in slugs {
        fronted.platform.publish(slug, "Hello");
        fronted.get(compiled(slug)).await.expect_text("Hello");
        fronted.platform.publish(slug, "Good day");
    }
    let asked = fronted.platform.vendor.asked_count();

    for slug in slugs {
        tell(&fronted, slug).await;
        fronted.get(compiled(slug)).await.expect_text("Good day");
    }
    fronted.edge.all_is_quiet().await;

    assert_eq!(fronted.platform.vendor.asked_count(), asked + slugs.len());
}

#[tokio::test]
async fn a_hook_concerns_every_set_of_variables_and_every_name() {
    let fronted = fronted().await;
    fronted.platform.publish("greeting", "Hello {{name}}");
    let ada = compiled_with("greeting", r#"{"name":"Ada"}"#);
    let first = fronted.get(&ada).await;
    let id = first.json()["data"]["prompt_id"].as_str().expect("an id is text").to_owned();
    let by_id = compiled_with(&id, r#"{"name":"Ada"}"#);
    fronted.get(compiled_with("greeting", r#"{"name":"Grace"}"#)).await.expect_text("Hello Grace");
    fronted.get(&by_id).await.expect_text("Hello Ada");
    fronted.platform.publish("greeting", "Good day {{name}}");

    tell(&fronted, "greeting").await;

    fronted.get(&by_id).await.expect_text("Good day Ada");
    fronted.get(&ada).await.expect_text("Good day Ada");
    let grace = fronted.get(compiled_with("greeting", r#"{"name":"Grace"}"#)).await;
    grace.expect_text("Good day Grace");
}

#[tokio::test]
async fn a_hook_about_a_prompt_that_was_missing_ends_its_absence() {
    let fronted = fronted().await;
    fronted.get(compiled("greeting")).await.expect_status(404);
    fronted.platform.publish("greeting", "Hello");
    fronted.get(compiled("greeting")).await.expect_status(404);

    tell(&fronted, "greeting").await;

    fronted.get(compiled("greeting")).await.expect_text("Hello");
}

#[tokio::test]
async fn what_a_hook_says_has_changed_still_rescues() {
    let fronted = fronted().await;
    fronted.platform.publish("greeting", "Hello");
    fronted.get(compiled("greeting")).await.expect_text("Hello");
    fronted.platform.vendor.kill().await;

    tell(&fronted, "greeting").await;

    let answer = fronted.get(compiled("greeting")).await;
    answer.expect_text("Hello");
    assert!(answer.source().ends_with("detail=rescue"), "{}", answer.source());
}

#[tokio::test]
async fn a_hook_about_a_prompt_that_nobody_keeps_asks_nothing() {
    let fronted = fronted().await;
    fronted.platform.publish("greeting", "Hello");
    fronted.get(compiled("greeting")).await.expect_text("Hello");
    let asked = fronted.platform.vendor.asked_count();

    tell(&fronted, "another").await;
    fronted.edge.all_is_quiet().await;

    assert_eq!(fronted.platform.vendor.asked_count(), asked);
}

#[tokio::test]
async fn a_hook_that_is_not_signed_changes_nothing() {
    let fronted = fronted().await;
    fronted.platform.publish("greeting", "Hello");
    fronted.get(compiled("greeting")).await.expect_text("Hello");
    let asked = fronted.platform.vendor.asked_count();

    let signed = promptots("another body");
    let header = (PROMPTOTS, &*signed);
    let status = send(&fronted.edge, "promptot", header, published("greeting")).await;
    fronted.edge.all_is_quiet().await;

    assert_eq!(status, 401);
    let answer = fronted.get(compiled("greeting")).await;
    answer.expect_text("Hello").expect_header("cache-status", "prompt-edge; hit; ttl=30");
    assert_eq!(fronted.platform.vendor.asked_count(), asked);
}

#[tokio::test]
async fn the_time_from_a_publish_to_its_text_being_here_is_measured() {
    let fronted = fronted().await;
    fronted.platform.publish("greeting", "Hello");
    fronted.get(compiled("greeting")).await.expect_text("Hello");
    fronted.edge.clock.advance(Duration::from_secs(2));

    tell(&fronted, "greeting").await;
    fronted.edge.all_is_quiet().await;

    assert_eq!(fronted.edge.metric("prompt_edge_publish_delay_seconds_count").await, 1);
    let page = fronted.edge.page("/metrics").await;
    let text = String::from_utf8_lossy(&page.body).into_owned();
    assert!(text.contains("prompt_edge_publish_delay_seconds_sum 2.0\n"), "{text}");
}

/// A Langfuse prompt that is made of the prompt `shared/tone`, and says how often it was asked for.
async fn composed() -> Vendor {
    let asked = AtomicUsize::new(0);
    Vendor::start(move |_| {
        let count = asked.fetch_add(1, Ordering::SeqCst);
        Said::json(json!({
            "id": "root", "name": "critic", "version": 1, "type": "text",
            "prompt": format!("Text {count}"), "config": {}, "labels": ["production"], "tags": [],
            "createdAt": "2026-03-01T12:00:00.000Z", "updatedAt": "2026-03-01T12:00:00.000Z",
            "projectId": "project", "createdBy": "user", "commitMessage": null, "isActive": true,
            "resolutionGraph": {
                "root": {"id": "root", "name": "critic", "version": 1},
                "dependencies": {"root": [{"id": "part", "name": "shared/tone", "version": 2}]},
            },
        }))
    })
    .await
}

#[tokio::test]
async fn a_hook_about_a_part_is_about_what_is_composed_of_it() {
    let vendor = composed().await;
    let origin = Arc::new(Langfuse::new(langfuse::upstream(&vendor), langfuse::config()));
    let origins = vec![guarded(origin, Freshness::default())];
    let edge = Edge::in_front_of(&hooked("langfuse", Scheme::Langfuse), origins, []).await;
    let key = edge.project_of("langfuse", "films").await;
    let text = async || {
        let answer = edge.get(compiled("critic"), &key).await;
        answer.expect_status(200).json()["data"]["prompt"].clone()
    };
    assert_eq!(text().await, "Text 0");

    for (name, expected) in [("shared/other", "Text 0"), ("shared/tone", "Text 1")] {
        let body = json!({"type": "prompt-version", "prompt": {"name": name}}).to_string();
        let signed = format!("t=1772366400,v1={}", signature(&format!("1772366400.{body}")));
        let header = ("x-langfuse-signature", &*signed);
        assert_eq!(send(&edge, "langfuse", header, body).await, 200);
        edge.all_is_quiet().await;

        assert_eq!(text().await, expected);
    }
}

/// Whatever was asked by, and whoever asks: for each of them texts only ever become newer.
#[tokio::test]
async fn without_a_hook_a_publish_is_served_within_the_bound_and_never_taken_back() {
    let fronted = Fronted::start().await;
    fronted.platform.publish("greeting", "0");
    let (other, _) = fronted.edge.key("shop", "live").await;
    let first = fronted.get(compiled("greeting")).await;
    let id = first.json()["data"]["prompt_id"].as_str().expect("an id is text").to_owned();
    let bound = Freshness::default().max_staleness.as_secs();
    let (mut newest, mut published_at) = (0, vec![0]);

    for second in 0..300 {
        if second % 40 == 20 {
            fronted.platform.publish("greeting", &*published_at.len().to_string());
            published_at.push(second);
        }
        for (name, key) in [("greeting", &fronted.key), (&id, &other), ("greeting", &other)] {
            let answer = fronted.edge.get(compiled(name), key).await;
            let text = answer.json()["data"]["prompt"].as_str().expect("a text").to_owned();
            let version: usize = text.trim().parse().expect("each text is a number");
            assert!(version >= newest, "{version} after {newest} in second {second}");
            let next = published_at.get(version + 1);
            assert!(next.is_none_or(|at| second - at <= bound), "{version} in second {second}");
            newest = version;
        }
        fronted.edge.clock.advance(Duration::from_secs(1));
        fronted.edge.assembly.delivery.tend();
        fronted.edge.all_is_quiet().await;
    }
    assert!(newest >= published_at.len() - 2, "{newest} of {}", published_at.len());
}

/// Asked for by both names at once, one of which is slow.
#[tokio::test]
async fn an_old_text_that_was_long_on_its_way_does_not_replace_a_new_one() {
    let fronted = Fronted::start().await;
    fronted.platform.publish("greeting", "Hello");
    let first = fronted.get(compiled("greeting")).await;
    let id = first.json()["data"]["prompt_id"].as_str().expect("an id is text").to_owned();
    let asked = fronted.platform.vendor.asked_count();
    fronted.edge.clock.advance(Duration::from_secs(40));
    fronted.platform.vendor.hold();
    fronted.get(compiled("greeting")).await.expect_text("Hello");
    fronted.platform.vendor.has_been_asked(asked + 1).await;
    fronted.platform.publish("greeting", "Good day");

    fronted.get(compiled(&id)).await.expect_text("Hello");
    fronted.platform.vendor.release();
    fronted.edge.all_is_quiet().await;

    assert_eq!(fronted.platform.vendor.asked_count(), asked + 1, "both names are one question");
}

/// Known by a name that the platform gave away, it is asked for by the one that it still has.
#[tokio::test]
async fn a_prompt_that_lost_its_slug_is_still_served_by_its_id() {
    let fronted = Fronted::start().await;
    fronted.platform.publish("greeting", "Hello");
    let first = fronted.get(compiled("greeting")).await;
    let id = first.json()["data"]["prompt_id"].as_str().expect("an id is text").to_owned();

    fronted.platform.rename("greeting", "salute");
    fronted.edge.clock.advance(Duration::from_secs(90));

    fronted.get(compiled(&id)).await.expect_text("Hello");
    fronted.get(compiled("greeting")).await.expect_status(404);
    fronted.get(compiled(&id)).await.expect_text("Hello");
}
