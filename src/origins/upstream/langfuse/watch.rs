//! What was seen of the list, to find out what changed.
//!
//! A look reads what was updated since the newest update seen, and a little before: an update shows
//! up when its transaction ends, and that may be later than the moment it carries. Rows that look
//! as they did before are not told again. A look through the whole list tells, beside that, what is
//! no longer there.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use crate::model::Timestamp;
use crate::origins::Cursor;
use crate::origins::upstream::langfuse::shapes::Row;

/// Rows of the list.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// By the prompt's name.
    pub(super) by_name: BTreeMap<String, Row>,
    /// Whether there are no more than these.
    pub(super) is_whole: bool,
}

/// What was seen of the list before.
#[derive(Debug)]
pub(super) struct Picture {
    /// When each prompt was updated, by name; `None` before the whole list was read.
    seen: Option<BTreeMap<String, Timestamp>>,
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
    pub(super) fn begin(&mut self, rows: Rows) -> Cursor {
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
        rows: Rows,
        since: Option<Cursor>,
        cursor: Cursor,
    ) -> (Vec<String>, Cursor) {
        let newest = newest(&rows, cursor);
        // With nothing to compare with, what the cursor tells is all there is.
        let is_new = |name: &str, row: &Row| match &self.seen {
            Some(seen) => seen.get(name) != Some(&row.updated_at),
            None => row.updated_at > from(cursor),
        };
        let changed = rows.by_name.iter().filter(|(name, row)| is_new(name, row));
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

    fn replace(&mut self, rows: Rows) {
        self.seen = Some(updates(rows).collect());
        self.before_full_list = self.full_list_every.get() - 1;
    }

    fn add(&mut self, rows: Rows) {
        if let Some(seen) = &mut self.seen {
            seen.extend(updates(rows));
            if seen.len() > MAX_SEEN {
                self.seen = None;
            }
        }
    }
}

fn updates(rows: Rows) -> impl Iterator<Item = (String, Timestamp)> {
    rows.by_name.into_iter().map(|(name, row)| (name, row.updated_at))
}

/// The moment of the newest update, but none before `cursor`.
fn newest(rows: &Rows, cursor: Cursor) -> Cursor {
    let updates = rows.by_name.values().map(|row| Cursor(row.updated_at.as_millis()));
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

    /// Rows that were updated so many milliseconds after `NOW`.
    fn rows(updates: &[(&str, i64)]) -> Rows {
        let row = |at| Row { updated_at: Timestamp::from_millis(NOW + at), ..Row::default() };
        let by_name = updates.iter().map(|(name, at)| ((*name).to_owned(), row(*at)));
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
        let mut look = |updates| picture.compare(rows(updates), Some(cursor), cursor).0;

        assert_eq!(look(&[("a", 0), ("b", 0)]), [""; 0]);
        assert_eq!(look(&[("a", 0), ("b", 1)]), ["b"]);
        assert_eq!(look(&[("a", 0), ("b", 1)]), [""; 0]);
    }

    /// Its transaction took longer than that of what was seen before.
    #[test]
    fn an_update_from_before_the_cursor_is_told_when_it_shows_up() {
        let (mut picture, cursor) = picture(&[("a", 100)]);

        let (names, cursor) = picture.compare(rows(&[("a", 100), ("b", 50)]), Some(cursor), cursor);

        assert_eq!((names, cursor), (vec!["b".to_owned()], Cursor(NOW + 100)));
    }

    #[test]
    fn only_a_look_through_the_whole_list_tells_what_is_gone() {
        let (mut picture, cursor) = picture(&[("a", 0), ("b", 0)]);

        let since = picture.look(cursor);
        assert_eq!(since, Some(cursor));
        assert_eq!(picture.compare(rows(&[("a", 0)]), since, cursor).0, [""; 0]);

        let since = picture.look(cursor);
        assert_eq!(since, None);
        assert_eq!(picture.compare(rows(&[("a", 0)]), since, cursor).0, ["b"]);
        assert_eq!(picture.look(cursor), Some(cursor));
    }

    #[test]
    fn what_a_list_was_cut_off_before_is_not_gone() {
        let (mut picture, cursor) = picture(&[("a", 0), ("b", 0)]);
        let cut = Rows { is_whole: false, ..rows(&[("a", 0)]) };

        assert_eq!(picture.compare(cut, None, cursor).0, [""; 0]);
    }

    #[test]
    fn a_cursor_from_before_anything_was_seen_is_caught_up_with() {
        let mut picture = Picture::new(NonZeroU32::MIN);
        let cursor = Cursor(NOW);

        assert_eq!(picture.look(cursor), None);
        let whole = rows(&[("late", -4_999), ("new", 1), ("old", -5_000)]);
        assert_eq!(picture.compare(whole, None, cursor).0, ["late", "new"]);
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
