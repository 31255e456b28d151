//! What is kept of memory, and its form as JSON.
//!
//! An image holds nouns and spans of time. Ages are relative to [`Image::saved_at`]: whoever fills
//! a memory from it adds the time that has passed since then.
//!
//! # Invariants
//!
//! 1. Reading what was written gives the same image, but for the keys of callers, which are not
//!    written. (`tests::reading_what_was_written_changes_nothing`)
//! 2. What is not understood is refused, and so is an answer to no record: either might be the
//!    difference between a prompt and another. (`tests::what_is_not_understood_is_refused`)

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::{Edition, Grant, KeyDigest, Listed, PromptName, Timestamp};
use crate::origins::{Compile, Reader, Rendition, Validator};
use crate::snapshot::form::{CompileForm, GrantForm, ReaderForm, RenditionForm, plain};

/// A picture of what is in memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// When it was taken, by the wall clock.
    #[serde(with = "plain")]
    pub saved_at: Timestamp,
    /// What origins said.
    pub records: Vec<Record>,
    /// What was made of it.
    pub answers: Vec<Answer>,
    /// The keys in use.
    pub keys: Vec<KnownKey>,
}

/// What an origin said of one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Whose question it was. It has no credential once it has been read.
    #[serde(with = "ReaderForm")]
    pub reader: Reader,
    /// What was asked.
    pub asked: Asked,
    /// What there is.
    pub what: What,
    /// To ask again with.
    #[serde(with = "plain")]
    pub validator: Option<Validator>,
    /// For how long it had been known when the image was taken, in whole milliseconds as all spans.
    #[serde(with = "plain")]
    pub age: Duration,
    /// From when it was said: used without asking.
    #[serde(with = "plain")]
    pub fresh: Duration,
    /// After that: used at once, and asked for behind.
    #[serde(with = "plain")]
    pub stale: Duration,
    /// After that: used if asking fails.
    #[serde(with = "plain")]
    pub rescue: Duration,
    /// Whether it can never change.
    pub is_immutable: bool,
}

/// What an origin was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Asked {
    /// A prompt that it compiles.
    Compiled {
        /// Which prompt.
        #[serde(with = "plain")]
        prompt: PromptName,
        /// What is compiled, and with what.
        #[serde(with = "CompileForm")]
        compile: Compile,
    },
    /// The list of prompts.
    Listing,
    /// A prompt that is compiled here.
    Prompt(#[serde(with = "plain")] PromptName),
}

/// What there is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Nothing.
    Absent,
    /// A version, to be compiled here.
    Edition(#[serde(with = "plain")] Edition),
    /// The list of prompts.
    Listing(#[serde(with = "plain")] Vec<Listed>),
    /// A text that the origin has compiled.
    Rendition(#[serde(with = "RenditionForm")] Rendition),
}

/// A finished answer. It is as old as its record and good for as long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Which of [`Image::records`] it was made of, counted from 0.
    pub record: usize,
    /// Which of the dialects' shapes it has: `promptot/compiled`.
    pub representation: String,
    /// The template of the route that it is counted under.
    pub route: String,
    /// What decided the text beside the record.
    pub given: Given,
    /// What is sent.
    #[serde(with = "plain")]
    pub body: Bytes,
    /// The `ETag`, quotes included.
    pub etag: String,
    /// The `Cache-Control`.
    pub cache_control: String,
}

/// What decided the text of an answer beside its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// Nothing: the record is the text, or its placeholders stay.
    Nothing,
    /// The values of variables, in the form that makes equal ones the same.
    Values(#[serde(with = "plain")] Bytes),
}

/// A key that was in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownKey {
    /// All that is known of the key itself.
    #[serde(with = "plain")]
    pub digest: KeyDigest,
    /// What it stands for.
    #[serde(with = "GrantForm")]
    pub grant: Grant,
    /// Of a key that an origin knows: how long before the image was taken the origin had vouched
    /// for it.
    #[serde(with = "plain")]
    pub vouched: Option<Duration>,
}

/// Why bytes are no image. Where, and never what: prompts stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// They are not JSON, or a field does not fit.
    #[error("the snapshot's content does not fit at line {line}, column {column}")]
    Field {
        /// Counted from 1.
        line: usize,
        /// In bytes, counted from 1.
        column: usize,
    },

    /// An answer is made of a record that is not there.
    #[error("answer {answer} of the snapshot belongs to no record")]
    Stray {
        /// Which answer, counted from 0.
        answer: usize,
    },
}

/// Writes an image as JSON.
#[expect(clippy::expect_used, reason = "texts, numbers and lists of them have a JSON form")]
pub fn encode(image: &Image) -> Vec<u8> {
    serde_json::to_vec(image).expect("every field has a JSON form")
}

/// Reads an image.
///
/// # Errors
///
/// If it is not the JSON of one: a field is missing, unknown or of the wrong kind.
pub fn decode(json: &[u8]) -> Result<Image, Misfit> {
    let image: Image = serde_json::from_slice(json)
        .map_err(|error| Misfit::Field { line: error.line(), column: error.column() })?;
    let is_stray = |answer: &Answer| answer.record >= image.records.len();
    match image.answers.iter().position(is_stray) {
        Some(answer) => Err(Misfit::Stray { answer }),
        None => Ok(image),
    }
}
