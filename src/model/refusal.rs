//! Every reason a caller is turned away.

use std::borrow::Cow;
use std::time::Duration;

use crate::model::key::Scope;
use crate::model::plan::Budgets;

/// Every reason this edge turns a caller away.
///
/// The list is closed on purpose. Each dialect maps it exhaustively, so a new reason does not
/// compile until every API has decided how to say it. Fields hold facts a caller may know: nothing
/// about origins, hosts or queries can be put in one, and no value of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    // The caller can fix it.
    /// A part of the request does not fit. `problem` says what was wrong and what would be right.
    BadInput {
        /// The parameter at fault, as the caller spells it.
        field: &'static str,
        /// What is wrong with it, and the remedy.
        problem: Cow<'static, str>,
    },
    /// The key is good, but not for this.
    Forbidden {
        /// What the key would need.
        needs: Scope,
    },
    /// The path exists, the method does not.
    MethodNotAllowed {
        /// The value of the `Allow` header.
        allow: &'static str,
    },
    /// There is no such thing, or not for this caller.
    NotFound {
        /// What there is none of.
        noun: Noun,
    },
    /// The request is larger than the edge accepts.
    TooLarge {
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// The request's body came too slowly.
    TooSlow,
    /// No credential, or one that is malformed, unknown, expired or revoked: a caller is never
    /// told which.
    Unauthenticated,

    // The caller can wait.
    /// The edge is shedding load.
    Overloaded {
        /// Asking earlier would be refused again.
        retry_after: Duration,
    },
    /// Whether the month's quota is spent cannot be said: its ledger is away.
    QuotaUnknown {
        /// Asking earlier would end the same.
        retry_after: Duration,
    },
    /// The month's quota is spent.
    QuotaSpent {
        /// What is left, and when there is more.
        budgets: Box<Budgets>,
    },
    /// Too many requests in a short time.
    RateLimited {
        /// Asking earlier would be refused again.
        retry_after: Duration,
        /// What is left, and when there is more.
        budgets: Box<Budgets>,
    },

    // An origin is at fault.
    /// It compiles the prompt itself and never hands over the version that was asked for.
    CompiledByOrigin,
    /// It answered nonsense, or that it failed.
    OriginBroken {
        /// Asking earlier would end the same.
        retry_after: Duration,
    },
    /// Nothing is kept of it, and the caller forbade asking the origin (`only-if-cached`).
    NotKept,
    /// It did not answer in time.
    OriginTimedOut {
        /// Asking earlier would end the same.
        retry_after: Duration,
    },
    /// It cannot be reached.
    OriginUnreachable {
        /// Asking earlier would end the same.
        retry_after: Duration,
    },

    // We are at fault.
    /// The cause is in the log, under the request id.
    Internal,
}

impl Refusal {
    /// The refusal's name in logs and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::BadInput { .. } => "bad_input",
            Self::Forbidden { .. } => "forbidden",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::NotFound { .. } => "not_found",
            Self::TooLarge { .. } => "too_large",
            Self::TooSlow => "too_slow",
            Self::Unauthenticated => "unauthenticated",
            Self::Overloaded { .. } => "overloaded",
            Self::QuotaUnknown { .. } => "quota_unknown",
            Self::QuotaSpent { .. } => "quota_spent",
            Self::RateLimited { .. } => "rate_limited",
            Self::CompiledByOrigin => "compiled_by_origin",
            Self::OriginBroken { .. } => "origin_broken",
            Self::NotKept => "not_kept",
            Self::OriginTimedOut { .. } => "origin_timed_out",
            Self::OriginUnreachable { .. } => "origin_unreachable",
            Self::Internal => "internal",
        }
    }
}

/// What a caller asked for and there is none of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// A prompt, or a prompt with nothing published.
    Prompt,
    /// A path.
    Route,
}
