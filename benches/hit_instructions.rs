//! A whole hit in instructions: a number that a busy machine does not change.
//!
//! ```sh
//! cargo bench --bench hit_instructions              # compares, and fails at 2 % above
//! cargo bench --bench hit_instructions -- --save    # makes this the number to compare with
//! ```
//!
//! An edge serves a loopback socket on a runtime of one thread; a client in another thread sends
//! the same bytes again and again. So an iteration is hyper's parsing, the service, and hyper's
//! writing, besides some hundred instructions of the client, which are in every row. What an
//! iteration costs is the difference of two runs under callgrind, divided by the difference of
//! their requests: start and setup cancel out. What the background does meanwhile is in it.
//!
//! | row | what |
//! |---|---|
//! | `200` | a hit, on a plan without limits |
//! | `200_limited` | the same, on a plan that limits rate and month; leases are renewed as usual |
//! | `304` | a hit, from a caller that has the answer |
//! | `bare_200`, `bare_304` | `support/bare.rs` with the header timer, in the same way |
//!
//! `benches/hit_instructions.txt` holds the committed numbers. They are of the bench profile on
//! x86-64 and move with the compiler and the dependencies too: a commit that updates either saves
//! them anew. Runs of one binary differ by up to half a percent: maps are seeded, and the
//! background has its own pace. Valgrind shows a processor without instructions for SHA-256.
//!
//! For one row alone, such as `callgrind_annotate --inclusive=yes` wants it: the executable that
//! `cargo bench --no-run` names, with a row and a number of requests, under
//! `valgrind --tool=callgrind`.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to say")]
#![expect(clippy::print_stdout, reason = "a bench prints what it finds")]

#[path = "support/bare.rs"]
mod bare;
#[expect(dead_code, reason = "the edge without sockets is for the other benches")]
mod support;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::future::ready;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prompt_edge::app;
use prompt_edge::clock::SystemClock;
use prompt_edge::config::Config;
use prompt_edge::model::PlanName;
use prompt_edge::server::{Inherited, ListenerConfig};
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};

use bare::Bare;
use support::{Stocked, limited, seldom_renewed};

/// Every row, and the one it is a multiple of.
const ROWS: [(&str, &str); 5] = [
    ("200", "bare_200"),
    ("200_limited", "bare_200"),
    ("304", "bare_304"),
    ("bare_200", "bare_200"),
    ("bare_304", "bare_304"),
];

/// How many requests the two runs of a row have.
const FEW: u64 = 2_000;
const MANY: u64 = 22_000;

/// As much above the committed number is a failure.
const TOLERANCE_PERCENT: u64 = 2;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/hit_instructions.txt");

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [row, requests, ..] = &*arguments
        && let Ok(requests) = requests.parse()
    {
        run(row, requests);
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("valgrind is not installed: nothing is counted");
        return ExitCode::SUCCESS;
    }

    let found: BTreeMap<_, _> = ROWS.map(|(row, _)| (row, cost_of(row))).into();
    if arguments.iter().any(|argument| argument == "--save") {
        let lines = found.iter().map(|(row, instructions)| format!("{row} {instructions}\n"));
        fs::write(COMMITTED, lines.collect::<String>()).expect("the numbers can be written");
    }
    let committed = fs::read_to_string(COMMITTED).unwrap_or_default();
    let is_good = report(&found, &committed);
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints a line for each row. Returns whether none has become more expensive.
fn report(found: &BTreeMap<&str, u64>, committed: &str) -> bool {
    let mut is_good = true;
    println!(
        "{:<12} {:>13} {:>10} {:>8} {:>7}",
        "row", "instructions", "committed", "change", "bare"
    );
    for (row, base) in ROWS {
        let (now, bare) = (found.get(row).copied(), found.get(base).copied());
        let (now, bare) = (now.unwrap_or_default(), bare.unwrap_or_default());
        let before = committed.lines().filter_map(|line| line.split_once(' '));
        let before = before.filter(|(name, _)| *name == row).find_map(|(_, n)| n.parse().ok());
        // What is not committed is not held down: as bad as being above it.
        let before: u64 = before.unwrap_or_default();
        let is_worse = now * 100 > before * (100 + TOLERANCE_PERCENT);
        // What hyper alone costs is not ours to hold down.
        is_good &= !is_worse || row.starts_with("bare");
        println!(
            "{row:<12} {now:>13} {before:>10} {:>+7.2}% {:>6.3}x{}",
            (now as f64 / before as f64 - 1.0) * 100.0,
            now as f64 / bare as f64,
            if is_worse { "  more than is committed" } else { "" },
        );
    }
    is_good
}

/// Instructions for each request.
fn cost_of(row: &str) -> u64 {
    let [few, many] = [FEW, MANY].map(|requests| collected(row, requests));
    many.saturating_sub(few) / (MANY - FEW)
}

/// Instructions of a whole run.
fn collected(row: &str, requests: u64) -> u64 {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let out = format!("--callgrind-out-file={}", folder.path().join("out").display());
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", &out])
        .arg(std::env::current_exe().expect("it is running"))
        .args([row, &requests.to_string()])
        .output()
        .expect("valgrind runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{row}: {said}");
    let number =
        said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    number.expect("callgrind says what it collected")
}

/// Serves so many requests of a row.
fn run(row: &str, requests: u64) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let is_known = row.ends_with("304");
    match row {
        "200" | "304" => {
            let plan = PlanName::new("enterprise");
            serve_edge(&runtime, &plan, seldom_renewed(), is_known, requests);
        }
        "200_limited" => {
            let (plan, config) = limited(Config::default());
            serve_edge(&runtime, &plan, config, is_known, requests);
        }
        "bare_200" | "bare_304" => serve_bare(&runtime, is_known, requests),
        other => panic!("{other} is no row: see the first lines of this file"),
    }
    println!("{row}: {requests} requests");
}

fn serve_edge(
    runtime: &Runtime,
    plan: &PlanName,
    mut config: Config,
    is_known: bool,
    requests: u64,
) {
    let stocked = Stocked::with(runtime, plan);
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (config.listeners, config.admin.listen) = (vec![ListenerConfig::clear(any)], any);
    config.server.workers = 1;
    config.server.drain.delay = Duration::ZERO;
    let clock = Arc::new(SystemClock::ticking().expect("there is a thread left"));
    let edge =
        runtime.block_on(app::Edge::start(&config, stocked.opened(), Inherited::default(), clock));
    let edge = edge.expect("it starts");
    let address = edge.address().expect("it is one of TCP");
    let key = stocked.token.clone();

    let client = runtime.spawn_blocking(move || ask(address, &key, is_known, requests));
    runtime.block_on(client).expect("every request is answered");
    runtime.block_on(edge.stop(app::Haste::Now));
}

fn serve_bare(runtime: &Runtime, is_known: bool, requests: u64) {
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let listener = listener.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let client = runtime.spawn_blocking(move || ask(address, BARE_KEY, is_known, requests));

    runtime.block_on(async {
        let (stream, _) = listener.accept().await.expect("the client comes");
        stream.set_nodelay(true).expect("it is TCP");
        let bare = Bare::new(BARE_BYTES);
        let answer = service_fn(|request| ready(Ok::<_, Infallible>(bare.answer(&request))));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(10))
            .serve_connection(TokioIo::new(stream), answer);
        connection.await.expect("the client leaves in peace");
        client.await.expect("every request is answered");
    });
}

/// As long as a key of the edge, and as its answer.
const BARE_KEY: &str = "pk_live_0123456789abcdef0123456789abcdef0123456789a";
const BARE_BYTES: usize = 1_300;

/// Asks again and again over one connection, and checks that the last answer is a hit.
fn ask(address: SocketAddr, key: &str, is_known: bool, requests: u64) {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("it is TCP");
    let request = |condition: &str| {
        format!(
            "GET /api/v1/prompts/greeting/compiled?variables=%7B%22user_name%22%3A%22Ada%22%7D \
             HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n{condition}\r\n"
        )
    };
    let plain = request("");
    // The second answer is a hit, and as long as any that follows.
    let answers = [&plain, &plain].map(|request| answer_to(&stream, request));
    let [_, hit] = answers;
    let (request, hit) = if is_known {
        let tag = hit.lines().find_map(|line| line.strip_prefix("etag: "));
        let request = request(&format!("if-none-match: {}\r\n", tag.expect("it has a tag")));
        let hit = answer_to(&stream, &request);
        (request, hit)
    } else {
        (plain, hit)
    };
    let status = if is_known { "HTTP/1.1 304" } else { "HTTP/1.1 200" };

    let mut answer = vec![0; hit.len()];
    for _ in 0..requests {
        (&stream).write_all(request.as_bytes()).expect("it takes requests");
        (&stream).read_exact(&mut answer).expect("it answers");
        assert!(answer.starts_with(status.as_bytes()), "an answer differs from the one before");
    }
    assert!(hit.contains("prompt-edge; hit"), "{hit}");
}

/// One answer, whatever its length.
fn answer_to(mut stream: &TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).expect("it takes requests");
    let mut answer = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let length = stream.read(&mut bytes).expect("it answers");
        assert!(length > 0, "it left: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(bytes.get(..length).unwrap_or_default());
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let is_whole = length.is_none_or(|length| length.parse() == Ok(body.len()));
        if is_whole {
            return text.into_owned();
        }
    }
}
