//! An edge-cached prompt delivery proxy.

pub mod model;
pub mod clock;
pub mod telemetry;
pub mod wire;
pub mod compile;
pub mod formats;
pub mod origins;
pub mod cache;
pub mod access;
pub mod delivery;
pub mod dialects;
pub mod admin;
pub mod server;
pub mod config;
