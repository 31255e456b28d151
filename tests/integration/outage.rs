//! An origin that fails, and the answers that outlive it.

use std::num::NonZeroU32;
use std::time::Duration;

use prompt_edge::delivery::freshness::{Exception, Freshness};
use prompt_edge::delivery::purge::Mode;
use tokio::time::Instant;

use crate::harness::exchange::{Answer, compiled, request};
use crate::harness::fronted::{Fronted, Settings, is_rescue, ttl};
use crate::harness::vendor::Fault;

const PROMPTS: [(&str, &str); 4] =
    [("greeting", "Hello"), ("farewell", "Bye"), ("thanks", "Thank you"), ("sorry", "Sorry")];

/// The windows in which an answer is used without the origin's word.
const BOUND: u64 = 60;

/// Longer than a breaker is open, however often the origin failed.
const BREAKER_OPEN: u64 = 31;

/// Every way to fail, and what it means for a prompt that was never asked for.
fn every_fault() -> [(Fault, u16, &'static str); 14] {
    let elsewhere = "http://127.0.0.1:9/".to_owned();
    [
        (Fault::BlackHole, 504, "ORIGIN_TIMED_OUT"),
        (Fault::Busy(429, "7"), 503, "ORIGIN_UNREACHABLE"),
        (Fault::Busy(503, "7"), 502, "ORIGIN_BROKEN"),
        (Fault::Drip, 504, "ORIGIN_TIMED_OUT"),
        (Fault::Garbage, 502, "ORIGIN_BROKEN"),
        (Fault::Huge, 502, "ORIGIN_BROKEN"),
        (Fault::Redirect(elsewhere), 502, "ORIGIN_BROKEN"),
        (Fault::Reset, 503, "ORIGIN_UNREACHABLE"),
        (Fault::Status(401), 502, "ORIGIN_BROKEN"),
        (Fault::Status(403), 502, "ORIGIN_BROKEN"),
        (Fault::Status(500), 502, "ORIGIN_BROKEN"),
        (Fault::Status(503), 502, "ORIGIN_BROKEN"),
        (Fault::Truncated, 503, "ORIGIN_UNREACHABLE"),
        (Fault::WrongType, 502, "ORIGIN_BROKEN"),
    ]
}

/// Whether nothing but a deadline ends the fault. The runtime's time is stopped then: it jumps to
/// the deadline once nobody has anything else to do.
fn hangs(fault: &Fault) -> bool {
    matches!(fault, Fault::BlackHole | Fault::Drip)
}

/// Asks for each prompt, and for none twice.
async fn ask_each(edge: &Fronted) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (slug, _) in PROMPTS {
        answers.push(edge.ask(slug).await);
    }
    answers
}

#[track_caller]
fn expect_each(answers: &[Answer], suffix: &str) {
    for (answer, (_, text)) in answers.iter().zip(PROMPTS) {
        answer.expect_text(&format!("{text}{suffix}"));
    }
}

fn publish_each(edge: &Fronted, suffix: &str) {
    for (slug, text) in PROMPTS {
        edge.platform.publish(slug, &*format!("{text}{suffix}"));
    }
}

fn is_collapsed(answer: &Answer) -> bool {
    answer.source() == "prompt-edge; fwd=uri-miss; fwd-status=200; collapsed"
}

#[tokio::test]
async fn a_thousand_who_ask_for_one_cold_prompt_cost_one_question() {
    let edge = Fronted::with(&PROMPTS).await;
    edge.expect(1_000).await;
    let (asked, misses) = (edge.vendor().asked_count(), edge.lookups("miss").await);
    edge.vendor().hold();
    let crowd = edge.crowd(1_000, "greeting");
    edge.vendor().has_been_asked(asked + 1).await;
    edge.vendor().release();

    let answers = crowd.join_all().await;

    for answer in &answers {
        answer.expect_text("Hello");
    }
    let collapsed = answers.iter().filter(|answer| is_collapsed(answer)).count();
    assert_eq!((answers.len(), collapsed), (1_000, 999));
    assert_eq!(edge.lookups("miss").await, misses + 1);
    assert_eq!(edge.vendor().asked_count(), asked + 1);
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_take_the_answer_along() {
    let edge = Fronted::with(&PROMPTS).await;
    edge.expect(1_000).await;
    let asked = edge.vendor().asked_count();
    edge.vendor().hold();
    let mut first = edge.crowd(1, "greeting");
    let others = edge.crowd(999, "greeting");
    edge.vendor().has_been_asked(asked + 1).await;

    first.shutdown().await;
    edge.vendor().release();

    let answers = others.join_all().await;
    assert!(answers.iter().all(|answer| is_collapsed(answer.expect_text("Hello"))));
    assert_eq!((answers.len(), edge.vendor().asked_count()), (999, asked + 1));
}

#[tokio::test]
async fn a_failure_is_shared_by_everybody_who_waits_for_it() {
    let edge = Fronted::with(&PROMPTS).await;
    edge.expect(1_000).await;
    let asked = edge.vendor().asked_count();
    edge.vendor().fail_with(Fault::Status(500));

    let answers = edge.crowd(1_000, "greeting").join_all().await;

    for answer in &answers {
        answer.expect_refusal(502, "ORIGIN_BROKEN");
    }
    assert_eq!((answers.len(), edge.vendor().asked_count()), (1_000, asked + 1));
}

#[tokio::test]
async fn ten_minutes_without_the_origin_fail_no_request() {
    let edge = Fronted::with(&PROMPTS).await;
    expect_each(&ask_each(&edge).await, "");
    edge.vendor().kill().await;
    publish_each(&edge, "!");

    for second in (5..=600).step_by(5) {
        edge.pass(5);
        edge.tend().await;

        let answers = ask_each(&edge).await;

        expect_each(&answers, "");
        for answer in answers.iter().filter(|_| second > BOUND) {
            assert!(is_rescue(answer) && ttl(answer) < 0, "{answer:?} after {second} s");
        }
    }

    edge.vendor().revive().await;
    // The first asks whether the origin is well, and the others then go.
    for seconds in [BREAKER_OPEN, 1] {
        edge.pass(seconds);
        edge.tend().await;
    }
    let answers = ask_each(&edge).await;
    expect_each(&answers, "!");
    assert!(!answers.iter().any(is_rescue), "{answers:?} should be fresh");
}

#[tokio::test]
async fn whatever_the_fault_what_is_warm_is_served_until_the_origin_is_back() {
    for (fault, ..) in every_fault() {
        let edge = Fronted::with(&PROMPTS).await;
        ask_each(&edge).await;
        publish_each(&edge, "!");
        edge.pass(BOUND + 1);
        edge.vendor().fail_with(fault.clone());
        if hangs(&fault) {
            tokio::time::pause();
        }

        let answers = ask_each(&edge).await;

        expect_each(&answers, "");
        for answer in &answers {
            assert!(is_rescue(answer) && ttl(answer) < 0, "{answer:?} of {fault:?}");
        }
        edge.edge.all_is_quiet().await;
        if hangs(&fault) {
            tokio::time::resume();
        }

        edge.vendor().recover();
        edge.pass(BREAKER_OPEN);
        let answers = ask_each(&edge).await;
        expect_each(&answers, "!");
        assert!(!answers.iter().any(is_rescue), "{answers:?} after {fault:?}");
    }
}

#[tokio::test]
async fn whatever_the_fault_what_is_cold_is_refused_within_the_asks_deadline() {
    for (fault, status, code) in every_fault() {
        let mut settings = Settings::default();
        if hangs(&fault) {
            settings.config.delivery.deadline = Duration::from_secs(1);
        }
        let edge = Fronted::configured(settings, &PROMPTS).await;
        edge.vendor().fail_with(fault.clone());
        if hangs(&fault) {
            tokio::time::pause();
        }
        let began = Instant::now();

        let answer = edge.ask("greeting").await;

        answer.expect_refusal(status, code);
        let retry_after: u64 = answer.header("retry-after").parse().expect("it is in seconds");
        let expected = if matches!(fault, Fault::Busy(..)) { 7 } else { 1 };
        assert_eq!(retry_after, expected, "of {fault:?}");
        if hangs(&fault) {
            assert!(began.elapsed() <= Duration::from_secs(2), "{fault:?} held the caller");
            tokio::time::resume();
        }
    }
}

#[tokio::test]
async fn an_origin_that_is_gone_is_unreachable_and_the_prompt_not_absent() {
    let edge = Fronted::with(&PROMPTS).await;
    edge.vendor().kill().await;

    edge.ask("greeting").await.expect_refusal(503, "ORIGIN_UNREACHABLE");
    edge.vendor().revive().await;
    edge.ask("greeting").await.expect_text("Hello");
}

#[tokio::test]
async fn a_refused_key_of_ours_is_counted_and_never_a_callers_fault() {
    for status in [401, 403] {
        let edge = Fronted::with(&PROMPTS).await;
        edge.ask("greeting").await.expect_text("Hello");
        edge.pass(BOUND + 1);
        edge.vendor().fail_with(Fault::Status(status));

        let warm = edge.ask("greeting").await;
        let cold = edge.ask("farewell").await;

        warm.expect_text("Hello");
        assert!(is_rescue(&warm), "{warm:?}");
        cold.expect_refusal(502, "ORIGIN_BROKEN");
        let rejections = r#"prompt_edge_origin_rejections_total{origin="promptot"}"#;
        assert_eq!(edge.edge.metric(rejections).await, 2, "of {status}");
    }
}

/// Its failure may take as long as a deadline.
#[tokio::test]
async fn nobody_waits_for_an_origin_that_has_just_failed() {
    let edge = Fronted::with(&PROMPTS).await;
    edge.ask("greeting").await.expect_text("Hello");
    edge.pass(BOUND + 1);
    edge.vendor().fail_with(Fault::Status(500));
    edge.ask("greeting").await.expect_text("Hello");
    edge.vendor().recover();
    edge.vendor().hold();

    let answer = edge.ask("greeting").await;

    assert!(is_rescue(answer.expect_text("Hello")), "{answer:?}");
    edge.vendor().release();
}

#[tokio::test]
async fn what_fails_closed_is_refused_rather_than_old() {
    let closed = Exception { fail_closed: Some(true), ..Exception::default() };
    let prompts = [("greeting".to_owned(), closed)].into();
    let freshness = Freshness { prompts, ..Freshness::default() };
    let settings = Settings { freshness, ..Settings::default() };
    let edge = Fronted::configured(settings, &PROMPTS).await;
    ask_each(&edge).await;
    edge.vendor().kill().await;

    edge.pass(BOUND - 1);
    edge.ask("greeting").await.expect_text("Hello");
    edge.pass(1);
    edge.ask("greeting").await.expect_refusal(503, "ORIGIN_UNREACHABLE");
    assert!(is_rescue(edge.ask("farewell").await.expect_text("Bye")));
}

#[tokio::test]
async fn a_rescue_ends_with_its_window() {
    let edge = Fronted::with(&PROMPTS).await;
    edge.ask("greeting").await.expect_text("Hello");
    edge.vendor().kill().await;
    let windows = Freshness::default().windows;
    let whole = (windows.fresh + windows.stale + windows.rescue).as_secs();

    edge.pass(whole - 1);
    assert!(is_rescue(edge.ask("greeting").await.expect_text("Hello")));
    edge.pass(1);
    edge.ask("greeting").await.expect_refusal(503, "ORIGIN_UNREACHABLE");
}

/// PromptOT does not say by which slug it knows what was asked for by id.
#[tokio::test]
async fn who_asks_by_id_and_who_asks_by_slug_are_rescued_alike() {
    let edge = Fronted::with(&PROMPTS).await;
    let id = edge.ask("greeting").await.json()["data"]["prompt_id"].clone();
    let id = id.as_str().expect("an id is text");
    edge.ask(id).await.expect_text("Hello");
    edge.platform.publish("greeting", "Good day");
    edge.pass(BOUND + 1);
    edge.ask(id).await.expect_text("Good day");

    edge.vendor().kill().await;

    edge.ask("greeting").await.expect_text("Good day");
    edge.ask(id).await.expect_text("Good day");
}

#[tokio::test]
async fn the_list_outlives_the_origin_too() {
    let edge = Fronted::with(&PROMPTS).await;
    let list = || edge.edge.get("/api/v1/prompts", &edge.key);
    let before = list().await;
    edge.vendor().kill().await;

    edge.pass(BOUND + 1);
    let after = list().await;

    assert!(is_rescue(after.expect_status(200)), "{after:?}");
    assert_eq!(after.body, before.body);
}

/// A prompt that the origin has deleted is no failure of the origin's.
#[tokio::test]
async fn an_absence_is_an_answer_and_nothing_to_be_rescued_from() {
    let edge = Fronted::with(&PROMPTS).await;
    edge.ask("greeting").await.expect_text("Hello");
    edge.platform.delete("greeting");
    edge.pass(BOUND + 1);

    edge.ask("greeting").await.expect_refusal(404, "NOT_FOUND");
    edge.vendor().kill().await;
    edge.pass(BOUND + 1);
    edge.ask("greeting").await.expect_refusal(503, "ORIGIN_UNREACHABLE");
}

#[tokio::test]
async fn a_purge_during_a_flight_wins_over_it() {
    for mode in [Mode::Soft, Mode::Hard] {
        let edge = Fronted::with(&PROMPTS).await;
        let begin = || edge.edge.begin(request("GET", &compiled("greeting"), &edge.key));
        edge.vendor().hold();
        let before = begin();
        edge.vendor().has_been_asked(1).await;

        edge.purge(mode);
        edge.platform.publish("greeting", "Good day");
        let after = begin();
        edge.vendor().has_been_asked(2).await;
        edge.vendor().release();

        after.answer().await.expect_text("Good day");
        before.answer().await.expect_status(200);
        for _ in 0..3 {
            edge.ask("greeting").await.expect_text("Good day");
        }
        assert_eq!(edge.vendor().asked_count(), 2, "after a {mode:?} purge");
    }
}

#[tokio::test]
async fn a_purge_during_a_refresh_wins_over_it() {
    for mode in [Mode::Soft, Mode::Hard] {
        let edge = Fronted::with(&PROMPTS).await;
        edge.ask("greeting").await.expect_text("Hello");
        edge.pass(BOUND - 1);
        edge.vendor().hold();
        edge.ask("greeting").await.expect_text("Hello");
        edge.vendor().has_been_asked(2).await;

        edge.platform.publish("greeting", "Good day");
        edge.purge(mode);
        let after = edge.edge.begin(request("GET", &compiled("greeting"), &edge.key));
        edge.vendor().has_been_asked(3).await;
        edge.vendor().release();

        after.answer().await.expect_text("Good day");
        edge.edge.all_is_quiet().await;
        edge.ask("greeting").await.expect_text("Good day");
        assert_eq!(edge.vendor().asked_count(), 3, "after a {mode:?} purge");
    }
}

/// Not even while that other one is being asked for.
#[tokio::test]
async fn a_hard_purge_of_one_prompt_takes_no_others_rescue() {
    let edge = Fronted::with(&PROMPTS).await;
    ask_each(&edge).await;
    edge.pass(BOUND - 1);
    let asked = edge.vendor().asked_count();
    edge.vendor().hold();
    edge.ask("farewell").await.expect_status(200);
    edge.vendor().has_been_asked(asked + 1).await;

    edge.purge_one("greeting", Mode::Hard);

    edge.vendor().release();
    edge.edge.all_is_quiet().await;
    edge.vendor().kill().await;
    edge.pass(BOUND + 1);
    assert!(is_rescue(edge.ask("farewell").await.expect_status(200)));
    edge.ask("greeting").await.expect_refusal(503, "ORIGIN_UNREACHABLE");
}

#[tokio::test]
async fn what_is_purged_softly_still_rescues_and_what_is_purged_hard_does_not() {
    let edge = Fronted::with(&PROMPTS).await;
    edge.ask("greeting").await.expect_text("Hello");
    edge.vendor().kill().await;

    edge.purge(Mode::Soft);
    assert!(is_rescue(edge.ask("greeting").await.expect_text("Hello")));
    edge.edge.all_is_quiet().await;

    edge.purge(Mode::Hard);
    edge.ask("greeting").await.expect_refusal(503, "ORIGIN_UNREACHABLE");
}

/// A caller whose patience ends is one thing, the question another.
#[tokio::test]
async fn an_answer_that_comes_after_the_deadline_is_kept_for_the_next() {
    let mut settings = Settings::default();
    settings.config.delivery.deadline = Duration::from_millis(1);
    let edge = Fronted::configured(settings, &PROMPTS).await;
    edge.vendor().hold();

    edge.ask("greeting").await.expect_refusal(504, "ORIGIN_TIMED_OUT");
    edge.vendor().has_been_asked(1).await;
    edge.vendor().release();
    edge.edge.all_is_quiet().await;

    edge.ask("greeting").await.expect_text("Hello");
    assert_eq!(edge.vendor().asked_count(), 1);
}

#[tokio::test]
async fn an_origin_in_trouble_is_left_alone_and_asked_by_one() {
    let mut settings = Settings::default();
    settings.guard.breaker_failures = NonZeroU32::MIN;
    let edge = Fronted::configured(settings, &PROMPTS).await;
    edge.vendor().fail_with(Fault::Status(500));
    edge.ask("greeting").await.expect_refusal(502, "ORIGIN_BROKEN");

    for answer in ask_each(&edge).await {
        answer.expect_refusal(503, "ORIGIN_UNREACHABLE").expect_header("retry-after", "1");
    }

    assert_eq!(edge.vendor().asked_count(), 1);
    edge.vendor().recover();
    edge.pass(1);
    expect_each(&ask_each(&edge).await, "");
}
