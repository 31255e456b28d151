//! Settings that cannot be wrong, from flags, the environment and `config.toml`.
//!
//! An operator should learn everything that is wrong in one run, with the line it is on and what
//! would be right. So settings are not deserialised, which ends at the first mistake: a
//! `Reader` is asked for one key after another, each with its default and its range. It notes
//! what does not fit and goes on. Having been asked for every key, it knows which names in the
//! sources nobody reads.
//!
//! ```text
//! flag        --listen                        wins over
//! environment PROMPT_EDGE__SERVER__LISTEN     wins over
//! file        [server] listen = "…"           wins over
//! default     Server::default().listen
//! ```
//!
//! Whole and parts: `resolve` lists every key with its range, `origins` every key of an origin,
//! `listeners` every key of a listener;
//! `reader` reads one key from all sources, as one of the types in `values`; `document` is the
//! parsed file and `given` one source's word; `secrets` reads what the file only points to; `names`
//! turns key paths into variables and typos into suggestions; [`units`] reads `30s` and `64 MiB`,
//! `places` URLs and paths; `sections` holds the tables that belong to no module of their own;
//! `problem` is what the operator sees.
//!
//! # Invariants
//!
//! 1. Every problem is reported in the same run, of whatever kind and in whichever source
//!    (`every_kind_of_problem_is_reported_in_one_run`).
//! 2. A name that no key reads is refused (`a_bogus_key_is_refused_in_every_table`,
//!    `an_unknown_variable_is_refused_with_the_one_that_was_meant`).
//! 3. `config.toml` holds every key at its default and says what it takes
//!    (`the_shipped_file_is_exactly_the_defaults`, `the_shipped_file_has_every_key_and_no_other`,
//!    `the_shipped_file_tells_every_range`).
//!    The same goes for its examples of origins and listeners, once they are made real
//!    (`the_examples_of_the_shipped_file_are_origins_of_every_kind`,
//!    `the_examples_of_the_shipped_file_have_every_key_of_an_origin`,
//!    `the_examples_of_the_shipped_file_tell_every_range`,
//!    `the_example_of_the_shipped_file_has_every_key_of_a_listener`).
//! 4. Of a URL that may hold a password only the scheme is printed (`a_password_is_never_printed`).
//! 5. No secret stands in the file, and none is printed
//!    (`a_secret_that_stands_in_the_configuration_is_refused_and_never_printed`,
//!    `a_secret_of_the_environment_is_never_printed`).

mod document;
mod given;
mod listeners;
mod names;
mod origins;
mod places;
mod problem;
mod reader;
mod resolve;
mod secrets;
mod sections;
pub mod units;
mod values;

use std::env;
use std::ffi::OsString;

pub use document::File;
pub use names::variable;
pub use origins::{Keys, Kind, Labels, Origin, Remote};
pub use problem::{Found, Place, Problem, Problems};
use reader::Reader;
pub use reader::{Flag, Key, Sources};
pub use sections::{Admin, InvalidStoreUrl, Snapshot, SnapshotKey, Store, StoreUrl};

use crate::access;
use crate::cache;
use crate::delivery;
use crate::server;
use crate::server::ListenerConfig;
use crate::telemetry::trace;

/// Everything that can be set, resolved. A module is handed its own field, never the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Serve a temporary store with example prompts instead of `store.url`.
    pub demo: bool,
    /// Never call an origin over HTTP: serve what there is.
    pub offline: bool,
    /// `[server]`.
    pub server: server::Config,
    /// `[admin]`.
    pub admin: Admin,
    /// `[store]`.
    pub store: Store,
    /// `[cache]`.
    pub cache: cache::Config,
    /// `[snapshot]`.
    pub snapshot: Snapshot,
    /// `[delivery]`.
    pub delivery: delivery::Config,
    /// `[limits]` and `[plans]`.
    pub limits: access::limits::Config,
    /// The part of `[limits]` that is about keys which open nothing.
    pub guesses: access::guesses::Config,
    /// `[keys]`.
    pub keys: access::Config,
    /// `[log]`.
    pub log: trace::Config,
    /// `[[listeners]]`, in the order of the file; the one at `server.listen` if the file has none.
    pub listeners: Vec<ListenerConfig>,
    /// `[[origins]]`, in the order of the file.
    pub origins: Vec<Origin>,
}

impl Default for Config {
    fn default() -> Self {
        let server = server::Config::default();
        Self {
            demo: false,
            offline: false,
            server,
            admin: Admin::default(),
            store: Store::default(),
            cache: cache::Config::default(),
            snapshot: Snapshot::default(),
            delivery: delivery::Config::default(),
            limits: access::limits::Config::default(),
            guesses: access::guesses::Config::default(),
            keys: access::Config::default(),
            log: trace::Config::default(),
            listeners: vec![ListenerConfig::clear(server.listen)],
            origins: Vec::new(),
        }
    }
}

impl Config {
    /// Resolves all sources into settings.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in any source, in order of place.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        let mut reader = Reader::new(sources);
        let config = Self::read(&mut reader);
        let (_, problems) = reader.finish();
        if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
    }

    /// Asks for every key, in the order of `config.toml`.
    fn read(reader: &mut Reader<'_>) -> Self {
        let mut config = Self {
            demo: reader.switch("demo", false),
            offline: reader.switch("offline", false),
            server: resolve::server(reader),
            admin: resolve::admin(reader),
            store: resolve::store(reader),
            cache: resolve::cache(reader),
            snapshot: resolve::snapshot(reader),
            delivery: resolve::delivery(reader),
            limits: resolve::limits(reader),
            guesses: resolve::guesses(reader),
            keys: resolve::keys(reader),
            log: resolve::log(reader),
            listeners: Vec::new(),
            origins: Vec::new(),
        };
        resolve::plans(reader, &mut config.limits);
        config.origins = origins::entry::all(reader, config.delivery.deadline, config.offline);
        config.listeners = listeners::all(reader, config.server.listen);
        listeners::refuse_a_shared_address(&config.listeners, config.admin.listen, reader);
        config
    }
}

/// Every key with its default and what it takes, in the order of `config.toml`.
pub fn keys() -> Vec<Key> {
    let sources = Sources::default();
    let mut reader = Reader::new(&sources);
    Config::read(&mut reader);
    reader.finish().0
}

/// The process's environment, for [`Sources::environment`]. Its only reader.
pub fn environment() -> Vec<(OsString, OsString)> {
    env::vars_os().collect()
}

#[cfg(test)]
mod tests;
