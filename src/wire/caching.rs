//! `Cache-Control` (RFC 9111, RFC 5861) and `Cache-Status` (RFC 9211).

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
    /// The template was in memory; these variables were new and were rendered here.
    Rendered,
    /// The origin was asked, by this request.
    Miss,
    /// The origin was asked, by another request that this one waited for.
    Collapsed,
    /// The request was turned away: by what it asked, or because the origin gave no answer.
    Refused,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] =
        [Self::Hit, Self::Absent, Self::Rendered, Self::Miss, Self::Collapsed, Self::Refused];

    /// The label in metrics and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Absent => "absent",
            Self::Rendered => "rendered",
            Self::Miss => "miss",
            Self::Collapsed => "collapsed",
            Self::Refused => "refused",
        }
    }

    /// The value of `Cache-Status`.
    pub const fn cache_status(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Hit => "prompt-edge; hit",
            Self::Absent => "prompt-edge; hit; detail=absent",
            Self::Rendered => "prompt-edge; fwd=uri-miss; stored; detail=rendered",
            Self::Miss => "prompt-edge; fwd=uri-miss; stored",
            Self::Collapsed => "prompt-edge; fwd=uri-miss; collapsed",
            Self::Refused => "prompt-edge; detail=refused",
        })
    }
}

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
}
