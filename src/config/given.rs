//! What one source says of a key, before anybody knows whether it fits.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::DeValue;

use crate::config::problem::Place;

/// What one source says of a key.
pub(crate) struct Source<'r> {
    /// Where.
    pub(crate) place: Place,
    /// As it was written.
    pub(crate) text: &'r str,
    /// As it is to be judged.
    pub(crate) given: Given<'r>,
}

/// A value before it is judged.
pub(crate) enum Given<'r> {
    /// From a flag or the environment, where everything is text.
    Text(&'r str),
    /// From the file, where a value has a type already, and the type must be right.
    Toml(&'r DeValue<'r>),
}

impl Given<'_> {
    /// The text that it is.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Toml(value) => value.as_str(),
        }
    }

    /// The decimal digits of a number.
    pub(crate) fn digits(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(*text)),
            Self::Toml(value) => {
                let integer = value.as_integer()?;
                let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok()?;
                Some(Cow::Owned(number.to_string()))
            }
        }
    }

    /// The texts that it lists.
    pub(crate) fn list(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => {
                Some(text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect())
            }
            Self::Toml(value) => {
                value.as_array()?.iter().map(|item| item.get_ref().as_str()).collect()
            }
        }
    }

    /// Whether it is true.
    pub(crate) fn switch(&self) -> Option<bool> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Toml(value) => value.as_bool(),
        }
    }

    /// Whether it is a table of the file.
    pub(crate) fn is_table(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Toml(value) => value.is_table(),
        }
    }

    /// Whether it is an array of tables of the file.
    pub(crate) fn is_array_of_tables(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Toml(value) => {
                let is_table = |item: &Spanned<DeValue<'_>>| item.get_ref().is_table();
                value.as_array().is_some_and(|array| array.iter().all(is_table))
            }
        }
    }

    /// A reminder for whoever put quotes around what needs none.
    pub(crate) fn bare(&self) -> &'static str {
        match self {
            Self::Toml(DeValue::String(_)) => ", without quotes",
            Self::Text(_) | Self::Toml(_) => "",
        }
    }

    /// Writes an example the way this source would have it.
    pub(crate) fn like(&self, example: &str) -> String {
        match self {
            Self::Text(_) => example.to_owned(),
            Self::Toml(_) => format!("{example:?}"),
        }
    }
}
