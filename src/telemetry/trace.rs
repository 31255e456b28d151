//! Log lines on standard error.

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Handle;

/// What is logged, and how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Nothing below this level is written.
    pub level: Level,
    /// How a line looks.
    pub format: Format,
}

impl Default for Config {
    fn default() -> Self {
        Self { level: Level::Info, format: Format::Text }
    }
}

/// How much is logged; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    // In order of volume, not of the alphabet.
    /// An operator must act.
    Error,
    /// Unexpected, and handled.
    Warn,
    /// Life cycle.
    Info,
    /// Refused requests and background steps.
    Debug,
    /// Inside a request.
    Trace,
}

impl Level {
    /// Every level, least first.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The configured form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, for machines.
    Json,
    /// For people at a terminal.
    Text,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Json, Self::Text];

    /// The configured form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

/// Changes the level of the logging that was started.
static SET_LEVEL: OnceLock<Box<dyn Fn(Level) + Send + Sync>> = OnceLock::new();

/// Starts logging for the whole process. A second call changes nothing.
pub fn start(config: Config) {
    let filter = EnvFilter::new(config.level.as_str());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        // Its way of telling that a line could not be written is a panic: whoever reads our
        // standard error may leave, and we go on serving.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    let started = match config.format {
        Format::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let filter = lines.reload_handle();
            lines.try_init().map(|()| by(filter))
        }
        Format::Text => {
            let lines = lines.with_target(false).with_filter_reloading();
            let filter = lines.reload_handle();
            lines.try_init().map(|()| by(filter))
        }
    };
    match started {
        // Nobody else has set it: logging starts once.
        Ok(set_level) => drop(SET_LEVEL.set(set_level)),
        Err(_) => tracing::debug!("logging was started before"),
    }
}

/// Writes from now on what this level says. Nothing happens if logging was not started.
pub fn set_level(level: Level) {
    if let Some(set_level) = SET_LEVEL.get() {
        set_level(level);
    }
}

fn by<S: 'static>(filter: Handle<EnvFilter, S>) -> Box<dyn Fn(Level) + Send + Sync> {
    Box::new(move |level| {
        if let Err(error) = filter.reload(EnvFilter::new(level.as_str())) {
            tracing::error!(%error, "the level of the log cannot be changed");
        }
    })
}

/// An error with everything that led to it, on one line.
pub struct Chain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
