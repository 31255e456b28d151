//! What the maps hold: what origins said, and finished answers.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::cache::key::{AnswerKey, Query, RecordKey};
use crate::cache::provenance::{Provenance, Windows};
use crate::compile::Prepared;
use crate::formats;
use crate::model::{Edition, Listed, PromptName, Slug};
use crate::origins::{Reader, Rendition, Text, Validator};

/// What an origin said of one thing.
#[derive(Debug)]
pub struct Record {
    /// What it was asked for: it is asked again for the same, whoever needs it by another name.
    pub asked: RecordKey,
    /// What it said.
    pub what: What,
    /// When, and for how long that is good.
    pub provenance: Arc<Provenance>,
    /// To ask it again with.
    pub validator: Option<Validator>,
    /// Whose question it was: it is asked again as the same.
    pub reader: Arc<Reader>,
    /// Under how many keys it is kept.
    pub(crate) places: AtomicUsize,
}

/// What there is.
#[derive(Clone, Debug)]
pub enum What {
    /// Nothing.
    Absent,
    /// The list of a tenant's prompts.
    Listing(Arc<[Listed]>),
    /// A prompt.
    Prompt(Arc<Sheet>),
}

impl Record {
    /// What an origin said.
    pub fn new(
        what: What,
        provenance: Provenance,
        validator: Option<Validator>,
        reader: Arc<Reader>,
        asked: RecordKey,
    ) -> Self {
        let places = AtomicUsize::new(0);
        Self { what, provenance: Arc::new(provenance), validator, reader, asked, places }
    }

    /// The same once more, for answers to be made of it anew.
    pub(crate) fn again(&self, windows: Option<Windows>) -> Self {
        Self {
            asked: self.asked.clone(),
            what: self.what.clone(),
            provenance: Arc::new(self.provenance.again(windows)),
            validator: self.validator.clone(),
            reader: Arc::clone(&self.reader),
            places: AtomicUsize::new(0),
        }
    }

    /// Whether it is anything but an absence.
    pub fn is_there(&self) -> bool {
        !matches!(self.what, What::Absent)
    }

    /// The prompt, if it is one and there.
    pub fn sheet(&self) -> Option<&Arc<Sheet>> {
        match &self.what {
            What::Prompt(sheet) => Some(sheet),
            What::Absent | What::Listing(_) => None,
        }
    }

    /// The keys it is kept under: the one asked by and, of a prompt, each of its two names.
    pub fn keys(&self) -> Vec<RecordKey> {
        let asked = &self.asked;
        let mut keys = vec![asked.clone()];
        if let Some(sheet) = self.sheet() {
            let prompt = &sheet.edition.prompt;
            for name in [PromptName::Id(prompt.id), PromptName::Slug(prompt.slug.clone())] {
                let query = asked.query.named(name);
                if query != asked.query {
                    keys.push(RecordKey { tenant: asked.tenant, query });
                }
            }
        }
        keys
    }

    /// Whether a change of the prompt with this name concerns it.
    pub fn depends_on(&self, query: &Query, name: &PromptName) -> bool {
        let Some(asked) = query.prompt() else { return true };
        if asked == name {
            return true;
        }
        self.sheet().is_some_and(|sheet| match name {
            PromptName::Id(id) => sheet.edition.prompt.id == *id,
            PromptName::Slug(slug) => sheet.is_made_of(slug),
        })
    }

    pub(crate) fn weight_bytes(&self) -> usize {
        let what = match &self.what {
            What::Absent => 0,
            What::Listing(listed) => {
                let texts = |line: &Listed| line.name.len() + line.slug.as_str().len();
                listed.iter().map(|line| size_of::<Listed>() + texts(line) + 32).sum()
            }
            What::Prompt(sheet) => sheet.weight_bytes,
        };
        let validator = self.validator.as_ref().map_or(0, |Validator(tag)| tag.len());
        let filled_by = self.provenance.filled_by.len();
        size_of::<Self>() + size_of::<Provenance>() + what + validator + filled_by
    }
}

/// A prompt, ready to be rendered.
#[derive(Debug)]
pub struct Sheet {
    /// The edition, whole: other edges are handed it uncompiled.
    pub edition: Edition,
    /// Its text, parsed.
    pub prepared: Prepared,
    weight_bytes: usize,
}

impl Sheet {
    /// Prepares what an origin handed over.
    pub fn new(text: Text) -> Self {
        match text {
            Text::Edition(edition) => Self::to_compile(*edition),
            Text::Rendition(rendition) => Self::compiled(*rendition),
        }
    }

    fn to_compile(edition: Edition) -> Self {
        let prepared = Prepared::new(&edition.version.content, edition.defaults.clone());
        Self::of(edition, prepared)
    }

    fn compiled(rendition: Rendition) -> Self {
        let Rendition { edition, text, tokens, used } = rendition;
        let prepared = Prepared::literal(&edition.version.content, text, tokens, used);
        Self::of(edition, prepared)
    }

    fn of(edition: Edition, prepared: Prepared) -> Self {
        // Texts take what they take when they are written down. The rest of an edition is small
        // beside them, but for a large schema or configuration.
        let content = &edition.version.content;
        let rest = content.model_config.len() * 128
            + content.variables.len() * 256
            + content.input_schema.as_ref().map_or(0, |s| s.to_string().len() * 4);
        let written = formats::edition::write(&edition).len();
        let weight_bytes = size_of::<Self>() + 1024 + rest + written + prepared.weight_bytes();
        Self { edition, prepared, weight_bytes }
    }

    /// Whether a change of the prompt with this slug changes it.
    fn is_made_of(&self, slug: &Slug) -> bool {
        self.edition.prompt.slug == *slug || self.edition.composed_of.contains(slug)
    }
}

/// A finished answer.
#[derive(Debug)]
pub struct Entry<A> {
    /// What it is kept under.
    pub key: AnswerKey,
    /// What is sent.
    pub answer: A,
    /// That of the record it was made of.
    pub provenance: Arc<Provenance>,
}

/// A finished answer that knows what it takes.
pub trait Weigh {
    /// How many bytes hang from it beside itself, at the moment.
    fn len_bytes(&self) -> usize;
}

impl<A> Entry<A> {
    /// What hangs from it beside key and body: an `ETag` of 45 bytes and its bookkeeping, the body's.
    const PARTS_BYTES: usize = 112;

    /// All of it but its body, with the counts of those who know it.
    pub(crate) fn shell_bytes(&self) -> usize {
        size_of::<Self>() + 2 * size_of::<usize>() + Self::PARTS_BYTES + self.key.len_bytes()
    }

    pub(crate) fn weight_bytes(&self) -> usize
    where
        A: Weigh,
    {
        self.shell_bytes() + self.answer.len_bytes()
    }
}
