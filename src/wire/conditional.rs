//! Entity tags and `If-None-Match` (RFC 9110 §8.8.3, §13.1.2).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::header::IF_NONE_MATCH;
use sha2::{Digest, Sha256};

use crate::wire::coding::{Coding, Codings};

/// A strong entity tag, quotes included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ETag(HeaderValue);

impl ETag {
    /// The tag of a representation: its SHA-256 in base64url. Equal bytes, equal tag, on every edge.
    #[expect(clippy::expect_used, reason = "base64url and quotes are visible ASCII")]
    pub fn of(representation: &[u8]) -> Self {
        // 43 characters between quotes: what is kept of it is kept for each answer.
        let mut tag = String::with_capacity(45);
        tag.push('"');
        URL_SAFE_NO_PAD.encode_string(Sha256::digest(representation), &mut tag);
        tag.push('"');
        Self(HeaderValue::from_maybe_shared(tag).expect("base64url is a header value"))
    }

    /// A tag as it was written down: quoted, printable ASCII between.
    pub fn parse(text: &str) -> Option<Self> {
        let opaque = text.strip_prefix('"')?.strip_suffix('"')?;
        let is_opaque = opaque.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        is_opaque.then(|| HeaderValue::from_str(text).ok().map(Self))?
    }

    /// The value of the `ETag` header.
    pub fn as_header(&self) -> &HeaderValue {
        &self.0
    }

    /// The tag with its quotes, as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The tag of the same representation in a coding: strong, as every other, and known before
    /// the form is made.
    #[expect(clippy::expect_used, reason = "a tag and a suffix are visible ASCII")]
    pub fn coded(&self, coding: Coding) -> Self {
        let tag = [b"\"", self.opaque(), coding.suffix().as_bytes(), b"\""].concat();
        Self(HeaderValue::from_maybe_shared(Bytes::from(tag)).expect("a tag is a header value"))
    }

    /// Whether the request's `If-None-Match` names this tag, or that of one of its codings, so that
    /// 304 is the answer.
    pub fn is_named_by(&self, headers: &HeaderMap) -> bool {
        self.named_by(headers) != Named::Nothing
    }

    /// Which of this tag and those of its codings the request's `If-None-Match` names.
    ///
    /// 1. No such header: none.
    /// 2. `*` alone: any, since there is a representation.
    /// 3. Those of any line that are equal under weak comparison (`W/` is ignored).
    ///
    /// A tag without quotes counts as one with them, as some clients send it. Whatever is no tag is
    /// skipped: a malformed condition costs a full answer, never an error.
    pub fn named_by(&self, headers: &HeaderMap) -> Named {
        self.named_in(headers.get_all(IF_NONE_MATCH))
    }

    /// The same of these lines.
    pub fn named_in<'a>(&self, lines: impl IntoIterator<Item = &'a HeaderValue>) -> Named {
        let mut named = Codings::default();
        for line in lines {
            if line == self.0 {
                return Named::These(named.with(Coding::Identity));
            }
            if line == "*" {
                return Named::Any;
            }
            let codings = tags(line.as_bytes()).filter_map(|tag| self.coding_of(tag));
            named = codings.fold(named, Codings::with);
        }
        if named.is_empty() { Named::Nothing } else { Named::These(named) }
    }

    /// The coding in which this representation has that opaque tag.
    fn coding_of(&self, tag: &[u8]) -> Option<Coding> {
        let suffix = tag.strip_prefix(self.opaque())?;
        let codings = [Coding::Identity].into_iter().chain(Coding::ALL);
        codings.into_iter().find(|coding| coding.suffix().as_bytes() == suffix)
    }

    /// What is between the quotes.
    fn opaque(&self) -> &[u8] {
        let quoted = self.0.as_bytes();
        quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default()
    }
}

/// What an `If-None-Match` names of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// Nothing.
    Nothing,
    /// Whatever there is: `*`.
    Any,
    /// It in these codings.
    These(Codings),
}

/// The opaque tags of one `If-None-Match` line, quotes and `W/` removed. Linear in the line.
fn tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let separators = rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b',')).count();
        rest = rest.get(separators..).filter(|rest| !rest.is_empty())?;
        let unweakened = rest.strip_prefix(b"W/").unwrap_or(rest);
        let (tag, behind) = match unweakened.strip_prefix(b"\"") {
            // An opaque tag may hold a comma; a missing closing quote runs to the end.
            Some(quoted) => split_at(quoted, b'"'),
            None => split_at(unweakened, b','),
        };
        rest = behind;
        Some(tag.trim_ascii_end())
    })
}

/// What stands before and behind the first `byte`.
fn split_at(bytes: &[u8], byte: u8) -> (&[u8], &[u8]) {
    let mut parts = bytes.splitn(2, |b| *b == byte);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(tag: &ETag, lines: &[&str]) -> bool {
        let lines = lines.iter().map(|line| HeaderValue::from_bytes(line.as_bytes()).unwrap());
        tag.is_named_by(&lines.map(|line| (IF_NONE_MATCH, line)).collect())
    }

    fn with(tag: &ETag, pattern: &str) -> String {
        pattern.replace("TAG", tag.as_str()).replace("BARE", tag.as_str().trim_matches('"'))
    }

    #[test]
    fn a_tag_is_the_sha_256_of_the_bytes_in_base64url() {
        let empty = ETag::of(b"");

        assert_eq!(empty.as_str(), "\"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU\"");
        assert_ne!(ETag::of(b"a"), empty);
    }

    #[test]
    fn the_current_tag_is_found_in_every_legal_form() {
        let tag = ETag::of(b"x");

        for pattern in [
            "TAG",
            "W/TAG",
            "*",
            "\"a\", TAG",
            "TAG,\"b\"",
            ",, \t W/\"a,b\" ,W/TAG ,",
            "BARE",
            "W/BARE",
            "\"a\", BARE , \"b\"",
        ] {
            assert!(named(&tag, &[&with(&tag, pattern)]), "{pattern} should match");
        }
        assert!(named(&tag, &["\"a\"", &with(&tag, "TAG")]), "several lines are one list");
    }

    #[test]
    fn other_tags_and_garbage_do_not_match() {
        let tag = ETag::of(b"x");

        for pattern in
            ["", ",", "\"a\"", "W/", "\"", "\"a\", *", "w/TAG", "\"xTAG", "\"BARE x\"", "'BARE'"]
        {
            assert!(!named(&tag, &[&with(&tag, pattern)]), "{pattern} should not match");
        }
        assert!(!tag.is_named_by(&HeaderMap::new()));
    }

    #[test]
    fn the_tag_of_each_coding_is_a_tag_of_its_own_and_names_the_representation() {
        let tag = ETag::of(b"x");
        let coded = Coding::ALL.map(|coding| tag.coded(coding));
        let [gzip, brotli, zstd] = coded.each_ref().map(ETag::as_str);

        assert_eq!(gzip, with(&tag, "\"BARE-gz\""));
        assert_eq!(tag.coded(Coding::Identity), tag);
        for (line, codings) in [
            (gzip, vec![Coding::Gzip]),
            (brotli, vec![Coding::Brotli]),
            (zstd, vec![Coding::Zstd]),
            (&*format!("\"a\", W/{zstd},{brotli}"), vec![Coding::Zstd, Coding::Brotli]),
            (&*format!("{gzip}, {}", tag.as_str()), vec![Coding::Gzip, Coding::Identity]),
            (gzip.trim_matches('"'), vec![Coding::Gzip]),
        ] {
            let value = HeaderValue::from_str(line).unwrap();
            let named = tag.named_by(&HeaderMap::from_iter([(IF_NONE_MATCH, value)]));
            let expected = codings.into_iter().fold(Codings::default(), Codings::with);
            assert_eq!(named, Named::These(expected), "by {line}");
        }
        for pattern in ["\"BARE-\"", "\"BARE-gzip\"", "\"BARE-gz-gz\"", "\"-gz\"", "\"BAREgz\""] {
            assert!(!named(&tag, &[&with(&tag, pattern)]), "{pattern} should not match");
        }
        assert!(!ETag::of(b"y").coded(Coding::Gzip).is_named_by(&HeaderMap::from_iter([(
            IF_NONE_MATCH,
            HeaderValue::from_str(gzip).unwrap(),
        )])));
    }

    proptest! {
        #[test]
        fn no_line_panics_and_an_appended_tag_is_found(garbage in "[ -!#-~]{0,40}") {
            let tag = ETag::of(b"x");

            named(&tag, &[&garbage]);
            let line = format!("{garbage},{}", tag.as_str());
            prop_assert!(named(&tag, &[&line]));
        }

        #[test]
        fn a_list_names_the_tags_in_it_and_no_other(
            others in proptest::collection::vec("(W/)?\"[!#-~]{0,8}\"", 0..6),
            place in 0..6_usize,
            separator in "[ \t]{0,2},[ \t,]{0,3}",
        ) {
            let tag = ETag::of(b"x");
            let mut listed = others.clone();
            listed.insert(place.min(others.len()), tag.as_str().to_owned());

            prop_assert!(named(&tag, &[&listed.join(&separator)]));
            prop_assert!(!named(&tag, &[&others.join(&separator)]));
        }

        #[test]
        fn no_bytes_panic(line in proptest::collection::vec(32_u8..=255, 0..60)) {
            if let Ok(line) = HeaderValue::from_bytes(&line) {
                ETag::of(b"x").is_named_by(&HeaderMap::from_iter([(IF_NONE_MATCH, line)]));
            }
        }
    }
}
