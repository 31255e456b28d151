//! `keys`: issue, list and revoke them.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use crate::authoring::{Authoring, Issue};
use crate::cli::Failure;
use crate::cli::output;
use crate::clock::{Clock, SystemClock};
use crate::config::units;
use crate::model::{KeyId, Scope, Timestamp};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Issue a key: the token alone on standard output, this once.
    Create {
        /// The project's name.
        #[arg(long)]
        project: String,
        /// What the key reads: live (what is published) or dev (the newest draft).
        #[arg(long, value_parser = ["live", "dev"])]
        environment: String,
        /// A name to recognise it by.
        #[arg(long, default_value = "")]
        name: String,
        /// How long it is good for, such as 90d [default: for ever]
        #[arg(long, value_name = "DURATION", value_parser = lifetime)]
        expires: Option<Duration>,
        /// What the key allows: deliver (compiled prompts), edge (uncompiled versions, for an edge
        /// that has this one as its origin); can be given twice
        #[arg(long = "scope", value_enum, default_value = "deliver")]
        scopes: Vec<Allowed>,
    },
    /// List all keys, never the secrets.
    List {
        /// Only those of this project.
        #[arg(long)]
        project: Option<String>,
        /// As a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key; running servers refuse it within a second.
    Revoke {
        /// The id that `keys list` shows.
        id: i64,
    },
}

/// A scope, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Allowed {
    Deliver,
    Edge,
}

impl From<Allowed> for Scope {
    fn from(allowed: Allowed) -> Self {
        match allowed {
            Allowed::Deliver => Self::Deliver,
            Allowed::Edge => Self::Edge,
        }
    }
}

pub(super) async fn run(command: Command, authoring: Authoring) -> Result<(), Failure> {
    match command {
        Command::Create { project, environment, name, expires, scopes } => {
            let once = Allowed::value_variants().iter().filter(|scope| scopes.contains(scope));
            let issue = Issue {
                project: &project,
                environment: &environment,
                name: &name,
                scopes: once.copied().map(Scope::from).collect(),
                expires_in: expires,
            };
            let (secret, key) = authoring.issue(issue).await?;
            let until = key.expires_at.map_or(String::new(), |at| format!(", until {at}"));
            output::note(&format!(
                "key {} for project \"{project}\" ({environment}{until}); it is not shown again",
                key.id.0
            ));
            output::line(secret.reveal())
        }
        Command::List { project, json } => list(project, json, authoring).await,
        Command::Revoke { id } => {
            authoring.revoke_key(KeyId(id)).await?;
            output::line(&format!("key {id} revoked"))
        }
    }
}

/// At most a century: a moment beyond the year 9999 has no calendar form.
fn lifetime(text: &str) -> Result<Duration, String> {
    const CENTURY: Duration = Duration::from_secs(36_500 * 86_400);
    let span = units::parse_duration(text).map_err(|error| error.to_string())?;
    if span > CENTURY {
        return Err("expected at most 36500d: leave --expires out for a key without an end".into());
    }
    Ok(span)
}

async fn list(project: Option<String>, is_json: bool, authoring: Authoring) -> Result<(), Failure> {
    if let Some(name) = &project {
        authoring.project(name).await?;
    }
    let now = SystemClock::default().now();
    let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let grants = authoring.keys().await?.into_iter();
    let keys = grants.filter(|grant| project.as_ref().is_none_or(|p| *p == grant.project.name));
    let rows = keys.map(|grant| {
        json!({
            "id": grant.key.id.0,
            "project": grant.project.name,
            "environment": grant.environment.name,
            "prefix": grant.key.prefix,
            "name": grant.key.name,
            "scopes": grant.key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(),
            "status": grant.key.standing(now).as_str(),
            "created_at": grant.key.created_at.to_string(),
            "last_used_at": moment(grant.key.last_used_at),
            "expires_at": moment(grant.key.expires_at),
        })
    });
    let columns = [
        "id",
        "project",
        "environment",
        "prefix",
        "name",
        "scopes",
        "status",
        "created_at",
        "last_used_at",
        "expires_at",
    ];
    output::list(is_json, &columns, rows.collect())
}
