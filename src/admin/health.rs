//! Whether the process should be sent requests.

use std::sync::atomic::{AtomicU8, Ordering};

/// A latch that only moves forward: starting, ready, draining.
///
/// Once ready, an edge stays ready until it is told to stop, whatever its origin does: it has
/// answers in memory, and taking it out of a load balancer would turn an origin's outage into ours.
#[derive(Debug, Default)]
pub struct Health(AtomicU8);

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
    /// Moves on to `state`; never back.
    pub fn reach(&self, state: State) {
        self.0.fetch_max(state as u8, Ordering::Release);
    }

    /// The present state.
    pub fn state(&self) -> State {
        match self.0.load(Ordering::Acquire) {
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
}
