//! Any number of prompts with their whole history, as one JSON file.
//!
//! A bundle is what `export` writes and `import` reads: a backup, and the way from one store to
//! another. `docs/bundle.schema.json` describes it for other programs.
//!
//! # Invariants
//!
//! 1. Writing what was read gives the same bytes.
//!    (`tests::writing_what_was_read_gives_the_same_bytes`)
//! 2. What is read is whole: versions are 1 to n, and no label or publication points past them.
//!    (`tests::a_broken_bundle_is_refused_where_it_is_broken`)
//! 3. A text can be refused but never ends the process. (`tests::no_text_is_too_strange_to_read`)

use std::collections::BTreeMap;
use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;

use crate::formats::content;
use crate::formats::fields::{
    Fields, Misfit, Place, Problem, list, map, moment, name, text, uuid, version_number, visibility,
};
use crate::model::{Label, Portable, PortableVersion, PromptId, Slug, VersionId};

/// What the field `format` says.
const FORMAT: &str = "prompt-edge-bundle";

/// The version of the format that is written, and the only one there is.
const VERSION: u64 = 1;

/// Why a text is not a bundle.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field does not fit.
    #[error(transparent)]
    Field(#[from] Misfit),

    /// It is JSON of some other kind.
    #[error("not a bundle: `format` must be \"prompt-edge-bundle\"")]
    Foreign,

    /// It is not JSON.
    #[error("not JSON: {0}")]
    Json(serde_json::Error),

    /// It was written by a later release.
    #[error("the bundle has version {found}, and this release reads version 1: use a newer one")]
    Newer {
        /// The version it has.
        found: u64,
    },
}

/// Writes prompts as a bundle: indented, the same bytes for the same prompts, with a line break at
/// the end.
pub fn write(prompts: &[Portable]) -> String {
    let prompts = prompts.iter().map(PromptShape::from).collect();
    let shape = BundleShape { format: FORMAT, version: VERSION, prompts };
    #[expect(
        clippy::expect_used,
        reason = "texts, numbers and JSON values always have a JSON form"
    )]
    let mut json = serde_json::to_string_pretty(&shape).expect("every field has a JSON form");
    json.push('\n');
    json
}

/// Reads a bundle whole, or not at all.
///
/// What may be left out is what an import can make up: ids, moments, `commit`, texts (`name` is
/// then the slug), labels and publications.
///
/// # Errors
///
/// If the text is not JSON, is no bundle or one of a later version, or a field does not fit. The
/// message names the field, such as `prompts[3].versions[0].blocks[1].type`.
pub fn read(json: &str) -> Result<Vec<Portable>, Error> {
    let json = json.strip_prefix('\u{feff}').unwrap_or(json);
    let value: Value = serde_json::from_str(json).map_err(Error::Json)?;
    // Before any other field: a later version may have fields that are unknown here.
    check_format(&value)?;

    let mut fields = Fields::open(value, &Place::Root, &["format", "version", "prompts"])?;
    Ok(fields.required("prompts", |value, place| {
        let prompts = list(value, place, prompt)?;
        let mut slugs = HashSet::new();
        match prompts.iter().position(|prompt| !slugs.insert(&prompt.slug)) {
            Some(second) => Err(place.index(second).key("slug").misfit(Problem::Repeated)),
            None => Ok(prompts),
        }
    })?)
}

fn check_format(value: &Value) -> Result<(), Error> {
    if value.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(Error::Foreign);
    }
    match value.get("version").and_then(Value::as_u64) {
        Some(VERSION) => Ok(()),
        Some(found @ 2..) => Err(Error::Newer { found }),
        Some(_) | None => Err(Place::Root.key("version").must_be("1").into()),
    }
}

const PROMPT_FIELDS: &[&str] = &[
    "id",
    "slug",
    "name",
    "description",
    "category",
    "visibility",
    "tags",
    "owner",
    "created_at",
    "updated_at",
    "versions",
    "labels",
    "published",
];

fn prompt(value: Value, place: &Place<'_>) -> Result<Portable, Misfit> {
    let mut fields = Fields::open(value, place, PROMPT_FIELDS)?;
    let slug: Slug = fields.required("slug", name)?;
    let versions = fields.required("versions", versions)?;
    let newest = versions.len();

    Ok(Portable {
        id: fields.optional("id", uuid)?.map(PromptId),
        name: fields.optional("name", text)?.unwrap_or_else(|| slug.to_string()),
        slug,
        description: fields.optional("description", text)?.unwrap_or_default(),
        category: fields.optional("category", text)?.unwrap_or_default(),
        visibility: fields.optional("visibility", visibility)?.unwrap_or_default(),
        tags: fields.optional("tags", |value, place| list(value, place, text))?.unwrap_or_default(),
        owner: fields.optional("owner", text)?.unwrap_or_default(),
        created_at: fields.optional("created_at", moment)?,
        updated_at: fields.optional("updated_at", moment)?,
        versions,
        labels: fields
            .optional("labels", |value, place| labels(value, place, newest))?
            .unwrap_or_default(),
        published: fields
            .optional("published", |value, place| published(value, place, newest))?
            .unwrap_or_default(),
    })
}

/// Reads versions that are numbered by their place, at least one.
fn versions(value: Value, place: &Place<'_>) -> Result<Vec<PortableVersion>, Misfit> {
    let numbered = list(value, place, version)?;
    if numbered.is_empty() {
        return Err(place.must_be("a list of at least one version"));
    }
    let mut versions = Vec::with_capacity(numbered.len());
    for (index, (number, version)) in numbered.into_iter().enumerate() {
        if usize::try_from(number) != Ok(index + 1) {
            return Err(place
                .index(index)
                .key("number")
                .must_be("the version's place in the list, counted from 1"));
        }
        versions.push(version);
    }
    Ok(versions)
}

const VERSION_FIELDS: &[&str] = &[
    "number",
    "id",
    "commit",
    "created_at",
    "blocks",
    "text",
    "messages",
    "variables",
    "model_config",
    "input_schema",
];

fn version(value: Value, place: &Place<'_>) -> Result<(u32, PortableVersion), Misfit> {
    let mut fields = Fields::open(value, place, VERSION_FIELDS)?;
    let number = fields.required("number", version_number)?;
    let id = fields.optional("id", uuid)?.map(VersionId);
    let commit = fields.optional("commit", text)?;
    let created_at = fields.optional("created_at", moment)?;
    let content = content::read(&mut fields)?;

    if commit.is_some_and(|commit| commit != content::commit_hash(&content)) {
        return Err(place.key("commit").must_be(
            "the hash of the version's content, but the file was edited by hand: \
             remove `commit` to accept the edit",
        ));
    }
    Ok((number, PortableVersion { id, content, created_at }))
}

/// Reads which of the versions 1 to `newest` each label names, sorted by label.
fn labels(value: Value, place: &Place<'_>, newest: usize) -> Result<Vec<(Label, u32)>, Misfit> {
    let mut labels = Vec::new();
    for (key, value) in map(value, place)? {
        let place = place.key(&key);
        let number = existing_version(value, &place, newest)?;
        labels.push((name(Value::String(key.clone()), &place)?, number));
    }
    labels.sort();
    Ok(labels)
}

/// Reads each environment's stack of published versions, sorted by environment.
fn published(
    value: Value,
    place: &Place<'_>,
    newest: usize,
) -> Result<Vec<(String, Vec<u32>)>, Misfit> {
    let mut published = Vec::new();
    for (environment, stack) in map(value, place)? {
        let stack = list(stack, &place.key(&environment), |value, place| {
            existing_version(value, place, newest)
        })?;
        published.push((environment, stack));
    }
    published.sort();
    Ok(published)
}

fn existing_version(value: Value, place: &Place<'_>, newest: usize) -> Result<u32, Misfit> {
    let number = version_number(value, place)?;
    let exists = usize::try_from(number).is_ok_and(|number| (1..=newest).contains(&number));
    exists.then_some(number).ok_or_else(|| place.must_be("the number of a version in `versions`"))
}

/// A bundle as it is written.
#[derive(Serialize)]
struct BundleShape<'a> {
    format: &'static str,
    version: u64,
    prompts: Vec<PromptShape<'a>>,
}

/// A prompt as it is written.
#[derive(Serialize)]
struct PromptShape<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    slug: &'a str,
    name: &'a str,
    description: &'a str,
    category: &'a str,
    visibility: &'static str,
    tags: &'a [String],
    owner: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
    versions: Vec<VersionShape<'a>>,
    labels: BTreeMap<&'a str, u32>,
    published: BTreeMap<&'a str, &'a [u32]>,
}

impl<'a> From<&'a Portable> for PromptShape<'a> {
    fn from(prompt: &'a Portable) -> Self {
        Self {
            id: prompt.id.map(|id| id.0.to_string()),
            slug: prompt.slug.as_str(),
            name: &prompt.name,
            description: &prompt.description,
            category: &prompt.category,
            visibility: prompt.visibility.as_str(),
            tags: &prompt.tags,
            owner: &prompt.owner,
            created_at: prompt.created_at.map(|at| at.to_string()),
            updated_at: prompt.updated_at.map(|at| at.to_string()),
            versions: (1..).zip(&prompt.versions).map(VersionShape::from).collect(),
            labels: prompt.labels.iter().map(|(label, n)| (label.as_str(), *n)).collect(),
            published: prompt
                .published
                .iter()
                .map(|(environment, stack)| (environment.as_str(), stack.as_slice()))
                .collect(),
        }
    }
}

/// A version as it is written: its content with its number and origin before it.
#[derive(Serialize)]
struct VersionShape<'a> {
    number: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    commit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(flatten)]
    content: content::Shape<'a>,
}

impl<'a> From<(u32, &'a PortableVersion)> for VersionShape<'a> {
    fn from((number, version): (u32, &'a PortableVersion)) -> Self {
        Self {
            number,
            id: version.id.map(|id| id.0.to_string()),
            commit: content::commit_hash(&version.content),
            created_at: version.created_at.map(|at| at.to_string()),
            content: content::Shape::from(&version.content),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
