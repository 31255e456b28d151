//! Whose work goes first.
//!
//! What an answer costs beyond memory (a question to the origin, a render on a blocking thread)
//! takes a turn, of which there are only so many at once. While turns are free nobody waits. When
//! they are not, the project that holds the fewest for its weight is next, and among equals the one
//! that has waited longest for a turn: however many requests
//! one project has waiting, another's first waits for one turn to end, not for all of them. Hits
//! take no turn.

use std::collections::{HashMap, VecDeque};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::quality::RandomState;
use tokio::sync::oneshot;

use crate::model::{ProjectId, Refusal};

/// The turns there are.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Guards the queues, for the length of one push or pop.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many at once.
    at_once: usize,
    taken: usize,
    /// How many were given to somebody who had waited.
    passed_on: u64,
    /// Only projects that hold a turn or wait for one.
    projects: HashMap<ProjectId, Place, RandomState>,
}

#[derive(Debug)]
struct Place {
    weight: NonZeroU32,
    holds: usize,
    /// Which of those turns was its last; 0 is none.
    last: u64,
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// A turn; dropping it passes it on.
#[derive(Debug)]
pub struct Turn {
    project: ProjectId,
    shared: Arc<Shared>,
}

impl Turns {
    /// So many turns at once.
    pub fn new(at_once: NonZeroUsize) -> Self {
        let state =
            State { at_once: at_once.get(), taken: 0, passed_on: 0, projects: HashMap::default() };
        Self(Arc::new(Shared { state: Mutex::new(state) }))
    }

    /// From now on so many turns at once. Of more, those who wait have theirs; of fewer, those that
    /// are taken are finished.
    pub fn resize(&self, at_once: NonZeroUsize) {
        self.0.state().at_once = at_once.get();
        // Not under the lock: a turn that nobody takes passes itself on.
        while let Some(next) = { self.0.state().next() } {
            self.0.hand_over(next);
        }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    ///
    /// `Overloaded` if more of the project's requests are waiting than will get their turn in time.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives the place up.
    pub async fn take(&self, project: ProjectId, weight: NonZeroU32) -> Result<Turn, Refusal> {
        let waiting = {
            let mut state = self.0.state();
            let is_free = state.taken < state.at_once;
            let place = state.projects.entry(project).or_insert_with(|| Place::of(weight));
            place.weight = weight;
            if is_free {
                place.holds += 1;
                state.taken += 1;
                return Ok(Turn { project, shared: Arc::clone(&self.0) });
            }
            if place.waiting.len() >= WAITING_AT_MOST {
                return Err(Refusal::Overloaded { retry_after: RETRY_AFTER });
            }
            let (turn, waiting) = oneshot::channel();
            place.waiting.push_back(turn);
            waiting
        };
        waiting.await.map_err(|_| Refusal::Internal)
    }
}

impl Place {
    fn of(weight: NonZeroU32) -> Self {
        Self { weight, holds: 0, last: 0, waiting: VecDeque::new() }
    }

    /// How much the project has for its weight; the least is next.
    fn share(&self) -> u64 {
        (self.holds as u64 * u64::from(u32::MAX)) / u64::from(self.weight.get())
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives somebody a turn. If nobody is there to take it, it comes back and passes itself on.
    fn hand_over(self: &Arc<Self>, (project, waiting): Next) {
        let _ = waiting.send(Turn { project, shared: Arc::clone(self) });
    }
}

/// Whose turn it is, and where that is to be said once the lock is free.
type Next = (ProjectId, oneshot::Sender<Turn>);

impl State {
    /// Ends a project's turn, and gives it to whoever is next.
    fn pass_on(&mut self, from: ProjectId) -> Option<Next> {
        self.taken -= 1;
        if let Some(place) = self.projects.get_mut(&from) {
            place.holds -= 1;
        }
        let next = self.next();
        self.projects.retain(|_, place| place.holds > 0 || !place.waiting.is_empty());
        next
    }

    /// Gives a turn that is free to whoever is next.
    fn next(&mut self) -> Option<Next> {
        while self.taken < self.at_once {
            let waiting = self.projects.iter().filter(|(_, place)| !place.waiting.is_empty());
            let (&project, _) = waiting.min_by_key(|(_, place)| (place.share(), place.last))?;
            let place = self.projects.get_mut(&project)?;
            // Whoever left in the meantime is passed over.
            if let Some(turn) = place.waiting.pop_front().filter(|turn| !turn.is_closed()) {
                place.holds += 1;
                self.passed_on += 1;
                place.last = self.passed_on;
                self.taken += 1;
                return Some((project, turn));
            }
        }
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.shared.state().pass_on(self.project);
        if let Some(next) = next {
            self.shared.hand_over(next);
        }
    }
}

/// How many requests of one project may wait.
const WAITING_AT_MOST: usize = 1_024;

/// After this many of them have had their turn, if each takes a millisecond.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const A: ProjectId = ProjectId(1);
    const B: ProjectId = ProjectId(2);

    fn weight(weight: u32) -> NonZeroU32 {
        NonZeroU32::new(weight).unwrap()
    }

    fn turns(at_once: usize) -> Turns {
        Turns::new(NonZeroUsize::new(at_once).unwrap())
    }

    #[tokio::test]
    async fn more_turns_are_given_at_once_and_fewer_as_those_taken_end() {
        let turns = turns(1);
        let first = turns.take(A, weight(1)).await.unwrap();
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(turns.take(A, weight(1)))).collect();
        for waiting in &mut waiting {
            assert!(poll(waiting).is_none());
        }

        turns.resize(NonZeroUsize::new(3).unwrap());
        let second = poll(&mut waiting[0]).expect("there is a second turn");
        let third = poll(&mut waiting[1]).expect("there is a third turn");
        assert!(poll(&mut waiting[2]).is_none());

        turns.resize(NonZeroUsize::MIN);
        drop((first, second));
        assert!(poll(&mut waiting[2]).is_none(), "one is taken still");
        drop(third);
        poll(&mut waiting[2]).expect("the one turn there is").unwrap();
    }

    #[tokio::test]
    async fn a_flood_does_not_hold_up_a_neighbour() {
        let turns = turns(2);
        let (a1, a2) = (turns.take(A, weight(1)).await.unwrap(), turns.take(A, weight(1)).await);
        let mut flood: Vec<_> = (0..100).map(|_| Box::pin(turns.take(A, weight(1)))).collect();
        for waiting in &mut flood {
            assert!(poll(waiting).is_none());
        }
        let mut neighbour = Box::pin(turns.take(B, weight(1)));
        assert!(poll(&mut neighbour).is_none());

        drop(a1);

        let neighbour = poll(&mut neighbour).expect("the first free turn is the neighbour's");
        drop(a2);
        let first = poll(&mut flood[0]).expect("the next is the flood's first");
        assert!(poll(&mut flood[1]).is_none());
        drop((neighbour, first));
    }

    #[tokio::test]
    async fn weights_decide_who_is_next() {
        let turns = turns(3);
        let heavy = turns.take(A, weight(3)).await.unwrap();
        let _heavy = turns.take(A, weight(3)).await.unwrap();
        let _light = turns.take(B, weight(1)).await.unwrap();
        let mut light = Box::pin(turns.take(B, weight(1)));
        assert!(poll(&mut light).is_none());
        let mut more = Box::pin(turns.take(A, weight(3)));
        assert!(poll(&mut more).is_none());

        drop(heavy);

        assert!(poll(&mut light).is_none(), "one of one is more than one of three");
        assert!(matches!(poll(&mut more), Some(Ok(_))));
    }

    #[tokio::test]
    async fn among_equals_turns_go_round() {
        let turns = turns(1);
        let projects = [A, B, ProjectId(3)];
        let mut held = turns.take(A, weight(1)).await.unwrap();
        let mut waiting: Vec<_> =
            (0..9).map(|n| Box::pin(turns.take(projects[n % 3], weight(1)))).collect();
        for waiting in &mut waiting {
            assert!(poll(waiting).is_none());
        }

        let mut had = Vec::new();
        for _ in 0..9 {
            drop(held);
            let (n, turn) = (0..waiting.len())
                .find_map(|n| poll(&mut waiting[n]).map(|turn| (n, turn.unwrap())))
                .unwrap();
            drop(waiting.remove(n));
            had.push(turn.project);
            held = turn;
        }

        for round in had.chunks(3) {
            for project in projects {
                assert!(round.contains(&project), "{project:?} had no turn in a round of {had:?}");
            }
        }
    }

    #[tokio::test]
    async fn whoever_leaves_is_passed_over_and_nothing_is_kept() {
        let turns = turns(1);
        let held = turns.take(A, weight(1)).await.unwrap();
        let mut leaver = Box::pin(turns.take(B, weight(1)));
        assert!(poll(&mut leaver).is_none());
        drop(leaver);

        drop(held);

        assert!(turns.take(A, weight(1)).await.is_ok());
        assert!(turns.0.state().projects.len() <= 1, "projects without turns are forgotten");
    }

    fn poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
