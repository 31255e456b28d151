//! How a row becomes a noun of the model, and what is written of one.

use std::error::Error;
use std::str::FromStr;

use rusqlite::Row;
use rusqlite::types::Type;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::formats::content;
use crate::model::{
    ApiKey, Environment, EnvironmentId, Grant, KeyId, OriginName, Project, ProjectId, Prompt,
    PromptId, Reads, Scope, Timestamp, Version, VersionId, Visibility,
};

/// Reads the columns of [`PROMPT`].
pub(super) fn prompt(row: &Row<'_>) -> rusqlite::Result<Prompt> {
    let visibility = row.get_ref("visibility")?.as_str()?;
    Ok(Prompt {
        id: PromptId(parsed(row, "prompt_uuid")?),
        number: row.get("prompt")?,
        slug: parsed(row, "slug")?,
        name: row.get("name")?,
        description: row.get("description")?,
        category: row.get("category")?,
        visibility: known("visibility", Visibility::parse(visibility))?,
        tags: json(row, "tags")?,
        owner: row.get("owner")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}

/// The columns [`prompt`] reads, of the view `served`, or of `prompts` with the first two renamed.
pub(super) const PROMPT: &str = "prompt, prompt_uuid, slug, name, description, category, \
    visibility, tags, owner, created_at, updated_at";

/// Reads the columns of [`VERSION`].
pub(super) fn version(row: &Row<'_>) -> rusqlite::Result<Version> {
    let text = row.get_ref("content")?.as_str()?;
    Ok(Version {
        id: VersionId(parsed(row, "version_uuid")?),
        number: row.get("number")?,
        content: content::from_json(text).map_err(|error| undecodable("content", error))?,
        commit: row.get("commit_hash")?,
        created_at: moment(row, "versioned_at")?,
    })
}

/// The columns [`version`] reads, of `versions v`.
pub(super) const VERSION: &str =
    "v.uuid AS version_uuid, v.number, v.content, v.commit_hash, v.created_at AS versioned_at";

/// Reads the columns of [`PROJECT`].
pub(super) fn project(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: ProjectId(row.get("project")?),
        uuid: parsed(row, "project_uuid")?,
        name: row.get("project_name")?,
        plan: row.get("plan")?,
        origin: row.get::<_, Option<String>>("origin")?.map(|name| OriginName::new(&name)),
        created_at: moment(row, "project_created_at")?,
    })
}

/// The columns [`project`] reads, of `projects p`.
pub(super) const PROJECT: &str = "p.id AS project, p.uuid AS project_uuid, \
    p.name AS project_name, p.plan, p.origin, p.created_at AS project_created_at";

/// Reads the columns of [`ENVIRONMENT`].
pub(super) fn environment(row: &Row<'_>) -> rusqlite::Result<Environment> {
    let reads = row.get_ref("reads")?.as_str()?;
    let reads = [Reads::Draft, Reads::Published].into_iter().find(|known| known.as_str() == reads);
    Ok(Environment {
        id: EnvironmentId(row.get("environment")?),
        name: row.get("environment_name")?,
        reads: known("reads", reads)?,
        defaults: json(row, "defaults")?,
    })
}

/// The columns [`environment`] reads, of `environments e`.
pub(super) const ENVIRONMENT: &str =
    "e.id AS environment, e.name AS environment_name, e.reads, e.defaults";

/// Reads the columns of [`KEY`], [`PROJECT`] and [`ENVIRONMENT`].
pub(super) fn grant(row: &Row<'_>) -> rusqlite::Result<Grant> {
    let project = project(row)?;
    let environment = environment(row)?;
    let key = ApiKey {
        id: KeyId(row.get("key")?),
        project: project.id,
        environment: environment.id,
        name: row.get("key_name")?,
        prefix: row.get("prefix")?,
        scopes: scopes(row)?,
        created_at: moment(row, "key_created_at")?,
        expires_at: maybe_moment(row, "expires_at")?,
        revoked_at: maybe_moment(row, "revoked_at")?,
        last_used_at: maybe_moment(row, "last_used_at")?,
    };
    Ok(Grant { key, project, environment })
}

/// The columns of the key that [`grant`] reads, of `keys k`.
pub(super) const KEY: &str = "k.id AS key, k.name AS key_name, k.prefix, k.scopes, \
    k.created_at AS key_created_at, k.expires_at, k.revoked_at, k.last_used_at";

/// The stored form of a key's scopes.
pub(super) fn scopes_text(scopes: &[Scope]) -> String {
    json_text(&scopes.iter().copied().map(Scope::as_str).collect::<Vec<_>>())
}

fn scopes(row: &Row<'_>) -> rusqlite::Result<Vec<Scope>> {
    let words: Vec<String> = json(row, "scopes")?;
    let scope = |word: &String| match word.as_str() {
        "deliver" => Some(Scope::Deliver),
        "edge" => Some(Scope::Edge),
        _ => None,
    };
    words.iter().map(|word| known("scopes", scope(word))).collect()
}

/// Reads a column that holds something with a parser of its own.
pub(super) fn parsed<T>(row: &Row<'_>, column: &'static str) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    row.get_ref(column)?.as_str()?.parse().map_err(|error| undecodable(column, error))
}

/// Reads a column that holds JSON.
pub(super) fn json<T: DeserializeOwned>(
    row: &Row<'_>,
    column: &'static str,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| undecodable(column, error))
}

/// The stored form of a structured value.
#[expect(clippy::expect_used, reason = "only maps with text keys and lists of text are given")]
pub(super) fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("maps with text keys and lists of text are JSON")
}

fn moment(row: &Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

fn maybe_moment(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    let millis: Option<i64> = row.get(column)?;
    Ok(millis.map(Timestamp::from_millis))
}

fn known<T>(column: &'static str, value: Option<T>) -> rusqlite::Result<T> {
    value.ok_or_else(|| undecodable(column, UnknownWord))
}

/// A column that has a fixed set of words holds another.
#[derive(Debug, thiserror::Error)]
#[error("a word this binary does not know")]
struct UnknownWord;

/// The column holds text, but not the text it should.
fn undecodable(column: &'static str, error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    // The place is unknown to readers by name; the name itself is in the message.
    let error = Undecodable { column, source: Box::new(error) };
    rusqlite::Error::FromSqlConversionFailure(usize::MAX, Type::Text, Box::new(error))
}

#[derive(Debug, thiserror::Error)]
#[error("column `{column}`: {source}")]
struct Undecodable {
    column: &'static str,
    source: Box<dyn Error + Send + Sync>,
}
