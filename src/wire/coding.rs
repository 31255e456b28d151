//! Content codings, and which of them a request prefers (RFC 9110 §8.4.1, §12.5.3).

use http::HeaderMap;
use http::HeaderValue;
use http::header::ACCEPT_ENCODING;

/// How the bytes of an answer are written.
///
/// In order of rank: of what a caller accepts alike, the last is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coding {
    /// As they are.
    Identity,
    /// RFC 1952; `x-gzip` means the same.
    Gzip,
    /// RFC 7932.
    Brotli,
    /// RFC 8878, with a window of at most 8 MiB (RFC 9659).
    Zstd,
}

impl Coding {
    /// Every coding that is not identity.
    pub const ALL: [Self; 3] = [Self::Gzip, Self::Brotli, Self::Zstd];

    /// Its name in headers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The value of `Content-Encoding`; `None` for identity, which is not named there.
    pub const fn as_header(self) -> Option<HeaderValue> {
        match self {
            Self::Identity => None,
            Self::Gzip | Self::Brotli | Self::Zstd => Some(HeaderValue::from_static(self.as_str())),
        }
    }

    /// What the tag of a form in this coding has behind the tag of what it was made of.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Gzip => "-gz",
            Self::Brotli => "-br",
            Self::Zstd => "-zst",
        }
    }
}

/// A set of codings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Codings(u8);

impl Codings {
    /// From [`Self::bits`].
    pub const fn of(bits: u8) -> Self {
        Self(bits)
    }

    /// One bit for each.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set with one more.
    pub const fn with(self, coding: Coding) -> Self {
        Self(self.0 | 1 << coding as u8)
    }

    /// Whether it is one of them.
    pub const fn has(self, coding: Coding) -> bool {
        self.0 & 1 << coding as u8 != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What the `Accept-Encoding` of a request says of each coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// In thousandths, by coding; 0 is not accepted.
    weights: [u16; 4],
}

impl Accepted {
    /// Without the header, or with an empty one, identity alone: who says nothing may know nothing.
    /// (RFC 9110 would let us send anything to the former.)
    const NOTHING_SAID: Self = Self { weights: [LEAST, 0, 0, 0] };

    /// Reads every line, in one pass and without an allocation.
    ///
    /// 1. `*` is every coding that is not named. Identity that is not named, not even so, is
    ///    accepted after everything else.
    /// 2. Of a coding that is named twice, the lower weight counts.
    /// 3. A member whose weight is none, or that has any other parameter, says nothing.
    ///
    /// # Cost
    ///
    /// With [`Self::preferred`] 94 instructions without the header, nearly all of them the look-up,
    /// and 434 for `gzip, deflate, br, zstd` (callgrind, optimised, 2026-11-23).
    pub fn of(request: &HeaderMap) -> Self {
        let mut lines = request.get_all(ACCEPT_ENCODING).iter();
        let Some(first) = lines.next() else { return Self::NOTHING_SAID };
        let mut said = Said::NOTHING;
        said.hear(first.as_bytes());
        lines.for_each(|line| said.hear(line.as_bytes()));
        said.of_all()
    }

    /// The one with the highest weight; of equals, the one of the highest rank.
    ///
    /// Identity, if nothing at all is accepted: RFC 9110 §12.5.3 leaves the choice between that and
    /// a 406, and what cannot be sent otherwise is of more use than a refusal.
    pub fn preferred(self) -> Coding {
        self.preferred_of(|_| true)
    }

    /// The same of some of them; identity, if none of these is accepted.
    pub fn preferred_of(self, is_there: impl Fn(Coding) -> bool) -> Coding {
        let mut best = (Coding::Identity, 0);
        let [identity, gzip, brotli, zstd] = self.weights;
        for (coding, weight) in [
            (Coding::Zstd, zstd),
            (Coding::Brotli, brotli),
            (Coding::Gzip, gzip),
            (Coding::Identity, identity),
        ] {
            if weight > best.1 && is_there(coding) {
                best = (coding, weight);
            }
        }
        best.0
    }
}

/// The weight of a member that does not say one.
const MOST: u16 = 1_000;

/// The lowest weight that is accepted.
const LEAST: u16 = 1;

/// The weight of what is not named: above all weights, so that the lower of two is one that was.
const UNSAID: u16 = u16::MAX;

/// What members said so far, in thousandths.
struct Said {
    identity: u16,
    gzip: u16,
    brotli: u16,
    zstd: u16,
    /// Of every coding that is not named: `*`.
    others: u16,
}

impl Said {
    const NOTHING: Self =
        Self { identity: UNSAID, gzip: UNSAID, brotli: UNSAID, zstd: UNSAID, others: UNSAID };

    /// Reads one line. Names are matched byte by byte where they stand: nothing is looked at twice,
    /// but for a weight.
    fn hear(&mut self, line: &[u8]) {
        let mut rest = line;
        loop {
            rest = match rest {
                [] => return,
                [b',' | b' ' | b'\t', behind @ ..] => behind,
                [b'g' | b'G', b'z' | b'Z', b'i' | b'I', b'p' | b'P', behind @ ..]
                | [
                    b'x' | b'X',
                    b'-',
                    b'g' | b'G',
                    b'z' | b'Z',
                    b'i' | b'I',
                    b'p' | b'P',
                    behind @ ..,
                ] => weighed(&mut self.gzip, behind),
                [b'b' | b'B', b'r' | b'R', behind @ ..] => weighed(&mut self.brotli, behind),
                [b'z' | b'Z', b's' | b'S', b't' | b'T', b'd' | b'D', behind @ ..] => {
                    weighed(&mut self.zstd, behind)
                }
                [b'*', behind @ ..] => weighed(&mut self.others, behind),
                [b'i' | b'I', ..] => match rest.split_at_checked(b"identity".len()) {
                    Some((name, behind)) if name.eq_ignore_ascii_case(b"identity") => {
                        weighed(&mut self.identity, behind)
                    }
                    Some(_) | None => member(rest).1,
                },
                [_, ..] => member(rest).1,
            };
        }
    }

    fn of_all(&self) -> Accepted {
        let or = |said, other| if said == UNSAID { other } else { said };
        let unnamed = or(self.others, 0);
        Accepted {
            weights: [
                or(self.identity, or(self.others, LEAST)),
                or(self.gzip, unnamed),
                or(self.brotli, unnamed),
                or(self.zstd, unnamed),
            ],
        }
    }
}

/// Lowers what was said of a coding to the weight of a member, whose name was read, and returns what
/// is behind the member.
#[inline]
fn weighed<'a>(said: &mut u16, behind_name: &'a [u8]) -> &'a [u8] {
    if let [] | [b',', ..] = behind_name {
        *said = MOST.min(*said);
        return behind_name;
    }
    let (parameter, behind) = member(behind_name);
    let weight = match parameter.trim_ascii() {
        [] => Some(MOST),
        [b';', weight @ ..] => match weight.trim_ascii_start() {
            [b'q' | b'Q', b'=', value @ ..] => thousandths(value),
            _ => None,
        },
        // The name goes on, so it was another one.
        _ => None,
    };
    *said = weight.map_or(*said, |weight| weight.min(*said));
    behind
}

/// What stands before the next comma, and what follows, comma included.
fn member(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == b',').unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

/// A weight (RFC 9110 §12.4.2): 0 to 1, with at most three digits behind the point.
fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, decimals) = match value {
        [whole @ (b'0' | b'1')] => (*whole, [].as_slice()),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] => (*whole, decimals),
        _ => return None,
    };
    if decimals.len() > 3 || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let places = decimals.iter().copied().chain([b'0'; 3]).take(3);
    let parts = places.fold(0, |parts, digit| parts * 10 + u16::from(digit - b'0'));
    let weight = u16::from(whole - b'0') * MOST + parts;
    (weight <= MOST).then_some(weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepted(lines: &[&[u8]]) -> Accepted {
        let values = lines.iter().map(|line| HeaderValue::from_bytes(line).unwrap());
        Accepted::of(&values.map(|line| (ACCEPT_ENCODING, line)).collect())
    }

    fn preferred(line: &str) -> Coding {
        accepted(&[line.as_bytes()]).preferred()
    }

    #[test]
    fn a_request_is_sent_what_it_prefers() {
        use Coding::{Brotli, Gzip, Identity, Zstd};

        for (line, expected) in [
            // Those of common clients.
            ("gzip, deflate, br, zstd", Zstd),
            ("gzip, deflate, br", Brotli),
            ("gzip, deflate", Gzip),
            ("gzip,deflate,compress", Gzip),
            ("gzip;q=1.0,deflate;q=0.6,identity;q=0.3", Gzip),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", Brotli),
            // Weights come before rank.
            ("zstd;q=0.2, br;q=0.3, gzip;q=0.999", Gzip),
            ("zstd;q=0.001, gzip;q=0.002", Gzip),
            ("gzip;q=0.5, identity;q=0.8", Identity),
            ("gzip;q=0.5, identity", Identity),
            ("identity, gzip", Gzip),
            ("gzip;q=0.001", Gzip),
            // What is not accepted.
            ("gzip;q=0", Identity),
            ("gzip;q=0.000, br;q=0.", Identity),
            ("zstd;q=0, *", Brotli),
            ("*;q=0", Identity),
            ("*;q=0, gzip;q=0.1", Gzip),
            ("identity;q=0", Identity),
            ("identity;q=0, gzip;q=0.5", Gzip),
            ("identity;q=0, *;q=0.5", Zstd),
            ("*", Zstd),
            ("*;q=0.5, identity", Identity),
            ("*;q=0.5, identity;q=0.4", Zstd),
            // How it may be written.
            ("", Identity),
            (" , ,\t,", Identity),
            ("GZip", Gzip),
            ("x-gzip", Gzip),
            ("X-GZIP;Q=1", Gzip),
            ("\t zstd \t;\t q=1.000 , br", Zstd),
            // Of two that contradict each other the lower counts.
            ("gzip;q=0, gzip", Identity),
            ("gzip, x-gzip;q=0", Identity),
            // What is not ours, or not right, says nothing.
            ("deflate, compress, snappy", Identity),
            ("gzip deflate", Identity),
            ("gzip deflate, br;q=0.1 ;", Identity),
            ("xidentity;q=0, identitygzip, br", Brotli),
            ("gzipx, xgzip, g", Identity),
            ("gzip;q=1.001", Identity),
            ("gzip;q=0.0001, br", Brotli),
            ("gzip;q=-1, br;q=, zstd;q", Identity),
            ("gzip;level=9", Identity),
            ("gzip;q=1;q=0", Identity),
            ("gzip;q = 1", Identity),
            ("gzip;q=.5", Identity),
            ("gzip;q=1,5", Gzip),
        ] {
            assert_eq!(preferred(line), expected, "of `{line}`");
        }
        assert_eq!(accepted(&[]).preferred(), Identity, "without the header");
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines: [&[u8]; 3] = [b"gzip;q=0.4", b"", b"br;q=0.5, *;q=0"];

        assert_eq!(accepted(&lines).preferred(), Coding::Brotli);
    }

    #[test]
    fn of_some_the_preferred_one_is_chosen() {
        let accepted = accepted(&[b"gzip;q=0.4, br, identity"]);

        let of = |some: &[Coding]| accepted.preferred_of(|coding| some.contains(&coding));
        assert_eq!(of(&[Coding::Gzip, Coding::Zstd]), Coding::Gzip);
        assert_eq!(of(&[Coding::Zstd]), Coding::Identity);
        assert_eq!(of(&[]), Coding::Identity);
    }

    /// What a line as long as a request's head may be costs is in proportion to its length.
    #[test]
    fn a_line_of_any_length_is_read() {
        let longest = 128 << 10;
        for member in [",", "gzip,", ";", "*;q=0.001,", "q", "gzip;q=0.0000000,", " "] {
            let line = member.repeat(longest / member.len()) + ",br";

            let [_, _, brotli, _] = accepted(&[line.as_bytes()]).weights;
            assert_eq!(brotli, MOST, "behind {member}");
        }
    }

    /// One member as a careful reader reads it, slowly.
    fn said(member: &str) -> Option<(String, f64)> {
        let mut parts = member.split(';').map(|part| part.trim_matches([' ', '\t']));
        let name = parts.next()?.to_ascii_lowercase().replace("x-gzip", "gzip");
        let weight = match (parts.next(), parts.next()) {
            (None, _) => "1",
            (Some(weight), None) => weight.strip_prefix(['q', 'Q'])?.strip_prefix('=')?,
            (Some(_), Some(_)) => return None,
        };
        let is_weight = weight.len() <= 5
            && weight.starts_with(['0', '1'])
            && matches!(weight.as_bytes().get(1), None | Some(b'.'))
            && weight.bytes().skip(2).all(|digit| digit.is_ascii_digit());
        let weight: f64 = weight.parse().ok().filter(|_| is_weight)?;
        (weight <= 1.0).then_some((name, weight))
    }

    proptest! {
        #[test]
        fn no_bytes_panic(line in proptest::collection::vec(32_u8..=255, 0..80)) {
            if let Ok(line) = HeaderValue::from_bytes(&line) {
                Accepted::of(&HeaderMap::from_iter([(ACCEPT_ENCODING, line)])).preferred();
            }
        }

        /// Whatever is sent has the highest weight of all, and is accepted unless nothing is.
        #[test]
        fn what_is_preferred_is_accepted(
            line in "((gzip|br|zstd|identity|x-gzip|BR|deflate|\\*|)[ \t]?(;[ \t]?[qQ]=(0|1|0\\.[0-9]{0,4}|1\\.0{0,4}|2|))?,[ \t]{0,2}){0,6}"
        ) {
            let members: Vec<_> = line.split(',').filter_map(said).collect();
            let of = |name: &str| {
                let weights = members.iter().filter(|(its, _)| its == name).map(|(_, weight)| *weight);
                weights.reduce(f64::min)
            };
            let weight = |coding: Coding| {
                let unsaid = if coding == Coding::Identity { 0.0005 } else { 0.0 };
                of(coding.as_str()).or(of("*")).unwrap_or(unsaid)
            };
            let preferred = preferred(&line);

            let highest = Coding::ALL.into_iter().chain([Coding::Identity]).map(weight);
            let highest = highest.reduce(f64::max).unwrap_or_default();
            if highest > 0.0 {
                prop_assert_eq!(weight(preferred), highest, "{:?} of `{}`", preferred, line);
            } else {
                prop_assert_eq!(preferred, Coding::Identity);
            }
        }
    }
}
