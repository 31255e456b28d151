//! What is left of a caller's budgets, in header fields.
//!
//! `RateLimit-Policy` lists every policy, `RateLimit` says what is left of the one nearest to its
//! end, as structured fields (RFC 9651) after draft-ietf-httpapi-ratelimit-headers. `Retry-After`
//! never points before `t`: both come from the same moment, rounded up.

use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use crate::model::Budgets;

/// The policies in force.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

const LEGACY_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const LEGACY_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const LEGACY_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Appends `RateLimit-Policy` and `RateLimit`. Nothing, if nothing is limited.
pub fn append(headers: &mut HeaderMap, budgets: &Budgets) {
    let Some(nearest) = budgets.nearest_to_its_end() else { return };
    let policies = budgets.all().map(|budget| {
        format!(
            "\"{}\";q={};w={}",
            budget.policy,
            integer(budget.quota),
            whole_seconds(budget.window)
        )
    });
    let policies = policies.collect::<Vec<_>>().join(", ");
    let left = format!(
        "\"{}\";r={};t={}",
        nearest.policy,
        integer(nearest.remaining),
        whole_seconds(nearest.resets_in)
    );
    for (name, value) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, left)] {
        if let Ok(value) = HeaderValue::from_maybe_shared(value) {
            headers.append(name, value);
        }
    }
}

/// Appends the three fields that came before any draft, for clients that know only those. `Reset`
/// counts seconds from now.
pub fn append_legacy(headers: &mut HeaderMap, budgets: &Budgets) {
    let Some(nearest) = budgets.nearest_to_its_end() else { return };
    headers.append(LEGACY_LIMIT, nearest.quota.into());
    headers.append(LEGACY_REMAINING, nearest.remaining.into());
    headers.append(LEGACY_RESET, whole_seconds(nearest.resets_in).into());
}

/// Rounded up: whoever waits that long does not come early.
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// The largest integer of a structured field has 15 digits (RFC 9651 §3.3.1).
fn integer(number: u64) -> u64 {
    number.min(999_999_999_999_999)
}

#[cfg(test)]
mod tests {
    use sfv::{BareItem, Item, List, ListEntry, Parser};

    use crate::model::Budget;

    use super::*;

    const BURST: Budget = Budget {
        policy: "burst",
        quota: 20,
        window: Duration::from_secs(2),
        remaining: 4,
        resets_in: Duration::from_millis(1_600),
    };
    const MONTH: Budget = Budget {
        policy: "month",
        quota: 1_000,
        window: Duration::from_secs(2_592_000),
        remaining: 100,
        resets_in: Duration::from_secs(812_345),
    };

    fn fields(budgets: Budgets) -> HeaderMap {
        let mut headers = HeaderMap::new();
        append(&mut headers, &budgets);
        headers
    }

    fn parameter(item: &Item, name: &str) -> i64 {
        let value = item.params.get(name).and_then(BareItem::as_integer);
        value.map(i64::from).expect("an integer parameter")
    }

    #[test]
    fn the_fields_are_structured_and_speak_of_the_policy_nearest_to_its_end() {
        let headers = fields(Budgets { burst: Some(BURST), month: Some(MONTH) });

        let policies: List = Parser::new(headers[RATE_LIMIT_POLICY].as_bytes()).parse().unwrap();
        let left: List = Parser::new(headers[RATE_LIMIT].as_bytes()).parse().unwrap();
        let [ListEntry::Item(burst), ListEntry::Item(month)] = &policies[..] else {
            panic!("two policies in {policies:?}");
        };
        let [ListEntry::Item(left)] = &left[..] else { panic!("one item in {left:?}") };

        assert_eq!(burst.bare_item.as_string().unwrap().as_str(), "burst");
        assert_eq!((parameter(burst, "q"), parameter(burst, "w")), (20, 2));
        assert_eq!((parameter(month, "q"), parameter(month, "w")), (1_000, 2_592_000));
        assert_eq!(left.bare_item.as_string().unwrap().as_str(), "month");
        assert_eq!((parameter(left, "r"), parameter(left, "t")), (100, 812_345));
    }

    #[test]
    fn waits_are_rounded_up() {
        let headers = fields(Budgets { burst: Some(BURST), month: None });

        assert_eq!(headers[RATE_LIMIT], "\"burst\";r=4;t=2");
    }

    #[test]
    fn an_unlimited_plan_sends_nothing() {
        assert!(fields(Budgets::default()).is_empty());
    }
}
