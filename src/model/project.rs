//! A project: the tenant that owns prompts and keys.

use uuid::Uuid;

use crate::model::ids::{OriginName, ProjectId};
use crate::model::timestamp::Timestamp;

/// A tenant. Its name is unique in a store and is what the command line takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Integer id.
    pub id: ProjectId,
    /// Printed as `project_id` in answers.
    pub uuid: Uuid,
    /// Unique name.
    pub name: String,
    /// The plan's name, as it is configured.
    pub plan: String,
    /// Where its prompts come from; the store itself if `None`.
    pub origin: Option<OriginName>,
    /// When it was made.
    pub created_at: Timestamp,
}
