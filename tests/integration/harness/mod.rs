//! What tests stand on: real parts in temporary places.

pub(crate) mod store;
