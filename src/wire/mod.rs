//! HTTP vocabulary: what RFC 9110, 9111 and 9211 say, free of any dialect.
//!
//! * [`conditional`]: entity tags and `If-None-Match`.
//! * [`caching`]: `Cache-Control` and `Cache-Status`; [`directives`] reads the former.
//! * [`coding`]: which content coding a request prefers; [`coded`]: bodies in one.
//! * [`json`]: texts as JSON strings.
//! * [`limits`]: `RateLimit`, `RateLimit-Policy` and their forerunners.
//! * [`representation`]: an answer's ready bytes and headers, and how a response is made of them.
//! * [`retry`]: reading `Retry-After`.
//! * [`query`]: the pairs of a request target.
//! * [`body`]: reading a request's body up to a limit.
//! * [`pace`]: how slowly a peer may send or take.
//! * [`client`]: asking other servers.
//! * [`probe`]: one small request to an edge's admin listener.

pub mod body;
pub mod caching;
pub mod client;
pub mod coded;
pub mod coding;
pub mod conditional;
pub mod directives;
pub mod heeded;
pub mod json;
pub mod limits;
pub mod pace;
pub mod probe;
pub mod query;
pub mod representation;
pub mod retry;

pub use coding::Coding;
pub use conditional::ETag;
pub use representation::Representation;

use bytes::Bytes;
use http_body_util::Full;

/// The one response type: a head and at most one chunk.
pub type Response = http::Response<Full<Bytes>>;
