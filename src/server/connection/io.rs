//! A stream that notes what passes.

use std::io::{self, IoSlice};
use std::iter;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::server::connection::chunks::Read;
use crate::server::connection::frames::Frames;
use crate::server::connection::head::Head;
use crate::server::connection::pulse::Pulse;

/// How much of what nobody wants is read before a connection is closed, in bytes.
const LINGER_BYTES: usize = 1 << 20;

/// Up to how many bytes it costs less to copy head and body together than to have the kernel gather
/// them (docs/performance.md).
const COPIED_BYTES: usize = 16 << 10;

/// A stream that notes in the [`Pulse`] of its connection what passes, gives back first what was
/// read before to know the protocol, and is closed without a reset.
#[derive(Debug)]
pub(super) struct Noted<S> {
    stream: S,
    first: Bytes,
    pulse: Arc<Pulse>,
    reader: Reader,
    is_shut: bool,
    discarded: usize,
}

/// What the bytes are.
#[derive(Debug)]
enum Reader {
    /// Heads of HTTP/1.1. Those that can have a body are looked into.
    Http1(Option<Box<Head>>),
    Http2(Box<Frames>),
    /// None that may be handed on.
    Broken,
}

impl<S> Noted<S> {
    /// A stream of HTTP/1.1 after `first` was read from it.
    pub(super) fn http1(stream: S, first: Bytes, pulse: Arc<Pulse>) -> Self {
        Self::new(stream, first, pulse, Reader::Http1(None))
    }

    /// A stream of HTTP/2 after `first` was read from it.
    pub(super) fn http2(stream: S, first: Bytes, pulse: Arc<Pulse>) -> Self {
        Self::new(stream, first, pulse, Reader::Http2(Box::default()))
    }

    fn new(stream: S, first: Bytes, pulse: Arc<Pulse>, reader: Reader) -> Self {
        Self { stream, first, pulse, reader, is_shut: false, discarded: 0 }
    }

    /// The stream.
    pub(super) fn stream(&self) -> &S {
        &self.stream
    }

    /// The same, given back. What was read of it first has been given back by the first read.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Looks at bytes that came; how many of them are handed on.
    fn read(&mut self, bytes: &[u8]) -> usize {
        let Some(first) = bytes.first() else { return 0 };
        let read = match &mut self.reader {
            Reader::Http1(head) => {
                // GET and HEAD may have no body of unknown length (`check`), so nothing of them can
                // be in doubt.
                if self.pulse.heard() && !matches!(first, b'G' | b'H') {
                    *head = Some(Box::default());
                }
                let Some(reading) = head else { return bytes.len() };
                let read = reading.read(bytes, &self.pulse);
                if read == Read::End {
                    *head = None;
                }
                read
            }
            Reader::Http2(frames) => frames.read(bytes, &self.pulse),
            Reader::Broken => return 0,
        };
        let Read::Broken(good) = read else { return bytes.len() };
        self.reader = Reader::Broken;
        good
    }

    fn wrote<'a>(
        &mut self,
        written: &Poll<io::Result<usize>>,
        slices: impl Iterator<Item = &'a [u8]>,
    ) {
        match written {
            Poll::Pending => self.pulse.stall(),
            Poll::Ready(Ok(count)) => {
                self.pulse.take(*count);
                if let Reader::Http2(frames) = &mut self.reader {
                    frames.wrote(slices, *count, &self.pulse);
                }
            }
            Poll::Ready(Err(_)) => {}
        }
    }

    /// Whether bytes that come after our last word have to be read for it to arrive.
    fn lingers(&self) -> bool {
        match self.reader {
            Reader::Http1(_) | Reader::Broken => self.pulse.has_unread(),
            Reader::Http2(_) => !self.pulse.is_stopping(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.reader, Reader::Broken) {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buffer.filled().len();
        if this.first.is_empty() {
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        } else {
            let fitting = this.first.len().min(buffer.remaining());
            buffer.put_slice(&this.first.split_to(fitting));
        }
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        let (good, all) = (this.read(bytes), bytes.len());
        if good < all {
            // What was good is read first: it may be a head, and its answer says what is wrong.
            buffer.set_filled(before + good);
            if good == 0 {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bytes.len() > COPIED_BYTES && matches!(this.reader, Reader::Http1(_)) {
            this.pulse.outgrow();
        }
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.wrote(&written, iter::once(bytes));
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.wrote(&written, slices.iter().map(|slice| &**slice));
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        match &flushed {
            Poll::Pending => this.pulse.stall(),
            Poll::Ready(Ok(())) => this.pulse.flushed(),
            Poll::Ready(Err(_)) => {}
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_shut {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            this.is_shut = true;
            if !this.lingers() {
                return Poll::Ready(Ok(()));
            }
            this.pulse.leave();
        }
        let mut unwanted = [0; 1 << 10];
        while this.discarded < LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut unwanted);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut buffer))?;
            match buffer.filled().len() {
                0 => break,
                more => this.discarded += more,
            }
        }
        Poll::Ready(Ok(()))
    }
}
