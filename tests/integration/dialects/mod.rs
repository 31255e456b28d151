//! Every dialect, exchange by exchange.

mod edge;
mod played;
mod promptot;
