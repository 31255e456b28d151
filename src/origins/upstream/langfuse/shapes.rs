//! What Langfuse says, as our nouns.
//!
//! | Langfuse | here |
//! |---|---|
//! | `prompt` of a text prompt | [`Layout::Verbatim`] |
//! | `prompt` of a chat prompt | [`Layout::Chat`]; whatever has a role and a content is a message |
//! | `config` | model configuration, if it is an object; anything else says nothing of a model |
//! | `tags`, then `labels` | tags |
//! | `name` | name and slug; the prompt's id is made of it |
//! | `id`, `projectId` | the ids of version and project: a UUID stays, of any other text one is made |
//! | `resolutionGraph` | what the prompt is composed of |
//!
//! Langfuse declares no variables. Fields that are not named here are not read.

use std::collections::BTreeSet;

use serde_json::Map;
use serde_json::Value;
use sha2::Digest;
use sha2::Sha256;
use uuid::{Builder, Uuid};

use crate::formats::content;
use crate::formats::{Misfit, Problem};
use crate::model::{
    Content, Edition, Layout, Listed, Message, OriginName, Prompt, PromptId, Slug, Timestamp,
    Version, VersionId, Visibility,
};
use crate::origins::Validator;

/// One line of Langfuse's list.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) slug: Slug,
    pub(super) versions: Vec<u32>,
    pub(super) labels: Vec<String>,
    pub(super) updated_at: Timestamp,
}

impl Row {
    /// The version that carries a label, where the list says so: `latest` is always on the newest
    /// one, and of a single version there is no other.
    pub(super) fn version_of(&self, label: &str) -> Option<u32> {
        match self.versions.as_slice() {
            [only] => Some(*only),
            versions if label == "latest" => versions.iter().copied().max(),
            [..] => None,
        }
    }
}

/// A page of Langfuse's list.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) rows: Vec<Row>,
    /// How many pages there are.
    pub(super) pages: u64,
}

/// Reads a page of the list. A prompt with a name that nobody could ask for is left out.
pub(super) fn page(body: &Value) -> Result<Page, Misfit> {
    let body = Object::of(body, String::new())?;
    let items = body.list("data")?;
    if items.len() > MAX_ROWS {
        return Err(body.must_be("data", "a list of at most 100 rows, as was asked for"));
    }
    let mut rows = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let row = Object::of(item, format!("data[{index}]"))?;
        let Ok(slug) = Slug::foreign(row.text("name")?) else { continue };
        rows.push(Row {
            slug,
            versions: row.numbers("versions")?,
            labels: row.texts("labels")?,
            updated_at: row.moment("lastUpdatedAt")?,
        });
    }
    let meta = Object::of(body.required("meta")?, "meta".to_owned())?;
    let pages = meta.required("totalPages")?.as_u64();
    let pages = pages.ok_or_else(|| meta.must_be("totalPages", "a number of pages"))?;
    Ok(Page { rows, pages })
}

/// Reads a version that was asked for by the prompt's name and, where it is pinned, its number.
pub(super) fn edition(
    body: &Value,
    asked: &Slug,
    pinned: Option<u32>,
    origin: &OriginName,
) -> Result<Edition, Misfit> {
    let body = Object::of(body, String::new())?;
    if body.text("name")? != asked.as_str() {
        return Err(body.must_be("name", "the name that was asked for"));
    }
    let number = number(body.required("version")?)
        .filter(|number| pinned.is_none_or(|pinned| pinned == *number))
        .ok_or_else(|| body.must_be("version", "a version's number, and the one asked for"))?;
    let config = body.fields.get("config").and_then(Value::as_object);
    let content = Content {
        layout: layout(&body)?,
        model_config: config.cloned().unwrap_or_default(),
        ..Content::default()
    };

    Ok(Edition {
        project: kept_or_made("project", body.text("projectId")?),
        prompt: prompt(&body, asked, prompt_id(origin, asked))?,
        version: Version {
            id: VersionId(kept_or_made("version", body.text("id")?)),
            number,
            commit: content::commit_hash(&content),
            content,
            created_at: body.moment("createdAt")?,
        },
        defaults: Map::new(),
        composed_of: composed_of(&body)?,
    })
}

fn prompt(body: &Object<'_>, slug: &Slug, id: PromptId) -> Result<Prompt, Misfit> {
    let mut tags = body.texts("tags")?;
    tags.extend(body.texts("labels")?);
    Ok(Prompt {
        id,
        // Langfuse gives no integers to prompts.
        number: 0,
        name: slug.to_string(),
        slug: slug.clone(),
        description: String::new(),
        category: String::new(),
        visibility: Visibility::Private,
        tags,
        owner: String::new(),
        created_at: body.moment("createdAt")?,
        updated_at: body.moment("updatedAt")?,
    })
}

fn layout(body: &Object<'_>) -> Result<Layout, Misfit> {
    match body.text("type")? {
        "text" => Ok(Layout::Verbatim(body.text("prompt")?.to_owned())),
        "chat" => {
            let items = body.list("prompt")?.iter().enumerate();
            let messages = items.map(|(index, item)| message(item, format!("prompt[{index}]")));
            Ok(Layout::Chat(messages.collect::<Result<_, _>>()?))
        }
        _ => Err(body.must_be("type", "`text` or `chat`")),
    }
}

fn message(item: &Value, place: String) -> Result<Message, Misfit> {
    let item = Object::of(item, place)?;
    if item.fields.get("type").is_some_and(|kind| kind == "placeholder") {
        return Ok(Message::Placeholder { name: item.text("name")?.to_owned() });
    }
    let (role, content) = (item.text("role")?.to_owned(), item.text("content")?.to_owned());
    Ok(Message::Said { role, content })
}

/// Every prompt in the graph, whatever it is that names it there.
fn composed_of(body: &Object<'_>) -> Result<Vec<Slug>, Misfit> {
    let Some(graph) = body.fields.get("resolutionGraph").filter(|graph| !graph.is_null()) else {
        return Ok(Vec::new());
    };
    let graph = Object::of(graph, "resolutionGraph".to_owned())?;
    let place = "resolutionGraph.dependencies".to_owned();
    let by_parent = Object::of(graph.required("dependencies")?, place.clone())?;
    let mut slugs = BTreeSet::new();
    for list in by_parent.fields.values() {
        // Parents are called by ids, which say nothing to a reader.
        let list =
            list.as_array().ok_or_else(|| graph.must_be("dependencies", "an object of lists"))?;
        for dependency in list {
            let dependency = Object::of(dependency, place.clone())?;
            let slug = Slug::foreign(dependency.text("name")?);
            slugs
                .insert(slug.map_err(|invalid| dependency.misfit("name", Problem::Name(invalid)))?);
        }
    }
    Ok(slugs.into_iter().collect())
}

/// The id of a prompt: made of its name and the origin's, since that is all that a list tells.
pub(super) fn prompt_id(origin: &OriginName, slug: &Slug) -> PromptId {
    PromptId(made_of(["prompt", origin.as_str(), slug.as_str()]))
}

/// Changes with the list that is delivered.
pub(super) fn validator_of(listed: &[Listed]) -> Validator {
    let mut hash = Sha256::new();
    for line in listed {
        hash.update(line.id.0);
        hash.update(line.current_version.unwrap_or_default().to_le_bytes());
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Validator(hex.into())
}

fn kept_or_made(kind: &str, id: &str) -> Uuid {
    Uuid::try_parse(id).unwrap_or_else(|_| made_of([kind, "", id]))
}

/// A UUID of version 8 (RFC 9562 §5.8): the first bytes of a SHA-256, always the same for the same
/// words.
fn made_of(words: [&str; 3]) -> Uuid {
    let mut hash = Sha256::new_with_prefix("langfuse");
    for word in words {
        hash.update((word.len() as u64).to_le_bytes());
        hash.update(word);
    }
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash.finalize()).for_each(|(byte, hashed)| *byte = hashed);
    Builder::from_custom_bytes(bytes).into_uuid()
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0)
}

/// An object, and where in the answer it stands. What it says of a misfit never repeats what is
/// there.
struct Object<'v> {
    fields: &'v Map<String, Value>,
    place: String,
}

impl<'v> Object<'v> {
    fn of(value: &'v Value, place: String) -> Result<Self, Misfit> {
        match value.as_object() {
            Some(fields) => Ok(Self { fields, place }),
            None => {
                let place = if place.is_empty() { "the answer".to_owned() } else { place };
                Err(Misfit { place, problem: Problem::Unfit { expected: "an object" } })
            }
        }
    }

    fn required(&self, key: &'static str) -> Result<&'v Value, Misfit> {
        self.fields.get(key).ok_or_else(|| self.misfit(key, Problem::Missing))
    }

    fn text(&self, key: &'static str) -> Result<&'v str, Misfit> {
        self.required(key)?.as_str().ok_or_else(|| self.must_be(key, "a text"))
    }

    fn list(&self, key: &'static str) -> Result<&'v [Value], Misfit> {
        let list = self.required(key)?.as_array().map(Vec::as_slice);
        list.ok_or_else(|| self.must_be(key, "a list"))
    }

    fn numbers(&self, key: &'static str) -> Result<Vec<u32>, Misfit> {
        let numbers = self.list(key)?.iter().map(number).collect::<Option<_>>();
        numbers.ok_or_else(|| self.must_be(key, "a list of version numbers"))
    }

    fn texts(&self, key: &'static str) -> Result<Vec<String>, Misfit> {
        let texts = self.list(key)?.iter().map(|item| item.as_str().map(ToOwned::to_owned));
        texts.collect::<Option<_>>().ok_or_else(|| self.must_be(key, "a list of texts"))
    }

    fn moment(&self, key: &'static str) -> Result<Timestamp, Misfit> {
        let moment = Timestamp::parse(self.text(key)?);
        moment.ok_or_else(|| self.must_be(key, "a moment, such as `2026-03-01T12:00:00.000Z`"))
    }

    fn must_be(&self, key: &'static str, expected: &'static str) -> Misfit {
        self.misfit(key, Problem::Unfit { expected })
    }

    fn misfit(&self, key: &'static str, problem: Problem) -> Misfit {
        let place = match self.place.as_str() {
            "" => key.to_owned(),
            place => format!("{place}.{key}"),
        };
        Misfit { place, problem }
    }
}

/// The rows of a page that is full.
const MAX_ROWS: usize = 100;
