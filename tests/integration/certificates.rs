//! Callers that are known by their certificates.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use prompt_edge::access::{Identity, Peer};
use prompt_edge::clock::{Clock, ManualClock};
use prompt_edge::config::Config;
use prompt_edge::model::Timestamp;
use prompt_edge::server::tls;
use prompt_edge::snapshot::image;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::version::{TLS12, TLS13};

use crate::contract::given::at;
use crate::harness::authority::Authority;
use crate::harness::client::Client;
use crate::harness::edge::{Edge, PEER};
use crate::harness::exchange::{Answer, compiled, request, with};
use crate::harness::prompt::{Draft, prompt};
use crate::harness::secured::{Caller, HOST, Secured, config};
use crate::harness::watched::Fault;

fn greeting() -> Draft {
    prompt("greeting").text("Hello")
}

/// A request for the greeting without any key.
fn anonymous() -> Request<Full<Bytes>> {
    Request::get(compiled("greeting")).body(Full::default()).expect("the parts make a request")
}

/// The greeting, as a certificate for this environment opens it.
async fn greeted(edge: &Edge, project: &str, environment: &str) -> Answer {
    edge.ask_as(project, environment, anonymous()).await
}

/// A listener that asks callers for certificates of an authority.
fn asking(authority: &Authority, is_client_optional: bool) -> tls::Config {
    let client_ca = Some(authority.ca());
    tls::Config { client_ca, is_client_optional, ..config([authority.host("edge", &[HOST])]) }
}

async fn secured(edge: &Edge, config: tls::Config) -> Secured {
    Secured::serving(edge.assembly.router.clone(), config, edge.clock.clone()).await
}

#[tokio::test]
async fn a_certificate_opens_the_environment_it_names() {
    let authority = Authority::new();
    let edge = Edge::serving([greeting()]).await;
    edge.draft(prompt("greeting").text("Hello, draft")).await;
    edge.follow().await;

    for version in [&TLS12, &TLS13] {
        let secured = secured(&edge, asking(&authority, false)).await;
        for (uri, said) in [
            ("prompt-edge:acme/live", "Hello"),
            ("prompt-edge:acme/dev", "Hello, draft"),
            ("spiffe://corp.test/prompt-edge/acme/live", "Hello"),
        ] {
            let files = authority.caller("caller", &["https://acme.test", uri]);
            let caller = Caller::showing_in(&[version], files, &authority);
            // The second is a session of before, and the certificate is that of before too.
            for handshake in ["full", "resumed"] {
                let mut client = caller.reach(secured.address).await;
                let answer = client.get(&compiled("greeting"), &[]).await;

                assert_eq!(answer.status, 200, "{uri}, {handshake}: {answer:?}");
                assert!(answer.text().contains(&format!("\"{said}\\n\"")), "{uri}: {answer:?}");
            }
        }
        assert_eq!((secured.handshakes("full"), secured.handshakes("resumed")), (3, 3));
    }
}

#[tokio::test]
async fn a_certificate_that_names_nobody_needs_a_key() {
    let authority = Authority::new();
    let edge = Edge::serving([greeting()]).await;
    let secured = secured(&edge, asking(&authority, false)).await;

    for uris in
        [&[][..], &["https://acme.test"], &["prompt-edge:acme/live", "prompt-edge:acme/dev"]]
    {
        let files = authority.caller("caller", uris);
        let mut client = Caller::showing(files, &authority).reach(secured.address).await;

        assert_eq!(client.get(&compiled("greeting"), &[]).await.status, 401, "{uris:?}");
        assert_eq!(client.get_as(&edge.live, &compiled("greeting")).await.status, 200, "{uris:?}");
    }
}

#[tokio::test]
async fn a_certificate_may_be_asked_for_or_required() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let edge = Edge::serving([greeting()]).await;
    let uris = ["prompt-edge:acme/live"];
    // Another authority vouches for them, and the client trusts the right one.
    let foreign = || Caller::showing(stranger.caller("caller", &uris), &authority);
    let usages = |usage| {
        let files = authority.files("usage", &[], |params| {
            params.extended_key_usages.push(usage);
        });
        Caller::showing(files, &authority)
    };
    let ended = authority.files("ended", &[], |params| {
        params.not_after = rcgen::date_time_ymd(2026, 2, 27);
    });

    let required = secured(&edge, asking(&authority, false)).await;
    Caller::of(&authority).is_turned_away(required.address).await;
    foreign().is_turned_away(required.address).await;
    usages(ExtendedKeyUsagePurpose::ServerAuth).is_turned_away(required.address).await;
    Caller::showing(ended, &authority).is_turned_away(required.address).await;
    usages(ExtendedKeyUsagePurpose::ClientAuth).reach(required.address).await;
    required.stopped().await;
    assert_eq!((required.handshakes("untrusted"), required.handshakes("full")), (4, 1));

    let optional = secured(&edge, asking(&authority, true)).await;
    foreign().is_turned_away(optional.address).await;
    let mut without = Caller::of(&authority).reach(optional.address).await;
    assert_eq!(without.get(&compiled("greeting"), &[]).await.status, 401);
    assert_eq!(without.get_as(&edge.live, &compiled("greeting")).await.status, 200);
    let with = Caller::showing(authority.caller("caller", &uris), &authority);
    let mut with = with.reach(optional.address).await;
    assert_eq!(with.get(&compiled("greeting"), &[]).await.status, 200);
}

#[tokio::test]
async fn nobody_resumes_past_a_change_of_the_authority() {
    let (authority, next) = (Authority::new(), Authority::new());
    let edge = Edge::serving([greeting()]).await;

    for version in [&TLS12, &TLS13] {
        let ca = authority.path("callers.pem");
        std::fs::copy(authority.ca(), &ca).expect("a file can be copied");
        let settings = tls::Config { client_ca: Some(ca.clone()), ..asking(&authority, false) };
        let secured = secured(&edge, settings).await;
        let files = authority.caller("caller", &["prompt-edge:acme/live"]);
        let caller = Caller::showing_in(&[version], files, &authority);
        let mut old = caller.reach(secured.address).await;
        assert_eq!(old.get(&compiled("greeting"), &[]).await.status, 200);
        // Another certificate of the server's own ends no session.
        authority.host("edge", &[HOST]);
        assert!(secured.tls.reload().expect("nothing is wrong"));
        let mut resumed = caller.reach(secured.address).await;
        assert_eq!(resumed.get(&compiled("greeting"), &[]).await.status, 200);
        assert_eq!(secured.handshakes("resumed"), 1);

        std::fs::copy(next.ca(), &ca).expect("a file can be copied");
        assert!(secured.tls.reload().expect("nothing is wrong"));

        caller.is_turned_away(secured.address).await;
        assert_eq!(old.get(&compiled("greeting"), &[]).await.status, 200, "it goes on");
        drop((old, resumed));
        secured.stopped().await;
        assert_eq!((secured.handshakes("resumed"), secured.handshakes("untrusted")), (1, 1));
    }
}

#[tokio::test]
async fn a_resumed_session_ends_with_its_certificate() {
    let authority = Authority::new();
    let edge = Edge::serving([greeting()]).await;
    let end = edge.clock.now().plus(std::time::Duration::from_secs(60));

    for version in [&TLS12, &TLS13] {
        edge.clock.set(at(0));
        let secured = secured(&edge, asking(&authority, true)).await;
        let files = authority.files("caller", &[], |params| {
            let since_epoch = end.since(Timestamp::default());
            params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch;
        });
        let caller = Caller::showing_in(&[version], files, &authority);
        let ask = async |mut client: Client| client.get("/api/v1/prompts", &[]).await.status;
        for _ in 0..2 {
            assert_eq!(ask(caller.reach(secured.address).await).await, 401);
        }

        edge.clock.set(end.plus(std::time::Duration::from_secs(1)));

        // In TLS 1.2 the server ends the handshake, so that a caller may think that all is well.
        if let Ok(stream) = caller.shake(secured.address, HOST).await {
            Client::over(stream, secured.address).await.closed().await;
        }
        secured.stopped().await;
        let count = |outcome| secured.handshakes(outcome);
        assert_eq!([count("full"), count("resumed"), count("untrusted")], [1, 1, 1]);
    }
}

#[tokio::test]
async fn what_opens_one_listener_opens_no_other() {
    let (authority, other) = (Authority::new(), Authority::new());
    let edge = Edge::serving([greeting()]).await;
    let one = secured(&edge, asking(&authority, false)).await;
    let settings = tls::Config { client_ca: Some(other.ca()), ..asking(&authority, false) };
    let another = secured(&edge, settings).await;

    for version in [&TLS12, &TLS13] {
        let files = authority.caller("caller", &["prompt-edge:acme/live"]);
        let caller = Caller::showing_in(&[version], files, &authority);
        let mut client = caller.reach(one.address).await;
        assert_eq!(client.get(&compiled("greeting"), &[]).await.status, 200);

        // It has the tickets of the first, and the host is the same.
        caller.is_turned_away(another.address).await;
    }
    another.stopped().await;
    assert_eq!((another.handshakes("untrusted"), another.handshakes("resumed")), (2, 0));
}

#[tokio::test]
async fn a_key_beside_a_certificate_is_judged_alone() {
    let edge = Edge::serving([greeting()]).await;
    let key = edge.project_on("enterprise", "zeta", prompt("greeting").text("Hello, zeta")).await;
    edge.follow().await;

    let own = edge.ask_as("acme", "live", request("GET", &compiled("greeting"), &key)).await;

    let text = String::from_utf8_lossy(&own.expect_status(200).body);
    assert!(text.contains("Hello, zeta"), "{text}");
    for (name, value) in [
        ("authorization", "Bearer wrong"),
        ("authorization", "Basic wrong"),
        ("authorization", ""),
        ("x-api-key", "wrong"),
        ("x-api-key", "two words"),
    ] {
        let refused = edge.ask_as("acme", "live", with(anonymous(), name, value)).await;

        refused.expect_refusal(401, "UNAUTHORIZED");
    }
    let unknown = edge.ask_as("nobody", "live", request("GET", &compiled("greeting"), &key)).await;
    unknown.expect_status(200);
}

#[tokio::test]
async fn no_header_names_anybody() {
    let edge = Edge::serving([greeting()]).await;

    for name in ["x-client-cert", "x-ssl-client-s-dn", "x-forwarded-client-cert", "client-cert"] {
        let value = "URI=prompt-edge:acme/live;prompt-edge:acme/live";
        let answer = edge.ask(with(anonymous(), name, value)).await;

        answer.expect_refusal(401, "UNAUTHORIZED");
    }
    assert_eq!(edge.store.asked().grants, 0);
}

#[tokio::test]
async fn a_certificate_delivers_and_hands_no_versions_out() {
    let edge = Edge::serving([greeting()]).await;
    let versions = Request::get("/edge/v1/prompts/greeting").body(Full::default());

    let answer = edge.ask_as("acme", "live", versions.expect("a request")).await;

    assert_eq!(answer.status, 403, "{answer:?}");
    greeted(&edge, "acme", "live").await.expect_status(200);
}

#[tokio::test]
async fn whom_nobody_knows_is_refused_and_remembered_like_a_key() {
    let edge = Edge::serving([greeting()]).await;
    let unknown_key = edge.get(compiled("greeting"), "unknown").await;
    let asked = edge.store.asked().grants;

    for _ in 0..3 {
        let mut refused = greeted(&edge, "zeta", "live").await;
        refused.expect_refusal(401, "UNAUTHORIZED");
        refused.headers.remove("x-request-id");
        let mut headers = unknown_key.headers.clone();
        headers.remove("x-request-id");
        assert_eq!((refused.headers, &refused.body), (headers, &unknown_key.body));
    }
    assert_eq!(edge.store.asked().grants, asked + 1, "it is known to be unknown");
    greeted(&edge, "acme", "staging").await.expect_refusal(401, "UNAUTHORIZED");

    let zeta = edge.another_project("zeta").await;
    edge.import(&zeta, greeting(), Some("live")).await;
    edge.follow().await;

    greeted(&edge, "zeta", "live").await.expect_status(200);
}

#[tokio::test]
async fn whoever_shows_certificates_for_nobody_is_slowed_down() {
    let edge = Edge::serving([greeting()]).await;

    for number in 0..20 {
        greeted(&edge, &format!("nobody-{number}"), "live").await.expect_status(401);
    }

    greeted(&edge, "nobody-20", "live").await.expect_status(429);
    greeted(&edge, "acme", "live").await.expect_status(429);
    edge.clock.advance(std::time::Duration::from_secs(1));
    greeted(&edge, "acme", "live").await.expect_status(200);
    greeted(&edge, "nobody-20", "live").await.expect_status(401);
    greeted(&edge, "acme", "live").await.expect_status(200);
}

#[tokio::test]
async fn a_crowd_with_one_certificate_asks_the_store_once() {
    let edge = Edge::serving([greeting()]).await;
    edge.store.hold();
    let router = edge.assembly.router.clone();
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let router = router.clone();
        crowd.spawn(async move {
            let identity = Some(Arc::new(Identity::new("acme", "live")));
            let peer = Peer { identity, ..PEER.clone() };
            Answer::of(router.handle(anonymous(), &peer).await.expect("it never fails")).await
        });
    }
    edge.store.has_answered(1).await;
    edge.store.release();

    for answer in crowd.join_all().await {
        answer.expect_status(200);
    }
    assert_eq!(edge.store.asked().grants, 1);
    greeted(&edge, "acme", "live").await.expect_status(200);
    assert_eq!(edge.store.asked().grants, 1, "it is remembered");
}

#[tokio::test]
async fn a_change_of_the_project_reaches_its_certificates() {
    let edge = Edge::serving([greeting()]).await;
    let identity = Identity::new("acme", "live");
    let recalled = || {
        let known = edge.assembly.gate.keyring().recall(&identity.digest(), edge.clock.now());
        known.map(|known| known.map(|caller| caller.plan().name.as_str().to_owned()))
    };
    assert_eq!(recalled(), None, "the store was not asked yet");
    greeted(&edge, "acme", "live").await.expect_status(200);
    assert_eq!(recalled(), Some(Ok("enterprise".to_owned())));

    edge.set_plan("acme", "free").await;
    edge.follow().await;

    assert_eq!(recalled(), None, "what is known is out of date");
    greeted(&edge, "acme", "live").await.expect_status(200);
    assert_eq!(recalled(), Some(Ok("free".to_owned())));

    edge.rename("acme", "acme & sons");
    edge.follow().await;

    greeted(&edge, "acme", "live").await.expect_refusal(401, "UNAUTHORIZED");
    greeted(&edge, "acme & sons", "live").await.expect_status(200);
}

/// The store was asked before the project was renamed, and answers after.
#[tokio::test]
async fn a_change_outruns_a_fetch_that_began_before_it() {
    let edge = Edge::serving([greeting()]).await;
    edge.store.hold();
    let begun = greeted(&edge, "acme", "live");
    let meanwhile = async {
        edge.store.has_answered(1).await;
        edge.rename("acme", "other");
        edge.follow().await;
        edge.store.release();
    };
    tokio::join!(begun, meanwhile);

    greeted(&edge, "acme", "live").await.expect_refusal(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn a_certificate_spends_from_the_projects_plan() {
    let edge = Edge::serving([greeting()]).await;
    edge.project_on("free", "zeta", greeting()).await;
    edge.follow().await;

    for _ in 0..20 {
        greeted(&edge, "zeta", "live").await.expect_status(200);
    }

    greeted(&edge, "zeta", "live").await.expect_status(429);
    let admitted = r#"prompt_edge_limit_decisions_total{plan="free",decision="admitted"}"#;
    assert_eq!(edge.metric(admitted).await, 20);
    greeted(&edge, "acme", "live").await.expect_status(200);
}

#[tokio::test]
async fn the_use_of_a_certificate_is_no_use_of_a_key() {
    let edge = Edge::serving([greeting()]).await;
    greeted(&edge, "acme", "live").await.expect_status(200);

    assert_eq!(edge.assembly.gate.keyring().take_used(), []);
}

#[tokio::test]
async fn nobody_is_refused_because_the_store_is_away() {
    let edge = Edge::serving([greeting()]).await;

    edge.store.fail_with(Fault::Unreachable);

    let answer = greeted(&edge, "acme", "live").await;
    answer.expect_refusal(503, "ORIGIN_UNREACHABLE");
    edge.store.recover();
    greeted(&edge, "acme", "live").await.expect_status(200);
}

#[tokio::test]
async fn a_restart_without_the_store_knows_the_certificates_of_before() {
    let edge = Edge::serving([greeting()]).await;
    greeted(&edge, "acme", "live").await.expect_status(200);
    let taken = image::decode(&image::encode(&edge.assembly.image())).expect("it is an image");
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(edge.clock.now()));
    let opened = edge.reopened(Vec::new());
    let again = prompt_edge::app::Assembly::new(&Config::default(), opened, clock);
    again.restore(taken).await;

    edge.store.fail_with(Fault::Unreachable);

    for (environment, status) in [("live", 200), ("dev", 503)] {
        let identity = Some(Arc::new(Identity::new("acme", environment)));
        let peer = Peer { identity, ..PEER.clone() };
        let reply = again.router.handle(anonymous(), &peer).await.expect("it never fails");
        Answer::of(reply).await.expect_status(status);
    }
}
