//! What people and origins make the caches forget.

use crate::cache::entry::Record;
use crate::cache::key::{Query, RecordKey};
use crate::model::{OriginName, PromptName};

/// What is to be forgotten, and how thoroughly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// What.
    pub scope: Scope,
    /// How thoroughly.
    pub mode: Mode,
}

/// What a [`Purge`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything there is.
    All,
    /// Whatever came from one origin, in all projects.
    Origin(OriginName),
    /// Prompts of an origin, in all projects, under each of their names, and what is composed of
    /// them.
    OfOrigin(OriginName, Vec<PromptName>),
    /// Whatever a project was given, by the project's name.
    Project(String),
    /// One prompt of a project, under each of its names, in all environments.
    Prompt(String, PromptName),
}

impl Scope {
    /// Whether it is about what is kept under this key.
    pub(crate) fn concerns(&self, key: &RecordKey, record: &Record) -> bool {
        let reader = &record.reader;
        match self {
            Self::All => true,
            Self::Origin(origin) => reader.origin.as_ref() == Some(origin),
            Self::OfOrigin(origin, names) => {
                let is_one = |name| record.depends_on(&key.query, name);
                reader.origin.as_ref() == Some(origin) && names.iter().any(is_one)
            }
            Self::Project(project) => *reader.project == **project,
            Self::Prompt(project, name) => {
                *reader.project == **project && record.depends_on(&key.query, name)
            }
        }
    }

    /// Whether it may be about what is being fetched under this key: no more than the name is known
    /// then, and fetching once more than needed does no harm.
    pub(crate) fn may_concern(&self, key: &RecordKey) -> bool {
        match self {
            Self::All | Self::Origin(_) | Self::Project(_) => true,
            Self::OfOrigin(_, names) => names.iter().any(|name| may_be(&key.query, name)),
            Self::Prompt(_, name) => may_be(&key.query, name),
        }
    }
}

/// Whether a question may be about the prompt with this name.
fn may_be(query: &Query, name: &PromptName) -> bool {
    match (query.prompt(), name) {
        (None, _) => true,
        // One may be the other's other name.
        (Some(PromptName::Id(_)), PromptName::Slug(_))
        | (Some(PromptName::Slug(_)), PromptName::Id(_)) => true,
        (Some(asked), name) => asked == name,
    }
}

/// How thoroughly something is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is asked for anew; what is there still rescues if the origin does not answer.
    Soft,
    /// It is gone.
    Hard,
}
