//! Prompts, from what matters to a case.

use prompt_edge::model::{
    Block, BlockKind, Content, Layout, Message, Portable, PortableVersion, PromptId, Variable,
    Visibility,
};
use serde_json::Value;

/// A prompt with one version, to be imported.
#[derive(Clone)]
pub(crate) struct Draft {
    slug: &'static str,
    id: Option<PromptId>,
    content: Content,
}

/// A prompt without any text yet.
pub(crate) fn prompt(slug: &'static str) -> Draft {
    Draft { slug, id: None, content: Content::default() }
}

impl Draft {
    /// With this UUID.
    pub(crate) fn id(mut self, id: &str) -> Self {
        self.id = Some(PromptId(id.parse().expect("the id is a UUID")));
        self
    }

    /// With one more section, without a title.
    pub(crate) fn text(self, content: impl Into<String>) -> Self {
        self.block("", content)
    }

    /// With one more section.
    pub(crate) fn block(mut self, title: &str, content: impl Into<String>) -> Self {
        let (title, content) = (title.to_owned(), content.into());
        let kind = BlockKind::Custom;
        let mut blocks = self.content.blocks().to_vec();
        blocks.push(Block { kind, title, content, enabled: true });
        self.content.layout = Layout::Sections(blocks);
        self
    }

    /// With this text alone, as it stands.
    pub(crate) fn verbatim(mut self, text: &str) -> Self {
        self.content.layout = Layout::Verbatim(text.to_owned());
        self
    }

    /// With one more message, in the place of any sections.
    pub(crate) fn message(self, role: &str, content: &str) -> Self {
        self.turn(Message::Said { role: role.to_owned(), content: content.to_owned() })
    }

    /// With one more placeholder for messages, in the place of any sections.
    pub(crate) fn placeholder(self, name: &str) -> Self {
        self.turn(Message::Placeholder { name: name.to_owned() })
    }

    /// With a variable that has a default.
    pub(crate) fn default(self, name: &str, default: impl Into<Value>) -> Self {
        self.variable(name, false, Some(default.into()))
    }

    /// With a variable that has to be given.
    pub(crate) fn required(self, name: &str) -> Self {
        self.variable(name, true, None)
    }

    /// With one model setting more.
    pub(crate) fn model_config(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.content.model_config.insert(name.to_owned(), value.into());
        self
    }

    fn turn(mut self, message: Message) -> Self {
        let mut messages = match self.content.layout {
            Layout::Chat(messages) => messages,
            Layout::Sections(_) | Layout::Verbatim(_) => Vec::new(),
        };
        messages.push(message);
        self.content.layout = Layout::Chat(messages);
        self
    }

    fn variable(mut self, name: &str, required: bool, default: Option<Value>) -> Self {
        let (name, description) = (name.to_owned(), String::new());
        self.content.variables.push(Variable { name, description, required, default });
        self
    }
}

impl From<Draft> for Portable {
    fn from(draft: Draft) -> Self {
        let version = PortableVersion { id: None, content: draft.content, created_at: None };
        Self {
            id: draft.id,
            slug: draft.slug.parse().expect("the slug is one"),
            name: draft.slug.replace('-', " "),
            description: String::new(),
            category: String::new(),
            visibility: Visibility::Private,
            tags: Vec::new(),
            owner: String::new(),
            created_at: None,
            updated_at: None,
            versions: vec![version],
            labels: Vec::new(),
            published: Vec::new(),
        }
    }
}
