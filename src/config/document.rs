//! The configuration file, parsed: its values by key path, each with its line.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::config::names::{Names, is_bare, quoted};
use crate::config::problem::{Place, Problem};

/// A configuration file as it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, as problems should print it.
    pub name: PathBuf,
    /// Its content.
    pub text: String,
}

/// A file's values, borrowed from its text.
#[derive(Debug)]
pub(crate) struct Document<'f> {
    file: &'f File,
    root: DeTable<'f>,
}

impl<'f> Document<'f> {
    /// Parses a file.
    ///
    /// # Errors
    ///
    /// Every line that is not TOML, as far as the parser finds back into the text. Nothing else
    /// is said of such a file: a broken table header would make each key below it look misplaced.
    pub(crate) fn parse(file: &'f File) -> Result<Self, Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(&file.text);
        let document = Self { file, root: root.into_inner() };
        if errors.is_empty() {
            return Ok(document);
        }

        let problem = |error: &toml::de::Error| {
            let place = document.spot(error.span().map_or(0, |span| span.start));
            Problem::syntax(place, error.message())
        };
        let mut problems: Vec<_> = errors.iter().map(problem).collect();
        problems.sort_by_key(|problem| line(&problem.place));
        // What follows a line's first error is mostly the parser finding its feet.
        problems.dedup_by(|next, kept| line(&next.place) == line(&kept.place));
        Err(problems)
    }

    /// The value at a key path, if the file has one.
    pub(crate) fn value(&self, path: &str) -> Option<Written<'_>> {
        let mut level = below_table(&self.root, "");
        loop {
            let is_on_the_way = |below: &Below<'_, '_>| {
                path.strip_prefix(&*below.path).is_some_and(|rest| rest.starts_with(['.', '[']))
            };
            if let Some(found) = level.iter().find(|below| below.path == path) {
                return Some(self.written(found));
            }
            level = level.iter().find(|below| is_on_the_way(below))?.below();
        }
    }

    /// What stands in a table or an array of tables, each with its name and its path.
    pub(crate) fn below(&self, path: &str) -> Vec<(String, String)> {
        let value = self.value(path).map(|written| written.value);
        let below = value.map_or_else(Vec::new, |value| below(value, path));
        below.into_iter().map(|below| (below.name, below.path)).collect()
    }

    /// A problem for everything in the file that no key reads.
    pub(crate) fn strangers(&self, names: &Names<'_>) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.strangers_in(below_table(&self.root, ""), names, &mut problems);
        problems
    }

    /// Only known tables are entered: an unknown one is a single problem, whatever it holds.
    fn strangers_in(
        &self,
        level: Vec<Below<'_, 'f>>,
        names: &Names<'_>,
        problems: &mut Vec<Problem>,
    ) {
        for stranger in level.into_iter().filter(|below| !names.is_key(&below.path)) {
            let written = self.written(&stranger);
            let below = stranger.below();
            let path = stranger.path;
            let is_array_of_known = || below.iter().any(|entry| names.is_table(&entry.path));
            let problem = match written.value.is_table() {
                true if names.is_table(&path) => {
                    self.strangers_in(below, names, problems);
                    continue;
                }
                true => {
                    let remedy = names.instead_of_table(&path);
                    Problem::unknown(written.place, path, remedy)
                }
                false if is_array_of_known() => {
                    self.strangers_in(below, names, problems);
                    continue;
                }
                false if names.is_table(&path) => {
                    let expected = format!("a table: [{path}] and its keys below");
                    Problem::value(written.place, &path, written.text, &expected)
                }
                false => {
                    let remedy = names.instead_of_key(&path);
                    Problem::unknown(written.place, path, remedy)
                }
            };
            problems.push(problem);
        }
    }

    fn written<'d>(&'d self, at: &Below<'d, '_>) -> Written<'d> {
        // A table's own text would be its header, or all its keys.
        let source = || self.file.text.get(at.value.span()).unwrap_or_default();
        let value = at.value.get_ref();
        let text = if value.is_table() { "a table" } else { source() };
        Written { place: self.line(at.span.clone()), text, value }
    }

    fn line(&self, span: Range<usize>) -> Place {
        let (line, _) = self.position(span.start);
        Place::Line { name: self.name(), line }
    }

    fn spot(&self, offset: usize) -> Place {
        let (line, column) = self.position(offset);
        Place::Spot { name: self.name(), line, column }
    }

    fn name(&self) -> String {
        self.file.name.display().to_string()
    }

    /// Line and column of a byte, both counted from one.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.file.text.get(..offset).unwrap_or(&self.file.text);
        let last_line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, last_line.chars().count() + 1)
    }
}

/// A value of the file.
#[derive(Debug)]
pub(crate) struct Written<'d> {
    /// The line of its key.
    pub(crate) place: Place,
    /// As it stands in the file, quotes included.
    pub(crate) text: &'d str,
    /// As TOML understands it.
    pub(crate) value: &'d DeValue<'d>,
}

/// Something in a table, or an entry of an array of tables.
struct Below<'d, 'f> {
    /// Empty for an entry.
    name: String,
    path: String,
    /// Of its name; an entry has none, and begins where its table does.
    span: Range<usize>,
    value: &'d Spanned<DeValue<'f>>,
}

impl<'d, 'f> Below<'d, 'f> {
    fn below(&self) -> Vec<Self> {
        below(self.value.get_ref(), &self.path)
    }
}

fn below<'d, 'f>(value: &'d DeValue<'f>, path: &str) -> Vec<Below<'d, 'f>> {
    match (value.as_table(), value.as_array()) {
        (Some(table), _) => below_table(table, &format!("{path}.")),
        (None, Some(array)) => entries(array, path),
        (None, None) => Vec::new(),
    }
}

fn below_table<'d, 'f>(table: &'d DeTable<'f>, above: &str) -> Vec<Below<'d, 'f>> {
    let below = table.iter().map(|(key, value)| Below {
        name: key.get_ref().to_string(),
        path: format!("{above}{}", quoted(key.get_ref())),
        span: key.span(),
        value,
    });
    below.collect()
}

/// The tables of an array: by the name that an entry has and none before it, else by number.
fn entries<'d, 'f>(array: &'d DeArray<'f>, path: &str) -> Vec<Below<'d, 'f>> {
    let mut seen = HashSet::new();
    let tables = array.iter().enumerate().filter(|(_, entry)| entry.get_ref().is_table());
    let below = tables.map(|(at, value)| {
        let table = value.get_ref().as_table();
        let name = table.and_then(|table| table.get("name")?.get_ref().as_str());
        let path = match name.filter(|name| is_bare(name) && seen.insert(*name)) {
            Some(name) => format!("{path}.{name}"),
            None => format!("{path}[{at}]"),
        };
        Below { name: String::new(), path, span: value.span(), value }
    });
    below.collect()
}

fn line(place: &Place) -> Option<usize> {
    match place {
        Place::Line { line, .. } | Place::Spot { line, .. } => Some(*line),
        Place::File { .. } | Place::Variable { .. } | Place::Flag { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        File { name: "config.toml".into(), text: text.to_owned() }
    }

    fn strangers(text: &str) -> Vec<String> {
        let file = file(text);
        let names = Names(vec!["demo", "cache.answers", "cache.templates"]);
        let problems = Document::parse(&file).unwrap().strangers(&names);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_value_is_found_by_its_path_in_any_spelling_of_tables() {
        for text in [
            "[cache]\nanswers = 1",
            "\ncache.answers = 1",
            "\ncache = { answers = 1 }",
            "\r\n\"cache\".'answers' = 1",
        ] {
            let file = file(text);
            let document = Document::parse(&file).unwrap();

            let written = document.value("cache.answers").expect(text);

            assert_eq!(written.place.to_string(), "config.toml:2", "{text}");
            assert_eq!(written.text, "1", "{text}");
            assert!(document.value("cache.templates").is_none());
            assert!(document.value("demo").is_none());
        }
    }

    #[test]
    fn an_entry_of_an_array_goes_by_its_name_and_else_by_its_number() {
        let file = file(
            "[[a]]\nname = \"x\"\n[a.\"b c\".d]\ne = 1\n\
             [[a]]\nname = \"x\"\n[[a]]\nname = \"y.z\"\n",
        );
        let document = Document::parse(&file).unwrap();

        let entries: Vec<_> = document.below("a").into_iter().map(|(_, path)| path).collect();

        assert_eq!(entries, ["a.x", "a[1]", "a[2]"]);
        let place = |path: &str| document.value(path).unwrap().place.to_string();
        assert_eq!(place("a[1]"), "config.toml:5");
        assert_eq!(place("a[2].name"), "config.toml:8");
        assert_eq!(place("a.x.\"b c\".d.e"), "config.toml:4");
        assert!(document.value("a.x.b c.d.e").is_none());
    }

    #[test]
    fn every_stranger_is_named_with_its_line() {
        assert_eq!(
            strangers(
                "demon = true\n[cache]\nanswr = 1\ntemplates = 1\n\"a.b\" = 1\n[cahe]\nx = 1\n"
            ),
            [
                "config.toml:5  cache.\"a.b\" is unknown   expected one of answers, templates",
                "config.toml:3  cache.answr is unknown   did you mean cache.answers?",
                "config.toml:6  cahe is unknown   did you mean [cache]?",
                "config.toml:1  demon is unknown   did you mean demo?",
            ]
        );
    }

    #[test]
    fn a_table_given_as_a_value_is_told_to_be_a_table() {
        assert_eq!(
            strangers("cache = 5"),
            ["config.toml:1  cache = 5   expected a table: [cache] and its keys below"]
        );
        assert_eq!(strangers("[[cache]]\nanswers = 1").len(), 1);
    }

    #[test]
    fn broken_lines_are_named_with_line_and_column() {
        let file = file("demo = true\n\nx = 'a\ny = 1 z = 2 w = 3\n[cache\n");

        let problems = Document::parse(&file).unwrap_err();

        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "config.toml:3:7  invalid literal string   expected `'`",
                "config.toml:4:9  unexpected key or value   expected newline, `#`",
                "config.toml:5:7  unclosed table   expected `]`",
            ]
        );
    }

    #[test]
    fn a_key_given_twice_is_named_where_it_is_given_again() {
        let file = file("demo = true\ndemo = false");

        let problems = Document::parse(&file).unwrap_err();

        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, ["config.toml:2:1  duplicate key   expected each key and table once"]);
    }
}
