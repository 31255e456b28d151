//! Reading a request's body within limits.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use tokio::time::timeout;

use crate::model::Refusal;
use crate::wire::Response;
use crate::wire::representation::uncached_error;

/// How much of a body is waited for. Without both, one caller could hold as much as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest body that is read, in bytes.
    pub bytes: u64,
    /// How long it may take to arrive.
    pub time: Duration,
}

/// Reads the whole body.
///
/// # Errors
///
/// * [`Refusal::TooLarge`] if it is longer than the limit; no more than that is held.
/// * [`Refusal::BadInput`] if it breaks off, or does not arrive in time.
pub async fn read<B>(body: B, limits: Limits) -> Result<Bytes, Refusal>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    // A limit beyond the address space is no limit.
    let limit = usize::try_from(limits.bytes).unwrap_or(usize::MAX);
    match timeout(limits.time, Limited::new(body, limit).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Refusal::TooLarge { limit_bytes: limits.bytes })
        }
        Ok(Err(_)) => Err(bad("it broke off before its end: send it again")),
        Err(_) => Err(bad("it did not arrive in time: send it again, without pauses")),
    }
}

/// What an operator or an origin is told of a body that was not read.
pub fn refused(refusal: &Refusal) -> Response {
    if let Refusal::TooLarge { limit_bytes } = refusal {
        let problem = format!("body: longer than {limit_bytes} bytes: send less");
        return uncached_error(StatusCode::PAYLOAD_TOO_LARGE, &problem);
    }
    uncached_error(StatusCode::BAD_REQUEST, "body: it did not arrive as a whole: send it again")
}

fn bad(problem: &'static str) -> Refusal {
    Refusal::BadInput { field: "body", problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_not_beyond() {
        let body = || Full::new(Bytes::from_static(b"12345"));
        let limits = |bytes| Limits { bytes, time: Duration::from_secs(60) };

        assert_eq!(read(body(), limits(5)).await.unwrap(), "12345");
        assert_eq!(read(body(), limits(4)).await, Err(Refusal::TooLarge { limit_bytes: 4 }));
    }
}
