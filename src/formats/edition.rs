//! An edition as JSON: what one edge hands to the next, whole and uncompiled.
//!
//! ```json
//! {"project":"a1b2c3d4-e5f6-4a1b-8c3d-4e5f6a7b8c9d",
//!  "prompt":{"id":"…","number":1,"slug":"greeting","name":"Greeting","description":"",
//!            "category":"","visibility":"private","tags":[],"owner":"",
//!            "created_at":"2026-03-01T12:00:00.000Z","updated_at":"2026-03-01T12:00:00.000Z"},
//!  "version":{"id":"…","number":1,"commit":"…","created_at":"2026-03-01T12:00:00.000Z",
//!             "content":{"blocks":[],"variables":[],"model_config":{}}},
//!  "defaults":{}}
//! ```
//!
//! `content` is what [`content`] writes. `composed_of` is there if the prompt is. The list is `{"prompts":[{"id","name","slug",
//! "current_version"}]}`. Both ends of the wire are here, so they cannot drift apart: the dialect
//! for edges writes, the adapter for an edge as an origin reads.
//!
//! # Invariants
//!
//! 1. Reading what was written gives the same edition, so whatever is made of it is the same at
//!    both edges. (`tests::reading_what_was_written_changes_nothing`)
//! 2. What is not understood is refused and never left out: it might decide the text.
//!    (`tests::a_field_that_does_not_fit_is_named`)

use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

use crate::formats::content;
use crate::formats::fields::{
    Fields, Misfit, Place, Problem, list, map, moment, text, uuid, version_number, visibility,
};
use crate::model::{Edition, Listed, Prompt, PromptId, Slug, Version, VersionId};

/// The `code` of the problem that says that there is no such prompt.
pub const NO_PROMPT: &str = "no_prompt";

/// Writes an edition as compact JSON, always the same for the same edition.
pub fn write(edition: &Edition) -> Vec<u8> {
    to_json(&EditionShape::from(edition))
}

/// Reads an edition.
///
/// # Errors
///
/// If a field is missing, unknown, of the wrong type or not what it says it is. The message names
/// the field, such as `version.content.blocks[1].type`.
pub fn read(value: Value) -> Result<Edition, Misfit> {
    const FIELDS: &[&str] = &["project", "prompt", "version", "defaults", "composed_of"];
    let mut fields = Fields::open(value, &Place::Root, FIELDS)?;
    Ok(Edition {
        project: fields.required("project", uuid)?,
        prompt: fields.required("prompt", prompt)?,
        version: fields.required("version", version)?,
        defaults: fields.required("defaults", map)?,
        composed_of: fields
            .optional("composed_of", |value, place| list(value, place, slug))?
            .unwrap_or_default(),
    })
}

/// Writes the list of prompts as compact JSON.
pub fn write_list(listed: &[Listed]) -> Vec<u8> {
    to_json(&ListShape { prompts: listed.iter().map(ListedShape::from).collect() })
}

/// Reads the list of prompts.
///
/// # Errors
///
/// As [`read`]: `prompts[3].slug`.
pub fn read_list(value: Value) -> Result<Vec<Listed>, Misfit> {
    let mut fields = Fields::open(value, &Place::Root, &["prompts"])?;
    fields.required("prompts", |value, place| list(value, place, listed))
}

fn prompt(value: Value, place: &Place<'_>) -> Result<Prompt, Misfit> {
    const FIELDS: &[&str] = &[
        "id",
        "number",
        "slug",
        "name",
        "description",
        "category",
        "visibility",
        "tags",
        "owner",
        "created_at",
        "updated_at",
    ];
    let mut fields = Fields::open(value, place, FIELDS)?;
    Ok(Prompt {
        id: PromptId(fields.required("id", uuid)?),
        number: fields.required("number", number)?,
        slug: fields.required("slug", slug)?,
        name: fields.required("name", text)?,
        description: fields.required("description", text)?,
        category: fields.required("category", text)?,
        visibility: fields.required("visibility", visibility)?,
        tags: fields.required("tags", |value, place| list(value, place, text))?,
        owner: fields.required("owner", text)?,
        created_at: fields.required("created_at", moment)?,
        updated_at: fields.required("updated_at", moment)?,
    })
}

fn version(value: Value, place: &Place<'_>) -> Result<Version, Misfit> {
    const FIELDS: &[&str] = &["id", "number", "commit", "created_at", "content"];
    let mut fields = Fields::open(value, place, FIELDS)?;
    let version = Version {
        id: VersionId(fields.required("id", uuid)?),
        number: fields.required("number", version_number)?,
        content: fields.required("content", content::of)?,
        commit: fields.required("commit", text)?,
        created_at: fields.required("created_at", moment)?,
    };
    match version.commit == content::commit_hash(&version.content) {
        true => Ok(version),
        false => Err(place.key("commit").must_be("the hash of the version's content")),
    }
}

fn listed(value: Value, place: &Place<'_>) -> Result<Listed, Misfit> {
    let mut fields = Fields::open(value, place, &["id", "name", "slug", "current_version"])?;
    Ok(Listed {
        id: PromptId(fields.required("id", uuid)?),
        name: fields.required("name", text)?,
        slug: fields.required("slug", slug)?,
        current_version: fields.required("current_version", |value, place| {
            (!value.is_null()).then(|| version_number(value, place)).transpose()
        })?,
    })
}

/// Reads a slug, or what another platform calls a prompt: the other edge may have it from there.
fn slug(value: Value, place: &Place<'_>) -> Result<Slug, Misfit> {
    let name = text(value, place)?;
    Slug::foreign(&name).map_err(|invalid| place.misfit(Problem::Name(invalid)))
}

fn number(value: Value, place: &Place<'_>) -> Result<i64, Misfit> {
    value.as_i64().ok_or_else(|| place.must_be("a whole number"))
}

#[expect(clippy::expect_used, reason = "texts, numbers and JSON values always have a JSON form")]
fn to_json(shape: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(shape).expect("every field has a JSON form")
}

/// An edition as it is written.
#[derive(Serialize)]
struct EditionShape<'a> {
    project: String,
    prompt: PromptShape<'a>,
    version: VersionShape<'a>,
    defaults: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    composed_of: Vec<&'a str>,
}

impl<'a> From<&'a Edition> for EditionShape<'a> {
    fn from(edition: &'a Edition) -> Self {
        Self {
            project: edition.project.to_string(),
            prompt: PromptShape::from(&edition.prompt),
            version: VersionShape::from(&edition.version),
            defaults: &edition.defaults,
            composed_of: edition.composed_of.iter().map(Slug::as_str).collect(),
        }
    }
}

/// A prompt as it is written.
#[derive(Serialize)]
struct PromptShape<'a> {
    id: String,
    number: i64,
    slug: &'a str,
    name: &'a str,
    description: &'a str,
    category: &'a str,
    visibility: &'static str,
    tags: &'a [String],
    owner: &'a str,
    created_at: String,
    updated_at: String,
}

impl<'a> From<&'a Prompt> for PromptShape<'a> {
    fn from(prompt: &'a Prompt) -> Self {
        Self {
            id: prompt.id.0.to_string(),
            number: prompt.number,
            slug: prompt.slug.as_str(),
            name: &prompt.name,
            description: &prompt.description,
            category: &prompt.category,
            visibility: prompt.visibility.as_str(),
            tags: &prompt.tags,
            owner: &prompt.owner,
            created_at: prompt.created_at.to_string(),
            updated_at: prompt.updated_at.to_string(),
        }
    }
}

/// A version as it is written.
#[derive(Serialize)]
struct VersionShape<'a> {
    id: String,
    number: u32,
    commit: &'a str,
    created_at: String,
    content: content::Shape<'a>,
}

impl<'a> From<&'a Version> for VersionShape<'a> {
    fn from(version: &'a Version) -> Self {
        Self {
            id: version.id.0.to_string(),
            number: version.number,
            commit: &version.commit,
            created_at: version.created_at.to_string(),
            content: content::Shape::from(&version.content),
        }
    }
}

/// The list as it is written.
#[derive(Serialize)]
struct ListShape<'a> {
    prompts: Vec<ListedShape<'a>>,
}

/// A line of the list as it is written.
#[derive(Serialize)]
struct ListedShape<'a> {
    id: String,
    name: &'a str,
    slug: &'a str,
    current_version: Option<u32>,
}

impl<'a> From<&'a Listed> for ListedShape<'a> {
    fn from(listed: &'a Listed) -> Self {
        Self {
            id: listed.id.0.to_string(),
            name: &listed.name,
            slug: listed.slug.as_str(),
            current_version: listed.current_version,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use crate::formats::bundle::tests::{content, moment, object, value};
    use crate::model::{Content, Timestamp, Visibility};

    use super::*;

    /// The JSON of an edition in which nothing is left out.
    fn full() -> Value {
        let content =
            Content { input_schema: Some(json!({"type": "object"})), ..Content::default() };
        let at = Timestamp::from_millis(1_772_366_400_000);
        let edition = Edition {
            project: Uuid::from_u128(1),
            prompt: Prompt {
                id: PromptId(Uuid::from_u128(2)),
                number: 7,
                slug: Slug::foreign("chat/first contact").unwrap(),
                name: "First contact".into(),
                description: "Greets".into(),
                category: "chat".into(),
                visibility: Visibility::Public,
                tags: vec!["warm".into()],
                owner: "us".into(),
                created_at: at,
                updated_at: at,
            },
            version: Version {
                id: VersionId(Uuid::from_u128(3)),
                number: 4,
                commit: content::commit_hash(&content),
                content,
                created_at: at,
            },
            defaults: Map::from_iter([("tone".into(), json!("kind"))]),
            composed_of: vec![Slug::foreign("chat/rules").unwrap()],
        };
        serde_json::from_slice(&write(&edition)).unwrap()
    }

    /// What is said if the value at a JSON pointer is another one.
    fn problem(pointer: &str, other: Value) -> String {
        let mut edition = full();
        *edition.pointer_mut(pointer).unwrap() = other;
        read(edition).unwrap_err().to_string()
    }

    #[test]
    fn a_field_that_does_not_fit_is_named() {
        let block = json!({"blocks": [{"type": "rule", "content": ""}]});
        for (pointer, other, expected) in [
            ("", json!([]), "the document must be an object"),
            ("", json!({"projects": 1}), "projects is not a known field: known are project, "),
            ("", json!({}), "project is missing"),
            ("/project", json!("acme"), "project must be a UUID"),
            ("/prompt/number", json!(0.5), "prompt.number must be a whole number"),
            ("/prompt/slug", json!(""), "prompt.slug is not usable: a name has 1 to 256 bytes"),
            ("/prompt/visibility", json!("all"), "prompt.visibility must be `private` or `public`"),
            ("/version/number", json!(-1), "version.number must be the number of a version"),
            ("/version/created_at", json!("now"), "version.created_at must be a moment"),
            ("/version/commit", json!("00"), "version.commit must be the hash of the version's"),
            ("/version/content", json!({"blocks": [], "x": 1}), "version.content.x is not a known"),
            ("/version/content", block, "version.content.blocks[0].type must be one of context, "),
            ("/version/content", json!({"text": ""}), "version.commit must be the hash of the"),
            (
                "/version/content",
                json!({"audio": ""}),
                "version.content.audio is not a known field",
            ),
            ("/defaults", json!(null), "defaults must be an object"),
            ("/composed_of/0", json!(1), "composed_of[0] must be a text"),
        ] {
            let problem = problem(pointer, other);
            assert!(problem.starts_with(expected), "should say {expected:?}: {problem}");
        }
    }

    #[test]
    fn a_line_of_the_list_that_does_not_fit_is_named() {
        let line = json!({"id": Uuid::nil().to_string(), "name": "A", "slug": "a"});

        let problem = read_list(json!({ "prompts": [line] })).unwrap_err().to_string();

        assert_eq!(problem, "prompts[0].current_version is missing");
    }

    fn prompt() -> impl Strategy<Value = Prompt> {
        let texts = (any::<String>(), any::<String>(), any::<String>(), any::<String>());
        let rest = (any::<bool>(), vec(any::<String>(), 0..3), date(), date());
        (any::<u128>(), any::<i64>(), slug(), texts, rest).prop_map(
            |(id, number, slug, texts, (is_public, tags, created_at, updated_at))| Prompt {
                id: PromptId(Uuid::from_u128(id)),
                number,
                slug,
                name: texts.0,
                description: texts.1,
                category: texts.2,
                visibility: if is_public { Visibility::Public } else { Visibility::Private },
                tags,
                owner: texts.3,
                created_at,
                updated_at,
            },
        )
    }

    fn slug() -> impl Strategy<Value = Slug> {
        "[a-z/][a-z /]{0,6}[a-z/]".prop_map(|name| Slug::foreign(&name).unwrap())
    }

    fn version() -> impl Strategy<Value = Version> {
        (any::<u128>(), any::<u32>(), content(), date()).prop_map(
            |(id, number, content, created_at)| Version {
                id: VersionId(Uuid::from_u128(id)),
                number,
                commit: content::commit_hash(&content),
                content,
                created_at,
            },
        )
    }

    fn date() -> impl Strategy<Value = Timestamp> {
        moment().prop_map(Option::unwrap_or_default)
    }

    fn edition() -> impl Strategy<Value = Edition> {
        let slugs = vec(slug(), 0..3);
        (any::<u128>(), prompt(), version(), object(value()), slugs).prop_map(
            |(project, prompt, version, defaults, composed_of)| Edition {
                project: Uuid::from_u128(project),
                prompt,
                version,
                defaults,
                composed_of,
            },
        )
    }

    fn line() -> impl Strategy<Value = Listed> {
        (prompt(), option::of(any::<u32>())).prop_map(|(prompt, current_version)| Listed {
            id: prompt.id,
            name: prompt.name,
            slug: prompt.slug,
            current_version,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn reading_what_was_written_changes_nothing(edition in edition()) {
            let written = write(&edition);

            let again = read(serde_json::from_slice(&written).unwrap()).unwrap();

            prop_assert_eq!(&again, &edition);
            prop_assert_eq!(write(&again), written);
        }

        #[test]
        fn reading_a_written_list_changes_nothing(listed in vec(line(), 0..4)) {
            let written = serde_json::from_slice(&write_list(&listed)).unwrap();

            prop_assert_eq!(read_list(written), Ok(listed));
        }

        #[test]
        fn no_value_is_too_strange_to_read(value in value()) {
            let _ = read(value.clone());
            let _ = read_list(value);
        }
    }
}
