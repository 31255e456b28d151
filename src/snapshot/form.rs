//! How each noun is written down in a snapshot.
//!
//! The nouns themselves promise no form: what is written is a decision of whoever writes. A plain
//! one is [`Plain`], for a group of them there is a struct with the same fields, which does not
//! compile once the noun has another one.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Map;
use serde_json::Value;
use uuid::Uuid;

use crate::formats::{content, edition};
use crate::model::{
    ApiKey, Credential, Edition, Environment, EnvironmentId, Grant, KeyDigest, KeyId, Listed,
    OriginName, Project, ProjectId, PromptName, Reads, Scope, Tenant, Timestamp,
};
use crate::origins::{Compile, Reader, Rendition, Validator, View};

/// Something that is written as another, plainer thing. For `#[serde(with = "plain")]`.
pub(super) trait Plain: Sized {
    /// What it is written as.
    type Form: Serialize + DeserializeOwned;

    /// Writes it.
    fn form(&self) -> Self::Form;

    /// Reads it; `None` if it cannot be that.
    fn read(form: Self::Form) -> Option<Self>;
}

/// Writes and reads what is [`Plain`].
pub(super) mod plain {
    use super::*;

    pub(in crate::snapshot) fn serialize<T: Plain, S: Serializer>(
        noun: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        noun.form().serialize(to)
    }

    pub(in crate::snapshot) fn deserialize<'de, T: Plain, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        let form = T::Form::deserialize(from)?;
        T::read(form).ok_or_else(|| D::Error::custom("a value that is none of its kind"))
    }
}

impl<T: Plain> Plain for Option<T> {
    type Form = Option<T::Form>;

    fn form(&self) -> Self::Form {
        self.as_ref().map(T::form)
    }

    fn read(form: Self::Form) -> Option<Self> {
        match form {
            Some(form) => T::read(form).map(Some),
            None => Some(None),
        }
    }
}

/// States how nouns are written: what each is written as, how, and how it is read back.
macro_rules! plain {
    ($($noun:ty as $form:ty: $write:expr, $read:expr;)*) => {$(
        impl Plain for $noun {
            type Form = $form;

            fn form(&self) -> $form {
                let write: fn(&Self) -> $form = $write;
                write(self)
            }

            fn read(form: $form) -> Option<Self> {
                let read: fn($form) -> Option<Self> = $read;
                read(form)
            }
        }
    )*};
}

plain! {
    ProjectId as i64: |id| id.0, |id| Some(Self(id));
    EnvironmentId as i64: |id| id.0, |id| Some(Self(id));
    KeyId as i64: |id| id.0, |id| Some(Self(id));
    Uuid as String: Uuid::to_string, |text| Uuid::try_parse(&text).ok();
    Timestamp as i64: |at| at.as_millis(), |millis| Some(Self::from_millis(millis));
    Duration as u64: |span| millis(*span), |millis| Some(Self::from_millis(millis));
    KeyDigest as String: |digest| STANDARD.encode(digest.0), digest;
    Bytes as String: |bytes| STANDARD.encode(bytes), |text| Some(STANDARD.decode(text).ok()?.into());
    Arc<str> as String: |text| text.to_string(), |text| Some(text.into());
    OriginName as String: OriginName::to_string, |text| Some(Self::new(&text));
    PromptName as String: PromptName::to_string, |text| Self::anywhere(&text).ok();
    Validator as String: |validator| validator.0.to_string(), |text| Some(Self(text.into()));
    Scope as String: |scope| scope.as_str().to_owned(), |word| {
        [Self::Deliver, Self::Edge].into_iter().find(|scope| scope.as_str() == word)
    };
    Vec<Scope> as Vec<String>: |scopes| scopes.iter().map(Scope::form).collect(), |words| {
        words.into_iter().map(Scope::read).collect()
    };
    Reads as String: |reads| reads.as_str().to_owned(), |word| {
        [Self::Draft, Self::Published].into_iter().find(|reads| reads.as_str() == word)
    };
    // As texts of their own: what was nested as deeply as a text may be is nested no deeper here.
    Map<String, Value> as String: json, |json| serde_json::from_str(&json).ok();
    Vec<Listed> as String: |listed| text(edition::write_list(listed)), |json| {
        edition::read_list(serde_json::from_str(&json).ok()?).ok()
    };
    Edition as (String, String): write_edition, read_edition;
}

/// An edition, and what its origin calls the version: that need not be the hash of its content,
/// which the form of an edition insists on.
fn write_edition(edition: &Edition) -> (String, String) {
    let commit = content::commit_hash(&edition.version.content);
    let mut hashed = edition.clone();
    let called = std::mem::replace(&mut hashed.version.commit, commit);
    (text(edition::write(&hashed)), called)
}

fn read_edition((json, called): (String, String)) -> Option<Edition> {
    let mut edition = edition::read(serde_json::from_str(&json).ok()?).ok()?;
    edition.version.commit = called;
    Some(edition)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn digest(text: String) -> Option<KeyDigest> {
    STANDARD.decode(text).ok()?.try_into().ok().map(KeyDigest)
}

#[expect(clippy::expect_used, reason = "maps with text keys always have a JSON form")]
fn json(map: &Map<String, Value>) -> String {
    serde_json::to_string(map).expect("maps with text keys are JSON")
}

#[expect(clippy::expect_used, reason = "a JSON writer writes UTF-8")]
fn text(json: Vec<u8>) -> String {
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// Whose prompts.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Tenant", deny_unknown_fields)]
struct TenantForm {
    #[serde(with = "plain")]
    project: ProjectId,
    #[serde(with = "plain")]
    environment: EnvironmentId,
    #[serde(with = "plain")]
    holder: Option<KeyDigest>,
}

/// Who reads. Without a key: whoever has one brings it along.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Reader", deny_unknown_fields)]
pub(super) struct ReaderForm {
    #[serde(with = "TenantForm")]
    tenant: Tenant,
    #[serde(with = "plain")]
    project: Arc<str>,
    #[serde(with = "plain")]
    environment: Arc<str>,
    #[serde(with = "plain")]
    reads: Reads,
    #[serde(with = "plain")]
    origin: Option<OriginName>,
    #[serde(skip)]
    credential: Option<Credential>,
}

/// What an origin was to compile.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Compile", deny_unknown_fields)]
pub(super) struct CompileForm {
    #[serde(with = "ViewForm")]
    view: View,
    #[serde(with = "plain")]
    variables: Option<Arc<str>>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "View", rename_all = "snake_case")]
enum ViewForm {
    Compiled,
    Delivered,
}

/// What an origin has compiled.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Rendition", deny_unknown_fields)]
pub(super) struct RenditionForm {
    #[serde(with = "plain")]
    edition: Edition,
    text: String,
    tokens: Option<u64>,
    used: Vec<String>,
}

/// Everything a key stands for.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Grant", deny_unknown_fields)]
pub(super) struct GrantForm {
    #[serde(with = "ApiKeyForm")]
    key: ApiKey,
    #[serde(with = "ProjectForm")]
    project: Project,
    #[serde(with = "EnvironmentForm")]
    environment: Environment,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ApiKey", deny_unknown_fields)]
struct ApiKeyForm {
    #[serde(with = "plain")]
    id: KeyId,
    #[serde(with = "plain")]
    project: ProjectId,
    #[serde(with = "plain")]
    environment: EnvironmentId,
    name: String,
    prefix: String,
    #[serde(with = "plain")]
    scopes: Vec<Scope>,
    #[serde(with = "plain")]
    created_at: Timestamp,
    #[serde(with = "plain")]
    expires_at: Option<Timestamp>,
    #[serde(with = "plain")]
    revoked_at: Option<Timestamp>,
    #[serde(with = "plain")]
    last_used_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Project", deny_unknown_fields)]
struct ProjectForm {
    #[serde(with = "plain")]
    id: ProjectId,
    #[serde(with = "plain")]
    uuid: Uuid,
    name: String,
    plan: String,
    #[serde(with = "plain")]
    origin: Option<OriginName>,
    #[serde(with = "plain")]
    created_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Environment", deny_unknown_fields)]
struct EnvironmentForm {
    #[serde(with = "plain")]
    id: EnvironmentId,
    name: String,
    #[serde(with = "plain")]
    reads: Reads,
    #[serde(with = "plain")]
    defaults: Map<String, Value>,
}
