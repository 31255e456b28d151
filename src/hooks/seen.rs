//! Which hooks were here before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::hooks::signature::Identity;
use crate::model::Timestamp;

/// The hooks of one origin that came lately, so that one that is sent again does nothing.
///
/// Each is remembered until its signature is too old anyway. Of more than [`MOST`] the ones that are
/// nearest to that are forgotten: sent again, such a hook costs a question that was not needed.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<HashMap<Identity, Timestamp>>);

/// What fits into half a megabyte. An origin that sends more within five minutes had better send
/// fewer.
const MOST: usize = 4096;

impl Seen {
    /// Whether this hook comes for the first time. From then on it does not, up to and including
    /// the moment `until`.
    ///
    /// # Cost
    ///
    /// Linear in what is remembered; a hook is rare.
    pub(crate) fn is_first(&self, hook: Identity, until: Timestamp, now: Timestamp) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, until| *until >= now);
        if seen.contains_key(&hook) {
            return false;
        }
        if seen.len() >= MOST {
            let oldest = seen.iter().min_by_key(|(_, until)| **until).map(|(hook, _)| *hook);
            oldest.and_then(|oldest| seen.remove(&oldest));
        }
        seen.insert(hook, until);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(number: usize) -> Identity {
        let mut identity = [0; 32];
        identity[..8].copy_from_slice(&number.to_le_bytes());
        identity
    }

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_hook_is_remembered_until_its_time_is_over() {
        let seen = Seen::default();

        assert!(seen.is_first(identity(1), at(300), at(0)));
        assert!(!seen.is_first(identity(1), at(300), at(0)));
        assert!(seen.is_first(identity(2), at(300), at(0)));
        assert!(!seen.is_first(identity(1), at(300), at(300)));
        assert!(seen.is_first(identity(1), at(600), at(301)));
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let seen = Seen::default();

        for number in 0..=MOST {
            let until = at(i64::try_from(number).unwrap());
            assert!(seen.is_first(identity(number), until, at(0)));
        }

        assert_eq!(seen.0.lock().unwrap().len(), MOST);
        assert!(!seen.is_first(identity(MOST), at(0), at(0)), "the newest is remembered");
        assert!(seen.is_first(identity(0), at(9_999), at(0)), "the oldest is forgotten");
    }
}
