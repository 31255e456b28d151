//! `check`: read the configuration, say what is wrong, change nothing.

use crate::cli::Failure;
use crate::cli::output;
use crate::cli::settings::Settings;

pub(super) fn run(settings: &Settings) -> Result<(), Failure> {
    settings.load(&[])?;
    let file = settings.file().map_or("defaults".into(), |path| path.to_string_lossy());
    output::line(&format!("{file}: no problems"))
}
