//! "Why did I get this text?": what is kept of one prompt in one environment, and how it came to be.

use std::time::Duration;

use serde_json::{Value, json};

use crate::model::{OriginName, PromptName, Timestamp};

/// One kept record of a prompt in an environment. An origin that compiles has one for each set of
/// variables, and a caller's own key has records of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// What finds it.
    pub key: Key,
    /// What is kept.
    pub kept: Kept,
    /// For how long the origin has not been asked.
    pub age: Duration,
    /// What may be done with it at this age.
    pub window: Window,
    /// The marks that it lives and dies by: where each stands in the table, and its state from
    /// before the origin was asked.
    pub generation: [(u32, u64); 2],
    /// Where it came from.
    pub origin: OriginName,
    /// The last time that the origin was asked for it.
    pub last_attempt: Attempt,
    /// At whose request it was fetched: an `X-Request-Id`, or the edge's own reason.
    pub filled_by: String,
    /// Whether the origin can be asked if it changed.
    pub has_validator: bool,
    /// Whether it is asked for often enough to be refreshed by the clock.
    pub is_in_use: bool,
}

/// What finds a record, beside its project and environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The prompt, as callers named it.
    pub prompt: PromptName,
    /// If its origin compiles: a digest of the variables that it was compiled with.
    pub variables: Option<String>,
    /// How many finished answers hang from it, one for each shape and set of variables.
    pub answers: usize,
}

/// What is kept of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// That there is none.
    Absent,
    /// This version.
    Present {
        /// Its number.
        version: u32,
    },
}

impl Kept {
    /// The printed form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Present { .. } => "present",
        }
    }
}

/// What may be done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    // In order of age.
    /// Use it.
    Fresh,
    /// Use it, and ask behind.
    Stale,
    /// Use it if asking fails.
    Rescue,
    /// Do not use it.
    Expired,
    /// Somebody said that it is no longer what it was.
    Purged,
}

impl Window {
    /// The printed form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Rescue => "rescue",
            Self::Expired => "expired",
            Self::Purged => "purged",
        }
    }
}

/// One question to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it was answered, or given up.
    pub at: Timestamp,
    /// `ok`, or the kind of the error.
    pub outcome: &'static str,
}

impl Why {
    /// The record as a JSON object. The text is not in it.
    pub fn to_json(&self) -> Value {
        let version = match self.kept {
            Kept::Present { version } => Some(version),
            Kept::Absent => None,
        };
        let Attempt { at, outcome } = self.last_attempt;
        json!({
            "key": {
                "prompt": self.key.prompt.to_string(),
                "variables": self.key.variables,
                "answers": self.key.answers,
            },
            "kept": self.kept.as_str(),
            "version": version,
            "age_ms": u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX),
            "window": self.window.as_str(),
            "generation": self.generation.map(|(place, state)| json!([place, state])),
            "origin": self.origin.as_str(),
            "last_attempt": {"at": at.to_string(), "outcome": outcome},
            "filled_by": self.filled_by,
            "has_validator": self.has_validator,
            "is_in_use": self.is_in_use,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_all_but_the_text() {
        let why = Why {
            key: Key {
                prompt: "greeting".parse().unwrap(),
                variables: Some("47DEQpj8".to_owned()),
                answers: 2,
            },
            kept: Kept::Present { version: 3 },
            age: Duration::from_millis(1_500),
            window: Window::Stale,
            generation: [(7, 1), (9, 0)],
            origin: OriginName::new("promptot"),
            last_attempt: Attempt {
                at: Timestamp::from_millis(1_772_366_400_000),
                outcome: "timed_out",
            },
            filled_by: "job-7".to_owned(),
            has_validator: true,
            is_in_use: false,
        };

        let expected = json!({
            "key": {"prompt": "greeting", "variables": "47DEQpj8", "answers": 2},
            "kept": "present",
            "version": 3,
            "age_ms": 1_500,
            "window": "stale",
            "generation": [[7, 1], [9, 0]],
            "origin": "promptot",
            "last_attempt": {"at": "2026-03-01T12:00:00.000Z", "outcome": "timed_out"},
            "filled_by": "job-7",
            "has_validator": true,
            "is_in_use": false,
        });
        assert_eq!(why.to_json(), expected);
        let absent = Why { kept: Kept::Absent, ..why };
        assert_eq!(absent.to_json()["version"], Value::Null);
    }
}
