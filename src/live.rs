//! Settings that may change while the edge runs.
//!
//! Whoever is configured once keeps a copy. Whoever may be configured again keeps a [`Live`], reads
//! it where it decides, and so decides by one whole setting, the old or the new.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

/// A setting, read whole and replaced whole. A clone is the same setting.
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// A setting that holds from now on.
    pub fn new(setting: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(setting)))
    }

    /// What holds now. Not to be kept: the next decision is by what holds then.
    ///
    /// # Cost
    ///
    /// Some nanoseconds, no lock. No hit from memory needs one: what it goes by stands in the record
    /// of its key.
    pub fn load(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    /// Replaces it, for everybody.
    pub fn store(&self, setting: T) {
        self.0.store(Arc::new(setting));
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_the_same_setting() {
        let one = Live::new(1);
        let other = one.clone();

        other.store(2);

        assert_eq!(**one.load(), 2);
    }
}
