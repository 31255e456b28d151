//! Coded answers: who is sent one, what it decodes to, when it is made, and what a tag of one is
//! worth.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{Method, Request};
use http_body_util::Full;
use prompt_edge::compile::tokens;
use prompt_edge::model::Scope;
use prompt_edge::wire::Coding;
use serde_json::json;
use tokio::runtime;
use tokio::task::JoinSet;

use crate::harness::client::Client;
use crate::harness::edge::Edge;
use crate::harness::exchange::{
    Answer, HIT, RENDERED, compiled, compiled_with, query, request, with,
};
use crate::harness::far::Far;
use crate::harness::prompt::{Draft, prompt};

/// What every answer depends on beside its URL.
const VARIES: &str = "Authorization, X-API-Key, Accept-Encoding";

/// A prompt whose answers are of about 3 KiB.
fn long(slug: &'static str) -> Draft {
    prompt(slug)
        .text("You answer {{name}} in their language, and never in another one. ".repeat(40))
}

/// A request for a prompt's text that accepts these codings.
fn accepting(edge: &Edge, target: &str, codings: &str) -> Request<Full<Bytes>> {
    with(request("GET", target, &edge.live), "accept-encoding", codings)
}

/// Asks, lets what that set going end, and asks again.
async fn settled(edge: &Edge, target: &str, codings: &str) -> Answer {
    edge.ask(accepting(edge, target, codings)).await.expect_status(200);
    edge.all_is_quiet().await;
    edge.ask(accepting(edge, target, codings)).await
}

/// What an answer's body says, by the coding that it names.
pub(crate) fn decoded(answer: &Answer) -> Vec<u8> {
    let (coded, mut plain) = (&*answer.body, Vec::new());
    match answer.header("content-encoding") {
        "" => plain.extend_from_slice(coded),
        "gzip" => {
            GzDecoder::new(coded).read_to_end(&mut plain).expect("it is gzip");
        }
        "br" => brotli::BrotliDecompress(&mut &*coded, &mut plain).expect("it is brotli"),
        "zstd" => plain = zstd::stream::decode_all(coded).expect("it is zstd"),
        coding => panic!("nobody asked for {coding}"),
    }
    plain
}

async fn made(edge: &Edge, coding: Coding) -> u64 {
    let labels = format!("{{coding=\"{}\"}}", coding.as_str());
    edge.metric(&format!("prompt_edge_coded_answers_total{labels}")).await
}

/// Keeps a runtime's only thread for blocking work busy, until what it returns is dropped. Nothing
/// else is under way then, and rendering needs no such thread.
async fn hold(edge: &Edge) -> mpsc::Sender<()> {
    edge.all_is_quiet().await;
    tokens::warm();
    let (release, held) = mpsc::channel::<()>();
    drop(tokio::task::spawn_blocking(move || held.recv()));
    release
}

/// Runs a test on a runtime with one thread for blocking work.
fn with_one_blocking_thread(mut on: runtime::Builder, test: impl Future<Output = ()>) {
    let runtime = on.enable_all().max_blocking_threads(1).build();
    runtime.expect("a runtime can be built").block_on(test);
}

#[tokio::test]
async fn decoding_gives_the_answer_byte_for_byte() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prompts");
    let examples = fs::read_dir(examples).expect("the folder is there").map(|entry| {
        fs::read_to_string(entry.expect("an entry is readable").path()).expect("it is text")
    });
    let written = "Grüße an {{name}} – “quoted”, \\ and \t 漢字 🦀.\n";
    let generated = [40, 400, 4_000, 40_000].map(|times| written.repeat(times));
    let edge = Edge::serving([prompt("text").text("")]).await;
    let mut longest = 0;

    for text in examples.chain(generated) {
        edge.publish(prompt("text").verbatim(&text)).await;
        edge.follow().await;
        let target = compiled("text");
        let plain = edge.get(&target, &edge.live).await;
        plain.expect_status(200).expect_header("content-encoding", "");
        if plain.body.len() <= 1_024 {
            continue;
        }
        longest = longest.max(plain.body.len());
        for coding in Coding::ALL {
            let coded = settled(&edge, &target, coding.as_str()).await;

            coded.expect_status(200).expect_header("content-encoding", coding.as_str());
            coded.expect_header("content-type", "application/json");
            coded.expect_header("cache-control", plain.header("cache-control"));
            assert!(coded.body.len() * 20 <= plain.body.len() * 19, "{coding:?}");
            assert!(decoded(&coded) == plain.body, "{coding:?} of {} bytes", plain.body.len());
        }
    }
    assert!(longest > 2 << 20, "{longest} bytes should be more");
}

#[tokio::test]
async fn each_coding_has_a_strong_tag_of_its_own() {
    let edge = Edge::serving([long("long")]).await;
    let plain = edge.get(compiled("long"), &edge.live).await;
    let tag = plain.header("etag").trim_matches('"');

    for (coding, suffix) in Coding::ALL.into_iter().zip(["-gz", "-br", "-zst"]) {
        let coded = settled(&edge, &compiled("long"), coding.as_str()).await;

        coded.expect_header("etag", &format!("\"{tag}{suffix}\""));
    }
}

/// Every kind of answer is coded, whoever asks for it and however.
#[tokio::test]
async fn lists_versions_and_queries_are_coded_too() {
    let many = (0..40).map(|n| &*format!("prompt-{n}").leak()).map(|slug| prompt(slug).text("Hi"));
    let edge = Edge::serving(many.chain([long("long")])).await;
    edge.record_key("near", |new| new.scopes = vec![Scope::Edge]).await;
    edge.follow().await;

    for (target, key) in [
        ("/api/v1/prompts", &*edge.live),
        ("/api/v1/prompts/long", &*edge.live),
        ("/edge/v1/prompts", "near"),
        ("/edge/v1/prompts/long", "near"),
    ] {
        let asked = || with(request("GET", target, key), "accept-encoding", "br");
        let plain = edge.ask(request("GET", target, key)).await;
        edge.ask(asked()).await.expect_status(200);
        edge.all_is_quiet().await;
        let coded = edge.ask(asked()).await;

        coded.expect_status(200).expect_header("content-encoding", "br");
        assert!(decoded(&coded) == plain.body, "{target}");
    }
    let asked = || {
        with(query(&compiled("long"), &edge.live, r#"{"name":"Bo"}"#), "accept-encoding", "gzip")
    };
    for expected in ["", "", "gzip"] {
        let answer = edge.ask(asked()).await;
        answer.expect_status(200).expect_header("content-encoding", expected);
        edge.all_is_quiet().await;
    }
}

#[tokio::test]
async fn what_is_short_refused_or_an_operators_is_not_coded() {
    let edge = Edge::serving([prompt("short").text("Hello"), long("long")]).await;

    for target in [compiled("short"), compiled("nobody"), "/nowhere".to_owned()] {
        for _ in ["the first", "the second"] {
            let answer = edge.ask(accepting(&edge, &target, "zstd, br, gzip")).await;
            answer.expect_header("content-encoding", "");
            answer.json();
            edge.all_is_quiet().await;
        }
    }
    let metrics = Request::get("/metrics").header("accept-encoding", "gzip");
    let metrics = edge.operate(metrics.body(Full::default()).expect("it is a request")).await;
    metrics.expect_status(200).expect_header("content-encoding", "");
    for coding in Coding::ALL {
        assert_eq!(made(&edge, coding).await, 0);
    }
}

#[tokio::test]
async fn who_forbids_to_transform_is_sent_it_as_it_is() {
    let edge = Edge::serving([long("long")]).await;
    let coded = settled(&edge, &compiled("long"), "gzip").await;
    coded.expect_header("content-encoding", "gzip");

    let asked = accepting(&edge, &compiled("long"), "gzip");
    let plain = edge.ask(with(asked, "cache-control", "no-transform")).await;

    plain.expect_status(200).expect_header("content-encoding", "");
    assert_eq!(decoded(&coded), plain.body);
}

/// A request whose preferred form is there; the others are of no interest to it.
#[tokio::test]
async fn only_what_is_asked_for_is_made() {
    let edge = Edge::serving([long("long")]).await;

    for (codings, expected) in [
        ("gzip, deflate", "gzip"),
        ("identity", ""),
        ("gzip;q=0, br;q=0, zstd;q=0", ""),
        ("deflate", ""),
        ("identity;q=0", ""),
        ("gzip;q=0.5, br;q=0.1", "gzip"),
    ] {
        let answer = settled(&edge, &compiled("long"), codings).await;
        answer.expect_status(200).expect_header("content-encoding", expected);
    }

    let all = [made(&edge, Coding::Gzip), made(&edge, Coding::Brotli), made(&edge, Coding::Zstd)];
    let [gzip, brotli, zstd] = all;
    assert_eq!((gzip.await, brotli.await, zstd.await), (1, 0, 0));
}

#[test]
fn who_asks_first_does_not_wait() {
    with_one_blocking_thread(runtime::Builder::new_current_thread(), async {
        let edge = Edge::serving([long("long")]).await;
        let plain = edge.get(compiled("long"), &edge.live).await;
        let release = hold(&edge).await;

        for _ in 0..3 {
            let answer = edge.ask(accepting(&edge, &compiled("long"), "zstd")).await;
            answer.expect_header("content-encoding", "").expect_header("cache-status", HIT);
            assert_eq!(answer.body, plain.body);
            assert_eq!(answer.header("etag"), plain.header("etag"));
        }
        drop(release);
        edge.all_is_quiet().await;

        let coded = edge.ask(accepting(&edge, &compiled("long"), "zstd")).await;
        coded.expect_header("content-encoding", "zstd").expect_header("cache-status", HIT);
    });
}

#[test]
fn a_crowd_makes_a_form_once() {
    let mut workers = runtime::Builder::new_multi_thread();
    workers.worker_threads(2);
    with_one_blocking_thread(workers, async {
        let edge = Arc::new(Edge::serving([long("long")]).await);
        edge.get(compiled("long"), &edge.live).await.expect_status(200);
        let release = hold(&edge).await;

        let mut crowd = JoinSet::new();
        for _ in 0..100 {
            let edge = Arc::clone(&edge);
            crowd.spawn(async move {
                edge.ask(accepting(&edge, &compiled("long"), "br")).await.expect_status(200);
            });
        }
        crowd.join_all().await;
        drop(release);
        edge.all_is_quiet().await;

        assert_eq!(made(&edge, Coding::Brotli).await, 1);
        let coded = settled(&edge, &compiled("long"), "br").await;
        coded.expect_header("content-encoding", "br");
        assert_eq!(made(&edge, Coding::Brotli).await, 1);
    });
}

/// Those that found no place are made when they are asked for again.
#[test]
fn few_forms_are_made_at_once() {
    with_one_blocking_thread(runtime::Builder::new_current_thread(), async {
        let slugs = ["one", "two", "three", "four"];
        let edge = Edge::serving(slugs.map(long)).await;
        for slug in slugs {
            edge.get(compiled(slug), &edge.live).await.expect_status(200);
        }
        let release = hold(&edge).await;
        for slug in slugs {
            edge.ask(accepting(&edge, &compiled(slug), "gzip")).await.expect_status(200);
        }
        drop(release);
        edge.all_is_quiet().await;
        assert_eq!(made(&edge, Coding::Gzip).await, 2);

        for slug in slugs {
            let coded = settled(&edge, &compiled(slug), "gzip").await;
            coded.expect_header("content-encoding", "gzip");
        }
        assert_eq!(made(&edge, Coding::Gzip).await, 4);
    });
}

/// Values of variables mostly come once: nothing is coded for nobody.
#[tokio::test]
async fn what_was_just_rendered_is_coded_when_it_is_asked_for_again() {
    let edge = Edge::serving([long("long")]).await;
    edge.get(compiled("long"), &edge.live).await.expect_status(200);
    let target = compiled_with("long", r#"{"name":"Ada"}"#);

    for (source, coding) in [(RENDERED, ""), (HIT, ""), (HIT, "gzip")] {
        let answer = edge.ask(accepting(&edge, &target, "gzip")).await;
        answer.expect_header("cache-status", source).expect_header("content-encoding", coding);
        edge.all_is_quiet().await;
    }
}

#[tokio::test]
async fn a_form_counts_as_memory_of_its_answer() {
    let edge = Edge::serving([long("long")]).await;
    let weight = r#"prompt_edge_cache_weight_bytes{cache="answers"}"#;
    let entries = r#"prompt_edge_cache_entries{cache="answers"}"#;
    edge.get(compiled("long"), &edge.live).await.expect_status(200);
    let before = edge.metric(weight).await;

    let mut expected = before;
    for coding in Coding::ALL {
        let coded = settled(&edge, &compiled("long"), coding.as_str()).await;
        coded.expect_header("content-encoding", coding.as_str());
        expected += coded.body.len() as u64;
    }

    let after = edge.metric(weight).await;
    assert!((expected..expected + 1_000).contains(&after), "{before} grew to {after}");
    assert_eq!(edge.metric(entries).await, 1);
}

/// What a client has is good, whichever form it has: the 304 names it, so that the client knows
/// which. Only what the request does not accept it is not told to use.
#[tokio::test]
async fn a_tag_of_any_coding_is_as_good() {
    let edge = Edge::serving([long("long")]).await;
    let plain = edge.get(compiled("long"), &edge.live).await;
    let tag = |suffix: &str| format!("\"{}{suffix}\"", plain.header("etag").trim_matches('"'));

    for is_made in [false, true] {
        for (named, codings, expected) in [
            (vec![""], None, ""),
            (vec![""], Some("zstd"), ""),
            (vec!["-gz"], Some("gzip"), "-gz"),
            (vec!["-br"], Some("gzip, br, zstd"), "-br"),
            (vec!["-zst"], Some("zstd"), "-zst"),
            (vec!["-gz", "-br", "-zst"], Some("gzip, br"), "-br"),
            (vec!["-gz", ""], Some("gzip"), ""),
            (vec!["-gz"], None, ""),
            (vec!["-gz"], Some("br"), ""),
            (vec!["-zst"], Some("zstd;q=0"), ""),
        ] {
            let tags: Vec<_> = named.iter().map(|suffix| tag(suffix)).collect();
            let asked = match codings {
                Some(codings) => accepting(&edge, &compiled("long"), codings),
                None => request("GET", &compiled("long"), &edge.live),
            };

            let answer = edge.ask(with(asked, "if-none-match", &tags.join(", "))).await;

            answer.expect_status(304).expect_header("etag", &tag(expected));
            answer.expect_header("vary", VARIES);
            answer.expect_header("content-encoding", "").expect_header("content-type", "");
            answer.expect_header("cache-control", plain.header("cache-control"));
            assert_eq!(answer.body, "");
        }
        let any =
            |codings| with(accepting(&edge, &compiled("long"), codings), "if-none-match", "*");
        let expected = if is_made { "-gz" } else { "" };
        edge.ask(any("gzip")).await.expect_status(304).expect_header("etag", &tag(expected));
        let other =
            with(accepting(&edge, &compiled("long"), "gzip"), "if-none-match", &tag("-zip"));
        edge.ask(other).await.expect_status(200);
        edge.all_is_quiet().await;
    }
    assert_eq!(made(&edge, Coding::Zstd).await, 0, "a 304 makes nothing");
}

#[tokio::test]
async fn every_answer_says_what_it_varies_with() {
    let edge = Edge::serving([long("long"), prompt("short").text("Hi")]).await;

    for slug in ["long", "short"] {
        for codings in ["", "gzip", "br;q=0.5", "identity"] {
            for _ in ["before it is made", "after"] {
                let answer = edge.ask(accepting(&edge, &compiled(slug), codings)).await;
                answer.expect_status(200).expect_header("vary", VARIES);
                edge.all_is_quiet().await;
            }
        }
    }
}

/// What is coded is never served a moment longer than the answer it was made of.
#[tokio::test]
async fn a_form_ends_with_its_answer() {
    let edge = Edge::serving([long("long")]).await;
    let target = compiled("long");
    let old = settled(&edge, &target, "br").await;
    old.expect_header("content-encoding", "br");

    edge.publish(long("long").text("And this is new.")).await;
    edge.follow().await;

    let stale = with(accepting(&edge, &target, "br"), "if-none-match", old.header("etag"));
    edge.ask(stale).await.expect_status(200).expect_header("content-encoding", "");
    let new = settled(&edge, &target, "br").await;
    new.expect_header("content-encoding", "br");
    assert_ne!(new.header("etag"), old.header("etag"));
    assert!(String::from_utf8_lossy(&decoded(&new)).contains("And this is new."));

    let purge = Request::post("/admin/purge").header("content-type", "application/json");
    let purge = purge.body(Full::from(json!({"all": true, "hard": true}).to_string()));
    edge.operate(purge.expect("it is a request")).await.expect_status(200);

    let again = edge.ask(accepting(&edge, &target, "br")).await;
    again.expect_status(200).expect_header("content-encoding", "");
    assert_eq!(settled(&edge, &target, "br").await.body, new.body);
    assert_eq!(made(&edge, Coding::Brotli).await, 3);
}

/// A form that comes after a publish is of the old answer, and hangs from that.
#[test]
fn a_form_that_comes_too_late_is_sent_to_nobody() {
    with_one_blocking_thread(runtime::Builder::new_current_thread(), async {
        let edge = Edge::serving([long("long")]).await;
        let target = compiled("long");
        edge.get(&target, &edge.live).await.expect_status(200);
        let release = hold(&edge).await;
        edge.ask(accepting(&edge, &target, "zstd")).await.expect_status(200);

        edge.publish(long("long").text("And this is new.")).await;
        edge.follow().await;
        let new = edge.get(&target, &edge.live).await;
        drop(release);
        edge.all_is_quiet().await;

        assert_eq!(made(&edge, Coding::Zstd).await, 1);
        let answer = edge.ask(accepting(&edge, &target, "zstd")).await;
        answer.expect_header("content-encoding", "").expect_header("cache-status", HIT);
        assert_eq!(answer.body, new.body);
        assert_eq!(edge.metric(r#"prompt_edge_cache_entries{cache="answers"}"#).await, 1);
        let coded = settled(&edge, &target, "zstd").await;
        assert_eq!(decoded(&coded), new.body);
    });
}

/// On the wire: the length is that of the form, and HEAD is told the same.
#[tokio::test]
async fn head_is_told_the_length_of_the_form() {
    let far = Far::start().await;
    far.edge.publish(long("long")).await;
    far.edge.follow().await;
    let address = far.root().trim_start_matches("http://").parse().expect("it is an address");
    let mut client = Client::to(address).await;
    let bearer = format!("Bearer {}", far.live);
    let target = compiled("long");

    for codings in ["identity", "gzip", "br", "zstd"] {
        let headers = [("authorization", &*bearer), ("accept-encoding", codings)];
        client.get(&target, &headers).await;
        far.edge.all_is_quiet().await;
        let get = client.get(&target, &headers).await;
        let head = client.ask(Method::HEAD, &target, &headers, "").await;

        assert_eq!((get.status, head.status, head.body.len()), (200, 200, 0));
        assert_eq!(get.header("content-length"), get.body.len().to_string());
        for name in ["content-length", "content-encoding", "content-type", "etag", "vary"] {
            assert_eq!(head.header(name), get.header(name), "{name} in {codings}");
        }
        let named = [headers[0], headers[1], ("if-none-match", get.header("etag"))];
        for method in [Method::GET, Method::HEAD] {
            let answer = client.ask(method, &target, &named, "").await;
            assert_eq!((answer.status, answer.body.len()), (304, 0));
            assert_eq!(answer.header("etag"), get.header("etag"));
        }
    }
}
