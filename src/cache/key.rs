//! What makes two asks the same.
//!
//! Every key starts with the [`Tenant`]: project and environment. There is no way to build one
//! without, so no look-up can cross tenants.

use std::hash::{Hash, Hasher};

use moka::Equivalent;

use crate::model::{PromptId, PromptName, Slug, Tenant};

/// A prompt as a tenant names it. Slug and id are two keys: each is marked by a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SheetKey {
    /// Whose it is.
    pub tenant: Tenant,
    /// As it was asked for.
    pub prompt: PromptName,
}

impl SheetKey {
    pub(crate) fn weight_bytes(&self) -> usize {
        size_of::<Self>() + Slug::MAX_BYTES
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
}

impl AnswerKey {
    pub(crate) fn weight_bytes(&self) -> usize {
        size_of::<Self>()
            + match &self.variables {
                Variables::Unresolved => 0,
                Variables::Resolved(canonical) => canonical.len(),
            }
    }
}

/// A raw path and query, as one tenant sent it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AliasKey {
    tenant: Tenant,
    target: Box<str>,
}

impl AliasKey {
    pub(crate) fn weight_bytes(&self) -> usize {
        size_of::<Self>() + self.target.len()
    }
}

/// An [`AliasKey`] to look up by, without a copy of the target.
#[derive(Clone, Copy, Debug)]
pub struct AliasRef<'a> {
    /// Whose it is.
    pub tenant: Tenant,
    /// The request's path and query, byte for byte.
    pub target: &'a str,
}

impl AliasRef<'_> {
    /// The key to store.
    pub fn to_owned(self) -> AliasKey {
        AliasKey { tenant: self.tenant, target: self.target.into() }
    }
}

/// The hash of the key it stands for: `Equivalent` asks for that.
impl Hash for AliasRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tenant.hash(state);
        self.target.hash(state);
    }
}

impl Equivalent<AliasKey> for AliasRef<'_> {
    fn equivalent(&self, key: &AliasKey) -> bool {
        self.tenant == key.tenant && *self.target == *key.target
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use crate::model::{EnvironmentId, ProjectId};

    use super::*;

    fn tenant(project: i64, environment: i64) -> Tenant {
        Tenant::new(ProjectId(project), EnvironmentId(environment))
    }

    #[test]
    fn tenants_never_share_a_key() {
        let (a, b, c) = (tenant(1, 1), tenant(2, 1), tenant(1, 2));
        let prompt: PromptName = "greeting".parse().unwrap();

        for other in [b, c] {
            let sheet = |tenant| SheetKey { tenant, prompt: prompt.clone() };
            assert_ne!(sheet(a), sheet(other));
            let answer = |tenant| AnswerKey {
                tenant,
                representation: "x",
                subject: Subject::Listing,
                variables: Variables::Unresolved,
            };
            assert_ne!(answer(a), answer(other));
            let alias = AliasRef { tenant: a, target: "/x" }.to_owned();
            assert!(!AliasRef { tenant: other, target: "/x" }.equivalent(&alias));
        }
    }

    #[test]
    fn a_borrowed_alias_hashes_like_the_stored_one() {
        let hasher = foldhash::quality::RandomState::default();
        let borrowed = AliasRef { tenant: tenant(1, 2), target: "/api?x=1" };

        assert_eq!(hasher.hash_one(borrowed), hasher.hash_one(borrowed.to_owned()));
        assert!(borrowed.equivalent(&borrowed.to_owned()));
    }
}
