//! What the parts do together, seen from outside of the library.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests: what they expect, they check"
)]

mod access;
mod allocations;
mod architecture;
mod cli;
mod client;
mod contract;
mod crash;
mod delivery;
mod dialects;
mod docs;
mod far;
mod foreign;
mod freshness;
mod harness;
mod hooks;
mod hostile;
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
