//! Where prompts live.
//!
//! Two ports. [`Origin`] is what delivery needs of any place prompts come from: answer a question
//! about a prompt or the list, say what changed. [`Store`] is a database of our own: it holds
//! projects, keys and versions, and changes them; [`Stored`] makes an origin of one. The files and
//! folders beside this one implement them; `app` alone builds one. Every store passes
//! `tests/integration/contract`, every origin `tests/integration/contract/origin`.
//!
//! # What every store owes
//!
//! 1. Absence is an answer (`None`), only failure is an error (`a_missing_prompt_is_none`).
//! 2. An answer is one consistent state: never half of a publish
//!    (`a_publish_is_seen_whole_or_not_at_all`).
//! 3. A write that returned `Ok` survives the death of the process
//!    (`what_was_written_is_there_after_reopening`).
//! 4. Every write shows up in [`Store::changes`], after it can be read and never before
//!    (`a_change_is_readable_when_it_is_told`).
//! 5. No method blocks an async worker; a dropped future leaves nothing half written.

pub mod error;
pub mod files;
pub mod guard;
pub mod sqlite;
pub mod stored;
pub mod upstream;
mod watcher;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use crate::model::{
    ApiKey, Credential, Edition, Environment, EnvironmentId, Grant, Imported, KeyDigest, KeyId,
    Listed, OriginName, Overview, Portable, Project, ProjectId, PromptId, PromptName, Reads, Scope,
    Slug, Tenant, Timestamp,
};
use crate::wire::caching::Allowance;

pub use error::{Error, WriteError};
pub use stored::Stored;

/// An answer that is on its way. Boxed: a port is called through `dyn`, and the IO behind it
/// costs a thousand times the allocation.
pub type Pending<'a, T, E = Error> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// Any place prompts come from.
///
/// Absence is an answer, only failure is an error. What an origin says is foreign: an adapter
/// translates it into our nouns, and refuses what does not fit with [`Error::Malformed`], which
/// names the field.
pub trait Origin: Send + Sync + 'static {
    /// Its name in logs, metrics and `Cache-Status`.
    fn name(&self) -> &OriginName;

    /// Where its prompts are compiled.
    fn compiles(&self) -> Compiles;

    /// Whether [`Origin::changes`] tells of every change at once. What such an origin said holds
    /// until it says otherwise; what any other said grows old.
    fn tells_all(&self) -> bool;

    /// One prompt, as the reader's environment serves it.
    fn prompt<'a>(&'a self, question: Question<'a>) -> Pending<'a, Told<Text>>;

    /// Every prompt that the reader's environment serves, sorted by slug.
    fn listing<'a>(
        &'a self,
        reader: &'a Reader,
        known: Option<&'a Validator>,
    ) -> Pending<'a, Told<Vec<Listed>>>;

    /// Waits until something changed after `cursor` and says what. `Cursor::START` is answered as
    /// soon as the origin answers at all, with no changes and the present cursor. An origin that
    /// never tells answers that and then never again.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing: ask again with the same cursor.
    fn changes(&self, cursor: Cursor) -> Pending<'_, Changes>;

    /// The cheapest question it has, to find out whether it answers.
    fn probe(&self) -> Pending<'_, ()>;

    /// Whether a key of its own opens anything there. `Ok(false)` is the origin's word for this
    /// key; that it could not be asked is an error.
    fn admits<'a>(&'a self, credential: &'a Credential) -> Pending<'a, bool>;
}

/// Where an origin's prompts are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiles {
    /// By this edge: the origin hands over the version, and new variables cost no question.
    Here,
    /// By the origin: each set of variables is a question of its own.
    There,
}

/// Who reads, as far as an origin needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Whose prompts, and which version of them.
    pub tenant: Tenant,
    /// The project's name.
    pub project: Arc<str>,
    /// The environment's name.
    pub environment: Arc<str>,
    /// Which version the environment serves.
    pub reads: Reads,
    /// The origin that the project names; `None` for the store.
    pub origin: Option<OriginName>,
    /// The caller's own key, if it is the origin that knows it.
    pub credential: Option<Credential>,
}

/// What an origin is asked about one prompt.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who reads.
    pub reader: &'a Reader,
    /// Which prompt.
    pub prompt: &'a PromptName,
    /// For an origin that compiles: what is to be compiled, and with what.
    pub compile: Option<&'a Compile>,
    /// What is known already: if it still holds, [`Found::Unchanged`] says so.
    pub known: Option<&'a Validator>,
}

/// What an origin that compiles is to compile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Compile {
    /// Which of the two things PromptOT has of a prompt.
    pub view: View,
    /// The variables given: a JSON object, compact, names sorted at every depth. `None` if there
    /// are none.
    pub variables: Option<Arc<str>>,
}

impl Compile {
    /// What is to be compiled of these variables. Objects that differ in the order of their names
    /// alone are one.
    pub fn of(view: View, variables: &Map<String, Value>) -> Self {
        let sorted = (!variables.is_empty()).then(|| sorted(variables).to_string().into());
        Self { view, variables: sorted }
    }
}

/// The same object with its names sorted, at every depth. The depth is what the parser let in.
fn sorted(object: &Map<String, Value>) -> Value {
    fn of(value: &Value) -> Value {
        match value {
            Value::Object(object) => sorted(object),
            Value::Array(items) => items.iter().map(of).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
    let mut named: Vec<_> = object.iter().collect();
    named.sort_unstable_by_key(|(name, _)| *name);
    named.into_iter().map(|(name, value)| (name.clone(), of(value))).collect()
}

/// The two things PromptOT has of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// `/prompts/{prompt}/compiled`: text, tokens, variables used.
    Compiled,
    /// `/prompts/{prompt}`: text, model configuration, variables and their defaults.
    Delivered,
}

/// What an origin uses to say that nothing changed: opaque to everybody else, such as an `ETag`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator(pub Arc<str>);

/// What an origin said.
#[derive(Clone, Debug, PartialEq)]
pub struct Told<T> {
    /// Whether there is such a thing.
    pub found: Found<T>,
    /// To ask with the next time.
    pub validator: Option<Validator>,
    /// How long it may be kept, as far as the origin limits that.
    pub allowance: Allowance,
    /// Whether it can never change: a version asked for by its number.
    pub is_immutable: bool,
    /// The HTTP status it came with, for `Cache-Status`.
    pub status: Option<u16>,
}

impl<T> Told<T> {
    /// What comes without a word on how long it holds, nor HTTP.
    pub fn plainly(found: Option<T>) -> Self {
        Self {
            found: found.map_or(Found::Absent, Found::Present),
            validator: None,
            allowance: Allowance::default(),
            is_immutable: false,
            status: None,
        }
    }
}

impl<T> Told<T> {
    /// The same of something else.
    pub fn map<U>(self, of: impl FnOnce(T) -> U) -> Told<U> {
        let found = match self.found {
            Found::Absent => Found::Absent,
            Found::Present(thing) => Found::Present(of(thing)),
            Found::Unchanged => Found::Unchanged,
        };
        let Self { validator, allowance, is_immutable, status, .. } = self;
        Told { found, validator, allowance, is_immutable, status }
    }
}

/// Whether there is such a thing.
#[derive(Clone, Debug, PartialEq)]
pub enum Found<T> {
    /// There is none, or nothing of it is published where the reader reads.
    Absent,
    /// This.
    Present(T),
    /// What the validator stands for still holds.
    Unchanged,
}

/// A prompt, as an origin hands it over.
#[derive(Clone, Debug, PartialEq)]
pub enum Text {
    /// To be compiled here.
    Edition(Box<Edition>),
    /// Compiled there.
    Rendition(Box<Rendition>),
}

/// A prompt that its origin has compiled for one set of variables.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendition {
    /// Everything but the text. It has no blocks; a [`View::Compiled`] has neither model
    /// configuration nor declared variables.
    pub edition: Edition,
    /// The compiled text.
    pub text: String,
    /// How many tokens the origin counted, if it said.
    pub tokens: Option<u64>,
    /// The names of the variables that occur, if it said; first appearance first.
    pub used: Vec<String>,
}

/// A place in an origin's sequence of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(pub i64);

impl Cursor {
    /// Before anything is known.
    pub const START: Self = Self(-1);
}

/// What changed since a [`Cursor`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// In the order in which they happened.
    pub changes: Vec<Change>,
    /// Where to ask from next.
    pub cursor: Cursor,
}

/// One thing that is no longer what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A prompt, in whatever project reads this origin, by the name or id the origin knows it by.
    Named(PromptName),
    /// More changed than the origin can name: forget everything.
    Everything,
    /// A key was made, revoked or given another expiry.
    Key(KeyDigest),
    /// A project or one of its environments: plan, name, default variables.
    Project(ProjectId),
    /// A prompt was made, changed, published, rolled back or deleted. Both of its names are given,
    /// since callers may have asked by either.
    Prompt {
        /// Whose it is.
        project: ProjectId,
        /// Its UUID.
        id: PromptId,
        /// Its slug.
        slug: Slug,
    },
}

/// A database of our own: the only place things are written.
pub trait Store: Send + Sync + 'static {
    /// Its name in logs and metrics.
    fn name(&self) -> &OriginName;

    /// The version of `prompt` that the tenant's environment serves, or `None` if there is no such
    /// prompt or nothing of it is published there.
    fn edition<'a>(
        &'a self,
        tenant: Tenant,
        prompt: &'a PromptName,
    ) -> Pending<'a, Option<Edition>>;

    /// Every prompt the tenant's environment serves, sorted by slug.
    fn listing(&self, tenant: Tenant) -> Pending<'_, Vec<Listed>>;

    /// Waits until something changed after `cursor` and says what. `Cursor::START` is answered at
    /// once with no changes and the present cursor: what came before is nobody's concern.
    ///
    /// # Cancellation
    ///
    /// Dropping the future loses nothing: ask again with the same cursor.
    fn changes(&self, cursor: Cursor) -> Pending<'_, Changes>;

    /// Everything the key with this digest stands for, whatever its standing; `None` if unknown.
    fn grant(&self, digest: KeyDigest) -> Pending<'_, Option<Grant>>;

    /// The project and its environment of these names; `None` if there is no such environment.
    fn environment_named<'a>(
        &'a self,
        project: &'a str,
        environment: &'a str,
    ) -> Pending<'a, Option<(Project, Environment)>>;

    /// Makes a project with its environments `live` and `dev`. `WriteError::Taken` if the name is.
    fn create_project(&self, new: NewProject) -> Pending<'_, Project, WriteError>;

    /// Every project, sorted by name.
    fn projects(&self) -> Pending<'_, Vec<Project>>;

    /// Puts a project on a plan; the one it is on already is no [`Change`].
    /// `WriteError::Missing` if there is no such project.
    fn set_plan(&self, project: ProjectId, plan: String) -> Pending<'_, (), WriteError>;

    /// Says where a project's prompts come from: `None` is this store. What it says already is no
    /// [`Change`]. `WriteError::Missing` if there is no such project.
    fn set_origin(
        &self,
        project: ProjectId,
        origin: Option<OriginName>,
    ) -> Pending<'_, (), WriteError>;

    /// The environments of a project, in the order in which they were made.
    fn environments(&self, project: ProjectId) -> Pending<'_, Vec<Environment>>;

    /// Replaces an environment's default variables. `WriteError::Missing` if there is none such.
    fn set_defaults(
        &self,
        environment: EnvironmentId,
        defaults: Map<String, Value>,
    ) -> Pending<'_, (), WriteError>;

    /// Records a key. `WriteError::Missing` if the project has no such environment.
    fn create_key(&self, new: NewKey) -> Pending<'_, ApiKey, WriteError>;

    /// Every key with its project and environment, sorted by id.
    fn keys(&self) -> Pending<'_, Vec<Grant>>;

    /// Revokes a key at `at`; one that is revoked already keeps its first moment.
    /// `WriteError::Missing` if there is none such.
    fn revoke_key(&self, id: KeyId, at: Timestamp) -> Pending<'_, (), WriteError>;

    /// Records when keys were last used; never moves one back. Not a [`Change`].
    fn touch_keys(&self, used: Vec<(KeyId, Timestamp)>) -> Pending<'_, (), WriteError>;

    /// Every prompt of a project, sorted by slug.
    fn overview(&self, project: ProjectId) -> Pending<'_, Vec<Overview>>;

    /// Every prompt of a project (or the one named) with its whole history, sorted by slug.
    fn export(&self, project: ProjectId, only: Option<PromptName>) -> Pending<'_, Vec<Portable>>;

    /// Adds prompts to a project, all or none of them.
    ///
    /// * An unknown slug makes the prompt, with every version, label and published pointer.
    /// * A known slug whose versions are the first ones of the import gets the rest of them. Each
    ///   label the import names moves to its version, and in each environment it names its stack
    ///   of published versions becomes the one that stands; what it does not name stays.
    /// * A known slug with another history keeps it; only the import's newest version is compared
    ///   with its newest, and becomes the next draft if the content differs.
    /// * A description that differs replaces the stored one in every case.
    ///
    /// With `publish_in`, the newest version of each prompt is then published in the environment
    /// of that name, unless it is live there already. `WriteError::Missing` names an environment
    /// the project has not, or a version that a label or a pointer means and the import has not.
    fn import(&self, import: Import) -> Pending<'_, Vec<Imported>, WriteError>;

    /// Makes a version live: the one numbered, or the newest. Returns its number. A version that
    /// is live already stays so, and the history is not lengthened.
    fn publish(&self, publish: Publish) -> Pending<'_, u32, WriteError>;

    /// Takes back the newest publication that still stands; the one before it is live again.
    /// Returns its number. `WriteError::NothingBefore` if it is the only one.
    fn rollback(&self, rollback: Rollback) -> Pending<'_, u32, WriteError>;

    /// Deletes a prompt with its whole history. `WriteError::Missing` if there is none such.
    fn delete(&self, project: ProjectId, prompt: PromptName) -> Pending<'_, (), WriteError>;
}

/// A project to make.
#[derive(Clone, Debug)]
pub struct NewProject {
    /// Unique name.
    pub name: String,
    /// The plan's name.
    pub plan: String,
    /// Where its prompts come from; this store if `None`.
    pub origin: Option<OriginName>,
    /// The moment it counts as made.
    pub at: Timestamp,
}

/// A key to record. The token itself never reaches a store.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The project it belongs to.
    pub project: ProjectId,
    /// The name of the environment it reads.
    pub environment: String,
    /// A name for people; may be empty.
    pub name: String,
    /// What is stored of the token.
    pub digest: KeyDigest,
    /// The token's first characters.
    pub prefix: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// The moment it counts as made.
    pub at: Timestamp,
}

/// Prompts to add to a project.
#[derive(Clone, Debug)]
pub struct Import {
    /// Whose they become.
    pub project: ProjectId,
    /// What to add.
    pub prompts: Vec<Portable>,
    /// Where to publish the newest version of each.
    pub publish_in: Option<String>,
    /// The moment it counts as done.
    pub at: Timestamp,
}

/// A version to make live.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Whose prompt it is.
    pub project: ProjectId,
    /// Which prompt.
    pub prompt: PromptName,
    /// Which version; the newest if `None`.
    pub version: Option<u32>,
    /// The name of the environment to publish in.
    pub environment: String,
    /// The moment it counts as done.
    pub at: Timestamp,
}

/// A publication to take back.
#[derive(Clone, Debug)]
pub struct Rollback {
    /// Whose prompt it is.
    pub project: ProjectId,
    /// Which prompt.
    pub prompt: PromptName,
    /// The name of the environment.
    pub environment: String,
    /// The moment it counts as done.
    pub at: Timestamp,
}

/// What a caller may be told to wait after an origin failed: one breaker interval.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);
