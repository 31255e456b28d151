//! Every write but the import. Each is one transaction, begun and committed by the caller.
//!
//! Nothing here records what changed: the triggers of the schema do, for every write there is.

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::model::{
    ApiKey, EnvironmentId, KeyId, OriginName, Project, ProjectId, Prompt, PromptName, Reads,
    Timestamp,
};
use crate::origins::error::WriteError;
use crate::origins::sqlite::{read, row};
use crate::origins::{NewKey, NewProject, Publish, Rollback};

/// See [`crate::origins::Store::create_project`].
pub(super) fn create_project(
    connection: &Connection,
    new: NewProject,
) -> Result<Project, WriteError> {
    let uuid = Uuid::new_v4();
    let made = connection
        .prepare_cached(
            "INSERT INTO projects (uuid, name, plan, origin, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO NOTHING",
        )?
        .execute(params![
            uuid.to_string(),
            new.name,
            new.plan,
            new.origin.as_ref().map(OriginName::as_str),
            new.at.as_millis()
        ])?;
    if made == 0 {
        return Err(WriteError::Taken { noun: "project", name: new.name });
    }
    let id = connection.last_insert_rowid();
    for (name, reads) in [("live", Reads::Published), ("dev", Reads::Draft)] {
        connection
            .prepare_cached("INSERT INTO environments (project, name, reads) VALUES (?1, ?2, ?3)")?
            .execute(params![id, name, reads.as_str()])?;
    }
    Ok(Project {
        id: ProjectId(id),
        uuid,
        name: new.name,
        plan: new.plan,
        origin: new.origin,
        created_at: new.at,
    })
}

/// See [`crate::origins::Store::set_plan`].
pub(super) fn set_plan(
    connection: &Connection,
    project: ProjectId,
    plan: &str,
) -> Result<(), WriteError> {
    require_project(connection, project)?;
    connection
        .prepare_cached("UPDATE projects SET plan = ?2 WHERE id = ?1 AND plan <> ?2")?
        .execute(params![project.0, plan])?;
    Ok(())
}

/// See [`crate::origins::Store::set_origin`].
pub(super) fn set_origin(
    connection: &Connection,
    project: ProjectId,
    origin: Option<&OriginName>,
) -> Result<(), WriteError> {
    require_project(connection, project)?;
    connection
        .prepare_cached("UPDATE projects SET origin = ?2 WHERE id = ?1 AND origin IS NOT ?2")?
        .execute(params![project.0, origin.map(OriginName::as_str)])?;
    Ok(())
}

/// See [`crate::origins::Store::set_defaults`].
pub(super) fn set_defaults(
    connection: &Connection,
    environment: EnvironmentId,
    defaults: &Map<String, Value>,
) -> Result<(), WriteError> {
    let changed = connection
        .prepare_cached("UPDATE environments SET defaults = ?2 WHERE id = ?1")?
        .execute(params![environment.0, row::json_text(defaults)])?;
    found(changed, "environment", || environment.0.to_string())
}

/// See [`crate::origins::Store::create_key`].
pub(super) fn create_key(connection: &Connection, new: NewKey) -> Result<ApiKey, WriteError> {
    let environment = environment(connection, new.project, &new.environment)?;
    let made = connection
        .prepare_cached(
            "INSERT INTO keys (environment, name, digest, prefix, scopes, created_at, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (digest) DO NOTHING",
        )?
        .execute(params![
            environment.0,
            new.name,
            new.digest.0,
            new.prefix,
            row::scopes_text(&new.scopes),
            new.at.as_millis(),
            new.expires_at.map(Timestamp::as_millis),
        ])?;
    if made == 0 {
        return Err(WriteError::Taken { noun: "key", name: new.prefix });
    }
    Ok(ApiKey {
        id: KeyId(connection.last_insert_rowid()),
        project: new.project,
        environment,
        name: new.name,
        prefix: new.prefix,
        scopes: new.scopes,
        created_at: new.at,
        expires_at: new.expires_at,
        revoked_at: None,
        last_used_at: None,
    })
}

/// See [`crate::origins::Store::revoke_key`].
pub(super) fn revoke_key(
    connection: &Connection,
    id: KeyId,
    at: Timestamp,
) -> Result<(), WriteError> {
    let known = connection.prepare_cached("SELECT 1 FROM keys WHERE id = ?1")?.exists([id.0])?;
    found(known.into(), "key", || id.0.to_string())?;
    connection
        .prepare_cached("UPDATE keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL")?
        .execute([id.0, at.as_millis()])?;
    Ok(())
}

/// See [`crate::origins::Store::touch_keys`]. Keys that are gone by now are passed over.
pub(super) fn touch_keys(
    connection: &Connection,
    used: &[(KeyId, Timestamp)],
) -> Result<(), WriteError> {
    let mut touch = connection.prepare_cached(
        "UPDATE keys SET last_used_at = ?2
         WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)",
    )?;
    for (id, at) in used {
        touch.execute([id.0, at.as_millis()])?;
    }
    Ok(())
}

/// See [`crate::origins::Store::publish`].
pub(super) fn publish(connection: &Connection, publish: &Publish) -> Result<u32, WriteError> {
    let prompt = prompt(connection, publish.project, &publish.prompt)?;
    let environment = environment(connection, publish.project, &publish.environment)?;
    let newest = read::newest(connection, prompt.number)?;
    // Numbers are 1, 2, 3 …: what is not above the newest exists.
    let version =
        publish.version.or(newest).filter(|number| (1..=newest.unwrap_or(0)).contains(number));
    let Some(version) = version else {
        let number = publish.version.map_or_else(|| "newest".into(), |number| number.to_string());
        let name = format!("{}@{number}", publish.prompt);
        return Err(WriteError::Missing { noun: "version", name });
    };
    make_live(connection, prompt.number, environment, version, publish.at)?;
    Ok(version)
}

/// See [`crate::origins::Store::rollback`].
pub(super) fn rollback(connection: &Connection, rollback: &Rollback) -> Result<u32, WriteError> {
    let prompt = prompt(connection, rollback.project, &rollback.prompt)?;
    let environment = environment(connection, rollback.project, &rollback.environment)?;
    let [.., before, _] = *read::standing(connection, prompt.number, environment.0)? else {
        return Err(WriteError::NothingBefore {
            prompt: rollback.prompt.to_string(),
            environment: rollback.environment.clone(),
        });
    };
    withdraw(connection, prompt.number, environment, 1, rollback.at)?;
    Ok(before)
}

/// See [`crate::origins::Store::delete`].
pub(super) fn delete(
    connection: &Connection,
    project: ProjectId,
    name: &PromptName,
) -> Result<(), WriteError> {
    let prompt = prompt(connection, project, name)?;
    connection.prepare_cached("DELETE FROM prompts WHERE id = ?1")?.execute([prompt.number])?;
    Ok(())
}

/// Puts a version on top of the stack, unless it is there already.
pub(super) fn make_live(
    connection: &Connection,
    prompt: i64,
    environment: EnvironmentId,
    version: u32,
    at: Timestamp,
) -> Result<(), WriteError> {
    let stack = read::standing(connection, prompt, environment.0)?;
    if stack.last() != Some(&version) {
        push(connection, prompt, environment, version, at)?;
    }
    Ok(())
}

/// Puts a version on top of the stack.
pub(super) fn push(
    connection: &Connection,
    prompt: i64,
    environment: EnvironmentId,
    version: u32,
    at: Timestamp,
) -> Result<(), WriteError> {
    connection
        .prepare_cached(
            "INSERT INTO publications (prompt, environment, version, published_at)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![prompt, environment.0, version, at.as_millis()])?;
    Ok(())
}

/// Takes the newest `count` publications from the stack.
pub(super) fn withdraw(
    connection: &Connection,
    prompt: i64,
    environment: EnvironmentId,
    count: usize,
    at: Timestamp,
) -> Result<(), WriteError> {
    connection
        .prepare_cached(
            "UPDATE publications SET withdrawn_at = ?4 WHERE id IN (
                 SELECT id FROM publications
                 WHERE prompt = ?1 AND environment = ?2 AND withdrawn_at IS NULL
                 ORDER BY id DESC LIMIT ?3)",
        )?
        .execute(params![
            prompt,
            environment.0,
            i64::try_from(count).unwrap_or(i64::MAX),
            at.as_millis()
        ])?;
    Ok(())
}

/// The environment of that name, or why it cannot be written to.
pub(super) fn environment(
    connection: &Connection,
    project: ProjectId,
    name: &str,
) -> Result<EnvironmentId, WriteError> {
    require_project(connection, project)?;
    let id = connection
        .prepare_cached("SELECT id FROM environments WHERE project = ?1 AND name = ?2")?
        .query_row(params![project.0, name], |row| row.get(0))
        .optional()?;
    id.map(EnvironmentId)
        .ok_or_else(|| WriteError::Missing { noun: "environment", name: name.into() })
}

/// Makes sure there is such a project.
pub(super) fn require_project(
    connection: &Connection,
    project: ProjectId,
) -> Result<(), WriteError> {
    let known =
        connection.prepare_cached("SELECT 1 FROM projects WHERE id = ?1")?.exists([project.0])?;
    found(known.into(), "project", || project.0.to_string())
}

fn prompt(
    connection: &Connection,
    project: ProjectId,
    name: &PromptName,
) -> Result<Prompt, WriteError> {
    read::prompt(connection, project, name)?
        .ok_or_else(|| WriteError::Missing { noun: "prompt", name: name.to_string() })
}

fn found(
    count: usize,
    noun: &'static str,
    name: impl FnOnce() -> String,
) -> Result<(), WriteError> {
    match count {
        0 => Err(WriteError::Missing { noun, name: name() }),
        _ => Ok(()),
    }
}
