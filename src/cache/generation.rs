//! What has changed, as marks that only ever advance.
//!
//! What is kept is stamped with the marks of what it depends on *before* the origin is read, and is
//! out of date once one of them has moved. So a change costs one addition however many entries it
//! concerns, a hit two relaxed loads, and a fetch that began before a change cannot outlive it,
//! whenever it is stored. Whoever shares a fetch shares its stamp, so that nobody who comes after a
//! change is given what was fetched before it.
//!
//! The marks are a table of fixed size, indexed by a seeded hash. Two things that fall on one mark
//! cost each other a fetch now and then; they can never keep each other alive.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

use crate::model::{KeyDigest, ProjectId, PromptName};
use crate::origins::Change;

/// Something that can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark<'a> {
    /// Any project or environment: for what is read before its project is known.
    AnySettings,
    /// A key: made, revoked, given another expiry.
    Key(&'a KeyDigest),
    /// The list of a project's prompts.
    Listing(ProjectId),
    /// One prompt, by one of its names.
    Prompt(ProjectId, &'a PromptName),
    /// A project and its environments: plan, name, default variables.
    Settings(ProjectId),
}

/// The state of two marks at one moment. What depends on one thing only names it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp([(u32, u64); 2]);

impl Stamp {
    /// A stamp of marks by their places in the table.
    pub(crate) const fn of(marks: [(u32, u64); 2]) -> Self {
        Self(marks)
    }

    /// Each mark's place in the table, and its state.
    pub fn marks(self) -> [(u32, u64); 2] {
        self.0
    }
}

/// The table of marks.
#[derive(Debug)]
pub struct Generations {
    table: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for Generations {
    fn default() -> Self {
        Self {
            table: (0..MARKS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::default(),
        }
    }
}

impl Generations {
    /// Takes the stamp for something that depends on these. To be taken *before* reading it.
    pub fn stamp(&self, marks: [Mark<'_>; 2]) -> Stamp {
        Stamp(marks.map(|mark| {
            let index = self.index_of(&mark);
            (index, self.read(index, Ordering::Acquire))
        }))
    }

    /// Whether nothing that the stamp names has changed since.
    pub fn hold(&self, stamp: &Stamp) -> bool {
        stamp.0.iter().all(|(index, then)| self.read(*index, Ordering::Relaxed) == *then)
    }

    /// Marks what an origin reported. To be called after the change can be read there.
    pub fn apply(&self, change: &Change) {
        match change {
            // A name is only known with its origin: `delivery` finds whose it is.
            Change::Named(_) => {}
            Change::Everything => self.advance_all(),
            Change::Key(digest) => self.advance(&Mark::Key(digest)),
            Change::Project(project) => {
                self.advance(&Mark::Settings(*project));
                self.advance(&Mark::AnySettings);
            }
            Change::Prompt { project, id, slug } => {
                self.advance(&Mark::Prompt(*project, &PromptName::Id(*id)));
                self.advance(&Mark::Prompt(*project, &PromptName::Slug(slug.clone())));
                self.advance(&Mark::Listing(*project));
            }
        }
    }

    /// Says that one thing changed.
    pub(crate) fn advance(&self, mark: &Mark<'_>) {
        if let Some(counter) = self.table.get(self.index_of(mark) as usize) {
            counter.fetch_add(1, Ordering::Release);
        }
    }

    /// The same; returns the mark's place in the table and its state from before.
    pub(crate) fn advance_from(&self, mark: &Mark<'_>) -> (u32, u64) {
        let place = self.index_of(mark);
        let counter = self.table.get(place as usize);
        (place, counter.map_or(0, |counter| counter.fetch_add(1, Ordering::AcqRel)))
    }

    /// Says that what is there of one thing must not even rescue.
    pub(crate) fn advance_hard(&self, mark: &Mark<'_>) {
        if let Some(counter) = self.table.get(self.index_of(mark) as usize) {
            counter.fetch_add(HARD, Ordering::Release);
        }
    }

    /// Says that what bears this stamp changed, by whatever name it was asked for.
    pub(crate) fn outdate(&self, stamp: &Stamp) {
        let [(place, _), _] = stamp.0;
        if let Some(counter) = self.table.get(place as usize) {
            counter.fetch_add(1, Ordering::Release);
        }
    }

    /// The present state of the mark at a place of the table.
    pub(crate) fn state(&self, place: u32) -> u64 {
        self.read(place, Ordering::Relaxed)
    }

    /// The part of a mark's state that only hard purges move.
    pub(crate) const fn hard(state: u64) -> u64 {
        state / HARD
    }

    /// Says that anything may have changed.
    fn advance_all(&self) {
        for counter in &self.table {
            counter.fetch_add(1, Ordering::Release);
        }
    }

    fn read(&self, index: u32, order: Ordering) -> u64 {
        self.table.get(index as usize).map_or(0, |counter| counter.load(order))
    }

    fn index_of(&self, mark: &Mark<'_>) -> u32 {
        // The remainder is below `MARKS`.
        (self.hasher.hash_one(mark) % u64::from(MARKS)) as u32
    }
}

/// Above the changes, each counter counts hard purges. Four thousand million changes of one thing
/// would pass for one of them, and cost a fetch.
const HARD: u64 = 1 << 32;

/// 32 KiB of counters. With a thousand prompts in use, a publish costs one other prompt in four a
/// fetch that was not needed.
const MARKS: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_holds_until_one_of_its_marks_moves() {
        let generations = Generations::default();
        let name: PromptName = "greeting".parse().unwrap();
        let marks = [Mark::Prompt(ProjectId(1), &name), Mark::Settings(ProjectId(1))];

        for moved in marks {
            let stamp = generations.stamp(marks);
            assert!(generations.hold(&stamp));

            generations.advance(&moved);

            assert!(!generations.hold(&stamp), "{moved:?} moved");
        }
        let stamp = generations.stamp(marks);
        generations.advance_all();
        assert!(!generations.hold(&stamp));
    }

    #[test]
    fn what_is_outdated_by_its_stamp_holds_no_longer() {
        let generations = Generations::default();
        let name: PromptName = "greeting".parse().unwrap();
        let stamp =
            generations.stamp([Mark::Prompt(ProjectId(1), &name), Mark::Settings(ProjectId(1))]);

        generations.outdate(&stamp);

        assert!(!generations.hold(&stamp));
    }

    #[test]
    fn a_prompt_of_another_project_or_name_does_not_move_the_mark() {
        let generations = Generations::default();
        let (one, two) = ("one".parse().unwrap(), "two".parse().unwrap());
        let mark = Mark::Prompt(ProjectId(1), &one);
        let stamp = generations.stamp([mark; 2]);

        for other in [Mark::Prompt(ProjectId(2), &one), Mark::Prompt(ProjectId(1), &two)] {
            // The hash is seeded anew in each run: two of 4,096 may fall on one mark.
            if generations.index_of(&other) != generations.index_of(&mark) {
                generations.advance(&other);
            }
        }

        assert!(generations.hold(&stamp));
    }
}
