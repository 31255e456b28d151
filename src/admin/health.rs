//! Whether the process should be sent requests.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// A latch that only moves forward: starting, ready, draining.
///
/// Ready is who has heard from the store, which knows the keys, and from any origin beside it, or
/// remembers what one said: more of them may be away at the start than not.
///
/// Once ready, an edge stays ready until it is told to stop, whatever its origin does: it has
/// answers in memory, and taking it out of a load balancer would turn an origin's outage into ours.
#[derive(Debug, Default)]
pub struct Health {
    state: AtomicU8,
    has_store: AtomicBool,
    has_origin: AtomicBool,
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    // In order of life.
    /// Nothing has been read yet.
    Starting = 0,
    /// Send requests.
    Ready = 1,
    /// Told to stop: send no more.
    Draining = 2,
}

impl State {
    /// The body of `/readyz`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting\n",
            Self::Ready => "ready\n",
            Self::Draining => "draining\n",
        }
    }
}

impl Health {
    /// At the start, awaiting the store's first word and, unless the store is all there is, an
    /// origin's.
    pub fn awaiting(is_store_alone: bool) -> Self {
        Self { has_origin: AtomicBool::new(is_store_alone), ..Self::default() }
    }

    /// The store has answered.
    pub fn has_heard_from_the_store(&self) {
        self.has_store.store(true, Ordering::Release);
        self.consider();
    }

    /// An origin beside it has answered, or what one said before is known.
    pub fn has_heard_from_an_origin(&self) {
        self.has_origin.store(true, Ordering::Release);
        self.consider();
    }

    fn consider(&self) {
        if self.has_store.load(Ordering::Acquire) && self.has_origin.load(Ordering::Acquire) {
            self.reach(State::Ready);
        }
    }

    /// Moves on to `state`; never back.
    pub fn reach(&self, state: State) {
        self.state.fetch_max(state as u8, Ordering::Release);
    }

    /// The present state.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Starting,
            1 => State::Ready,
            _ => State::Draining,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_never_unready_again_until_it_drains() {
        let health = Health::default();
        assert_eq!(health.state(), State::Starting);

        health.reach(State::Ready);
        health.reach(State::Starting);
        assert_eq!(health.state(), State::Ready);

        health.reach(State::Draining);
        health.reach(State::Ready);
        assert_eq!(health.state(), State::Draining);
    }

    #[test]
    fn with_origins_beside_the_store_both_have_to_be_heard() {
        let health = Health::awaiting(false);

        health.has_heard_from_the_store();
        assert_eq!(health.state(), State::Starting);

        health.has_heard_from_an_origin();
        assert_eq!(health.state(), State::Ready);
    }
}
