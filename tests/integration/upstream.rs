//! What adapters share: how a platform is asked, and what its answers come to.

use std::error::Error as _;
use std::time::Duration;

use http::{HeaderValue, Uri};
use prompt_edge::model::OriginName;
use prompt_edge::origins::upstream::{Heard, Upstream};
use prompt_edge::origins::{Error, Validator};
use prompt_edge::wire::client::Config;
use serde_json::{Value, json};

use crate::harness::process::PATIENCE;
use crate::harness::vendor::{Fault, Said, Vendor};

/// Nobody but the origin may see it.
const KEY: HeaderValue = HeaderValue::from_static("Bearer hush-key");
const TARGET: &str = "/prompts/greeting?variables=hush-variables";

fn upstream(base_url: &str, config: &Config) -> Upstream {
    let base_url: Uri = base_url.parse().expect("a URL");
    let name = OriginName::new("platform");
    Upstream::new(name, &base_url, config).expect("the settings can be used")
}

fn patient() -> Config {
    Config { first_byte_timeout: PATIENCE, total_timeout: PATIENCE, ..Config::default() }
}

async fn ask(vendor: &Vendor) -> Result<Heard, Error> {
    upstream(&vendor.url(), &patient()).get(TARGET, &KEY, None).await
}

#[tokio::test]
async fn a_question_goes_below_the_base_with_its_key_and_what_is_known() {
    let vendor = Vendor::start(|_| Said::json(json!({}))).await;
    let platform = upstream(&format!("{}/api/v1/", vendor.url()), &patient());
    let known = Validator("\"1\"".into());

    platform.get(TARGET, &KEY, Some(&known)).await.unwrap();

    let [asked] = &vendor.asked()[..] else { panic!("one question: {:?}", vendor.asked()) };
    assert_eq!(asked.target, format!("/api/v1{TARGET}"));
    assert_eq!(asked.headers["authorization"], KEY);
    assert_eq!(asked.headers["accept"], "application/json");
    assert_eq!(asked.headers["if-none-match"], "\"1\"");
}

#[tokio::test]
async fn an_answer_is_heard_with_its_validator_and_what_it_allows() {
    let vendor = Vendor::start(|_| {
        Said::json(json!({ "data": 1.50 }))
            .with("etag", "W/\"2\"")
            .with("cache-control", "private, max-age=30")
    })
    .await;

    let heard = ask(&vendor).await.unwrap();

    assert_eq!((heard.status, &heard.body), (200, &json!({ "data": 1.50 })));
    assert_eq!(heard.validator, Some(Validator("W/\"2\"".into())));
    assert_eq!(heard.allowance.fresh, Some(Duration::from_secs(30)));
    assert_eq!(heard.allowance.stale, None);
}

#[tokio::test]
async fn nothing_changed_only_if_something_was_known() {
    let vendor = Vendor::start(|_| Said::status(304)).await;
    let platform = upstream(&vendor.url(), &patient());

    let known = platform.get(TARGET, &KEY, Some(&Validator("\"1\"".into()))).await.unwrap();
    let unknown = platform.get(TARGET, &KEY, None).await;

    assert_eq!((known.status, known.body), (304, Value::Null));
    assert!(matches!(unknown, Err(Error::Malformed { .. })), "{unknown:?}");
}

#[tokio::test]
async fn what_is_absent_or_refused_is_for_the_adapter_to_read() {
    let said = |status, body: &'static str| async move {
        let vendor = Vendor::start(move |_| Said { body: body.into(), ..Said::status(status) });
        ask(&vendor.await).await.unwrap()
    };

    for status in [400, 404] {
        assert_eq!(said(status, "{\"error\":1}").await.body, json!({ "error": 1 }));
        assert_eq!(said(status, "<p>no</p>").await.body, Value::Null);
    }
}

#[tokio::test]
async fn every_other_status_is_an_error() {
    let vendor = Vendor::start(|_| Said::json(json!({}))).await;

    for (status, expected) in [
        (204, "malformed"),
        (401, "rejected"),
        (403, "rejected"),
        (410, "malformed"),
        (429, "limited"),
        (500, "failed"),
        (503, "failed"),
    ] {
        vendor.fail_with(Fault::Status(status));
        let error = ask(&vendor).await.expect_err("it fails");
        assert_eq!(error.as_str(), expected, "of {status}");
    }
}

#[tokio::test]
async fn a_retry_after_is_passed_on() {
    let vendor = Vendor::start(|_| Said::json(json!({}))).await;

    for status in [429, 503] {
        vendor.fail_with(Fault::Busy(status, "7"));
        let error = ask(&vendor).await.expect_err("it fails");
        let (Error::Failed { retry_after, .. } | Error::Limited { retry_after, .. }) = error else {
            panic!("{status} is another error: {error:?}");
        };
        assert_eq!(retry_after, Some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn every_fault_is_an_error_that_tells_nobody_what_was_asked() {
    let vendor = Vendor::start(|_| Said::json(json!({}))).await;
    let hasty = Duration::from_millis(400);

    for (fault, expected) in [
        (Fault::BlackHole, "timed_out"),
        (Fault::Drip, "timed_out"),
        (Fault::Garbage, "malformed"),
        (Fault::Huge, "malformed"),
        (Fault::Redirect(format!("{}/hush", vendor.url())), "malformed"),
        (Fault::Reset, "unreachable"),
        (Fault::Truncated, "unreachable"),
        (Fault::WrongType, "malformed"),
    ] {
        vendor.fail_with(fault.clone());
        let total_timeout = if expected == "timed_out" { hasty } else { PATIENCE };
        let platform = upstream(&vendor.url(), &Config { total_timeout, ..patient() });

        let error = platform.get(TARGET, &KEY, None).await.expect_err("it fails");

        assert_eq!(error.as_str(), expected, "of {fault:?}");
        assert!(!told(&error).contains("hush"), "{fault:?} tells: {}", told(&error));
    }
}

#[tokio::test]
async fn a_dead_platform_cannot_be_reached() {
    let vendor = Vendor::start(|_| Said::json(json!({}))).await;
    vendor.kill().await;

    let error = ask(&vendor).await.expect_err("it is dead");

    assert_eq!(error.as_str(), "unreachable");
    assert!(!told(&error).contains("hush"), "{}", told(&error));
}

#[tokio::test]
async fn json_that_nests_too_deep_is_refused_unread() {
    let vendor = Vendor::start(|_| Said {
        body: ["[".repeat(81), "]".repeat(81)].concat().into(),
        ..Said::json(json!(null))
    });

    let error = ask(&vendor.await).await.expect_err("it is too deep");

    let source = error.source().expect("it says what is wrong").to_string();
    assert_eq!(source, "it nests more than 80 objects and arrays");
}

#[tokio::test]
async fn a_media_type_built_on_json_is_read() {
    let vendor = Vendor::start(|_| {
        Said { body: "1".into(), ..Said::status(200) }
            .with("content-type", "Application/Problem+JSON; charset=utf-8")
    });

    assert_eq!(ask(&vendor.await).await.unwrap().body, json!(1));
}

#[tokio::test]
async fn what_does_not_fit_into_a_url_is_refused_unasked() {
    let vendor = Vendor::start(|_| Said::json(json!({}))).await;
    let target = format!("/prompts?variables={}", "x".repeat(70_000));

    let refused = upstream(&vendor.url(), &patient()).get(&target, &KEY, None).await;

    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    assert_eq!(vendor.asked_count(), 0);
}

#[test]
fn an_unusable_base_says_what_to_write() {
    for (base_url, expected) in [
        ("/api/v1", "`base_url` is no URL: write https://HOST/PATH"),
        ("ftp://platform.test", "`base_url` has another scheme: write https://"),
        ("https://me@platform.test", "`base_url` holds a user: give the key in `key`"),
        ("https://platform.test/?a=1", "`base_url` holds a query: end it with the path"),
        (
            "http://platform.test",
            "`base_url` is http:// to another machine: write https://, or set `allow_http`",
        ),
    ] {
        let name = OriginName::new("platform");
        let unusable = Upstream::new(name, &Uri::from_static(base_url), &Config::default());
        assert_eq!(unusable.expect_err("it cannot be used").to_string(), expected);
    }
}

/// Everything an error says, in every way it can be asked.
fn told(error: &Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let causes: String = causes.map(ToString::to_string).collect();
    format!("{error} {error:?} {causes}")
}
