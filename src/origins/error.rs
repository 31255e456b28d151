//! Why an origin gave no answer, and what a caller is told then.

use std::time::Duration;

use crate::model::OriginName;
use crate::model::Refusal;
use crate::origins::RETRY_AFTER;

/// The cause beneath an [`Error`]; its text goes to the log only.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why an origin gave no answer.
///
/// Variants say whose fault it is, because that decides what the caller is told. A prompt that
/// does not exist is not an error: origins return `Ok(None)`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More is being asked than it can take; nothing was done.
    #[error("{origin} has too many questions waiting")]
    Busy {
        /// Which one.
        origin: OriginName,
    },

    /// It answered that it failed: HTTP 5xx.
    #[error("{origin} failed with status {status}")]
    Failed {
        /// Which one.
        origin: OriginName,
        /// What it answered with.
        status: u16,
        /// When it wants to be asked again, if it said.
        retry_after: Option<Duration>,
    },

    /// It has had too many questions from us: HTTP 429.
    #[error("{origin} limits how often it is asked")]
    Limited {
        /// Which one.
        origin: OriginName,
        /// When it wants to be asked again, if it said.
        retry_after: Option<Duration>,
    },

    /// What it holds is not what its own rules allow. Asking again gives the same.
    #[error("{origin} holds something that is not {expected}")]
    Malformed {
        /// Which one.
        origin: OriginName,
        /// What was expected there.
        expected: &'static str,
        /// What was wrong with it.
        source: BoxError,
    },

    /// It refuses what the caller sent: HTTP 400. The caller is told.
    #[error("{origin} refuses what was asked")]
    Refused {
        /// Which one.
        origin: OriginName,
        /// What it says is wrong, without control characters and shortened.
        problem: String,
    },

    /// It refuses the key it was asked with: HTTP 401 or 403.
    #[error("{origin} refuses the key it was asked with, with status {status}")]
    Rejected {
        /// Which one.
        origin: OriginName,
        /// What it answered with.
        status: u16,
    },

    /// It is left alone for a while, because it failed too often or is not to be asked at all.
    #[error("{origin} is left alone for {retry_after:?}")]
    Resting {
        /// Which one.
        origin: OriginName,
        /// When it is asked again.
        retry_after: Duration,
    },

    /// It did not answer in the time it had.
    #[error("{origin} did not answer within {waited:?}")]
    TimedOut {
        /// Which one.
        origin: OriginName,
        /// How long it had.
        waited: Duration,
    },

    /// It could not be asked, or broke off before the answer was whole.
    #[error("{origin} cannot be reached")]
    Unreachable {
        /// Which one.
        origin: OriginName,
        /// What happened.
        source: BoxError,
    },
}

impl Error {
    /// The kind of the error, in metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::Failed { .. } => "failed",
            Self::Limited { .. } => "limited",
            Self::Malformed { .. } => "malformed",
            Self::Refused { .. } => "refused",
            Self::Rejected { .. } => "rejected",
            Self::Resting { .. } => "resting",
            Self::TimedOut { .. } => "timed_out",
            Self::Unreachable { .. } => "unreachable",
        }
    }
}

/// What a caller is told.
impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        match error {
            Error::Busy { .. } => Self::Overloaded { retry_after: RETRY_AFTER },
            Error::Failed { retry_after, .. } => {
                Self::OriginBroken { retry_after: retry_after.unwrap_or(RETRY_AFTER) }
            }
            Error::Malformed { .. } | Error::Rejected { .. } => {
                Self::OriginBroken { retry_after: RETRY_AFTER }
            }
            Error::Refused { problem, .. } => {
                Self::BadInput { field: "variables", problem: problem.clone().into() }
            }
            Error::Limited { retry_after, .. } => {
                Self::OriginUnreachable { retry_after: retry_after.unwrap_or(RETRY_AFTER) }
            }
            Error::Resting { retry_after, .. } => {
                Self::OriginUnreachable { retry_after: *retry_after }
            }
            Error::TimedOut { .. } => Self::OriginTimedOut { retry_after: RETRY_AFTER },
            Error::Unreachable { .. } => Self::OriginUnreachable { retry_after: RETRY_AFTER },
        }
    }
}

/// Why a write was not done. Nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is no such thing to write to.
    #[error("there is no {noun} `{name}`")]
    Missing {
        /// What there is none of.
        noun: &'static str,
        /// As it was asked for.
        name: String,
    },

    /// A rollback found no earlier publication.
    #[error("`{prompt}` has no earlier publication in `{environment}` to go back to")]
    NothingBefore {
        /// The prompt, as it was asked for.
        prompt: String,
        /// The environment's name.
        environment: String,
    },

    /// The store itself failed.
    #[error(transparent)]
    Store(#[from] Error),

    /// The name is in use.
    #[error("there is a {noun} `{name}` already")]
    Taken {
        /// What there is one of.
        noun: &'static str,
        /// As it was asked for.
        name: String,
    },
}
