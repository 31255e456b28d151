//! What is in memory, kept for the next start.
//!
//! A restarted edge has nothing, and an origin that is away just then would leave its callers with
//! nothing as well. So what origins said, the answers made of it and the keys in use are written to
//! a file now and then, and read at the start.
//!
//! * [`image`]: what is kept, and its form as JSON.
//! * [`file`](mod@file): how bytes are kept so that a crash, a full disk or a stranger's hand never
//!   passes for a snapshot: written beside and renamed, checked or encrypted.
//! * `form`: how each noun is written down.
//!
//! Nothing here knows a cache or reads a clock. Whoever holds memory makes an [`image::Image`] of
//! it and fills itself from one.
//!
//! # Invariants
//!
//! 1. No secret is ever written: of keys their digests only.
//!    (`image::tests::no_key_of_anybody_is_written`)
//! 2. No file, whatever is in it, does worse than leave the edge with nothing.
//!    (`file::tests::no_bytes_panic`, `image::tests::no_text_panics`)

pub mod file;
mod form;
pub mod image;
