//! The first bytes of a connection, or of a request after a rest.
//!
//! Nothing is kept for a connection that asks nothing: no buffer is there before the first byte, and
//! hyper's are given back when a connection rests.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

use crate::server::Deadlines;
use crate::server::connection::Protocol;
use crate::server::connection::frames::PREFACE;
use crate::server::connection::watch::{LOOK, Looks, Watch};
use crate::server::drain::Drain;

/// What is waited for.
#[derive(Clone, Debug)]
pub(super) struct Wait {
    /// What the bytes are expected to be.
    protocol: Protocol,
    /// Since when, and until when the first of them has to come.
    since: Instant,
    until: Instant,
    /// Those that are here already.
    read: Bytes,
    /// How the next request is to be watched, if it comes at once.
    looks: Looks,
}

impl Wait {
    /// For the first byte of a new connection.
    pub(super) fn new(protocol: Protocol, deadlines: &Deadlines) -> Self {
        let since = Instant::now();
        let (until, looks) = (since + deadlines.first_byte, Looks::default());
        Self { protocol, since, until, read: Bytes::new(), looks }
    }

    /// For the next request on a connection of HTTP/1.1 that rests, and of which `read` came with the
    /// one before.
    pub(super) fn resting(read: Bytes, watch: &Watch, deadlines: &Deadlines) -> Self {
        let (since, looks) = (watch.since(), watch.looks().longer());
        // An empty part holds all of the buffer it is a part of.
        let read = if read.is_empty() { Bytes::new() } else { read };
        Self { protocol: Protocol::Http1, since, until: since + deadlines.idle, read, looks }
    }
}

/// What came first.
#[derive(Debug)]
pub(super) struct First {
    /// The bytes.
    pub(super) bytes: Bytes,
    /// What they are: said before, or known by now.
    pub(super) protocol: Protocol,
    /// When the first of them came.
    pub(super) since: Instant,
    /// How it is to be watched.
    pub(super) looks: Looks,
}

/// Waits for the first bytes. `None` if there are none in time, or the process ended meanwhile.
pub(super) async fn bytes<S>(
    stream: &mut S,
    wait: &mut Wait,
    deadlines: &Deadlines,
    drain: &Drain,
) -> Option<First>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !wait.read.is_empty() {
        let (bytes, protocol, looks) = (mem::take(&mut wait.read), wait.protocol, wait.looks);
        return Some(First { bytes, protocol, since: Instant::now(), looks });
    }
    let mut buffer = [0; PREFACE.len()];
    let mut buffer = ReadBuf::new(&mut buffer);
    tokio::select! {
        biased;
        came = timeout_at(wait.until, more(stream, &mut buffer)) => came.ok()?,
        // Until then who has just connected, or keeps a connection, may be about to ask.
        () = drain.parting() => return None,
    }?;
    let since = Instant::now();
    let until = since + deadlines.header;
    while wait.protocol == Protocol::Unsaid && is_open(buffer.filled()) {
        tokio::select! {
            came = timeout_at(until, more(stream, &mut buffer)) => came.ok()??,
            () = drain.insisting() => return None,
        }
    }
    let protocol = match wait.protocol {
        Protocol::Unsaid if buffer.filled() == PREFACE => Protocol::Http2,
        Protocol::Unsaid => Protocol::Http1,
        said @ (Protocol::Http1 | Protocol::Http2) => said,
    };
    let looks = if since - wait.since < LOOK { wait.looks } else { Looks::default() };
    Some(First { bytes: Bytes::copy_from_slice(buffer.filled()), protocol, since, looks })
}

/// Whether bytes can still become the preface of HTTP/2, and can still not.
fn is_open(bytes: &[u8]) -> bool {
    bytes.len() < PREFACE.len() && PREFACE.starts_with(bytes)
}

/// Reads something. `None` at the end of the stream.
async fn more(stream: &mut (impl AsyncRead + Unpin), buffer: &mut ReadBuf<'_>) -> Option<()> {
    let before = buffer.filled().len();
    let read = poll_fn(|context| Pin::new(&mut *stream).poll_read(context, buffer)).await;
    (read.is_ok() && buffer.filled().len() > before).then_some(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, duplex};
    use tokio::time::advance;

    use super::*;
    use crate::server::Config;

    #[tokio::test(start_paused = true)]
    async fn who_asks_soon_after_a_rest_is_to_rest_later() {
        let (deadlines, drain) = (Config::default().deadlines, Drain::default());
        let once = Looks::default();
        for (after, looks) in [(LOOK / 2, once.longer()), (2 * LOOK, once)] {
            let (mut peer, mut stream) = duplex(64);
            let watch = Watch::new(deadlines, false, (Instant::now(), once));
            let mut wait = Wait::resting(Bytes::new(), &watch, &deadlines);
            advance(after).await;
            peer.write_all(b"GET /").await.unwrap();

            let first = bytes(&mut stream, &mut wait, &deadlines, &drain).await.unwrap();

            assert_eq!((&*first.bytes, first.looks), (&b"GET /"[..], looks), "after {after:?}");
        }
    }
}
