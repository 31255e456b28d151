//! Whether a project's flood is felt by its neighbour, over loopback sockets.
//!
//! Project B asks 1,000 times a second on four connections: every fourth request brings variables
//! that nobody had before and is rendered, the others are hits. In turns it is alone, and beside
//! project A, which asks 5,000 times a second on four connections of its own: 50 times the 100 a
//! second of its plan, always with new variables. Both send when a request is due and not when the
//! last one was answered, and latency counts from that moment, so a queue shows.
//!
//! Prints B's p50 and p99 of every round, and the least and the median of them. The machine is
//! shared by the edge and both callers: on two cores the flood also takes processor time that an
//! edge of its own would have.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to say")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::disallowed_methods, reason = "a caller at a fixed rate needs a clock and sleeps")]

#[expect(dead_code, reason = "only the prompt is needed: the edge here has sockets")]
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use prompt_edge::app::{Edge, Haste, Opened};
use prompt_edge::authoring::Authoring;
use prompt_edge::clock::SystemClock;
use prompt_edge::compile::tokens;
use prompt_edge::config::Config;
use prompt_edge::formats::markdown;
use prompt_edge::model::{Plan, PlanName, Rate};
use prompt_edge::origins::Store;
use prompt_edge::origins::sqlite::{self, SqliteStore};
use prompt_edge::server::{Inherited, ListenerConfig};

const ROUNDS: usize = 6;
const PHASE: Duration = Duration::from_millis(1_500);
const CONNECTIONS: u32 = 4;
const B_PER_SECOND: u32 = 1_000;
const A_PLAN_PER_SECOND: u32 = 100;
const A_PER_SECOND: u32 = 50 * A_PLAN_PER_SECOND;

fn main() {
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let store = SqliteStore::open(sqlite::Config::at(folder.path().join("bench.db")));
    let sqlite = Arc::new(store.expect("the store opens"));
    let store: Arc<dyn Store> = sqlite.clone();
    let config = config();
    let [a, b] = ["flooding", "quiet"]
        .map(|name| runtime.block_on(fill(&store, name, config.limits.plans.keys().cloned())));
    tokens::warm();
    let clock = Arc::new(SystemClock::default());
    let opened = Opened { store, ledger: sqlite, origins: Vec::new() };
    let started = runtime.block_on(Edge::start(&config, opened, Inherited::default(), clock));
    let edge = started.expect("the edge starts");
    let address = edge.address().expect("it listens on TCP");

    // What the first requests cost is not meant.
    ask_until_told(address, &b, B_PER_SECOND, PHASE / 3);
    let mut alone = Vec::new();
    let mut beside = Vec::new();
    let mut flood = Vec::new();
    for round in 1..=ROUNDS {
        alone.push(Figures::of(ask_until_told(address, &b, B_PER_SECOND, PHASE).0));
        let (figures, asked) = thread::scope(|scope| {
            let flooding = scope.spawn(|| ask_until_told(address, &a, A_PER_SECOND, PHASE));
            let figures = Figures::of(ask_until_told(address, &b, B_PER_SECOND, PHASE).0);
            (figures, flooding.join().expect("the flood ends").1)
        });
        beside.push(figures);
        flood.push(asked);
        if let (Some(one), Some(two)) = (alone.last(), beside.last()) {
            let [one, two] = [one, two].map(|f: &Figures| format!("{} / {}", f.p50, f.p99));
            println!("round {round}: p50 / p99 of B alone {one} us, beside the flood {two} us");
        }
    }
    runtime.block_on(edge.stop(Haste::Now));

    let refused: u64 = flood.iter().map(|asked| asked.refused).sum();
    let asked: u64 = flood.iter().map(|asked| asked.all).sum();
    let per_second = asked as f64 / (PHASE.as_secs_f64() * ROUNDS as f64);
    println!("A asked {per_second:.0} times a second, {refused} of {asked} were refused");
    for (name, figure) in [("p50", (|f| f.p50) as fn(&Figures) -> u64), ("p99", |f| f.p99)] {
        let [alone, beside] = [&alone, &beside].map(|rounds| rounds.iter().map(figure));
        // Other work on the machine only ever adds: the least is what the edge itself takes.
        for (of, [alone, beside]) in [
            ("least", [alone.clone().min(), beside.clone().min()].map(Option::unwrap_or_default)),
            ("median", [median(alone), median(beside)]),
        ] {
            let ratio = beside as f64 / alone as f64;
            println!("{name} of B, {of}: alone {alone} us, beside {beside} us, ratio {ratio:.2}");
        }
    }
}

/// B's plan has no limit; A's is a hundred a second.
fn config() -> Config {
    let mut config = Config::default();
    config.admin.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.listeners = vec![ListenerConfig::clear(config.admin.listen)];
    let per_second = NonZeroU32::new(A_PLAN_PER_SECOND).expect("it is not zero");
    for (name, rate) in
        [("flooding", Some(Rate { per_second, burst: per_second })), ("quiet", None)]
    {
        let name = PlanName::new(name);
        let plan = Plan {
            name: name.clone(),
            requests_per_month: NonZeroU64::new(1_000_000_000),
            rate,
            key_rate: None,
            weight: NonZeroU32::MIN,
        };
        config.limits.plans.insert(name, plan);
    }
    config
}

/// Makes a project on the plan of its name, with one published prompt; returns a key for it.
async fn fill(store: &Arc<dyn Store>, name: &str, plans: impl Iterator<Item = PlanName>) -> String {
    let clock = Arc::new(SystemClock::default());
    let authoring = Authoring::new(Arc::clone(store), plans.collect(), clock);
    let project = authoring.create_project(name, name).await.expect("it can be made");
    let text = support::prompt(1024, 5);
    let prompt = markdown::parse("greeting", &text).expect("it is a prompt");
    let imported = authoring.import(&project, Vec::from([prompt]), Some("live")).await;
    imported.expect("it can be imported");
    let issued = authoring.issue_key(name, "live", "", None).await;
    issued.expect("a key can be issued").0.reveal().to_owned()
}

/// What was asked, and how often the answer was 429.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    all: u64,
    refused: u64,
}

/// Asks at a rate for a while; returns all latencies in microseconds.
fn ask_until_told(
    address: SocketAddr,
    key: &str,
    per_second: u32,
    phase: Duration,
) -> (Vec<u64>, Asked) {
    let is_over = AtomicBool::new(false);
    let latencies = thread::scope(|scope| {
        let callers: Vec<_> = (0..CONNECTIONS)
            .map(|nth| {
                let is_over = &is_over;
                let between = Duration::from_secs(1) * CONNECTIONS / per_second;
                let first = between * nth / CONNECTIONS;
                scope.spawn(move || ask(address, key, (first, between), is_over))
            })
            .collect();
        thread::sleep(phase);
        is_over.store(true, Ordering::Relaxed);
        let ended = callers.into_iter().map(|caller| caller.join().expect("a caller ends"));
        ended.collect::<Vec<_>>()
    });
    let mut all = Vec::new();
    let mut asked = Asked::default();
    for (latencies, refused) in latencies {
        asked.all += latencies.len() as u64;
        asked.refused += refused;
        all.extend(latencies);
    }
    (all, asked)
}

/// One connection's requests: latencies in microseconds, and how many were refused.
fn ask(
    address: SocketAddr,
    key: &str,
    (first, between): (Duration, Duration),
    is_over: &AtomicBool,
) -> (Vec<u64>, u64) {
    static NEW: AtomicU64 = AtomicU64::new(0);
    let mut stream = TcpStream::connect(address).expect("the edge listens");
    stream.set_nodelay(true).expect("it is a TCP socket");
    let floods = between < Duration::from_millis(1);
    let mut due = Instant::now() + first;
    let (mut latencies, mut refused) = (Vec::new(), 0);
    let mut buffer = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let is_new = floods || latencies.len() % 4 == 0;
        let user = if is_new { NEW.fetch_add(1, Ordering::Relaxed) + 1 } else { 0 };
        let request = format!(
            "GET /api/v1/prompts/greeting/compiled?variables=%7B%22user_name%22%3A%22{user}%22%7D \
             HTTP/1.1\r\nhost: edge\r\nauthorization: Bearer {key}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("the edge reads");
        let status = read(&mut stream, &mut buffer);
        refused += u64::from(status == 429);
        let took = due.elapsed();
        latencies.push(u64::try_from(took.as_micros()).expect("it is not for ever"));
        due += between;
    }
    (latencies, refused)
}

/// Reads one whole answer and returns its status.
fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> u16 {
    buffer.clear();
    let mut chunk = [0; 8192];
    loop {
        let count = stream.read(&mut chunk).expect("an answer comes");
        assert_ne!(count, 0, "the edge keeps the connection");
        buffer.extend(chunk.iter().take(count));
        let text = String::from_utf8_lossy(buffer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|n| n.parse().ok()).expect("it says how long it is");
        if body.len() >= length {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            return status.expect("it has a status");
        }
    }
}

/// Quantiles of one phase, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Figures {
    p50: u64,
    p99: u64,
}

impl Figures {
    fn of(mut latencies: Vec<u64>) -> Self {
        latencies.sort_unstable();
        let at = |share: usize| latencies.get(latencies.len() * share / 100).copied();
        Self { p50: at(50).unwrap_or_default(), p99: at(99).unwrap_or_default() }
    }
}

fn median(figures: impl Iterator<Item = u64>) -> u64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
