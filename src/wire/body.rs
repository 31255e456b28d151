//! Reading a request's body within limits.

use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::{Instant, timeout_at};

use crate::model::Refusal;
use crate::wire::Response;
use crate::wire::pace::Pace;
use crate::wire::representation::uncached_error;

/// How much of a body is waited for. Without them, one caller could hold as much as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest body that is read, in bytes.
    pub bytes: u64,
    /// How far it may fall behind [`Self::min_rate`].
    pub time: Duration,
    /// The slowest it may come, in bytes a second.
    pub min_rate: u64,
}

/// Reads the whole body.
///
/// # Errors
///
/// * [`Refusal::TooLarge`] if it is longer than the limit; no more than that is held, and nothing is
///   read if its length was said before.
/// * [`Refusal::TooSlow`] if it does not arrive in time.
/// * [`Refusal::BadInput`] if it breaks off.
pub async fn read<B>(body: B, limits: Limits) -> Result<Bytes, Refusal>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let too_large = Refusal::TooLarge { limit_bytes: limits.bytes };
    if body.size_hint().lower() > limits.bytes {
        return Err(too_large);
    }
    let mut pace = Pace::from(Instant::now(), limits.time, limits.min_rate);
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    loop {
        let frame = match timeout_at(pace.due(), body.frame()).await {
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(bad("it broke off before its end: send it again")),
            Err(_) => return Err(Refusal::TooSlow),
        };
        let Ok(data) = frame.into_data() else { continue };
        if (whole.len() + data.remaining()) as u64 > limits.bytes {
            return Err(too_large);
        }
        pace.pass(data.remaining() as u64, Instant::now());
        whole.put(data);
    }
}

/// What an operator or an origin is told of a body that was not read.
pub fn refused(refusal: &Refusal) -> Response {
    if let Refusal::TooLarge { limit_bytes } = refusal {
        let problem = format!("body: longer than {limit_bytes} bytes: send less");
        return uncached_error(StatusCode::PAYLOAD_TOO_LARGE, &problem);
    }
    let is_slow = *refusal == Refusal::TooSlow;
    let status = if is_slow { StatusCode::REQUEST_TIMEOUT } else { StatusCode::BAD_REQUEST };
    uncached_error(status, "body: it did not arrive as a whole: send it again")
}

fn bad(problem: &'static str) -> Refusal {
    Refusal::BadInput { field: "body", problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body_util::Full;
    use hyper::body::{Frame, SizeHint};
    use tokio::time::{Interval, interval};

    use super::*;

    const LIMITS: Limits = Limits { bytes: 5_000, time: Duration::from_secs(5), min_rate: 1 << 10 };

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_not_beyond() {
        let body = || Full::new(Bytes::from_static(b"12345"));
        let limits = |bytes| Limits { bytes, ..LIMITS };

        assert_eq!(read(body(), limits(5)).await.unwrap(), "12345");
        assert_eq!(read(body(), limits(4)).await, Err(Refusal::TooLarge { limit_bytes: 4 }));
    }

    /// A body that comes a part at every tick, and says of its length what it is told to.
    struct Ticking {
        interval: Interval,
        part: Bytes,
        left: usize,
        said: u64,
    }

    impl Ticking {
        fn new(every: Duration, part: &[u8], parts: usize) -> Self {
            let part = Bytes::copy_from_slice(part);
            Self { interval: interval(every), part, left: parts, said: 0 }
        }
    }

    impl Body for Ticking {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            self.interval.poll_tick(context).map(|_| {
                self.left -= 1;
                Some(Ok(Frame::data(self.part.clone())))
            })
        }

        fn size_hint(&self) -> SizeHint {
            let mut hint = SizeHint::new();
            hint.set_lower(self.said);
            hint
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_come_as_slowly_as_the_rate_and_no_slower() {
        let began = Instant::now();
        let steady = Ticking::new(Duration::from_secs(2), &[b'x'; 2 << 10], 2);
        let steady = read(steady, LIMITS).await.map(|whole| whole.len());
        assert_eq!(steady, Ok(4 << 10), "after {:?}", began.elapsed());

        let began = Instant::now();
        let dripping = Ticking::new(Duration::from_secs(1), b"x", 1_000);
        assert_eq!(read(dripping, LIMITS).await, Err(Refusal::TooSlow));
        assert_eq!(began.elapsed().as_secs(), 5);

        let began = Instant::now();
        let stalling = Ticking::new(Duration::from_secs(600), &[b'x'; 2 << 10], 2);
        assert_eq!(read(stalling, LIMITS).await, Err(Refusal::TooSlow));
        assert_eq!(began.elapsed().as_secs(), 5, "what came pays for no pause");
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_body_that_says_it_is_too_long_nothing_is_read() {
        let mut body = Ticking::new(Duration::from_secs(1), b"x", 1);
        poll_fn(|context| body.interval.poll_tick(context)).await;
        body.said = LIMITS.bytes + 1;

        let began = Instant::now();
        let refused = read(body, LIMITS).await;

        assert_eq!(refused, Err(Refusal::TooLarge { limit_bytes: LIMITS.bytes }));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
