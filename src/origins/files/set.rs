//! Every prompt of a folder, read from one state of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::formats::content;
use crate::formats::files;
use crate::formats::files::Kind;
use crate::model::{
    OriginName, Portable, PortableVersion, Prompt, PromptId, PromptName, Reads, Slug, Version,
    VersionId,
};
use crate::origins::files::derived;
use crate::origins::files::tree;
use crate::origins::files::tree::{File, MAX_FILE_BYTES, Tree};
use crate::origins::{Change, Reader};

/// The prompts of a folder. All of them can be read, and no two have the same name.
#[derive(Debug, Default)]
pub(super) struct Set {
    prompts: BTreeMap<Slug, Kept>,
    slugs: HashMap<PromptId, Slug>,
}

impl Set {
    /// Reads the files of a tree, for the origin of this name.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or understood, or two prompts have the same slug or id.
    pub(super) fn read(origin: &OriginName, tree: &Tree) -> Result<Self, Error> {
        let mut set = Self::default();
        let mut sources: HashMap<PromptName, &Path> = HashMap::new();
        for file in &tree.files {
            for portable in parse(file)? {
                let kept = Kept::new(origin, file.kind, portable);
                let (id, slug) = (kept.prompt.id, kept.prompt.slug.clone());
                for prompt in [PromptName::Slug(slug.clone()), PromptName::Id(id)] {
                    if let Some(first) = sources.insert(prompt.clone(), &file.name) {
                        let (first, second) = (first.to_owned(), file.name.clone());
                        return Err(Error::Twice { prompt, first, second });
                    }
                }
                set.slugs.insert(id, slug.clone());
                set.prompts.insert(slug, kept);
            }
        }
        Ok(set)
    }

    /// How many prompts there are.
    pub(super) fn len(&self) -> usize {
        self.prompts.len()
    }

    /// A prompt, by either of its names.
    pub(super) fn prompt(&self, name: &PromptName) -> Option<&Kept> {
        match name {
            PromptName::Id(id) => self.prompts.get(self.slugs.get(id)?),
            PromptName::Slug(slug) => self.prompts.get(slug),
        }
    }

    /// Every prompt, sorted by slug.
    pub(super) fn prompts(&self) -> impl Iterator<Item = &Kept> {
        self.prompts.values()
    }

    /// What is no longer what it was when `self` has taken the place of `old`: each prompt under
    /// every name it had or has.
    pub(super) fn changes_since(&self, old: &Self) -> Vec<Change> {
        let slugs: BTreeSet<_> = old.prompts.keys().chain(self.prompts.keys()).collect();
        let is_other = |slug: &&Slug| old.prompts.get(*slug) != self.prompts.get(*slug);
        let changed: Vec<_> = slugs.into_iter().filter(is_other).collect();
        if changed.len() > MAX_NAMED {
            return Vec::from([Change::Everything]);
        }
        let names = changed.into_iter().flat_map(|slug| {
            let id = |set: &Self| set.prompts.get(slug).map(|kept| PromptName::Id(kept.prompt.id));
            let (before, now) = (id(old), id(self));
            let now = now.filter(|now| before.as_ref() != Some(now));
            [Some(PromptName::Slug(slug.clone())), before, now].into_iter().flatten()
        });
        names.map(Change::Named).collect()
    }
}

/// A prompt with its versions.
#[derive(Debug, PartialEq)]
pub(super) struct Kept {
    pub(super) prompt: Prompt,
    /// Oldest first, never empty.
    versions: Vec<Version>,
    live: Live,
}

impl Kept {
    fn new(origin: &OriginName, kind: Kind, portable: Portable) -> Self {
        let words = ["prompt", origin.as_str(), portable.slug.as_str()];
        let live = match kind {
            Kind::Bundle => Live::In(newest_publications(&portable.published)),
            Kind::Markdown => Live::Everywhere,
        };
        let versions = (1..)
            .zip(portable.versions)
            .map(|(number, version)| numbered(origin, &portable.slug, number, version))
            .collect();
        let prompt = Prompt {
            id: portable.id.unwrap_or_else(|| PromptId(derived::uuid(&words))),
            number: derived::number(&words),
            slug: portable.slug,
            name: portable.name,
            description: portable.description,
            category: portable.category,
            visibility: portable.visibility,
            tags: portable.tags,
            owner: portable.owner,
            // Not the file's: a checkout sets that, and copies of one folder are to agree.
            created_at: portable.created_at.unwrap_or_default(),
            updated_at: portable.updated_at.unwrap_or_default(),
        };
        Self { prompt, versions, live }
    }

    /// The version that this reader's environment serves.
    pub(super) fn version_for(&self, reader: &Reader) -> Option<&Version> {
        match (reader.reads, &self.live) {
            (Reads::Draft, _) | (Reads::Published, Live::Everywhere) => self.versions.last(),
            (Reads::Published, Live::In(environments)) => {
                let mut environments = environments.iter();
                let (_, live) = environments.find(|(name, _)| **name == *reader.environment)?;
                self.versions.iter().find(|version| version.number == *live)
            }
        }
    }
}

/// Which version is live.
#[derive(Debug, PartialEq)]
enum Live {
    /// The only one, in every environment: a Markdown file has no more to say.
    Everywhere,
    /// In each environment the one that the bundle names. Sorted by environment.
    In(Vec<(String, u32)>),
}

/// Why what is in a folder is not taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("git is at work as long as there is {0:?}: finish what was begun, or remove it")]
    GitAtWork(PathBuf),

    #[error("{name:?}: {source}")]
    Misread { name: PathBuf, source: files::Error },

    #[error("no two looks find the files the same: write them less often, or look more often")]
    Restless,

    #[error(transparent)]
    Tree(#[from] tree::Error),

    #[error("`{prompt}` is in {first:?} and in {second:?}: give one of them another name")]
    Twice { prompt: PromptName, first: PathBuf, second: PathBuf },
}

/// Of each environment's stack the last, which is live.
fn newest_publications(stacks: &[(String, Vec<u32>)]) -> Vec<(String, u32)> {
    let live = |(name, stack): &(String, Vec<u32>)| Some((name.clone(), *stack.last()?));
    stacks.iter().filter_map(live).collect()
}

fn numbered(origin: &OriginName, slug: &Slug, number: u32, version: PortableVersion) -> Version {
    let commit = content::commit_hash(&version.content);
    let words = ["version", origin.as_str(), slug.as_str(), &number.to_string(), &commit];
    Version {
        id: version.id.unwrap_or_else(|| VersionId(derived::uuid(&words))),
        number,
        content: version.content,
        commit,
        created_at: version.created_at.unwrap_or_default(),
    }
}

fn parse(file: &File) -> Result<Vec<Portable>, Error> {
    let bytes = read(&file.path).map_err(|error| tree::unreadable(&file.name, &error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(tree::Error::TooLong { name: file.name.clone() }.into());
    }
    let misread = |source| Error::Misread { name: file.name.clone(), source };
    files::parse(&file.name, &bytes).map_err(misread)
}

/// No more than is needed to know that it is too long: a file may grow while it is read.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How many prompts are told by name. To forget everything is less work than to look up more.
const MAX_NAMED: usize = 1_000;
