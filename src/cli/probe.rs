//! `health` and `ready`: the state of a running server, as an exit code.

use std::time::Duration;

use crate::cli::Failure;
use crate::cli::operator::Server;
use crate::cli::output;
use crate::cli::settings::Settings;
use crate::wire::probe;

pub(super) fn run(settings: &Settings, server: &Server, path: &'static str) -> Result<(), Failure> {
    let to = server.address(settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(probe::status(to, path, DEADLINE)) {
        Ok(status) if status.is_success() => output::line("ok"),
        Ok(status) => Err(Failure::of(format!("http://{to}{path} answered {}", status.as_u16()))),
        Err(error) => Err(Failure::of(format!("http://{to}{path} did not answer: {error}"))),
    }
}

/// Below the second after which Kubernetes gives a probe up.
const DEADLINE: Duration = Duration::from_millis(900);
