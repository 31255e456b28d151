//! The names a value can be set under: key paths, environment variables, and the nearest to a typo.

use std::collections::HashSet;

/// What every environment variable of ours begins with.
///
/// Two underscores, because orchestrators put `PROMPT_EDGE_PORT` and the like into the
/// environment of anything near a service called `prompt-edge`.
pub(crate) const PREFIX: &str = "PROMPT_EDGE__";

/// The environment variable that sets a key: `cache.answers` is `PROMPT_EDGE__CACHE__ANSWERS`.
pub fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.to_uppercase().replace('.', "__"))
}

/// The path a variable would set if there were such a key.
pub(crate) fn path(variable: &str) -> String {
    variable.strip_prefix(PREFIX).unwrap_or(variable).to_lowercase().replace("__", ".")
}

/// A key as a path shows it: in quotes if it would not read back without.
pub(crate) fn quoted(key: &str) -> String {
    if is_bare(key) { key.to_owned() } else { format!("{key:?}") }
}

/// Whether a key stands in a path as it is.
pub(crate) fn is_bare(key: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    !key.is_empty() && key.bytes().all(is_allowed)
}

/// Whether a key can be set in the file only: which entry of an array a variable would be about is
/// said by nothing but the array.
pub(crate) fn is_of_the_file(path: &str) -> bool {
    array_of(path).is_some()
}

/// The array of tables that a path is in.
fn array_of(path: &str) -> Option<&'static str> {
    let is_in = |array: &&str| {
        let rest = path.strip_prefix(*array);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    ["listeners", "origins"].into_iter().find(is_in)
}

/// The keys that exist.
#[derive(Debug)]
pub(crate) struct Names<'k>(pub(crate) Vec<&'k str>);

impl<'k> Names<'k> {
    /// Whether a value can be set there.
    pub(crate) fn is_key(&self, path: &str) -> bool {
        self.0.contains(&path)
    }

    /// Whether keys stand below it.
    pub(crate) fn is_table(&self, path: &str) -> bool {
        self.tables().any(|table| table == path)
    }

    /// What to write instead of an unknown key.
    pub(crate) fn instead_of_key(&self, path: &str) -> String {
        match nearest(path, self.0.iter().copied()) {
            Some(key) => format!("did you mean {key}?"),
            None => self.children_beside(path),
        }
    }

    /// What to write instead of an unknown table.
    pub(crate) fn instead_of_table(&self, path: &str) -> String {
        match nearest(path, self.tables()) {
            Some(table) => format!("did you mean [{table}]?"),
            None => self.children_beside(path),
        }
    }

    /// What to write instead of an unknown environment variable.
    pub(crate) fn instead_of_variable(&self, name: &str) -> String {
        let path = path(name);
        if let Some(array) = array_of(&path) {
            return format!("expected in the configuration file: [[{array}]] and its keys below");
        }
        let keys = self.0.iter().copied().filter(|key| !is_of_the_file(key));
        match nearest(&path, keys) {
            Some(key) => format!("did you mean {}?", variable(key)),
            None => format!("expected a key of config.toml, such as {}", variable("server.listen")),
        }
    }

    fn tables(&self) -> impl Iterator<Item = &'k str> {
        let ends = |key: &'k str| key.match_indices(['.', '[']).map(move |(at, _)| (key, at));
        self.0.iter().flat_map(move |key| ends(key)).filter_map(|(key, at)| key.get(..at))
    }

    /// The names that would be right where an unknown one stands.
    fn children_beside(&self, path: &str) -> String {
        let below =
            |table: &str| path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
        let mut names: Vec<_> = match self.tables().filter(|table| below(table)).max() {
            Some(table) => {
                let below = self.0.iter().filter_map(|key| {
                    key.strip_prefix(table)?.strip_prefix('.')?.split('.').next()
                });
                below.collect()
            }
            None => self.0.iter().filter_map(|key| key.split('.').next()).collect(),
        };
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(*name));
        format!("expected one of {}", names.join(", "))
    }
}

/// The candidate that `name` was probably meant to be.
///
/// A name in the wrong table counts as one slip, so `answers` finds `cache.answers`. A slip per
/// four letters is let pass; beyond that a suggestion would be a guess, and a list is better.
fn nearest<'k>(name: &str, candidates: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let (table, last) = split(name);
    let slips = |candidate: &str| {
        let (its_table, its_last) = split(candidate);
        distance(last, its_last) + distance(table, its_table).min(1)
    };
    let bearable = 1 + last.len() / 4;
    let best = candidates.map(|candidate| (slips(candidate), candidate)).min();
    best.filter(|(slips, _)| *slips <= bearable).map(|(_, candidate)| candidate)
}

/// The table and the last part of a path; the table is empty at the top.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

/// How many letters must be added, dropped or changed to turn one name into the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (done, letter) in from.chars().enumerate() {
        let mut diagonal = done;
        let mut left = done + 1;
        let mut next = vec![left];
        for (wanted, above) in to.chars().zip(row.iter().skip(1)) {
            let changed = diagonal + usize::from(letter != wanted);
            left = changed.min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names<'static> {
        Names(vec!["demo", "server.listen", "cache.answers", "cache.absent_for"])
    }

    #[test]
    fn a_key_and_its_variable_name_each_other() {
        assert_eq!(variable("cache.absent_for"), "PROMPT_EDGE__CACHE__ABSENT_FOR");
        assert_eq!(path("PROMPT_EDGE__CACHE__ABSENT_FOR"), "cache.absent_for");
        assert_eq!(path(&variable("demo")), "demo");
    }

    #[test]
    fn a_slip_is_told_from_another_word() {
        assert_eq!(names().instead_of_key("cache.answr"), "did you mean cache.answers?");
        assert_eq!(names().instead_of_key("answers"), "did you mean cache.answers?");
        assert_eq!(names().instead_of_key("cahce.answers"), "did you mean cache.answers?");
        assert_eq!(names().instead_of_key("cache.ttl"), "expected one of answers, absent_for");
        assert_eq!(names().instead_of_key("plugins"), "expected one of demo, server, cache");
    }

    #[test]
    fn tables_and_variables_are_suggested_in_their_own_form() {
        assert_eq!(names().instead_of_table("cahe"), "did you mean [cache]?");
        assert_eq!(
            names().instead_of_variable("PROMPT_EDGE__CACHE__ANSWER"),
            "did you mean PROMPT_EDGE__CACHE__ANSWERS?"
        );
    }

    #[test]
    fn distance_counts_single_letter_changes() {
        for (from, to, letters) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("é", "e", 1)]
        {
            assert_eq!(distance(from, to), letters, "{from} to {to}");
        }
    }
}
