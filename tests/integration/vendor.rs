//! The vendor that other tests stand on does what they take for granted.

use serde_json::json;

use crate::harness::client::Client;
use crate::harness::vendor::{Fault, Said, Vendor};

/// A vendor that tells what it was asked.
async fn echo() -> Vendor {
    Vendor::start(|asked| Said::json(json!({ "target": asked.uri.to_string() }))).await
}

#[tokio::test]
async fn what_is_asked_is_answered_and_logged() {
    let vendor = echo().await;
    let mut client = Client::to(vendor.address()).await;

    let answer = client.get("/prompts?page=2", &[("accept", "text/plain")]).await;

    let [asked] = &vendor.asked()[..] else { panic!("one question: {:?}", vendor.asked()) };
    assert_eq!(answer.json(), json!({ "target": "/prompts?page=2" }));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "/prompts?page=2"));
    assert_eq!(asked.headers["accept"], "text/plain");
}

#[tokio::test]
async fn an_answer_is_kept_back_until_it_is_released() {
    let vendor = echo().await;
    let mut client = Client::to(vendor.address()).await;
    vendor.hold();

    let release = async {
        vendor.has_been_asked(1).await;
        vendor.release();
    };
    let (answer, ()) = tokio::join!(client.get("/", &[]), release);

    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_fault_lasts_until_the_vendor_recovers() {
    let vendor = echo().await;
    let mut client = Client::to(vendor.address()).await;

    vendor.fail_with(Fault::Busy(503, "7"));
    let failed = client.get("/", &[]).await;
    vendor.recover();
    let answered = client.get("/", &[]).await;

    assert_eq!((failed.status, failed.header("retry-after")), (503, "7"));
    assert_eq!(answered.status, 200);
    assert_eq!(vendor.asked_count(), 2);
}

#[tokio::test]
async fn a_reset_and_a_cut_end_the_connection_without_an_answer() {
    let vendor = echo().await;

    for fault in [Fault::Reset, Fault::Truncated] {
        vendor.fail_with(fault.clone());
        let mut client = Client::to(vendor.address()).await;
        assert!(client.try_get("/", &[]).await.is_err(), "{fault:?} gives no whole answer");
    }
}

#[tokio::test]
async fn a_killed_vendor_is_gone_and_a_revived_one_is_where_it_was() {
    let vendor = echo().await;
    let client = Client::to(vendor.address()).await;

    vendor.kill().await;

    client.closed().await;
    assert!(Client::try_to(vendor.address()).await.is_none(), "nobody listens");
    vendor.revive().await;
    let mut client = Client::to(vendor.address()).await;
    assert_eq!(client.get("/", &[]).await.status, 200);
    assert_eq!(vendor.connection_count(), 2);
}
