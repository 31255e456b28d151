//! What operators can do to a running edge: purge it, and ask it why.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use prompt_edge::origins::Store;
use serde_json::{Value, json};

use crate::harness::edge::Edge;
use crate::harness::exchange::{Answer, compiled};
use crate::harness::restart::Fronted;

async fn purge(edge: &Edge, media_type: &str, body: impl Into<Bytes>) -> Answer {
    let request = Request::post("/admin/purge").header("content-type", media_type);
    edge.operate(request.body(Full::new(body.into())).expect("a request")).await
}

async fn purge_json(edge: &Edge, body: Value) -> Answer {
    purge(edge, "application/json", body.to_string()).await
}

#[tokio::test]
async fn an_operator_purges_everything_an_origin_a_project_or_a_prompt() {
    let edge = Edge::serving([]).await;
    let origin = edge.store.name().as_str();

    for body in [
        json!({"all": true}),
        json!({"all": true, "hard": true}),
        json!({"origin": origin}),
        json!({"project": "acme"}),
        json!({"project": "acme", "prompt": "greeting", "hard": false}),
    ] {
        let answer = purge_json(&edge, body).await;
        answer.expect_status(200).expect_header("cache-control", "no-store");
        assert_eq!(answer.json(), json!({"purged": 0}), "nothing was asked for yet");
    }
}

#[tokio::test]
async fn a_purge_of_what_there_is_not_is_404() {
    let edge = Edge::serving([]).await;

    let project = purge_json(&edge, json!({"project": "nobody"})).await;
    let prompt = purge_json(&edge, json!({"project": "nobody", "prompt": "greeting"})).await;
    let origin = purge_json(&edge, json!({"origin": "nowhere"})).await;

    for answer in [project, prompt] {
        assert_eq!(answer.expect_status(404).json()["error"], "there is no project `nobody`");
    }
    assert_eq!(origin.expect_status(404).json()["error"], "there is no origin `nowhere`");
}

#[tokio::test]
async fn a_bad_purge_is_400_with_the_field_and_the_remedy() {
    let edge = Edge::serving([]).await;

    let answer = purge_json(&edge, json!({"prompt": "greeting"})).await;

    assert_eq!(answer.expect_status(400).json()["error"], "prompt: say of which project");
}

/// A form, or a script of another site, cannot send this media type without asking first.
#[tokio::test]
async fn a_browser_does_not_purge_by_accident() {
    let edge = Edge::serving([]).await;
    let body = r#"{"all": true}"#;

    for media_type in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let answer = purge(&edge, media_type, body).await;
        let error = answer.expect_status(415).json()["error"].clone();
        assert_eq!(error, "Content-Type: the body is `application/json`: say so", "{media_type}");
    }
    purge(&edge, "Application/JSON; charset=utf-8", body).await.expect_status(200);
    edge.page("/admin/purge").await.expect_status(405).expect_header("allow", "POST");
}

#[tokio::test]
async fn a_purge_has_a_short_body() {
    let edge = Edge::serving([]).await;

    let answer = purge(&edge, "application/json", vec![b' '; (128 << 10) + 1]).await;

    let error = answer.expect_status(413).json()["error"].clone();
    assert_eq!(error, "body: longer than 131072 bytes: send less");
}

#[tokio::test]
async fn why_is_asked_of_a_prompt_in_an_environment() {
    let edge = Edge::serving([]).await;
    let why = |query: &'static str| edge.page(query);

    let page = why("/admin/why?project=acme&slug=movies%2Fcritic&environment=live").await;
    let environment = why("/admin/why?project=acme&slug=greeting&environment=nowhere").await;
    let project = why("/admin/why?project=nobody&slug=greeting&environment=live").await;
    let nothing = why("/admin/why").await;

    let expected = json!({
        "project": "acme", "environment": "live", "prompt": "movies/critic", "records": [],
    });
    assert_eq!(page.expect_status(200).json(), expected);
    page.expect_header("cache-control", "no-store");
    let error = |answer: &Answer| answer.json()["error"].clone();
    assert_eq!(error(environment.expect_status(404)), "there is no environment `nowhere`");
    assert_eq!(error(project.expect_status(404)), "there is no project `nobody`");
    let remedy = "slug: missing: ask for /admin/why?project=shop&slug=greeting&environment=live";
    assert_eq!(error(nothing.expect_status(400)), remedy);
}

#[tokio::test]
async fn what_was_purged_is_asked_for_anew_and_still_rescues() {
    let fronted = Fronted::start().await;
    fronted.platform.publish("greeting", "Hello");
    fronted.get(compiled("greeting")).await.expect_text("Hello");
    fronted.platform.publish("greeting", "Good day");

    for scope in [
        json!({"all": true}),
        json!({"origin": "promptot"}),
        json!({"project": "shop"}),
        json!({"project": "shop", "prompt": "greeting"}),
    ] {
        fronted.platform.vendor.revive().await;
        let asked = fronted.platform.vendor.asked_count();
        let purged = purge_json(&fronted.edge, scope.clone()).await;
        assert_eq!(purged.expect_status(200).json(), json!({"purged": 1}), "{scope}");
        fronted.get(compiled("greeting")).await.expect_text("Good day");
        fronted.edge.all_is_quiet().await;
        assert_eq!(fronted.platform.vendor.asked_count(), asked + 1, "{scope}");

        fronted.platform.vendor.kill().await;
        purge_json(&fronted.edge, scope.clone()).await.expect_status(200);
        let rescued = fronted.get(compiled("greeting")).await;
        rescued.expect_text("Good day");
        assert!(rescued.source().ends_with("detail=rescue"), "{scope}: {}", rescued.source());
        fronted.edge.clock.advance(Duration::from_secs(60));
    }
}

#[tokio::test]
async fn what_was_purged_hard_is_gone() {
    for scope in [
        json!({"all": true, "hard": true}),
        json!({"origin": "promptot", "hard": true}),
        json!({"project": "shop", "hard": true}),
        json!({"project": "shop", "prompt": "greeting", "hard": true}),
    ] {
        let fronted = Fronted::start().await;
        fronted.platform.publish("greeting", "Hello");
        fronted.get(compiled("greeting")).await.expect_text("Hello");
        fronted.platform.vendor.kill().await;

        let purged = purge_json(&fronted.edge, scope.clone()).await;

        assert_eq!(purged.expect_status(200).json(), json!({"purged": 1}), "{scope}");
        let refused = fronted.get(compiled("greeting")).await;
        assert!((502..=504).contains(&refused.status), "{scope}: {refused:?}");
    }
}
