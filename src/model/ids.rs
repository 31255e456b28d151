//! Names and numbers that identify things: each a type of its own, so that two cannot be swapped.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

use crate::model::key::KeyDigest;

/// A project's integer id, given by the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(pub i64);

/// An environment's integer id, given by the store; unique over all projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentId(pub i64);

/// An API key's integer id: what `keys revoke` takes. Never the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub i64);

impl KeyId {
    /// The id of a key that no store has given one.
    pub const NONE: Self = Self(0);
}

/// A prompt's UUID: what callers keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromptId(pub Uuid);

/// A version's UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId(pub Uuid);

/// Whose prompts are read, and through which environment. Part of every cache key and of every
/// question to an origin, so no lookup can leave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tenant {
    /// The project that owns the prompts.
    pub project: ProjectId,
    /// The environment that decides which version is served.
    pub environment: EnvironmentId,
    /// The caller's own key, if it is the origin that knows it: only the origin could say that two
    /// such keys read the same.
    pub holder: Option<KeyDigest>,
}

impl Tenant {
    /// The tenant of a key of ours.
    pub const fn new(project: ProjectId, environment: EnvironmentId) -> Self {
        Self { project, environment, holder: None }
    }
}

/// The name of an origin in logs, metrics and `Cache-Status`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginName(Arc<str>);

impl OriginName {
    /// Names an origin.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OriginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a usable name. Its message says what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(&'static str);

/// A prompt's handle in URLs: `[a-z0-9]+(-[a-z0-9]+)*`, at most 128 bytes.
///
/// Prompts that live on another platform keep the names they have there ([`Slug::foreign`]).
///
/// Refused although they would fit: digits alone (Genum's integer ids), `run` (a Genum route),
/// and the shape of a UUID (a [`PromptId`] stands in the same place of a path).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slug(Arc<str>);

impl Slug {
    /// The longest slug, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Makes a slug of any text: lower-case words of letters and digits, joined by dashes.
    ///
    /// # Errors
    ///
    /// If nothing usable is left, or what is left is one of the refused names.
    pub fn from_title(title: &str) -> Result<Self, InvalidName> {
        let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
        words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-").parse()
    }

    /// A name that another platform gave: 1 to 256 bytes without control characters. May hold
    /// blanks and slashes, which a URL has to escape.
    ///
    /// # Errors
    ///
    /// If it is longer or empty, has a control character, or begins or ends with a blank.
    pub fn foreign(text: &str) -> Result<Self, InvalidName> {
        let is_usable = (1..=Self::MAX_FOREIGN_BYTES).contains(&text.len())
            && text.trim() == text
            && !text.chars().any(char::is_control);
        is_usable.then(|| Self(text.into())).ok_or(InvalidName(
            "a name has 1 to 256 bytes, no control characters and no blank at either end",
        ))
    }

    /// The longest name that another platform may give, in bytes.
    pub const MAX_FOREIGN_BYTES: usize = 256;

    /// The slug as it stands in a URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Slug {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidName("a slug has at most 128 bytes"));
        }
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if !text.split('-').all(is_word) {
            return Err(InvalidName(
                "a slug is lower-case letters and digits, words joined by single dashes",
            ));
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidName("a slug is never digits alone: add a letter"));
        }
        if text == "run" {
            return Err(InvalidName("the slug `run` is reserved: choose another"));
        }
        if parse_uuid(text).is_some() {
            return Err(InvalidName("a slug never has the shape of a UUID: choose another"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a caller names a prompt: `{id}` and `{slug}` are interchangeable in every path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PromptName {
    /// By UUID, in its 36-character form.
    Id(PromptId),
    /// By slug.
    Slug(Slug),
}

impl PromptName {
    /// A prompt's name in whatever place prompts come from: a UUID, a slug, or what another
    /// platform calls it.
    ///
    /// # Errors
    ///
    /// If no platform could call a prompt that; see [`Slug::foreign`].
    pub fn anywhere(text: &str) -> Result<Self, InvalidName> {
        text.parse().or_else(|_| Slug::foreign(text).map(Self::Slug))
    }
}

impl FromStr for PromptName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match parse_uuid(text) {
            Some(uuid) => Ok(Self::Id(PromptId(uuid))),
            None => text.parse().map(Self::Slug),
        }
    }
}

impl fmt::Display for PromptName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.0.fmt(f),
            Self::Slug(slug) => slug.fmt(f),
        }
    }
}

/// A movable name for one version of a prompt, such as `production`: `[A-Za-z0-9_.-]{1,64}`.
///
/// Refused although they would fit: digits alone (a version number), `compiled` (a PromptOT
/// route) and `__latest__` (a PromptJuggler word).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(Arc<str>);

impl Label {
    /// The label as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if text.is_empty() || text.len() > 64 || !text.bytes().all(is_allowed) {
            return Err(InvalidName("a label is 1 to 64 letters, digits, `_`, `.` or `-`"));
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidName("a label is never digits alone: add a letter"));
        }
        if matches!(text, "compiled" | "__latest__") {
            return Err(InvalidName("the labels `compiled` and `__latest__` are reserved"));
        }
        Ok(Self(text.into()))
    }
}

/// Reads the 36-character form only: 32 bare hex digits are a valid slug.
fn parse_uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::try_parse(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slug_is_words_joined_by_dashes() {
        for good in ["a", "customer-support", "v2", "4o-mini", "0a"] {
            assert!(good.parse::<Slug>().is_ok(), "{good} should be a slug");
        }
        for bad in ["", "-a", "a-", "a--b", "A", "a_b", "a b", "é", "42", "run"] {
            assert!(bad.parse::<Slug>().is_err(), "{bad:?} should be refused");
        }
        assert!("a".repeat(128).parse::<Slug>().is_ok());
        assert!("a".repeat(129).parse::<Slug>().is_err());
    }

    #[test]
    fn a_uuid_is_an_id_and_never_a_slug() {
        let uuid = "a1b2c3d4-e5f6-4a1b-8c3d-4e5f6a7b8c9d";

        assert!(matches!(uuid.parse(), Ok(PromptName::Id(_))));
        assert!(uuid.parse::<Slug>().is_err());
        assert!(matches!(uuid.replace('-', "").parse(), Ok(PromptName::Slug(_))));
    }

    #[test]
    fn a_title_becomes_a_slug() {
        assert_eq!(Slug::from_title("t_find Blindspots!").unwrap().as_str(), "t-find-blindspots");
        assert!(Slug::from_title("???").is_err());
    }

    #[test]
    fn reserved_labels_are_refused() {
        for bad in ["", "7", "compiled", "__latest__", "a b"] {
            assert!(bad.parse::<Label>().is_err(), "{bad:?} should be refused");
        }
        assert!("production".parse::<Label>().is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_a_name_is_the_same_name_when_it_is_written_out(
            text in r"[a-z0-9-]{0,40}|\PC{0,12}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
        ) {
            for name in [text.parse::<PromptName>(), PromptName::anywhere(&text)] {
                let Ok(name) = name else { continue };
                prop_assert_eq!(PromptName::anywhere(&name.to_string()), Ok(name));
            }
            if let Ok(label) = text.parse::<Label>() {
                prop_assert_eq!(label.as_str(), &text);
            }
        }

        #[test]
        fn what_is_made_of_a_title_is_a_slug(title in any::<String>()) {
            if let Ok(slug) = Slug::from_title(&title) {
                prop_assert_eq!(slug.as_str().parse(), Ok(slug.clone()));
            }
        }
    }
}
