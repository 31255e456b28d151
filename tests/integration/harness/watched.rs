//! A store that is watched: it counts what it is asked, and fails or keeps its answers back on
//! demand. Everything it answers comes from the real store behind it.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prompt_edge::model::{
    ApiKey, Edition, Environment, EnvironmentId, Grant, Imported, KeyDigest, KeyId, Listed,
    OriginName, Overview, Portable, Project, ProjectId, PromptName, Tenant, Timestamp,
};
use prompt_edge::origins::{
    Changes, Cursor, Error, Import, NewKey, NewProject, Pending, Publish, Rollback, Store,
    WriteError,
};
use serde_json::{Map, Value};
use tokio::sync::watch;

/// A store under watch. What it is asked on the way to a caller is counted: editions, lists, keys.
pub(crate) struct Watched {
    store: Arc<dyn Store>,
    fault: Mutex<Option<Fault>>,
    is_holding: watch::Sender<bool>,
    asked: watch::Sender<Asked>,
}

/// How often the store was asked, failures included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) editions: usize,
    pub(crate) grants: usize,
    pub(crate) listings: usize,
    /// How many of the questions the real store has answered.
    answered: usize,
}

/// How a store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Busy,
    Malformed,
    Panics,
    TimedOut,
    Unreachable,
}

impl Watched {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            fault: Mutex::new(None),
            is_holding: watch::Sender::new(false),
            asked: watch::Sender::new(Asked::default()),
        }
    }

    /// How often it was asked so far.
    pub(crate) fn asked(&self) -> Asked {
        *self.asked.borrow()
    }

    /// Fails every question from now on.
    pub(crate) fn fail_with(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// Answers again.
    pub(crate) fn recover(&self) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Reads what is asked from now on, but keeps the answers back.
    pub(crate) fn hold(&self) {
        self.is_holding.send_replace(true);
    }

    /// Lets every answer go that was kept back.
    pub(crate) fn release(&self) {
        self.is_holding.send_replace(false);
    }

    /// Completes once `count` questions have been answered by the real store in all.
    pub(crate) async fn has_answered(&self, count: usize) {
        let mut asked = self.asked.subscribe();
        asked.wait_for(|asked| asked.answered >= count).await.expect("the store is there");
    }

    /// One question: counted, then failed or answered, and perhaps kept back.
    fn ask<'a, T: Send + 'a>(
        &'a self,
        count: impl FnOnce(&mut Asked),
        question: impl Future<Output = Result<T, Error>> + Send + 'a,
    ) -> Pending<'a, T> {
        self.asked.send_modify(count);
        let fault = *self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_holding = self.is_holding.subscribe();
        Box::pin(async move {
            if let Some(fault) = fault {
                return Err(fault.error(self.name().clone()));
            }
            let answer = question.await;
            self.asked.send_modify(|asked| asked.answered += 1);
            is_holding.wait_for(|is_holding| !is_holding).await.expect("the store is there");
            answer
        })
    }
}

impl Fault {
    fn error(self, origin: OriginName) -> Error {
        let source = Box::new(io::Error::other("on purpose"));
        match self {
            Self::Busy => Error::Busy { origin },
            Self::Malformed => Error::Malformed { origin, expected: "a prompt", source },
            Self::Panics => panic!("on purpose"),
            Self::TimedOut => Error::TimedOut { origin, waited: Duration::from_secs(2) },
            Self::Unreachable => Error::Unreachable { origin, source },
        }
    }
}

impl Store for Watched {
    fn name(&self) -> &OriginName {
        self.store.name()
    }

    fn edition<'a>(
        &'a self,
        tenant: Tenant,
        prompt: &'a PromptName,
    ) -> Pending<'a, Option<Edition>> {
        self.ask(|asked| asked.editions += 1, self.store.edition(tenant, prompt))
    }

    fn listing(&self, tenant: Tenant) -> Pending<'_, Vec<Listed>> {
        self.ask(|asked| asked.listings += 1, self.store.listing(tenant))
    }

    fn changes(&self, cursor: Cursor) -> Pending<'_, Changes> {
        self.store.changes(cursor)
    }

    fn grant(&self, digest: KeyDigest) -> Pending<'_, Option<Grant>> {
        self.ask(|asked| asked.grants += 1, self.store.grant(digest))
    }

    fn environment_named<'a>(
        &'a self,
        project: &'a str,
        environment: &'a str,
    ) -> Pending<'a, Option<(Project, Environment)>> {
        self.ask(|asked| asked.grants += 1, self.store.environment_named(project, environment))
    }

    fn create_project(&self, new: NewProject) -> Pending<'_, Project, WriteError> {
        self.store.create_project(new)
    }

    fn set_plan(&self, project: ProjectId, plan: String) -> Pending<'_, (), WriteError> {
        self.store.set_plan(project, plan)
    }

    fn set_origin(
        &self,
        project: ProjectId,
        origin: Option<OriginName>,
    ) -> Pending<'_, (), WriteError> {
        self.store.set_origin(project, origin)
    }

    fn projects(&self) -> Pending<'_, Vec<Project>> {
        self.store.projects()
    }

    fn environments(&self, project: ProjectId) -> Pending<'_, Vec<Environment>> {
        self.store.environments(project)
    }

    fn set_defaults(
        &self,
        environment: EnvironmentId,
        defaults: Map<String, Value>,
    ) -> Pending<'_, (), WriteError> {
        self.store.set_defaults(environment, defaults)
    }

    fn create_key(&self, new: NewKey) -> Pending<'_, ApiKey, WriteError> {
        self.store.create_key(new)
    }

    fn keys(&self) -> Pending<'_, Vec<Grant>> {
        self.store.keys()
    }

    fn revoke_key(&self, id: KeyId, at: Timestamp) -> Pending<'_, (), WriteError> {
        self.store.revoke_key(id, at)
    }

    fn touch_keys(&self, used: Vec<(KeyId, Timestamp)>) -> Pending<'_, (), WriteError> {
        self.store.touch_keys(used)
    }

    fn overview(&self, project: ProjectId) -> Pending<'_, Vec<Overview>> {
        self.store.overview(project)
    }

    fn export(&self, project: ProjectId, only: Option<PromptName>) -> Pending<'_, Vec<Portable>> {
        self.store.export(project, only)
    }

    fn import(&self, import: Import) -> Pending<'_, Vec<Imported>, WriteError> {
        self.store.import(import)
    }

    fn publish(&self, publish: Publish) -> Pending<'_, u32, WriteError> {
        self.store.publish(publish)
    }

    fn rollback(&self, rollback: Rollback) -> Pending<'_, u32, WriteError> {
        self.store.rollback(rollback)
    }

    fn delete(&self, project: ProjectId, prompt: PromptName) -> Pending<'_, (), WriteError> {
        self.store.delete(project, prompt)
    }
}
