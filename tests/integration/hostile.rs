//! Foreign bytes at their worst: files that somebody has tampered with, and inputs as long as they
//! are read at all, made to be slow.
//!
//! That nothing is quadratic is shown twice. What is allocated is counted, and grows no faster than
//! the input. And the long inputs have a mebibyte where the way in has no smaller limit: read in
//! linear time they take less than a second unoptimised, in quadratic time the best part of an
//! hour, and a test that takes three minutes is ended (`.config/nextest.toml`).

use std::fs::{self, DirEntry};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use allocation_counter::measure;
use http::header::{AUTHORIZATION, CACHE_CONTROL, FORWARDED, IF_NONE_MATCH, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};
use prompt_edge::access::credential::Token;
use prompt_edge::access::guesses::{self, Guesses};
use prompt_edge::compile::template::Template;
use prompt_edge::config::units;
use prompt_edge::dialects::{edge, promptot};
use prompt_edge::formats::{bundle, content, edition, markdown};
use prompt_edge::model::PromptName;
use prompt_edge::model::Timestamp;
use prompt_edge::snapshot::image;
use prompt_edge::telemetry::request_id;
use prompt_edge::wire::caching::{Allowance, Demand};
use prompt_edge::wire::heeded::{Heeded, X_API_KEY};
use prompt_edge::wire::{ETag, query, retry};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::harness::edge::Edge;
use crate::harness::exchange::{self, compiled, compiled_with};
use crate::harness::prompt::prompt;

/// What reads texts of some kind, and the pieces that it finds hardest, repeated.
type Hard = (&'static str, fn(&str), &'static [&'static str]);

const TEMPLATE: Hard = (
    "a template",
    |text| drop(Template::parse(text)),
    &[
        "{", "{{", "{{ ", "{{a", "{{a ", "{{a.", "{{a}", "{{a}}", "{{{a}}}", "\\{{", "\\{{a}}",
        "}}", "{{ \t",
    ],
);

const MARKDOWN: Hard = (
    "Markdown",
    |text| drop(markdown::parse("stem", text)),
    &[
        "[", "![a](", "[a](<b", "[a]: b\n", "**a *b ", "*a_ ", "> ", "- ", "> - ", "`a``b", "<!--",
        "<a ", "# a\n", "a\n=\n", "\r",
    ],
);

const JSON: Hard = (
    "JSON",
    |text| {
        drop(bundle::read(text));
        drop(content::from_json(text));
        drop(image::decode(text.as_bytes()));
    },
    &["[", "{", "\"", "{\"a\":", "{\"a\":[", "9", "1e", "\\", "\"\\u", "[1,", "{\"a\":1,", " "],
);

const QUANTITY: Hard = (
    "a quantity",
    |text| {
        let _ = (units::parse_duration(text), units::parse_size(text));
    },
    &["9", " ", "s", "9s", "9 "],
);

const TARGET: Hard = (
    "a target",
    |text| {
        let name = promptot::routes::find(text).1.len() + edge::routes::find(text).1.len();
        let below = format!("/api/v1/prompts/{text}");
        let name = name + promptot::routes::find(&below).1.len();
        drop(PromptName::anywhere(text));
        assert!(query::pairs(text).count() + name <= 3 * text.len() + 1);
    },
    &["%", "%7B", "&", "=", "&a=1", "+", "a=+&", "%2", "/", "a-", "é"],
);

const CONDITION: Hard = (
    "a condition",
    |text| assert!(!ETag::of(b"x").is_named_by(&one(IF_NONE_MATCH, text))),
    &[",", "\"", "W/", "\"a\",", "\"a\"", "W/\"", "a ", " ,"],
);

const DIRECTIVES: Hard = (
    "directives",
    |text| {
        let headers = one(CACHE_CONTROL, text);
        let _ = (Allowance::of(&headers), Demand::of(&headers));
        let _ = retry::after(&one(RETRY_AFTER, text));
    },
    &[",", "\"", "\\", "\"\\", "=", "max-age=9,", "a=\"", "9", " "],
);

const WHO: Hard = (
    "who asks",
    |text| {
        let guesses = Guesses::new(guesses::Config {
            trusted_proxies: ["0.0.0.0/0", "::/0"]
                .map(|all| all.parse().expect("it is a network"))
                .into(),
            ..guesses::Config::default()
        });
        for name in [FORWARDED, HeaderName::from_static("x-forwarded-for")] {
            guesses.source(IpAddr::V4(Ipv4Addr::LOCALHOST), &one(name, text));
        }
        assert!(Token::of(&one(X_API_KEY, text)).is_none(), "it is too long");
        assert!(Token::of(&one(AUTHORIZATION, &format!("Bearer {text}"))).is_none());
        let named = one(request_id::X_REQUEST_ID, text);
        request_id::of(&named, Timestamp::default());
        Heeded::of(&named);
    },
    &["a", ",", ";", "for=1.1.1.1,", "for=\"[", "[", ":", "1.1.1.1,", "::1,", " "],
);

const ALL: [Hard; 8] = [TEMPLATE, MARKDOWN, JSON, QUANTITY, TARGET, CONDITION, DIRECTIVES, WHO];

fn one(name: HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(
        name,
        HeaderValue::from_bytes(value.as_bytes()).expect("it can be sent"),
    )])
}

/// A piece, again and again.
fn long(piece: &str, bytes: usize) -> String {
    piece.repeat(bytes / piece.len())
}

fn read_a_mebibyte((_, read, pieces): Hard) {
    for piece in pieces {
        read(&long(piece, MIB));
    }
}

#[test]
fn a_mebibyte_of_template_is_read_in_no_time() {
    read_a_mebibyte(TEMPLATE);
}

#[test]
fn a_mebibyte_of_markdown_is_read_in_no_time() {
    read_a_mebibyte(MARKDOWN);
    // Runs of growing length, of which none closes another.
    let ticks: String = (1..1_000).map(|n| format!("{}a", "`".repeat(n))).collect();
    let stairs: String = (0..1_000).map(|n| format!("{}- a\n", "  ".repeat(n))).collect();
    let definitions: String = (0..20_000).map(|n| format!("[a{n}]: x\n\n[a{n}][b]\n")).collect();
    for file in [ticks, stairs, definitions] {
        drop(markdown::parse("stem", &file));
    }
}

#[test]
fn a_mebibyte_of_json_is_read_in_no_time() {
    read_a_mebibyte(JSON);
    let names: String = (0..MIB / 10).map(|n| format!("\"k{n}\":1,")).collect();
    assert!(content::from_json(&format!("{{{names}\"z\":1}}")).is_err());
}

/// libyaml takes quadratic time for some of these, so front matter is short.
#[test]
fn a_mebibyte_of_front_matter_is_refused_in_no_time() {
    let with = |front_matter: &str| format!("---\n{front_matter}\n---\ntext");
    for piece in [
        "[",
        "{",
        "{a: ",
        "[?",
        "{?",
        "- ",
        "? ",
        "a: &a [*a, ",
        "&a ",
        "!a ",
        "*a ",
        "'",
        "\"\\",
        "a: |\n ",
        "%TAG !a! x\n",
        "a:\n",
        "\t",
        "a: b: ",
        "<<: ",
        "# ",
    ] {
        assert!(markdown::parse("stem", &with(&long(piece, MIB))).is_err(), "{piece:?}");
    }
    for worst in ["{a: ", "[?", "{?"] {
        assert!(markdown::parse("stem", &with(&long(worst, 32_000))).is_err(), "{worst:?}");
    }
}

#[test]
fn a_mebibyte_of_a_head_is_read_in_no_time() {
    for hard in [QUANTITY, TARGET, CONDITION, DIRECTIVES, WHO] {
        read_a_mebibyte(hard);
    }
}

/// Twice the input, at most twice the memory: growing vectors double, so some slack is left.
#[test]
fn what_is_allocated_grows_no_faster_than_the_input() {
    const LEAST: usize = 32 << 10;
    for (what, read, pieces) in ALL {
        for piece in pieces {
            let [once, twice, four_times] = [LEAST, 2 * LEAST, 4 * LEAST].map(|bytes| {
                let text = long(piece, bytes);
                measure(|| read(&text)).bytes_total
            });
            let slack = 64 << 10;
            assert!(
                twice <= 2 * once + slack && four_times <= 4 * once + slack,
                "{what} of {piece:?} takes {once}, {twice}, {four_times} bytes"
            );
        }
    }
}

/// The way of a whole request, with a target and a body of 64 KiB.
#[tokio::test]
async fn no_target_and_no_variables_are_too_strange_for_an_answer() {
    let text = "{{a}} {{a.b.c}} {{b}} {{a.0.0.0}}";
    let edge = Edge::serving([prompt("greeting").text(text)]).await;
    let names: String = (0..4_000).map(|n| format!("\"{n}\":{n},")).collect();
    let nested = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));

    for (variables, status) in [
        (format!("{{{names}\"a\":1}}"), 200),
        (format!("{{\"a\":{}}}", "9".repeat(60_000)), 200),
        (format!("{{\"a\":\"{}\"}}", "\\u0000".repeat(10_000)), 200),
        (format!("{{\"a\":\"{}\"}}", "{{a}}".repeat(12_000)), 200),
        (format!("{{\"a\":1e{}}}", "9".repeat(60_000)), 200),
        (nested(100), 200),
        (nested(30_000), 400),
        ("{\"a\":".repeat(10_000), 400),
        ("\"\\".repeat(30_000), 400),
        ("[".repeat(60_000), 400),
        ("{\"a\":1,".repeat(8_000), 400),
    ] {
        let asked = exchange::query(&compiled("greeting"), &edge.live, &variables);
        let answer = edge.ask(asked).await;
        assert_eq!(answer.status, status, "{}", &variables[..20]);
    }
    for (target, status) in [
        (compiled_with("greeting", &"[".repeat(20_000)), 400),
        (format!("{}?{}", compiled("greeting"), "&a=%7B".repeat(10_000)), 200),
        (format!("{}?{}", compiled("greeting"), "%".repeat(60_000)), 200),
        (compiled(&"%41".repeat(20_000)), 404),
        (compiled(&"%".repeat(60_000)), 404),
        ("/".repeat(65_000), 404),
        (format!("/edge/v1/prompts/{}", "%2F".repeat(20_000)), 403),
    ] {
        assert_eq!(edge.get(&target, &edge.live).await.status, status, "{}", &target[..40]);
    }
}

/// A text with something of it replaced by something else that may mean something there.
fn tampered(texts: Vec<String>) -> impl Strategy<Value = String> {
    let splice = "[\\[\\]{}\"',:#&*!|>%@`~\\\\ \t\r\n0-9a-z\u{a0}é-]{0,8}|---\n|\\{\\{|\\PC{0,4}";
    (select(texts), any::<Index>(), 0..24_usize, splice).prop_map(|(text, at, length, splice)| {
        let letters: Vec<_> = text.chars().collect();
        let at = at.index(letters.len() + 1);
        let behind = (at + length).min(letters.len());
        let [before, behind] = [&letters[..at], &letters[behind..]].map(String::from_iter);
        format!("{before}{splice}{behind}")
    })
}

/// The prompts of `examples/prompts`, as they stand.
fn examples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prompts");
    let files = fs::read_dir(folder).expect("the examples are there");
    let read = |file: DirEntry| fs::read_to_string(file.path()).expect("it is text");
    files.map(|file| read(file.expect("it is listed"))).collect()
}

/// The same as bundles.
fn bundles() -> Vec<String> {
    let prompts = examples().into_iter().zip(0..).map(|(text, n)| {
        let mut prompt = markdown::parse("stem", &text).expect("it is a prompt");
        prompt.labels = vec![("stable".parse().expect("it is a label"), 1)];
        prompt.published = vec![("live".to_owned(), vec![1])];
        prompt.slug = format!("p-{n}").parse().expect("it is a slug");
        bundle::write(&[prompt])
    });
    prompts.collect()
}

/// What one edge hands to the next.
fn edition_of(content: &str) -> Value {
    let at = "2026-03-01T12:00:00.000Z";
    let id = "a1b2c3d4-e5f6-4a1b-8c3d-4e5f6a7b8c9d";
    let content = content::from_json(content).expect("it is content");
    json!({
        "project": id,
        "prompt": {
            "id": id, "number": 1, "slug": "greeting", "name": "Greeting", "description": "",
            "category": "", "visibility": "private", "tags": [], "owner": "",
            "created_at": at, "updated_at": at,
        },
        "version": {
            "id": id, "number": 1, "commit": content::commit_hash(&content), "created_at": at,
            "content": serde_json::from_str::<Value>(&content::to_json(&content)).expect("it is JSON"),
        },
        "defaults": {},
    })
}

const CONTENT: &str = r#"{"messages":[{"role":"system","content":"You are {{who}}."},{"type":"placeholder","name":"history"}],"variables":[{"name":"who","description":"","required":true,"default":[1,2.50]}],"model_config":{"model":"gpt-4o"}}"#;

proptest! {
    #[test]
    fn a_tampered_prompt_is_refused_or_read_as_one(file in tampered(examples())) {
        if let Ok(prompt) = markdown::parse("stem", &file) {
            let written = bundle::write(std::slice::from_ref(&prompt));

            prop_assert_eq!(bundle::read(&written).unwrap(), [prompt], "{}", written);
        }
    }

    #[test]
    fn a_tampered_bundle_is_refused_or_read_as_it_stands(file in tampered(bundles())) {
        if let Ok(prompts) = bundle::read(&file) {
            prop_assert_eq!(bundle::read(&bundle::write(&prompts)).unwrap(), prompts);
        }
    }

    #[test]
    fn tampered_content_is_refused_or_read_as_it_stands(
        json in tampered(vec![CONTENT.to_owned()]),
    ) {
        if let Ok(read) = content::from_json(&json) {
            prop_assert_eq!(content::from_json(&content::to_json(&read)).unwrap(), read);
        }
    }

    #[test]
    fn a_tampered_edition_is_refused_or_read_as_it_stands(
        json in tampered(vec![edition_of(CONTENT).to_string()]),
    ) {
        let Ok(json) = serde_json::from_str(&json) else { return Ok(()) };
        if let Ok(read) = edition::read(json) {
            let again = serde_json::from_slice(&edition::write(&read)).unwrap();
            prop_assert_eq!(edition::read(again).unwrap(), read);
        }
    }
}

const MIB: usize = 1 << 20;
