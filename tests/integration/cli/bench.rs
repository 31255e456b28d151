//! `bench` over real sockets: what it asks, what it says, and that what it says is so.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::harness::authority::Authority;
use crate::harness::process::{Folder, Server};
use crate::harness::vendor::{Fault, Said, Vendor};

/// A served edge with three prompts.
struct Edge {
    folder: Folder,
    server: Server,
    key: String,
}

impl Edge {
    fn new() -> Self {
        let folder = Folder::with_project();
        for slug in ["greeting", "farewell", "refusal"] {
            folder.publish(slug, "You say hello to {{name}}.");
        }
        let key = folder.key("live");
        let server = folder.serve("");
        Self { folder, server, key }
    }

    /// Asks it without a warm-up, with the key in the variable.
    fn bench(&self, more: &str) -> crate::harness::process::Ended {
        let line = format!("bench http://{} --warm-up 0s {more}", self.server.address);
        self.folder.run_with(&line, &[("PROMPT_EDGE_KEY", &self.key)])
    }

    fn measured(&self, more: &str) -> Value {
        let json = self.bench(&format!("{more} --json -")).done();
        serde_json::from_str(&json).expect("standard output is JSON")
    }
}

async fn vendor() -> Vendor {
    Vendor::start(|_| Said::json(json!({})).with("etag", "\"1\"")).await
}

fn measured(folder: &Folder, line: &str) -> Value {
    let json = folder.run(&format!("bench {line} --warm-up 0s --json -")).done();
    serde_json::from_str(&json).expect("standard output is JSON")
}

fn targets(vendor: &Vendor) -> Vec<String> {
    vendor.asked().into_iter().map(|asked| asked.target).collect()
}

#[test]
fn an_edge_is_asked_at_a_rate_and_the_table_says_how_it_was() {
    let edge = Edge::new();

    let line = r#"--slug greeting --variables {"name":"Ada"} --rate 2000 --requests 100"#;
    let ended = edge.bench(line);
    let (progress, table) = (ended.stderr.clone(), ended.done());

    let rows: Vec<_> = table.lines().map(|l| l.split_whitespace().collect::<Vec<_>>()).collect();
    for row in [
        &["asked", "rate", "2,000/s"][..],
        &["requests", "100"],
        &["status", "200", "100"],
        &["errors", "0"],
    ] {
        assert!(rows.iter().any(|found| found == row), "{row:?} is missing in:\n{table}");
    }
    for title in ["achieved rate", "p50", "p90", "p99", "p99.9", "max", "mean", "generator's lag"] {
        assert!(table.contains(&format!("\n{title} ")), "{title} is missing in:\n{table}");
    }
    assert!(table.contains("latency counts from when a request was due"), "{table}");
    assert!(!format!("{table}{progress}").contains(&edge.key), "the key is nobody's business");
}

#[test]
fn without_a_rate_the_table_says_that_stalls_are_left_out() {
    let table = Edge::new().bench(r#"--slug greeting --distinct name=5 --requests 20"#).done();

    assert!(table.contains("closed loop: latencies are service times"), "{table}");
    assert!(!table.contains("lag"), "nothing was due at any time:\n{table}");
}

#[test]
fn a_share_of_requests_knows_its_answer() {
    let edge = Edge::new();
    let variables = r#"--variables {"name":"Ada"} --connections 1"#;

    let all = edge.measured(&format!("--slug greeting {variables} --requests 20 --not-modified 1"));
    let half =
        edge.measured(&format!("--slug greeting {variables} --requests 200 --not-modified 0.5"));

    assert_eq!(all["targets"][0]["total"]["statuses"], json!({"200": 1, "304": 19}));
    let not_modified = half["targets"][0]["total"]["statuses"]["304"].as_u64();
    assert!(not_modified.is_some_and(|count| (70..130).contains(&count)), "{not_modified:?}");
}

#[test]
fn results_are_as_their_schema_says() {
    let edge = Edge::new();
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/bench.schema.json");
    let schema = std::fs::read_to_string(schema).expect("the schema is there");
    let schema = serde_json::from_str(&schema).expect("the schema is JSON");
    let schema = jsonschema::validator_for(&schema).expect("the schema is one");
    let more = r#"--slug greeting,farewell --variables {"name":"Ada"} --connections 2"#;

    let one = edge.measured(&format!("{more} --duration 50ms --rate 1000"));
    let line = format!("{more} --requests 20 --vs http://{} --json -", edge.server.address);
    let refused = edge.bench(&line);
    let two: Value = serde_json::from_str(&refused.stdout).expect("standard output is JSON");

    refused.failed(1);
    for document in [&one, &two] {
        let problems: Vec<_> = schema.iter_errors(document).map(|e| e.to_string()).collect();
        assert!(problems.is_empty(), "{problems:?} in {document:#}");
    }
    assert_eq!(one["targets"][0]["total"]["requests"], 50, "as many as were due");
    assert_eq!(one["ratios"], json!({}));
    assert_eq!(two["targets"][1]["total"]["statuses"], json!({"401": 20}), "it has no key");
    let rounds = two["targets"][0]["rounds"].as_array().expect("rounds are a list");
    assert_eq!(rounds.iter().map(|round| &round["requests"]).collect::<Vec<_>>(), [4; 5]);
}

#[test]
fn a_plot_is_an_svg_with_both_targets() {
    let edge = Edge::new();
    let more = r#"--slug greeting --variables {"name":"Ada"} --rate 5000 --requests 50"#;
    let (address, key) = (edge.server.address, &edge.key);

    edge.bench(&format!("{more} --vs http://{address} --vs-key {key} --plot a.svg")).done();

    let svg = edge.folder.read("a.svg");
    assert!(is_well_formed(&svg), "{svg}");
    let legend = format!("http://{address}");
    assert_eq!(svg.matches(&legend).count(), 2, "{svg}");
}

/// Whether every element that is opened is closed, in order.
fn is_well_formed(svg: &str) -> bool {
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let Some((tag, _)) = tag.split_once('>') else { return false };
        let name = tag.split([' ', '\n', '/']).next().unwrap_or_default();
        if let Some(closed) = tag.strip_prefix('/') {
            if open.pop() != Some(closed) {
                return false;
            }
        } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) {
            open.push(name);
        }
    }
    open.is_empty() && svg.starts_with("<svg ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_seed_asks_the_same_again() {
    let vendor = vendor().await;
    let folder = Folder::new();
    folder.write("slugs", "a\n\nb/c\nd\n");
    folder.write("vars.jsonl", "{\"name\": \"Ada\"}\n{\"name\": \"Eve\"}\n");
    let line = format!(
        "{}/p/{{slug}} --slugs-file slugs --variables vars.jsonl --zipf 1.1 --connections 1 \
         --requests 30",
        vendor.url()
    );

    for seed in [7, 7, 8] {
        measured(&folder, &format!("{line} --seed {seed}"));
    }

    let asked = targets(&vendor);
    let [first, second, third] = [0, 30, 60].map(|at| &asked[at..at + 30]);
    assert_eq!(first, second);
    assert_ne!(first, third);
    let ada = "/p/b%2Fc?variables=%7B%22name%22%3A%22Ada%22%7D";
    assert!(asked.iter().any(|target| target == ada), "{asked:?}");
    let of = |slug: &str| asked.iter().filter(|target| target.starts_with(slug)).count();
    assert!(of("/p/a?") > of("/p/d?"), "the first is the most popular");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn another_target_is_asked_the_same_but_not_with_the_key_of_the_first() {
    let (first, second) = (vendor().await, vendor().await);
    let folder = Folder::new();
    folder.write("vs.key", "pk_second\n");

    let line = format!(
        "{}/x/{{slug}} --slug a,b,c --key pk_first --header X-Mine:1 --connections 1 \
         --requests 12 --rounds 3 --vs {} --vs-key-file vs.key --vs-header X-Theirs:1",
        first.url(),
        second.url()
    );
    let found = measured(&folder, &line);

    assert_eq!(targets(&first), targets(&second));
    for (vendor, key, own, other) in [
        (&first, "Bearer pk_first", "x-mine", "x-theirs"),
        (&second, "Bearer pk_second", "x-theirs", "x-mine"),
    ] {
        for asked in vendor.asked() {
            assert_eq!(asked.headers["authorization"], key);
            assert_eq!(asked.headers["host"], vendor.address().to_string());
            assert!(asked.headers.contains_key(own) && !asked.headers.contains_key(other));
        }
    }
    assert_eq!(found["targets"][1]["rounds"].as_array().map(Vec::len), Some(3));
    let table = folder.run(&format!("bench {line} --warm-up 0s")).done();
    assert!(table.contains("1st ÷ 2nd") && table.contains(" – "), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_closes_connections_is_asked_on_new_ones() {
    let vendor = Vendor::start(|_| Said::status(200).with("connection", "close")).await;

    let line = format!("{}/x --connections 2 --requests 10 --rate 1000", vendor.url());
    let found = measured(&Folder::new(), &line);

    assert_eq!(found["targets"][0]["total"]["statuses"], json!({"200": 10}), "{found:#}");
    assert!(vendor.connection_count() >= 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_that_does_not_come_is_given_up_and_counted() {
    let vendor = vendor().await;
    vendor.fail_with(Fault::BlackHole);
    let folder = Folder::new();
    let line = format!("bench {}/x --connections 2 --timeout 40ms --warm-up 0s", vendor.url());

    let ended = folder.run(&format!("{line} --requests 3 --json a.json"));
    let (table, said) = (ended.stdout.clone(), ended.failed(1));

    let found: Value = serde_json::from_str(&folder.read("a.json")).expect("JSON");
    let total = &found["targets"][0]["total"];
    assert_eq!(total["errors"], json!({"timeout": 3}));
    assert!(total["latency_ns"]["min"].as_u64() >= Some(40_000_000), "{total}");
    assert!(table.contains("error: timeout"), "{table}");
    assert!(said.ends_with(" gave no answer of status 2xx or 304\n"), "{said}");
}

#[test]
fn nothing_but_refusals_is_a_failure_that_shows_them() {
    let edge = Edge::new();
    let line = format!("bench http://{} --warm-up 0s", edge.server.address);

    let ended = edge.folder.run(&format!("{line} --slug greeting --requests 4 --key pk_live_no"));
    let (table, said) = (ended.stdout.clone(), ended.failed(1));

    assert!(table.contains("status 401"), "{table}");
    assert!(said.contains("warning: ") && said.contains("4 of 4 answers are neither"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn http_2_is_spoken_in_clear_text() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("the listener has an address");
    let mut serving = JoinSet::new();
    serving.spawn(serve_http2(listener));

    let line = format!("http://{address}/x --http2 --connections 2 --streams 4 --requests 40");
    let closed = measured(&Folder::new(), &line);
    let open = measured(&Folder::new(), &format!("{line} --rate 2000"));

    for found in [closed, open] {
        let total = &found["targets"][0]["total"];
        assert_eq!(total["statuses"], json!({"200": 40}), "{found:#}");
        assert_eq!(total["body_bytes"], 40 * address.to_string().len(), "it saw the authority");
    }
}

/// Answers with the authority that was asked, over HTTP/2 alone.
async fn serve_http2(listener: TcpListener) {
    let answer = |request: Request<Incoming>| async move {
        assert_eq!(request.version(), Version::HTTP_2);
        let authority = request.uri().authority().map_or(String::new(), ToString::to_string);
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(authority))))
    };
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let builder = http2::Builder::new(TokioExecutor::new());
        let connection = builder.serve_connection(TokioIo::new(stream), service_fn(answer));
        // Whoever has its answers leaves as it likes.
        connections.spawn(async move { drop(connection.await) });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_behind_tls_is_asked_if_it_is_trusted() {
    let authority = Authority::new();
    let vendor = Vendor::start_secured(authority.server("localhost"), |_| Said::status(200)).await;
    let port = vendor.address().port();
    let ca = authority.ca();
    let (url, ca) = (format!("https://localhost:{port}/x"), ca.display());
    let folder = Folder::new();

    let found = measured(&folder, &format!("{url} --ca {ca} --requests 5"));
    let stranger = folder.run(&format!("bench {url} --requests 5")).failed(1);
    let older = folder.run(&format!("bench {url} --ca {ca} --http2 --requests 5")).failed(1);

    assert_eq!(found["targets"][0]["total"]["statuses"], json!({"200": 5}));
    assert!(stranger.contains(" cannot be reached: invalid peer certificate"), "{stranger}");
    assert!(older.contains(" cannot be reached: the server does not speak HTTP/2"), "{older}");
}

#[test]
fn a_target_that_nobody_serves_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address: SocketAddr = listener.local_addr().expect("the listener has an address");
    drop(listener);

    let ended = Folder::new().run(&format!("bench http://{address}/x"));

    assert_eq!(ended.stdout, "");
    let said = ended.failed(1);
    assert!(said.starts_with(&format!("error: http://{address} cannot be reached: ")), "{said}");
}

#[test]
fn a_wrong_argument_is_named_with_what_would_be_right() {
    let folder = Folder::new();
    folder.write("empty", "\n");
    folder.write("bad.jsonl", "{}\n[1]\n");

    for (line, flag, remedy) in [
        ("localhost:7080/x", "`URL`", "expected http:// or https://"),
        ("http://me:pw@localhost/x", "`URL`", "give the key by `--key-file`"),
        (
            "http://localhost",
            "`URL`",
            "write the whole URL of a prompt, or name prompts by `--slug`",
        ),
        ("http://localhost/{slug}", "`URL`", "name one or more by `--slug`"),
        ("http://localhost/x --slug a", "`URL`", "write {slug} into its path"),
        ("http://localhost/x --vs ftp://x", "`--vs`", "expected http://"),
        ("http://localhost/x --vs http://localhost/{slug}", "`--vs`", "`--slug`"),
        ("http://localhost/x --rate 0", "--rate", "from 0.01"),
        ("http://localhost/x --zipf much", "--zipf", "a number from 0 to 10"),
        ("http://localhost/x --not-modified 2", "--not-modified", "a share from 0 to 1"),
        ("http://localhost/x --duration 10", "--duration", "one of ms, s, m, h, d"),
        ("http://localhost/x --duration 0s", "--duration", "more than nothing"),
        ("http://localhost/x --duration 1s --requests 5", "--duration", "--requests"),
        ("http://localhost/x --connections 0", "--connections", "from 1"),
        ("http://localhost/x --connections 2 --threads 3", "--connections", "at least as many"),
        ("http://localhost/x --streams 3", "--http2", "required"),
        ("http://localhost/x --rounds 3", "--vs", "required"),
        ("http://localhost/x --requests 3 --vs http://localhost", "--requests", "5 rounds"),
        ("http://localhost/x --header nonsense", "`--header`", "a name, a colon and a value"),
        ("http://localhost/x --variables {]", "--variables", "expected a JSON object"),
        ("http://localhost/x --variables bad.jsonl", "--variables", "line 2: expected a JSON"),
        ("http://localhost/x --variables none.jsonl", "--variables", "cannot be read"),
        ("http://localhost/x --distinct name", "--distinct", "such as name=1000"),
        ("http://localhost/x --slugs-file empty", "--slugs-file", "write one on each line"),
        ("http://localhost/x --key-file none", "--key-file", "none cannot be read"),
        ("http://localhost/x --key-file empty", "--key-file", "one line of visible ASCII"),
        ("http://localhost/x --ca none", "`--ca`", "none cannot be read"),
        ("http://localhost/x --ca empty", "`--ca`", "holds no certificate in PEM"),
    ] {
        let ended = folder.run(&format!("bench {line}"));
        assert_eq!(ended.stdout, "", "`{line}` has no result");
        let message = ended.failed(64);
        assert!(message.contains(flag) && message.contains(remedy), "`{line}`: {message}");
        assert!(message.contains("--help"), "`{line}`: {message}");
        assert!(!message.contains("nonsense"), "a header may be a secret: {message}");
    }
}

/// A variable that is set for good must not stand in the way of a run that does not need it.
#[test]
fn the_key_of_another_target_can_be_set_without_one() {
    let edge = Edge::new();
    let line = format!("bench http://{} --slug greeting --requests 2", edge.server.address);
    let line = format!("{line} --variables {{\"name\":\"Ada\"}} --warm-up 0s");

    let variables = [("PROMPT_EDGE_KEY", edge.key.as_str()), ("PROMPT_EDGE_VS_KEY", "pk_other")];
    edge.folder.run_with(&line, &variables).done();
}
