//! What was seen of the list, to find out what changed.
//!
//! A look reads what was updated since the newest update seen, and a little before: an update shows
//! up when its transaction ends, and that may be later than the moment it carries. Rows that look
//! as they did before are not told again. A look through the whole list tells, beside that, what is
//! no longer there.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::model::{Slug, Timestamp};
use crate::origins::Cursor;

/// What is kept of the rows of a list.
#[derive(Debug)]
pub(super) struct Rows<T> {
    /// By the prompt's name.
    pub(super) by_name: BTreeMap<Slug, T>,
    /// Whether there are no more than these.
    pub(super) is_whole: bool,
}

/// When each prompt was updated.
pub(super) type Updates = Rows<Timestamp>;

/// What was seen of the list before.
#[derive(Debug)]
pub(super) struct Picture {
    /// When each prompt was updated; `None` before the whole list was read.
    seen: Option<BTreeMap<Slug, Timestamp>>,
    full_list_every: NonZeroU32,
    /// How many looks there are before the next through the whole list.
    before_full_list: u32,
}

impl Picture {
    /// Nothing was seen yet.
    pub(super) fn new(full_list_every: NonZeroU32) -> Self {
        Self { seen: None, full_list_every, before_full_list: 0 }
    }

    /// Takes in the whole list, and says where the changes are now.
    pub(super) fn begin(&mut self, rows: Updates) -> Cursor {
        let newest = newest(&rows, Cursor(0));
        self.replace(rows);
        newest
    }

    /// From which cursor on the next look is to read; `None` for one through the whole list.
    pub(super) fn look(&mut self, cursor: Cursor) -> Option<Cursor> {
        self.seen.as_ref()?;
        self.before_full_list = self.before_full_list.checked_sub(1)?;
        Some(cursor)
    }

    /// Compares what a look found with what was seen before. Returns the names of prompts that
    /// changed, and where to go on from.
    pub(super) fn compare(
        &mut self,
        rows: Updates,
        since: Option<Cursor>,
        cursor: Cursor,
    ) -> (Vec<Slug>, Cursor) {
        let newest = newest(&rows, cursor);
        // With nothing to compare with, what the cursor tells is all there is.
        let is_new = |name: &Slug, updated_at: Timestamp| match &self.seen {
            Some(seen) => seen.get(name) != Some(&updated_at),
            None => updated_at > from(cursor),
        };
        let changed = rows.by_name.iter().filter(|(name, at)| is_new(name, **at));
        let mut names: Vec<_> = changed.map(|(name, _)| name.clone()).collect();

        match since {
            Some(_) => self.add(rows),
            None => {
                if rows.is_whole {
                    let seen = self.seen.iter().flat_map(BTreeMap::keys);
                    names.extend(seen.filter(|name| !rows.by_name.contains_key(*name)).cloned());
                }
                self.replace(rows);
            }
        }
        (names, newest)
    }

    fn replace(&mut self, rows: Updates) {
        self.seen = Some(rows.by_name);
        self.before_full_list = self.full_list_every.get() - 1;
    }

    fn add(&mut self, rows: Updates) {
        if let Some(seen) = &mut self.seen {
            seen.extend(rows.by_name);
            if seen.len() > MAX_SEEN {
                self.seen = None;
            }
        }
    }
}

/// The moment of the newest update, but none before `cursor`.
fn newest(rows: &Updates, cursor: Cursor) -> Cursor {
    let updates = rows.by_name.values().map(|at| Cursor(at.as_millis()));
    updates.max().map_or(cursor, |newest| newest.max(cursor))
}

/// From when on a look reads: shortly before the cursor.
pub(super) fn from(cursor: Cursor) -> Timestamp {
    Timestamp::from_millis(cursor.0.saturating_sub(OVERLAP_MILLIS))
}

/// Longer than a transaction takes.
const OVERLAP_MILLIS: i64 = 5_000;

/// As many as a look through the whole list sees at most. Beyond it, everything is forgotten and
/// seen anew.
const MAX_SEEN: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_772_366_400_000;

    fn names(told: (Vec<Slug>, Cursor)) -> Vec<String> {
        told.0.iter().map(ToString::to_string).collect()
    }

    /// Rows that were updated so many milliseconds after `NOW`.
    fn rows(updates: &[(&str, i64)]) -> Updates {
        let row = |(name, at): &(&str, i64)| {
            (Slug::foreign(name).unwrap(), Timestamp::from_millis(NOW + at))
        };
        let by_name = updates.iter().map(row);
        Rows { by_name: by_name.collect(), is_whole: true }
    }

    fn picture(updates: &[(&str, i64)]) -> (Picture, Cursor) {
        let mut picture = Picture::new(NonZeroU32::MIN.saturating_add(1));
        let cursor = picture.begin(rows(updates));
        (picture, cursor)
    }

    #[test]
    fn the_cursor_is_the_newest_update_seen() {
        let (mut picture, cursor) = picture(&[("a", 7), ("b", 3)]);

        assert_eq!(cursor, Cursor(NOW + 7));
        assert_eq!(picture.compare(rows(&[("a", 9)]), Some(cursor), cursor).1, Cursor(NOW + 9));
        assert_eq!(picture.compare(rows(&[("a", 1)]), Some(cursor), cursor).1, cursor);
    }

    #[test]
    fn a_row_is_told_once_for_each_update() {
        let (mut picture, cursor) = picture(&[("a", 0), ("b", 0)]);
        let mut look = |updates| names(picture.compare(rows(updates), Some(cursor), cursor));

        assert_eq!(look(&[("a", 0), ("b", 0)]), [""; 0]);
        assert_eq!(look(&[("a", 0), ("b", 1)]), ["b"]);
        assert_eq!(look(&[("a", 0), ("b", 1)]), [""; 0]);
    }

    /// Its transaction took longer than that of what was seen before.
    #[test]
    fn an_update_from_before_the_cursor_is_told_when_it_shows_up() {
        let (mut picture, cursor) = picture(&[("a", 100)]);

        let told = picture.compare(rows(&[("a", 100), ("b", 50)]), Some(cursor), cursor);

        assert_eq!(told.1, Cursor(NOW + 100));
        assert_eq!(names(told), ["b"]);
    }

    #[test]
    fn only_a_look_through_the_whole_list_tells_what_is_gone() {
        let (mut picture, cursor) = picture(&[("a", 0), ("b", 0)]);

        let since = picture.look(cursor);
        assert_eq!(since, Some(cursor));
        assert_eq!(names(picture.compare(rows(&[("a", 0)]), since, cursor)), [""; 0]);

        let since = picture.look(cursor);
        assert_eq!(since, None);
        assert_eq!(names(picture.compare(rows(&[("a", 0)]), since, cursor)), ["b"]);
        assert_eq!(picture.look(cursor), Some(cursor));
    }

    #[test]
    fn what_a_list_was_cut_off_before_is_not_gone() {
        let (mut picture, cursor) = picture(&[("a", 0), ("b", 0)]);
        let cut = Rows { is_whole: false, ..rows(&[("a", 0)]) };

        assert_eq!(names(picture.compare(cut, None, cursor)), [""; 0]);
    }

    #[test]
    fn a_cursor_from_before_anything_was_seen_is_caught_up_with() {
        let mut picture = Picture::new(NonZeroU32::MIN);
        let cursor = Cursor(NOW);

        assert_eq!(picture.look(cursor), None);
        let whole = rows(&[("late", -4_999), ("new", 1), ("old", -5_000)]);
        assert_eq!(names(picture.compare(whole, None, cursor)), ["late", "new"]);
    }

    #[test]
    fn no_more_is_remembered_than_a_whole_list_has() {
        let (mut picture, cursor) = picture(&[]);
        let names: Vec<_> = (0..=MAX_SEEN).map(|number| number.to_string()).collect();
        let updates: Vec<_> = names.iter().map(|name| (name.as_str(), 0)).collect();

        picture.compare(rows(&updates), Some(cursor), cursor);

        assert_eq!(picture.look(cursor), None, "the next look is through the whole list");
    }
}
