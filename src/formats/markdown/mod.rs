//! One prompt as a Markdown file.
//!
//! ```text
//! ---                              optional front matter, from the first line on
//! name: Customer Support Agent     without it: the file's name
//! slug: customer-support           without it: made of the file's name
//! model_config: {model: gpt-4o}
//! variables:                       a mapping, or a list of {name: …}
//!   tone: {default: friendly}
//! ---
//! # Role                           a block titled "Role", of the kind `role`
//! You are a {{tone}} agent.        its content
//! ## Examples                      deeper than the body's first level: content too
//! ```
//!
//! Blocks start at the headings of the body's shallowest level. CommonMark decides what a heading
//! is: `# one` and an underlined line are, a `#` in a code fence is not. A heading inside a
//! quotation or a list starts no block, whatever its level: cutting there would tear what is
//! around it. Text before the first block's heading is a block without a title.
//!
//! Model settings have one key, `model_config`, as in every other format here; `model` is unknown.
//!
//! A file that opens with `---` and never closes it has no front matter: it starts with a thematic
//! break. YAML has its own numbers: `0.70` in front matter is `0.7`, and a whole number beyond 64
//! bits is refused. Front matter has at most 32 KiB.
//!
//! # Invariants
//!
//! 1. Nothing of the body is lost: headings and contents put together again are the body, byte for
//!    byte. (`sections::tests::headings_and_contents_together_are_the_body`)
//! 2. A text can be refused but never ends the process. (`tests::no_text_is_too_strange_to_read`)

mod front_matter;
mod sections;

use serde_json::Map;
use serde_json::Value;

use crate::formats::content;
use crate::formats::fields::{Fields, Misfit, Place, list, map, name, text, verbatim, visibility};
use crate::formats::markdown::sections::Sections;
use crate::model::{
    Block, BlockKind, Content, InvalidName, Layout, Portable, PortableVersion, Slug, Variable,
};

/// Why a text is not a prompt.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to say to a model.
    #[error("the file has no prompt text: write it below the front matter, if there is any")]
    Empty,

    /// A field of the front matter does not fit.
    #[error("front matter: {0}")]
    Field(#[from] Misfit),

    /// The front matter is longer than is read.
    #[error("the front matter has more than 32768 bytes: shorten it")]
    FrontMatter,

    /// The file's name has to give the slug, and cannot.
    #[error("the file name makes no slug ({0}): rename the file or set `slug` in front matter")]
    Slug(InvalidName),

    /// The front matter is YAML, but no mapping.
    #[error(
        "the front matter between the `---` lines is not a mapping: write `key: value` lines, or \
         start the file with an empty line if it begins with a thematic break"
    )]
    Unmapped,

    /// The front matter is not YAML. Lines are counted from the top of the file.
    #[error("the front matter is not YAML: {0}")]
    Yaml(yaml_serde::Error),
}

/// Reads a Markdown file as a prompt with one version.
///
/// `file_stem` is the file's name without its extension. A byte order mark is skipped; line breaks
/// stay what they are.
///
/// # Errors
///
/// If there is no text, the front matter is not a mapping of the known keys, or the file's name is
/// needed for a slug and makes none.
pub fn parse(file_stem: &str, file: &str) -> Result<Portable, Error> {
    let file = file.strip_prefix('\u{feff}').unwrap_or(file);
    let (front_matter, body) = front_matter::split(file);
    let mut fields = Fields::open(front_matter::read(front_matter)?, &Place::Root, KEYS)?;
    if body.trim().is_empty() {
        return Err(Error::Empty);
    }
    let slug = match fields.optional("slug", name)? {
        Some(slug) => slug,
        None => Slug::from_title(file_stem).map_err(Error::Slug)?,
    };

    Ok(Portable {
        id: None,
        slug,
        name: fields.optional("name", text)?.unwrap_or_else(|| file_stem.to_owned()),
        description: fields.optional("description", text)?.unwrap_or_default(),
        category: fields.optional("category", text)?.unwrap_or_default(),
        visibility: fields.optional("visibility", visibility)?.unwrap_or_default(),
        tags: fields.optional("tags", |value, place| list(value, place, text))?.unwrap_or_default(),
        owner: fields.optional("owner", text)?.unwrap_or_default(),
        created_at: None,
        updated_at: None,
        versions: vec![PortableVersion {
            id: None,
            content: Content {
                layout: Layout::Sections(blocks(body)),
                variables: fields.optional("variables", variables)?.unwrap_or_default(),
                model_config: fields.optional("model_config", map)?.unwrap_or_default(),
                input_schema: fields.optional("input_schema", verbatim)?,
            },
            created_at: None,
        }],
        labels: Vec::new(),
        published: Vec::new(),
    })
}

const KEYS: &[&str] = &[
    "name",
    "slug",
    "description",
    "category",
    "visibility",
    "owner",
    "tags",
    "model_config",
    "variables",
    "input_schema",
];

/// Reads variables as a mapping of names, or as a list like everywhere else.
fn variables(value: Value, place: &Place<'_>) -> Result<Vec<Variable>, Misfit> {
    if value.is_array() {
        return content::variables(value, place);
    }
    let Value::Object(map) = value else {
        return Err(place.must_be("a mapping of names, or a list of `name: …` items"));
    };
    map.into_iter().map(|(name, said)| variable(name, said, place)).collect()
}

/// Reads `name: {default: …}`; a name with nothing after it is a declaration too.
fn variable(name: String, said: Value, variables: &Place<'_>) -> Result<Variable, Misfit> {
    let key = name.clone();
    let place = variables.key(&key);
    let said = if said.is_null() { Value::Object(Map::new()) } else { said };
    let mut fields = Fields::open(said, &place, &["description", "required", "default"])?;
    content::variable(name, &mut fields, &place)
}

/// Splits a body into blocks. A blank part before the first heading is none.
fn blocks(body: &str) -> Vec<Block> {
    let Sections { preamble, sections } = Sections::of(body);
    let untitled = Some(preamble)
        .filter(|text| !text.trim().is_empty())
        .map(|text| block(String::new(), text));
    let titled =
        sections.iter().map(|section| block(sections::title(section.heading), section.content));
    untitled.into_iter().chain(titled).collect()
}

/// `Role`, `CONTEXT`, `Output format` … name a kind; any other title is a custom block's.
fn block(title: String, content: &str) -> Block {
    let kind = BlockKind::parse(&title.to_lowercase().replace(' ', "_")).unwrap_or_default();
    Block { kind, title, content: content.to_owned(), enabled: true }
}

#[cfg(test)]
mod tests;
