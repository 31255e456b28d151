//! `why`: what a running server keeps of a prompt, and how that came to be.

use clap::Args;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::cli::operator::Server;
use crate::cli::settings::Settings;
use crate::cli::{Failure, output};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The project
    #[arg(long, value_name = "NAME")]
    project: String,
    /// The prompt: its slug or id, as callers ask for it
    #[arg(long, value_name = "PROMPT")]
    prompt: String,
    /// The environment
    #[arg(long, value_name = "NAME")]
    environment: String,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { project, prompt, environment, server } = arguments;
    let [project, prompt, environment] =
        [project, prompt, environment].map(|name| utf8_percent_encode(name, NON_ALPHANUMERIC));
    let target = format!("/admin/why?project={project}&slug={prompt}&environment={environment}");
    let page = server.ask(settings, (Method::GET, &target), None)?;
    output::line(&format!("{page:#}"))
}
