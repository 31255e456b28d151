//! What makes two asks the same.
//!
//! Every key starts with the [`Tenant`]: project and environment. There is no way to build one
//! without, so no look-up can cross tenants.

use crate::cache::generation::Mark;
use crate::model::{PromptId, PromptName, Tenant};
use crate::origins::Compile;

/// One thing that an origin is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordKey {
    /// Whose it is.
    pub tenant: Tenant,
    /// What it is.
    pub query: Query,
}

/// What an origin is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// The list of the tenant's prompts.
    Listing,
    /// A prompt, to be compiled here. Slug and id are two keys: each is marked by a change.
    Prompt(PromptName),
    /// A prompt, compiled by its origin.
    Compiled(PromptName, Compile),
}

impl Query {
    /// The prompt's name; `None` for the list.
    pub fn prompt(&self) -> Option<&PromptName> {
        match self {
            Self::Listing => None,
            Self::Prompt(name) | Self::Compiled(name, _) => Some(name),
        }
    }

    /// The same of a prompt by another of its names.
    pub fn named(&self, name: PromptName) -> Self {
        match self {
            Self::Listing => Self::Listing,
            Self::Prompt(_) => Self::Prompt(name),
            Self::Compiled(_, compile) => Self::Compiled(name, compile.clone()),
        }
    }

    /// What the origin is to compile, if it is the one that compiles.
    pub fn compile(&self) -> Option<&Compile> {
        match self {
            Self::Listing | Self::Prompt(_) => None,
            Self::Compiled(_, compile) => Some(compile),
        }
    }
}

impl RecordKey {
    /// What changes when this does.
    pub fn marks(&self) -> [Mark<'_>; 2] {
        let project = self.tenant.project;
        let what = match self.query.prompt() {
            None => Mark::Listing(project),
            Some(name) => Mark::Prompt(project, name),
        };
        [what, Mark::Settings(project)]
    }

    pub(crate) fn weight_bytes(&self) -> usize {
        let name = match self.query.prompt() {
            Some(PromptName::Slug(slug)) => slug.as_str().len(),
            Some(PromptName::Id(_)) | None => 0,
        };
        let variables = self.query.compile().and_then(|compile| compile.variables.as_ref());
        size_of::<Self>() + name + variables.map_or(0, |variables| variables.len())
    }
}

/// One representation of one thing with one set of variables.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AnswerKey {
    /// Whose it is.
    pub tenant: Tenant,
    /// Which of the dialects' shapes: `promptot/compiled`.
    pub representation: &'static str,
    /// What it shows.
    pub subject: Subject,
    /// What decides the text.
    pub variables: Variables,
}

/// What an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The list of the tenant's prompts.
    Listing,
    /// One prompt.
    Prompt(PromptId),
}

/// The part of a request that decides a prompt's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Variables {
    /// Placeholders stay; values do not matter.
    Unresolved,
    /// `compile::Resolved::canonical`.
    Resolved(Box<[u8]>),
    /// What the origin was given to compile.
    Sent(Compile),
}

impl AnswerKey {
    /// How many bytes hang from it beside itself.
    pub(crate) fn len_bytes(&self) -> usize {
        match &self.variables {
            Variables::Unresolved => 0,
            Variables::Resolved(canonical) => canonical.len(),
            Variables::Sent(compile) => compile.variables.as_ref().map_or(0, |v| v.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{EnvironmentId, KeyDigest, ProjectId};

    use super::*;

    fn tenant(project: i64, environment: i64) -> Tenant {
        Tenant::new(ProjectId(project), EnvironmentId(environment))
    }

    #[test]
    fn tenants_never_share_a_key() {
        let (a, b, c) = (tenant(1, 1), tenant(2, 1), tenant(1, 2));
        let d = Tenant { holder: Some(KeyDigest([1; 32])), ..a };
        let prompt: PromptName = "greeting".parse().unwrap();

        for other in [b, c, d] {
            let record = |tenant| RecordKey { tenant, query: Query::Prompt(prompt.clone()) };
            assert_ne!(record(a), record(other));
            let answer = |tenant| AnswerKey {
                tenant,
                representation: "x",
                subject: Subject::Listing,
                variables: Variables::Unresolved,
            };
            assert_ne!(answer(a), answer(other));
        }
    }
}
