//! What the product talks about.
//!
//! ```text
//! Project ──┬── Environment ("live", "dev", …)      who may read what, and which defaults hold
//!           ├── ApiKey ──▶ one Environment          digest only; the token is shown once
//!           └── Prompt ──┬── Version 1, 2, 3 …      immutable: blocks, variables, model_config
//!                        ├── Label ──▶ Version      "production", "beta"
//!                        └── per Environment: the stack of published versions, the last one is live
//! ```
//!
//! Nothing here does IO, reads a clock or knows a wire format. The nouns carry what all five
//! dialects need: an integer id *and* a UUID for prompts, numbers *and* UUIDs for versions, a
//! nullable default per variable, an optional JSON Schema.

pub mod credential;
pub mod environment;
pub mod ids;
pub mod key;
pub mod plan;
pub mod project;
pub mod prompt;
pub mod refusal;
pub mod timestamp;
pub mod transfer;

pub use credential::Credential;
pub use environment::{Environment, Reads};
pub use ids::{
    EnvironmentId, InvalidName, KeyId, Label, OriginName, ProjectId, PromptId, PromptName, Slug,
    Tenant, VersionId,
};
pub use key::{ApiKey, Grant, KeyDigest, Scope, Standing};
pub use plan::{Budget, Budgets, Plan, PlanName, Rate};
pub use project::Project;
pub use prompt::{
    Block, BlockKind, Content, Edition, Layout, Listed, Message, Overview, Prompt, Variable,
    Version, Visibility,
};
pub use refusal::{Noun, Refusal};
pub use timestamp::Timestamp;
pub use transfer::{Imported, Portable, PortableVersion};
