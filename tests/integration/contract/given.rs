//! What a promise starts from: a project, a few prompts, and short words for asking.

use std::sync::Arc;
use std::time::Duration;

use prompt_edge::model::{
    Block, BlockKind, Content, Imported, KeyDigest, Layout, Portable, PortableVersion, Project,
    PromptName, Reads, Scope, Tenant, Timestamp, Visibility,
};
use prompt_edge::origins::{
    Changes, Cursor, Import, NewKey, NewProject, Publish, Rollback, Store, WriteError,
};
use tokio::time::timeout;

/// A project in a store, with the tenants of its two environments.
pub(crate) struct Given {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) project: Project,
    pub(crate) live: Tenant,
    pub(crate) dev: Tenant,
}

impl Given {
    /// Makes the project.
    pub(crate) async fn project(store: &Arc<dyn Store>, name: &str) -> Self {
        let new = NewProject { name: name.into(), plan: "pro".into(), origin: None, at: at(1) };
        let project = store.create_project(new).await.expect("the project can be made");
        let environments = store.environments(project.id).await.expect("the store answers");
        let tenant = |reads| {
            let found = environments.iter().find(|environment| environment.reads == reads);
            Tenant::new(project.id, found.expect("a project has both").id)
        };
        let (live, dev) = (tenant(Reads::Published), tenant(Reads::Draft));
        Self { store: Arc::clone(store), project, live, dev }
    }

    /// The import of these prompts, not yet asked for.
    pub(crate) fn importing(&self, prompts: impl Into<Vec<Portable>>) -> Import {
        Import { project: self.project.id, prompts: prompts.into(), publish_in: None, at: at(2) }
    }

    /// Imports one prompt.
    pub(crate) async fn import(&self, prompt: Portable) -> Imported {
        let imported = self.store.import(self.importing([prompt])).await;
        imported.expect("the prompt can be imported").pop().expect("one prompt has one outcome")
    }

    /// Publishes a version.
    pub(crate) async fn publish(
        &self,
        slug: &str,
        version: impl Into<Option<u32>>,
        environment: &str,
    ) -> Result<u32, WriteError> {
        let publish = Publish {
            project: self.project.id,
            prompt: name(slug),
            version: version.into(),
            environment: environment.into(),
            at: at(3),
        };
        self.store.publish(publish).await
    }

    /// Takes a publication back.
    pub(crate) async fn rollback(&self, slug: &str, environment: &str) -> Result<u32, WriteError> {
        let rollback = Rollback {
            project: self.project.id,
            prompt: name(slug),
            environment: environment.into(),
            at: at(4),
        };
        self.store.rollback(rollback).await
    }

    /// The version number a tenant is served.
    pub(crate) async fn served(&self, tenant: Tenant, slug: &str) -> Option<u32> {
        let edition = self.store.edition(tenant, &name(slug)).await.expect("the store answers");
        edition.map(|edition| edition.version.number)
    }

    /// The prompt with its whole history.
    pub(crate) async fn export(&self, slug: &str) -> Portable {
        let exported = self.store.export(self.project.id, Some(name(slug))).await;
        exported.expect("the store answers").pop().expect("the prompt exists")
    }

    /// A key to record in one of the project's environments.
    pub(crate) fn key(&self, digest: u8, environment: &str) -> NewKey {
        NewKey {
            project: self.project.id,
            environment: environment.into(),
            name: "ci".into(),
            digest: KeyDigest([digest; 32]),
            prefix: format!("pk_{environment}_{digest}"),
            scopes: vec![Scope::Deliver],
            expires_at: None,
            at: at(5),
        }
    }

    /// Where the changes are now.
    pub(crate) async fn now(&self) -> Cursor {
        self.store.changes(Cursor::START).await.expect("the store answers").cursor
    }

    /// What changed after the cursor. Something must have, or be about to.
    pub(crate) async fn changes(&self, cursor: Cursor) -> Changes {
        let told = timeout(Duration::from_secs(30), self.store.changes(cursor)).await;
        told.expect("a change is told").expect("the store answers")
    }
}

/// A moment.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_772_366_400_000 + seconds * 1_000)
}

/// A prompt's name, as a caller writes it.
pub(crate) fn name(text: &str) -> PromptName {
    text.parse().expect("the name is a slug or an id")
}

/// Content of one block.
pub(crate) fn content(text: &str) -> Content {
    let block =
        Block { kind: BlockKind::Role, title: "Role".into(), content: text.into(), enabled: true };
    Content { layout: Layout::Sections(vec![block]), ..Content::default() }
}

/// The text of such content.
pub(crate) fn text(content: &Content) -> &str {
    content.blocks().first().map_or("", |block| &block.content)
}

/// A prompt with a version for each text, and nothing else that a file could leave out.
pub(crate) fn prompt(slug: &str, texts: &[&str]) -> Portable {
    let version =
        |text: &&str| PortableVersion { id: None, content: content(text), created_at: None };
    Portable {
        id: None,
        slug: slug.parse().expect("the slug is one"),
        name: slug.to_uppercase(),
        description: String::new(),
        category: String::new(),
        visibility: Visibility::Private,
        tags: Vec::new(),
        owner: String::new(),
        created_at: None,
        updated_at: None,
        versions: texts.iter().map(version).collect(),
        labels: Vec::new(),
        published: Vec::new(),
    }
}
