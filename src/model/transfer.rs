//! A prompt with its whole history, as it is exported and imported.

use crate::model::ids::{Label, PromptId, Slug, VersionId};
use crate::model::prompt::{Content, Visibility};
use crate::model::timestamp::Timestamp;

/// A prompt on its way into or out of a store.
///
/// What an import file does not name is `None` (or empty) and decided by the store: ids are made,
/// moments are the moment of the import.
#[derive(Clone, Debug, PartialEq)]
pub struct Portable {
    /// UUID; kept if no other prompt of the store has it.
    pub id: Option<PromptId>,
    /// Handle: an import with a known slug adds to that prompt.
    pub slug: Slug,
    /// Display name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// A word to group by.
    pub category: String,
    /// Who may see it beside its project.
    pub visibility: Visibility,
    /// Free words to search by.
    pub tags: Vec<String>,
    /// Who answers for it.
    pub owner: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When its description changed last.
    pub updated_at: Option<Timestamp>,
    /// Oldest first, never empty. Numbers are 1, 2, 3 …: a version's number is its place.
    pub versions: Vec<PortableVersion>,
    /// Which version each label names, by number; sorted by label.
    pub labels: Vec<(Label, u32)>,
    /// Per environment name, sorted: the stack of published version numbers, the last one is live.
    pub published: Vec<(String, Vec<u32>)>,
}

/// One version of a [`Portable`].
#[derive(Clone, Debug, PartialEq)]
pub struct PortableVersion {
    /// UUID; kept if no other version of the store has it.
    pub id: Option<VersionId>,
    /// What it says.
    pub content: Content,
    /// When it was made.
    pub created_at: Option<Timestamp>,
}

/// What an import did with one prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The prompt is new; its newest version has this number.
    Created {
        /// Its handle.
        slug: Slug,
        /// The newest version's number.
        version: u32,
    },
    /// The content differs from the newest version: this number is the new draft.
    Drafted {
        /// Its handle.
        slug: Slug,
        /// The new draft's number.
        version: u32,
    },
    /// The content is that of the newest version: no version was made.
    Unchanged {
        /// Its handle.
        slug: Slug,
        /// The newest version's number.
        version: u32,
    },
}

impl Imported {
    /// The prompt it is about.
    pub fn slug(&self) -> &Slug {
        match self {
            Self::Created { slug, .. } | Self::Drafted { slug, .. } => slug,
            Self::Unchanged { slug, .. } => slug,
        }
    }

    /// The number of the prompt's newest version after the import.
    pub fn version(&self) -> u32 {
        match self {
            Self::Created { version, .. }
            | Self::Drafted { version, .. }
            | Self::Unchanged { version, .. } => *version,
        }
    }

    /// The printed form.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Drafted { .. } => "drafted",
            Self::Unchanged { .. } => "unchanged",
        }
    }
}
