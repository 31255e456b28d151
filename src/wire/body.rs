//! Reading a request's body up to a limit.

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

use crate::model::Refusal;

/// Reads the whole body.
///
/// # Errors
///
/// * [`Refusal::TooLarge`] if it is longer than `limit_bytes`; no more than that is held.
/// * [`Refusal::BadInput`] if it breaks off.
pub async fn read<B>(body: B, limit_bytes: u64) -> Result<Bytes, Refusal>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    // A limit beyond the address space is no limit.
    let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge { limit_bytes }),
        Err(_) => Err(Refusal::BadInput {
            field: "body",
            problem: "it broke off before its end: send it again".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_not_beyond() {
        let body = || Full::new(Bytes::from_static(b"12345"));

        assert_eq!(read(body(), 5).await.unwrap(), "12345");
        assert_eq!(read(body(), 4).await, Err(Refusal::TooLarge { limit_bytes: 4 }));
    }
}
