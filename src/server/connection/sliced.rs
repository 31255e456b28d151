//! A body that is handed over in slices.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use crate::server::connection::pulse::Pulse;

/// A body in slices. Where hyper copies what it is handed into the buffer of the connection, it asks
/// for more once that was taken: a peer that reads slowly holds some slices, not a copy of the whole.
#[derive(Debug)]
pub(super) struct Sliced {
    whole: Full<Bytes>,
    rest: Bytes,
    /// How much of it is handed over at once, in bytes.
    slice: usize,
    _ending: Option<Ending>,
}

impl Sliced {
    /// The body of an answer, which ends with what is written after hyper has all of it.
    pub(super) fn new(whole: Full<Bytes>, slice: usize, pulse: &Arc<Pulse>) -> Self {
        let is_long = whole.size_hint().lower() > slice as u64;
        if !is_long {
            // hyper takes it at once.
            pulse.answer();
        }
        let _ending = is_long.then(|| Ending(Arc::clone(pulse)));
        Self { whole, rest: Bytes::new(), slice, _ending }
    }
}

/// Goes with a long body when hyper has all of it, or wants none. Before, a pause of the peer is no end
/// of its turn.
#[derive(Debug)]
struct Ending(Arc<Pulse>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.answer();
    }
}

impl Body for Sliced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            let whole = Pin::new(&mut this.whole).poll_frame(context);
            let Poll::Ready(Some(Ok(whole))) = whole else { return whole };
            this.rest = whole.into_data().unwrap_or_default();
        }
        let slice = this.rest.split_to(this.rest.len().min(this.slice));
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.whole.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let whole = self.whole.size_hint().exact().unwrap_or_default();
        SizeHint::with_exact(whole + self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::server::connection::pulse::Phase;

    const SLICE: usize = 1_000;

    #[tokio::test]
    async fn slices_are_the_whole() {
        for len in [0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE] {
            let whole = Bytes::from((0..len).map(|n| n as u8).collect::<Vec<_>>());
            let mut body = Sliced::new(Full::new(whole.clone()), SLICE, &Arc::default());
            let mut read = Vec::new();
            assert_eq!(body.is_end_stream(), len == 0);
            while !body.is_end_stream() {
                assert_eq!(body.size_hint().exact(), Some((len - read.len()) as u64));
                let slice = body.frame().await.unwrap().unwrap().into_data().unwrap();
                assert!((1..=SLICE).contains(&slice.len()));
                read.extend(slice);
            }
            assert_eq!(read, whole);
        }
    }

    #[test]
    fn a_long_answer_ends_with_its_body() {
        for (len, ends_with) in [(SLICE, Phase::Answered), (SLICE + 1, Phase::Asked)] {
            let pulse = Arc::new(Pulse::default());
            pulse.ask(false);

            let body = Sliced::new(Full::from(vec![0; len]), SLICE, &pulse);

            assert_eq!(pulse.phase(), ends_with);
            drop(body);
            assert_eq!(pulse.phase(), Phase::Answered);
        }
    }
}
