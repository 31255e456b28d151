//! `usage`: what projects have used of their months.

use std::sync::Arc;

use clap::Args;

use crate::app;
use crate::authoring::usage::{Row, Usage};
use crate::cli::settings::Settings;
use crate::cli::{Failure, output, store_config};
use crate::clock::SystemClock;
use crate::live::Live;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Only this project.
    #[arg(long)]
    project: Option<String>,
    /// As a JSON array.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let config = settings.load(&[])?;
    let opened = app::open(&store_config(&config)).map_err(Failure::of)?;
    let usage = Usage {
        store: opened.store,
        ledger: opened.ledger,
        limits: Live::new(config.limits),
        clock: Arc::new(SystemClock::default()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rows = runtime.block_on(usage.rows(arguments.project.as_deref()))?;
    output::list(arguments.json, &Row::COLUMNS, rows.iter().map(Row::to_json).collect())
}
