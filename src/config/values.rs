//! The types a value may be read as: what each takes, and what is said of one that does not fit.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::config::given::Given;
use crate::config::reader::{Key, Print, Reader};
use crate::config::units::{
    DURATION_FORM, SIZE_FORM, parse_duration, parse_size, print_duration, print_size,
};

impl Reader<'_> {
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
        match default {
            Some(default) => Some(self.number(path, default, range)),
            None => self.if_set(path, |reader, path| reader.number(path, *range.start(), range)),
        }
    }

    /// Reads a list of texts: an array in the file, divided by commas elsewhere. None by default.
    pub(crate) fn list<T>(
        &mut self,
        path: impl Into<Cow<'static, str>>,
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

    /// Reads text that may be left out and has no default. `parse` fails with what it would have
    /// taken.
    pub(crate) fn text<T>(
        &mut self,
        path: String,
        form: &'static str,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let judge =
            |given: &Given<'_>| given.text().ok_or(form).and_then(&parse).map_err(str::to_owned);
        self.unlisted(path, Print::AsWritten, judge)
    }
}
