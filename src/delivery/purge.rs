//! What people and origins make the caches forget.

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
    /// One prompt of an origin, in all projects, under each of its names, and what is composed of
    /// it.
    OfOrigin(OriginName, PromptName),
    /// Whatever a project was given, by the project's name.
    Project(String),
    /// One prompt of a project, under each of its names, in all environments.
    Prompt(String, PromptName),
}

/// How thoroughly something is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is asked for anew; what is there still rescues if the origin does not answer.
    Soft,
    /// It is gone.
    Hard,
}
