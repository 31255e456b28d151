//! Where the configuration comes from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use clap::Args;

use crate::app::reload::Source;
use crate::cli::Failure;
use crate::config::{self, Config, File, Flag, Problem, Problems, Sources, StoreUrl};

/// The flags every command takes.
#[derive(Args, Clone, Debug)]
pub(super) struct Settings {
    /// The configuration file [default: config.toml, then /etc/prompt-edge/config.toml, if there]
    #[arg(long, global = true, value_name = "FILE", env = CONFIG_VARIABLE)]
    config: Option<PathBuf>,

    /// The store, such as sqlite:prompt-edge.db [key: store.url]
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,
}

/// The only variable under the prefix that is no key of the file: it names the file.
const CONFIG_VARIABLE: &str = "PROMPT_EDGE__CONFIG";

/// Where a file is looked for that nobody named.
const DEFAULT_FILES: [&str; 2] = ["config.toml", "/etc/prompt-edge/config.toml"];

impl Settings {
    /// Resolves the file, the environment and the flags; `flags` are those of the command itself.
    pub(super) fn load(&self, flags: &[Flag]) -> Result<Config, Failure> {
        self.resolve(flags).map_err(Failure::Config)
    }

    fn resolve(&self, flags: &[Flag]) -> Result<Config, Problems> {
        let (file, unreadable) = match self.read() {
            Ok(file) => (file, None),
            Err(problem) => (None, Some(problem)),
        };
        let mut environment = config::environment();
        environment.retain(|(name, _)| name != CONFIG_VARIABLE);
        let store = self.store.iter().map(|url| Flag {
            name: "--store",
            path: "store.url",
            value: url.clone(),
        });
        let flags = flags.iter().cloned().chain(store).collect();

        match (Config::load(&Sources { file, environment, flags }), unreadable) {
            (Ok(config), None) => Ok(config),
            (Ok(_), Some(problem)) => Err(problem.into()),
            (Err(problems), unreadable) => {
                let all = unreadable.into_iter().chain(problems.0).collect();
                Err(Problems(all))
            }
        }
    }

    /// The file that [`Settings::load`] reads, if there is one.
    pub(super) fn file(&self) -> Option<&Path> {
        let named = self.config.as_deref();
        named.or_else(|| DEFAULT_FILES.iter().map(Path::new).find(|path| path.exists()))
    }

    /// The same for a server, which reads it anew while it runs.
    pub(super) fn anew(&self, flags: Vec<Flag>) -> Anew {
        Anew { settings: self.clone(), flags, store: None, file: OnceLock::new() }
    }

    fn read(&self) -> Result<Option<File>, Problem> {
        let Some(path) = self.file() else { return Ok(None) };
        let text = fs::read(path).and_then(|bytes| {
            String::from_utf8(bytes)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
        });
        match text {
            Ok(text) => Ok(Some(File { name: path.to_owned(), text })),
            Err(error) => Err(Problem::unreadable(path, &error)),
        }
    }
}

/// Where a running server's configuration comes from: once there is a file, that file and no other.
/// If it is gone that is a problem, and no return to the defaults.
pub(super) struct Anew {
    settings: Settings,
    flags: Vec<Flag>,
    /// The store that is served instead of the configured one.
    store: Option<StoreUrl>,
    file: OnceLock<PathBuf>,
}

impl Anew {
    /// Has a store served instead of the configured one.
    pub(super) fn serve_store(&mut self, url: StoreUrl) {
        self.store = Some(url);
    }

    fn file(&self) -> Option<&Path> {
        if let (None, Some(found)) = (self.file.get(), self.settings.file()) {
            // Whoever was first found the same.
            let _ = self.file.set(found.to_owned());
        }
        self.file.get().map(PathBuf::as_path)
    }
}

impl Source for Anew {
    fn load(&self) -> Result<Config, Problems> {
        let config = self.file().map(Path::to_owned);
        let settings = Settings { config, store: self.settings.store.clone() };
        let mut config = settings.resolve(&self.flags)?;
        if let Some(url) = &self.store {
            config.store.url = url.clone();
        }
        Ok(config)
    }

    fn content(&self) -> Option<Vec<u8>> {
        fs::read(self.file()?).ok()
    }
}
