//! The bodies of a vendor's answers: whole ones, and those that go wrong on the way.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Interval, interval};

/// A body.
pub(crate) enum Flow {
    /// A few bytes, then the connection breaks.
    Cut(Bytes),
    /// One blank per second, for ever: JSON that never begins.
    Drip(Interval),
    /// So many blocks of blanks, without an announced length.
    Huge(usize),
    /// All of it at once.
    Whole(Bytes),
}

impl Flow {
    pub(crate) fn cut() -> Self {
        Self::Cut("{\"data\":".into())
    }

    pub(crate) fn drip() -> Self {
        Self::Drip(interval(Duration::from_secs(1)))
    }

    pub(crate) fn huge() -> Self {
        Self::Huge(200 * 1_000_000 / BLOCK.len())
    }

    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self::Whole(bytes)
    }
}

impl Body for Flow {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let bytes = match self.get_mut() {
            Self::Cut(bytes) if bytes.is_empty() => {
                return Poll::Ready(Some(Err(io::Error::other("cut on purpose"))));
            }
            Self::Cut(bytes) | Self::Whole(bytes) => std::mem::take(bytes),
            Self::Drip(interval) => {
                ready!(interval.poll_tick(context));
                Bytes::from_static(b" ")
            }
            Self::Huge(0) => Bytes::new(),
            Self::Huge(blocks) => {
                *blocks -= 1;
                Bytes::from_static(&BLOCK)
            }
        };
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Cut(_) | Self::Drip(_) | Self::Huge(_) => SizeHint::default(),
        }
    }
}

static BLOCK: [u8; 100_000] = [b' '; 100_000];
