//! Reads an object field by field, and says where one does not fit.
//!
//! Reading goes over [`serde_json::Value`] and not over derived types: what people write by hand
//! deserves `prompts[3].versions[0].blocks[1].type`, where a derived reader knows a line at most,
//! and front matter (YAML) gets the same rules and the same words. A path costs nothing until
//! something is wrong: [`Place`] is a chain of borrowed steps.

use std::fmt;
use std::str::FromStr;

use serde_json::Map;
use serde_json::Value;
use uuid::Uuid;

use crate::model::{InvalidName, Timestamp, Visibility};

/// The deepest nesting of a value that is handed through as it is. It leaves room for the levels a
/// bundle puts around it below the 128 that `serde_json` reads: what was taken in can always be
/// written out and read again.
pub(super) const MAX_DEPTH: usize = 64;

/// A field that does not fit: where, and what would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} {problem}")]
pub struct Misfit {
    /// The path to it, such as `prompts[3].slug`.
    pub place: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It has to be there.
    #[error("is missing")]
    Missing,

    /// It is no name of the kind that belongs there.
    #[error("is not usable: {0}")]
    Name(InvalidName),

    /// Another one has the same name.
    #[error("is there twice: choose another name for one of them")]
    Repeated,

    /// Something else belongs there.
    #[error("must be {expected}")]
    Unfit {
        /// What belongs there, and the remedy if it is not plain.
        expected: &'static str,
    },

    /// There is no such field.
    #[error("is not a known field: known are {}", known.join(", "))]
    Unknown {
        /// The fields there are.
        known: &'static [&'static str],
    },
}

/// Where a value stands in its document.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// An item of a list, counted from 0.
    Index(&'a Self, usize),
    /// A field of an object.
    Key(&'a Self, &'a str),
    /// The document itself.
    Root,
}

impl Place<'_> {
    /// The place of a field of this object.
    pub(super) fn key<'a>(&'a self, key: &'a str) -> Place<'a> {
        Place::Key(self, key)
    }

    /// The place of an item of this list.
    pub(super) fn index(&self, index: usize) -> Place<'_> {
        Place::Index(self, index)
    }

    /// Says that something else belongs here.
    pub(super) fn must_be(&self, expected: &'static str) -> Misfit {
        self.misfit(Problem::Unfit { expected })
    }

    /// Says what is wrong here.
    pub(super) fn misfit(&self, problem: Problem) -> Misfit {
        Misfit { place: self.to_string(), problem }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(Self::Root, index) => write!(f, "[{index}]"),
            Self::Index(list, index) => write!(f, "{list}[{index}]"),
            Self::Key(Self::Root, key) if is_plain(key) => f.write_str(key),
            Self::Key(Self::Root, key) => write!(f, "[{key:?}]"),
            Self::Key(object, key) if is_plain(key) => write!(f, "{object}.{key}"),
            Self::Key(object, key) => write!(f, "{object}[{key:?}]"),
            Self::Root => f.write_str("the document"),
        }
    }
}

/// Whether a key can stand in a path without quotes.
fn is_plain(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// An object whose fields are taken out one by one.
pub(super) struct Fields<'a> {
    place: &'a Place<'a>,
    map: Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// Opens an object that has no fields but the `known` ones.
    pub(super) fn open(
        value: Value,
        place: &'a Place<'a>,
        known: &'static [&'static str],
    ) -> Result<Self, Misfit> {
        let Value::Object(map) = value else {
            return Err(place.must_be("an object"));
        };
        match map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(place.key(key).misfit(Problem::Unknown { known })),
            None => Ok(Self { place, map }),
        }
    }

    /// Where the object stands.
    pub(super) fn place(&self) -> &'a Place<'a> {
        self.place
    }

    /// Says what is wrong with a field.
    pub(super) fn misfit(&self, key: &'static str, problem: Problem) -> Misfit {
        self.place.key(key).misfit(problem)
    }

    /// Takes a field that has to be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Value, &Place<'_>) -> Result<T, Misfit>,
    ) -> Result<T, Misfit> {
        self.optional(key, read)?.ok_or_else(|| self.misfit(key, Problem::Missing))
    }

    /// Takes a field if it is there. `null` counts as there.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(Value, &Place<'_>) -> Result<T, Misfit>,
    ) -> Result<Option<T>, Misfit> {
        let value = self.map.remove(key);
        value.map(|value| read(value, &self.place.key(key))).transpose()
    }
}

/// Reads a text.
pub(super) fn text(value: Value, place: &Place<'_>) -> Result<String, Misfit> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(place.must_be("a text: put it in quotes"))
        }
    }
}

/// Reads `true` or `false`.
pub(super) fn flag(value: Value, place: &Place<'_>) -> Result<bool, Misfit> {
    value.as_bool().ok_or_else(|| place.must_be("true or false"))
}

/// Reads the number of a version.
pub(super) fn version_number(value: Value, place: &Place<'_>) -> Result<u32, Misfit> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| place.must_be("the number of a version: 1, 2, 3 and so on"))
}

/// Reads a list, each item with `read`.
pub(super) fn list<T>(
    value: Value,
    place: &Place<'_>,
    read: impl Fn(Value, &Place<'_>) -> Result<T, Misfit>,
) -> Result<Vec<T>, Misfit> {
    let Value::Array(items) = value else {
        return Err(place.must_be("a list"));
    };
    items.into_iter().enumerate().map(|(i, item)| read(item, &place.index(i))).collect()
}

/// Reads an object whose keys are names of the writer's choice, in the order they stand in.
pub(super) fn map(value: Value, place: &Place<'_>) -> Result<Map<String, Value>, Misfit> {
    match verbatim(value, place)? {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(place.must_be("an object"))
        }
    }
}

/// Reads a value that is handed through as it is.
pub(super) fn verbatim(value: Value, place: &Place<'_>) -> Result<Value, Misfit> {
    match nests_deeper_than(MAX_DEPTH, &value) {
        true => Err(place.must_be("nested at most 64 levels deep")),
        false => Ok(value),
    }
}

/// Counts lists and objects on the way down, and goes no further than it has to.
fn nests_deeper_than(levels: usize, value: &Value) -> bool {
    let Some(below) = levels.checked_sub(1) else {
        return value.is_array() || value.is_object();
    };
    match value {
        Value::Array(items) => items.iter().any(|item| nests_deeper_than(below, item)),
        Value::Object(map) => map.values().any(|item| nests_deeper_than(below, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Reads a slug or a label.
pub(super) fn name<T: FromStr<Err = InvalidName>>(
    value: Value,
    place: &Place<'_>,
) -> Result<T, Misfit> {
    text(value, place)?.parse().map_err(|invalid| place.misfit(Problem::Name(invalid)))
}

/// Reads `private` or `public`.
pub(super) fn visibility(value: Value, place: &Place<'_>) -> Result<Visibility, Misfit> {
    let word = value.as_str().and_then(Visibility::parse);
    word.ok_or_else(|| place.must_be("`private` or `public`"))
}

/// Reads a UUID in its 36-character form.
pub(super) fn uuid(value: Value, place: &Place<'_>) -> Result<Uuid, Misfit> {
    let form = value.as_str().filter(|text| text.len() == 36);
    let uuid = form.and_then(|text| Uuid::try_parse(text).ok());
    uuid.ok_or_else(|| place.must_be("a UUID, such as `a1b2c3d4-e5f6-4a1b-8c3d-4e5f6a7b8c9d`"))
}

/// Reads a moment in RFC 3339.
pub(super) fn moment(value: Value, place: &Place<'_>) -> Result<Timestamp, Misfit> {
    let moment = value.as_str().and_then(Timestamp::parse);
    moment.ok_or_else(|| place.must_be("a moment, such as `2026-03-01T12:00:00.000Z`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_reads_as_a_path() {
        let prompts = Place::Root.key("prompts");
        let first = prompts.index(3);
        let labels = first.key("labels");

        assert_eq!(Place::Root.to_string(), "the document");
        assert_eq!(first.key("slug").to_string(), "prompts[3].slug");
        assert_eq!(labels.key("a b\n").to_string(), r#"prompts[3].labels["a b\n"]"#);
    }

    #[test]
    fn an_unknown_field_is_named_with_the_known_ones() {
        let opened = Fields::open(json!({"nmae": 1}), &Place::Root, &["name", "slug"]);

        let misfit = opened.err().unwrap();
        assert_eq!(misfit.to_string(), "nmae is not a known field: known are name, slug");
    }

    #[test]
    fn null_is_there_and_absence_is_not() {
        let mut fields = Fields::open(json!({"a": null}), &Place::Root, &["a", "b"]).unwrap();

        assert_eq!(fields.optional("a", verbatim), Ok(Some(Value::Null)));
        assert_eq!(fields.optional("b", verbatim), Ok(None));
        assert_eq!(fields.required("b", verbatim).unwrap_err().to_string(), "b is missing");
    }

    #[test]
    fn what_nests_too_deep_is_refused() {
        let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));

        assert!(verbatim(nested(MAX_DEPTH), &Place::Root).is_ok());
        assert!(verbatim(nested(MAX_DEPTH + 1), &Place::Root).is_err());
    }
}
