//! `Cache-Control` (RFC 9111, RFC 5861) and `Cache-Status` (RFC 9211).

use std::sync::LazyLock;
use std::time::Duration;

use http::HeaderName;
use http::HeaderValue;

/// The header that says where an answer came from.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What a refusal carries: it must not outlive its reason.
pub const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What the answer depends on beside its URL.
pub const VARY: HeaderValue = HeaderValue::from_static("Authorization, X-API-Key, Accept-Encoding");

/// How long a client's own cache may keep a published prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// `max-age`: use without asking.
    pub max_age: Duration,
    /// `stale-while-revalidate`: after that, use while asking.
    pub stale_while_revalidate: Duration,
    /// `stale-if-error`: after that, use if asking fails.
    pub stale_if_error: Duration,
}

impl Default for Lifetimes {
    /// Half a minute behind a publish at most, five minutes to refresh, a day to outlive an outage.
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(30),
            stale_while_revalidate: Duration::from_secs(300),
            stale_if_error: Duration::from_secs(86_400),
        }
    }
}

impl Lifetimes {
    /// The `Cache-Control` of published prompts: `private`, since the answer is for one key.
    #[expect(clippy::expect_used, reason = "the directives are ASCII")]
    pub fn published(&self) -> HeaderValue {
        let directives = format!(
            "private, max-age={}, stale-while-revalidate={}, stale-if-error={}",
            self.max_age.as_secs(),
            self.stale_while_revalidate.as_secs(),
            self.stale_if_error.as_secs(),
        );
        HeaderValue::from_maybe_shared(directives).expect("directives are a header value")
    }

    /// The `Cache-Control` of drafts: keep, but ask every time.
    pub const fn draft() -> HeaderValue {
        HeaderValue::from_static("private, no-cache")
    }
}

/// How long whoever gave an answer lets it be kept. `None` does not limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Used without asking.
    pub fresh: Option<Duration>,
    /// After that, used while asking.
    pub stale: Option<Duration>,
    /// After that, used if asking fails.
    pub rescue: Option<Duration>,
}

/// What a request's `Cache-Control` demands of caches (RFC 9111 §5.2.1), as far as this one goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// The origin is to be asked.
    pub no_cache: bool,
    /// The origin is not to be asked.
    pub only_if_cached: bool,
    /// How much older than fresh an answer may be; `Duration::MAX` is any age.
    pub max_stale: Option<Duration>,
}

/// Where an answer came from. The same words are the metric's labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    // From the cheapest to the dearest, not in order of the alphabet.
    /// A finished answer was in memory.
    Hit,
    /// The prompt was known to be absent.
    Absent,
    /// What was in memory had grown old; the origin is being asked behind.
    Stale,
    /// What was in memory is older than that, or known to have changed, but the origin failed.
    Rescue,
    /// The template was in memory; these variables were new and were rendered here.
    Rendered,
    /// What was in memory was outdated: the origin was asked, by this request.
    Revalidated,
    /// The origin was asked, by this request.
    Miss,
    /// The origin was asked, by another request that this one waited for.
    Collapsed,
    /// The request was turned away: by what it asked, or because the origin gave no answer.
    Refused,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 9] = [
        Self::Hit,
        Self::Absent,
        Self::Stale,
        Self::Rescue,
        Self::Rendered,
        Self::Revalidated,
        Self::Miss,
        Self::Collapsed,
        Self::Refused,
    ];

    /// The label in metrics and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Absent => "absent",
            Self::Stale => "stale",
            Self::Rescue => "rescue",
            Self::Rendered => "rendered",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Collapsed => "collapsed",
            Self::Refused => "refused",
        }
    }
}

/// The value of `Cache-Status` (RFC 9211).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatus {
    /// Where the answer came from.
    pub outcome: Outcome,
    /// For how many more seconds it is fresh; negative if it is not. `None` if it does not age.
    pub ttl: Option<i64>,
    /// With which status the origin answered.
    pub forwarded: Option<u16>,
}

impl CacheStatus {
    /// One that is as good tomorrow, and came from nowhere over HTTP.
    pub const fn of(outcome: Outcome) -> Self {
        Self { outcome, ttl: None, forwarded: None }
    }

    /// The header's value. One that neither ages nor was forwarded costs no allocation.
    #[expect(clippy::expect_used, reason = "the parts are ASCII")]
    pub fn header(self) -> HeaderValue {
        let (before, after) = match self.outcome {
            Outcome::Hit | Outcome::Stale => ("prompt-edge; hit", ""),
            Outcome::Absent => ("prompt-edge; hit", "; detail=absent"),
            Outcome::Rescue => ("prompt-edge; hit", "; detail=rescue"),
            Outcome::Rendered => ("prompt-edge; fwd=uri-miss", "; stored; detail=rendered"),
            Outcome::Revalidated => ("prompt-edge; fwd=stale", "; stored"),
            Outcome::Miss => ("prompt-edge; fwd=uri-miss", "; stored"),
            Outcome::Collapsed => ("prompt-edge; fwd=uri-miss", "; collapsed"),
            Outcome::Refused => ("prompt-edge", "; detail=refused"),
        };
        if let (Outcome::Hit, Some(ttl), None) = (self.outcome, self.ttl, self.forwarded)
            && let Some(ready) = usize::try_from(ttl).ok().and_then(|ttl| HITS.get(ttl))
        {
            return ready.clone();
        }
        let value = match (self.ttl, self.forwarded) {
            (None, None) if after.is_empty() => return HeaderValue::from_static(before),
            (None, None) => [before, after].concat(),
            (Some(ttl), _) => format!("{before}; ttl={ttl}{after}"),
            (None, Some(status)) => format!("{before}; fwd-status={status}{after}"),
        };
        HeaderValue::try_from(value).expect("the parts are ASCII")
    }
}

/// The values of hits that are fresh for the first minutes to come: every answer that ages has one
/// of them, and only its clock says which.
static HITS: LazyLock<Vec<HeaderValue>> = LazyLock::new(|| {
    let hit = |ttl| HeaderValue::try_from(format!("prompt-edge; hit; ttl={ttl}"));
    (0..=600).filter_map(|ttl| hit(ttl).ok()).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_whole_seconds() {
        assert_eq!(
            Lifetimes::default().published(),
            "private, max-age=30, stale-while-revalidate=300, stale-if-error=86400"
        );
    }

    #[test]
    fn a_cache_status_says_where_an_answer_came_from() {
        let status = |outcome, ttl, forwarded| CacheStatus { outcome, ttl, forwarded }.header();

        for (value, expected) in [
            (status(Outcome::Hit, None, None), "prompt-edge; hit"),
            (status(Outcome::Hit, Some(27), None), "prompt-edge; hit; ttl=27"),
            (status(Outcome::Stale, Some(-3), None), "prompt-edge; hit; ttl=-3"),
            (status(Outcome::Rescue, Some(-40), None), "prompt-edge; hit; ttl=-40; detail=rescue"),
            (
                status(Outcome::Miss, None, Some(200)),
                "prompt-edge; fwd=uri-miss; fwd-status=200; stored",
            ),
            (
                status(Outcome::Revalidated, None, Some(304)),
                "prompt-edge; fwd=stale; fwd-status=304; stored",
            ),
            (status(Outcome::Collapsed, None, None), "prompt-edge; fwd=uri-miss; collapsed"),
            (status(Outcome::Refused, None, None), "prompt-edge; detail=refused"),
        ] {
            assert_eq!(value, expected);
        }
    }
}
