//! Reading `Cache-Control`: what an origin allows with it, and what a caller demands.
//!
//! Whatever is malformed makes caches keep less, and is never an error.

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};

use crate::wire::caching::Allowance;
use crate::wire::caching::Demand;

impl Allowance {
    /// What an answer's headers allow (RFC 9111 §5.2.2, RFC 5861).
    ///
    /// 1. `max-age` is what is left of it after `Age`. We are a cache that several callers share,
    ///    so `s-maxage` counts too: the smaller of the two. What `Age` exceeds them by is taken
    ///    from the windows behind.
    /// 2. RFC 5861 counts `stale-if-error` from the end of freshness, as `stale-while-revalidate`:
    ///    what is left of it behind the latter is the rescue.
    /// 3. `no-store` allows nothing, `no-cache` nothing without asking, and `must-revalidate`
    ///    nothing after freshness.
    /// 4. `private` limits nothing: what is kept is kept for the project whose key asked.
    /// 5. Of a directive that is given twice, the smaller counts. A number that is none counts as
    ///    zero (RFC 9111 §4.2.1), and what is not said is not limited.
    pub fn of(headers: &HeaderMap) -> Self {
        let [mut max_age, mut revalidate, mut on_error] = [None; 3];
        let [mut nothing, mut no_reuse, mut no_stale] = [false; 3];
        for directive in directives(headers) {
            match &*directive.name {
                b"max-age" | b"s-maxage" => lower(&mut max_age, directive.seconds()),
                b"stale-while-revalidate" => lower(&mut revalidate, directive.seconds()),
                b"stale-if-error" => lower(&mut on_error, directive.seconds()),
                b"no-store" => nothing = true,
                b"no-cache" => no_reuse = true,
                b"must-revalidate" | b"proxy-revalidate" => no_stale = true,
                _ => {}
            }
        }
        let age = age(headers);
        let beyond = max_age.map_or(Duration::ZERO, |max_age| age.saturating_sub(max_age));
        let stale_for = revalidate.unwrap_or_default().max(beyond);
        let none_if = |nothing: bool, window| if nothing { Some(Duration::ZERO) } else { window };
        Self {
            fresh: none_if(nothing || no_reuse, max_age.map(|all| all.saturating_sub(age))),
            stale: none_if(
                nothing || no_reuse || no_stale,
                revalidate.map(|all| all.saturating_sub(beyond)),
            ),
            rescue: none_if(nothing || no_stale, on_error.map(|all| all.saturating_sub(stale_for))),
        }
    }
}

impl Demand {
    /// What a request's headers demand. `max-stale` without a number is any age; of several
    /// numbers the smallest counts.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut demand = Self::default();
        for directive in directives(headers) {
            match &*directive.name {
                b"no-cache" => demand.no_cache = true,
                b"only-if-cached" => demand.only_if_cached = true,
                b"max-stale" if directive.value.is_none() => {
                    lower(&mut demand.max_stale, Some(Duration::MAX));
                }
                b"max-stale" => lower(&mut demand.max_stale, directive.seconds()),
                _ => {}
            }
        }
        demand
    }
}

/// Whether a request asks that nobody on the way changes how the answer is written (RFC 9111
/// §5.2.1.6).
pub fn forbid_transforming(headers: &HeaderMap) -> bool {
    directives(headers).any(|directive| directive.name == b"no-transform")
}

/// One directive: its name in lower case, and its value without quotes.
struct Directive<'a> {
    name: Vec<u8>,
    value: Option<&'a [u8]>,
}

impl Directive<'_> {
    fn seconds(&self) -> Option<Duration> {
        self.value.and_then(seconds)
    }
}

/// The directives of every line, in one pass over them.
fn directives(headers: &HeaderMap) -> impl Iterator<Item = Directive<'_>> {
    let lines = headers.get_all(CACHE_CONTROL).iter();
    lines.flat_map(|line| members(line.as_bytes())).map(|member| {
        let mut halves = member.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
        let name = halves.next().unwrap_or_default().to_ascii_lowercase();
        Directive { name, value: halves.next().map(unquoted) }
    })
}

/// The members of a comma-separated list. A comma between quotes separates nothing, nor does a
/// quote behind a backslash end them.
fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    line.split(move |byte| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match byte {
            b'"' if !was_escaped => is_quoted = !is_quoted,
            b'\\' if is_quoted && !was_escaped => is_escaped = true,
            _ => {}
        }
        *byte == b',' && !is_quoted
    })
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// A whole number of seconds, cut to [`LONGEST`]; `None` if it is none.
fn seconds(digits: &[u8]) -> Option<Duration> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    // Digits that are no `u64` are too many of them.
    Some(text.parse().map_or(LONGEST, |seconds| Duration::from_secs(seconds).min(LONGEST)))
}

/// How old the answer was already. Of several lines the first counts, and one that is no number
/// says nothing (RFC 9111 §5.1).
fn age(headers: &HeaderMap) -> Duration {
    headers.get(AGE).and_then(|age| seconds(age.as_bytes())).unwrap_or_default()
}

/// Lowers a window to what was said; something that is no number says zero.
fn lower(window: &mut Option<Duration>, said: Option<Duration>) {
    let said = said.unwrap_or_default();
    *window = Some(window.map_or(said, |window| window.min(said)));
}

/// RFC 9111 §1.2.2: a number too large is taken for 2³¹ seconds, which is 68 years.
const LONGEST: Duration = Duration::from_secs(1 << 31);

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let lines = lines.iter().map(|line| HeaderValue::from_bytes(line.as_bytes()).unwrap());
        lines.map(|line| (CACHE_CONTROL, line)).collect()
    }

    /// Fresh, stale and rescue in seconds; -1 where nothing is limited.
    fn allowed(headers: &HeaderMap) -> [i64; 3] {
        let Allowance { fresh, stale, rescue } = Allowance::of(headers);
        [fresh, stale, rescue]
            .map(|window| window.map_or(-1, |window| i64::try_from(window.as_secs()).unwrap()))
    }

    #[test]
    fn each_directive_limits_its_window() {
        for (line, expected) in [
            ("", [-1, -1, -1]),
            ("private, immutable, unheard-of=7", [-1, -1, -1]),
            ("max-age=60", [60, -1, -1]),
            ("s-maxage=30, max-age=60", [30, -1, -1]),
            ("private, max-age=30, stale-while-revalidate=300", [30, 300, -1]),
            ("max-age=30, stale-while-revalidate=300, stale-if-error=86400", [30, 300, 86_100]),
            ("stale-while-revalidate=300, stale-if-error=60", [-1, 300, 0]),
            ("no-store, max-age=60", [0, 0, 0]),
            ("no-cache", [0, 0, -1]),
            ("private, no-cache, stale-if-error=60", [0, 0, 60]),
            ("max-age=60, must-revalidate", [60, 0, 0]),
            ("max-age=60, proxy-revalidate, stale-if-error=9", [60, 0, 0]),
        ] {
            assert_eq!(allowed(&headers(&[line])), expected, "{line}");
        }
    }

    #[test]
    fn odd_spellings_are_understood_and_malformed_numbers_are_zero() {
        for (line, expected) in [
            ("MAX-AGE=60", [60, -1, -1]),
            (" ,, max-age = \"60\" ;", [0, -1, -1]),
            ("max-age=\"60\"", [60, -1, -1]),
            ("private=\"max-age=1, no-store\", max-age=60", [60, -1, -1]),
            ("private=\"\\\", no-store\", max-age=60", [60, -1, -1]),
            ("max-age=60, max-age=50, max-age=70", [50, -1, -1]),
            ("max-age", [0, -1, -1]),
            ("max-age=", [0, -1, -1]),
            ("max-age=-1", [0, -1, -1]),
            ("max-age=1.5", [0, -1, -1]),
            ("max-age=99999999999999999999999999", [1 << 31, -1, -1]),
        ] {
            assert_eq!(allowed(&headers(&[line])), expected, "{line}");
        }
        assert_eq!(allowed(&headers(&["max-age=60", "no-cache"])), [0, 0, -1]);
    }

    #[test]
    fn an_age_is_taken_from_one_window_after_the_other() {
        let line = "max-age=30, stale-while-revalidate=300, stale-if-error=1000";

        for (age, expected) in [
            ("0", [30, 300, 700]),
            ("10", [20, 300, 700]),
            ("130", [0, 200, 700]),
            ("430", [0, 0, 600]),
            ("99999999999999999999", [0, 0, 0]),
            ("old", [30, 300, 700]),
        ] {
            let mut headers = headers(&[line]);
            headers.insert(AGE, age.parse().unwrap());
            assert_eq!(allowed(&headers), expected, "at the age of {age}");
        }
    }

    #[test]
    fn a_request_demands_what_it_says() {
        let minute = Some(Duration::from_secs(60));
        let any = Some(Duration::MAX);

        for (line, no_cache, only_if_cached, max_stale) in [
            ("", false, false, None),
            ("no-cache", true, false, None),
            ("Only-If-Cached, max-stale=60", false, true, minute),
            ("max-stale", false, false, any),
            ("max-stale, max-stale=60", false, false, minute),
            ("max-stale=much", false, false, Some(Duration::ZERO)),
        ] {
            let expected = Demand { no_cache, only_if_cached, max_stale };
            assert_eq!(Demand::of(&headers(&[line])), expected, "{line}");
        }
    }

    #[test]
    fn a_request_may_forbid_to_transform() {
        assert!(forbid_transforming(&headers(&["no-cache", "max-stale=3, No-Transform"])));
        assert!(!forbid_transforming(&headers(&["no-cache", "transform, x=\"no-transform\""])));
    }

    proptest! {
        #[test]
        fn directives_say_the_same_in_one_line_or_in_several_and_in_any_order(
            said in proptest::collection::vec(
                "(?i)(max-age|s-maxage|stale-if-error|stale-while-revalidate|max-stale)(=([0-9a]{0,12}|\"[0-9a]{0,12}\"))?\
                 |(?i)(no-cache|no-store|private=\"a, b\"|must-revalidate|only-if-cached|x)",
                0..6,
            ),
        ) {
            let lines: Vec<_> = said.iter().map(String::as_str).rev().collect();
            let (one, several) = (headers(&[&said.join(", ")]), headers(&lines));

            prop_assert_eq!(allowed(&one), allowed(&several));
            prop_assert_eq!(Demand::of(&one), Demand::of(&several));
        }

        #[test]
        fn no_bytes_panic_and_another_directive_never_allows_more(
            line in proptest::collection::vec(32_u8..=255, 0..60),
            more in "(no-store|no-cache|max-age=[0-9]{1,30}|stale-if-error=[0-9]{1,4})",
        ) {
            let Ok(line) = HeaderValue::from_bytes(&line) else { return Ok(()) };
            let mut headers = HeaderMap::from_iter([(CACHE_CONTROL, line)]);
            let before = Allowance::of(&headers);
            let _ = Demand::of(&headers);

            headers.append(CACHE_CONTROL, more.parse().unwrap());

            let after = Allowance::of(&headers);
            for (before, after) in
                [(before.fresh, after.fresh), (before.stale, after.stale), (before.rescue, after.rescue)]
            {
                let window = |window: Option<Duration>| window.unwrap_or(Duration::MAX);
                prop_assert!(window(after) <= window(before));
            }
        }
    }
}
