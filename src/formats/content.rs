//! A version's content as JSON.
//!
//! ```json
//! {"blocks":[{"type":"role","title":"Role","content":"…","enabled":true}],
//!  "variables":[{"name":"tone","description":"","required":false,"default":"friendly"}],
//!  "model_config":{"temperature":0.70},
//!  "input_schema":{"type":"object"}}
//! ```
//!
//! `default` and `input_schema` are left out where there is none; a `null` there is a value.
//!
//! What another platform does not have in sections has another field in the place of `blocks`:
//!
//! ```json
//! {"text":"You are {{who}}.", …}
//! {"messages":[{"role":"system","content":"You are {{who}}."},
//!              {"type":"placeholder","name":"history"}], …}
//! ```
//!
//! # Invariants
//!
//! 1. Reading what was written gives the same content: numbers digit for digit, keys in their
//!    order. Only an exponent has one spelling, `1e+400`, from the moment it is first read.
//!    (`tests::reading_what_was_written_changes_nothing`)
//! 2. Every version ever stored is identified by the hash of this form: the order of the fields
//!    and which of them are left out never change. (`tests::the_commit_hash_is_frozen`)

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use sha2::Digest;
use sha2::Sha256;

use crate::compile::template;
use crate::formats::fields::{Fields, Misfit, Place, Problem, flag, list, map, text, verbatim};
use crate::model::{Block, BlockKind, Content, Layout, Message, Variable};

/// Why a text is not a version's content.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is JSON, but a field does not fit.
    #[error(transparent)]
    Field(#[from] Misfit),

    /// It is not JSON.
    #[error("not JSON: {0}")]
    Json(serde_json::Error),
}

/// Writes content as compact JSON, always the same for the same content.
pub fn to_json(content: &Content) -> String {
    #[expect(clippy::expect_used, reason = "texts, flags and JSON values always have a JSON form")]
    serde_json::to_string(&Shape::from(content)).expect("every field has a JSON form")
}

/// Reads content back.
///
/// # Errors
///
/// If the text is not JSON, a field is missing, unknown or of the wrong type, or a variable's name
/// is not one or is declared twice. The message names the field.
pub fn from_json(json: &str) -> Result<Content, Error> {
    let value = serde_json::from_str(json).map_err(Error::Json)?;
    Ok(of(value, &Place::Root)?)
}

/// The SHA-256 of [`to_json`] in lower-case hex: a version's `commit`.
///
/// The order of keys and the digits of numbers count: `0.70` and `0.7` are two contents.
pub fn commit_hash(content: &Content) -> String {
    Sha256::digest(to_json(content)).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The fields of content, wherever it stands.
const FIELDS: &[&str] =
    &["blocks", "text", "messages", "variables", "model_config", "input_schema"];

/// Reads an object that is content and nothing else.
pub(super) fn of(value: Value, place: &Place<'_>) -> Result<Content, Misfit> {
    read(&mut Fields::open(value, place, FIELDS)?)
}

/// Takes content's fields out of an object that may have others.
pub(super) fn read(fields: &mut Fields<'_>) -> Result<Content, Misfit> {
    Ok(Content {
        layout: layout(fields)?,
        variables: fields.optional("variables", variables)?.unwrap_or_default(),
        model_config: fields.optional("model_config", map)?.unwrap_or_default(),
        input_schema: fields.optional("input_schema", verbatim)?,
    })
}

/// Takes the one field that says what the text is.
fn layout(fields: &mut Fields<'_>) -> Result<Layout, Misfit> {
    let blocks = fields.optional("blocks", |value, place| list(value, place, block))?;
    let text = fields.optional("text", text)?;
    let messages = fields.optional("messages", |value, place| list(value, place, message))?;

    let given =
        [blocks.map(Layout::Sections), text.map(Layout::Verbatim), messages.map(Layout::Chat)];
    let mut given = given.into_iter().flatten();
    match (given.next(), given.next()) {
        (None, _) => Err(fields.misfit("blocks", Problem::Missing)),
        (Some(layout), None) => Ok(layout),
        (Some(_), Some(_)) => {
            Err(fields.place().must_be("one text: in `blocks`, in `text` or in `messages`"))
        }
    }
}

fn message(value: Value, place: &Place<'_>) -> Result<Message, Misfit> {
    if value.get("type").is_none() {
        let mut fields = Fields::open(value, place, &["role", "content"])?;
        return Ok(Message::Said {
            role: fields.required("role", text)?,
            content: fields.required("content", text)?,
        });
    }
    let mut fields = Fields::open(value, place, &["type", "name"])?;
    fields.required("type", |value, place| {
        (value == PLACEHOLDER).then_some(()).ok_or_else(|| place.must_be("`placeholder`"))
    })?;
    Ok(Message::Placeholder { name: fields.required("name", text)? })
}

/// What a message's `type` says, where it has one.
const PLACEHOLDER: &str = "placeholder";

fn block(value: Value, place: &Place<'_>) -> Result<Block, Misfit> {
    let mut fields = Fields::open(value, place, &["type", "title", "content", "enabled"])?;
    Ok(Block {
        kind: fields.required("type", block_kind)?,
        title: fields.optional("title", text)?.unwrap_or_default(),
        content: fields.required("content", text)?,
        enabled: fields.optional("enabled", flag)?.unwrap_or(true),
    })
}

fn block_kind(value: Value, place: &Place<'_>) -> Result<BlockKind, Misfit> {
    value.as_str().and_then(BlockKind::parse).ok_or_else(|| {
        place.must_be("one of context, custom, guardrails, instructions, output_format, role")
    })
}

/// Reads a list of variables whose names differ.
pub(super) fn variables(value: Value, place: &Place<'_>) -> Result<Vec<Variable>, Misfit> {
    let variables = list(value, place, |value, place| {
        let known = &["name", "description", "required", "default"];
        let mut fields = Fields::open(value, place, known)?;
        let name = fields.required("name", text)?;
        variable(name, &mut fields, &place.key("name"))
    })?;

    let mut names = HashSet::new();
    match variables.iter().position(|variable| !names.insert(variable.name.as_str())) {
        Some(second) => Err(place.index(second).key("name").misfit(Problem::Repeated)),
        None => Ok(variables),
    }
}

/// Reads what is said of the variable called `name`, which stands at `place`.
pub(super) fn variable(
    name: String,
    fields: &mut Fields<'_>,
    place: &Place<'_>,
) -> Result<Variable, Misfit> {
    if !template::is_name(&name) {
        return Err(place.must_be(
            "a variable name: a letter or `_`, then letters, digits, `_` or `-`; \
             dots lead into objects and lists, as in `order.items.0`",
        ));
    }
    Ok(Variable {
        name,
        description: fields.optional("description", text)?.unwrap_or_default(),
        required: fields.optional("required", flag)?.unwrap_or(false),
        default: fields.optional("default", verbatim)?,
    })
}

/// Content as it is written.
#[derive(Serialize)]
pub(super) struct Shape<'a> {
    #[serde(flatten)]
    pub(super) layout: LayoutShape<'a>,
    pub(super) variables: Vec<VariableShape<'a>>,
    pub(super) model_config: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_schema: Option<&'a Value>,
}

impl<'a> From<&'a Content> for Shape<'a> {
    fn from(content: &'a Content) -> Self {
        Self {
            layout: LayoutShape::from(&content.layout),
            variables: content.variables.iter().map(VariableShape::from).collect(),
            model_config: &content.model_config,
            input_schema: content.input_schema.as_ref(),
        }
    }
}

/// A layout as it is written: one field, named after what it holds.
#[derive(Serialize)]
pub(super) enum LayoutShape<'a> {
    #[serde(rename = "blocks")]
    Sections(Vec<BlockShape<'a>>),
    #[serde(rename = "messages")]
    Chat(Vec<MessageShape<'a>>),
    #[serde(rename = "text")]
    Verbatim(&'a str),
}

impl<'a> From<&'a Layout> for LayoutShape<'a> {
    fn from(layout: &'a Layout) -> Self {
        match layout {
            Layout::Chat(messages) => Self::Chat(messages.iter().map(MessageShape::from).collect()),
            Layout::Sections(blocks) => {
                Self::Sections(blocks.iter().map(BlockShape::from).collect())
            }
            Layout::Verbatim(text) => Self::Verbatim(text),
        }
    }
}

/// A message as it is written.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum MessageShape<'a> {
    Placeholder {
        #[serde(rename = "type")]
        kind: &'static str,
        name: &'a str,
    },
    Said {
        role: &'a str,
        content: &'a str,
    },
}

impl<'a> From<&'a Message> for MessageShape<'a> {
    fn from(message: &'a Message) -> Self {
        match message {
            Message::Placeholder { name } => Self::Placeholder { kind: PLACEHOLDER, name },
            Message::Said { role, content } => Self::Said { role, content },
        }
    }
}

/// A block as it is written.
#[derive(Serialize)]
pub(super) struct BlockShape<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    content: &'a str,
    enabled: bool,
}

impl<'a> From<&'a Block> for BlockShape<'a> {
    fn from(block: &'a Block) -> Self {
        Self {
            kind: block.kind.as_str(),
            title: &block.title,
            content: &block.content,
            enabled: block.enabled,
        }
    }
}

/// A variable as it is written.
#[derive(Serialize)]
pub(super) struct VariableShape<'a> {
    name: &'a str,
    description: &'a str,
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<&'a Value>,
}

impl<'a> From<&'a Variable> for VariableShape<'a> {
    fn from(variable: &'a Variable) -> Self {
        Self {
            name: &variable.name,
            description: &variable.description,
            required: variable.required,
            default: variable.default.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = concat!(
        r#"{"blocks":[{"type":"role","title":"Role","content":"You are {{who}}.\n","enabled":true},"#,
        r#"{"type":"output_format","title":"","content":"","enabled":false}],"#,
        r#""variables":[{"name":"who","description":"Whom to be","required":true},"#,
        r#"{"name":"order.items.0","description":"","required":false,"default":null}],"#,
        r#""model_config":{"z":0.70,"a":1e+400,"big":123456789012345678901234567890},"#,
        r#""input_schema":{"type":"object","properties":{"who":{"default":[1.0]}}}}"#,
    );

    const VERBATIM: &str = r#"{"text":"You are {{who}}.\n\n","variables":[],"model_config":{}}"#;

    const CHAT: &str = concat!(
        r#"{"messages":[{"role":"system","content":"You are {{who}}."},"#,
        r#"{"type":"placeholder","name":"history"},{"role":"","content":""}],"#,
        r#""variables":[],"model_config":{"model":"gpt-4o"}}"#,
    );

    fn problem(json: &str) -> String {
        from_json(json).unwrap_err().to_string()
    }

    #[test]
    fn reading_what_was_written_changes_nothing() {
        let empty = r#"{"blocks":[],"variables":[],"model_config":{}}"#;

        for json in [FULL, empty, VERBATIM, CHAT] {
            assert_eq!(to_json(&from_json(json).unwrap()), json);
        }
        assert_eq!(from_json(empty).unwrap(), Content::default());
    }

    #[test]
    fn an_exponent_has_one_spelling() {
        for number in ["1e400", "1E400", "1e+400", "1E+400"] {
            let json = FULL.replace("1e+400", number);
            assert_eq!(to_json(&from_json(&json).unwrap()), FULL, "of {number}");
        }
    }

    #[test]
    fn a_default_of_null_is_not_the_absence_of_one() {
        let content = from_json(FULL).unwrap();

        assert_eq!(content.variables[0].default, None);
        assert_eq!(content.variables[1].default, Some(Value::Null));
    }

    #[test]
    fn the_commit_hash_is_frozen() {
        assert_eq!(
            commit_hash(&from_json(FULL).unwrap()),
            "c07f67398442744f48d2f438565e55d511b2182841a5e0e578c5a8c084d8b051"
        );
        assert_eq!(
            commit_hash(&Content::default()),
            "2cd8a49812a340786c57e8e476de0064057e069a1fd35bb26337fa033f6c88c2"
        );
        assert_eq!(
            commit_hash(&from_json(CHAT).unwrap()),
            "517d5cfe2bd341c29cc440755e03950988636a6156117f752159cbf508c04c2d"
        );
        assert_eq!(
            commit_hash(&from_json(VERBATIM).unwrap()),
            "6ab08106d952152b2466def46d16fe2dd99f18d42d1179dbcea9ef26104843e5"
        );
    }

    #[test]
    fn the_digits_of_a_number_are_part_of_the_hash() {
        let other = FULL.replace("0.70", "0.7");

        let hash = |json: &str| commit_hash(&from_json(json).unwrap());
        assert_ne!(hash(FULL), hash(&other));
    }

    #[test]
    fn what_may_be_left_out_has_a_plain_meaning() {
        let content = from_json(r#"{"blocks":[{"type":"custom","content":"Hi"}]}"#).unwrap();

        assert_eq!(content.blocks()[0].title, "");
        assert!(content.blocks()[0].enabled);
        assert_eq!(content.input_schema, None);
    }

    #[test]
    fn an_error_names_the_field() {
        for (json, expected) in [
            ("[]", "the document must be an object"),
            ("{}", "blocks is missing"),
            (r#"{"blocks":{}}"#, "blocks must be a list"),
            (r#"{"blocks":[],"block":1}"#, "block is not a known field: known are blocks, "),
            (r#"{"blocks":[{"type":"rule","content":""}]}"#, "blocks[0].type must be one of "),
            (r#"{"blocks":[{"type":"role"}]}"#, "blocks[0].content is missing"),
            (r#"{"blocks":[],"variables":[{"name":"9"}]}"#, "variables[0].name must be a variable"),
            (
                r#"{"blocks":[],"variables":[{"name":"a"},{"name":"a"}]}"#,
                "variables[1].name is there twice",
            ),
            (r#"{"blocks":[],"model_config":[]}"#, "model_config must be an object"),
            (r#"{"blocks":[],"text":""}"#, "the document must be one text: in `blocks`, in "),
            (r#"{"text":"","messages":[]}"#, "the document must be one text: in `blocks`, in "),
            (r#"{"text":[]}"#, "text must be a text"),
            (r#"{"messages":[{"role":"user"}]}"#, "messages[0].content is missing"),
            (r#"{"messages":[{"type":"tool","name":"a"}]}"#, "messages[0].type must be `place"),
            (r#"{"messages":[{"type":"placeholder"}]}"#, "messages[0].name is missing"),
            (
                r#"{"messages":[{"role":"user","content":"","name":"a"}]}"#,
                "messages[0].name is not a known field: known are role, content",
            ),
            ("{", "not JSON: EOF while parsing an object at line 1 column 1"),
        ] {
            let problem = problem(json);
            assert!(problem.starts_with(expected), "{json} should say {expected:?}: {problem}");
        }
    }

    #[test]
    fn an_error_never_repeats_the_text_of_a_prompt() {
        let json = r#"{"blocks":[{"type":"secret text","content":["secret text"]}]}"#;

        assert!(!problem(json).contains("secret"));
    }
}
