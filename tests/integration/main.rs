//! What the parts do together, seen from outside of the library.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests: what they expect, they check"
)]

mod access;
mod allocations;
mod architecture;
mod certificates;
mod cli;
mod client;
mod coding;
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
mod handover;
mod harness;
mod hooks;
mod lane;
mod http2;
mod hostile;
mod limits;
mod listeners;
mod logs;
mod months;
mod opening;
mod operators;
mod origins;
mod push;
mod reconfigured;
mod reload;
mod restart;
mod outage;
mod serve;
mod supervised;
mod snapshot;
mod sockets;
mod sqlite;
mod survival;
mod tiers;
mod tls;
mod upstream;
mod vendor;
