//! What PromptOT says, as our nouns.
//!
//! Every answer is in an envelope, `{"data": …, "error": null}` or `{"data": null, "error": {"code":
//! …, "message": …}}`. Fields that are not named here are not read: version 1 grows by such. A
//! version is printed as a string in one shape and as a number in the other; both are taken in both.
//!
//! | PromptOT | here |
//! |---|---|
//! | `prompt`, `compiled_prompt` | the text |
//! | `prompt_id`, `id` | the prompt's id; who asked by id is not given another one |
//! | the name it was asked by | slug |
//! | `project_id` | project; nil in the frozen shape, which has none |
//! | `variables[].default_value` | the default; `null` is none |

use std::collections::HashSet;
use std::str::FromStr;

use serde_json::Value;
use uuid::Uuid;

use crate::compile::template;
use crate::formats::content;
use crate::model::{
    Content, Edition, Listed, Prompt, PromptId, PromptName, Slug, Timestamp, Variable, Version,
    VersionId, Visibility,
};
use crate::origins::{Rendition, Validator};

/// An answer that does not fit. Neither half holds anything that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// What belongs where.
    pub(super) expected: &'static str,
    /// What is there.
    pub(super) found: &'static str,
}

/// Reads `GET /prompts/{prompt}/compiled`.
pub(super) fn compiled(body: &Value, asked: &PromptName) -> Result<Rendition, Misfit> {
    let data = data(body)?;
    let id = field(data, "prompt_id", "the UUID of the prompt in data.prompt_id", |value| {
        id(value, asked)
    })?;
    let project = field(data, "project_id", "a UUID in data.project_id", uuid)?;
    let version = field(data, "version", "a version's number in data.version", version)?;
    let used = "a list of names in data.variables_used";
    Ok(Rendition {
        text: field(data, "prompt", "a string in data.prompt", text)?,
        tokens: Some(field(data, "tokens", "a count in data.tokens", Value::as_u64)?),
        used: field(data, "variables_used", used, |value| {
            value.as_array()?.iter().map(text).collect()
        })?,
        edition: edition(asked, id, project, String::new(), version, Content::default()),
    })
}

/// Reads `GET /prompts/{prompt}`, the frozen shape, which brings its tag along.
pub(super) fn delivered(
    body: &Value,
    asked: &PromptName,
) -> Result<(Rendition, Validator), Misfit> {
    let data = data(body)?;
    let id = field(data, "id", "the UUID of the prompt in data.id", |value| id(value, asked))?;
    let name = field(data, "name", "a string in data.name", text)?;
    let version = field(data, "version", "a version's number in data.version", version)?;
    let model_config = "an object in data.model_config";
    let content = Content {
        model_config: field(data, "model_config", model_config, |value| {
            value.as_object().cloned()
        })?,
        variables: variables(data)?,
        ..Content::default()
    };
    let rendition = Rendition {
        text: field(data, "compiled_prompt", "a string in data.compiled_prompt", text)?,
        tokens: None,
        used: Vec::new(),
        edition: edition(asked, id, Uuid::nil(), name, version, content),
    };
    Ok((rendition, field(data, "etag", "an entity tag in data.etag", tag)?))
}

/// Reads `GET /prompts`, in whatever order it comes.
pub(super) fn listed(body: &Value) -> Result<Vec<Listed>, Misfit> {
    let lines = field(body, "data", "a list in data", Value::as_array)?;
    no_error(body)?;
    let mut listed = lines.iter().map(line).collect::<Result<Vec<_>, _>>()?;
    listed.sort_by(|a, b| a.slug.cmp(&b.slug));
    match listed.is_sorted_by(|a, b| a.slug < b.slug) {
        true => Ok(listed),
        false => Err(Misfit { expected: "slugs that differ in data[].slug", found: "one twice" }),
    }
}

fn line(line: &Value) -> Result<Listed, Misfit> {
    let current_version = "a version's number or null in data[].current_version";
    Ok(Listed {
        id: PromptId(field(line, "id", "a UUID in data[].id", uuid)?),
        name: field(line, "name", "a string in data[].name", text)?,
        slug: field(line, "slug", "a usable name in data[].slug", |value| {
            Slug::foreign(value.as_str()?).ok()
        })?,
        current_version: field(line, "current_version", current_version, |value| {
            if value.is_null() { Some(None) } else { version(value).map(Some) }
        })?,
    })
}

/// Reads a 400: what is wrong with the question, fit to be repeated to whoever asked it.
pub(super) fn problem(body: &Value) -> Result<String, Misfit> {
    let error = "an object in error, as every refusal of PromptOT has it";
    let error = field(body, "error", error, |value| value.is_object().then_some(value))?;
    let message = field(error, "message", "a string in error.message", Value::as_str)?;
    Ok(message.chars().filter(|c| !c.is_control()).take(MAX_PROBLEM_CHARS).collect())
}

/// Reads a 404: whether it is PromptOT that says so.
pub(super) fn absence(body: &Value) -> Result<(), Misfit> {
    let error = body.get("error").unwrap_or(&Value::Null);
    let expected = "NOT_FOUND in error.code, as every absence of PromptOT has it";
    field(error, "code", expected, |value| (value == "NOT_FOUND").then_some(()))
}

/// What the envelope of a 200 holds.
fn data(body: &Value) -> Result<&Value, Misfit> {
    no_error(body)?;
    field(body, "data", "an object in data", |value| value.is_object().then_some(value))
}

fn no_error(body: &Value) -> Result<(), Misfit> {
    match body.get("error") {
        None | Some(Value::Null) => Ok(()),
        error => Err(Misfit { expected: "null in error", found: kind(error) }),
    }
}

fn variables(data: &Value) -> Result<Vec<Variable>, Misfit> {
    let lines = field(data, "variables", "a list in data.variables", Value::as_array)?;
    let mut keys = HashSet::new();
    let variable = |line| {
        let key = "a variable's name in data.variables[].key";
        let different = "names that differ in data.variables[].key";
        let name =
            field(line, "key", key, |value| text(value).filter(|key| template::is_name(key)))?;
        if !keys.insert(name.clone()) {
            return Err(Misfit { expected: different, found: "one twice" });
        }
        Ok(Variable {
            name,
            description: String::new(),
            required: false,
            default: field(line, "default_value", DEFAULT, default)?,
        })
    };
    lines.iter().map(variable).collect()
}

/// PromptOT does not say of what type a default is.
fn default(value: &Value) -> Option<Option<Value>> {
    match value {
        Value::Null => Some(None),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Some(Some(value.clone())),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn edition(
    asked: &PromptName,
    id: PromptId,
    project: Uuid,
    name: String,
    number: u32,
    content: Content,
) -> Edition {
    let prompt = Prompt {
        id,
        number: 0,
        slug: slug(asked),
        name,
        description: String::new(),
        category: String::new(),
        visibility: Visibility::Private,
        tags: Vec::new(),
        owner: String::new(),
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    };
    let version = Version {
        id: VersionId(Uuid::nil()),
        number,
        commit: content::commit_hash(&content),
        content,
        created_at: Timestamp::default(),
    };
    Edition { project, prompt, version, defaults: serde_json::Map::new(), composed_of: Vec::new() }
}

/// PromptOT never says what a prompt's slug is, so it is the name it was asked by.
fn slug(asked: &PromptName) -> Slug {
    match asked {
        #[expect(clippy::expect_used, reason = "a UUID is 36 visible characters")]
        PromptName::Id(id) => Slug::foreign(&id.0.to_string()).expect("a UUID is a usable name"),
        PromptName::Slug(slug) => slug.clone(),
    }
}

/// Reads one field of an object.
fn field<'v, T>(
    object: &'v Value,
    key: &str,
    expected: &'static str,
    read: impl FnOnce(&'v Value) -> Option<T>,
) -> Result<T, Misfit> {
    let value = object.get(key);
    value.and_then(read).ok_or_else(|| Misfit { expected, found: kind(value) })
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn uuid(value: &Value) -> Option<Uuid> {
    Uuid::from_str(value.as_str()?).ok()
}

/// The prompt's id, which is the one that was asked for, if one was.
fn id(value: &Value, asked: &PromptName) -> Option<PromptId> {
    let id = PromptId(uuid(value)?);
    let is_other = matches!(asked, PromptName::Id(asked) if *asked != id);
    (!is_other).then_some(id)
}

/// A version's number, from 1: as a number, or as a string of digits.
fn version(value: &Value) -> Option<u32> {
    let number = match value {
        Value::Number(number) => number.as_u64()?.try_into().ok()?,
        Value::String(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok()?
        }
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            return None;
        }
    };
    (number > 0).then_some(number)
}

/// A tag that a header can hold. It is sent back as it came, with quotes or without.
fn tag(value: &Value) -> Option<Validator> {
    let tag = value.as_str()?;
    let is_tag =
        (1..=MAX_TAG_BYTES).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_graphic());
    is_tag.then(|| Validator(tag.into()))
}

/// What is where something else belongs.
fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "nothing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a boolean",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a string",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    }
}

/// The longest tag that is sent back.
const MAX_TAG_BYTES: usize = 512;

/// The longest message that is repeated.
const MAX_PROBLEM_CHARS: usize = 300;

/// What a default may be.
const DEFAULT: &str = "a string, a number, a boolean or null in data.variables[].default_value";
