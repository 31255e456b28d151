//! One connection, from its first byte to its last.
//!
//! ```text
//!         ┌─ first ──────────────┐      Http1 ─▶ http1 ─┐         hyper, over io::Noted,
//! accept ─┤ waits for bytes, and ├──────               ├─ drive   under a watch::Watch
//!    ┌───▶└ says which protocol ─┘      Http2 ─▶ http2 ─┘
//!    └──────────── nothing asked for a while (HTTP/1.1) ──┘
//! ```
//!
//! hyper speaks both protocols; deadlines are ours. Its own for heads bounds the time between two
//! requests as well, and sets a timer anew for each (1,340 instructions). Instead, `io` notes in
//! `pulse` what passes, and `watch` looks there now and then: no clock is read and no timer set
//! for a request.
//!
//! # Invariants
//!
//! 1. What was in doubt, or not read to its end, is never followed by a second answer: the
//!    connection is closed. (`nothing_smuggled_is_answered` in `tests/integration/framing.rs`)
//! 2. A connection that asks nothing holds no buffer of ours or hyper's.
//!    (`a_resting_connection_is_small`)

mod batch;
mod bell;
mod chunks;
mod drive;
mod first;
mod frames;
mod head;
mod http1;
mod http2;
mod io;
mod pulse;
mod stream;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::{Request, Uri};
use hyper::body::{Body, Incoming};

use crate::access::Peer;
use crate::server::Config;
use crate::server::drain::Drain;
use crate::server::reply::Service;
use crate::wire::Response;
use crate::wire::heeded::Heeded;

pub use stream::Stream;

use first::Wait;
use http1::Writes;

/// What was agreed on before the first byte of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, by ALPN.
    Http1,
    /// HTTP/2, by ALPN.
    Http2,
    /// Nothing: the first bytes tell.
    Unsaid,
}

/// Serves HTTP until the peer leaves, a deadline passes or the drain ends it.
///
/// A connection that comes after the process was told to stop is served once.
pub async fn serve<S>(
    (mut stream, protocol, peer): (S, Protocol, Peer),
    service: Arc<impl Service>,
    config: Config,
    drain: Drain,
) where
    S: Stream,
{
    let mut wait = Wait::new(protocol, &config.deadlines);
    let mut writes = Writes::Copied;
    while let Some(first) = first::bytes(&mut stream, wait, &config.deadlines, &drain).await {
        let is_http2 = first.protocol == Protocol::Http2;
        let begun = (stream, first, drain.is_stopping());
        if is_http2 {
            Box::pin(http2::serve(begun, (service, peer), config, drain)).await;
            return;
        }
        let served = http1::serve(begun, writes, (&*service, &peer), &config, &drain).await;
        let Some(rested) = served else { return };
        (stream, writes) = (rested.stream, rested.writes);
        wait = Wait::resting(rested.read, rested.since, &config.deadlines);
    }
}

/// What is in memory for a request, if it has no body and needs no closer look. `is_plain` says
/// whether it names its host as its protocol wants it.
fn recall(
    service: &impl Service,
    request: &Request<Incoming>,
    peer: &Peer,
    is_plain: fn(&Heeded<'_>, &Uri) -> bool,
) -> Option<Response> {
    let heeded = Heeded::of(request.headers()).filter(|_| request.body().is_end_stream())?;
    if is_plain(&heeded, request.uri()) { service.recall(request, &heeded, peer) } else { None }
}
