//! The fast lane: what is asked again is answered byte for byte, to whom it belongs, for as long as
//! it may be.

use prompt_edge::cache;
use prompt_edge::config::Config;

use crate::harness::edge::Edge;
use crate::harness::exchange::{HIT, compiled, compiled_with, request, with};
use crate::harness::prompt::{Draft, prompt};

fn greeting() -> Draft {
    prompt("greeting").text("Hello {{name}}")
}

fn ada() -> String {
    compiled_with("greeting", r#"{"name":"Ada"}"#)
}

#[tokio::test]
async fn what_is_asked_for_all_the_time_outlives_a_flood() {
    let cache = cache::Config { answers_bytes: 1 << 20, ..cache::Config::default() };
    let config = Config { cache, ..Config::default() };
    let edge = Edge::configured(&config, [greeting()]).await;
    edge.get(ada(), &edge.live).await.expect_status(200);

    for n in 0..5_000 {
        let once = compiled_with("greeting", &format!("{{\"name\":{n}}}"));
        edge.get(once, &edge.live).await.expect_status(200);
        if n % 10 == 0 {
            edge.get(ada(), &edge.live).await.expect_header("cache-status", HIT);
        }
    }
}

#[tokio::test]
async fn a_token_is_the_same_in_every_header_it_may_stand_in() {
    let edge = Edge::serving([greeting()]).await;
    let first = edge.get(ada(), &edge.live).await;

    for (name, value) in [
        ("authorization", format!("bearer {}", edge.live)),
        ("authorization", format!("Bearer   {}", edge.live)),
        ("x-api-key", edge.live.clone()),
    ] {
        let mut again = request("GET", &ada(), &edge.live);
        again.headers_mut().remove("authorization");
        let again = edge.ask(with(again, name, &value)).await;

        again.expect_status(200).expect_header("cache-status", HIT);
        assert_eq!(again.body, first.body, "{name}: {value}");
    }
}

#[tokio::test]
async fn an_answer_is_recalled_for_the_very_token_it_was_given_to() {
    let edge = Edge::serving([greeting()]).await;
    edge.get(ada(), &edge.live).await.expect_status(200);
    edge.get(ada(), &edge.live).await.expect_header("cache-status", HIT);

    let (whole, last) = edge.live.split_at(edge.live.len() - 1);
    for other in [
        whole.to_owned(),
        format!("{}x", edge.live),
        format!("{whole}{}", if last == "A" { "B" } else { "A" }),
        edge.live.to_uppercase(),
    ] {
        edge.get(ada(), &other).await.expect_refusal(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn a_head_in_which_a_field_occurs_twice_is_read_with_care() {
    let edge = Edge::serving([greeting()]).await;
    let first = edge.get(compiled("greeting"), &edge.live).await;
    let tag = first.header("etag").to_owned();

    let twice = |lines: [&str; 2]| {
        let again = request("GET", &compiled("greeting"), &edge.live);
        lines.into_iter().fold(again, |again, line| with(again, "if-none-match", line))
    };

    edge.ask(twice(["\"a\"", "\"b\""])).await.expect_status(200);
    edge.ask(twice(["\"a\"", &tag])).await.expect_status(304);
}
