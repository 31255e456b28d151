//! The name of one request: `X-Request-Id`.

use http::Extensions;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::request::Parts;
use uuid::{Builder, Uuid};

use crate::model::Timestamp;

/// The header, on requests and on every answer.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The caller's own id if it is usable, else a new one of `now`.
pub fn of(headers: &HeaderMap, now: Timestamp) -> HeaderValue {
    answer_to(headers.get(X_REQUEST_ID), now)
}

/// The caller's own id if it is usable, else a new UUIDv7 of `now`.
///
/// Usable is 1 to 128 of `A-Z a-z 0-9 . _ -`: anything else could break a log line.
///
/// It is marked to stay out of the tables of HPACK (RFC 7541 §6.2.3): no id comes twice, and to search
/// those that came before costs more than the answer.
pub fn answer_to(own: Option<&HeaderValue>, now: Timestamp) -> HeaderValue {
    let is_allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let is_usable = |value: &&HeaderValue| {
        (1..=128).contains(&value.len()) && value.as_bytes().iter().all(is_allowed)
    };
    let mut id = own.filter(is_usable).cloned().unwrap_or_else(|| fresh(now));
    id.set_sensitive(true);
    id
}

/// Leaves a request's name with it, for whoever answers it.
pub fn keep(parts: &mut Extensions, id: &HeaderValue) {
    parts.insert(Kept(id.clone()));
}

/// The name that [`keep`] left.
pub fn known(parts: &Parts) -> &str {
    let kept = parts.extensions.get::<Kept>();
    kept.and_then(|Kept(id)| id.to_str().ok()).unwrap_or_default()
}

#[derive(Clone)]
struct Kept(HeaderValue);

/// Ids are told apart, not guarded: their 74 random bits need not be of a kind that nobody guesses.
#[expect(clippy::expect_used, reason = "a hyphenated UUID is ASCII")]
fn fresh(now: Timestamp) -> HeaderValue {
    let since_epoch = u64::try_from(now.as_millis()).unwrap_or_default();
    let [_, _, _, _, _, _, random @ ..] = fastrand::u128(..).to_le_bytes();
    let id = Builder::from_unix_timestamp_millis(since_epoch, &random).into_uuid();
    let mut buffer = Uuid::encode_buffer();
    let text = id.hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).expect("a hyphenated UUID is a header value")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn of_value(value: &str) -> HeaderValue {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        of(&HeaderMap::from_iter([(X_REQUEST_ID, value)]), NOW)
    }

    #[test]
    fn a_usable_id_is_echoed() {
        assert_eq!(of_value("job-7.A_b"), "job-7.A_b");
    }

    #[test]
    fn an_unusable_or_missing_id_is_replaced() {
        for bad in ["", "a b", "a\"b", "é"] {
            assert_eq!(of_value(bad).len(), 36, "{bad:?} should be replaced");
        }
        let [one, other] = [(); 2].map(|()| of(&HeaderMap::new(), NOW));
        assert_ne!(one, other);
        let id: Uuid = one.to_str().unwrap().parse().unwrap();
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_timestamp().unwrap().to_unix().0, 1_700_000_000);
    }

    proptest! {
        #[test]
        fn whatever_is_sent_the_name_fits_into_a_log_line(
            bytes in proptest::collection::vec(any::<u8>(), 0..40), like in "[A-Za-z0-9._ -]{0,140}",
        ) {
            for bytes in [&bytes[..], like.as_bytes()] {
                let Ok(sent) = HeaderValue::from_bytes(bytes) else { continue };
                let id = of(&HeaderMap::from_iter([(X_REQUEST_ID, sent.clone())]), NOW);
                prop_assert!(id == sent || id.len() == 36);
                prop_assert!((1..=128).contains(&id.len()) && !id.as_bytes().contains(&b' '));
                prop_assert!(id.as_bytes().iter().all(u8::is_ascii_graphic));
            }
        }
    }
}
