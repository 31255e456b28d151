//! `reload`: make a running server read its configuration anew.

use http::Method;
use serde_json::{Value, json};

use crate::cli::operator::Server;
use crate::cli::settings::Settings;
use crate::cli::{Failure, output};

pub(super) fn run(settings: &Settings, server: &Server) -> Result<(), Failure> {
    let answer = server.ask(settings, (Method::POST, "/admin/reload"), Some(&json!({})))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |name: &str| answer.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    output::line(&answer.get("result").map(text).unwrap_or_default())?;
    for key in list("applied") {
        output::line(&format!("  {}", text(&key)))?;
    }
    for waiting in list("needs_restart") {
        let [key, running, configured] = ["key", "running", "configured"]
            .map(|name| waiting.get(name).map(text).unwrap_or_default());
        output::line(&format!("  {key} needs a restart: {running} holds, not {configured}"))?;
    }
    Ok(())
}
