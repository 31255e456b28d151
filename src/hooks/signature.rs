//! Who sent a hook: three ways to sign one, all of them HMAC-SHA256.
//!
//! | scheme      | signed                  | says when it was signed | stands in                       |
//! |-------------|-------------------------|-------------------------|---------------------------------|
//! | `langfuse`  | `t.body`                | yes                     | `x-langfuse-signature`, hex     |
//! | `promptot`  | `body`                  | no                      | a header of its own choice, hex |
//! | `standard`  | `id.timestamp.body`     | yes                     | `webhook-signature`, base64     |
//!
//! What a head lacks is found out without the key. The body is then hashed once, however many
//! signatures the head offers, and compared with each of them in constant time: how long it takes
//! says nothing of the key, nor of how much of a signature was right.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::HeaderName;
use sha2::{Digest, Sha256};

use crate::model::{Credential, Timestamp};

/// How far the moment of signing may be from ours, before or after: what Standard Webhooks
/// recommends.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// How an origin signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Langfuse: `t=<seconds>,v1=<hex>`.
    Langfuse,
    /// PromptOT: the digest of the body alone, in hex, with or without `sha256=` before it.
    PromptOt {
        /// Where it stands. The vendor does not say; see [`PROMPTOT_SIGNATURE`].
        header: HeaderName,
    },
    /// Standard Webhooks 1.0.0, with a symmetric key.
    Standard,
}

/// Where PromptOT's signature stands unless an operator says otherwise.
pub const PROMPTOT_SIGNATURE: HeaderName = HeaderName::from_static("x-promptot-signature");

const LANGFUSE_SIGNATURE: HeaderName = HeaderName::from_static("x-langfuse-signature");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");

/// What a scheme's signatures are made with. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Arc<[u8]>);

/// Why a text is not a hook's secret. Its message says what would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct InvalidSecret(&'static str);

impl SigningKey {
    /// The key that a vendor's secret stands for: in Standard Webhooks what `whsec_` is base64 of,
    /// in all other cases the text itself.
    ///
    /// # Errors
    ///
    /// If it is empty, since anybody could sign with that, or `whsec_` is followed by no base64.
    pub fn of(scheme: &Scheme, secret: &Credential) -> Result<Self, InvalidSecret> {
        let encoded = match scheme {
            Scheme::Standard => secret.expose().strip_prefix("whsec_"),
            Scheme::Langfuse | Scheme::PromptOt { .. } => None,
        };
        let key = match encoded {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| {
                InvalidSecret("base64 behind `whsec_`, or a secret that does not begin so")
            })?,
            None => secret.expose().as_bytes().to_vec(),
        };
        match key.is_empty() {
            true => Err(InvalidSecret("a secret that is not empty")),
            false => Ok(Self(key.into())),
        }
    }

    /// The key, made ready.
    pub(crate) fn prepared(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(…)")
    }
}

/// A hook whose sender has the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// When it was signed, if that was signed too.
    pub(crate) at: Option<Timestamp>,
    /// The same for the same hook, sent again.
    pub(crate) identity: Identity,
}

/// What tells one hook from another: SHA-256 of its id, or of all that was signed.
pub(crate) type Identity = [u8; 32];

/// Whether `moment` is near enough to `now` for a hook of then to be believed.
pub(crate) fn is_timely(moment: Timestamp, now: Timestamp) -> bool {
    u128::from(moment.as_millis().abs_diff(now.as_millis())) <= TOLERANCE.as_millis()
}

/// Who signed it, if that was somebody with the key, near enough to `now`.
pub(crate) fn verify(
    scheme: &Scheme,
    key: &hmac::Key,
    (headers, body): (&HeaderMap, &[u8]),
    now: Timestamp,
) -> Option<Signed> {
    let claim = Claim::read(scheme, headers)?;
    let at = claim.seconds.map(moment);
    if at.is_some_and(|at| !is_timely(at, now)) {
        return None;
    }
    let mut expected = hmac::Context::with_key(key);
    let mut digest = Sha256::new();
    for part in [claim.head.as_bytes(), body] {
        expected.update(part);
        digest.update(part);
    }
    let expected = expected.sign();
    // All of them are compared: which one fits is nobody's concern.
    let fits = claim.signatures.iter().fold(false, |fits, signature| {
        fits | verify_slices_are_equal(expected.as_ref(), signature).is_ok()
    });
    let identity =
        claim.id.map_or_else(|| digest.finalize().into(), |id| Sha256::digest(id).into());
    fits.then_some(Signed { at, identity })
}

/// What a hook's head says, before anybody believes it.
#[derive(Debug)]
struct Claim<'a> {
    /// What is signed before the body.
    head: String,
    /// The sender's name for this hook.
    id: Option<&'a str>,
    /// When it was signed, in seconds since the Unix epoch.
    seconds: Option<i64>,
    /// One of these is right. More than one come while a secret is being replaced.
    signatures: Vec<[u8; 32]>,
}

impl<'a> Claim<'a> {
    fn read(scheme: &Scheme, headers: &'a HeaderMap) -> Option<Self> {
        match scheme {
            Scheme::Langfuse => Self::langfuse(only(headers, &LANGFUSE_SIGNATURE)?),
            Scheme::PromptOt { header } => Self::promptot(only(headers, header)?),
            Scheme::Standard => Self::standard(
                only(headers, &WEBHOOK_ID)?,
                only(headers, &WEBHOOK_TIMESTAMP)?,
                only(headers, &WEBHOOK_SIGNATURE)?,
            ),
        }
    }

    fn langfuse(value: &str) -> Option<Self> {
        let pairs = || value.split(',').filter_map(|pair| pair.trim().split_once('='));
        let named = |name| pairs().filter(move |pair| pair.0 == name).map(|pair| pair.1);
        let time = named("t").next()?;
        Some(Self {
            head: format!("{time}."),
            id: None,
            seconds: Some(seconds(time)?),
            signatures: named("v1").filter_map(of_hex).collect(),
        })
    }

    fn promptot(value: &str) -> Option<Self> {
        let hex = value.strip_prefix("sha256=").unwrap_or(value);
        Some(Self { head: String::new(), id: None, seconds: None, signatures: vec![of_hex(hex)?] })
    }

    fn standard(id: &'a str, time: &str, value: &str) -> Option<Self> {
        // Entries of another version, such as `v1a`, are signed with another kind of key.
        let entries = value.split(' ').filter_map(|entry| entry.strip_prefix("v1,"));
        Some(Self {
            head: format!("{id}.{time}."),
            id: Some(id),
            seconds: Some(seconds(time)?),
            signatures: entries.filter_map(of_base64).collect(),
        })
    }
}

/// The value of a header that occurs once. Of two, which one counts would be a guess.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none());
    value?.to_str().ok().map(str::trim)
}

/// Digits alone: at most as many as are a moment in milliseconds too.
fn seconds(text: &str) -> Option<i64> {
    let is_number = (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds.saturating_mul(1_000))
}

fn of_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    bytes?.try_into().ok()
}

fn of_base64(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// 2026-03-01T12:00:00Z.
    const NOW: i64 = 1_772_366_400;

    const PROMPTOT_BODY: &str = r#"{"event":"prompt.published","timestamp":"2026-03-01T12:00:00Z","data":{"slug":"greeting","id":"a1b2c3d4-e5f6-4a1b-8c3d-4e5f6a7b8c9d"}}"#;

    /// `printf '%s' "$body" | openssl dgst -sha256 -hmac s3cret`
    const PROMPTOT_HEX: &str = "6c89368f6639da396afb5898c8a08009a4e229c30ff329fcb56fa5529af215be";

    const LANGFUSE_BODY: &str = r#"{"id":"550e8400-e29b-41d4-a716-446655440000","timestamp":"2026-03-01T12:00:00Z","type":"prompt-version","apiVersion":"v1","action":"updated","prompt":{"id":"prompt_1","name":"movies/critic","version":3,"prompt":"Rate {{movie}}."}}"#;

    /// `printf '%s' "1772366400.$body" | openssl dgst -sha256 -hmac lf-whsec_abc`
    const LANGFUSE_HEX: &str = "5ced36bfb8e212f71500158468d2a5f76ca75384d27a59cbdf24b2dd0462033f";

    const STANDARD_BODY: &str = r#"{"test": 2432232314}"#;
    const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const STANDARD_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const STANDARD_SECONDS: i64 = 1_614_265_330;

    /// `hex=$(printf MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw | base64 -d | xxd -p)`, then
    /// `printf '%s' "$id.$timestamp.$body" |
    /// openssl dgst -sha256 -mac HMAC -macopt hexkey:$hex -binary | base64`
    const STANDARD_BASE64: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn promptot() -> Scheme {
        Scheme::PromptOt { header: PROMPTOT_SIGNATURE }
    }

    fn headers(pairs: &[(&HeaderName, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        pairs.iter().map(|(name, text)| ((*name).clone(), value(text))).collect()
    }

    fn signed(scheme: &Scheme, secret: &str, sent: (&HeaderMap, &str), now: i64) -> Option<Signed> {
        let key = SigningKey::of(scheme, &Credential::new(secret)).unwrap().prepared();
        verify(scheme, &key, (sent.0, sent.1.as_bytes()), moment(now))
    }

    fn of_promptot(header: &str, body: &str) -> Option<Signed> {
        let headers = headers(&[(&PROMPTOT_SIGNATURE, header)]);
        signed(&promptot(), "s3cret", (&headers, body), NOW)
    }

    fn of_langfuse(header: &str, now: i64) -> Option<Signed> {
        let headers = headers(&[(&LANGFUSE_SIGNATURE, header)]);
        signed(&Scheme::Langfuse, "lf-whsec_abc", (&headers, LANGFUSE_BODY), now)
    }

    fn of_standard(signature: &str, now: i64) -> Option<Signed> {
        let headers = headers(&[
            (&WEBHOOK_ID, STANDARD_ID),
            (&WEBHOOK_TIMESTAMP, &STANDARD_SECONDS.to_string()),
            (&WEBHOOK_SIGNATURE, signature),
        ]);
        signed(&Scheme::Standard, STANDARD_SECRET, (&headers, STANDARD_BODY), now)
    }

    #[test]
    fn promptot_signs_the_body() {
        let signed = of_promptot(PROMPTOT_HEX, PROMPTOT_BODY).unwrap();

        assert_eq!(signed.at, None);
        assert_eq!(of_promptot(&format!("sha256={PROMPTOT_HEX}"), PROMPTOT_BODY), Some(signed));
        assert!(of_promptot(&PROMPTOT_HEX.to_uppercase(), PROMPTOT_BODY).is_some());
        assert_eq!(of_promptot(PROMPTOT_HEX, &PROMPTOT_BODY.replace("greeting", "other")), None);
    }

    #[test]
    fn langfuse_signs_the_time_and_the_body() {
        let right = format!("t={NOW},v1={LANGFUSE_HEX}");
        let signed = of_langfuse(&right, NOW).unwrap();

        assert_eq!(signed.at, Some(moment(NOW)));
        assert_eq!(of_langfuse(&format!("t={},v1={LANGFUSE_HEX}", NOW + 1), NOW), None);
    }

    /// The vector of the specification.
    #[test]
    fn standard_webhooks_sign_id_time_and_body() {
        let signed = of_standard(STANDARD_BASE64, STANDARD_SECONDS).unwrap();

        assert_eq!(signed.at, Some(moment(STANDARD_SECONDS)));
        assert_eq!(signed.identity, <[u8; 32]>::from(Sha256::digest(STANDARD_ID)));
    }

    #[test]
    fn one_of_several_signatures_is_enough() {
        let wrong = "0".repeat(64);

        for header in [
            format!("t={NOW},v1={wrong},v1={LANGFUSE_HEX}"),
            format!("v1={LANGFUSE_HEX}, v1={wrong}, t={NOW}, v0={wrong}"),
        ] {
            assert!(of_langfuse(&header, NOW).is_some(), "{header}");
        }
        let wrong = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for header in
            [format!("{wrong} {STANDARD_BASE64}"), format!("v1a,AAAA {STANDARD_BASE64} {wrong}")]
        {
            assert!(of_standard(&header, STANDARD_SECONDS).is_some(), "{header}");
        }
    }

    #[test]
    fn five_minutes_either_way_are_near_enough_and_no_more() {
        let langfuse = format!("t={NOW},v1={LANGFUSE_HEX}");

        for (off, is_timely) in [(-301, false), (-300, true), (300, true), (301, false)] {
            assert_eq!(of_langfuse(&langfuse, NOW + off).is_some(), is_timely, "{off}");
            let standard = of_standard(STANDARD_BASE64, STANDARD_SECONDS + off);
            assert_eq!(standard.is_some(), is_timely, "{off}");
        }
    }

    #[test]
    fn a_head_that_lacks_something_is_nobodys() {
        let short = &LANGFUSE_HEX[2..];
        for header in [
            String::new(),
            format!("v1={LANGFUSE_HEX}"),
            format!("t={NOW}"),
            format!("t={NOW},v1={short}"),
            format!("t=+{NOW},v1={LANGFUSE_HEX}"),
            format!("t={NOW}{NOW},v1={LANGFUSE_HEX}"),
            format!("t={NOW},v2={LANGFUSE_HEX}"),
        ] {
            assert_eq!(of_langfuse(&header, NOW), None, "{header}");
        }
        for header in ["", "v1,", "v1", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="] {
            assert_eq!(of_standard(header, STANDARD_SECONDS), None, "{header}");
        }
        let twice = headers(&[(&PROMPTOT_SIGNATURE, PROMPTOT_HEX); 2]);
        assert_eq!(signed(&promptot(), "s3cret", (&twice, PROMPTOT_BODY), NOW), None);
        let none = HeaderMap::new();
        assert_eq!(signed(&promptot(), "s3cret", (&none, PROMPTOT_BODY), NOW), None);
    }

    #[test]
    fn another_secret_signs_otherwise() {
        let headers = headers(&[(&PROMPTOT_SIGNATURE, PROMPTOT_HEX)]);

        assert_eq!(signed(&promptot(), "s3creT", (&headers, PROMPTOT_BODY), NOW), None);
    }

    #[test]
    fn a_secret_that_anybody_has_is_refused() {
        let refused = |scheme, secret| SigningKey::of(&scheme, &Credential::new(secret)).is_err();

        assert!(refused(promptot(), ""));
        assert!(refused(Scheme::Standard, "whsec_"));
        assert!(refused(Scheme::Standard, "whsec_not base64"));
        assert!(!refused(Scheme::Standard, "as it stands"));
        assert!(!refused(Scheme::Langfuse, "whsec_not base64"));
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = SigningKey::of(&promptot(), &Credential::new("s3cret")).unwrap();

        assert_eq!(format!("{key:?}"), "SigningKey(…)");
    }

    proptest! {
        #[test]
        fn a_signed_body_that_was_changed_is_nobodys(at in any::<prop::sample::Index>(), by in 1_u8..) {
            let headers = headers(&[(&PROMPTOT_SIGNATURE, PROMPTOT_HEX)]);
            let key = SigningKey::of(&promptot(), &Credential::new("s3cret")).unwrap().prepared();
            let mut body = PROMPTOT_BODY.as_bytes().to_vec();
            let of = |body: &[u8]| verify(&promptot(), &key, (&headers, body), moment(NOW));
            prop_assert!(of(&body).is_some());

            let at = at.index(body.len());
            body[at] ^= by;

            prop_assert_eq!(of(&body), None);
        }

        #[test]
        fn a_signature_that_was_changed_is_of_nobody(
            at in any::<prop::sample::Index>(), other in "[0-9a-fA-F,=v1]",
        ) {
            let right = format!("t={NOW},v1={LANGFUSE_HEX}");
            let at = at.index(right.len());
            let wrong = format!("{}{other}{}", &right[..at], &right[at + 1..]);
            prop_assume!(!wrong.eq_ignore_ascii_case(&right));

            prop_assert_eq!(of_langfuse(&wrong, NOW), None);
        }

        #[test]
        fn no_bytes_panic_in_a_head(
            value in proptest::collection::vec(any::<u8>(), 0..120),
            other in r"(t=|v1=|v1,|,| |sha256=|[0-9a-fA-F=+/é-]){0,60}",
        ) {
            for bytes in [&value[..], other.as_bytes()] {
                let Ok(value) = HeaderValue::from_bytes(bytes) else { continue };
                for scheme in [Scheme::Langfuse, promptot(), Scheme::Standard] {
                    let headers: HeaderMap = [
                        &PROMPTOT_SIGNATURE, &LANGFUSE_SIGNATURE, &WEBHOOK_ID, &WEBHOOK_SIGNATURE,
                        &WEBHOOK_TIMESTAMP,
                    ].into_iter().map(|name| (name.clone(), value.clone())).collect();
                    prop_assert_eq!(signed(&scheme, "s3cret", (&headers, ""), NOW), None);
                }
            }
        }
    }
}
