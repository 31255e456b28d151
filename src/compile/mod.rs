//! Version + variables → text and token count.
//!
//! Pure and deterministic: no IO, no clock, no randomness. The work is split by how often it is
//! done:
//!
//! 1. once per version: [`Prepared::new`] joins the enabled blocks, parses the result and collects
//!    the defaults;
//! 2. once per request that no cache answers: [`Prepared::resolve`] finds each variable's value;
//!    its [`Resolved::canonical`] form says whether the same text was rendered before;
//! 3. once per distinct set of values: [`Prepared::render`] writes the text, [`Compiled::tokens`]
//!    counts it.
//!
//! Blocks join as `## {title}\n{content}\n`, one blank line between two of them, one `\n` at the
//! end; an untitled block is its content alone. A verbatim text is what it is. Of messages there
//! are both a text and the messages themselves ([`chat`]). A value is looked for in the request, then in the
//! declared defaults (a schema's `default` counts as declared), then in the environment's.
//! What a missing value means is the dialect's decision: [`Resolved`] only reports it.

pub mod chat;
pub mod template;
pub mod tokens;

use std::borrow::Cow;

use serde_json::Map;
use serde_json::Value;

use crate::model::{Block, Content, Layout};

use chat::{Chat, Filling, Insertion};
use template::{Template, lookup, text_of};
use tokens::{Encoding, Fixed};

pub use chat::Message;

/// A version ready to be rendered.
#[derive(Debug)]
pub struct Prepared {
    template: Template,
    chat: Option<Chat>,
    required: Vec<Box<str>>,
    declared: Map<String, Value>,
    environment: Map<String, Value>,
    encoding: Encoding,
    /// What the origin counted, where it is the one that compiles.
    counted: Option<u64>,
    fixed: Fixed,
}

/// The value of every variable of a [`Prepared`] version, for one request.
#[derive(Debug)]
pub struct Resolved<'a> {
    prepared: &'a Prepared,
    request: &'a Map<String, Value>,
    /// One per name of the template, in its order.
    values: Vec<Option<Cow<'a, str>>>,
    /// One per placeholder of a chat prompt.
    insertions: Vec<Option<Insertion<'a>>>,
}

/// A compiled prompt.
#[derive(Clone, Debug)]
pub struct Compiled<'a> {
    /// The text; that of a chat prompt stands in sections.
    pub text: String,
    /// The messages of a chat prompt.
    pub messages: Option<Vec<Message<'a>>>,
    prepared: &'a Prepared,
    /// Where each piece of the template begins in the text, if that is all it is made of.
    starts: Option<Vec<usize>>,
}

impl Compiled<'_> {
    /// How many tokens the text has: as its origin counted them, else by the encoding of the
    /// prompt's model. What every text of the prompt has in common is counted once for all.
    pub fn tokens(&self) -> u64 {
        let Prepared { template, encoding, counted, fixed, .. } = self.prepared;
        counted.unwrap_or_else(|| {
            let tokens = match &self.starts {
                Some(starts) => fixed.count(*encoding, template.fixed(), &self.text, starts),
                None => encoding.count(&self.text),
            };
            tokens as u64
        })
    }
}

/// The compiled text would be longer than is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the compiled prompt would have {len_bytes} bytes")]
pub struct TooLong {
    /// How long it would be.
    pub len_bytes: usize,
}

impl Prepared {
    /// Prepares a version's content, with the defaults that hold in its environment.
    pub fn new(content: &Content, environment: Map<String, Value>) -> Self {
        let required = content.variables.iter().filter(|variable| variable.required);
        let (template, chat) = match &content.layout {
            Layout::Chat(messages) => {
                let (template, chat) = Chat::lay_out(messages);
                (template, Some(chat))
            }
            Layout::Sections(blocks) => (Template::parse(&join(blocks)), None),
            Layout::Verbatim(text) => (Template::parse(text), None),
        };

        Self {
            template,
            chat,
            required: required.map(|variable| variable.name.as_str().into()).collect(),
            declared: declared(content),
            environment,
            encoding: encoding(content),
            counted: None,
            fixed: Fixed::default(),
        }
    }

    /// A text that the prompt's origin compiled: it is what it is, whatever a request gives.
    pub fn literal(
        content: &Content,
        text: String,
        tokens: Option<u64>,
        used: Vec<String>,
    ) -> Self {
        Self {
            template: Template::literal(text, used),
            chat: None,
            required: Vec::new(),
            declared: declared(content),
            environment: Map::new(),
            encoding: encoding(content),
            counted: tokens,
            fixed: Fixed::default(),
        }
    }

    /// How many tokens the origin counted, where it is the one that compiles.
    pub fn counted(&self) -> Option<u64> {
        self.counted
    }

    /// The joined text with its placeholders untouched.
    pub fn source(&self) -> &str {
        self.template.source()
    }

    /// Every variable that occurs, first appearance first.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.template.names()
    }

    /// The declared default of a variable, as it would be inserted.
    pub fn default_of(&self, name: &str) -> Option<Cow<'_, str>> {
        lookup(&self.declared, name).map(text_of)
    }

    /// Finds the value of every variable. `request` may hold names that do not occur.
    pub fn resolve<'a>(&'a self, request: &'a Map<String, Value>) -> Resolved<'a> {
        let values = self.names().map(|name| self.value_of(request, name).map(text_of)).collect();
        let insertions = self
            .chat
            .as_ref()
            .map_or_else(Vec::new, |chat| chat.insertions(|name| self.value_of(request, name)));
        Resolved { prepared: self, request, values, insertions }
    }

    /// Writes the text.
    ///
    /// # Errors
    ///
    /// If the text, with any messages beside it, would have more than `max_bytes`; nothing is
    /// written then.
    ///
    /// # Cost
    ///
    /// One allocation, one pass (`benches/compile.rs`). Where [`Resolved::is_costly`] says so, this
    /// and the count belong on a blocking thread.
    pub fn render<'a>(
        &'a self,
        resolved: &Resolved<'a>,
        max_bytes: usize,
    ) -> Result<Compiled<'a>, TooLong> {
        let Some(chat) = &self.chat else {
            within(max_bytes, self.template.rendered_len(&resolved.values))?;
            let (text, starts) = self.template.render(&resolved.values);
            return Ok(Compiled { text, messages: None, prepared: self, starts: Some(starts) });
        };
        let filling = Filling { values: &resolved.values, insertions: &resolved.insertions };
        within(max_bytes, chat.len_bytes(&self.template, filling))?;
        let messages = chat.messages(&self.template, filling);
        let text = chat.text(&self.template, filling);
        Ok(Compiled { text, messages: Some(messages), prepared: self, starts: None })
    }

    /// The joined text itself as the result: placeholders, escapes and all.
    pub fn render_unresolved(&self) -> Compiled<'_> {
        let messages = self.chat.as_ref().map(|chat| chat.unresolved(&self.template));
        Compiled { text: self.source().to_owned(), messages, prepared: self, starts: None }
    }

    /// About how many bytes of memory it takes.
    pub fn weight_bytes(&self) -> usize {
        let maps = weight_of(&self.declared) + weight_of(&self.environment);
        // A piece or a name is at most 40 bytes, and at least two bytes of source stand for one.
        let template = self.source().len() * 2;
        let names: usize = self.names().map(|name| name.len() + 80).sum();
        template + names + maps + self.chat.as_ref().map_or(0, Chat::weight_bytes)
    }

    fn value_of<'a>(&'a self, request: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
        let places = [request, &self.declared, &self.environment];
        places.into_iter().find_map(|values| lookup(values, name))
    }
}

impl Resolved<'_> {
    /// Every variable declared as required that has no value, in the order of declaration.
    pub fn missing_required(&self) -> Vec<&str> {
        let required = self.prepared.required.iter().map(AsRef::as_ref);
        required.filter(|name| self.prepared.value_of(self.request, name).is_none()).collect()
    }

    /// Every variable that occurs and has no value, first appearance first.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        let named = self.prepared.names().zip(&self.values);
        named.filter(|(_, value)| value.is_none()).map(|(name, _)| name)
    }

    /// Every name of the request that no variable draws on, in the order given.
    pub fn unused(&self) -> impl Iterator<Item = &str> {
        let draws_on = |key: &str, name: &str| {
            name == key || (name.starts_with(key) && name.as_bytes().get(key.len()) == Some(&b'.'))
        };
        let names = self.request.keys().map(String::as_str);
        names.filter(move |key| !self.prepared.names().any(|name| draws_on(key, name)))
    }

    /// What decides the text: every variable that has a value, sorted by name, as it is inserted.
    ///
    /// Two requests that differ in the order of their names, in blanks, in names that do not occur,
    /// or in stating a default, have one canonical form. Lengths stand before names and values, and
    /// a version has as many placeholders at the end of each, so no two different sets of values
    /// share one.
    pub fn canonical(&self) -> Box<[u8]> {
        let mut named: Vec<_> = self.prepared.names().zip(&self.values).collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        let valued = named.into_iter().filter_map(|(name, value)| Some([name, value.as_deref()?]));
        let parts: Vec<_> = valued.flatten().collect();
        let lens = parts.iter().map(|part| size_of::<u64>() + part.len());
        // It is kept: more than it needs would be kept too.
        let mut form = Vec::with_capacity(lens.sum::<usize>() + self.insertions.len());
        for part in parts {
            form.extend_from_slice(&(part.len() as u64).to_le_bytes());
            form.extend_from_slice(part.as_bytes());
        }
        // A text that spells out a list of messages is no list of messages.
        form.extend(self.insertions.iter().map(|insertion| u8::from(insertion.is_some())));
        form.into()
    }

    /// Whether rendering and counting take long enough to hold up an async worker: more than about 100 µs.
    pub fn is_costly(&self) -> bool {
        /// Up to here a count takes tens of µs, measured on prose in o200k_base.
        const CHEAP_BYTES: usize = 16 * 1024;
        !self.prepared.encoding.is_warm()
            || self.prepared.template.rendered_len(&self.values) > CHEAP_BYTES
    }
}

/// The defaults that a version declares: a variable's own before its schema's.
fn declared(content: &Content) -> Map<String, Value> {
    let mut declared = schema_defaults(content.input_schema.as_ref());
    for variable in &content.variables {
        if let Some(default) = &variable.default {
            declared.insert(variable.name.clone(), default.clone());
        }
    }
    declared
}

fn encoding(content: &Content) -> Encoding {
    Encoding::of_model(content.model_config.get("model").and_then(Value::as_str))
}

fn within(max_bytes: usize, len_bytes: usize) -> Result<(), TooLong> {
    if len_bytes > max_bytes { Err(TooLong { len_bytes }) } else { Ok(()) }
}

/// About how many bytes of memory a map takes.
fn weight_of(values: &Map<String, Value>) -> usize {
    fn value(of: &Value) -> usize {
        size_of::<Value>()
            + match of {
                Value::Null | Value::Bool(_) => 0,
                Value::Number(number) => number.as_str().len(),
                Value::String(text) => text.len(),
                Value::Array(items) => items.iter().map(value).sum(),
                Value::Object(object) => weight_of(object),
            }
    }
    values.iter().map(|(name, of)| name.len() + 64 + value(of)).sum()
}

fn join(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks.iter().filter(|block| block.enabled) {
        let content = block.content.trim_end_matches(['\n', '\r']);
        if block.title.is_empty() && content.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        if !block.title.is_empty() {
            text.extend(["## ", &block.title, "\n"]);
        }
        if !content.is_empty() {
            text.extend([content, "\n"]);
        }
    }
    text
}

/// The `default`s that a JSON Schema's `properties` give.
fn schema_defaults(schema: Option<&Value>) -> Map<String, Value> {
    let properties = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    let defaults = properties.into_iter().flatten().filter_map(|(name, property)| {
        property.get("default").map(|default| (name.clone(), default.clone()))
    });
    defaults.collect()
}

#[cfg(test)]
mod tests;
