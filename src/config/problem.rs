//! What is wrong with the configuration: where, what was found, what would be right.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;

/// One mistake, as the operator reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// The key it is about, such as `cache.answers`; empty if it is about the file as a whole.
    pub path: String,
    /// What stands there.
    pub found: Found,
    /// What would be right, as printed: `expected …` or `did you mean …?`.
    pub remedy: String,
}

impl Problem {
    /// A configuration file that cannot be read.
    pub fn unreadable(file: &Path, error: &io::Error) -> Self {
        Self {
            place: Place::File { name: file.display().to_string() },
            path: String::new(),
            found: Found::Broken(format!("cannot be read: {error}")),
            remedy: "expected a readable file of UTF-8 text".to_owned(),
        }
    }

    /// A value that its key does not take. `found` may be anything; see [`shown`].
    pub(crate) fn value(place: Place, path: &str, found: &str, expected: &str) -> Self {
        Self {
            place,
            path: path.to_owned(),
            found: Found::Value(shown(found)),
            remedy: format!("expected {expected}"),
        }
    }

    /// A name that is no key. Its value stays unsaid: nobody knows what was put there.
    pub(crate) fn unknown(place: Place, path: String, remedy: String) -> Self {
        Self { place, path, found: Found::Unknown, remedy }
    }

    /// A key that would be of no use where it stands. Its value stays unsaid.
    pub(crate) fn misplaced(place: Place, path: &str, expected: &str) -> Self {
        Self {
            place,
            path: path.to_owned(),
            found: Found::Misplaced,
            remedy: format!("expected {expected}"),
        }
    }

    /// A key that has to be there and is not. `place` is its table's.
    pub(crate) fn missing(place: Place, path: &str, expected: &str) -> Self {
        Self {
            place,
            path: path.to_owned(),
            found: Found::Missing,
            remedy: format!("expected {expected}"),
        }
    }

    /// Text that is no TOML. `message` is the parser's, its expectation after a comma.
    pub(crate) fn syntax(place: Place, message: &str) -> Self {
        let (found, expected) = match message.split_once(", expected ") {
            Some(halves) => halves,
            None if message == "duplicate key" => (message, "each key and table once"),
            None => (message, "valid TOML"),
        };
        Self {
            place,
            path: String::new(),
            found: Found::Broken(found.to_owned()),
            remedy: format!("expected {expected}"),
        }
    }

    fn subject(&self) -> String {
        match &self.found {
            Found::Broken(message) => message.clone(),
            Found::Misplaced => format!("{} is out of place", self.path),
            Found::Missing => format!("{} is missing", self.path),
            Found::Unknown => format!("{} is unknown", self.path),
            Found::Value(value) => format!("{} = {value}", self.path),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}   {}", self.place, self.subject(), self.remedy)
    }
}

/// Where a problem stands. Places sort as they are read: down the file, then the other sources.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    File {
        /// As it was named to us.
        name: String,
    },
    /// A line of the file.
    Line {
        /// As it was named to us.
        name: String,
        /// Counted from one.
        line: usize,
    },
    /// A character of the file: as near as a syntax error can be pinned.
    Spot {
        /// As it was named to us.
        name: String,
        /// Counted from one.
        line: usize,
        /// Characters, counted from one.
        column: usize,
    },
    /// An environment variable.
    Variable {
        /// Its whole name.
        name: String,
    },
    /// A flag on the command line.
    Flag {
        /// With its dashes.
        name: &'static str,
    },
}

impl Place {
    fn file(&self) -> Option<&str> {
        match self {
            Self::File { name } | Self::Line { name, .. } | Self::Spot { name, .. } => Some(name),
            Self::Variable { .. } | Self::Flag { .. } => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name } | Self::Variable { name } => f.write_str(name),
            Self::Line { name, line } => write!(f, "{name}:{line}"),
            Self::Spot { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Flag { name } => f.write_str(name),
        }
    }
}

/// What stands where a problem is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// Something that cannot be read at all: why not.
    Broken(String),
    /// A key of other tables than this.
    Misplaced,
    /// Nothing, where something has to be.
    Missing,
    /// A name nobody reads.
    Unknown,
    /// A value that does not fit, as it was written.
    Value(String),
}

/// Everything that is wrong with a configuration; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// A header and one aligned line per problem.
///
/// The header names the file only if every problem is in it: an operator who is sent to
/// `config.toml` should find there what they were sent for.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut files = self.0.iter().map(|problem| problem.place.file());
        let first = files.next().flatten();
        let source = first.filter(|name| files.all(|file| file == Some(name)));
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "{}: {} problem{plural}", source.unwrap_or("configuration"), self.0.len())?;

        let rows = self.0.iter().map(|problem| (problem.place.to_string(), problem.subject()));
        let rows: Vec<_> = rows.collect();
        let places = rows.iter().map(|(place, _)| width(place)).max().unwrap_or(0);
        let subjects = rows.iter().map(|(_, subject)| width(subject)).max().unwrap_or(0);
        for ((place, subject), problem) in rows.iter().zip(&self.0) {
            let remedy = &problem.remedy;
            write!(f, "\n  {place:places$}  {subject:subjects$}   {remedy}")?;
        }
        Ok(())
    }
}

/// Columns that one value may widen the table to; a longer one only pushes its own line.
const WIDEST: usize = 60;

fn width(text: &str) -> usize {
    text.chars().count().min(WIDEST)
}

/// A value fit to be printed: visible, on one line, cut where it is long, without credentials.
///
/// Of a URL other than `sqlite:` only the scheme remains, because the rest may hold a password,
/// and what `check` prints ends up in build logs. Likewise nothing remains of what stands before
/// an `@`.
fn shown(value: &str) -> String {
    if value.is_empty() {
        return "\"\"".to_owned();
    }
    let value = match value.split_once("://") {
        Some((scheme, _)) if !scheme.ends_with("sqlite") => Cow::Owned(format!("{scheme}://…")),
        _ => match value.rsplit_once('@') {
            Some((_, host)) => Cow::Owned(format!("…@{host}")),
            None => Cow::Borrowed(value),
        },
    };
    let mut text = String::new();
    for (at, character) in value.chars().enumerate() {
        if at == WIDEST {
            text.push('…');
            break;
        }
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: usize) -> Place {
        Place::Line { name: "config.toml".to_owned(), line }
    }

    fn variable() -> Place {
        Place::Variable { name: "PROMPT_EDGE__CACHE__ANSWR".to_owned() }
    }

    fn too_small() -> Problem {
        Problem::value(line(12), "cache.answers", "\"0 B\"", "a size from 1 MiB to 1 TiB")
    }

    #[test]
    fn a_problem_says_where_what_and_how_to_mend_it() {
        assert_eq!(
            too_small().to_string(),
            "config.toml:12  cache.answers = \"0 B\"   expected a size from 1 MiB to 1 TiB"
        );
    }

    #[test]
    fn problems_stand_in_columns_under_a_count() {
        let unknown = Problem::unknown(
            line(3),
            "cache.answr".to_owned(),
            "did you mean cache.answers?".to_owned(),
        );

        assert_eq!(
            Problems(vec![unknown, too_small()]).to_string(),
            "config.toml: 2 problems\n  \
             config.toml:3   cache.answr is unknown   did you mean cache.answers?\n  \
             config.toml:12  cache.answers = \"0 B\"    expected a size from 1 MiB to 1 TiB"
        );
    }

    #[test]
    fn the_header_names_the_file_only_if_every_problem_is_in_it() {
        let elsewhere = Problem::value(variable(), "cache.answr", "1", "nothing");

        let mixed = Problems(vec![too_small(), elsewhere]);

        assert!(mixed.to_string().starts_with("configuration: 2 problems\n"), "{mixed}");
    }

    #[test]
    fn a_url_is_shown_without_what_may_be_a_password() {
        assert_eq!(shown("\"postgres://me:secret@host/db\""), "\"postgres://…");
        assert_eq!(shown("me:secret@host/db"), "…@host/db");
        assert_eq!(shown("sqlite:///var/prompts.db"), "sqlite:///var/prompts.db");
    }

    #[test]
    fn a_value_stays_on_its_line_and_ends() {
        assert_eq!(shown(""), "\"\"");
        assert_eq!(shown("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(shown(&"é".repeat(100)).chars().count(), WIDEST + 1);
    }
}
