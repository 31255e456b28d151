//! Who may pass, and from when on not any more.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use prompt_edge::clock::Clock;
use prompt_edge::model::KeyId;
use prompt_edge::origins::Store;

use crate::harness::edge::Edge;
use crate::harness::exchange::{compiled, request, with};
use crate::harness::prompt::{Draft, prompt};
use crate::harness::watched::Fault;

fn greeting() -> Draft {
    prompt("greeting").text("Hello")
}

/// A request for the greeting without any key yet.
fn anonymous() -> Request<Full<Bytes>> {
    Request::get(compiled("greeting")).body(Full::default()).expect("the parts make a request")
}

async fn last_used(edge: &Edge, id: KeyId) -> Option<prompt_edge::model::Timestamp> {
    let keys = edge.store.keys().await.expect("the store answers");
    keys.into_iter().find(|grant| grant.key.id == id).expect("the key is known").key.last_used_at
}

#[tokio::test]
async fn unknown_expired_and_revoked_keys_are_refused_alike() {
    let edge = Edge::serving([greeting()]).await;
    let (revoked, id) = edge.key("acme", "live").await;
    edge.revoke(id).await;
    edge.record_key("expired", |new| new.expires_at = Some(new.at)).await;
    edge.follow().await;

    let unknown = edge.get(compiled("greeting"), "unknown").await;

    unknown.expect_refusal(401, "UNAUTHORIZED");
    for key in ["expired", &revoked] {
        for _ in ["from the store", "from memory"] {
            let mut answer = edge.get(compiled("greeting"), key).await;
            answer.expect_status(401);
            assert_eq!(answer.body, unknown.body);
            let mut headers = unknown.headers.clone();
            headers.remove("x-request-id");
            answer.headers.remove("x-request-id");
            assert_eq!(answer.headers, headers);
        }
    }
}

#[tokio::test]
async fn a_bad_key_is_refused_before_anything_else_is_looked_at() {
    let edge = Edge::serving([greeting()]).await;

    for target in ["/api/v1/prompts/nowhere", "/api/v1/prompts/greeting?variables=oops"] {
        edge.get(target, "unknown").await.expect_refusal(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_as_soon_as_it_is_known() {
    let edge = Edge::serving([greeting()]).await;
    let (key, id) = edge.key("acme", "live").await;
    edge.follow().await;
    edge.get(compiled("greeting"), &key).await.expect_status(200);

    edge.revoke(id).await;
    edge.follow().await;

    edge.get(compiled("greeting"), &key).await.expect_refusal(401, "UNAUTHORIZED");
    edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
}

#[tokio::test]
async fn a_key_expires_at_its_second() {
    let edge = Edge::serving([greeting()]).await;
    let lifetime = Duration::from_secs(60);
    edge.record_key("short", |new| new.expires_at = Some(new.at.plus(lifetime))).await;
    edge.follow().await;
    edge.get(compiled("greeting"), "short").await.expect_status(200);

    edge.clock.advance(Duration::from_millis(59_999));
    edge.get(compiled("greeting"), "short").await.expect_status(200);
    edge.clock.advance(Duration::from_millis(1));

    edge.get(compiled("greeting"), "short").await.expect_refusal(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn an_unknown_key_is_remembered_as_long_as_it_is_meant_to_be() {
    let edge = Edge::serving([greeting()]).await;
    for _ in 0..3 {
        edge.get(compiled("greeting"), "unknown").await.expect_status(401);
    }
    assert_eq!(edge.store.asked().grants, 1, "it is known to be unknown");

    edge.clock.advance(Duration::from_secs(5));
    edge.get(compiled("greeting"), "unknown").await.expect_status(401);

    assert_eq!(edge.store.asked().grants, 2, "after `unknown_for` the store is asked again");
}

#[tokio::test]
async fn a_key_opens_as_soon_as_it_is_made_known() {
    let edge = Edge::serving([greeting()]).await;
    edge.get(compiled("greeting"), "early").await.expect_status(401);

    edge.record_key("early", |_| {}).await;
    edge.follow().await;

    edge.get(compiled("greeting"), "early").await.expect_status(200);
}

/// The store was asked before the key was made, and answers after.
#[tokio::test]
async fn whoever_comes_after_a_key_was_made_does_not_join_a_fetch_from_before_it() {
    let edge = Edge::serving([greeting()]).await;
    edge.store.hold();
    let early = edge.begin(request("GET", &compiled("greeting"), "early"));
    edge.store.has_answered(1).await;
    edge.record_key("early", |_| {}).await;
    edge.follow().await;

    let late = edge.begin(request("GET", &compiled("greeting"), "early"));
    edge.store.release();

    early.answer().await.expect_status(401);
    late.answer().await.expect_status(200);
    edge.get(compiled("greeting"), "early").await.expect_status(200);
}

/// The store was asked before the key was revoked, and answers after.
#[tokio::test]
async fn a_revocation_outruns_a_fetch_that_began_before_it() {
    let edge = Edge::serving([greeting()]).await;
    let (key, id) = edge.key("acme", "live").await;
    edge.follow().await;
    edge.store.hold();
    let early = edge.begin(request("GET", &compiled("greeting"), &key));
    edge.store.has_answered(1).await;
    edge.revoke(id).await;
    edge.follow().await;

    let late = edge.begin(request("GET", &compiled("greeting"), &key));
    edge.store.release();

    late.answer().await.expect_status(401);
    early.answer().await;
    edge.get(compiled("greeting"), &key).await.expect_status(401);
}

#[tokio::test]
async fn a_crowd_with_one_cold_key_asks_the_store_for_it_once() {
    let edge = Edge::serving([greeting()]).await;
    edge.store.hold();
    let ask = |_| edge.begin(request("GET", &compiled("greeting"), &edge.live));
    let crowd: Vec<_> = (0..20).map(ask).collect();

    edge.store.release();

    for begun in crowd {
        begun.answer().await.expect_status(200);
    }
    assert_eq!(edge.store.asked().grants, 1);
}

#[tokio::test]
async fn a_cold_key_is_never_refused_because_the_store_is_away() {
    for (fault, status, code) in [
        (Fault::Unreachable, 503, "ORIGIN_UNREACHABLE"),
        (Fault::Busy, 503, "OVERLOADED"),
        (Fault::TimedOut, 504, "ORIGIN_TIMED_OUT"),
    ] {
        let edge = Edge::serving([greeting()]).await;

        edge.store.fail_with(fault);

        let answer = edge.get(compiled("greeting"), &edge.live).await;
        answer.expect_refusal(status, code).expect_header("retry-after", "1");
        edge.store.recover();
        edge.get(compiled("greeting"), &edge.live).await.expect_status(200);
    }
}

#[tokio::test]
async fn a_key_may_come_in_its_own_header() {
    let edge = Edge::serving([greeting()]).await;

    let answer = edge.ask(with(anonymous(), "x-api-key", &edge.live)).await;

    answer.expect_status(200);
}

#[tokio::test]
async fn a_key_that_may_not_deliver_is_forbidden_to() {
    let edge = Edge::serving([greeting()]).await;
    edge.record_key("powerless", |new| new.scopes.clear()).await;
    edge.follow().await;

    for _ in ["from the store", "from memory"] {
        let answer = edge.get(compiled("greeting"), "powerless").await;
        answer.expect_refusal(403, "FORBIDDEN");
    }
}

#[tokio::test]
async fn head_needs_a_key_as_get_does() {
    let edge = Edge::serving([greeting()]).await;

    let refused = edge.ask(request("HEAD", &compiled("greeting"), "unknown")).await;

    refused.expect_status(401);
}

#[tokio::test]
async fn a_key_given_twice_is_refused() {
    let edge = Edge::serving([greeting()]).await;
    let twice = with(
        request("GET", &compiled("greeting"), &edge.live),
        "authorization",
        &format!("Bearer {}", edge.live),
    );

    edge.ask(twice).await.expect_refusal(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_malformed_credential_is_refused() {
    let edge = Edge::serving([greeting()]).await;
    let basic = format!("Basic {}", edge.live);

    for credential in ["", "Bearer", "Bearer ", "Bearer two words", &edge.live, &basic] {
        let answer = edge.ask(with(anonymous(), "authorization", credential)).await;

        answer.expect_refusal(401, "UNAUTHORIZED");
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "of {credential:?}");
    }
    assert_eq!(edge.store.asked().grants, 0, "none of them could be a key");
}

#[tokio::test]
async fn the_moment_of_last_use_can_be_written_down() {
    let edge = Edge::serving([greeting()]).await;
    let (key, id) = edge.key("acme", "live").await;
    edge.follow().await;
    edge.clock.advance(Duration::from_secs(90));
    edge.get(compiled("greeting"), &key).await.expect_status(200);

    let used = edge.assembly.gate.keyring().take_used();
    edge.store.touch_keys(used).await.expect("the store takes them");

    assert_eq!(last_used(&edge, id).await, Some(edge.clock.now()));
    assert_eq!(edge.assembly.gate.keyring().take_used(), [], "what was taken is not taken again");
}

#[tokio::test]
async fn a_refused_request_is_no_use_of_a_key() {
    let edge = Edge::serving([greeting()]).await;
    edge.record_key("powerless", |new| new.scopes.clear()).await;
    edge.record_key("expired", |new| new.expires_at = Some(new.at)).await;
    edge.follow().await;
    for key in ["powerless", "expired"] {
        edge.get(compiled("greeting"), key).await;
    }

    assert_eq!(edge.assembly.gate.keyring().take_used(), []);
}
