//! The token a request presents, and how new ones are made.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};

use crate::access::peer::{Identity, Peer};
use crate::model::{Credential, KeyDigest};
use crate::wire::heeded::{Heeded, X_API_KEY, bearer};

/// A presented token. Its use is to be hashed.
#[derive(Clone, Copy)]
pub struct Token<'a>(&'a [u8]);

impl<'a> Token<'a> {
    /// The token of `Authorization: Bearer …`, or of `X-API-Key` if there is no `Authorization`.
    ///
    /// `None` for anything else: another scheme, an empty token, one of more than 512 bytes or with
    /// a blank in it, and a header that occurs twice, since which one counts would be a guess.
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        let token = if headers.contains_key(AUTHORIZATION) {
            bearer(only(headers, &AUTHORIZATION)?)?
        } else {
            only(headers, &X_API_KEY)?
        };
        Self::presented(token)
    }

    /// A token from its bytes, if they can be one.
    pub fn presented(token: &'a [u8]) -> Option<Self> {
        let is_usable = (1..=512).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic);
        is_usable.then_some(Self(token))
    }

    /// The token itself, for an origin that knows it. Its only other use.
    pub fn to_credential(self) -> Credential {
        Credential::new(&String::from_utf8_lossy(self.0))
    }

    /// What stores know a token by.
    pub fn digest(self) -> KeyDigest {
        KeyDigest(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What a caller shows, as far as it has to be compared with what was shown before.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presented<'a> {
    /// A certificate that names what has this digest.
    Certificate(&'a KeyDigest),
    /// What stands where a token does: one, if it is equal to one.
    Token(&'a [u8]),
}

impl<'a> Presented<'a> {
    /// What counts of a request, as [`Shown::of`] says.
    pub fn of(heeded: &Heeded<'a>, peer: &'a Peer) -> Option<Self> {
        match &peer.identity {
            Some(identity) if !heeded.has_credential() => {
                Some(Self::Certificate(identity.digest_ref()))
            }
            _ => heeded.token().map(Self::Token),
        }
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented(…)")
    }
}

/// What a caller shows to be let in.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// A certificate that names a project and an environment, in the handshake.
    Certificate(&'a Arc<Identity>),
    /// A token, in the request.
    Token(Token<'a>),
}

impl<'a> Shown<'a> {
    /// What counts of a request: its token, if it brings any credential at all, right or wrong;
    /// else the certificate of its connection.
    pub fn of(headers: &'a HeaderMap, peer: &'a Peer) -> Option<Self> {
        if headers.contains_key(AUTHORIZATION) || headers.contains_key(X_API_KEY) {
            return Token::of(headers).map(Self::Token);
        }
        peer.identity.as_ref().map(Self::Certificate)
    }

    /// What is remembered of it.
    pub fn digest(self) -> KeyDigest {
        match self {
            Self::Certificate(identity) => identity.digest(),
            Self::Token(token) => token.digest(),
        }
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    lines.next().filter(|_| lines.next().is_none())
}

/// A new token: shown once to whoever asked for it, then gone.
pub struct Secret {
    token: String,
    prefix_len: usize,
}

impl Secret {
    /// Makes a token for an environment: `pk_live_` or `pk_dev_` (any other environment's name in
    /// that place), then 256 random bits in base64url.
    ///
    /// # Errors
    ///
    /// If the operating system gives no randomness.
    pub fn new(environment: &str) -> Result<Self, getrandom::Error> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)?;
        let kind = format!("pk_{environment}_");
        let prefix_len = kind.len() + SHOWN_CHARACTERS;
        Ok(Self { token: kind + &URL_SAFE_NO_PAD.encode(bits), prefix_len })
    }

    /// The token itself.
    pub fn reveal(&self) -> &str {
        &self.token
    }

    /// What a store keeps of it.
    pub fn digest(&self) -> KeyDigest {
        Token(self.token.as_bytes()).digest()
    }

    /// Enough of it to recognise it by: its kind and the first random characters.
    pub fn prefix(&self) -> &str {
        self.token.get(..self.prefix_len).unwrap_or_default()
    }
}

/// How many of a token's 43 random characters are shown again: 232 bits stay unknown.
const SHOWN_CHARACTERS: usize = 4;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn token(lines: &[(&'static str, &'static str)]) -> Option<Vec<u8>> {
        Token::of(&headers(lines)).map(|token| token.0.to_vec())
    }

    #[test]
    fn a_token_comes_from_either_header() {
        for lines in [
            &[("authorization", "Bearer abc")][..],
            &[("authorization", "bearer   abc")],
            &[("x-api-key", "abc")],
            &[("authorization", "Bearer abc"), ("x-api-key", "other")],
        ] {
            assert_eq!(token(lines).as_deref(), Some(&b"abc"[..]), "of {lines:?}");
        }
    }

    #[test]
    fn anything_malformed_is_no_token() {
        for lines in [
            &[][..],
            &[("authorization", "")],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer ")],
            &[("authorization", "Basic abc")],
            &[("authorization", "Bearerabc")],
            &[("authorization", "Bearer a b")],
            &[("authorization", "Basic abc"), ("x-api-key", "abc")],
            &[("authorization", "Bearer abc"), ("authorization", "Bearer abc")],
            &[("x-api-key", "abc"), ("x-api-key", "abc")],
        ] {
            assert_eq!(token(lines), None, "of {lines:?}");
        }
    }

    #[test]
    fn a_new_token_never_prints_itself_and_is_known_by_its_first_characters() {
        let secret = Secret::new("live").unwrap();

        assert_eq!(secret.reveal().len(), "pk_live_".len() + 43);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(secret.reveal().starts_with(secret.prefix()));
        assert_eq!(secret.prefix().len(), "pk_live_".len() + 4);
        assert_ne!(secret.digest(), Secret::new("live").unwrap().digest());
    }

    proptest! {
        #[test]
        fn a_token_is_the_same_in_either_header(
            scheme in "(?i)bearer", token in "[!-~]{1,512}", blanks in "[ \t]{0,3}",
        ) {
            let bearer = format!("{scheme} {blanks}{token}");
            let one = |name, value: &str| HeaderMap::from_iter([(name, value.parse().unwrap())]);
            let digest = |headers| Token::of(&headers).map(Token::digest);

            let expected = Token::presented(token.as_bytes()).map(Token::digest);
            prop_assert!(expected.is_some());
            prop_assert_eq!(digest(one(AUTHORIZATION, &bearer)), expected);
            prop_assert_eq!(digest(one(X_API_KEY, &token)), expected);
        }

        #[test]
        fn no_bytes_panic_and_a_token_stands_in_them_as_it_is(
            bytes in vec(any::<u8>(), 0..80), like in "(?i)(bearer|basic)?[ \t]{0,2}[ -~é]{0,8}",
        ) {
            for bytes in [&bytes[..], like.as_bytes(), &[b"Bearer ", &bytes[..]].concat()] {
                let Ok(value) = HeaderValue::from_bytes(bytes) else { continue };
                for name in [AUTHORIZATION, X_API_KEY] {
                    let headers = HeaderMap::from_iter([(name, value.clone())]);
                    let Some(Token(token)) = Token::of(&headers) else { continue };
                    prop_assert!(bytes.ends_with(token));
                    prop_assert!(token.iter().all(u8::is_ascii_graphic) && !token.is_empty());
                }
            }
        }
    }
}
