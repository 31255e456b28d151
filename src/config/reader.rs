//! Reads typed values from flags, environment and file, and notes everything that is wrong.
//!
//! A read never fails: a value that does not fit is noted, the default stands in for it, and the
//! reading goes on. That is how one run of `check` finds every mistake. Deserialising into
//! structs was the alternative; it ends at the first mistake, and knows no line numbers after.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::config::document::{Document, File};
use crate::config::given::{Given, Source};
use crate::config::names::{self, Names, PREFIX};
use crate::config::problem::{Place, Problem};

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
///
/// Has no `Debug`, as [`Sources`] has none.
pub(crate) struct Reader<'s> {
    document: Option<Document<'s>>,
    /// Ours, by variable name.
    environment: BTreeMap<String, String>,
    /// The whole process's: where secrets may be.
    everything: &'s [(OsString, OsString)],
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
            everything: &sources.environment,
            flags: &sources.flags,
            keys: Vec::new(),
            optional: Vec::new(),
            problems,
        }
    }

    /// Ends the reading: the keys that were read, and everything that is wrong, in order of place.
    pub(crate) fn finish(mut self) -> (Vec<Key>, Vec<Problem>) {
        let asked: Vec<_> = self.asked().map(str::to_owned).collect();
        let names = Names(asked.iter().map(String::as_str).collect());
        if let Some(document) = &self.document {
            self.problems.append(&mut document.strangers(&names));
        }
        for name in self.environment.keys() {
            let path = names::path(name);
            let is_settable = names.is_key(&path) && !names::is_of_the_file(&path);
            if !is_settable || names::variable(&path) != *name {
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

    /// Every name that was asked for so far.
    pub(crate) fn asked(&self) -> impl Iterator<Item = &str> {
        let keys = self.keys.iter().map(|key| key.path.as_ref());
        keys.chain(self.optional.iter().map(String::as_str))
    }

    /// Reads a key that may be left out, and then is not among [`Reader::finish`]'s. The default
    /// of `read` only stands in for what does not fit.
    pub(crate) fn if_set<T>(
        &mut self,
        path: String,
        read: impl FnOnce(&mut Self, String) -> T,
    ) -> Option<T> {
        let is_set = self.is_set(&path);
        self.optional.push(path.clone());
        is_set.then(|| {
            let value = read(self, path);
            self.keys.pop();
            value
        })
    }

    /// Reads text that says where a secret is. Nothing of it is printed: it might be the secret.
    pub(crate) fn whereabouts<T>(
        &mut self,
        path: String,
        find: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let judge = |given: &Given<'_>| find(given.text().unwrap_or_default());
        self.unlisted(path, Print::Nothing, judge)
    }

    /// The whole process's environment, which secrets may be in.
    pub(crate) fn environment(&self) -> &'s [(OsString, OsString)] {
        self.everything
    }

    /// Whether some source sets a key, or the file has a table there.
    pub(crate) fn is_set(&self, path: &str) -> bool {
        !self.sources(path).is_empty()
    }

    /// Whether the file has a table there. Any other value is refused, and not printed: it may be
    /// what the table was to keep out of the file.
    pub(crate) fn table(&mut self, path: &str, expected: &str) -> bool {
        let judge =
            |given: &Given<'_>| given.is_table().then_some(()).ok_or_else(|| expected.to_owned());
        let before = self.problems.len();
        let is_there = self.judged(path, Print::Nothing, judge).is_some();
        if self.problems.len() > before {
            // From here on the name is known, and so not reported twice.
            self.optional.push(path.to_owned());
        }
        is_there
    }

    /// The tables in a table of the file, each by its name and its path. Anything else there is
    /// refused.
    pub(crate) fn tables_in(&mut self, path: &str) -> Vec<(String, String)> {
        let form = |path: &str| format!("a table: [{path}] and its keys below");
        if !self.table(path, &form(path)) {
            return Vec::new();
        }
        let document = self.document.as_ref();
        let mut below = document.map_or_else(Vec::new, |document| document.below(path));
        below.retain(|(_, path)| self.table(path, &form(path)));
        if below.is_empty() {
            self.optional.push(path.to_owned());
        }
        below
    }

    /// The entries of an array of tables of the file, by their paths. Anything else there is
    /// refused.
    pub(crate) fn entries(&mut self, path: &'static str) -> Vec<String> {
        let judge = |given: &Given<'_>| {
            let form = || format!("[[{path}]] for each, and its keys below");
            given.is_array_of_tables().then_some(()).ok_or_else(form)
        };
        let is_one = self.judged(path, Print::Nothing, judge).is_some();
        let document = self.document.as_ref().filter(|_| is_one);
        let below = document.map_or_else(Vec::new, |document| document.below(path));
        if below.is_empty() {
            self.optional.push(path.to_owned());
        }
        below.into_iter().map(|(_, path)| path).collect()
    }

    /// Refuses a name of the file: it is unknown, and `remedy` says what would not be.
    pub(crate) fn refuse_name(&mut self, path: &str, remedy: String) {
        if let Some(place) = self.place(path) {
            // From here on the name is known, and so not reported twice.
            self.optional.push(path.to_owned());
            self.problems.push(Problem::unknown(place, path.to_owned(), remedy));
        }
    }

    /// Refuses a key that would be of no use here. Nothing is said if it is not set, or refused
    /// already.
    pub(crate) fn refuse_key(&mut self, path: &str, expected: &str) {
        let is_refused = self.problems.iter().any(|problem| problem.path == path);
        if let (false, Some(place)) = (is_refused, self.place(path)) {
            self.optional.push(path.to_owned());
            self.problems.push(Problem::misplaced(place, path, expected));
        }
    }

    /// Refuses that a key is not set, where its table begins.
    pub(crate) fn require(&mut self, table: &str, key: &str, expected: &str) {
        let path = format!("{table}.{key}");
        if let (false, Some(place)) = (self.is_set(&path), self.place(table)) {
            self.problems.push(Problem::missing(place, &path, expected));
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
        let set = paths.iter().find_map(|path| Some((path, self.place(path)?)));
        if let Some((path, place)) = set {
            self.problems.push(Problem::value(place, path, found, expected));
        }
    }

    /// Reads a key with a default, which makes it one of [`Reader::finish`]'s keys.
    pub(crate) fn read<T>(
        &mut self,
        key: Key,
        default: T,
        judge: impl Fn(&Given<'_>, &Key) -> Result<T, String>,
    ) -> T {
        let value = self.judged(&key.path, Print::AsWritten, |given| judge(given, &key));
        self.keys.push(key);
        value.unwrap_or(default)
    }

    /// Reads a key without a default, which is nowhere listed.
    pub(crate) fn unlisted<T>(
        &mut self,
        path: String,
        print: Print,
        judge: impl Fn(&Given<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.judged(&path, print, judge);
        self.optional.push(path);
        value
    }

    /// Judges a key in every source and takes the value of the highest that is right.
    ///
    /// A value that another source outvotes is judged too: it would surface on the day that
    /// source is gone.
    fn judged<T>(
        &mut self,
        path: &str,
        print: Print,
        judge: impl Fn(&Given<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let mut value = None;
        let mut problems = Vec::new();
        for Source { place, text, given } in self.sources(path) {
            let found = match print {
                Print::AsWritten => text,
                Print::Nothing => "…",
            };
            match judge(&given) {
                Ok(judged) => value = Some(judged),
                Err(expected) => problems.push(Problem::value(place, path, found, &expected)),
            }
        }
        self.problems.append(&mut problems);
        value
    }

    /// Where the highest source sets a key.
    fn place(&self, path: &str) -> Option<Place> {
        self.sources(path).pop().map(|source| source.place)
    }

    /// The sources that set a key, the lowest first.
    fn sources(&self, path: &str) -> Vec<Source<'_>> {
        let mut sources = Vec::new();
        if let Some(written) = self.document.as_ref().and_then(|document| document.value(path)) {
            let (place, given) = (written.place, Given::Toml(written.value));
            sources.push(Source { place, text: written.text, given });
        }
        let variable = self.environment.get_key_value(&names::variable(path));
        if let Some((name, text)) = variable.filter(|_| !names::is_of_the_file(path)) {
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

/// What a problem shows of the value it is about.
#[derive(Clone, Copy)]
pub(crate) enum Print {
    /// The value.
    AsWritten,
    /// That there is one.
    Nothing,
}
