//! The write path: projects, keys, prompts and their versions.
//!
//! Everything is named as people name it (a project by its name, a prompt by slug or id, an
//! environment by its name) and happens at the clock's moment. The store does the rest in one
//! transaction, and tells every running edge through its changes: nothing here knows a cache.

pub mod names;
pub mod usage;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::access::credential::Secret;
use crate::clock::Clock;
use crate::ledger;
use crate::model::{
    ApiKey, Environment, Grant, Imported, KeyId, OriginName, Overview, PlanName, Portable, Project,
    PromptName, Scope,
};
use crate::origins;
use crate::origins::{Import, NewKey, NewProject, Publish, Rollback, Store, WriteError};

/// Changes what is in a store.
#[derive(Clone)]
pub struct Authoring {
    store: Arc<dyn Store>,
    plans: Vec<PlanName>,
    origins: Vec<OriginName>,
    clock: Arc<dyn Clock>,
}

/// A key to issue.
#[derive(Clone, Debug)]
pub struct Issue<'a> {
    /// The project's name.
    pub project: &'a str,
    /// The name of the environment it reads.
    pub environment: &'a str,
    /// A name for people; may be empty.
    pub name: &'a str,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// How long it is good for; for ever if `None`.
    pub expires_in: Option<Duration>,
}

/// Why something was not done. Nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger of months failed.
    #[error(transparent)]
    Ledger(ledger::Away),
    /// A name does not fit.
    #[error("{what} `{name}`: {remedy}")]
    Name {
        /// What it was to name.
        what: &'static str,
        /// As it was given.
        name: String,
        /// What would be right.
        remedy: Cow<'static, str>,
    },
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness for a key")]
    Random(#[source] getrandom::Error),
    /// The store refused, or failed.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl Error {
    /// Whether something that was named does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Write(WriteError::Missing { .. }))
    }
}

impl From<origins::Error> for Error {
    fn from(error: origins::Error) -> Self {
        Self::Write(error.into())
    }
}

impl Authoring {
    /// Writes to `store`; projects can be on one of `plans`.
    pub fn new(store: Arc<dyn Store>, plans: Vec<PlanName>, clock: Arc<dyn Clock>) -> Self {
        Self { store, plans, origins: Vec::new(), clock }
    }

    /// Lets projects name one of `origins`, too.
    #[must_use]
    pub fn with_origins(self, origins: Vec<OriginName>) -> Self {
        Self { origins, ..self }
    }

    /// Makes a project of the store, with its environments `live` and `dev`.
    ///
    /// # Errors
    ///
    /// If the name cannot be one, is taken, or there is no such plan.
    pub async fn create_project(&self, name: &str, plan: &str) -> Result<Project, Error> {
        self.create_project_of(names::STORE, name, plan).await
    }

    /// Makes a project whose prompts come from an origin, with its environments `live` and `dev`.
    ///
    /// # Errors
    ///
    /// If the name cannot be one, is taken, or there is no such plan or origin.
    pub async fn create_project_of(
        &self,
        origin: &str,
        name: &str,
        plan: &str,
    ) -> Result<Project, Error> {
        names::project(name)?;
        names::plan(plan, &self.plans)?;
        let origin = names::origin(origin, &self.origins)?;
        let new = NewProject { name: name.into(), plan: plan.into(), origin, at: self.clock.now() };
        Ok(self.store.create_project(new).await?)
    }

    /// Says where a project's prompts come from: in force on every running edge within its watch
    /// interval. What the store has of the project's prompts stays there.
    ///
    /// # Errors
    ///
    /// If there is no such project or origin.
    pub async fn set_origin(&self, project: &str, origin: &str) -> Result<(), Error> {
        let origin = names::origin(origin, &self.origins)?;
        let project = self.project(project).await?.id;
        Ok(self.store.set_origin(project, origin).await?)
    }

    /// The projects that name an origin which is not configured, with its name.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn strays(&self) -> Result<Vec<(Project, OriginName)>, Error> {
        let stray = |project: Project| {
            let origin = project.origin.clone()?;
            (!self.origins.contains(&origin)).then_some((project, origin))
        };
        Ok(self.projects().await?.into_iter().filter_map(stray).collect())
    }

    /// Puts a project on another plan: in force on every running edge within its watch interval,
    /// and what was used stays used.
    ///
    /// # Errors
    ///
    /// If there is no such project or plan.
    pub async fn set_plan(&self, project: &str, plan: &str) -> Result<(), Error> {
        names::plan(plan, &self.plans)?;
        let project = self.project(project).await?.id;
        Ok(self.store.set_plan(project, plan.to_owned()).await?)
    }

    /// Every project, sorted by name.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn projects(&self) -> Result<Vec<Project>, Error> {
        Ok(self.store.projects().await?)
    }

    /// The project of that name.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn project(&self, name: &str) -> Result<Project, Error> {
        let found = self.projects().await?.into_iter().find(|project| project.name == name);
        found.ok_or_else(|| WriteError::Missing { noun: "project", name: name.to_owned() }.into())
    }

    /// The environments of a project.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn environments(&self, project: &Project) -> Result<Vec<Environment>, Error> {
        Ok(self.store.environments(project.id).await?)
    }

    /// Issues a key that may read what an environment serves.
    ///
    /// # Errors
    ///
    /// As [`Authoring::issue`].
    pub async fn issue_key(
        &self,
        project: &str,
        environment: &str,
        name: &str,
        expires_in: Option<Duration>,
    ) -> Result<(Secret, ApiKey), Error> {
        let scopes = Vec::from([Scope::Deliver]);
        self.issue(Issue { project, environment, name, scopes, expires_in }).await
    }

    /// Issues a key. The secret is shown once: the store keeps its digest.
    ///
    /// # Errors
    ///
    /// If the project or the environment does not exist.
    pub async fn issue(&self, issue: Issue<'_>) -> Result<(Secret, ApiKey), Error> {
        let at = self.clock.now();
        let secret = Secret::new(issue.environment).map_err(Error::Random)?;
        let new = NewKey {
            project: self.project(issue.project).await?.id,
            environment: issue.environment.to_owned(),
            name: issue.name.to_owned(),
            digest: secret.digest(),
            prefix: secret.prefix().to_owned(),
            scopes: issue.scopes,
            expires_at: issue.expires_in.map(|span| at.plus(span)),
            at,
        };
        let key = self.store.create_key(new).await?;
        Ok((secret, key))
    }

    /// Every key with its project and environment.
    ///
    /// # Errors
    ///
    /// If the store fails.
    pub async fn keys(&self) -> Result<Vec<Grant>, Error> {
        Ok(self.store.keys().await?)
    }

    /// Revokes a key; every running edge refuses it within its watch interval.
    ///
    /// # Errors
    ///
    /// If there is no such key.
    pub async fn revoke_key(&self, id: KeyId) -> Result<(), Error> {
        Ok(self.store.revoke_key(id, self.clock.now()).await?)
    }

    /// Adds prompts to a project, all or none; publishes them if `publish_in` names an environment.
    ///
    /// # Errors
    ///
    /// If the project or an environment does not exist.
    pub async fn import(
        &self,
        project: &Project,
        prompts: Vec<Portable>,
        publish_in: Option<&str>,
    ) -> Result<Vec<Imported>, Error> {
        let publish_in = publish_in.map(str::to_owned);
        let import = Import { project: project.id, prompts, publish_in, at: self.clock.now() };
        Ok(self.store.import(import).await?)
    }

    /// Every prompt of a project, or the one named, with its whole history.
    ///
    /// # Errors
    ///
    /// If the project does not exist, or a prompt is named that does not.
    pub async fn export(
        &self,
        project: &str,
        only: Option<PromptName>,
    ) -> Result<Vec<Portable>, Error> {
        let project = self.project(project).await?;
        let exported = self.store.export(project.id, only.clone()).await?;
        match only {
            Some(prompt) if exported.is_empty() => {
                Err(WriteError::Missing { noun: "prompt", name: prompt.to_string() }.into())
            }
            Some(_) | None => Ok(exported),
        }
    }

    /// Every prompt of a project.
    ///
    /// # Errors
    ///
    /// If the project does not exist.
    pub async fn prompts(&self, project: &str) -> Result<Vec<Overview>, Error> {
        let project = self.project(project).await?;
        Ok(self.store.overview(project.id).await?)
    }

    /// Makes a version live (the newest if none is named) and returns its number.
    ///
    /// # Errors
    ///
    /// If any of the things named does not exist.
    pub async fn publish(
        &self,
        project: &str,
        prompt: PromptName,
        version: Option<u32>,
        environment: &str,
    ) -> Result<u32, Error> {
        let project = self.project(project).await?.id;
        let (environment, at) = (environment.to_owned(), self.clock.now());
        Ok(self.store.publish(Publish { project, prompt, version, environment, at }).await?)
    }

    /// Takes back the newest publication and returns the number of the version that is live again.
    ///
    /// # Errors
    ///
    /// If any of the things named does not exist, or nothing was live before.
    pub async fn rollback(
        &self,
        project: &str,
        prompt: PromptName,
        environment: &str,
    ) -> Result<u32, Error> {
        let project = self.project(project).await?.id;
        let (environment, at) = (environment.to_owned(), self.clock.now());
        Ok(self.store.rollback(Rollback { project, prompt, environment, at }).await?)
    }

    /// Deletes a prompt with its whole history.
    ///
    /// # Errors
    ///
    /// If there is no such project or prompt.
    pub async fn delete(&self, project: &str, prompt: PromptName) -> Result<(), Error> {
        let project = self.project(project).await?;
        Ok(self.store.delete(project.id, prompt).await?)
    }
}

impl std::fmt::Debug for Authoring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authoring(…)")
    }
}
