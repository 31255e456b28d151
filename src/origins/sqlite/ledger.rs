//! The ledger, kept beside the prompts: every edge that opens the file counts in it.
//!
//! Each call is one immediate transaction on the writer's thread, so calls of all processes happen
//! one after the other, and what a call decides is decided on numbers that nobody else can change
//! meanwhile. Counts are SQLite's integers: they stop at `i64::MAX` and never go below zero.

use rusqlite::{Connection, OptionalExtension, params};

use crate::ledger::{Ask, Away, Leased, Ledger, Month, Pending, Settle, Usage};
use crate::model::{ProjectId, Timestamp};
use crate::origins::error::WriteError;
use crate::origins::sqlite::{SqliteStore, row, write};

impl Ledger for SqliteStore {
    fn lease(&self, ask: Ask) -> Pending<'_, Leased> {
        Box::pin(self.count(move |connection| lease(connection, &ask)))
    }

    fn settle(&self, settlement: Settle) -> Pending<'_, ()> {
        Box::pin(self.count(move |connection| settle(connection, &settlement)))
    }

    fn usage(&self, project: Option<ProjectId>) -> Pending<'_, Vec<Usage>> {
        Box::pin(async move {
            let usage = self.reads.read(move |connection| usage(connection, project));
            usage.await.map_err(|error| Away(error.into()))
        })
    }
}

impl SqliteStore {
    /// A write that rings no bell: nobody keeps a copy of a count. (The watch still notices the
    /// commit, at most once in its interval; whoever waits for changes then finds none.)
    async fn count<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T, WriteError> + Send + 'static,
    ) -> Result<T, Away> {
        let counted = self.writes.write(|transaction| write(transaction), || {}).await;
        counted.map_err(|error| Away(error.into()))
    }
}

/// See [`Ledger::lease`].
fn lease(connection: &Connection, ask: &Ask) -> Result<Leased, WriteError> {
    write::require_project(connection, ask.project)?;
    count_expired(connection, ask.project, ask.at)?;
    let month = ask.month.to_string();
    let holder = ask.holder.0.to_string();
    let mut used = used(connection, ask.project, &month)?;
    let (own, elsewhere) = leased(connection, ask.project, &month, &holder)?;

    let mut outstanding = own.unwrap_or(0);
    if own.is_some() {
        let spent = countable(ask.spent, used);
        used = used.saturating_add(spent);
        outstanding = outstanding.saturating_sub(spent).max(0);
    }
    used = used.saturating_add(signed(ask.overdrawn));
    let left = signed(ask.quota)
        .saturating_sub(used)
        .saturating_sub(outstanding)
        .saturating_sub(elsewhere)
        .max(0);
    let granted = signed(ask.want).min(left);

    // The month first: a lease refers to it.
    put_used(connection, ask.project, &month, used)?;
    match outstanding.saturating_add(granted) {
        0 => {
            end_lease(connection, ask.project, &month, &holder)?;
        }
        outstanding => {
            let lease =
                params![ask.project.0, month, holder, outstanding, ask.expires_at.as_millis()];
            connection.prepare_cached(PUT_LEASE)?.execute(lease)?;
        }
    }
    Ok(Leased {
        granted: granted.unsigned_abs(),
        is_continued: own.is_some(),
        left: (left - granted).unsigned_abs(),
        leased_elsewhere: elsewhere.unsigned_abs(),
    })
}

/// See [`Ledger::settle`].
fn settle(connection: &Connection, settle: &Settle) -> Result<(), WriteError> {
    write::require_project(connection, settle.project)?;
    let month = settle.month.to_string();
    let before = used(connection, settle.project, &month)?;
    let holder = settle.holder.0.to_string();
    let spent = match end_lease(connection, settle.project, &month, &holder)? {
        Some(_) => countable(settle.spent, before),
        None => 0,
    };
    let after = before.saturating_add(spent).saturating_add(signed(settle.overdrawn));
    if after != before {
        put_used(connection, settle.project, &month, after)?;
    }
    Ok(())
}

/// See [`Ledger::usage`].
fn usage(connection: &Connection, project: Option<ProjectId>) -> rusqlite::Result<Vec<Usage>> {
    let chosen = if project.is_some() { "project = ?1" } else { "?1 IS NULL" };
    let sql = format!(
        "SELECT project, month, used,
                (SELECT coalesce(sum(outstanding), 0) FROM leases
                 WHERE project = m.project AND month = m.month) AS leased
         FROM months m WHERE {chosen} ORDER BY month DESC, project"
    );
    let parameters = [project.map(|project| project.0)];
    let mut months = connection.prepare_cached(&sql)?;
    let months = months.query_map(parameters, |row| {
        Ok(Usage {
            project: ProjectId(row.get("project")?),
            month: row::parsed::<Month>(row, "month")?,
            used: row.get::<_, i64>("used")?.unsigned_abs(),
            leased: row.get::<_, i64>("leased")?.unsigned_abs(),
        })
    })?;
    months.collect()
}

/// Ends the project's leases that have expired, and counts them as used.
fn count_expired(
    connection: &Connection,
    project: ProjectId,
    at: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "DELETE FROM leases WHERE project = ?1 AND expires_at <= ?2
               RETURNING month, outstanding";
    let mut end = connection.prepare_cached(sql)?;
    let ended = end.query_map([project.0, at.as_millis()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let ended: Vec<(String, i64)> = ended.collect::<Result<_, _>>()?;
    for (month, outstanding) in ended {
        let used = used(connection, project, &month)?;
        put_used(connection, project, &month, used.saturating_add(outstanding))?;
    }
    Ok(())
}

/// What the month's used count moves by for `spent`.
///
/// All of it, even if a holder says that it spent more than it had: a request is never lost. But
/// no more is taken back than was counted, so that nothing can be leased twice.
fn countable(spent: i64, used: i64) -> i64 {
    spent.max(-used)
}

/// What of the month is used; nothing if nobody has counted in it yet.
fn used(connection: &Connection, project: ProjectId, month: &str) -> rusqlite::Result<i64> {
    let used = connection
        .prepare_cached("SELECT used FROM months WHERE project = ?1 AND month = ?2")?
        .query_row(params![project.0, month], |row| row.get(0))
        .optional()?;
    Ok(used.unwrap_or(0))
}

/// Writes nothing if the month has that count already: a spent quota is asked for again and again,
/// and a transaction that writes nothing costs no flush to disk
/// (`asking_for_more_of_a_spent_quota_writes_nothing`).
fn put_used(
    connection: &Connection,
    project: ProjectId,
    month: &str,
    used: i64,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO months (project, month, used) VALUES (?1, ?2, ?3)
               ON CONFLICT (project, month) DO UPDATE SET used = excluded.used
               WHERE used <> excluded.used";
    connection.prepare_cached(sql)?.execute(params![project.0, month, used])?;
    Ok(())
}

/// What of the month is leased: to the holder, if its lease stands, and to all others together.
fn leased(
    connection: &Connection,
    project: ProjectId,
    month: &str,
    holder: &str,
) -> rusqlite::Result<(Option<i64>, i64)> {
    let sql = "SELECT holder = ?3, outstanding FROM leases WHERE project = ?1 AND month = ?2";
    let mut leases = connection.prepare_cached(sql)?;
    let leases = leases.query_map(params![project.0, month, holder], |row| {
        Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?))
    })?;
    let (mut own, mut elsewhere) = (None, 0_i64);
    for lease in leases {
        match lease? {
            (true, outstanding) => own = Some(outstanding),
            (false, outstanding) => elsewhere = elsewhere.saturating_add(outstanding),
        }
    }
    Ok((own, elsewhere))
}

/// What was outstanding of the lease that ends here; `None` if there was none.
fn end_lease(
    connection: &Connection,
    project: ProjectId,
    month: &str,
    holder: &str,
) -> rusqlite::Result<Option<i64>> {
    let sql = "DELETE FROM leases WHERE project = ?1 AND month = ?2 AND holder = ?3
               RETURNING outstanding";
    let mut end = connection.prepare_cached(sql)?;
    end.query_row(params![project.0, month, holder], |row| row.get(0)).optional()
}

/// The count as SQLite keeps it.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

const PUT_LEASE: &str = "INSERT INTO leases (project, month, holder, outstanding, expires_at)
     VALUES (?1, ?2, ?3, ?4, ?5)
     ON CONFLICT (project, month, holder)
     DO UPDATE SET outstanding = excluded.outstanding, expires_at = excluded.expires_at";
