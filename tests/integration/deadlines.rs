//! Crowds of peers that take their time, and the callers beside them.
//!
//! Each deadline by itself is tested where time can stand still, in `server::connection`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use prompt_edge::access::Peer;
use prompt_edge::clock::Stopwatch;
use prompt_edge::live::Live;
use prompt_edge::server::{self, Config, Drain, Listener, Reply, Service};
use prompt_edge::wire::Response;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use crate::harness::client::{Client, Raw};
use crate::harness::door::{BIG, Door, within};
use crate::harness::edge;
use crate::harness::process::PATIENCE;

/// How many peers there are of each kind.
const CROWD: usize = 200;

/// The time in which a slow peer is promised to be cut with the default settings.
const PROMISED: Duration = Duration::from_secs(15);

/// How often somebody is answered who asks again and again while the crowds are there, at the least: a
/// second is long for that, and somebody who had to wait for them would be answered a few times.
const ANSWERED: usize = 20;

/// Asks without a pause until it is told that it is enough. Gives how often it was answered.
fn ask_until(enough: &AtomicBool, door: &Door) -> usize {
    let mut answered = 0;
    while !enough.load(Ordering::Relaxed) {
        let mut caller = Raw::to(door.address);
        caller.send("GET /quick HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n");
        let answer = caller.rest();
        assert!(answer.ends_with("hello\n"), "{answer}");
        answered += 1;
    }
    answered
}

#[test]
fn crowds_of_slow_peers_are_cut_and_nobody_else_notices() {
    let idle = Config::default().deadlines.idle;
    let mut config = within(Duration::from_secs(1));
    config.deadlines.idle = idle;
    let door = Door::open(config);
    let kinds = [
        "",
        "GET /slow HTTP/1.1\r\nHost: ed",
        "QUERY /slow HTTP/1.1\r\nHost: edge\r\nContent-Length: 100\r\n\r\nhalf",
        "GET /big HTTP/1.1\r\nHost: edge\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    let (watch, enough) = (Stopwatch::start(), AtomicBool::new(false));

    let (received, answered) = thread::scope(|scope| {
        let caller = scope.spawn(|| ask_until(&enough, &door));
        let crowds = kinds.map(|bytes| {
            let connect = |_| {
                let mut slow = Raw::to(door.address);
                slow.send(bytes);
                slow
            };
            (0..CROWD).map(connect).collect::<Vec<_>>()
        });
        let received = crowds.map(|crowd| crowd.into_iter().map(Raw::rest).collect::<Vec<_>>());
        enough.store(true, Ordering::Relaxed);
        (received, caller.join().expect("every caller is answered"))
    });

    assert!(watch.elapsed() < PROMISED, "cut after {:?}", watch.elapsed());
    assert!(answered >= ANSWERED, "a caller was answered {answered} times");
    let [silent, heads, bodies, readers, _] = received;
    assert!(silent.iter().chain(&heads).all(String::is_empty), "there is nothing to answer");
    assert!(bodies.iter().all(|answer| answer.starts_with("HTTP/1.1 408 ")), "{:?}", bodies[0]);
    assert!(readers.iter().all(|answer| (1..BIG).contains(&answer.len())));
    assert!(door.asked().iter().any(|asked| asked == "GET /quick"));
}

/// Answers with so many bytes.
struct Long(usize);

impl Service for Long {
    fn call(&self, _: Request<Incoming>, _: &Peer) -> Reply {
        Reply::now(Response::new(Full::from(vec![b'x'; self.0])))
    }

    fn refuse(&self, _: &Request<Incoming>, refused: Response) -> Response {
        refused
    }
}

/// An edge has written all of an answer that fits into the system's buffers: only the system sees that
/// nobody takes it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_answer_that_nobody_reads_holds_no_place() {
    for bytes in [32 << 10, 1 << 20] {
        let mut config = within(Duration::from_secs(600));
        config.deadlines.write = Duration::from_millis(300);
        config.max_connections = 1;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any).expect("a port is free");
        let address = listener.address().expect("it is one of TCP");
        let door = edge::door(Arc::new(Long(bytes)), &Drain::default());
        let door = server::Door { config: Live::new(config), ..door };
        listener.serve(&door).expect("there are descriptors left");

        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(2 << 10).expect("a socket has a buffer");
        let mut slow = socket.connect(address).await.expect("the server listens");
        slow.write_all(b"GET / HTTP/1.1\r\nHost: edge\r\n\r\n").await.expect("it reads");

        // Each turn waits for an answer; all but the last are turned away.
        let watch = Stopwatch::start();
        while !is_served(address).await {
            assert!(watch.elapsed() < PATIENCE, "{bytes} bytes that nobody reads hold a place");
        }
        drop(slow);
    }
}

/// Whether a new connection is let in.
async fn is_served(address: SocketAddr) -> bool {
    let mut client = Client::to(address).await;
    client.try_get("/", &[]).await.is_ok_and(|answer| answer.status == 200)
}
