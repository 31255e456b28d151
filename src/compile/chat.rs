//! A chat prompt: one template, of which each message is a part.
//!
//! It has two forms. *Messages*, as its platform compiles them: variables are replaced, and a
//! placeholder gives way to the messages that are its variable's value. And a *text*, for callers
//! that know texts only: `## {Role}\n{content}\n` for each message, one blank line between two of
//! them. In the text an open placeholder is a variable like any other.
//!
//! A value brings messages in if it is a list of objects which each have a `role`; an empty list
//! brings none. They are taken as they are, whatever other fields they have.
//!
//! # Invariants
//!
//! 1. What a placeholder brings in is never scanned for variables, in neither form.
//!    (`what_a_placeholder_brings_in_is_never_scanned` in `src/compile/tests.rs`)
//! 2. Both forms are linear in what is written, and nothing of them is written to measure them.

use std::borrow::Cow;

use serde_json::Value;

use crate::compile::template::{Builder, Part, Template, text_of};
use crate::model;

/// The messages of a prepared version.
#[derive(Debug)]
pub(super) struct Chat {
    turns: Vec<Turn>,
    /// The names of the placeholders, first appearance first, no repeats.
    placeholders: Vec<Box<str>>,
}

/// One message, as parts of the template.
#[derive(Debug)]
enum Turn {
    Placeholder {
        /// Its variable and a line break.
        section: Part,
        /// Index among the placeholders' names.
        name: usize,
    },
    Said {
        /// Title, content, line break.
        section: Part,
        role: Box<str>,
        content: Part,
    },
}

/// A message of a compiled chat prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Brought in by a placeholder, as it was given.
    Inserted(&'a Value),
    /// The prompt's own with its variables replaced, or a placeholder that stays.
    Own(model::Message),
}

/// What a placeholder gives way to.
#[derive(Debug)]
pub(super) struct Insertion<'a> {
    messages: &'a [Value],
    /// The same in sections.
    text: String,
}

/// What a chat prompt is compiled with.
#[derive(Clone, Copy)]
pub(super) struct Filling<'f, 'a> {
    /// One per name of the template, in its order.
    pub(super) values: &'f [Option<Cow<'a, str>>],
    /// One per placeholder; `None` where it stays.
    pub(super) insertions: &'f [Option<Insertion<'a>>],
}

impl Chat {
    /// Lays messages out as one template.
    pub(super) fn lay_out(messages: &[model::Message]) -> (Template, Self) {
        let mut builder = Builder::default();
        let mut turns = Vec::with_capacity(messages.len());
        let mut placeholders: Vec<Box<str>> = Vec::new();
        let mut index = foldhash::HashMap::<&str, usize>::default();
        for message in messages {
            if !turns.is_empty() {
                builder.text("\n");
            }
            turns.push(match message {
                model::Message::Placeholder { name } => {
                    let section = builder.token(name).through(&builder.text("\n"));
                    let name = *index.entry(name).or_insert_with(|| {
                        placeholders.push(name.as_str().into());
                        placeholders.len() - 1
                    });
                    Turn::Placeholder { section, name }
                }
                model::Message::Said { role, content } => {
                    let title = builder.text(&title(role));
                    let content = builder.template(content);
                    let section = title.through(&builder.text("\n"));
                    Turn::Said { section, role: role.as_str().into(), content }
                }
            });
        }
        (builder.finish(), Self { turns, placeholders })
    }

    /// Finds what each placeholder gives way to.
    pub(super) fn insertions<'a>(
        &self,
        value_of: impl Fn(&str) -> Option<&'a Value>,
    ) -> Vec<Option<Insertion<'a>>> {
        self.placeholders.iter().map(|name| Insertion::of(value_of(name)?)).collect()
    }

    /// The length in bytes of both forms together.
    pub(super) fn len_bytes(&self, template: &Template, filling: Filling<'_, '_>) -> usize {
        let mut len = 0_usize;
        self.write_text(template, filling, |text| len = len.saturating_add(text.len()));
        for turn in &self.turns {
            len = len.saturating_add(match turn {
                // Messages brought in are as long as their value's JSON.
                Turn::Placeholder { section, .. } => template.part_len(section, filling.values),
                Turn::Said { role, content, .. } => {
                    role.len() + template.part_len(content, filling.values)
                }
            });
        }
        len
    }

    /// The text form.
    pub(super) fn text(&self, template: &Template, filling: Filling<'_, '_>) -> String {
        let mut written = String::new();
        self.write_text(template, filling, |text| written.push_str(text));
        written
    }

    /// The messages.
    pub(super) fn messages<'a>(
        &self,
        template: &Template,
        filling: Filling<'_, 'a>,
    ) -> Vec<Message<'a>> {
        let mut messages = Vec::with_capacity(self.turns.len());
        for turn in &self.turns {
            match turn {
                Turn::Placeholder { name, .. } => match filling.insertion(*name) {
                    Some(insertion) => {
                        messages.extend(insertion.messages.iter().map(Message::Inserted));
                    }
                    None => messages.push(self.open(*name)),
                },
                Turn::Said { role, content, .. } => {
                    messages.push(said(role, template.part(content, filling.values).collect()));
                }
            }
        }
        messages
    }

    /// The messages as they stand: variables, escapes, placeholders and all.
    pub(super) fn unresolved<'a>(&self, template: &Template) -> Vec<Message<'a>> {
        let message = |turn: &Turn| match turn {
            Turn::Placeholder { name, .. } => self.open(*name),
            Turn::Said { role, content, .. } => said(role, template.source_of(content).to_owned()),
        };
        self.turns.iter().map(message).collect()
    }

    /// About how many bytes of memory it takes.
    pub(super) fn weight_bytes(&self) -> usize {
        /// A turn, and the pieces of title and line breaks in the template.
        const TURN_BYTES: usize = size_of::<Turn>() + 4 * 40;
        let role = |turn: &Turn| match turn {
            Turn::Placeholder { .. } => 0,
            Turn::Said { role, .. } => role.len(),
        };
        let names: usize =
            self.placeholders.iter().map(|name| size_of_val(name) + name.len()).sum();
        self.turns.iter().map(|turn| TURN_BYTES + role(turn)).sum::<usize>() + names
    }

    fn open<'a>(&self, name: usize) -> Message<'a> {
        let name = self.placeholders.get(name).map(ToString::to_string).unwrap_or_default();
        Message::Own(model::Message::Placeholder { name })
    }

    /// Hands the text form over, stretch by stretch.
    fn write_text(
        &self,
        template: &Template,
        filling: Filling<'_, '_>,
        mut write: impl FnMut(&str),
    ) {
        let mut is_first = true;
        for turn in &self.turns {
            let (section, insertion) = match turn {
                Turn::Placeholder { section, name } => (section, filling.insertion(*name)),
                Turn::Said { section, .. } => (section, None),
            };
            if insertion.is_some_and(|insertion| insertion.messages.is_empty()) {
                continue;
            }
            if !is_first {
                write("\n");
            }
            is_first = false;
            match insertion {
                Some(insertion) => write(&insertion.text),
                None => template.part(section, filling.values).for_each(&mut write),
            }
        }
    }
}

impl<'f, 'a> Filling<'f, 'a> {
    fn insertion(self, name: usize) -> Option<&'f Insertion<'a>> {
        self.insertions.get(name)?.as_ref()
    }
}

impl<'a> Insertion<'a> {
    /// What the value brings in; `None` if it is no list of messages.
    fn of(value: &'a Value) -> Option<Self> {
        let messages = value.as_array()?;
        let mut sections = Vec::with_capacity(messages.len());
        for message in messages {
            let role = message.get("role")?.as_str()?;
            let content = message.get("content").map(text_of).unwrap_or_default();
            sections.push(format!("{}{content}\n", title(role)));
        }
        Some(Self { messages, text: sections.join("\n") })
    }
}

/// The line above a message in the text form: the role with a capital letter.
fn title(role: &str) -> String {
    let mut letters = role.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("## {first}{}\n", letters.as_str())
}

fn said<'a>(role: &str, content: String) -> Message<'a> {
    Message::Own(model::Message::Said { role: role.to_owned(), content })
}
