//! Prompts and their versions.

use serde_json::Map;
use serde_json::Value;
use uuid::Uuid;

use crate::model::ids::{PromptId, Slug, VersionId};
use crate::model::timestamp::Timestamp;

/// What is true of a prompt whatever its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The UUID callers keep.
    pub id: PromptId,
    /// Integer id, for the dialects that want one.
    pub number: i64,
    /// Its handle, unique in its project.
    pub slug: Slug,
    /// Display name.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// A word to group by; may be empty.
    pub category: String,
    /// Who may see it beside its project.
    pub visibility: Visibility,
    /// Free words to search by.
    pub tags: Vec<String>,
    /// Who answers for it; may be empty.
    pub owner: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When any of the above changed last.
    pub updated_at: Timestamp,
}

/// Who may see a prompt beside its project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Nobody.
    #[default]
    Private,
    /// Everybody who can list public prompts.
    Public,
}

impl Visibility {
    /// The stored and printed form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
        }
    }

    /// Reads the stored form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Private, Self::Public].into_iter().find(|v| v.as_str() == text)
    }
}

/// One immutable version. A change makes the next one.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// UUID.
    pub id: VersionId,
    /// Counts from 1 within its prompt.
    pub number: u32,
    /// What it says.
    pub content: Content,
    /// `formats::content::commit_hash` of the content: equal content, equal hash.
    pub commit: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a version says: everything that decides what is delivered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// The text, and how it comes together.
    pub layout: Layout,
    /// Declared variables, in the order of their declaration. Names are unique.
    pub variables: Vec<Variable>,
    /// Model settings, handed through as they are.
    pub model_config: Map<String, Value>,
    /// A JSON Schema for the variables, handed through as it is. Its `properties.*.default` are
    /// defaults of variables that declare none themselves.
    pub input_schema: Option<Value>,
}

impl Content {
    /// The sections; none in any other layout.
    pub fn blocks(&self) -> &[Block] {
        match &self.layout {
            Layout::Sections(blocks) => blocks,
            Layout::Chat(_) | Layout::Verbatim(_) => &[],
        }
    }
}

/// The text of a version, by how it comes together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Messages of a conversation, in their order.
    Chat(Vec<Message>),
    /// Sections, in the order in which they are joined: a prompt as PromptOT has it.
    Sections(Vec<Block>),
    /// One text, with `{{variables}}`, that is delivered as it stands.
    Verbatim(String),
}

impl Default for Layout {
    fn default() -> Self {
        Self::Sections(Vec::new())
    }
}

/// One message of a chat prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Gives way to the messages that are the value of a variable.
    Placeholder {
        /// The variable's name.
        name: String,
    },
    /// A message of the prompt's own.
    Said {
        /// Who says it, in the word of the platform: `system`, `user`, `assistant`, any other.
        role: String,
        /// The text, with `{{variables}}`.
        content: String,
    },
}

/// One section of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What kind of section it is. Does not change how it is compiled.
    pub kind: BlockKind,
    /// Becomes `## title`; a block with an empty title contributes its content alone.
    pub title: String,
    /// The text, with `{{variables}}`.
    pub content: String,
    /// A block that is not enabled is kept but not compiled.
    pub enabled: bool,
}

/// The block types of PromptOT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockKind {
    /// Background the model needs.
    Context,
    /// Anything else.
    #[default]
    Custom,
    /// What must not happen.
    Guardrails,
    /// What to do.
    Instructions,
    /// What the answer looks like.
    OutputFormat,
    /// Who the model is.
    Role,
}

impl BlockKind {
    const ALL: [Self; 6] = [
        Self::Context,
        Self::Custom,
        Self::Guardrails,
        Self::Instructions,
        Self::OutputFormat,
        Self::Role,
    ];

    /// The stored and printed form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::Custom => "custom",
            Self::Guardrails => "guardrails",
            Self::Instructions => "instructions",
            Self::OutputFormat => "output_format",
            Self::Role => "role",
        }
    }

    /// Reads the stored form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A declared variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// The name in `{{name}}`.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// Asking without it (and without any default) is refused.
    pub required: bool,
    /// Used where the request gives no value. `Some(Value::Null)` is a default that renders empty.
    pub default: Option<Value>,
}

/// One version of one prompt as an environment serves it, with the defaults that hold there.
#[derive(Clone, Debug, PartialEq)]
pub struct Edition {
    /// The project that owns the prompt, as its origin names it: what answers carry as `project_id`.
    pub project: Uuid,
    /// The prompt.
    pub prompt: Prompt,
    /// The version the environment serves.
    pub version: Version,
    /// The environment's own defaults.
    pub defaults: Map<String, Value>,
    /// The other prompts whose text the origin has put into this one: it changes when one of them
    /// does. Empty where prompts are not composed of one another.
    pub composed_of: Vec<Slug>,
}

/// One line of the list of prompts an environment serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// UUID.
    pub id: PromptId,
    /// Display name.
    pub name: String,
    /// Handle.
    pub slug: Slug,
    /// The version the environment serves. `None` for a prompt that has no version yet, which only
    /// an environment that reads drafts lists, and where the origin's list does not say which.
    pub current_version: Option<u32>,
}

/// One line of the list of prompts an operator sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// The prompt.
    pub prompt: Prompt,
    /// Its newest version's number; `None` if it has none.
    pub latest: Option<u32>,
    /// The live version in each environment that has one, by environment name.
    pub published: Vec<(String, u32)>,
}
