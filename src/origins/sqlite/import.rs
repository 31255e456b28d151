//! Adding prompts with their history. See [`crate::origins::Store::import`] for the rules.

use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::formats::content;
use crate::model::{
    EnvironmentId, Imported, Portable, PortableVersion, ProjectId, Prompt, PromptName, Timestamp,
};
use crate::origins::Import;
use crate::origins::error::WriteError;
use crate::origins::sqlite::{read, row, write};

/// See [`crate::origins::Store::import`].
pub(super) fn import(
    connection: &Connection,
    import: &Import,
) -> Result<Vec<Imported>, WriteError> {
    write::require_project(connection, import.project)?;
    let publish_in = match &import.publish_in {
        Some(name) => Some(write::environment(connection, import.project, name)?),
        None => None,
    };

    let mut imported = Vec::with_capacity(import.prompts.len());
    for portable in &import.prompts {
        let arrival = Arrival::new(connection, import, portable)?;
        let (prompt, outcome) = arrival.settle()?;
        if let Some(environment) = publish_in {
            let version = outcome.version();
            write::make_live(connection, prompt, environment, version, import.at)?;
        }
        imported.push(outcome);
    }
    Ok(imported)
}

/// One prompt on its way in.
struct Arrival<'a> {
    connection: &'a Connection,
    project: ProjectId,
    at: Timestamp,
    portable: &'a Portable,
    /// The hash of each version, oldest first.
    commits: Vec<String>,
    /// The stacks of published versions it brings, by environment.
    stacks: Vec<(EnvironmentId, &'a [u32])>,
}

impl<'a> Arrival<'a> {
    /// Makes sure that all it names exists: environments in the project, versions in itself.
    fn new(
        connection: &'a Connection,
        import: &Import,
        portable: &'a Portable,
    ) -> Result<Self, WriteError> {
        let mut stacks = Vec::with_capacity(portable.published.len());
        for (name, stack) in &portable.published {
            let environment = write::environment(connection, import.project, name)?;
            stacks.push((environment, stack.as_slice()));
        }
        let named = portable.labels.iter().map(|(_, number)| number);
        let mut named = named.chain(stacks.iter().flat_map(|(_, stack)| *stack));
        let place = |number: u32| usize::try_from(number).ok()?.checked_sub(1);
        if let Some(number) =
            named.find(|n| place(**n).is_none_or(|place| place >= portable.versions.len()))
        {
            let name = format!("{}@{number}", portable.slug);
            return Err(WriteError::Missing { noun: "version", name });
        }
        let commits = portable.versions.iter().map(|v| content::commit_hash(&v.content)).collect();
        let Import { project, at, .. } = *import;
        Ok(Self { connection, project, at, portable, commits, stacks })
    }

    /// Brings the store up to what arrives. Returns the prompt's integer id too.
    fn settle(&self) -> Result<(i64, Imported), WriteError> {
        let slug = self.portable.slug.clone();
        let name = PromptName::Slug(slug.clone());
        let Some(stored) = read::prompt(self.connection, self.project, &name)? else {
            let prompt = self.create()?;
            let version = self.extend(prompt, 0)?;
            return Ok((prompt, Imported::Created { slug, version }));
        };

        self.describe(&stored)?;
        let prompt = stored.number;
        let known = read::commits(self.connection, prompt)?;
        if self.commits.starts_with(&known) {
            let version = self.extend(prompt, known.len())?;
            let outcome = if self.commits.len() > known.len() {
                Imported::Drafted { slug, version }
            } else {
                Imported::Unchanged { slug, version }
            };
            return Ok((prompt, outcome));
        }
        Ok((prompt, self.draft(prompt, &known)?))
    }

    /// Makes the prompt, without versions.
    fn create(&self) -> Result<i64, WriteError> {
        let portable = self.portable;
        let uuid = self.free_uuid("prompts", portable.id.map(|id| id.0))?;
        self.connection
            .prepare_cached(
                "INSERT INTO prompts (uuid, project, slug, name, description, category,
                     visibility, tags, owner, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                uuid.to_string(),
                self.project.0,
                portable.slug.as_str(),
                portable.name,
                portable.description,
                portable.category,
                portable.visibility.as_str(),
                row::json_text(&portable.tags),
                portable.owner,
                portable.created_at.unwrap_or(self.at).as_millis(),
                portable.updated_at.unwrap_or(self.at).as_millis(),
            ])?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Replaces the description if what arrives has another.
    fn describe(&self, stored: &Prompt) -> Result<(), WriteError> {
        let portable = self.portable;
        let is_same = stored.name == portable.name
            && stored.description == portable.description
            && stored.category == portable.category
            && stored.visibility == portable.visibility
            && stored.tags == portable.tags
            && stored.owner == portable.owner;
        if is_same {
            return Ok(());
        }
        // A mirror keeps the original's moment, but no moment ever moves back.
        let updated_at = portable.updated_at.filter(|at| *at > stored.updated_at);
        self.connection
            .prepare_cached(
                "UPDATE prompts SET name = ?2, description = ?3, category = ?4, visibility = ?5,
                     tags = ?6, owner = ?7, updated_at = ?8
                 WHERE id = ?1",
            )?
            .execute(params![
                stored.number,
                portable.name,
                portable.description,
                portable.category,
                portable.visibility.as_str(),
                row::json_text(&portable.tags),
                portable.owner,
                updated_at.unwrap_or(self.at).as_millis(),
            ])?;
        Ok(())
    }

    /// Adds the versions after the first `known`, the labels and the published pointers.
    /// Returns the number of the newest version.
    fn extend(&self, prompt: i64, known: usize) -> Result<u32, WriteError> {
        let mut number = 0;
        for (place, (version, commit)) in
            self.portable.versions.iter().zip(&self.commits).enumerate()
        {
            number += 1;
            if place >= known {
                self.add(prompt, number, version, commit)?;
            }
        }
        for (label, version) in &self.portable.labels {
            self.connection
                .prepare_cached(
                    "INSERT INTO labels (prompt, label, version) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET version = ?3 WHERE version <> ?3",
                )?
                .execute(params![prompt, label.as_str(), version])?;
        }
        for (environment, stack) in &self.stacks {
            self.restack(prompt, *environment, stack)?;
        }
        Ok(number)
    }

    /// Makes the newest version that arrives the next draft, if it differs from the newest stored.
    fn draft(&self, prompt: i64, known: &[String]) -> Result<Imported, WriteError> {
        let slug = self.portable.slug.clone();
        let newest = read::newest(self.connection, prompt)?.unwrap_or(0);
        let arriving = self.portable.versions.last().zip(self.commits.last());
        match arriving.filter(|(_, commit)| known.last() != Some(commit)) {
            None => Ok(Imported::Unchanged { slug, version: newest }),
            Some((version, commit)) => {
                self.add(prompt, newest + 1, version, commit)?;
                Ok(Imported::Drafted { slug, version: newest + 1 })
            }
        }
    }

    fn add(
        &self,
        prompt: i64,
        number: u32,
        version: &PortableVersion,
        commit: &str,
    ) -> Result<(), WriteError> {
        let uuid = self.free_uuid("versions", version.id.map(|id| id.0))?;
        self.connection
            .prepare_cached(
                "INSERT INTO versions (prompt, number, uuid, commit_hash, content, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                prompt,
                number,
                uuid.to_string(),
                commit,
                content::to_json(&version.content),
                version.created_at.unwrap_or(self.at).as_millis(),
            ])?;
        Ok(())
    }

    /// Withdraws and publishes until the stack that stands is the one that arrives.
    fn restack(
        &self,
        prompt: i64,
        environment: EnvironmentId,
        stack: &[u32],
    ) -> Result<(), WriteError> {
        let standing = read::standing(self.connection, prompt, environment.0)?;
        let shared = standing.iter().zip(stack).take_while(|(one, other)| one == other).count();
        let surplus = standing.len() - shared;
        if surplus > 0 {
            write::withdraw(self.connection, prompt, environment, surplus, self.at)?;
        }
        for version in stack.iter().skip(shared) {
            write::push(self.connection, prompt, environment, *version, self.at)?;
        }
        Ok(())
    }

    /// The wished-for UUID if the table has no row with it, or a new one.
    fn free_uuid(&self, table: &'static str, wish: Option<Uuid>) -> Result<Uuid, WriteError> {
        let Some(wish) = wish else {
            return Ok(Uuid::new_v4());
        };
        let sql = format!("SELECT 1 FROM {table} WHERE uuid = ?1");
        let is_taken = self.connection.prepare_cached(&sql)?.exists([wish.to_string()])?;
        Ok(if is_taken { Uuid::new_v4() } else { wish })
    }
}
