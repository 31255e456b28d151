//! Every question to the store. Each is answered within one read transaction.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::model::{
    Edition, Environment, Grant, KeyDigest, Label, Listed, Overview, Portable, PortableVersion,
    Project, ProjectId, Prompt, PromptId, PromptName, Tenant, Version,
};
use crate::origins::sqlite::row::{self, ENVIRONMENT, KEY, PROJECT, PROMPT, VERSION};
use crate::origins::{Change, Changes, Cursor};

/// See [`crate::origins::Store::edition`].
pub(super) fn edition(
    connection: &Connection,
    tenant: Tenant,
    prompt: &PromptName,
) -> rusqlite::Result<Option<Edition>> {
    let (column, name) = named(prompt);
    let sql = format!(
        "SELECT s.*, {VERSION}, o.uuid AS project_uuid FROM served s
         JOIN projects o ON o.id = s.project
         JOIN versions v ON v.prompt = s.prompt AND v.number = s.version
         WHERE s.environment = ?1 AND s.project = ?2 AND s.{column} = ?3"
    );
    connection
        .prepare_cached(&sql)?
        .query_row(params![tenant.environment.0, tenant.project.0, name], |row| {
            Ok(Edition {
                project: row::parsed(row, "project_uuid")?,
                prompt: row::prompt(row)?,
                version: row::version(row)?,
                defaults: row::json(row, "defaults")?,
                composed_of: Vec::new(),
            })
        })
        .optional()
}

/// See [`crate::origins::Store::listing`].
pub(super) fn listing(connection: &Connection, tenant: Tenant) -> rusqlite::Result<Vec<Listed>> {
    let sql = "SELECT prompt_uuid, name, slug, version FROM served
               WHERE environment = ?1 AND project = ?2
                 AND (reads = 'draft' OR version IS NOT NULL)
               ORDER BY slug";
    all(connection, sql, params![tenant.environment.0, tenant.project.0], |row| {
        Ok(Listed {
            id: PromptId(row::parsed(row, "prompt_uuid")?),
            name: row.get("name")?,
            slug: row::parsed(row, "slug")?,
            current_version: row.get("version")?,
        })
    })
}

/// What changed after `cursor`; `None` if nothing did.
pub(super) fn changes(
    connection: &Connection,
    cursor: Cursor,
) -> rusqlite::Result<Option<Changes>> {
    // Two subqueries, since SQLite looks up the one end or the other, but scans for both at once.
    let sql = "SELECT coalesce((SELECT min(seq) FROM changes), 1),
                      coalesce((SELECT max(seq) FROM changes), 0)";
    let (oldest, newest): (i64, i64) =
        connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if cursor == Cursor::START {
        return Ok(Some(Changes { changes: Vec::new(), cursor: Cursor(newest) }));
    }
    if cursor == Cursor(newest) {
        return Ok(None);
    }

    // Some of what came after the cursor is no longer kept, or the cursor is of another life of
    // this file: then nobody can say what changed.
    let is_known = (oldest - 1..newest).contains(&cursor.0);
    let changes = if is_known {
        let sql = "SELECT kind, project, prompt, slug, digest FROM changes WHERE seq > ?1
                   GROUP BY kind, project, prompt, slug, digest ORDER BY min(seq)";
        all(connection, sql, [cursor.0], change)?
    } else {
        Vec::from([Change::Everything])
    };
    Ok(Some(Changes { changes, cursor: Cursor(newest) }))
}

fn change(row: &Row<'_>) -> rusqlite::Result<Change> {
    let kind = row.get_ref("kind")?.as_str()?;
    Ok(match kind {
        "key" => Change::Key(KeyDigest(row.get("digest")?)),
        "project" => Change::Project(ProjectId(row.get("project")?)),
        "prompt" => Change::Prompt {
            project: ProjectId(row.get("project")?),
            id: PromptId(row::parsed(row, "prompt")?),
            slug: row::parsed(row, "slug")?,
        },
        // A kind this binary does not know may be about anything.
        _ => Change::Everything,
    })
}

/// See [`crate::origins::Store::grant`].
pub(super) fn grant(connection: &Connection, digest: KeyDigest) -> rusqlite::Result<Option<Grant>> {
    let sql = format!("{} WHERE k.digest = ?1", grants_sql());
    connection.prepare_cached(&sql)?.query_row([digest.0], row::grant).optional()
}

/// See [`crate::origins::Store::environment_named`].
pub(super) fn environment_named(
    connection: &Connection,
    project: &str,
    environment: &str,
) -> rusqlite::Result<Option<(Project, Environment)>> {
    let sql = format!(
        "SELECT {PROJECT}, {ENVIRONMENT} FROM environments e JOIN projects p ON p.id = e.project
         WHERE p.name = ?1 AND e.name = ?2"
    );
    connection
        .prepare_cached(&sql)?
        .query_row([project, environment], |row| Ok((row::project(row)?, row::environment(row)?)))
        .optional()
}

/// See [`crate::origins::Store::keys`].
pub(super) fn keys(connection: &Connection) -> rusqlite::Result<Vec<Grant>> {
    all(connection, &format!("{} ORDER BY k.id", grants_sql()), [], row::grant)
}

fn grants_sql() -> String {
    format!(
        "SELECT {KEY}, {PROJECT}, {ENVIRONMENT} FROM keys k
         JOIN environments e ON e.id = k.environment JOIN projects p ON p.id = e.project"
    )
}

/// See [`crate::origins::Store::projects`].
pub(super) fn projects(connection: &Connection) -> rusqlite::Result<Vec<Project>> {
    let sql = format!("SELECT {PROJECT} FROM projects p ORDER BY p.name");
    all(connection, &sql, [], row::project)
}

/// See [`crate::origins::Store::environments`].
pub(super) fn environments(
    connection: &Connection,
    project: ProjectId,
) -> rusqlite::Result<Vec<Environment>> {
    let sql =
        format!("SELECT {ENVIRONMENT} FROM environments e WHERE e.project = ?1 ORDER BY e.id");
    all(connection, &sql, [project.0], row::environment)
}

/// See [`crate::origins::Store::overview`].
pub(super) fn overview(
    connection: &Connection,
    project: ProjectId,
) -> rusqlite::Result<Vec<Overview>> {
    let environments = environments_by_name(connection, project)?;
    let mut lines = Vec::new();
    for prompt in prompts(connection, project, None)? {
        let mut published = Vec::new();
        for environment in &environments {
            let stack = standing(connection, prompt.number, environment.id.0)?;
            published.extend(stack.last().map(|live| (environment.name.clone(), *live)));
        }
        let latest = newest(connection, prompt.number)?;
        lines.push(Overview { prompt, latest, published });
    }
    Ok(lines)
}

/// See [`crate::origins::Store::export`].
pub(super) fn export(
    connection: &Connection,
    project: ProjectId,
    only: Option<&PromptName>,
) -> rusqlite::Result<Vec<Portable>> {
    let environments = environments_by_name(connection, project)?;
    let mut exported = Vec::new();
    for prompt in prompts(connection, project, only)? {
        let mut published = Vec::new();
        for environment in &environments {
            let stack = standing(connection, prompt.number, environment.id.0)?;
            if !stack.is_empty() {
                published.push((environment.name.clone(), stack));
            }
        }
        let labels = labels(connection, prompt.number)?;
        let versions = versions(connection, prompt.number)?;
        exported.push(portable(prompt, versions, labels, published));
    }
    Ok(exported)
}

fn portable(
    prompt: Prompt,
    versions: Vec<Version>,
    labels: Vec<(Label, u32)>,
    published: Vec<(String, Vec<u32>)>,
) -> Portable {
    let version = |version: Version| PortableVersion {
        id: Some(version.id),
        content: version.content,
        created_at: Some(version.created_at),
    };
    Portable {
        id: Some(prompt.id),
        slug: prompt.slug,
        name: prompt.name,
        description: prompt.description,
        category: prompt.category,
        visibility: prompt.visibility,
        tags: prompt.tags,
        owner: prompt.owner,
        created_at: Some(prompt.created_at),
        updated_at: Some(prompt.updated_at),
        versions: versions.into_iter().map(version).collect(),
        labels,
        published,
    }
}

/// A prompt of the project, if there is one of this name.
pub(super) fn prompt(
    connection: &Connection,
    project: ProjectId,
    name: &PromptName,
) -> rusqlite::Result<Option<Prompt>> {
    Ok(prompts(connection, project, Some(name))?.pop())
}

/// The prompts of a project, or the one named, sorted by slug.
fn prompts(
    connection: &Connection,
    project: ProjectId,
    only: Option<&PromptName>,
) -> rusqlite::Result<Vec<Prompt>> {
    let every = format!(
        "SELECT {PROMPT} FROM (SELECT id AS prompt, uuid AS prompt_uuid, * FROM prompts)
         WHERE project = ?1"
    );
    match only.map(named) {
        None => all(connection, &format!("{every} ORDER BY slug"), [project.0], row::prompt),
        Some((column, name)) => {
            let sql = format!("{every} AND {column} = ?2");
            all(connection, &sql, params![project.0, name], row::prompt)
        }
    }
}

/// The number of a prompt's newest version.
pub(super) fn newest(connection: &Connection, prompt: i64) -> rusqlite::Result<Option<u32>> {
    connection
        .prepare_cached("SELECT max(number) FROM versions WHERE prompt = ?1")?
        .query_row([prompt], |row| row.get(0))
}

/// The commit hashes of a prompt's versions, oldest first.
pub(super) fn commits(connection: &Connection, prompt: i64) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT commit_hash FROM versions WHERE prompt = ?1 ORDER BY number";
    all(connection, sql, [prompt], |row| row.get(0))
}

/// The published versions that still stand, by number; the last one is live.
pub(super) fn standing(
    connection: &Connection,
    prompt: i64,
    environment: i64,
) -> rusqlite::Result<Vec<u32>> {
    let sql = "SELECT version FROM publications
               WHERE prompt = ?1 AND environment = ?2 AND withdrawn_at IS NULL ORDER BY id";
    all(connection, sql, [prompt, environment], |row| row.get(0))
}

fn versions(connection: &Connection, prompt: i64) -> rusqlite::Result<Vec<Version>> {
    let sql = format!("SELECT {VERSION} FROM versions v WHERE v.prompt = ?1 ORDER BY v.number");
    all(connection, &sql, [prompt], row::version)
}

fn labels(connection: &Connection, prompt: i64) -> rusqlite::Result<Vec<(Label, u32)>> {
    let sql = "SELECT label, version FROM labels WHERE prompt = ?1 ORDER BY label";
    all(connection, sql, [prompt], |row| Ok((row::parsed(row, "label")?, row.get("version")?)))
}

fn environments_by_name(
    connection: &Connection,
    project: ProjectId,
) -> rusqlite::Result<Vec<Environment>> {
    let mut environments = environments(connection, project)?;
    environments.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(environments)
}

/// The column a name is looked for in, and what to look for.
fn named(prompt: &PromptName) -> (&'static str, String) {
    match prompt {
        PromptName::Id(id) => ("prompt_uuid", id.0.to_string()),
        PromptName::Slug(slug) => ("slug", slug.to_string()),
    }
}

/// Every row the statement gives.
fn all<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
}
