//! PromptOT's API, byte for byte where bytes matter (`tests/fixtures/dialects/promptot`).

use std::collections::BTreeSet;

use prompt_edge::delivery::ListShape;
use prompt_edge::dialects::promptot::{errors, shapes};
use prompt_edge::model::{Listed, PromptId, Refusal};
use prompt_edge::wire::ETag;
use serde_json::{Value, json};

use super::played::{Recorded, every_refusal, greeting, ids};
use crate::harness::edge::Edge;
use crate::harness::exchange::{compiled, compiled_with};
use crate::harness::prompt::prompt;

#[tokio::test]
async fn every_exchange_is_as_recorded() {
    Recorded::of("promptot").play().await;
}

#[test]
fn every_refusal_has_an_exchange() {
    let answered = Recorded::of("promptot").answered().into_iter();
    let recorded: BTreeSet<(u16, String)> = answered
        .filter_map(|(status, body)| Some((status, body["error"]["code"].as_str()?.to_owned())))
        .collect();

    let named: BTreeSet<_> = every_refusal().iter().map(code_of).collect();
    assert_eq!(named.len(), 15, "a refusal is missing from the list of them");
    for refusal in every_refusal() {
        let response = errors::respond(&refusal);
        let status = response.status().as_u16();
        let code = code_of(&refusal);

        assert!(
            recorded.contains(&(status, code.to_owned())),
            "no exchange ends with {status} {code}, as `{}` does",
            refusal.as_str()
        );
    }
}

#[test]
fn every_route_has_an_exchange_with_every_method() {
    let requests = Recorded::of("promptot").asked();
    let has = |method: &str, is_route: fn(&str) -> bool| {
        requests.iter().any(|(its, target)| {
            its == method && is_route(target.split('?').next().unwrap_or_default())
        })
    };

    for method in ["GET", "HEAD", "POST"] {
        assert!(has(method, |path| path == "/api/v1/prompts"), "{method} of the list");
        assert!(has(method, |path| path.ends_with("/greeting")), "{method} of a prompt");
        assert!(has(method, |path| path.ends_with("/compiled")), "{method} of a text");
    }
    assert!(has("QUERY", |path| path.ends_with("/compiled")), "QUERY of a text");
}

/// No store has such a prompt yet: an import brings a version.
#[test]
fn a_prompt_without_a_version_is_listed_with_null() {
    let listed = Listed {
        id: PromptId(ids::GREETING.parse().expect("the id is a UUID")),
        name: "Greeting".to_owned(),
        slug: "greeting".parse().expect("the slug is one"),
        current_version: None,
    };

    let shaped = shapes::Prompts.write(&[listed]);

    let body: Value = serde_json::from_slice(&shaped.body).expect("the body is JSON");
    assert_eq!(body["data"][0]["current_version"], Value::Null);
    assert!(body["data"][0].as_object().is_some_and(|line| line.contains_key("current_version")));
}

/// The body's `etag` is the header's value, computed over the body without it.
#[tokio::test]
async fn the_tag_in_the_body_is_that_of_the_body_without_it() {
    let edge = Edge::serving([greeting()]).await;

    let answer = edge.get("/api/v1/prompts/greeting", &edge.live).await;

    let mut body = answer.json();
    let tag = body["data"].as_object_mut().and_then(|data| data.shift_remove("etag"));
    let rest = serde_json::to_vec(&body).expect("JSON can be written");
    assert_eq!(tag, Some(answer.header("etag").into()));
    assert_eq!(ETag::of(&rest).as_str(), answer.header("etag"));
}

/// The messages come beside the text, and only where there are any.
#[tokio::test]
async fn a_chat_prompt_is_delivered_as_text_and_as_messages() {
    let chat = prompt("chat").message("system", "You are {{who}}.").placeholder("history");
    let edge = Edge::serving([chat, greeting()]).await;
    let history = json!([{"role": "user", "content": "{{who}}", "name": "ada"}]);
    let variables = json!({"who": "Bo", "history": history}).to_string();

    let open = edge.get(&compiled("chat"), &edge.live).await.json();
    let filled = edge.get(&compiled_with("chat", &variables), &edge.live).await.json();
    let delivered = edge.get("/api/v1/prompts/chat", &edge.live).await.json();
    let sections = edge.get("/api/v1/prompts/greeting", &edge.live).await.json();

    let stays = json!([
        {"role": "system", "content": "You are {{who}}."},
        {"type": "placeholder", "name": "history"},
    ]);
    assert_eq!(open["data"]["messages"], stays);
    assert_eq!(open["data"]["prompt"], "## System\nYou are {{who}}.\n\n{{history}}\n");
    assert_eq!(open["data"]["variables_used"], json!(["who", "history"]));
    assert_eq!(
        filled["data"]["messages"],
        json!([{"role": "system", "content": "You are Bo."}, history[0]])
    );
    assert_eq!(filled["data"]["prompt"], "## System\nYou are Bo.\n\n## User\n{{who}}\n");
    assert_eq!(delivered["data"]["messages"], stays);
    assert_eq!(delivered["data"]["compiled_prompt"], open["data"]["prompt"]);
    assert_eq!(sections["data"].get("messages"), None);
}

#[tokio::test]
async fn a_verbatim_text_is_delivered_byte_for_byte() {
    let edge = Edge::serving([prompt("text").verbatim("\n Hi {{ who }}!\n\n")]).await;

    let answer = edge.get(&compiled_with("text", r#"{"who":"Bo\n"}"#), &edge.live).await.json();

    assert_eq!(answer["data"]["prompt"], "\n Hi Bo\n!\n\n");
    assert_eq!(answer["data"].get("messages"), None);
}

/// The code that clients match on, written down a second time: codes are frozen.
// No `_` arm: a new refusal must be given an exchange.
fn code_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::BadInput { .. } | Refusal::TooLarge { .. } => "VALIDATION_ERROR",
        Refusal::TooSlow => "REQUEST_TIMEOUT",
        Refusal::Forbidden { .. } => "FORBIDDEN",
        Refusal::MethodNotAllowed { .. } => "METHOD_NOT_ALLOWED",
        Refusal::NotFound { .. } => "NOT_FOUND",
        Refusal::Unauthenticated => "UNAUTHORIZED",
        Refusal::QuotaSpent { .. } | Refusal::RateLimited { .. } => "RATE_LIMITED",
        Refusal::QuotaUnknown { .. } => "QUOTA_UNKNOWN",
        Refusal::Overloaded { .. } => "OVERLOADED",
        Refusal::OriginBroken { .. } => "ORIGIN_BROKEN",
        Refusal::NotKept => "NOT_CACHED",
        Refusal::OriginTimedOut { .. } => "ORIGIN_TIMED_OUT",
        Refusal::OriginUnreachable { .. } => "ORIGIN_UNREACHABLE",
        Refusal::Internal => "INTERNAL_ERROR",
        Refusal::CompiledByOrigin => "COMPILED_BY_ORIGIN",
    }
}
