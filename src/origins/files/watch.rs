//! Noticing that the folder has changed, and when it has come to rest.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::watch;

use crate::model::OriginName;
use crate::origins::files::git;
use crate::origins::files::set;
use crate::origins::files::set::Set;
use crate::origins::files::state::State;
use crate::origins::files::tree;
use crate::origins::files::tree::Tree;
use crate::origins::watcher::Watcher;

/// Looks at a folder, one look at a time, and remembers the last.
#[derive(Debug)]
pub(super) struct Lookout {
    origin: OriginName,
    folder: PathBuf,
    /// How many looks in a row may find the folder in motion before that is a problem.
    patience: u32,
    seen: Option<Result<Tree, tree::Error>>,
    /// Whether what was seen has been judged.
    is_judged: bool,
    restless: u32,
}

impl Lookout {
    pub(super) fn new(origin: OriginName, folder: PathBuf, patience: u32) -> Self {
        Self { origin, folder, patience, seen: None, is_judged: false, restless: 0 }
    }

    /// Judges the folder if it has changed and come to rest: this look and the last found the same,
    /// git is not at work, and it is still the same when everything has been read. Each state is
    /// judged once.
    pub(super) fn look(&mut self) -> Option<Result<Set, set::Error>> {
        let at_work = git::at_work(&self.folder);
        let found = Tree::of(&self.folder);
        let is_still = self.seen.as_ref() == Some(&found);
        if is_still && self.is_judged {
            return None;
        }
        if !is_still || at_work.is_some() {
            return self.wait(found, at_work);
        }

        let read = match &found {
            Ok(tree) => Set::read(&self.origin, tree),
            Err(error) => Err(error.clone().into()),
        };
        let found_after = Tree::of(&self.folder);
        if found_after != found {
            return self.wait(found_after, None);
        }
        (self.is_judged, self.restless) = (true, 0);
        Some(read)
    }

    /// Remembers what was found. After a while of that it is a problem, and said once.
    fn wait(
        &mut self,
        found: Result<Tree, tree::Error>,
        at_work: Option<PathBuf>,
    ) -> Option<Result<Set, set::Error>> {
        self.seen = Some(found);
        self.is_judged = false;
        self.restless = self.restless.saturating_add(1);
        let problem = at_work.map_or(set::Error::Restless, set::Error::GitAtWork);
        (self.restless == self.patience).then_some(Err(problem))
    }
}

/// Starts a thread that looks at once and then every `interval`. What is judged becomes the state.
pub(super) fn start(
    origin: OriginName,
    folder: PathBuf,
    interval: Duration,
    state: watch::Sender<State>,
) -> io::Result<Watcher> {
    let looks = PATIENCE.as_nanos() / interval.as_nanos().max(1);
    let patience = u32::try_from(looks).unwrap_or(u32::MAX).max(MIN_PATIENCE);
    let lookout = Lookout::new(origin, folder, patience);
    Watcher::start("files-watch", move |stopped| keep_looking(lookout, interval, &state, stopped))
}

fn keep_looking(
    mut lookout: Lookout,
    interval: Duration,
    state: &watch::Sender<State>,
    stopped: &Receiver<()>,
) {
    loop {
        if let Some(judgement) = lookout.look() {
            let origin = &lookout.origin;
            match &judgement {
                Ok(set) => tracing::info!(%origin, prompts = set.len(), "folder taken over"),
                Err(problem) => tracing::warn!(%origin, %problem, "folder not taken over"),
            }
            let next = state.borrow().after(judgement);
            state.send_replace(next);
        }
        if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// How long a folder may be in motion before that is said.
const PATIENCE: Duration = Duration::from_secs(10);

/// A change is in motion for two looks however quiet the folder is.
const MIN_PATIENCE: u32 = 4;
