//! Reads typed values from flags, environment and file, and notes everything that is wrong.
//!
//! A read never fails: a value that does not fit is noted, the default stands in for it, and the
//! reading goes on. That is how one run of `check` finds every mistake. Deserialising into
//! structs was the alternative; it ends at the first mistake, and knows no line numbers after.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use toml::de::DeValue;

use crate::config::document::{Document, File};
use crate::config::names::{self, Names, PREFIX};
use crate::config::problem::{Place, Problem};
use crate::config::units::{
    DURATION_FORM, SIZE_FORM, parse_duration, parse_size, print_duration, print_size,
};

/// Where values come from. Flags win over the environment, the environment over the file, and
/// the file over the defaults.
///
/// Has no `Debug`: the environment is the whole process's, secrets of others included.
#[derive(Clone, Default)]
pub struct Sources {
    /// The configuration file, if there is one.
    pub file: Option<File>,
    /// Environment variables. Those that do not begin with `PROMPT_EDGE__` are passed over.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags that were given and stand for keys.
    pub flags: Vec<Flag>,
}

/// A flag of the command line that sets a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The flag, with its dashes: `--listen`.
    pub name: &'static str,
    /// The key it sets: `server.listen`.
    pub path: &'static str,
    /// The value it was given; `true` for one that takes none.
    pub value: String,
}

/// A key that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its path, such as `cache.answers`.
    pub path: Cow<'static, str>,
    /// Its default, as one would write it in the environment.
    pub default: String,
    /// What it takes, such as `a size from 1 MiB to 1 TiB`.
    pub form: String,
}

/// Reads keys one by one; [`Reader::finish`] then knows which names nobody asked for.
#[derive(Debug)]
pub(crate) struct Reader<'s> {
    document: Option<Document<'s>>,
    /// By variable name.
    environment: BTreeMap<String, String>,
    flags: &'s [Flag],
    keys: Vec<Key>,
    /// Keys that have no default: they may be set, and are nowhere listed.
    optional: Vec<String>,
    problems: Vec<Problem>,
}

impl<'s> Reader<'s> {
    /// Parses the file and sorts the environment.
    pub(crate) fn new(sources: &'s Sources) -> Self {
        let mut problems = Vec::new();
        let document = sources.file.as_ref().and_then(|file| match Document::parse(file) {
            Ok(document) => Some(document),
            Err(mut syntax) => {
                problems.append(&mut syntax);
                None
            }
        });

        let mut environment = BTreeMap::new();
        for (name, value) in &sources.environment {
            let name = name.to_string_lossy().into_owned();
            if !name.starts_with(PREFIX) {
                continue;
            }
            if let Some(text) = value.to_str() {
                environment.insert(name, text.to_owned());
            } else {
                let (path, found) = (names::path(&name), value.to_string_lossy());
                problems.push(Problem::value(
                    Place::Variable { name },
                    &path,
                    &found,
                    "UTF-8 text",
                ));
            }
        }

        Self {
            document,
            environment,
            flags: &sources.flags,
            keys: Vec::new(),
            optional: Vec::new(),
            problems,
        }
    }

    /// Ends the reading: the keys that were read, and everything that is wrong, in order of place.
    pub(crate) fn finish(mut self) -> (Vec<Key>, Vec<Problem>) {
        let keys = self.keys.iter().map(|key| key.path.as_ref());
        let names = Names(keys.chain(self.optional.iter().map(String::as_str)).collect());
        if let Some(document) = &self.document {
            self.problems.append(&mut document.strangers(&names));
        }
        for name in self.environment.keys() {
            let path = names::path(name);
            if !names.is_key(&path) || names::variable(&path) != *name {
                let (remedy, name) = (names.instead_of_variable(name), name.clone());
                self.problems.push(Problem::unknown(Place::Variable { name }, path, remedy));
            }
        }
        for flag in self.flags.iter().filter(|flag| !names.is_key(flag.path)) {
            let (place, remedy) =
                (Place::Flag { name: flag.name }, names.instead_of_key(flag.path));
            self.problems.push(Problem::unknown(place, flag.path.to_owned(), remedy));
        }
        self.problems.sort();
        (self.keys, self.problems)
    }

    /// Reads `true` or `false`.
    pub(crate) fn switch(&mut self, path: impl Into<Cow<'static, str>>, default: bool) -> bool {
        let key = Key {
            path: path.into(),
            default: default.to_string(),
            form: "true or false".to_owned(),
        };
        self.read(key, default, |given, key| {
            given.switch().ok_or_else(|| format!("{}{}", key.form, given.bare()))
        })
    }

    /// Reads a duration with its unit.
    pub(crate) fn duration(
        &mut self,
        path: impl Into<Cow<'static, str>>,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let [least, most] = [range.start(), range.end()].map(|end| print_duration(*end));
        let form = format!("a duration from {least} to {most}");
        let key = Key { path: path.into(), default: print_duration(default), form };
        self.read(key, default, |given, key| {
            let Some(duration) = given.text().and_then(|text| parse_duration(text).ok()) else {
                let example = given.like(&key.default);
                return Err(format!("{}: {DURATION_FORM}, such as {example}", key.form));
            };
            range.contains(&duration).then_some(duration).ok_or_else(|| key.form.clone())
        })
    }

    /// Reads a size with its unit, in bytes.
    pub(crate) fn size(
        &mut self,
        path: impl Into<Cow<'static, str>>,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> u64 {
        let [least, most] = [range.start(), range.end()].map(|end| print_size(*end));
        let form = format!("a size from {least} to {most}");
        let key = Key { path: path.into(), default: print_size(default), form };
        self.read(key, default, |given, key| {
            let Some(bytes) = given.text().and_then(|text| parse_size(text).ok()) else {
                let example = given.like(&key.default);
                return Err(format!("{}: {SIZE_FORM}, such as {example}", key.form));
            };
            range.contains(&bytes).then_some(bytes).ok_or_else(|| key.form.clone())
        })
    }

    /// Reads a whole number of any integer type.
    pub(crate) fn number<N: Copy + Display + FromStr + PartialOrd>(
        &mut self,
        path: impl Into<Cow<'static, str>>,
        default: N,
        range: RangeInclusive<N>,
    ) -> N {
        let form = format!("a whole number from {} to {}", range.start(), range.end());
        let key = Key { path: path.into(), default: default.to_string(), form };
        self.read(key, default, |given, key| {
            let number = given.digits().and_then(|digits| digits.parse().ok());
            let number = number.filter(|number| range.contains(number));
            number.ok_or_else(|| format!("{}{}", key.form, given.bare()))
        })
    }

    /// Reads a whole number that may be left out. Without a default it is not among
    /// [`Reader::finish`]'s keys.
    pub(crate) fn optional<N: Copy + Display + FromStr + PartialOrd>(
        &mut self,
        path: String,
        default: Option<N>,
        range: RangeInclusive<N>,
    ) -> Option<N> {
        if let Some(default) = default {
            return Some(self.number(path, default, range));
        }
        let is_set = !self.sources(&path).is_empty();
        self.optional.push(path.clone());
        is_set.then(|| {
            let least = *range.start();
            let value = self.number(path, least, range);
            // It has no default: the least of its range only stood in for what does not fit.
            self.keys.pop();
            value
        })
    }

    /// Reads a list of texts: an array in the file, divided by commas elsewhere. None by default.
    pub(crate) fn list<T>(
        &mut self,
        path: &'static str,
        form: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let key = Key { path: path.into(), default: String::new(), form: form.to_owned() };
        self.read(key, Vec::new(), |given, key| {
            let texts = given.list().ok_or_else(|| key.form.clone())?;
            let parsed = texts.into_iter().map(|text| parse(text).ok_or_else(|| key.form.clone()));
            parsed.collect()
        })
    }

    /// The names of the tables in a table of the file.
    pub(crate) fn tables_in(&self, table: &str) -> Vec<String> {
        self.document.as_ref().map_or_else(Vec::new, |document| document.tables_in(table))
    }

    /// Reads one of a few words. `default` must be among them.
    pub(crate) fn choice<T: Copy + PartialEq>(
        &mut self,
        path: impl Into<Cow<'static, str>>,
        default: T,
        words: &[(&'static str, T)],
    ) -> T {
        let list: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let word = words.iter().find(|(_, meaning)| *meaning == default);
        let default_word = word.map_or("", |(word, _)| *word).to_owned();
        let key = Key {
            path: path.into(),
            default: default_word,
            form: format!("one of {}", list.join(", ")),
        };
        self.read(key, default, |given, key| {
            let chosen = words.iter().find(|(word, _)| given.text() == Some(word));
            chosen
                .map(|(_, meaning)| *meaning)
                .ok_or_else(|| format!("{}, such as {}", key.form, given.like(&key.default)))
        })
    }

    /// Reads text of a `form` of its own. `parse` fails with what it would have taken.
    pub(crate) fn parsed<T: Display>(
        &mut self,
        path: impl Into<Cow<'static, str>>,
        default: T,
        form: &'static str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> T {
        let key = Key { path: path.into(), default: default.to_string(), form: form.to_owned() };
        self.read(key, default, |given, key| {
            let parsed = given.text().ok_or(form).and_then(&parse);
            parsed.map_err(|form| format!("{form}, such as {}", given.like(&key.default)))
        })
    }

    /// Refuses a table of the file for its name: it is unknown, and `remedy` says what would not be.
    pub(crate) fn refuse_table(&mut self, path: String, remedy: String) {
        if let Some(place) = self.sources(&path).pop().map(|source| source.place) {
            // From here on the name is known, and so not reported twice.
            self.optional.push(path.clone());
            self.problems.push(Problem::unknown(place, path, remedy));
        }
    }

    /// Refuses a value that fits its own key but not another one.
    ///
    /// Goes to the first of `paths` that some source sets. Says nothing if one of them has a
    /// problem already: the default that stands in for it is nobody's mistake.
    pub(crate) fn refuse(&mut self, paths: &[&str], found: &str, expected: &str) {
        if self.problems.iter().any(|problem| paths.contains(&problem.path.as_str())) {
            return;
        }
        let set = paths.iter().find_map(|path| Some((path, self.sources(path).pop()?.place)));
        if let Some((path, place)) = set {
            self.problems.push(Problem::value(place, path, found, expected));
        }
    }

    /// Judges the key in every source and takes the value of the highest that is right.
    ///
    /// A value that another source outvotes is judged too: it would surface on the day that
    /// source is gone.
    fn read<T>(
        &mut self,
        key: Key,
        default: T,
        judge: impl Fn(&Given<'_>, &Key) -> Result<T, String>,
    ) -> T {
        let mut value = default;
        let mut problems = Vec::new();
        for Source { place, text, given } in self.sources(&key.path) {
            match judge(&given, &key) {
                Ok(judged) => value = judged,
                Err(expected) => problems.push(Problem::value(place, &key.path, text, &expected)),
            }
        }
        self.problems.append(&mut problems);
        self.keys.push(key);
        value
    }

    /// The sources that set a key, the lowest first.
    fn sources(&self, path: &str) -> Vec<Source<'_>> {
        let mut sources = Vec::new();
        if let Some(written) = self.document.as_ref().and_then(|document| document.value(path)) {
            let (place, given) = (written.place, Given::Toml(written.value));
            sources.push(Source { place, text: written.text, given });
        }
        if let Some((name, text)) = self.environment.get_key_value(&names::variable(path)) {
            let place = Place::Variable { name: name.clone() };
            sources.push(Source { place, text, given: Given::Text(text) });
        }
        for flag in self.flags.iter().filter(|flag| flag.path == path) {
            let (place, text) = (Place::Flag { name: flag.name }, flag.value.as_str());
            sources.push(Source { place, text, given: Given::Text(text) });
        }
        sources
    }
}

/// What one source says of a key.
struct Source<'r> {
    place: Place,
    /// As it was written.
    text: &'r str,
    given: Given<'r>,
}

/// A value before it is judged.
enum Given<'r> {
    /// From a flag or the environment, where everything is text.
    Text(&'r str),
    /// From the file, where a value has a type already, and the type must be right.
    Toml(&'r DeValue<'r>),
}

impl Given<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Toml(value) => value.as_str(),
        }
    }

    /// The decimal digits of a number.
    fn digits(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(*text)),
            Self::Toml(value) => {
                let integer = value.as_integer()?;
                let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok()?;
                Some(Cow::Owned(number.to_string()))
            }
        }
    }

    fn list(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => {
                Some(text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect())
            }
            Self::Toml(value) => {
                value.as_array()?.iter().map(|item| item.get_ref().as_str()).collect()
            }
        }
    }

    fn switch(&self) -> Option<bool> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Toml(value) => value.as_bool(),
        }
    }

    /// A reminder for whoever put quotes around what needs none.
    fn bare(&self) -> &'static str {
        match self {
            Self::Toml(DeValue::String(_)) => ", without quotes",
            Self::Text(_) | Self::Toml(_) => "",
        }
    }

    /// Writes an example the way this source would have it.
    fn like(&self, example: &str) -> String {
        match self {
            Self::Text(_) => example.to_owned(),
            Self::Toml(_) => format!("{example:?}"),
        }
    }
}
