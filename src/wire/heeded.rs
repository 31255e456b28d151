//! What of a request's head decides an answer from memory, found in one pass.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, HOST, IF_NONE_MATCH};

use crate::telemetry::request_id::X_REQUEST_ID;

/// The header that carries a bare token, for callers that cannot set `Authorization`.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The fields of a head that are heeded where an answer is in memory.
///
/// A look-up in a `HeaderMap` hashes a name; a request has a handful of fields, and comparing each
/// with these names costs less than six look-ups.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heeded<'a> {
    /// `Host`.
    pub host: Option<&'a HeaderValue>,
    /// `Authorization`.
    pub authorization: Option<&'a HeaderValue>,
    /// `X-API-Key`.
    pub api_key: Option<&'a HeaderValue>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a HeaderValue>,
    /// `Accept-Encoding`.
    pub accept_encoding: Option<&'a HeaderValue>,
    /// `X-Request-Id`.
    pub request_id: Option<&'a HeaderValue>,
}

impl<'a> Heeded<'a> {
    /// The fields of a plain request. `None` if one of them occurs twice, or if the request makes
    /// demands of caches: such a head is read with care, where there is time.
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut heeded = Self::default();
        for (name, value) in headers {
            let place = if *name == HOST {
                &mut heeded.host
            } else if *name == AUTHORIZATION {
                &mut heeded.authorization
            } else if *name == IF_NONE_MATCH {
                &mut heeded.if_none_match
            } else if *name == ACCEPT_ENCODING {
                &mut heeded.accept_encoding
            } else if *name == CACHE_CONTROL {
                return None;
            } else if *name == X_REQUEST_ID {
                &mut heeded.request_id
            } else if *name == X_API_KEY {
                &mut heeded.api_key
            } else {
                continue;
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        Some(heeded)
    }

    /// Whether the request brings a credential, right or wrong.
    pub const fn has_credential(&self) -> bool {
        self.authorization.is_some() || self.api_key.is_some()
    }

    /// The bytes after `Bearer `, or those of `X-API-Key` if there is no `Authorization`: a token,
    /// if they are equal to one.
    pub fn token(&self) -> Option<&'a [u8]> {
        match (self.authorization, self.api_key) {
            (Some(line), _) => bearer(line.as_bytes()),
            (None, Some(token)) => Some(token.as_bytes()),
            (None, None) => None,
        }
    }
}

/// What stands behind `Bearer ` in a line of `Authorization` (RFC 6750 §2.1).
pub fn bearer(line: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = line.split_at_checked(7)?;
    let is_bearer = scheme == b"Bearer " || scheme.eq_ignore_ascii_case(b"Bearer ");
    is_bearer.then(|| token.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter();
        lines.map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn token(lines: &[(&'static str, &'static str)]) -> Option<Vec<u8>> {
        Heeded::of(&headers(lines))?.token().map(<[u8]>::to_vec)
    }

    #[test]
    fn a_token_is_found_where_it_may_stand() {
        for (lines, expected) in [
            (&[("authorization", "Bearer a")][..], Some("a")),
            (&[("authorization", "bEARER  a")], Some("a")),
            (&[("x-api-key", "a")], Some("a")),
            (&[("x-api-key", "a"), ("authorization", "Bearer b")], Some("b")),
            (&[("x-api-key", "a"), ("authorization", "Basic b")], None),
            (&[("authorization", "Bearer")], None),
            (&[("accept", "a")], None),
        ] {
            assert_eq!(token(lines), expected.map(|token| token.as_bytes().to_vec()), "{lines:?}");
        }
    }

    #[test]
    fn a_head_that_needs_care_is_not_plain() {
        for lines in [
            &[("cache-control", "no-cache")][..],
            &[("host", "a"), ("host", "a")],
            &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
            &[("if-none-match", "\"a\""), ("accept", "b"), ("if-none-match", "\"b\"")],
        ] {
            assert!(Heeded::of(&headers(lines)).is_none(), "{lines:?}");
        }
        let several = headers(&[("accept", "a"), ("accept", "b"), ("if-none-match", "\"a\"")]);
        assert_eq!(Heeded::of(&several).unwrap().if_none_match.unwrap(), "\"a\"");
    }
}
