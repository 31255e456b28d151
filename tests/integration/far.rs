//! Another edge as an origin: what it is asked, and what is taken from it.

use prompt_edge::model::{Credential, Edition, PromptName, Reads, Tenant};
use prompt_edge::origins::upstream::edge::{Config, Edge};
use prompt_edge::origins::{Error, Found, Origin, Question, Store, Text, Told, Validator};
use serde_json::{Value, json};

use crate::contract::origin::{Place, reader};
use crate::harness::far::{self, Far};
use crate::harness::prompt::prompt;
use crate::harness::vendor::{Said, Vendor};

/// Asks for a prompt.
async fn ask(
    origin: &dyn Origin,
    prompt: &str,
    known: Option<&Validator>,
) -> Result<Told<Text>, Error> {
    let prompt = PromptName::anywhere(prompt).expect("some platform could call a prompt that");
    let reader = reader(Reads::Published);
    origin.prompt(Question { reader: &reader, prompt: &prompt, compile: None, known }).await
}

/// What the far edge's store holds.
async fn held(far: &Far, prompt: &str) -> Edition {
    let environment = far.edge.environment("live").await.id;
    let tenant = Tenant::new(far.edge.project.id, environment);
    let name = PromptName::anywhere(prompt).expect("the name is one");
    let edition = far.edge.store.edition(tenant, &name).await.expect("the store answers");
    edition.expect("the prompt is published")
}

/// A value of so many levels.
fn nested(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |inner, _| json!([inner]))
}

/// To the last field: whatever is made of it is the same at both edges.
#[tokio::test]
async fn an_edition_arrives_whole() {
    let far = Far::start().await;
    let sections = prompt("sections")
        .block("Role", "You greet {{name}} in {{language}}.\n")
        .block("Rules", "Be kind.")
        .default("language", Value::Null)
        .required("name")
        .model_config("temperature", 0.70)
        .model_config("as deep as any store takes it", nested(63));
    let chat = prompt("chat").message("system", "You are {{who}}.").placeholder("history");
    let verbatim = prompt("verbatim").verbatim("\n Hi {{ who }}!\n\n");
    for draft in [sections, chat, verbatim] {
        far.edge.publish(draft).await;
    }
    far.edge.set_defaults("live", json!({"name": "Ada"})).await;
    far.edge.follow().await;

    for slug in ["sections", "chat", "verbatim"] {
        let told = ask(&*far.origin(), slug, None).await.expect("the far edge answers");

        let edition = Text::Edition(Box::new(held(&far, slug).await));
        assert_eq!((told.found, told.status), (Found::Present(edition), Some(200)));
    }
}

#[tokio::test]
async fn the_tag_of_the_far_edge_is_what_it_is_asked_with_again() {
    let far = Far::start().await;
    far.publish("greeting", "Hello").await;
    let tag = far.edge.get("/edge/v1/prompts/greeting", far::LIVE).await;
    let tag = Validator(tag.header("etag").into());

    let told = ask(&*far.origin(), "greeting", None).await.expect("the far edge answers");
    let again = ask(&*far.origin(), "greeting", Some(&tag)).await.expect("the far edge answers");

    assert_eq!(told.validator, Some(tag.clone()));
    assert_eq!((again.found, again.status), (Found::Unchanged, Some(304)));
    assert_eq!(again.validator, Some(tag));
    assert_eq!(again.allowance, told.allowance);
}

/// A far edge that speaks JSON, but says this.
async fn saying(said: Said) -> (Vendor, Edge) {
    let vendor = Vendor::start(move |_| said.clone()).await;
    let origin = far::edge_at(&vendor.url());
    (vendor, origin)
}

/// An answer of the dialect's own.
fn recorded() -> Value {
    let exchange = include_str!("../fixtures/dialects/edge/prompt.http");
    let (_, body) = exchange.rsplit_once("\n\n").expect("the answer has a body");
    let id = "0198f3a1-7c2e-7d30-9a4b-5c6d7e8f9b01";
    let body = body.replace("<project>", id).replace("<version>", id);
    serde_json::from_str(&body).expect("the body is JSON")
}

/// What is wrong with an answer, beneath the error.
#[track_caller]
fn misfit(told: Result<Told<Text>, Error>) -> String {
    match told {
        Err(Error::Malformed { source, .. }) => source.to_string(),
        other => panic!("{other:?} is no complaint"),
    }
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let (_vendor, origin) = saying(Said::json(recorded())).await;
    ask(&origin, "greeting", None).await.expect("what the dialect writes fits");

    for (pointer, other, expected) in [
        ("", json!([]), "the document must be an object"),
        ("/project", json!("acme"), "project must be a UUID"),
        ("/version/commit", json!("00"), "version.commit must be the hash"),
        ("/version/content", json!({"audio": ""}), "version.content.audio is not a known field"),
    ] {
        let mut edition = recorded();
        *edition.pointer_mut(pointer).expect("an edition has the field") = other;
        let (_vendor, origin) = saying(Said::json(edition)).await;

        let problem = misfit(ask(&origin, "greeting", None).await);

        assert!(problem.starts_with(expected), "should say {expected:?}: {problem}");
    }
}

/// A root that is mistyped leads to somebody who says 404 to everything.
#[tokio::test]
async fn nobody_but_an_edge_says_that_there_is_no_prompt() {
    let problem = json!({"type": "about:blank", "status": 404, "code": "no_prompt"});
    let not_found = |body: Value| Said { status: 404, ..Said::json(body) };

    let (_vendor, origin) = saying(not_found(problem)).await;
    let told = ask(&origin, "greeting", None).await.expect("an edge says so");
    assert_eq!((told.found, told.status), (Found::Absent, Some(404)));

    for other in [Said::status(404), not_found(json!({"code": "not_found"}))] {
        let (_vendor, origin) = saying(other).await;
        let problem = misfit(ask(&origin, "greeting", None).await);
        assert_eq!(problem, "it answers with status 404");
    }
}

/// Asking again gives the same, and is no sign that the far edge is in trouble.
#[tokio::test]
async fn what_the_far_edge_cannot_hand_over_is_no_failure_of_it() {
    let (_vendor, origin) = saying(Said::status(501)).await;

    let problem = misfit(ask(&origin, "greeting", None).await);

    assert_eq!(problem, "it has an origin that compiles: make that the origin here");
}

#[tokio::test]
async fn a_name_is_one_segment_of_the_path() {
    let (vendor, origin) = saying(Said::status(404)).await;

    for name in ["chat/first contact", "..", "ünder?x=1#y"] {
        misfit(ask(&origin, name, None).await);
    }

    let targets: Vec<_> = vendor.asked().into_iter().map(|asked| asked.target).collect();
    assert_eq!(
        targets,
        [
            "/edge/v1/prompts/chat%2Ffirst%20contact",
            "/edge/v1/prompts/%2E%2E",
            "/edge/v1/prompts/%C3%BCnder%3Fx%3D1%23y",
        ]
    );
}

#[tokio::test]
async fn the_probe_asks_whether_the_list_is_still_the_same() {
    let list = Said::json(json!({"prompts": []})).with("etag", "\"1\"");
    let (vendor, origin) = saying(list).await;

    for _ in 0..2 {
        origin.probe().await.expect("the far edge answers");
    }

    let asked = vendor.asked();
    let known = asked.iter().map(|asked| asked.headers.get("if-none-match"));
    let known: Vec<_> = known.map(|tag| tag.map(|tag| tag.as_bytes())).collect();
    assert_eq!(known, [None, Some(&b"\"1\""[..])]);
    assert!(asked.iter().all(|asked| asked.target == "/edge/v1/prompts"));
}

/// A made-up key would count as a guess there; no key does not.
#[tokio::test]
async fn without_a_key_the_probe_shows_none() {
    let vendor = Vendor::start(|_| Said::status(401)).await;
    let origin = Edge::new(far::upstream(&vendor.url()), Config::default());

    origin.probe().await.expect("a refusal is an answer");
    assert!(matches!(ask(&origin, "greeting", None).await, Err(Error::Rejected { .. })));

    let asked = vendor.asked();
    let shown: Vec<_> = asked.iter().map(|it| it.headers.contains_key("authorization")).collect();
    assert_eq!(shown, [false], "and nobody is asked for a prompt");
    vendor.kill().await;
    origin.probe().await.expect_err("the far edge is gone");
}

/// A key that no header can hold opens nothing, and is not sent.
#[tokio::test]
async fn a_key_that_is_no_key_is_not_sent() {
    let vendor = Vendor::start(|_| Said::status(404)).await;
    let origin = far::edge_at(&vendor.url());

    let admitted = origin.admits(&Credential::new("two\nlines")).await;

    assert!(!admitted.expect("no question is needed"));
    assert_eq!(vendor.asked_count(), 0);
}
