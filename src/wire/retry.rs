//! `Retry-After` (RFC 9110 §10.2.3), as other servers give it.

use std::time::Duration;

use http::HeaderMap;
use http::HeaderValue;
use http::header::{DATE, RETRY_AFTER};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// How long a server wants to be left alone, at most [`LONGEST`]; `None` if it does not say.
///
/// A date counts from the answer's own `Date`: what is between the two does not depend on any
/// clock of ours. Without one, a date says nothing.
pub fn after(headers: &HeaderMap) -> Option<Duration> {
    let text = text(headers.get(RETRY_AFTER))?;
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => LONGEST,
        Err(_) => {
            let since = moment(text)?.duration_since(moment(self::text(headers.get(DATE))?)?);
            // What is past is over.
            Duration::try_from(since).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST))
}

/// A server that asks for more is asked again all the same: an hour of silence is an outage.
pub const LONGEST: Duration = Duration::from_secs(3_600);

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

/// RFC 9110's preferred form of a date is one that RFC 5322 knows too.
fn moment(date: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(date).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn waits(retry_after: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry_after.parse().unwrap());
        headers.extend(date.map(|date| (DATE, date.parse().unwrap())));
        after(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_count_up_to_an_hour() {
        for (text, expected) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("3600", Some(3_600)),
            ("3601", Some(3_600)),
            ("99999999999999999999999", Some(3_600)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(waits(text, None), expected, "{text:?}");
        }
        assert_eq!(after(&HeaderMap::new()), None);
    }

    #[test]
    fn a_date_counts_from_the_date_of_the_answer() {
        let later = "Sun, 06 Nov 1994 08:49:37 GMT";

        assert_eq!(waits(later, Some("Sun, 06 Nov 1994 08:49:07 GMT")), Some(30));
        assert_eq!(waits(later, Some("Sun, 06 Nov 1994 08:50:00 GMT")), Some(0));
        assert_eq!(waits(later, Some("Sun, 06 Nov 1983 08:49:07 GMT")), Some(3_600));
        assert_eq!(waits(later, Some("yesterday")), None);
        assert_eq!(waits(later, None), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~]{0,40}") {
            waits(&text, Some(&text));
        }
    }
}
