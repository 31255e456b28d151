//! What the parts do together, seen from outside of the library.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests: what they expect, they check"
)]

mod access;
mod architecture;
mod cli;
mod client;
mod contract;
mod crash;
mod deadlines;
mod delivery;
mod dialects;
mod docs;
mod far;
mod foreign;
mod framing;
mod freshness;
mod harness;
mod hooks;
mod http2;
mod limits;
mod logs;
mod months;
mod opening;
mod operators;
mod origins;
mod push;
mod restart;
mod outage;
mod serve;
mod snapshot;
mod sockets;
mod sqlite;
mod survival;
mod tiers;
mod upstream;
mod vendor;
