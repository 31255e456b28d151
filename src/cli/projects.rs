//! `projects`: make and list them.

use clap::Subcommand;
use serde_json::json;

use crate::authoring::{Authoring, names};
use crate::cli::Failure;
use crate::cli::output;
use crate::model::OriginName;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a project with its environments live and dev.
    Create {
        /// A name nobody else has.
        name: String,
        /// One of the configured plans: free, pro or enterprise, unless others are.
        #[arg(long)]
        plan: String,
        /// Where its prompts come from: one of the configured origins, or store.
        #[arg(long, default_value = names::STORE)]
        origin: String,
    },
    /// Put a project on another plan; running servers follow within a second.
    SetPlan {
        /// The project's name.
        name: String,
        /// One of the configured plans.
        plan: String,
    },
    /// Take a project's prompts from another origin; running servers follow within a second.
    SetOrigin {
        /// The project's name.
        name: String,
        /// One of the configured origins, or store.
        origin: String,
    },
    /// List all projects.
    List {
        /// As a JSON array.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(command: Command, authoring: Authoring) -> Result<(), Failure> {
    match command {
        Command::Create { name, plan, origin } => {
            let project = authoring.create_project_of(&origin, &name, &plan).await?;
            let origin =
                project.origin.map_or(String::new(), |origin| format!(", origin {origin}"));
            output::line(&format!("project \"{name}\" (plan {plan}{origin})"))
        }
        Command::SetPlan { name, plan } => {
            authoring.set_plan(&name, &plan).await?;
            output::line(&format!("project \"{name}\" (plan {plan})"))
        }
        Command::SetOrigin { name, origin } => {
            authoring.set_origin(&name, &origin).await?;
            output::line(&format!("project \"{name}\" (origin {origin})"))
        }
        Command::List { json } => {
            let projects = authoring.projects().await?.into_iter().map(|project| {
                json!({
                    "name": project.name,
                    "plan": project.plan,
                    "origin": project.origin.as_ref().map_or(names::STORE, OriginName::as_str),
                    "id": project.uuid.to_string(),
                    "created_at": project.created_at.to_string(),
                })
            });
            output::list(json, &["name", "plan", "origin", "id", "created_at"], projects.collect())
        }
    }
}
