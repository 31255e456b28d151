//! What a connection is at: a few flags that its parts share.
//!
//! [`Noted`](super::io::Noted) and the service write them down, [`Watch`](super::watch::Watch) reads
//! them. All run in one task: the atomics order nothing, and cost what plain fields do.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wire::pace::Pace;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nobody's: the peer may ask.
    Idle,
    /// The peer's: of a head, or of a frame that is none of a body, a part is here.
    Head,
    /// Ours: a request is worked on.
    Asked,
    /// Ours: the end of its answer is being written.
    Answered,
    /// The peer's: we have said all, and wait for it to close.
    Leaving,
}

/// What a connection is at.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    phase: AtomicU8,
    /// How many heads have begun: tells one turn from the next.
    turns: AtomicU32,
    /// A write waits for the peer, and what it took since somebody looked, in bytes.
    is_stalled: AtomicBool,
    taken: AtomicU64,
    /// HTTP/1.1: an answer was copied that was too long for it.
    is_outgrown: AtomicBool,
    /// The process ends: no answer is followed by another.
    is_stopping: AtomicBool,
    /// The request in hand has a body.
    has_body: AtomicBool,
    /// Its head says twice where its body ends.
    is_ambiguous: AtomicBool,
    /// HTTP/2: requests that are worked on.
    asked: AtomicU32,
    /// HTTP/2: answers that have begun and not ended.
    owed: Mutex<Vec<Owed>>,
    is_owing: AtomicBool,
}

/// An answer that waits for the window of its stream.
#[derive(Debug)]
pub(super) struct Owed {
    /// The stream.
    pub(super) stream: u32,
    /// How much of its body was sent since somebody looked, in bytes.
    pub(super) taken: u64,
    /// How slowly it may be taken, once somebody looked.
    pub(super) pace: Option<Pace>,
}

impl Pulse {
    /// Whose turn it is.
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            1 => Phase::Head,
            2 => Phase::Asked,
            3 => Phase::Answered,
            4 => Phase::Leaving,
            _ => Phase::Idle,
        }
    }

    /// Whose turn it is, and which turn.
    pub(super) fn turn(&self) -> (Phase, u32) {
        (self.phase(), self.turns.load(Relaxed))
    }

    /// Whether a deadline runs that is shorter than the time between two looks.
    pub(super) fn is_urgent(&self) -> bool {
        matches!(self.phase(), Phase::Head | Phase::Leaving)
            || self.is_stalled.load(Relaxed)
            || self.is_owing.load(Relaxed)
            || self.is_outgrown.load(Relaxed)
    }

    /// Bytes came. Whether they are the first of a head.
    pub(super) fn heard(&self) -> bool {
        let begins = self.phase() == Phase::Idle;
        if begins {
            self.turns.store(self.turns.load(Relaxed).wrapping_add(1), Relaxed);
            self.set(Phase::Head);
            self.is_ambiguous.store(false, Relaxed);
        }
        begins
    }

    /// The head says twice where its body ends.
    pub(super) fn doubt(&self) {
        self.is_ambiguous.store(true, Relaxed);
    }

    /// Whether it does.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.is_ambiguous.load(Relaxed)
    }

    /// A head is whole.
    pub(super) fn ask(&self, has_body: bool) {
        self.set(Phase::Asked);
        self.has_body.store(has_body, Relaxed);
    }

    /// All of its answer is there.
    pub(super) fn answer(&self) {
        if self.phase() == Phase::Asked {
            self.set(Phase::Answered);
        }
    }

    /// A frame, or a block of fields, is whole.
    pub(super) fn rest(&self) {
        self.set(Phase::Idle);
    }

    /// A write has to wait for the peer.
    pub(super) fn stall(&self) {
        if !self.is_stalled.swap(true, Relaxed) {
            self.taken.store(0, Relaxed);
        }
    }

    /// The peer took some bytes.
    pub(super) fn take(&self, bytes: usize) {
        if self.is_stalled.load(Relaxed) {
            self.taken.fetch_add(bytes as u64, Relaxed);
        }
    }

    /// The peer took everything there was.
    pub(super) fn flushed(&self) {
        self.is_stalled.store(false, Relaxed);
        if self.phase() == Phase::Answered {
            self.set(Phase::Idle);
        }
    }

    /// An answer was copied that was too long for it.
    pub(super) fn outgrow(&self) {
        self.is_outgrown.store(true, Relaxed);
    }

    /// Whether one was.
    pub(super) fn is_outgrown(&self) -> bool {
        self.is_outgrown.load(Relaxed)
    }

    /// What the peer took since somebody looked, if a write waits for it.
    pub(super) fn stalled(&self) -> Option<u64> {
        self.is_stalled.load(Relaxed).then(|| self.taken.swap(0, Relaxed))
    }

    /// The process ends.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Relaxed);
    }

    /// Whether it does.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Relaxed)
    }

    /// All is said.
    pub(super) fn leave(&self) {
        self.set(Phase::Leaving);
    }

    /// Whether bytes may come that nobody reads: those of a head that was not understood, or of a
    /// body that nobody wanted.
    pub(super) fn has_unread(&self) -> bool {
        self.phase() == Phase::Head || self.has_body.load(Relaxed)
    }

    /// A request of HTTP/2; it is worked on until the guard is dropped.
    pub(super) fn request(self: &Arc<Self>) -> Asked {
        self.asked.fetch_add(1, Relaxed);
        self.turns.fetch_add(1, Relaxed);
        Asked(Arc::clone(self))
    }

    /// Whether no stream is open.
    pub(super) fn is_quiet(&self) -> bool {
        self.asked.load(Relaxed) == 0 && !self.is_owing.load(Relaxed)
    }

    /// The answers that have begun and not ended.
    pub(super) fn owed(&self) -> Owing<'_> {
        let list = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        Owing { list, flag: &self.is_owing }
    }

    fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }
}

/// One request of HTTP/2 that is worked on.
#[derive(Debug)]
pub(super) struct Asked(Arc<Pulse>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.asked.fetch_sub(1, Relaxed);
    }
}

/// The answers that have begun and not ended.
pub(super) struct Owing<'a> {
    list: MutexGuard<'a, Vec<Owed>>,
    flag: &'a AtomicBool,
}

impl Owing<'_> {
    /// The answer on a stream has begun.
    pub(super) fn begin(&mut self, stream: u32) {
        self.list.push(Owed { stream, taken: 0, pace: None });
    }

    /// Some of it was sent.
    pub(super) fn take(&mut self, stream: u32, bytes: u32) {
        if let Some(owed) = self.list.iter_mut().find(|owed| owed.stream == stream) {
            owed.taken += u64::from(bytes);
        }
    }

    /// It has ended, or nobody wants it any more.
    pub(super) fn end(&mut self, stream: u32) {
        if let Some(place) = self.list.iter().position(|owed| owed.stream == stream) {
            self.list.swap_remove(place);
        }
    }

    /// All of them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Owed> {
        self.list.iter_mut()
    }
}

impl Drop for Owing<'_> {
    fn drop(&mut self) {
        self.flag.store(!self.list.is_empty(), Relaxed);
    }
}
