//! Asking a running server on its operators' side.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use http::Method;
use serde_json::Value;

use crate::cli::Failure;
use crate::cli::settings::Settings;
use crate::config::Flag;
use crate::wire::probe;

/// Which server is asked.
#[derive(Args, Debug)]
pub(super) struct Server {
    /// Where the server's admin listener is [key: admin.listen]
    #[arg(long, visible_alias = "admin", value_name = "ADDR")]
    admin_listen: Option<String>,
}

impl Server {
    /// The address that the flag or the configuration says.
    pub(super) fn address(&self, settings: &Settings) -> Result<SocketAddr, Failure> {
        let flag = self.admin_listen.as_ref().map(|value| Flag {
            name: "--admin-listen",
            path: "admin.listen",
            value: value.clone(),
        });
        Ok(settings.load(&Vec::from_iter(flag))?.admin.listen)
    }

    /// Asks for a page and returns the JSON that it answers with; `body` is sent as JSON.
    pub(super) fn ask(
        &self,
        settings: &Settings,
        (method, target): (Method, &str),
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let to = self.address(settings)?;
        let body = body.map(Value::to_string);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asked = runtime.block_on(probe::ask(to, (method, target), body, DEADLINE));
        let (status, body) =
            asked.map_err(|error| Failure::of(format!("http://{to} did not answer: {error}")))?;
        let answer: Option<Value> = serde_json::from_slice(&body).ok();
        match answer {
            Some(answer) if status.is_success() => Ok(answer),
            answer => {
                let said = answer.as_ref().and_then(|answer| answer.get("error")?.as_str());
                let said = said.unwrap_or("nothing that a prompt-edge would");
                Err(Failure::of(format!("http://{to} answered {}: {said}", status.as_u16())))
            }
        }
    }
}

/// Long enough for a purge of everything, for somebody who waits at a terminal.
const DEADLINE: Duration = Duration::from_secs(10);
