//! What is in force, and what changed to make it so. A state never changes: the next one takes its
//! place whole.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::origins::files::set;
use crate::origins::files::set::Set;
use crate::origins::{Change, Changes, Cursor};

/// What the origin answers from.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) held: Held,
    /// The place of the newest step.
    newest: i64,
    /// What the last steps changed, oldest first.
    steps: VecDeque<Arc<[Change]>>,
}

/// What is held of the folder.
#[derive(Clone, Debug, Default)]
pub(super) enum Held {
    /// Nothing: it was not judged yet.
    #[default]
    Nothing,
    /// Why nothing ever was.
    Problem(Arc<set::Error>),
    /// The newest set that could be read whole.
    Set(Arc<Set>),
}

impl State {
    /// The state that this judgement leads to. A set stays in force until there is another.
    pub(super) fn after(&self, judgement: Result<Set, set::Error>) -> Self {
        let mut next = self.clone();
        match (&self.held, judgement) {
            (Held::Set(_), Err(_)) => {}
            (Held::Nothing | Held::Problem(_), Err(problem)) => {
                next.held = Held::Problem(Arc::new(problem));
            }
            (Held::Nothing | Held::Problem(_), Ok(set)) => next.held = Held::Set(Arc::new(set)),
            (Held::Set(old), Ok(set)) => {
                next.step(set.changes_since(old));
                next.held = Held::Set(Arc::new(set));
            }
        }
        next
    }

    fn step(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        if self.steps.len() == MAX_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(changes.into());
        self.newest += 1;
    }

    /// What changed since the cursor; `None` if nothing did, or nothing is held yet.
    pub(super) fn since(&self, cursor: Cursor) -> Option<Changes> {
        if !matches!(self.held, Held::Set(_)) || cursor == Cursor(self.newest) {
            return None;
        }
        let told = |changes| Some(Changes { changes, cursor: Cursor(self.newest) });
        if cursor == Cursor::START {
            return told(Vec::new());
        }
        let missed =
            self.newest.checked_sub(cursor.0).and_then(|steps| usize::try_from(steps).ok());
        let Some(first) = missed.and_then(|missed| self.steps.len().checked_sub(missed)) else {
            return told(Vec::from([Change::Everything]));
        };
        told(self.steps.iter().skip(first).flat_map(|step| step.iter().cloned()).collect())
    }
}

/// How many steps are kept for whoever falls behind. Each is at most 3,000 names.
const MAX_STEPS: usize = 16;
