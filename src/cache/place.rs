//! Where something stands in a map whose keys are hashes.

use std::hash::{BuildHasherDefault, Hasher};

/// The hasher of a map whose keys are seeded hashes already: to hash them again would be waste.
pub type Unhashed = BuildHasherDefault<Through>;

/// Passes a hash on as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Through(u64);

impl Hasher for Through {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, place: u64) {
        self.0 = place;
    }
}
