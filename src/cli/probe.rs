//! `health` and `ready`: the state of a running server, as an exit code.

use std::time::Duration;

use clap::Args;

use crate::cli::Failure;
use crate::cli::output;
use crate::cli::settings::Settings;
use crate::config::Flag;
use crate::wire::probe;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Where the server's admin listener is [key: admin.listen]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
}

pub(super) fn run(
    settings: &Settings,
    arguments: &Arguments,
    path: &'static str,
) -> Result<(), Failure> {
    let address = arguments.admin_listen.as_ref();
    let flag = address.map(|value| Flag {
        name: "--admin-listen",
        path: "admin.listen",
        value: value.clone(),
    });
    let config = settings.load(&Vec::from_iter(flag))?;

    let to = config.admin.listen;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(probe::status(to, path, DEADLINE)) {
        Ok(status) if status.is_success() => output::line("ok"),
        Ok(status) => Err(Failure::of(format!("http://{to}{path} answered {}", status.as_u16()))),
        Err(error) => Err(Failure::of(format!("http://{to}{path} did not answer: {error}"))),
    }
}

/// Below the second after which Kubernetes gives a probe up.
const DEADLINE: Duration = Duration::from_millis(900);
