//! PromptOT's wire types, field for field. Version 1 only grows by optional fields.

use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

use crate::delivery::{ListShape, Message, Page, Shape, Shaped, View};
use crate::model::{self, Listed};
use crate::wire::{ETag, json};

/// `{"data": …, "error": null}`.
#[derive(Serialize)]
struct Envelope<T> {
    data: T,
    error: Option<()>,
}

/// `GET /api/v1/prompts/{prompt}/compiled`.
pub struct Compiled;

/// What stands behind `prompt`, the text itself.
#[derive(Serialize)]
struct CompiledBody<'a> {
    /// A string here, an integer in [`DeliveredBody`]: as the vendor prints them.
    version: String,
    tokens: u64,
    variables_used: Vec<&'a str>,
    prompt_id: String,
    project_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<MessageBody<'a>>>,
}

/// A message as Langfuse compiles it.
#[derive(Serialize)]
#[serde(untagged)]
enum MessageBody<'a> {
    Inserted(&'a Value),
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

impl<'a> From<&'a Message<'a>> for MessageBody<'a> {
    fn from(message: &'a Message<'a>) -> Self {
        match message {
            Message::Inserted(message) => Self::Inserted(message),
            Message::Own(model::Message::Placeholder { name }) => {
                Self::Placeholder { kind: "placeholder", name }
            }
            Message::Own(model::Message::Said { role, content }) => Self::Said { role, content },
        }
    }
}

/// The messages of a chat prompt: there are none, not even an empty list, of any other.
fn messages<'a>(page: &Page<'a>) -> Option<Vec<MessageBody<'a>>> {
    let messages = page.compiled.messages.as_ref()?;
    Some(messages.iter().map(MessageBody::from).collect())
}

impl Shape for Compiled {
    fn name(&self) -> &'static str {
        "promptot/compiled"
    }

    fn view(&self) -> Option<View> {
        Some(View::Compiled)
    }

    fn write(&self, page: &Page<'_>) -> Shaped {
        let text = &page.compiled.text;
        let mut body = Vec::with_capacity(text.len() + text.len() / 8 + BESIDE_TEXT_BYTES);
        body.extend_from_slice(br#"{"data":{"prompt":"#);
        json::push_string(&mut body, text);
        let behind_text = body.len();
        append_json(
            &mut body,
            &CompiledBody {
                version: page.edition.version.number.to_string(),
                tokens: page.compiled.tokens(),
                variables_used: page.prepared.names().collect(),
                prompt_id: page.edition.prompt.id.0.to_string(),
                project_id: page.edition.project.to_string(),
                messages: messages(page),
            },
        );
        // Both are one object.
        if let Some(brace) = body.get_mut(behind_text) {
            *brace = b',';
        }
        body.extend_from_slice(br#","error":null}"#);
        Shaped { etag: ETag::of(&body), body }
    }
}

/// `GET /api/v1/prompts/{prompt}`: the frozen delivery shape.
pub struct Delivered;

#[derive(Serialize)]
struct DeliveredBody<'a> {
    id: String,
    name: &'a str,
    compiled_prompt: &'a str,
    model_config: &'a Map<String, Value>,
    variables: Vec<DeliveredVariable<'a>>,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<MessageBody<'a>>>,
    /// The header's value, quotes included. Computed over the representation without this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<&'a str>,
}

#[derive(Serialize)]
struct DeliveredVariable<'a> {
    key: &'a str,
    default_value: Option<String>,
}

impl Shape for Delivered {
    fn name(&self) -> &'static str {
        "promptot/delivered"
    }

    fn view(&self) -> Option<View> {
        Some(View::Delivered)
    }

    fn write(&self, page: &Page<'_>) -> Shaped {
        let write = |etag: Option<&str>| {
            to_json(&Envelope {
                data: DeliveredBody {
                    id: page.edition.prompt.id.0.to_string(),
                    name: &page.edition.prompt.name,
                    compiled_prompt: &page.compiled.text,
                    model_config: &page.edition.version.content.model_config,
                    variables: variables(page),
                    version: page.edition.version.number,
                    messages: messages(page),
                    etag,
                },
                error: None,
            })
        };
        let etag = ETag::of(&write(None));
        Shaped { body: write(Some(etag.as_str())), etag }
    }
}

/// Every variable that occurs, first appearance first, then those that are only declared.
fn variables<'a>(page: &Page<'a>) -> Vec<DeliveredVariable<'a>> {
    let declared = page.edition.version.content.variables.iter().map(|v| v.name.as_str());
    let unused = declared.filter(|name| !page.prepared.names().any(|used| used == *name));
    let all = page.prepared.names().chain(unused).map(|key| DeliveredVariable {
        key,
        default_value: page.prepared.default_of(key).map(Into::into),
    });
    all.collect()
}

/// `GET /api/v1/prompts`.
pub struct Prompts;

#[derive(Serialize)]
struct ListedBody<'a> {
    id: String,
    name: &'a str,
    slug: &'a str,
    current_version: Option<String>,
}

impl ListShape for Prompts {
    fn name(&self) -> &'static str {
        "promptot/prompts"
    }

    fn write(&self, listed: &[Listed]) -> Shaped {
        let prompts: Vec<_> = listed
            .iter()
            .map(|prompt| ListedBody {
                id: prompt.id.0.to_string(),
                name: &prompt.name,
                slug: prompt.slug.as_str(),
                current_version: prompt.current_version.map(|number| number.to_string()),
            })
            .collect();
        let body = to_json(&Envelope { data: prompts, error: None });
        Shaped { etag: ETag::of(&body), body }
    }
}

fn to_json(body: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::new();
    append_json(&mut json, body);
    json
}

/// The types above have string keys and no fallible parts, and memory takes whatever is written.
fn append_json(json: &mut Vec<u8>, body: &impl Serialize) {
    let _ = serde_json::to_writer(json, body);
}

/// What the body of a compiled prompt has beside its text, if its names are few.
const BESIDE_TEXT_BYTES: usize = 384;
