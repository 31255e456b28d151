//! Which names people may give.

use crate::authoring::Error;
use crate::model::{OriginName, PlanName};

/// What people call the store where they might name an origin; no origin has that name.
pub const STORE: &str = "store";

/// A project's name: 1 to 64 visible characters, blanks between them allowed.
///
/// # Errors
///
/// If it is not.
pub fn project(name: &str) -> Result<(), Error> {
    let is_shown = |c: char| !c.is_control();
    if (1..=64).contains(&name.chars().count()) && name.chars().all(is_shown) && name == name.trim()
    {
        return Ok(());
    }
    let remedy = "a name has 1 to 64 visible characters, without blanks around them".into();
    Err(Error::Name { what: "project", name: name.escape_debug().to_string(), remedy })
}

/// A plan that is configured.
///
/// # Errors
///
/// If there is none such.
pub fn plan(name: &str, plans: &[PlanName]) -> Result<(), Error> {
    if plans.iter().any(|plan| plan.as_str() == name) {
        return Ok(());
    }
    let known = plans.iter().map(PlanName::as_str).collect::<Vec<_>>().join(", ");
    Err(Error::Name {
        what: "plan",
        name: name.escape_debug().to_string(),
        remedy: format!("the plans are {known}").into(),
    })
}

/// An origin that is configured; `None` is the store.
///
/// # Errors
///
/// If there is none such.
pub fn origin(name: &str, origins: &[OriginName]) -> Result<Option<OriginName>, Error> {
    let found = origins.iter().find(|origin| origin.as_str() == name);
    if found.is_some() || name == STORE {
        return Ok(found.cloned());
    }
    let known: Vec<_> = [STORE].into_iter().chain(origins.iter().map(OriginName::as_str)).collect();
    Err(Error::Name {
        what: "origin",
        name: name.escape_debug().to_string(),
        remedy: format!("the origins are {}", known.join(", ")).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_a_name_that_can_be_read() {
        for good in ["demo", "Team A", "é"] {
            assert!(project(good).is_ok(), "{good:?}");
        }
        for bad in ["", " demo", "a\nb", &"x".repeat(65)] {
            assert!(project(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_plan_is_one_that_is_configured() {
        let plans = ["free", "pro"].map(PlanName::new);

        assert!(plan("free", &plans).is_ok());
        assert_eq!(
            plan("gold", &plans).unwrap_err().to_string(),
            "plan `gold`: the plans are free, pro"
        );
    }

    #[test]
    fn an_origin_is_the_store_or_one_that_is_configured() {
        let origins = ["promptot", "files"].map(OriginName::new);

        assert_eq!(origin("store", &origins).unwrap(), None);
        assert_eq!(origin("files", &origins).unwrap().as_ref(), Some(&origins[1]));
        assert_eq!(
            origin("langfuse", &origins).unwrap_err().to_string(),
            "origin `langfuse`: the origins are store, promptot, files"
        );
    }
}
