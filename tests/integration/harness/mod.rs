//! What tests stand on: real parts in temporary places.

pub(crate) mod account;
pub(crate) mod authority;
pub(crate) mod client;
pub(crate) mod door;
pub(crate) mod edge;
pub(crate) mod exchange;
pub(crate) mod langfuse;
pub(crate) mod files;
pub(crate) mod far;
pub(crate) mod fronted;
pub(crate) mod process;
pub(crate) mod prompt;
pub(crate) mod promptot;
pub(crate) mod proxy;
pub(crate) mod restart;
pub(crate) mod secured;
pub(crate) mod store;
pub(crate) mod stored;
pub(crate) mod vendor;
pub(crate) mod watched;
