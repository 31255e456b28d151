//! What people and origins make the caches forget.

use crate::cache::entry::Record;
use crate::cache::key::RecordKey;
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
            Self::Origin(origin) => record.provenance.origin == *origin,
            Self::OfOrigin(origin, names) => {
                let is_one = |name| record.depends_on(&key.query, name);
                record.provenance.origin == *origin && names.iter().any(is_one)
            }
            Self::Project(project) => *reader.project == **project,
            Self::Prompt(project, name) => {
                *reader.project == **project && record.depends_on(&key.query, name)
            }
        }
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
