//! Prompts in a folder: Markdown files and bundles, as they are imported, served as they stand.
//!
//! ```text
//!   folder ◀── files-watch ── tree.rs   what is there: a stamp of every file
//!                  │          git.rs    is git at work?
//!                  │ at rest: set.rs    read all of it, or nothing
//!                  ▼
//!            state.rs ──▶ FilesOrigin   answers from memory, tells what changed
//! ```
//!
//! A thread looks at the folder every `interval`. A change is read when two looks in a row have
//! found the same, git is not at work, and the folder is still the same when all of it has been
//! read. So one save of an editor or one `git pull` is one change, and what is written while it is
//! being looked at is never served. A writer that pauses in the middle of a file for longer than
//! `interval` cannot be told from one that is done: it writes beside the file and renames.
//!
//! If one file cannot be understood, or two prompts have the same slug or id, what was read before
//! stays in force, all of it, and the log says once which file and why. A folder that is wrong from
//! the start is an error of every question until it is right.
//!
//! What is served:
//!
//! * A Markdown file is one prompt with one version, number 1, live in every environment; `commit`
//!   tells one text from the next.
//! * A prompt of a bundle has its versions; in each environment the one that is published under the
//!   environment's name is live. Environments that read drafts are served the newest.
//! * Whichever projects name this origin read the same prompts. Ids that no file gives are derived
//!   from names (`derived.rs`), and moments that none gives are the epoch.
//!
//! Looking is polling, and not inotify behind the `notify` crate. Events do not reach network and
//! container mounts, have limits of their own per user, and say only that something moves: whether
//! it has come to rest takes looks anyway. 10,000 files in memory are looked at in about 30 ms of
//! one core, and read in 0.4 s after a change: whoever has as many gives a longer `interval`.
//!
//! # Invariants
//!
//! 1. What moves from one look to the next is not served (`a_save_in_two_halves_is_never_seen_half`).
//! 2. What git checks out is one change (`a_pull_is_one_change`), and what is served was there at
//!    one moment (`a_folder_that_is_exchanged_is_seen_whole`).
//! 3. A wrong file takes nothing away (`a_wrong_file_keeps_what_was_there_and_is_named`).
//! 4. What lies outside of the folder is not read (`a_link_out_of_the_folder_is_refused`).

mod derived;
mod git;
mod set;
mod state;
mod tree;
mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::model::{Credential, Edition, Listed, OriginName};
use crate::origins::error::BoxError;
use crate::origins::files::set::Set;
use crate::origins::files::state::{Held, State};
use crate::origins::watcher::Watcher;
use crate::origins::{
    Changes, Compiles, Cursor, Error, Found, Origin, Pending, Question, Reader, Text, Told,
    Validator,
};

/// Where the folder is, and how often it is looked at.
#[derive(Clone, Debug)]
pub struct Config {
    /// The origin's name.
    pub name: OriginName,
    /// The folder. It need not be there yet, and may be a link that is moved.
    pub path: PathBuf,
    /// How often it is looked at: a change is served after at most about two of these. Shorter than
    /// the tick of a file system's clock, 10 ms, two writes could look the same.
    pub interval: Duration,
}

impl Config {
    /// The defaults for the folder at `path`.
    pub fn at(name: OriginName, path: impl Into<PathBuf>) -> Self {
        // A save is served before its author has changed windows, and 1,000 files cost a hundredth
        // of a core.
        Self { name, path: path.into(), interval: Duration::from_millis(200) }
    }
}

/// Why a folder is not watched.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system gives no thread.
    #[error("cannot start a thread for a folder of prompts")]
    NoThread(#[source] io::Error),
}

/// A watched folder.
///
/// Dropping it joins its thread. That takes as long as the look in hand: commonly nothing, at most
/// the reading of everything in the folder.
#[derive(Debug)]
pub struct FilesOrigin {
    name: OriginName,
    state: tokio::sync::watch::Receiver<State>,
    _watcher: Watcher,
}

impl FilesOrigin {
    /// Starts to watch the folder. Questions wait until it has been read for the first time: two
    /// looks.
    ///
    /// # Errors
    ///
    /// Only if there is no thread for it. A folder that is missing or wrong is waited for, so that
    /// the edge comes up and says why.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        let Config { name, path, interval } = config;
        // It stays the same folder wherever the process goes.
        let folder = std::path::absolute(&path).unwrap_or(path);
        let (sender, state) = tokio::sync::watch::channel(State::default());
        let watcher =
            watch::start(name.clone(), folder, interval, sender).map_err(OpenError::NoThread)?;
        Ok(Self { name, state, _watcher: watcher })
    }

    /// The prompts in force.
    async fn set(&self) -> Result<Arc<Set>, Error> {
        let mut state = self.state.clone();
        let judged = state.wait_for(|state| !matches!(state.held, Held::Nothing)).await;
        match &judged.map_err(|error| self.unwatched(error))?.held {
            Held::Nothing => Err(self.unwatched("the folder was not judged")),
            Held::Problem(problem) => Err(self.wrong(problem)),
            Held::Set(set) => Ok(Arc::clone(set)),
        }
    }

    /// The thread is gone: a bug.
    fn unwatched(&self, source: impl Into<BoxError>) -> Error {
        Error::Unreachable { origin: self.name.clone(), source: source.into() }
    }

    fn wrong(&self, problem: &Arc<set::Error>) -> Error {
        let (origin, source) = (self.name.clone(), Box::new(Arc::clone(problem)));
        match **problem {
            set::Error::GitAtWork(_)
            | set::Error::Restless
            | set::Error::Tree(tree::Error::Unreadable { .. }) => {
                Error::Unreachable { origin, source }
            }
            set::Error::Misread { .. } | set::Error::Tree(_) | set::Error::Twice { .. } => {
                Error::Malformed { origin, expected: "a folder of prompts", source }
            }
        }
    }

    /// The reader's project as answers carry it: the same for the same names, on every edge.
    fn project(&self, reader: &Reader) -> Uuid {
        derived::uuid(&["project", self.name.as_str(), &reader.project])
    }
}

impl Origin for FilesOrigin {
    fn name(&self) -> &OriginName {
        &self.name
    }

    fn compiles(&self) -> Compiles {
        Compiles::Here
    }

    fn tells_all(&self) -> bool {
        true
    }

    fn prompt<'a>(&'a self, question: Question<'a>) -> Pending<'a, Told<Text>> {
        Box::pin(async move {
            let set = self.set().await?;
            let reader = question.reader;
            let kept = set.prompt(question.prompt);
            let served = kept.and_then(|kept| Some((&kept.prompt, kept.version_for(reader)?)));
            let Some((prompt, version)) = served else { return Ok(Told::plainly(None)) };

            let project = self.project(reader);
            let validator = derived::of_edition(project, prompt, version);
            Ok(told(question.known, validator, || {
                let (prompt, version) = (prompt.clone(), version.clone());
                let defaults = serde_json::Map::new();
                let composed_of = Vec::new();
                Text::Edition(Box::new(Edition { project, prompt, version, defaults, composed_of }))
            }))
        })
    }

    fn listing<'a>(
        &'a self,
        reader: &'a Reader,
        known: Option<&'a Validator>,
    ) -> Pending<'a, Told<Vec<Listed>>> {
        Box::pin(async move {
            let set = self.set().await?;
            let listed = set.prompts().filter_map(|kept| {
                let version = kept.version_for(reader)?;
                let (slug, name) = (kept.prompt.slug.clone(), kept.prompt.name.clone());
                let current_version = Some(version.number);
                Some(Listed { id: kept.prompt.id, name, slug, current_version })
            });
            let listed: Vec<_> = listed.collect();
            Ok(told(known, derived::of_listing(&listed), || listed))
        })
    }

    fn changes(&self, cursor: Cursor) -> Pending<'_, Changes> {
        Box::pin(async move {
            let mut state = self.state.clone();
            let told = state.wait_for(|state| state.since(cursor).is_some()).await;
            let told = told.map_err(|error| self.unwatched(error))?.since(cursor);
            told.ok_or_else(|| self.unwatched("what changed is no longer there"))
        })
    }

    fn probe(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.set().await?;
            // Fails if the thread is gone: what is held answers on, but grows old untold.
            self.state.has_changed().map(drop).map_err(|error| self.unwatched(error))
        })
    }

    /// A folder knows no keys.
    fn admits<'a>(&'a self, _: &'a Credential) -> Pending<'a, bool> {
        Box::pin(async { Ok(false) })
    }
}

fn told<T>(known: Option<&Validator>, validator: Validator, found: impl FnOnce() -> T) -> Told<T> {
    if known == Some(&validator) {
        return Told { found: Found::Unchanged, validator: Some(validator), ..Told::plainly(None) };
    }
    Told { validator: Some(validator), ..Told::plainly(Some(found())) }
}

#[cfg(test)]
mod tests;
