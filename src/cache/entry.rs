//! What the maps hold: prepared editions, remembered absences, finished answers.

use std::sync::Arc;

use crate::cache::generation::Stamp;
use crate::compile::Prepared;
use crate::formats::edition;
use crate::model::{Edition, Timestamp};

/// An edition, ready to be rendered.
#[derive(Debug)]
pub struct Sheet {
    /// The edition, whole: other edges are handed it uncompiled.
    pub edition: Edition,
    /// Its text, parsed.
    pub prepared: Prepared,
    /// What it was made under.
    pub stamp: Stamp,
    weight_bytes: usize,
}

impl Sheet {
    /// Prepares an edition that was read under `stamp`.
    pub fn new(edition: Edition, stamp: Stamp) -> Self {
        let prepared = Prepared::new(&edition.version.content, edition.defaults.clone());
        // Texts take what they take when they are written down. The rest of an edition is small
        // beside them, but for a large schema or configuration.
        let content = &edition.version.content;
        let rest = content.model_config.len() * 128
            + content.variables.len() * 256
            + content.input_schema.as_ref().map_or(0, |schema| schema.to_string().len() * 4);
        let weight_bytes = size_of::<Self>()
            + 1024
            + edition::write(&edition).len()
            + rest
            + prepared.weight_bytes();
        Self { edition, prepared, stamp, weight_bytes }
    }
}

/// That a prompt was not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absence {
    /// What it was found under.
    pub stamp: Stamp,
    /// From this moment on the origin is asked again.
    pub until: Timestamp,
}

/// What is known of a prompt.
#[derive(Clone, Debug)]
pub enum Known {
    /// There is none.
    Absent(Absence),
    /// This one.
    Present(Arc<Sheet>),
}

impl Known {
    pub(crate) fn stamp(&self) -> &Stamp {
        match self {
            Self::Absent(absence) => &absence.stamp,
            Self::Present(sheet) => &sheet.stamp,
        }
    }

    pub(crate) fn weight_bytes(&self) -> usize {
        match self {
            Self::Absent(_) => size_of::<Self>(),
            Self::Present(sheet) => size_of::<Self>() + sheet.weight_bytes,
        }
    }
}

/// A finished answer.
#[derive(Debug)]
pub struct Entry<A> {
    /// What is sent.
    pub answer: A,
    /// How many bytes hang from `answer` beside itself.
    pub len_bytes: usize,
    /// What it was made under.
    pub stamp: Stamp,
}

impl<A> Entry<A> {
    /// What stays of an entry while only an alias knows it: the allocation without its contents.
    pub(crate) const SHELL_BYTES: usize = size_of::<Self>() + 2 * size_of::<usize>();

    /// Headers and allocator overhead: an `ETag` of 45 bytes and its bookkeeping, the body's.
    const PARTS_BYTES: usize = 160;

    pub(crate) fn weight_bytes(entry: &Arc<Self>) -> usize {
        Self::SHELL_BYTES + Self::PARTS_BYTES + entry.len_bytes
    }
}
