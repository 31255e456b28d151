//! The API between edges, byte for byte where bytes matter (`tests/fixtures/dialects/edge`).

use prompt_edge::dialects::edge::errors;

use super::played::{Recorded, every_refusal};
use crate::harness::exchange::Answer;

#[tokio::test]
async fn every_exchange_is_as_recorded() {
    Recorded::of("edge").play().await;
}

#[test]
fn every_route_has_an_exchange_with_every_method() {
    let asked = Recorded::of("edge").asked();

    for target in ["/edge/v1/prompts", "/edge/v1/prompts/greeting"] {
        for method in ["GET", "HEAD", "POST"] {
            let wanted = (method.to_owned(), target.to_owned());
            assert!(asked.contains(&wanted), "{method} of {target}");
        }
    }
}

/// RFC 9457, with a code for programs.
#[tokio::test]
async fn every_refusal_is_a_problem() {
    for refusal in every_refusal() {
        let answer = Answer::of(errors::respond(&refusal)).await;

        answer.expect_header("content-type", "application/problem+json");
        answer.expect_header("cache-control", "no-store");
        let problem = answer.json();
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["status"], answer.status);
        for text in ["title", "detail", "code"] {
            assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
    }
}

/// Codes are frozen: the other edge takes a prompt for absent by one of them.
#[test]
fn an_absent_prompt_is_told_by_its_code_alone() {
    let answered = Recorded::of("edge").answered();
    let absent = answered.iter().filter(|(_, body)| body["code"] == "no_prompt");
    let not_found = answered.iter().filter(|(status, _)| *status == 404);

    assert!(absent.clone().all(|(status, _)| *status == 404));
    assert_eq!((absent.count(), not_found.count()), (4, 5), "a route is no prompt");
}
