//! Writes of HTTP/2 that wait for each other.
//!
//! h2 writes and flushes every frame of a body by itself: a packet, a record of TLS and a system call
//! for each answer, although many are ready at once. Here they wait until the connection has nothing
//! more to do at the moment, and go together.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much waits at most, in bytes: a record of TLS (RFC 8446 §5.1). As much at once does not wait.
const FULL: usize = 16 << 10;

/// A stream whose writes wait until [`Batch::poll_send`]. A clone is the same stream: all of them are
/// used by one task.
#[derive(Debug)]
pub(super) struct Batch<S>(Arc<Mutex<Waiting<S>>>);

#[derive(Debug)]
struct Waiting<S> {
    stream: S,
    /// What waits, from `sent` on. A connection that says nothing keeps no memory for it.
    bytes: Vec<u8>,
    sent: usize,
    /// Something was written, or waits, and was not flushed.
    is_unsent: bool,
}

impl<S> Batch<S> {
    /// A stream on which nothing waits.
    pub(super) fn new(stream: S) -> Self {
        let waiting = Waiting { stream, bytes: Vec::new(), sent: 0, is_unsent: false };
        Self(Arc::new(Mutex::new(waiting)))
    }

    /// Does something with the stream.
    pub(super) fn with(&self, act: impl FnOnce(&S)) {
        act(&self.waiting().stream);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> Batch<S> {
    /// Sends what waits.
    pub(super) fn poll_send(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut waiting = self.waiting();
        if waiting.is_unsent {
            ready!(waiting.poll_drain(context))?;
            ready!(Pin::new(&mut waiting.stream).poll_flush(context))?;
            waiting.is_unsent = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Waiting<S> {
    /// Writes what waits.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.bytes.get(self.sent..) {
            match ready!(Pin::new(&mut self.stream).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        (self.bytes, self.sent) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// Has some slices wait, if there is room for them.
    fn wait(&mut self, slices: &[IoSlice<'_>], len: usize) -> bool {
        let has_room = self.bytes.len() + len <= FULL;
        if has_room && len > 0 {
            self.bytes.reserve_exact(FULL - self.bytes.len());
            slices.iter().for_each(|slice| self.bytes.extend_from_slice(slice));
        }
        has_room
    }
}

impl<S> Clone for Batch<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Batch<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.waiting().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Batch<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut waiting = self.waiting();
        let len = slices.iter().map(|slice| slice.len()).sum();
        waiting.is_unsent = true;
        if waiting.wait(slices, len) {
            return Poll::Ready(Ok(len));
        }
        ready!(waiting.poll_drain(context))?;
        if waiting.wait(slices, len) {
            return Poll::Ready(Ok(len));
        }
        Pin::new(&mut waiting.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.waiting().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // More may come before the connection rests.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut waiting = self.waiting();
        ready!(waiting.poll_drain(context))?;
        Pin::new(&mut waiting.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    /// A peer that takes up to so many bytes at once, and every other time nothing.
    #[derive(Debug, Default)]
    struct Peer {
        takes: usize,
        is_busy: bool,
        writes: Vec<Vec<u8>>,
    }

    impl AsyncWrite for Peer {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.takes);
            self.is_busy = taken < bytes.len() && !self.is_busy;
            if self.is_busy {
                return Poll::Pending;
            }
            self.writes.push(bytes[..taken].to_vec());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes in two slices, whatever the peer has to be waited for.
    fn write(batch: &mut Batch<Peer>, mut bytes: &[u8]) {
        let context = &mut Context::from_waker(Waker::noop());
        while !bytes.is_empty() {
            let (one, other) = bytes.split_at(bytes.len() / 3);
            let slices = [IoSlice::new(one), IoSlice::new(other)];
            if let Poll::Ready(count) = Pin::new(&mut *batch).poll_write_vectored(context, &slices)
            {
                bytes = &bytes[count.unwrap()..];
                assert!(Pin::new(&mut *batch).poll_flush(context).is_ready());
            }
        }
    }

    fn send(batch: &Batch<Peer>) {
        while batch.poll_send(&mut Context::from_waker(Waker::noop())).is_pending() {}
        assert_eq!(batch.waiting().bytes.capacity(), 0, "nothing is kept for who says nothing");
    }

    #[test]
    fn what_is_ready_at_once_is_written_at_once() {
        let mut batch = Batch::new(Peer { takes: usize::MAX, ..Peer::default() });

        for answer in ["one", "two", "three"] {
            write(&mut batch, answer.as_bytes());
        }
        assert!(batch.waiting().stream.writes.is_empty(), "more may come");
        send(&batch);

        assert_eq!(batch.waiting().stream.writes, [b"onetwothree"]);
    }

    proptest! {
        #[test]
        fn everything_arrives_in_its_order(
            lens in prop::collection::vec((1..3 * FULL, any::<bool>()), 1..8), takes in 1_usize..40_000,
        ) {
            let mut batch = Batch::new(Peer { takes, ..Peer::default() });
            let (mut written, mut byte) = (Vec::new(), 0_u8);

            for (len, is_sent) in lens {
                byte += 1;
                let bytes = vec![byte; len];
                write(&mut batch, &bytes);
                written.extend(bytes);
                if is_sent {
                    send(&batch);
                }
                prop_assert!(batch.waiting().bytes.len() <= FULL);
            }
            send(&batch);

            prop_assert_eq!(batch.waiting().stream.writes.concat(), written);
        }
    }
}
