//! Asking other servers, over real sockets.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, Uri};
use prompt_edge::wire::client::{Client, Config, Error, Received, Unusable};
use serde_json::json;

use crate::harness::authority::Authority;
use crate::harness::process::PATIENCE;
use crate::harness::proxy::Proxy;
use crate::harness::vendor::{Fault, Said, Vendor};

/// Deadlines that a slow machine does not miss.
fn patient() -> Config {
    Config {
        connect_timeout: PATIENCE,
        first_byte_timeout: PATIENCE,
        total_timeout: PATIENCE,
        ..Config::default()
    }
}

async fn ask(config: &Config, url: &str) -> Result<Received, Error> {
    let client = Client::new(config).expect("the settings can be used");
    get(&client, url).await
}

async fn get(client: &Client, url: &str) -> Result<Received, Error> {
    let uri: Uri = url.parse().expect("a URL");
    client.get(uri, HeaderMap::new()).await
}

async fn greeter() -> Vendor {
    Vendor::start(|_| Said::json(json!("hello")).with("etag", "\"1\"")).await
}

#[tokio::test]
async fn a_question_says_who_asks_and_its_answer_comes_whole() {
    let vendor = greeter().await;

    let received = ask(&patient(), &format!("{}/prompts?page=2", vendor.url())).await.unwrap();

    let [asked] = &vendor.asked()[..] else { panic!("one question: {:?}", vendor.asked()) };
    let agent = format!("prompt-edge/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(asked.target, "/prompts?page=2");
    assert_eq!(asked.headers["user-agent"], agent.as_str());
    assert_eq!(asked.headers["host"], vendor.address().to_string().as_str());
    assert!(!asked.headers.contains_key("accept-encoding"));
    assert_eq!((received.status.as_u16(), &*received.body), (200, &b"\"hello\""[..]));
    assert_eq!(received.headers["etag"], "\"1\"");
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let vendor = greeter().await;
    let client = Client::new(&patient()).unwrap();

    for _ in 0..20 {
        get(&client, &vendor.url()).await.unwrap();
    }

    // One is usual; another is made if the first is not yet back when the next question comes.
    assert!(vendor.connection_count() <= 10, "{} connections", vendor.connection_count());
}

#[tokio::test]
async fn a_black_hole_and_a_drip_are_given_up() {
    let vendor = greeter().await;
    let (first, total) = (Duration::from_millis(300), Duration::from_millis(400));
    let config = Config { first_byte_timeout: first, total_timeout: total, ..patient() };

    vendor.fail_with(Fault::BlackHole);
    let hole = ask(&config, &vendor.url()).await;
    vendor.fail_with(Fault::Drip);
    let drip = ask(&Config { first_byte_timeout: PATIENCE, ..config }, &vendor.url()).await;

    assert!(matches!(hole, Err(Error::TimedOut { waited }) if waited == first), "{hole:?}");
    assert!(matches!(drip, Err(Error::TimedOut { waited }) if waited == total), "{drip:?}");
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit() {
    let vendor = greeter().await;
    vendor.fail_with(Fault::Huge);

    let huge = ask(&patient(), &vendor.url()).await;

    let limit = 8 << 20;
    assert!(matches!(huge, Err(Error::TooLarge { limit_bytes }) if limit_bytes == limit));
}

#[tokio::test]
async fn a_body_of_just_the_limit_is_read_and_a_longer_one_is_not() {
    let vendor = greeter().await;
    let limited = |max_body_bytes| Config { max_body_bytes, ..patient() };

    let fits = ask(&limited(7), &vendor.url()).await;
    let does_not = ask(&limited(6), &vendor.url()).await;

    assert_eq!(fits.unwrap().body.len(), 7);
    assert!(matches!(does_not, Err(Error::TooLarge { limit_bytes: 6 })), "{does_not:?}");
}

#[tokio::test]
async fn what_breaks_off_is_no_answer() {
    let vendor = greeter().await;

    for fault in [Fault::Reset, Fault::Truncated] {
        vendor.fail_with(fault.clone());
        let asked = ask(&patient(), &vendor.url()).await;
        assert!(matches!(asked, Err(Error::BrokenOff { .. })), "{fault:?} gave {asked:?}");
    }
}

#[tokio::test]
async fn a_failure_of_the_server_is_an_answer() {
    let vendor = greeter().await;
    vendor.fail_with(Fault::Busy(503, "7"));

    let received = ask(&patient(), &vendor.url()).await.unwrap();

    assert_eq!(received.status.as_u16(), 503);
    assert_eq!(received.headers["retry-after"], "7");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (vendor, elsewhere) = (greeter().await, greeter().await);
    vendor.fail_with(Fault::Redirect(elsewhere.url()));

    let redirected = ask(&patient(), &vendor.url()).await;

    assert!(matches!(redirected, Err(Error::Redirected { status: 302 })), "{redirected:?}");
    assert_eq!(elsewhere.asked_count(), 0);
}

#[tokio::test]
async fn a_content_coding_nobody_asked_for_is_refused() {
    let coded = |coding: &'static str| {
        Vendor::start(move |_| Said::json(json!({})).with("content-encoding", coding))
    };

    let gzip = ask(&patient(), &coded("gzip").await.url()).await;
    let identity = ask(&patient(), &coded("Identity").await.url()).await;

    assert!(matches!(gzip, Err(Error::Encoded)), "{gzip:?}");
    assert_eq!(identity.unwrap().status.as_u16(), 200);
}

#[tokio::test]
async fn a_dead_server_cannot_be_reached_until_it_is_back() {
    let vendor = greeter().await;
    let client = Client::new(&patient()).unwrap();
    vendor.kill().await;

    let dead = get(&client, &vendor.url()).await;
    vendor.revive().await;
    let back = get(&client, &vendor.url()).await;

    assert!(matches!(dead, Err(Error::Unreachable { .. })), "{dead:?}");
    assert_eq!(back.unwrap().status.as_u16(), 200);
}

#[tokio::test]
async fn plain_http_is_for_this_machine_alone() {
    let elsewhere = ask(&patient(), "http://origin.test/").await;

    assert!(matches!(elsewhere, Err(Error::Insecure)), "{elsewhere:?}");
}

#[tokio::test]
async fn a_server_is_trusted_if_a_configured_authority_vouches_for_its_name() {
    let (ours, other) = (Authority::new(), Authority::new());
    let hello = |_: &_| Said::json(json!("hello"));
    let vendor = Vendor::start_secured(ours.server("127.0.0.1"), hello).await;
    let namesake = Vendor::start_secured(ours.server("origin.test"), hello).await;
    let by = |ca: PathBuf| Config { ca: Some(ca), ..patient() };

    let trusted = ask(&by(ours.ca()), &vendor.url()).await;
    let public = ask(&patient(), &vendor.url()).await;
    let unknown = ask(&by(other.ca()), &vendor.url()).await;
    let misnamed = ask(&by(ours.ca()), &namesake.url()).await;

    assert_eq!(trusted.unwrap().status.as_u16(), 200);
    for refused in [public, unknown, misnamed] {
        assert!(matches!(refused, Err(Error::Unreachable { .. })), "{refused:?}");
    }
    assert_eq!((vendor.asked_count(), namesake.asked_count()), (1, 0));
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_server_that_asks_for_one() {
    let authority = Authority::new();
    let strict = authority.strict_server("127.0.0.1");
    let vendor = Vendor::start_secured(strict, |_| Said::json(json!("hello"))).await;
    let without = Config { ca: Some(authority.ca()), ..patient() };
    let with = Config { client_certificate: Some(authority.client()), ..without.clone() };

    let known = ask(&with, &vendor.url()).await;
    let stranger = ask(&without, &vendor.url()).await;

    assert_eq!(known.unwrap().status.as_u16(), 200);
    assert!(stranger.is_err(), "{stranger:?}");
    assert_eq!(vendor.asked_count(), 1);
}

#[tokio::test]
async fn a_proxy_opens_a_tunnel_that_it_cannot_look_into() {
    let authority = Authority::new();
    let tls = authority.server("origin.test");
    let vendor = Vendor::start_secured(tls, |_| Said::json(json!("hello"))).await;
    let proxy = Proxy::to(vendor.address());
    let proxied = proxy.url().parse().ok();
    let config = Config { ca: Some(authority.ca()), proxy: proxied, ..patient() };

    let received = ask(&config, "https://origin.test/prompts").await.unwrap();

    assert_eq!(received.status.as_u16(), 200);
    assert_eq!(proxy.asked(), ["CONNECT origin.test:443 HTTP/1.1"]);
    assert_eq!(vendor.asked()[0].target, "/prompts");
}

#[tokio::test]
async fn a_proxy_forwards_plain_http_except_on_this_machine() {
    let vendor = greeter().await;
    let proxy = Proxy::to(vendor.address());
    let proxied = proxy.url().parse().ok();
    let config = Config { allow_http: true, proxy: proxied, ..patient() };

    let forwarded = ask(&config, "http://origin.test/prompts").await.unwrap();
    let direct = ask(&config, &vendor.url()).await.unwrap();

    assert_eq!((forwarded.status.as_u16(), direct.status.as_u16()), (200, 200));
    assert_eq!(proxy.asked(), ["GET http://origin.test/prompts HTTP/1.1"]);
}

#[tokio::test]
async fn a_proxy_that_says_nothing_is_given_up_as_a_connection_is() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = silent.local_addr().expect("the listener has an address");
    let proxy = format!("http://{address}").parse().ok();
    let connect = Duration::from_millis(300);
    let config = Config { connect_timeout: connect, proxy, ..patient() };

    let asked = ask(&config, "https://origin.test/").await;

    assert!(matches!(asked, Err(Error::TimedOut { waited }) if waited == connect), "{asked:?}");
}

#[test]
fn an_unusable_setting_is_named_with_its_file() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.client();
    let ca = |ca: &str| Config { ca: Some(ca.into()), ..Config::default() };
    let proxy = |proxy: &str| Config { proxy: proxy.parse().ok(), ..Config::default() };
    let shows = |certificate: &PathBuf, key: &PathBuf| Config {
        client_certificate: Some((certificate.clone(), key.clone())),
        ..Config::default()
    };

    for (config, expected) in [
        (ca("/no/such/ca.pem"), "`ca`: /no/such/ca.pem cannot be read".to_owned()),
        (ca(file!()), format!("`ca`: {} holds no certificate in PEM", file!())),
        (
            shows(&certificate, &certificate),
            format!("`client_key`: {} holds no private key in PEM", certificate.display()),
        ),
        (
            shows(&other.client().0, &key),
            format!(
                "`client_certificate`: {} and {} cannot be used together",
                other.client().0.display(),
                key.display()
            ),
        ),
        (
            proxy("https://proxy.test"),
            "`proxy` is no http:// URL: write http://HOST:PORT".to_owned(),
        ),
        (
            proxy("http://me:hush@proxy.test"),
            "`proxy` holds a user: give the proxy's URL without one".to_owned(),
        ),
    ] {
        let unusable: Unusable = Client::new(&config).expect_err("it cannot be used");
        assert_eq!(unusable.to_string(), expected);
    }
}
