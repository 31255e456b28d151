//! Bytes in, bytes out.
//!
//! [`listener`] binds, [`activation`] is what systemd has opened; [`accept`] lets connections in, as
//! far as there are [`places`], on the threads of [`workers`]; [`tls`] secures them where it is
//! configured; [`connection`] speaks HTTP/1.1 and HTTP/2 under deadlines, `check` refuses what is not to
//! be looked at, [`route`] hands each request to whom it concerns, [`drain`] ends it all: stop accepting,
//! let what was started finish, then insist. [`descriptors`] is how much the system lets be open.

pub mod accept;
pub mod activation;
mod check;
pub mod connection;
pub mod descriptors;
pub mod drain;
pub mod listener;
pub mod places;
pub mod reply;
pub mod route;
pub mod tls;
pub mod workers;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use accept::Door;
pub use activation::Inherited;
pub use drain::Drain;
pub use listener::Listener;
pub use places::Places;
pub use reply::{Reply, Service};
pub use route::Router;
pub use tls::Tls;
pub use workers::Workers;

/// A door for callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Its name in logs and metrics; unique.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// Which of the APIs are spoken there.
    pub serves: Serves,
    /// How it is secured; clear text if this is `None`.
    pub tls: Option<tls::Config>,
}

impl ListenerConfig {
    /// The only listener of an edge that is told of none: in clear text, for all dialects.
    pub fn clear(address: SocketAddr) -> Self {
        let (name, address) = (Self::DEFAULT.to_owned(), Address::Tcp(address));
        Self { name, address, serves: Serves::ALL, tls: None }
    }

    /// The name of that one.
    pub const DEFAULT: &str = "default";
}

impl fmt::Display for Address {
    /// As it is configured.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Systemd(name) => write!(f, "systemd:{name}"),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Systemd has opened it, and hands it over by this name (`FileDescriptorName=`).
    Systemd(String),
    /// An address and a port.
    Tcp(SocketAddr),
    /// A Unix socket at this path.
    Unix(PathBuf),
}

/// Which APIs a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serves {
    /// The one that edges speak with each other.
    pub edge: bool,
    /// PromptOT's.
    pub promptot: bool,
}

impl Serves {
    /// All of them.
    pub const ALL: Self = Self { edge: true, promptot: true };
}

/// How connections are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The address callers reach. Loopback, so that opening it to a network is a decision.
    pub listen: SocketAddr,
    /// How many threads serve connections; 0 is one for each core.
    pub workers: usize,
    /// How long a peer may take.
    pub deadlines: Deadlines,
    /// The longest head of a request that is read, in bytes: its line and its fields.
    pub head_limit_bytes: u64,
    /// The longest request body that is read, in bytes.
    pub body_limit_bytes: u64,
    /// How a stop goes.
    pub drain: Draining,
    /// How many connections are open at once, on all listeners for callers together. More are told
    /// to come back.
    pub max_connections: usize,
    /// How many of them may come from one address.
    pub max_connections_per_source: usize,
    /// How many requests are worked on at once. More are refused before any work is done.
    pub max_in_flight: usize,
    /// What a peer may do with one connection of HTTP/2.
    pub http2: Http2,
    /// Whether origins reach their hooks here too, not only on the operators' side.
    pub hooks: bool,
}

/// How long a peer may take before its connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For the handshake of TLS.
    pub handshake: Duration,
    /// For the first byte of a new connection.
    pub first_byte: Duration,
    /// For the head of a request, from its first byte.
    pub header: Duration,
    /// How far the body of a request may fall behind [`Self::min_rate`].
    pub body: Duration,
    /// How far a peer may fall behind [`Self::min_rate`] in taking an answer.
    pub write: Duration,
    /// The slowest a body may come and an answer may be taken, in bytes a second.
    pub min_rate: u64,
    /// Between two requests. Above the 60 s of common load balancers, so that it is they who close.
    pub idle: Duration,
    /// After so long without a frame an HTTP/2 peer is asked whether it is still there.
    pub ping: Duration,
    /// How long it may take to say so.
    pub pong: Duration,
}

/// How a stop goes: `/readyz` fails, accepting goes on for a while, then requests finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draining {
    /// How long connections are still accepted, while balancers look elsewhere.
    pub delay: Duration,
    /// How long requests may take to finish after that.
    pub timeout: Duration,
}

/// What a peer may do with one connection of HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2 {
    /// How many requests it may have open at once.
    pub max_streams: u32,
    /// How many it may begin and take back before they were looked at (CVE-2023-44487).
    pub max_resets: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7080)),
            workers: 0,
            deadlines: Deadlines::default(),
            // The longest path and query that is understood is 64 KiB; as much again for fields.
            head_limit_bytes: 128 << 10,
            // Variables of at most 64 KiB, written with blanks.
            body_limit_bytes: 128 << 10,
            drain: Draining::default(),
            // Below the 20,000 files that many systems let a process open.
            max_connections: 16_384,
            // One balancer may hold most of them, one mistaken client not all.
            max_connections_per_source: 12_000,
            // Each holds a request and waits for something: far below what memory allows.
            max_in_flight: 4_096,
            http2: Http2::default(),
            // A vendor outside of one's network needs them; what is not needed stays shut.
            hooks: false,
        }
    }
}

impl Default for Deadlines {
    /// A slow peer is cut within 15 s, whatever it is slow at.
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            first_byte: Duration::from_secs(10),
            header: Duration::from_secs(10),
            body: Duration::from_secs(5),
            write: Duration::from_secs(10),
            min_rate: 1 << 10,
            idle: Duration::from_secs(75),
            ping: Duration::from_secs(30),
            pong: Duration::from_secs(10),
        }
    }
}

impl Default for Draining {
    /// Two health checks of a balancer that looks every five seconds; both together fit into the
    /// 30 s that Kubernetes gives.
    fn default() -> Self {
        Self { delay: Duration::from_secs(10), timeout: Duration::from_secs(10) }
    }
}

impl Default for Http2 {
    fn default() -> Self {
        Self { max_streams: 128, max_resets: 20 }
    }
}
