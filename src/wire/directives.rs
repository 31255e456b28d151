//! `Cache-Control` as others send it: an origin's answer, a caller's request.
//!
//! Both are foreign: reading is linear in the length, never an error, and what is not understood is
//! passed over, as RFC 9111 §5.2 wants it. Of a directive that occurs twice the stricter one counts.

use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::header::{AGE, CACHE_CONTROL};

use crate::wire::caching::{Allowance, Demand};

impl Allowance {
    /// What an answer with these headers allows (RFC 9111 §5.2.2, RFC 5861).
    ///
    /// An edge stands between an origin and many callers, so `s-maxage` counts as well as
    /// `max-age`, and `private` does not matter: what it keeps is for the project whose key asked.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut allowance = Self::default();
        let shorten = |window: &mut Option<Duration>, to: Duration| {
            *window = Some(window.map_or(to, |before| before.min(to)));
        };
        let aged = headers.get(AGE).and_then(|age| seconds(age.to_str().ok()?)).unwrap_or_default();
        for (name, value) in directives(headers) {
            let time = value.and_then(seconds);
            match (name.to_ascii_lowercase().as_str(), time) {
                ("max-age" | "s-maxage", time) => {
                    // One without a usable number is as good as stale (RFC 9111 §4.2.1).
                    let left = time.unwrap_or_default().saturating_sub(aged);
                    shorten(&mut allowance.fresh, left);
                }
                ("stale-while-revalidate", Some(time)) => shorten(&mut allowance.stale, time),
                ("stale-if-error", Some(time)) => shorten(&mut allowance.rescue, time),
                ("must-revalidate" | "proxy-revalidate", _) => {
                    shorten(&mut allowance.stale, Duration::ZERO);
                    shorten(&mut allowance.rescue, Duration::ZERO);
                }
                ("no-cache", _) => {
                    shorten(&mut allowance.fresh, Duration::ZERO);
                    shorten(&mut allowance.stale, Duration::ZERO);
                }
                ("no-store", _) => {
                    shorten(&mut allowance.fresh, Duration::ZERO);
                    shorten(&mut allowance.stale, Duration::ZERO);
                    shorten(&mut allowance.rescue, Duration::ZERO);
                }
                _ => {}
            }
        }
        allowance
    }
}

impl Demand {
    /// What a request with these headers demands (RFC 9111 §5.2.1).
    pub fn of(headers: &HeaderMap) -> Self {
        let mut demand = Self::default();
        for (name, value) in directives(headers) {
            match (name.to_ascii_lowercase().as_str(), value) {
                ("no-cache", _) => demand.no_cache = true,
                ("only-if-cached", _) => demand.only_if_cached = true,
                // Without a number any age is meant.
                ("max-stale", None) => {
                    demand.max_stale.get_or_insert(Duration::MAX);
                }
                ("max-stale", Some(value)) => {
                    let most = seconds(value).unwrap_or_default();
                    demand.max_stale = Some(demand.max_stale.map_or(most, |m| m.min(most)));
                }
                _ => {}
            }
        }
        demand
    }
}

/// Every directive with its argument, quotes taken off. A comma in quotes divides as any other: no
/// directive that is read here has one.
fn directives(headers: &HeaderMap) -> impl Iterator<Item = (&str, Option<&str>)> {
    let lines = headers.get_all(CACHE_CONTROL).iter().map(HeaderValue::to_str);
    let directives = lines.filter_map(Result::ok).flat_map(|line| line.split(','));
    directives.map(|directive| match directive.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
        None => (directive.trim(), None),
    })
}

/// Reads seconds; what is too large for a number is the largest one (RFC 9111 §1.2.2).
fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let largest = u64::from(u32::MAX);
    is_number.then(|| Duration::from_secs(text.parse::<u64>().map_or(largest, |n| n.min(largest))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    fn allowed(cache_control: &str) -> [Option<u64>; 3] {
        let Allowance { fresh, stale, rescue } =
            Allowance::of(&headers(&[("cache-control", cache_control)]));
        [fresh, stale, rescue].map(|window| window.map(|window| window.as_secs()))
    }

    #[test]
    fn an_origin_limits_what_it_names() {
        for (cache_control, expected) in [
            ("", [None, None, None]),
            ("private", [None, None, None]),
            ("max-age=30", [Some(30), None, None]),
            ("MAX-AGE=\"30\"", [Some(30), None, None]),
            ("max-age=30, s-maxage=10", [Some(10), None, None]),
            ("max-age=30, max-age=20", [Some(20), None, None]),
            (
                "private, max-age=30, stale-while-revalidate=300, stale-if-error=86400",
                [Some(30), Some(300), Some(86_400)],
            ),
            ("max-age=soon", [Some(0), None, None]),
            ("max-age=99999999999999999999", [Some(u64::from(u32::MAX)), None, None]),
            ("max-age=60, must-revalidate", [Some(60), Some(0), Some(0)]),
            ("private, no-cache", [Some(0), Some(0), None]),
            ("no-store", [Some(0), Some(0), Some(0)]),
            ("stale-if-error=never, ,=,", [None, None, None]),
        ] {
            assert_eq!(allowed(cache_control), expected, "{cache_control}");
        }
    }

    #[test]
    fn an_answer_that_was_kept_on_the_way_is_younger_for_less() {
        let kept = headers(&[("cache-control", "max-age=30"), ("age", "20")]);

        assert_eq!(Allowance::of(&kept).fresh, Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_request_demands_what_it_names() {
        let of = |value| Demand::of(&headers(&[("cache-control", value)]));
        let none = Demand::default();

        assert_eq!(of("max-age=0"), none);
        assert_eq!(of("no-cache"), Demand { no_cache: true, ..none });
        assert_eq!(of("Only-If-Cached"), Demand { only_if_cached: true, ..none });
        assert_eq!(of("max-stale"), Demand { max_stale: Some(Duration::MAX), ..none });
        let minute = Some(Duration::from_secs(60));
        assert_eq!(of("max-stale, max-stale=60"), Demand { max_stale: minute, ..none });
    }

    proptest! {
        #[test]
        fn no_header_panics(value in r"([ -~]|max-age|=|,|\x22|[0-9]){0,60}") {
            let headers = headers(&[("cache-control", &value), ("age", &value)]);
            let _ = (Allowance::of(&headers), Demand::of(&headers));
        }
    }
}
