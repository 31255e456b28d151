//! An edge-cached prompt delivery proxy.
//!
//! Applications ask this edge for prompts in the API they already speak. The edge knows who asks,
//! answers from memory when it can, and asks an *origin* when it must.
//!
//! # Map
//!
//! Modules are declared in dependency order: each may use only those above it
//! (`tests/integration/architecture.rs` checks). Read upwards from [`delivery`] to learn the
//! product, downwards from [`server`] to follow a request.
//!
//! | layer      | modules                                                            |
//! |------------|--------------------------------------------------------------------|
//! | leaves     | [`model`] [`clock`] [`live`] [`tasks`] [`telemetry`] [`wire`] [`compile`] [`formats`] |
//! | mechanisms | [`ledger`] [`origins`] [`cache`] [`snapshot`]                      |
//! | verbs      | [`access`] [`delivery`] [`authoring`] [`hooks`]                    |
//! | north side | [`dialects`] [`admin`] [`server`]                                  |
//! | tools      | [`load`]                                                           |
//! | assembly   | [`config`] [`app`] [`cli`]                                         |
//!
//! # Words
//!
//! * **ask** – what a caller wants, free of any dialect. **answer** – what it gets.
//! * **origin** – any place prompts come from. **store** – one of ours, that can be written to.
//! * **tenant** – a project and one of its environments: whose prompts, and which version of them.
//! * **edition** – one version of one prompt, as an environment serves it.
//! * **refusal** – a reason given to a caller. An *error* is ours and stays inside.
//! * **publish** – make a version live in an environment.
//! * **hook** – an origin's own word that something changed.
//! * **purge** – make caches forget. The cache *evicts* on its own; people *purge*.
//! * **lease** – a part of a month's quota that an edge may spend from memory.
//! * **snapshot** – what is in memory, kept in a file for the next start.
//! * **drain** – finish what was started, accept nothing new.
//!
//! This library exists for the `prompt-edge` binary, its tests and its benches. It promises no
//! stability to anyone else.

pub mod model;
pub mod clock;
pub mod live;
pub mod tasks;
pub mod telemetry;
pub mod wire;
pub mod compile;
pub mod formats;
pub mod ledger;
pub mod origins;
pub mod cache;
pub mod snapshot;
pub mod access;
pub mod delivery;
pub mod authoring;
pub mod hooks;
pub mod dialects;
pub mod admin;
pub mod server;
pub mod load;
pub mod config;
pub mod app;
pub mod cli;
