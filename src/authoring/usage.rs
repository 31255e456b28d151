//! What projects have used of their months.

use std::num::NonZeroU64;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::access::limits;
use crate::authoring::Error;
use crate::clock::Clock;
use crate::ledger::{Ledger, Month};
use crate::live::Live;
use crate::model::{PlanName, Project, Timestamp};
use crate::origins::{Store, WriteError};

/// Reads what was used.
#[derive(Clone)]
pub struct Usage {
    /// Where projects are.
    pub store: Arc<dyn Store>,
    /// Where months are counted.
    pub ledger: Arc<dyn Ledger>,
    /// The plans there are, and the one of a project whose own is not configured.
    pub limits: Live<limits::Config>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// One month of one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The project's name.
    pub project: String,
    /// Its present plan.
    pub plan: String,
    /// The month.
    pub month: Month,
    /// What that plan, or the fallback, allows in a month; `None` is any number.
    pub quota: Option<u64>,
    /// What was used and accounted for.
    pub used: u64,
    /// What edges hold and have not accounted for yet: some of it may be used.
    pub leased: u64,
    /// What is neither; `None` is any number, and of a past month nothing is left.
    pub remaining: Option<u64>,
    /// When the month ends.
    pub resets_at: Timestamp,
}

impl Row {
    /// The columns, in order.
    pub const COLUMNS: [&str; 8] =
        ["project", "plan", "month", "quota", "used", "leased", "remaining", "resets_at"];

    /// The row as a JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "project": self.project,
            "plan": self.plan,
            "month": self.month.to_string(),
            "quota": self.quota,
            "used": self.used,
            "leased": self.leased,
            "remaining": self.remaining,
            "resets_at": self.resets_at.to_string(),
        })
    }
}

impl Usage {
    /// The present month of every project (or the one named), and every past month in which it
    /// used something: by project, newest month first.
    ///
    /// # Errors
    ///
    /// If there is no such project, or the store or the ledger fails.
    pub async fn rows(&self, only: Option<&str>) -> Result<Vec<Row>, Error> {
        let mut projects = self.store.projects().await?;
        if let Some(name) = only {
            projects.retain(|project| project.name == name);
            if projects.is_empty() {
                let name = name.to_owned();
                return Err(WriteError::Missing { noun: "project", name }.into());
            }
        }
        let one = match &*projects {
            [project] => Some(project.id),
            _ => None,
        };
        let months = self.ledger.usage(one).await.map_err(Error::Ledger)?;
        let present = Month::of(self.clock.now());

        let mut rows = Vec::new();
        for project in &projects {
            let of = |month| self.row(project, month, present);
            let counted = months.iter().filter(|usage| usage.project == project.id);
            let mut counted = counted.peekable();
            if counted.peek().is_none_or(|newest| newest.month != present) {
                rows.push(of((present, 0, 0)));
            }
            rows.extend(counted.map(|usage| of((usage.month, usage.used, usage.leased))));
        }
        Ok(rows)
    }

    fn row(
        &self,
        project: &Project,
        (month, used, leased): (Month, u64, u64),
        present: Month,
    ) -> Row {
        let limits = self.limits.load();
        let plan = limits.plans.get(&PlanName::new(&project.plan));
        let plan = plan.or_else(|| limits.plans.get(&limits.fallback_plan));
        let quota = plan.and_then(|plan| plan.requests_per_month).map(NonZeroU64::get);
        let left =
            |quota: u64| if month < present { 0 } else { quota.saturating_sub(used + leased) };
        Row {
            project: project.name.clone(),
            plan: project.plan.clone(),
            month,
            quota,
            used,
            leased,
            remaining: quota.map(left),
            resets_at: month.end(),
        }
    }
}

impl std::fmt::Debug for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Usage(…)")
    }
}
