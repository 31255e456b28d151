//! Every deadline of a connection, on a clock that stands still.

use std::sync::Mutex;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep_until, timeout};

use super::*;
use crate::server::reply::Reply;

/// How long an answer to `/big` is, in bytes.
const BIG: usize = 512 << 10;

/// The longest time between two looks at a connection.
const LOOK: Duration = Duration::from_secs(2);

/// How much a peer or we can send ahead, in bytes.
const AHEAD: usize = 1 << 10;

/// Answers at once, at `/slow` after a minute.
#[derive(Debug, Default)]
struct Hello(Mutex<u32>);

impl Service for Hello {
    fn call(&self, request: Request<Incoming>, _: &Peer) -> Reply {
        *self.0.lock().unwrap() += 1;
        let len = if request.uri().path() == "/big" { BIG } else { 5 };
        let response = Response::new(Full::new(Bytes::from(vec![b'x'; len])));
        if request.uri().path() == "/slow" {
            let then = Instant::now() + Duration::from_secs(60);
            return Reply::Later(Box::pin(async move {
                sleep_until(then).await;
                response
            }));
        }
        Reply::now(response)
    }

    fn refuse(
        &self,
        _: &Request<Incoming>,
        refused: Response<Full<Bytes>>,
    ) -> Response<Full<Bytes>> {
        refused
    }
}

impl Stream for DuplexStream {
    /// What is not taken goes with the pipe.
    fn abandon(&self) {}
}

/// A peer, and the connection it has.
struct Peering {
    peer: DuplexStream,
    served: JoinHandle<()>,
    drain: Drain,
    began: Instant,
}

impl Peering {
    fn over(protocol: Protocol) -> Self {
        let (peer, stream) = duplex(AHEAD);
        let drain = Drain::default();
        let (peer_is, service) = (Peer::at([127, 0, 0, 1].into()), Arc::new(Hello::default()));
        let (config, place) = (Arc::new(Config::default()), ());
        let terms = Terms { service, config, drain: drain.clone(), place };
        let served = drain.tasks().spawn(serve(stream, (protocol, peer_is), terms));
        Self { peer, served, drain, began: Instant::now() }
    }

    fn new() -> Self {
        Self::over(Protocol::Unsaid)
    }

    /// Tells it to stop, and waits for nothing.
    fn stop(&self) {
        let drain = self.drain.clone();
        // A tenth of it is how long somebody who asks nothing is waited for.
        let mut stopping = Box::pin(async move { drain.finish(10 * PARTING).await });
        let stopped = stopping.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(stopped.is_pending(), "the connection is there");
        Handle::current().spawn(stopping);
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.peer.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads up to the end of a phrase.
    async fn until(&mut self, phrase: &str) {
        let mut read = Vec::new();
        while !read.ends_with(phrase.as_bytes()) {
            read.push(self.peer.read_u8().await.unwrap());
        }
    }

    /// After how long the connection has ended, from a moment on.
    async fn ends_after(self, since: Instant) -> Duration {
        self.served.await.unwrap();
        since.elapsed()
    }

    /// Sends some bytes a second after each other, for as long as the connection is there.
    async fn drips(mut self, bytes: &[u8]) -> Duration {
        let began = self.began;
        for byte in bytes.iter().cycle() {
            // It ends while we write: that is what is waited for.
            if self.peer.write_all(&[*byte]).await.is_err() || self.served.is_finished() {
                break;
            }
            advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
        }
        began.elapsed()
    }
}

/// How long a stop waits for somebody who asks nothing: longer than any request takes here, and less
/// than a connection may be idle.
const PARTING: Duration = Duration::from_secs(65);

const GET: &str = "GET / HTTP/1.1\r\nHost: edge\r\n\r\n";
const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// `GET` of a path without a block of its own in HPACK's tables, on a stream.
fn ask(stream: u8, path: &str) -> Vec<u8> {
    let len = u8::try_from(path.len()).unwrap();
    // :method GET, :scheme http, :authority edge, :path as it is.
    let mut block = vec![0x82, 0x86, 0x41, 4];
    block.extend(b"edge");
    block.extend([0x44, len]);
    block.extend(path.as_bytes());
    let len = u8::try_from(block.len()).unwrap();
    [&[0, 0, len, 1, 0x5, 0, 0, 0, stream], &*block].concat()
}

/// Seconds, exactly.
fn exactly(seconds: u64) -> (Duration, Duration) {
    (Duration::from_secs(seconds), Duration::from_secs(seconds) + Duration::from_millis(20))
}

/// Seconds, or up to a look later.
fn about(seconds: u64) -> (Duration, Duration) {
    (Duration::from_secs(seconds), exactly(seconds).1 + LOOK)
}

#[track_caller]
fn assert_within(what: &str, took: Duration, (from, to): (Duration, Duration)) {
    assert!(from <= took && took <= to, "{what}: after {took:?}, not {from:?} to {to:?}");
}

#[tokio::test(start_paused = true)]
async fn nobody_is_cut_before_a_deadline_and_nobody_long_after_it() {
    for (what, bytes, expected) in [
        ("nothing", "", exactly(10)),
        ("a byte", "G", exactly(10)),
        ("an empty line", "\r\n", exactly(10)),
        ("half a preface", "PRI * HT", exactly(10)),
        ("half a head", "GET / HTTP/1.1\r\nHost: ed", exactly(10)),
        ("half a head of another method", "QUERY / HTTP/1.1\r\nHost: ed", exactly(10)),
        ("a request", GET, about(75)),
        ("two requests", &[GET, GET].concat(), about(75)),
        ("a head of a long answer", "HEAD /big HTTP/1.1\r\nHost: edge\r\n\r\n", about(75)),
        ("a request and a half", &[GET, "GET /"].concat(), (exactly(10).0, exactly(12 + 2).1)),
        ("a preface", PREFACE, exactly(10)),
    ] {
        let mut peering = Peering::new();
        peering.send(bytes).await;
        let began = peering.began;
        assert_within(what, peering.ends_after(began).await, expected);
    }
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let peering = Peering::over(protocol);
        let began = peering.began;
        assert_within("nothing, by ALPN", peering.ends_after(began).await, exactly(10));
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_cut_however_many_came_before() {
    let dripped = Peering::new().drips(b"GET / HTTP/1.1\r\nHost: edge\r\nX: yyyyyyyyyyyyyy").await;
    assert_within("the first", dripped, exactly(11));

    let mut peering = Peering::new();
    for _ in 0..3 {
        peering.send(GET).await;
        peering.until("xxxxx").await;
        advance(Duration::from_secs(30)).await;
    }
    peering.began = Instant::now();
    let dripped = peering.drips(b"GET / HTTP/1.1\r\nHost: edge\r\nX: yyyyyyyyyyyyyy").await;
    assert_within("the fourth", dripped, exactly(11));
}

#[tokio::test(start_paused = true)]
async fn a_request_in_time_is_answered_however_late() {
    let mut peering = Peering::new();
    advance(Duration::from_secs(9)).await;
    peering.send("GET").await;
    advance(Duration::from_secs(9)).await;
    peering.send(" /slow HTTP/1.1\r\nHost: edge\r\n\r\n").await;
    peering.until("xxxxx").await;
    for seconds in [1, 3, 70, 74] {
        advance(Duration::from_secs(seconds)).await;
        peering.send(GET).await;
        peering.until("xxxxx").await;
    }

    let since = Instant::now();
    assert_within("idle at last", peering.ends_after(since).await, about(75));
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_be_taken_as_slowly_as_the_rate_and_no_slower() {
    let big = "GET /big HTTP/1.1\r\nHost: edge\r\n\r\n";
    let mut peering = Peering::new();
    peering.send(big).await;
    let began = peering.began;
    assert_within("not at all", peering.ends_after(began).await, exactly(10));

    for (a_second, is_enough) in [(512_usize, false), (2 << 10, true)] {
        let mut peering = Peering::new();
        peering.send(big).await;
        let mut taken = 0;
        let mut part = vec![0; a_second];
        while let Ok(Ok(count @ 1..)) = timeout(LOOK, peering.peer.read(&mut part)).await {
            taken += count;
            advance(Duration::from_millis(1000 * count as u64 / a_second as u64)).await;
        }
        assert_eq!(taken > BIG, is_enough, "{taken} bytes at {a_second} a second");
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_long_answer_is_answered_too() {
    let big = "GET /big HTTP/1.1\r\nHost: edge\r\n\r\n";
    let end = format!("\r\n\r\n{}", "x".repeat(BIG));
    // Asked with it, asked in two parts of which one came with it, and asked after it.
    for (with, after) in [(GET, ""), ("GET / HTTP", "/1.1\r\nHost: edge\r\n\r\n"), ("", GET)] {
        let mut peering = Peering::new();
        peering.send([big, with].concat()).await;
        peering.until(&end).await;
        peering.send([after, big].concat()).await;
        peering.until("\r\n\r\nxxxxx").await;
        peering.until(&end).await;

        let since = Instant::now();
        assert_within("idle at last", peering.ends_after(since).await, about(75));
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_of_http2_is_cut_for_what_it_leaves_half_done() {
    let window = [&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4], &[0_u8; 4][..]].concat();
    for (what, bytes, expected) in [
        ("half of its settings", SETTINGS[..5].to_vec(), exactly(10)),
        ("half a frame", [SETTINGS, &ask(1, "/")[..12]].concat(), exactly(10)),
        ("half a block", [SETTINGS, &[0, 0, 1, 1, 1, 0, 0, 0, 1, 0x82]].concat(), exactly(10)),
        ("no window", [&*window, &ask(1, "/")].concat(), exactly(10)),
        ("no word", SETTINGS.to_vec(), about(40)),
        ("an answer and no word", [SETTINGS, &ask(1, "/")].concat(), about(40)),
    ] {
        let mut peering = Peering::new();
        peering.send(PREFACE).await;
        peering.send(bytes).await;
        // What we say is taken, but for answers without a window.
        let (mut reading, mut writing) = tokio::io::split(peering.peer);
        let drained = async move {
            let mut sink = [0; 512];
            while let Ok(1..) = reading.read(&mut sink).await {}
        };
        let ended = async {
            peering.served.await.unwrap();
            peering.began.elapsed()
        };
        let (took, ()) = tokio::join!(ended, drained);
        assert_within(what, took, expected);
        drop(writing.shutdown().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_answers_what_is_arriving_and_then_ends_what_is_idle() {
    let mut idle = Peering::new();
    idle.send(GET).await;
    idle.until("xxxxx").await;
    let mut resting = Peering::new();
    resting.send(GET).await;
    resting.until("xxxxx").await;
    advance(2 * LOOK).await;
    let mut arriving = Peering::new();
    arriving.send(GET).await;
    arriving.until("xxxxx").await;
    arriving.send("GET / HTTP/1.1\r\n").await;
    tokio::task::yield_now().await;
    let mut asked = Peering::new();
    asked.send("GET /slow HTTP/1.1\r\nHost: edge\r\n\r\n").await;
    tokio::task::yield_now().await;
    let fresh = Peering::new();
    tokio::task::yield_now().await;

    let stop = Instant::now();
    for peering in [&idle, &resting, &arriving, &asked, &fresh] {
        peering.stop();
    }
    arriving.send("Host: edge\r\n\r\n").await;
    arriving.until("connection: close\r\n").await;
    assert_within("arriving", arriving.ends_after(stop).await, (Duration::ZERO, LOOK / 10));
    asked.until("connection: close\r\n").await;
    assert_within("asked", asked.ends_after(stop).await, exactly(60));
    for (what, peering) in [("idle", idle), ("resting", resting), ("silent", fresh)] {
        let parted = (PARTING, PARTING + LOOK / 100);
        assert_within(what, peering.ends_after(stop).await, parted);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_worked_on_outlives_the_time_of_those_who_ask_nothing() {
    let mut asked = Peering::new();
    asked.send("GET /slow HTTP/1.1\r\nHost: edge\r\n\r\n").await;
    tokio::task::yield_now().await;
    let drain = asked.drain.clone();
    let patience = Duration::from_secs(100);
    let stopping = Handle::current().spawn(async move { drain.finish(patience).await });

    asked.until("xxxxx").await;

    assert_within("answered", asked.began.elapsed(), exactly(60));
    assert!(patience / 10 + 2 * LOOK < asked.began.elapsed(), "it was looked at since");
    assert!(stopping.await.unwrap(), "by itself");
}

#[tokio::test(start_paused = true)]
async fn who_comes_after_the_stop_is_served_once() {
    for bytes in [GET, &[GET, GET].concat()] {
        let mut peering = Peering::new();
        peering.stop();
        advance(Duration::from_millis(900)).await;
        peering.send(bytes).await;
        peering.until("connection: close\r\n").await;
        let mut rest = Vec::new();
        peering.peer.read_to_end(&mut rest).await.unwrap();
        assert!(rest.ends_with(b"\r\n\r\nxxxxx") && !rest.starts_with(b"HTTP"), "{rest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_insists_drops_everything() {
    for bytes in ["", "G", GET, "GET /slow HTTP/1.1\r\nHost: edge\r\n\r\n", PREFACE] {
        let mut peering = Peering::new();
        peering.send(bytes).await;
        tokio::task::yield_now().await;
        let began = peering.began;
        peering.drain.finish(Duration::ZERO).await;
        assert_within(bytes, peering.ends_after(began).await, (Duration::ZERO, LOOK / 100));
    }
}

#[test]
fn a_resting_connection_is_small() {
    const MANY: usize = 50;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.unwrap();
    let mut peerings = Vec::with_capacity(MANY);
    let rest = |peerings: &mut Vec<Peering>| {
        runtime.block_on(async {
            for _ in 0..MANY {
                let mut peering = Peering::new();
                peering.send(GET).await;
                peering.until("xxxxx").await;
                peerings.push(peering);
            }
            sleep_until(Instant::now() + Duration::from_millis(250)).await;
        });
    };
    let mut first = Vec::with_capacity(MANY);
    rest(&mut first);

    let taken = allocation_counter::measure(|| rest(&mut peerings));

    // With the pipe to its peer.
    let each = taken.bytes_current / MANY as i64;
    assert!(each < 2500, "{each} bytes for each connection");
    assert!(peerings.iter().all(|peering| !peering.served.is_finished()));
}
