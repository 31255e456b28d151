//! An origin's own word that something changed: who is believed, and what of it is done.
//!
//! The signatures are `openssl`'s, made as the tests of `hooks::signature` say.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use prompt_edge::app::{self, Opened};
use prompt_edge::clock::ManualClock;
use prompt_edge::config::{Admin, Config, Kind, Origin};
use prompt_edge::delivery::freshness::Freshness;
use prompt_edge::hooks::signature::PROMPTOT_SIGNATURE;
use prompt_edge::hooks::{self, Scheme, Turned};
use prompt_edge::model::{Credential, OriginName};
use prompt_edge::origins::guard;
use prompt_edge::server::{self, Inherited, ListenerConfig};
use serde_json::json;

use crate::contract::given::at;
use crate::harness::client::Client;
use crate::harness::edge::Edge;
use crate::harness::exchange::Answer;
use crate::harness::store;

/// A hook that its vendor has signed, at the moment that tests begin with.
#[derive(Clone, Copy)]
struct Sent {
    origin: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
}

const PROMPTOT: Sent = Sent {
    origin: "promptot",
    headers: &[(
        "x-promptot-signature",
        "sha256=6c89368f6639da396afb5898c8a08009a4e229c30ff329fcb56fa5529af215be",
    )],
    body: r#"{"event":"prompt.published","timestamp":"2026-03-01T12:00:00Z","data":{"slug":"greeting","id":"a1b2c3d4-e5f6-4a1b-8c3d-4e5f6a7b8c9d"}}"#,
};

const LANGFUSE: Sent = Sent {
    origin: "langfuse",
    headers: &[(
        "x-langfuse-signature",
        "t=1772366400,v1=5ced36bfb8e212f71500158468d2a5f76ca75384d27a59cbdf24b2dd0462033f",
    )],
    body: r#"{"id":"550e8400-e29b-41d4-a716-446655440000","timestamp":"2026-03-01T12:00:00Z","type":"prompt-version","apiVersion":"v1","action":"updated","prompt":{"id":"prompt_1","name":"movies/critic","version":3,"prompt":"Rate {{movie}}."}}"#,
};

const STANDARD: Sent = Sent {
    origin: "standard",
    headers: &[
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", "1772366400"),
        ("webhook-signature", "v1,ah37Y+V2Bj3b8qZrKNzMunW6MtEnCVurLs8UE/1zwo4="),
    ],
    body: r#"{"type":"prompt.published","timestamp":"2026-03-01T12:00:00Z","data":{"slug":"greeting"}}"#,
};

/// PromptOT's, without a word on when.
const TIMELESS: Sent = Sent {
    origin: "promptot",
    headers: &[(
        "x-promptot-signature",
        "ece2bc1c7652d50b0fc0c01d7c4218fc2f850fa87e7827fe58d4b5b9d56a0409",
    )],
    body: r#"{"event":"prompt.updated","data":{"slug":"greeting"}}"#,
};

const ABOUT_A_PROJECT: Sent = Sent {
    origin: "promptot",
    headers: &[(
        "x-promptot-signature",
        "d100cb2a2df07f68e0bdbbe6892dc5950ed3dfe3437773c5f2e63d094c0bada5",
    )],
    body: r#"{"event":"project.created","timestamp":"2026-03-01T12:00:00Z"}"#,
};

const UNREADABLE: Sent = Sent {
    origin: "promptot",
    headers: &[(
        "x-promptot-signature",
        "423de1296412fb34f15cf89aa016a2d4ff877966f941b245b3ff4a9b583d0b5a",
    )],
    body: "no JSON at all",
};

const EVERY_SCHEME: [Sent; 3] = [PROMPTOT, LANGFUSE, STANDARD];

/// Three origins, one for each scheme.
fn configured(server: server::Config) -> Config {
    let hook = |origin, scheme, secret| {
        let hook = hooks::Config::new(scheme, &Credential::new(secret));
        Origin {
            name: OriginName::new(origin),
            kind: Kind::Files { path: "prompts".into() },
            freshness: Freshness::default(),
            guard: guard::Config::default(),
            hook: Some(hook.expect("the secret can be one")),
        }
    };
    let origins = vec![
        hook("promptot", Scheme::PromptOt { header: PROMPTOT_SIGNATURE }, "s3cret"),
        hook("langfuse", Scheme::Langfuse, "lf-whsec_abc"),
        hook("standard", Scheme::Standard, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ];
    Config { server, origins, ..Config::default() }
}

async fn hooked() -> Edge {
    Edge::configured(&configured(server::Config::default()), []).await
}

fn request(sent: Sent, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let request = Request::post(format!("/hooks/{}", sent.origin));
    let request = sent.headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
    request.body(Full::new(body.into())).expect("a request")
}

async fn send(edge: &Edge, sent: Sent) -> Answer {
    edge.operate(request(sent, sent.body)).await
}

async fn outcome(edge: &Edge, sent: Sent) -> String {
    let answer = send(edge, sent).await;
    let body = answer.expect_status(200).json();
    body["outcome"].as_str().expect("an outcome is text").to_owned()
}

async fn counted(edge: &Edge, origin: &str, outcome: &str) -> u64 {
    let labels = format!("{{origin=\"{origin}\",outcome=\"{outcome}\"}}");
    edge.metric(&format!("prompt_edge_hooks_total{labels}")).await
}

#[tokio::test]
async fn a_hook_that_is_sent_again_does_nothing() {
    let edge = hooked().await;

    for sent in EVERY_SCHEME {
        assert_eq!(outcome(&edge, sent).await, "applied");
        assert_eq!(outcome(&edge, sent).await, "replayed");
        edge.clock.set(at(300));
        assert_eq!(outcome(&edge, sent).await, "replayed", "it is as old as it may be");
        edge.clock.set(at(301));
        send(&edge, sent).await.expect_status(401);
        edge.clock.set(at(0));

        for (outcome, count) in [("applied", 1), ("replayed", 2), ("refused", 1)] {
            assert_eq!(counted(&edge, sent.origin, outcome).await, count, "{outcome}");
        }
    }
}

/// Else a sender whose clock is ahead could be replayed once it is forgotten.
#[tokio::test]
async fn a_hook_from_a_clock_that_is_ahead_is_remembered_for_longer() {
    let edge = hooked().await;

    for sent in EVERY_SCHEME {
        edge.clock.set(at(-300));
        assert_eq!(outcome(&edge, sent).await, "applied");
        edge.clock.set(at(300));
        assert_eq!(outcome(&edge, sent).await, "replayed");
    }
}

#[tokio::test]
async fn a_hook_that_nobody_signed_is_refused_whatever_it_says() {
    let edge = hooked().await;
    let mut refused = Vec::new();

    for sent in EVERY_SCHEME {
        let other = EVERY_SCHEME.into_iter().find(|other| other.origin != sent.origin);
        let of_another = Sent { origin: sent.origin, ..other.expect("there are three") };
        refused.push(send(&edge, Sent { headers: &[], ..sent }).await);
        refused.push(send(&edge, Sent { body: "no JSON", ..sent }).await);
        refused.push(send(&edge, Sent { body: "", ..sent }).await);
        refused.push(send(&edge, of_another).await);
        edge.clock.advance(Duration::from_secs(301));
        refused.push(send(&edge, sent).await);
        edge.clock.set(at(0));
    }

    for answer in &refused {
        answer.expect_status(401).expect_header("www-authenticate", "Signature");
        assert_eq!(answer.body, refused[0].body, "nobody learns which part was wrong");
    }
    assert_eq!(counted(&edge, "promptot", "refused").await, 5);
}

#[tokio::test]
async fn a_hook_names_what_changed() {
    let edge = hooked().await;
    let received = |sent: Sent| {
        let headers: HeaderMap = request(sent, "").headers().clone();
        edge.assembly.admin.hooks.receive(sent.origin, &headers, sent.body.as_bytes())
    };

    for (sent, expected, sent_at) in [
        (PROMPTOT, &["greeting", "a1b2c3d4-e5f6-4a1b-8c3d-4e5f6a7b8c9d"][..], Some(at(0))),
        (LANGFUSE, &["movies/critic"], Some(at(0))),
        (STANDARD, &["greeting"], Some(at(0))),
        (TIMELESS, &["greeting"], None),
        (UNREADABLE, &[], None),
    ] {
        let told = received(sent).expect("it is applied");
        let names: Vec<_> = told.names.iter().map(ToString::to_string).collect();
        assert_eq!(names, expected, "{}", sent.body);
        assert_eq!(told.sent_at, sent_at, "{}", sent.body);
    }
    assert_eq!(received(ABOUT_A_PROJECT), Err(Turned::Ignored));
}

/// The same body twice may be two publishes: nothing in it tells one from the other.
#[tokio::test]
async fn a_hook_that_does_not_say_when_is_applied_each_time() {
    let edge = hooked().await;

    assert_eq!(outcome(&edge, TIMELESS).await, "applied");
    assert_eq!(outcome(&edge, TIMELESS).await, "applied");
}

#[tokio::test]
async fn an_event_about_something_else_is_acknowledged_and_ignored() {
    let edge = hooked().await;

    assert_eq!(outcome(&edge, ABOUT_A_PROJECT).await, "ignored");
    assert_eq!(counted(&edge, "promptot", "ignored").await, 1);
}

#[tokio::test]
async fn a_hook_is_posted_to_an_origin_that_has_one_and_is_not_long() {
    let edge = hooked().await;

    let unknown = send(&edge, Sent { origin: "nobody", ..PROMPTOT }).await;
    let none = send(&edge, Sent { origin: "", ..PROMPTOT }).await;
    let below = send(&edge, Sent { origin: "promptot/more", ..PROMPTOT }).await;
    let read = edge.page("/hooks/promptot").await;
    let long = edge.operate(request(PROMPTOT, vec![b' '; (256 << 10) + 1])).await;

    for answer in [unknown, none, below] {
        let error = answer.expect_status(404).json();
        assert_eq!(error, json!({"error": "no origin of this name has a hook"}));
    }
    read.expect_status(405).expect_header("allow", "POST");
    let error = long.expect_status(413).json();
    assert_eq!(error, json!({"error": "body: longer than 262144 bytes: send less"}));
}

#[tokio::test]
async fn callers_do_not_reach_hooks_unless_told_otherwise() {
    let closed = hooked().await;
    let open = server::Config { hooks: true, ..server::Config::default() };
    let open = Edge::configured(&configured(open), []).await;

    for sent in EVERY_SCHEME {
        let answer = closed.ask(request(sent, sent.body)).await;
        answer.expect_refusal(404, "NOT_FOUND");
        let answer = open.ask(request(sent, sent.body)).await;
        assert_eq!(answer.expect_status(200).json(), json!({"outcome": "applied"}));
        assert_eq!(outcome(&open, sent).await, "replayed", "both sides are one");
    }
    let labels = r#"{route="/hooks/{origin}",method="POST",status="200"}"#;
    assert_eq!(open.metric(&format!("prompt_edge_http_requests_total{labels}")).await, 3);
}

#[tokio::test]
async fn a_hook_is_received_on_both_sockets() {
    let any = "127.0.0.1:0".parse().expect("an address");
    let server = server::Config { hooks: true, ..server::Config::default() };
    let listeners = vec![ListenerConfig::clear(any)];
    let config = Config { admin: Admin { listen: any }, listeners, ..configured(server) };
    let kept = store::sqlite();
    let opened = Opened {
        store: Arc::clone(&kept.store),
        ledger: Arc::clone(&kept.ledger),
        origins: Vec::new(),
    };
    let clock = Arc::new(ManualClock::at(at(0)));
    let started = app::Edge::start(&config, opened, Inherited::default(), clock).await;
    let edge = started.expect("two ports are free");
    let mut operators = Client::to(edge.admin_address()).await;
    let mut callers = Client::to(edge.address().expect("an address")).await;

    for sent in EVERY_SCHEME {
        let path = format!("/hooks/{}", sent.origin);
        for (side, outcome) in [(&mut operators, "applied"), (&mut callers, "replayed")] {
            let answer = side.ask(Method::POST, &path, sent.headers, sent.body).await;
            assert_eq!((answer.status, answer.json()), (200, json!({"outcome": outcome})));
        }
    }

    drop((operators, callers));
    assert!(edge.stop(app::Haste::Now).await, "nothing is under way");
}
