//! The command line: what can be asked, and how a failure becomes an exit code.
//!
//! Commands work on the store while a server runs on it; what they change is served within the
//! server's watch interval. `purge`, `reload`, `why`, `health` and `ready` ask the server itself. Results go to standard output, everything else to standard error.
//!
//! | exit code | means (`sysexits.h`)                                    |
//! |-----------|---------------------------------------------------------|
//! | 0         | done                                                    |
//! | 1         | not done, or not all of it; standard error says why     |
//! | 64        | the command line is wrong                               |
//! | 78        | the configuration is wrong                              |

mod bench;
mod check;
mod demo;
mod keys;
mod operator;
mod output;
mod probe;
mod projects;
mod prompts;
mod purge;
mod reload;
mod serve;
mod settings;
mod transfer;
mod usage;
mod why;

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};

use crate::app;
use crate::authoring;
use crate::authoring::Authoring;
use crate::clock::{Clock, SystemClock};
use crate::config;
use crate::config::{Config, Problems};
use crate::origins::Store;
use crate::telemetry::trace::Chain;

use settings::Settings;

/// An edge-cached prompt delivery proxy: compiled prompts from memory, next to your services.
#[derive(Debug, Parser)]
#[command(name = "prompt-edge", version = VERSION, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("PROMPT_EDGE_REVISION"), ")");

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer requests until told to stop.
    Serve(serve::Arguments),
    /// Say everything that is wrong with the configuration, and change nothing.
    Check,
    /// Make and list projects.
    #[command(subcommand)]
    Projects(projects::Command),
    /// Make, list and revoke API keys.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Add prompts from Markdown files, bundles, or folders of them.
    Import(transfer::Import),
    /// Write all prompts of a project, with their whole history, as a bundle.
    Export(transfer::Export),
    /// List, show, publish, roll back and delete prompts.
    #[command(subcommand)]
    Prompts(prompts::Command),
    /// Show what projects have used of their months.
    Usage(usage::Arguments),
    /// Make a running server forget, so that it asks for prompts anew.
    Purge(purge::Arguments),
    /// Make a running server read its configuration anew, and say what came of it.
    Reload(operator::Server),
    /// Show what a running server keeps of a prompt, and how that came to be, as JSON.
    Why(why::Arguments),
    /// Whether a server is alive: exit code 0 or 1, for container probes.
    Health(operator::Server),
    /// Whether a server should be sent requests: exit code 0 or 1, for container probes.
    Ready(operator::Server),
    /// Ask a server at a rate, and say how long its answers took.
    ///
    /// With --rate each request is due at its time, whether others are answered or not, and its
    /// latency counts from there: a server that stalls is late for everything that was due
    /// meanwhile. A generator that waits for answers before it asks again leaves those requests out,
    /// which is called coordinated omission (Gil Tene, "How NOT to Measure Latency"). Without --rate
    /// this is such a one: it tells the throughput, and its latencies are service times.
    Bench(Box<bench::Arguments>),
    /// Write a completion script to standard output.
    Completions {
        /// The shell to write it for.
        shell: clap_complete::Shell,
    },
}

/// Runs the command that the arguments name.
///
/// # Errors
///
/// Whatever kept the command from being done, with its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Failure> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return Err(Failure::Usage(error)),
        // `--help` and `--version` are answers, not mistakes.
        Err(answer) => return answer.print().map_err(Failure::from),
    };
    let settings = cli.settings;
    match cli.command {
        Command::Serve(arguments) => serve::run(&settings, &arguments),
        Command::Check => check::run(&settings),
        Command::Projects(command) => with_store(&settings, |a| projects::run(command, a)),
        Command::Keys(command) => with_store(&settings, |a| keys::run(command, a)),
        Command::Import(import) => with_store(&settings, |a| transfer::import(import, a)),
        Command::Export(export) => with_store(&settings, |a| transfer::export(export, a)),
        Command::Prompts(command) => with_store(&settings, |a| prompts::run(command, a)),
        Command::Usage(arguments) => usage::run(&settings, &arguments),
        Command::Purge(arguments) => purge::run(&settings, &arguments),
        Command::Reload(server) => reload::run(&settings, &server),
        Command::Why(arguments) => why::run(&settings, &arguments),
        Command::Health(server) => probe::run(&settings, &server, "/livez"),
        Command::Ready(server) => probe::run(&settings, &server, "/readyz"),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "prompt-edge", &mut script);
            output::bytes(&script)
        }
    }
}

/// Runs a command on the configured store, on this thread.
fn with_store<F>(settings: &Settings, command: impl FnOnce(Authoring) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let config = settings.load(&[])?;
    let store = app::open(&store_config(&config)).map_err(Failure::of)?.store;
    let authoring = authoring(&config, store, Arc::new(SystemClock::default()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(command(authoring))
}

/// The write path, with the plans and origins that projects can name.
fn authoring(config: &Config, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Authoring {
    let plans = config.limits.plans.keys().cloned().collect();
    let origins = config.origins.iter().map(|origin| origin.name.clone()).collect();
    Authoring::new(store, plans, clock).with_origins(origins)
}

/// The store as commands use it: a person waits for a large import rather than see it end half-way
/// through its patience.
fn store_config(config: &Config) -> config::Store {
    config::Store { timeout: COMMAND_TIMEOUT, ..config.store.clone() }
}

/// How long one command may wait for the store.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a command was not done.
#[derive(Debug)]
pub enum Failure {
    /// The configuration is wrong.
    Config(Problems),
    /// Part of it was not done, and standard error has said which already.
    Partial,
    /// Something else went wrong.
    Other(Box<dyn Error + Send + Sync>),
    /// The command line is wrong.
    Usage(clap::Error),
}

impl Failure {
    fn of(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Partial | Self::Other(_) => 1,
            Self::Usage(_) => 64,
            Self::Config(_) => 78,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => problems.fmt(f),
            Self::Partial => Ok(()),
            Self::Usage(error) if io::stderr().is_terminal() => error.render().ansi().fmt(f),
            Self::Usage(error) => error.render().fmt(f),
            Self::Other(error) => write!(f, "error: {}", Chain(error.as_ref())),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::of(error)
    }
}

impl From<authoring::Error> for Failure {
    fn from(error: authoring::Error) -> Self {
        Self::of(error)
    }
}
