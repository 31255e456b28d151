//! An environment: which version of a prompt its keys read, and which defaults hold there.

use serde_json::Map;
use serde_json::Value;

use crate::model::ids::EnvironmentId;

/// One of a project's environments. Every project starts with `live` and `dev`.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    /// Integer id.
    pub id: EnvironmentId,
    /// Unique in its project.
    pub name: String,
    /// Which version its keys read.
    pub reads: Reads,
    /// The last place a variable's value is looked for, after the request and the declared default.
    pub defaults: Map<String, Value>,
}

/// Which version of a prompt an environment serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reads {
    /// The newest version, published or not.
    Draft,
    /// The version that was published into this environment; none until one was.
    Published,
}

impl Reads {
    /// The stored and printed form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
        }
    }
}
