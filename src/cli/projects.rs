//! `projects`: make and list them.

use clap::Subcommand;
use serde_json::json;

use crate::authoring::Authoring;
use crate::cli::Failure;
use crate::cli::output;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a project with its environments live and dev.
    Create {
        /// A name nobody else has.
        name: String,
        /// One of the configured plans: free, pro or enterprise, unless others are.
        #[arg(long)]
        plan: String,
    },
    /// Put a project on another plan; running servers follow within a second.
    SetPlan {
        /// The project's name.
        name: String,
        /// One of the configured plans.
        plan: String,
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
        Command::Create { name, plan } => {
            let project = authoring.create_project(&name, &plan).await?;
            output::line(&format!("project \"{}\" (plan {})", project.name, project.plan))
        }
        Command::SetPlan { name, plan } => {
            authoring.set_plan(&name, &plan).await?;
            output::line(&format!("project \"{name}\" (plan {plan})"))
        }
        Command::List { json } => {
            let projects = authoring.projects().await?.into_iter().map(|project| {
                json!({
                    "name": project.name,
                    "plan": project.plan,
                    "id": project.uuid.to_string(),
                    "created_at": project.created_at.to_string(),
                })
            });
            output::list(json, &["name", "plan", "id", "created_at"], projects.collect())
        }
    }
}
