//! Every command of the real binary: what it writes where, and its exit code.

mod bench;
mod keys;
mod operators;
mod projects;
mod prompts;
mod settings;
mod transfer;
mod usage;
