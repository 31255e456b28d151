//! What a hit allocates. Each allocation costs some twenty nanoseconds and a lock now and then, and
//! one more is easily added without anybody noticing: so each of them is named here.

use allocation_counter::measure;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use prompt_edge::server::Reply;

use crate::harness::edge::{Edge, PEER};
use crate::harness::exchange::{compiled_with, request, with};
use crate::harness::prompt::prompt;

/// The headers of an answer: their entries, and the indices that lead to them.
const HEADERS: u64 = 2;

/// A new name for a request that has none, as a header.
const NAME: u64 = 1;

#[tokio::test]
async fn a_hit_allocates_what_is_named_here_and_no_more() {
    let edge = Edge::serving([prompt("greeting").text("Hello, {{name}}!")]).await;
    let plain = request("GET", &compiled_with("greeting", r#"{"name":"Ada"}"#), &edge.live);
    // What is asked for a second time opens the fast lane.
    edge.ask(plain.clone()).await;
    let first = edge.ask(plain.clone()).await;
    let named = with(plain.clone(), "x-request-id", "job-7");
    let known = |request| with(request, "if-none-match", first.header("etag"));

    let table = [
        (named.clone(), StatusCode::OK, HEADERS),
        (plain.clone(), StatusCode::OK, HEADERS + NAME),
        (known(named), StatusCode::NOT_MODIFIED, HEADERS),
        (known(plain), StatusCode::NOT_MODIFIED, HEADERS + NAME),
    ];
    for (request, status, most) in table {
        // Behind a few hits a lease of the month is renewed, and a task takes memory.
        let mut counts = Vec::new();
        for _ in 0..HITS {
            counts.push(allocations(&edge, &request, status));
            edge.all_is_quiet().await;
        }
        counts.sort_unstable();
        let median = counts[counts.len() / 2];
        assert!(median <= most, "{status} takes {median} allocations, and {most} were enough");
    }
}

const HITS: usize = 31;

/// How often a hit allocates, from the parsed head of its request to the head of its answer.
fn allocations(edge: &Edge, request: &Request<Full<Bytes>>, status: StatusCode) -> u64 {
    let request = request.clone();
    let mut reply = None;
    let counted = measure(|| reply = Some(edge.assembly.router.handle(request, PEER)));

    let Some(Reply::Now(Some(answer))) = reply else { panic!("it should be there at once") };
    assert_eq!(answer.status(), status);
    assert_eq!(answer.headers()["cache-status"], "prompt-edge; hit");
    counted.count_total
}
