//! `purge`: make a running server forget.

use clap::Args;
use http::Method;
use serde_json::json;

use crate::cli::operator::Server;
use crate::cli::settings::Settings;
use crate::cli::{Failure, output};

#[derive(Args, Debug)]
#[group(id = "scope", required = true, multiple = false)]
struct Scope {
    /// Everything
    #[arg(long)]
    all: bool,
    /// Whatever came from this origin
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// Whatever this project was given
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    scope: Scope,
    /// Only this prompt of the project: its slug or id
    #[arg(long, value_name = "PROMPT", requires = "project", conflicts_with_all = ["all", "origin"])]
    prompt: Option<String>,
    /// Remove it, rather than keep it for when its origin does not answer
    #[arg(long)]
    hard: bool,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { scope, prompt, hard, server } = arguments;
    let mut body = json!({"all": scope.all, "hard": hard});
    let named = [("origin", &scope.origin), ("project", &scope.project), ("prompt", prompt)];
    for (field, name) in named {
        if let (Some(name), Some(body)) = (name, body.as_object_mut()) {
            body.insert(field.to_owned(), name.as_str().into());
        }
    }
    let answer = server.ask(settings, (Method::POST, "/admin/purge"), Some(&body))?;
    let purged = answer.get("purged").and_then(serde_json::Value::as_u64).unwrap_or_default();
    output::line(&format!("purged {purged}"))
}
