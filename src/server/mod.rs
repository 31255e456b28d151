//! Bytes in, bytes out.
//!
//! [`listener`] accepts, [`connection`] speaks HTTP/1.1 under deadlines, [`route`] hands each
//! request to whom it concerns, [`drain`] ends it all: stop accepting, let what was started finish,
//! then insist.

pub mod connection;
pub mod drain;
pub mod listener;
pub mod reply;
pub mod route;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

pub use drain::Drain;
pub use listener::Listener;
pub use reply::{Reply, Service};
pub use route::Router;

/// How connections are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The address callers reach. Loopback, so that opening it to a network is a decision.
    pub listen: SocketAddr,
    /// How long a connection may take to send a whole request head, counted from the end of the
    /// last answer: so it also ends idle connections. A body may take as long again.
    pub header_timeout: Duration,
    /// The longest request body that is read, in bytes.
    pub body_limit_bytes: u64,
    /// How long requests may take to finish once the process was told to stop.
    pub drain_timeout: Duration,
    /// How many connections are open at once, on each listener. More are told to come back.
    pub max_connections: usize,
    /// How many requests are worked on at once. More are refused before any work is done.
    pub max_in_flight: usize,
    /// Whether origins reach their hooks here too, not only on the operators' side.
    pub hooks: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7080)),
            // The default of hyper and of many a client pool.
            header_timeout: Duration::from_secs(30),
            // Variables of at most 64 KiB, written with blanks.
            body_limit_bytes: 128 << 10,
            drain_timeout: Duration::from_secs(10),
            // About 100 MiB of connections at the most.
            max_connections: 10_000,
            // Each holds a request and waits for something: far below what memory allows.
            max_in_flight: 4_096,
            // A vendor outside of one's network needs them; what is not needed stays shut.
            hooks: false,
        }
    }
}
