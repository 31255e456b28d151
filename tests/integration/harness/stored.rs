//! A real store as a place that prompts come from.

use std::sync::Arc;

use prompt_edge::model::{Layout, OriginName, Portable, PortableVersion, Reads};
use prompt_edge::origins::stored::Projects;
use prompt_edge::origins::{Origin, Reader, Stored};
use rusqlite::Connection;

use crate::contract::given::{Given, content, name, prompt};
use crate::contract::origin::{self, Drafts, Place};
use crate::harness::store::{self, Temporary};

/// A store with one project, as an origin.
pub(crate) struct Shelf {
    given: Given,
    projects: Projects,
    origin: Arc<dyn Origin>,
    /// Dropped last: everything above reads from it.
    kept: Temporary,
}

/// An origin of the store's own projects.
pub(crate) async fn own() -> Shelf {
    Shelf::of(Projects::Own).await
}

/// An origin of another edge's file: nothing but the names of things is the same there.
pub(crate) async fn by_name() -> Shelf {
    Shelf::of(Projects::ByName).await
}

impl Shelf {
    async fn of(projects: Projects) -> Self {
        let kept = store::sqlite();
        let store = Arc::clone(&kept.store);
        Given::project(&store, "another").await;
        let given = Given::project(&store, "acme").await;
        let origin = Stored::new(OriginName::new("sqlite"), store, projects);
        Self { given, projects, origin: Arc::new(origin), kept }
    }

    /// Takes tables away, or brings them back, as another process could. What names them is left as
    /// it is.
    fn rename(&self, from: [&str; 2], to: [&str; 2]) {
        let other = Connection::open(self.kept.path()).expect("the file opens");
        let mut sql = "PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON;".to_owned();
        for (from, to) in from.iter().zip(to) {
            sql += &format!("ALTER TABLE {from} RENAME TO {to};");
        }
        other.execute_batch(&sql).expect("the tables are there");
    }
}

const TABLES: [&str; 2] = ["projects", "prompts"];
const GONE: [&str; 2] = ["gone_projects", "gone_prompts"];

impl Place for Shelf {
    fn origin(&self) -> Arc<dyn Origin> {
        Arc::clone(&self.origin)
    }

    fn reader(&self, reads: Reads) -> Reader {
        let foreign = origin::reader(reads);
        let tenant = match (self.projects, reads) {
            (Projects::Own, Reads::Published) => self.given.live,
            (Projects::Own, Reads::Draft) => self.given.dev,
            (Projects::ByName, _) => foreign.tenant,
        };
        Reader { tenant, ..foreign }
    }

    async fn publish(&self, slug: &str, text: &str) {
        self.draft(slug, text).await;
        self.given.publish(slug, None, "live").await.expect("it can be published");
    }

    async fn delete(&self, slug: &str) {
        let deleted = self.given.store.delete(self.given.project.id, name(slug)).await;
        deleted.expect("the prompt exists");
    }

    async fn goes_away(&self) {
        self.rename(TABLES, GONE);
    }

    async fn comes_back(&self) {
        self.rename(GONE, TABLES);
    }
}

impl Drafts for Shelf {
    async fn draft(&self, slug: &str, text: &str) {
        let mut content = content(text);
        if let Layout::Sections(blocks) = &mut content.layout {
            blocks.iter_mut().for_each(|block| block.title.clear());
        }
        let version = PortableVersion { id: None, content, created_at: None };
        self.given.import(Portable { versions: vec![version], ..prompt(slug, &[]) }).await;
    }
}
