//! A store as an origin: of its own projects, or of another edge's file by their names.

use std::sync::Arc;

use crate::model::{Credential, Environment, Listed, OriginName, Project, Tenant};
use crate::origins::{
    Change, Changes, Compiles, Cursor, Error, Origin, Pending, Question, Reader, Store, Text, Told,
    Validator,
};

/// Prompts out of a store. It tells every change, so what it said holds until then.
pub struct Stored {
    name: OriginName,
    store: Arc<dyn Store>,
    projects: Projects,
}

/// Whose projects the store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projects {
    /// Those that the reader is of: ids mean the same on both sides.
    Own,
    /// Another edge's. A reader's project and environment are found there by their names.
    ByName,
}

impl Stored {
    /// Prompts of the store's own projects, or of those of the same name.
    pub fn new(name: OriginName, store: Arc<dyn Store>, projects: Projects) -> Self {
        Self { name, store, projects }
    }

    /// The reader's tenant, as the store knows it.
    async fn tenant(&self, reader: &Reader) -> Result<Option<Tenant>, Error> {
        match self.projects {
            Projects::Own => Ok(Some(reader.tenant)),
            Projects::ByName => {
                let named = self.store.environment_named(&reader.project, &reader.environment);
                let tenant = |(project, environment): (Project, Environment)| Tenant {
                    project: project.id,
                    environment: environment.id,
                    ..reader.tenant
                };
                Ok(named.await?.map(tenant))
            }
        }
    }

    /// A change, in words that hold outside of the store.
    fn translated(&self, change: Change) -> Change {
        match (self.projects, change) {
            (Projects::Own, change) => change,
            (Projects::ByName, Change::Prompt { slug, .. }) => {
                Change::Named(crate::model::PromptName::Slug(slug))
            }
            (Projects::ByName, Change::Named(name)) => Change::Named(name),
            (Projects::ByName, Change::Everything | Change::Key(_) | Change::Project(_)) => {
                Change::Everything
            }
        }
    }
}

impl Origin for Stored {
    fn name(&self) -> &OriginName {
        &self.name
    }

    fn compiles(&self) -> Compiles {
        Compiles::Here
    }

    fn tells_all(&self) -> bool {
        true
    }

    fn prompt<'a>(&'a self, question: Question<'a>) -> Pending<'a, Told<Text>> {
        Box::pin(async move {
            let Some(tenant) = self.tenant(question.reader).await? else {
                return Ok(Told::plainly(None));
            };
            let edition = self.store.edition(tenant, question.prompt).await?;
            Ok(Told::plainly(edition.map(|edition| Text::Edition(Box::new(edition)))))
        })
    }

    fn listing<'a>(
        &'a self,
        reader: &'a Reader,
        _: Option<&'a Validator>,
    ) -> Pending<'a, Told<Vec<Listed>>> {
        Box::pin(async move {
            let Some(tenant) = self.tenant(reader).await? else {
                return Ok(Told::plainly(Some(Vec::new())));
            };
            Ok(Told::plainly(Some(self.store.listing(tenant).await?)))
        })
    }

    fn changes(&self, cursor: Cursor) -> Pending<'_, Changes> {
        Box::pin(async move {
            let told = self.store.changes(cursor).await?;
            let changes = told.changes.into_iter().map(|change| self.translated(change)).collect();
            Ok(Changes { changes, ..told })
        })
    }

    fn probe(&self) -> Pending<'_, ()> {
        Box::pin(async move { self.store.projects().await.map(drop) })
    }

    /// A store's keys are the edge's own.
    fn admits<'a>(&'a self, _: &'a Credential) -> Pending<'a, bool> {
        Box::pin(async { Ok(false) })
    }
}
