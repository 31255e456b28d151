//! Crowds of peers that take their time, and the callers beside them.
//!
//! Each deadline by itself is tested where time can stand still, in `server::connection`.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use prompt_edge::clock::Stopwatch;
use prompt_edge::server::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpSocket;

use crate::harness::client::{Client, Raw};
use crate::harness::door::{BIG, Door, within};

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

/// Says that it is enough when it is dropped.
struct Last<'a>(&'a AtomicBool);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
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
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    let (watch, enough) = (Stopwatch::start(), AtomicBool::new(false));

    let (received, answered) = thread::scope(|scope| {
        let caller = scope.spawn(|| ask_until(&enough, &door));
        // However this ends: whoever asks again and again is waited for.
        let last = Last(&enough);
        let crowds = kinds.map(|bytes| {
            let connect = |_| {
                let mut slow = Raw::to(door.address);
                slow.send(bytes);
                slow
            };
            (0..CROWD).map(connect).collect::<Vec<_>>()
        });
        let received = crowds.map(|crowd| crowd.into_iter().map(Raw::rest).collect::<Vec<_>>());
        drop(last);
        (received, caller.join().expect("every caller is answered"))
    });

    assert!(watch.elapsed() < PROMISED, "cut after {:?}", watch.elapsed());
    assert!(answered >= ANSWERED, "a caller was answered {answered} times");
    let [silent, heads, bodies, _] = received;
    assert!(silent.iter().chain(&heads).all(String::is_empty), "there is nothing to answer");
    assert!(bodies.iter().all(|answer| answer.starts_with("HTTP/1.1 408 ")), "{:?}", bodies[0]);
    assert!(door.asked().iter().any(|asked| asked == "GET /quick"));
}

/// Those who do not read are told, at once, that nobody waits any more; the system keeps nothing for them.
#[tokio::test]
async fn a_crowd_that_does_not_read_is_cut_off() {
    let mut config = within(Duration::from_secs(600));
    config.deadlines.write = Duration::from_secs(1);
    let door = Door::open(config);
    let ask = async || {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(2 << 10).expect("a socket has a buffer");
        let mut slow = socket.connect(door.address).await.expect("the server listens");
        slow.write_all(b"GET /big HTTP/1.1\r\nHost: edge\r\n\r\n").await.expect("it reads");
        slow
    };
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(ask().await);
    }

    for mut slow in crowd {
        slow.ready(Interest::ERROR).await.expect("it can be waited for");

        let mut answer = Vec::new();
        let ended = slow.read_to_end(&mut answer).await.map_err(|error| error.kind());
        assert_eq!(ended, Err(ErrorKind::ConnectionReset));
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.len() < BIG);
    }
    let quick = Client::to(door.address).await.get("/quick", &[]).await;
    assert_eq!(quick.text(), "hello\n");
}
