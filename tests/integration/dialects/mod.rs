//! Every dialect, exchange by exchange.

mod played;
mod promptot;
