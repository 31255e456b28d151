//! Every dialect, exchange by exchange.

mod promptot;
