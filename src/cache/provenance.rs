//! Where something kept came from, when, and for how long it is good.
//!
//! What an origin said once stands behind many answers: one for each set of variables. They share
//! one [`Provenance`], so that asking the origin again makes all of them young, a change makes all
//! of them old, and what takes its place ends all of them at once, with a few atomic stores however
//! many they are.
//!
//! ```text
//! fetched ──▶ fresh_until ──▶ stale_until ──▶ rescue_until
//!    Fresh         │    Stale      │    Rescue     │    Gone
//!                  used at once,   used if the     of no use
//!                  asked behind    origin fails
//! ```
//!
//! A change that is told skips to `Rescue`, a hard purge to `Gone`. Moments are milliseconds of
//! [`crate::clock::Clock::elapsed`], which never goes back: an age cannot shrink. What a snapshot
//! brought along was fetched before the clock began, at a negative moment.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::cache::generation::{Generations, Stamp};
use crate::model::OriginName;

/// The three windows of what an origin said, each beginning where the one before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Used without asking.
    pub fresh: Duration,
    /// Used at once, and asked for behind.
    pub stale: Duration,
    /// Used if asking fails, as is what is known to have changed. Zero is never, not even while it
    /// is fresh: it fails closed.
    pub rescue: Duration,
}

impl Windows {
    /// For what can never change, or is told to have changed.
    pub const ENDLESS: Self =
        Self { fresh: Duration::MAX, stale: Duration::ZERO, rescue: Duration::MAX };

    /// For what is used once.
    pub const NONE: Self =
        Self { fresh: Duration::ZERO, stale: Duration::ZERO, rescue: Duration::ZERO };
}

impl Default for Windows {
    /// Half a minute behind a publish at most, five minutes to refresh, a day to outlive an outage.
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(30),
            stale: Duration::from_secs(5 * 60),
            rescue: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// A moment of [`crate::clock::Clock::elapsed`], in milliseconds.
pub type Moment = i64;

/// The moment that so much time is.
pub fn moment(elapsed: Duration) -> Moment {
    i64::try_from(elapsed.as_millis()).unwrap_or(END)
}

/// After everything.
const END: Moment = i64::MAX;

/// Before everything.
const NEVER: Moment = i64::MIN;

/// Which window something is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    // In order of age, not of the alphabet.
    /// Used without asking.
    Fresh,
    /// Used at once, and asked for behind.
    Stale,
    /// Used if the origin fails.
    Rescue,
    /// Of no use.
    Gone,
}

impl Standing {
    /// The word for it in what operators see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Rescue => "rescue",
            Self::Gone => "gone",
        }
    }
}

/// Where something kept came from, when, and for how long it is good.
#[derive(Debug)]
pub struct Provenance {
    /// Who said it.
    pub origin: OriginName,
    /// At whose request: a request's id, or the edge's own reason.
    pub filled_by: Box<str>,
    /// Of each mark its place, and the state from before the origin was last asked.
    marks: [(u32, AtomicU64); 2],
    /// When the origin last said that it is so.
    said_at: AtomicI64,
    fresh_until: AtomicI64,
    stale_until: AtomicI64,
    rescue_until: AtomicI64,
    /// When it was last asked for, to within [`USED_WITHIN`].
    used_at: AtomicI64,
    /// When the origin last failed to say, since it last did.
    failed_at: AtomicI64,
    /// How it failed.
    failure: Mutex<&'static str>,
    /// Whether something newer is there.
    is_retired: AtomicBool,
}

impl Provenance {
    /// What an origin said at `now`, having been asked after `stamp` was taken.
    pub fn new(
        origin: OriginName,
        filled_by: &str,
        stamp: Stamp,
        windows: Windows,
        now: Moment,
    ) -> Self {
        let new = Self {
            origin,
            filled_by: filled_by.into(),
            marks: stamp.marks().map(|(place, state)| (place, AtomicU64::new(state))),
            said_at: AtomicI64::new(now),
            fresh_until: AtomicI64::new(NEVER),
            stale_until: AtomicI64::new(NEVER),
            rescue_until: AtomicI64::new(NEVER),
            used_at: AtomicI64::new(now),
            failed_at: AtomicI64::new(NEVER),
            failure: Mutex::new(""),
            is_retired: AtomicBool::new(false),
        };
        new.set(windows, now);
        new
    }

    /// The same word once more, for what is to be made of it anew: as old as it is, good for as long
    /// as it is, or as `windows` say.
    pub fn again(&self, windows: Option<Windows>) -> Self {
        let copy = |of: &AtomicI64| AtomicI64::new(of.load(Ordering::Acquire));
        let again = Self {
            origin: self.origin.clone(),
            filled_by: self.filled_by.clone(),
            marks: self.stamp().marks().map(|(place, state)| (place, AtomicU64::new(state))),
            said_at: copy(&self.said_at),
            fresh_until: copy(&self.fresh_until),
            stale_until: copy(&self.stale_until),
            rescue_until: copy(&self.rescue_until),
            used_at: copy(&self.used_at),
            failed_at: copy(&self.failed_at),
            failure: Mutex::new(self.failure()),
            is_retired: AtomicBool::new(false),
        };
        if let Some(windows) = windows {
            again.set(windows, again.said_at());
        }
        again
    }

    /// The origin said at `now` that it still holds, having been asked after `stamp` was taken.
    pub fn renew(&self, stamp: Stamp, windows: Windows, now: Moment) {
        // The windows first: whoever sees the new marks must not judge by the old ones' windows.
        self.set(windows, now);
        for ((_, state), (_, new)) in self.marks.iter().zip(stamp.marks()) {
            state.store(new, Ordering::Release);
        }
        self.said_at.store(now, Ordering::Relaxed);
        self.failed_at.store(NEVER, Ordering::Relaxed);
    }

    /// The origin failed at `now` to say whether it still holds. `kind` is the error's.
    pub fn failed(&self, now: Moment, kind: &'static str) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = kind;
        self.failed_at.store(now, Ordering::Relaxed);
    }

    /// Whatever failed before, the origin is to be waited for again: something changed there.
    pub fn forgive(&self) {
        self.failed_at.store(NEVER, Ordering::Relaxed);
    }

    /// Something newer has taken its place: every answer made of it is over.
    pub fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
        for until in [&self.fresh_until, &self.stale_until, &self.rescue_until] {
            until.store(NEVER, Ordering::Release);
        }
    }

    /// Which window it is in at `now`. `elapsed` is called only if it can grow old.
    ///
    /// # Cost
    ///
    /// For what does not grow old, five loads.
    pub fn standing(
        &self,
        generations: &Generations,
        elapsed: impl FnOnce() -> Moment,
    ) -> Standing {
        let is_current = self
            .marks
            .iter()
            .all(|(place, state)| generations.state(*place) == state.load(Ordering::Acquire));
        let fresh_until = self.fresh_until.load(Ordering::Acquire);
        if is_current && fresh_until == END {
            return Standing::Fresh;
        }
        let now = elapsed();
        if is_current && now < fresh_until {
            Standing::Fresh
        } else if is_current && now < self.stale_until.load(Ordering::Relaxed) {
            Standing::Stale
        } else if now < self.rescue_until.load(Ordering::Relaxed) && self.may_rescue(generations) {
            Standing::Rescue
        } else {
            Standing::Gone
        }
    }

    /// Notes that it was asked for.
    pub fn used(&self, now: Moment) {
        // Written seldom: every core that answers would otherwise take the line from the others.
        if now.saturating_sub(self.used_at.load(Ordering::Relaxed)) >= USED_WITHIN {
            self.used_at.store(now, Ordering::Relaxed);
        }
    }

    /// When it was last asked for, to within a second.
    pub fn used_at(&self) -> Moment {
        self.used_at.load(Ordering::Relaxed)
    }

    /// When the origin last said that it is so.
    pub fn said_at(&self) -> Moment {
        self.said_at.load(Ordering::Relaxed)
    }

    /// When the origin last failed to say whether it still holds; `None` if it has said since.
    pub fn failed_at(&self) -> Option<Moment> {
        Some(self.failed_at.load(Ordering::Relaxed)).filter(|at| *at != NEVER)
    }

    /// The kind of the origin's last failure.
    pub fn failure(&self) -> &'static str {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when it is used without asking; `None` for ever.
    pub fn fresh_until(&self) -> Option<Moment> {
        Some(self.fresh_until.load(Ordering::Relaxed)).filter(|until| *until != END)
    }

    /// The ends of the three windows, as moments.
    pub fn ends(&self) -> [Moment; 3] {
        [&self.fresh_until, &self.stale_until, &self.rescue_until]
            .map(|until| until.load(Ordering::Relaxed))
    }

    /// Whether there is any time in which it is used if the origin fails.
    pub fn has_rescue(&self) -> bool {
        self.rescue_until.load(Ordering::Relaxed) != NEVER
    }

    /// The state of its marks from before the origin was asked.
    pub fn stamp(&self) -> Stamp {
        let [(a, first), (b, second)] = &self.marks;
        Stamp::of([(*a, first.load(Ordering::Acquire)), (*b, second.load(Ordering::Acquire))])
    }

    /// Whether something newer has taken its place.
    pub fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::Acquire)
    }

    /// Whether no hard purge was about it.
    fn may_rescue(&self, generations: &Generations) -> bool {
        self.marks.iter().all(|(place, state)| {
            let (now, then) = (generations.state(*place), state.load(Ordering::Relaxed));
            Generations::hard(now) == Generations::hard(then)
        })
    }

    fn set(&self, windows: Windows, now: Moment) {
        let after = |start: Moment, window: Duration| match moment(window) {
            // For ever, also if it was said before the clock began.
            END => END,
            window => start.saturating_add(window),
        };
        let fresh_until = after(now, windows.fresh);
        let stale_until = after(fresh_until, windows.stale);
        // Without a rescue there is none after a change either, however young it is.
        let rescue_until = match windows.rescue.is_zero() {
            true => NEVER,
            false => after(stale_until, windows.rescue),
        };
        for (place, until) in [
            (&self.rescue_until, rescue_until),
            (&self.stale_until, stale_until),
            (&self.fresh_until, fresh_until),
        ] {
            // A retirement is for good, one that comes in between as well.
            let unless_retired = |_| (!self.is_retired()).then_some(until);
            let _ = place.fetch_update(Ordering::Release, Ordering::Acquire, unless_retired);
        }
    }
}

/// How exactly [`Provenance::used_at`] is kept, in milliseconds.
const USED_WITHIN: Moment = 1_000;

#[cfg(test)]
mod tests {
    use crate::cache::generation::Mark;
    use crate::model::ProjectId;

    use super::*;

    const MARKS: [Mark<'_>; 2] = [Mark::Listing(ProjectId(1)), Mark::Settings(ProjectId(1))];

    fn seconds(fresh: u64, stale: u64, rescue: u64) -> Windows {
        let of = Duration::from_secs;
        Windows { fresh: of(fresh), stale: of(stale), rescue: of(rescue) }
    }

    fn said(generations: &Generations, windows: Windows) -> Provenance {
        Provenance::new(OriginName::new("o"), "test", generations.stamp(MARKS), windows, 0)
    }

    #[test]
    fn each_window_begins_where_the_one_before_it_ends() {
        let generations = Generations::default();
        let said = said(&generations, seconds(1, 2, 3));

        for (now, expected) in [
            (0, Standing::Fresh),
            (999, Standing::Fresh),
            (1_000, Standing::Stale),
            (2_999, Standing::Stale),
            (3_000, Standing::Rescue),
            (5_999, Standing::Rescue),
            (6_000, Standing::Gone),
        ] {
            assert_eq!(said.standing(&generations, || now), expected, "at {now}");
        }
    }

    #[test]
    fn what_was_said_for_ever_before_the_clock_began_does_not_age() {
        let generations = Generations::default();
        let (origin, stamp) = (OriginName::new("o"), generations.stamp(MARKS));

        let said = Provenance::new(origin, "test", stamp, Windows::ENDLESS, -1_000);

        assert_eq!(said.fresh_until(), None);
    }

    #[test]
    fn a_change_leaves_it_for_rescue_and_a_hard_purge_for_nothing() {
        let generations = Generations::default();
        let said = said(&generations, Windows::ENDLESS);

        generations.advance(&Mark::Listing(ProjectId(1)));
        assert_eq!(said.standing(&generations, || 0), Standing::Rescue);

        generations.advance_hard(&Mark::Settings(ProjectId(1)));
        assert_eq!(said.standing(&generations, || 0), Standing::Gone);
    }

    #[test]
    fn without_a_rescue_a_change_is_the_end() {
        let generations = Generations::default();
        let said = said(&generations, seconds(10, 10, 0));

        generations.advance(&Mark::Listing(ProjectId(1)));

        assert_eq!(said.standing(&generations, || 0), Standing::Gone);
    }

    #[test]
    fn the_origins_word_makes_it_young_again() {
        let generations = Generations::default();
        let said = said(&generations, seconds(1, 1, 1));
        generations.advance(&Mark::Listing(ProjectId(1)));
        said.failed(2_500, "failed");

        said.renew(generations.stamp(MARKS), seconds(1, 1, 1), 2_600);

        assert_eq!(said.standing(&generations, || 3_599), Standing::Fresh);
        assert_eq!(said.failed_at(), None);
    }

    #[test]
    fn a_word_from_before_a_change_does_not_outlive_it() {
        let generations = Generations::default();
        let said = said(&generations, seconds(1, 1, 1));
        let before = generations.stamp(MARKS);

        generations.advance(&Mark::Listing(ProjectId(1)));
        said.renew(before, seconds(1, 1, 1), 500);

        assert_eq!(said.standing(&generations, || 600), Standing::Rescue);
    }

    #[test]
    fn what_fails_closed_does_not_rescue_once_it_has_changed() {
        for windows in [seconds(1, 1, 0), Windows { rescue: Duration::ZERO, ..Windows::ENDLESS }] {
            let generations = Generations::default();
            let said = said(&generations, windows);
            assert_eq!(said.standing(&generations, || 0), Standing::Fresh);

            generations.advance(&Mark::Listing(ProjectId(1)));

            assert_eq!(said.standing(&generations, || 0), Standing::Gone, "{windows:?}");
        }
    }

    #[test]
    fn what_was_retired_stays_so() {
        let generations = Generations::default();
        let said = said(&generations, seconds(1, 1, 1));

        said.retire();
        said.renew(generations.stamp(MARKS), seconds(1, 1, 1), 10);

        assert_eq!(said.standing(&generations, || 11), Standing::Gone);
    }
}
