//! Crowds of peers that take their time, and the callers beside them.
//!
//! Each deadline by itself is tested where time can stand still, in `server::connection`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use prompt_edge::clock::Stopwatch;
use prompt_edge::server::Config;

use crate::harness::client::Raw;
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
