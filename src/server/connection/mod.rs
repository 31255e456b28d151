//! One connection, from its first byte to its last.
//!
//! ```text
//!         ┌─ first ──────────────┐      Http1 ─▶ http1 ─┐         hyper, over io::Noted,
//! accept ─┤ waits for bytes, and ├──────               ├─ drive   under a watch::Watch
//!    ┌───▶└ says which protocol ─┘      Http2 ─▶ http2 ─┘
//!    └──────────── nothing asked for a while (HTTP/1.1) ──┘
//! ```
//!
//! What is in memory is answered by the service at once (`recall`). Over HTTP/2, answers that are there
//! together are written together (`batch`); over HTTP/1.1, short ones are copied and long ones are not
//! (`http1::Writes`).
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
mod sliced;
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

/// What a connection is served with.
#[derive(Debug)]
pub struct Terms<S, P> {
    /// Who answers.
    pub service: Arc<S>,
    /// What held when it was accepted.
    pub config: Arc<Config>,
    /// What ends it.
    pub drain: Drain,
    /// What it holds for as long as it lasts.
    pub place: P,
}

/// Serves HTTP until the peer leaves, a deadline passes or the drain ends it.
///
/// A connection that comes after the process was told to stop is served once.
pub fn serve<S>(
    mut stream: S,
    (protocol, peer): (Protocol, Peer),
    terms: Terms<impl Service, impl Send + 'static>,
) -> impl Future<Output = ()> + Send
where
    S: Stream,
{
    let mut wait = Wait::new(protocol, &terms.config.deadlines);
    let mut writes = Writes::Copied;
    // An async function has room for its arguments twice, and this one is kept for each connection.
    // What is not needed while it rests is in a box.
    async move {
        // All of it is held, and its place with it.
        let terms = &terms;
        let Terms { service, config, drain, .. } = terms;
        while let Some(first) = first::bytes(&mut stream, &mut wait, &config.deadlines, drain).await
        {
            let is_http2 = first.protocol == Protocol::Http2;
            let begun = (stream, first, drain.is_stopping());
            if is_http2 {
                let answers = (Arc::clone(service), peer);
                Box::pin(http2::serve(begun, answers, Arc::clone(config), drain.clone())).await;
                return;
            }
            let served = http1::serve(begun, writes, (&**service, &peer), config, drain);
            let Some(rested) = Box::pin(served).await else { return };
            (stream, wait, writes) = (rested.stream, rested.wait, rested.writes);
        }
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
