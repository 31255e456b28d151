//! For how long what an origin said is used: three windows, and who sets them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cache::entry::Sheet;
use crate::cache::key::Query;
use crate::cache::provenance::Windows;
use crate::origins::Reader;
use crate::wire::caching::Allowance;

/// What an operator says of some prompts otherwise. `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exception {
    /// Another [`Windows::fresh`].
    pub fresh: Option<Duration>,
    /// Another [`Windows::stale`].
    pub stale: Option<Duration>,
    /// Another [`Windows::rescue`].
    pub rescue: Option<Duration>,
    /// Whether there is no rescue at all, whatever else is said.
    pub fail_closed: Option<bool>,
}

/// What an operator says of an origin's prompts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// What holds where nothing else is said.
    pub windows: Windows,
    /// Whether prompts fail closed where nothing else is said.
    pub fail_closed: bool,
    /// The age that what is in use never passes while the origin answers.
    pub max_staleness: Duration,
    /// By environment name.
    pub environments: BTreeMap<String, Exception>,
    /// By one of the prompt's names. Stronger than an environment's.
    pub prompts: BTreeMap<String, Exception>,
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            windows: Windows::default(),
            fail_closed: false,
            max_staleness: Duration::from_secs(60),
            environments: BTreeMap::new(),
            prompts: BTreeMap::new(),
        }
    }
}

impl Freshness {
    /// The windows of one prompt (of the list, if `prompt` is `None`), within what its origin
    /// allows: an origin shortens what the operator said, and never lengthens it.
    ///
    /// Nothing is used without the origin having been asked for longer than `max_staleness`; what
    /// is left of the windows then is rescue, unless there is none.
    pub fn windows(&self, reader: &Reader, prompt: Option<&str>, allows: Allowance) -> Windows {
        let (windows, fail_closed) = self.configured(reader, prompt);
        let within = |own: Duration, allowed: Option<Duration>| allowed.map_or(own, |a| own.min(a));
        let fresh = within(windows.fresh, allows.fresh);
        let stale = within(windows.stale, allows.stale);
        let rescue = within(windows.rescue, allows.rescue);
        let bound = self.max_staleness;
        let at_once = Windows {
            fresh: fresh.min(bound),
            stale: stale.min(bound.saturating_sub(fresh)),
            rescue: Duration::ZERO,
        };
        if fail_closed || rescue.is_zero() {
            return at_once;
        }
        let whole = fresh.saturating_add(stale).saturating_add(rescue);
        Windows { rescue: whole.saturating_sub(at_once.fresh + at_once.stale), ..at_once }
    }

    /// The name, of those that a prompt has, by which the operator said something of it: whichever
    /// it was asked for by, the same holds.
    pub(crate) fn name_of(&self, query: &Query, sheet: Option<&Sheet>) -> Option<String> {
        if self.prompts.is_empty() {
            return None;
        }
        let own = sheet.map(|sheet| &sheet.edition.prompt);
        let own = own.map(|prompt| [prompt.slug.to_string(), prompt.id.0.to_string()]);
        let names = query.prompt().map(ToString::to_string);
        names.into_iter().chain(own.into_iter().flatten()).find(|n| self.prompts.contains_key(n))
    }

    /// The windows of what can never change, or is told to have changed: without a rescue if it
    /// fails closed.
    pub fn endless(&self, reader: &Reader, prompt: Option<&str>) -> Windows {
        match self.configured(reader, prompt) {
            (_, true) => Windows { rescue: Duration::ZERO, ..Windows::ENDLESS },
            (_, false) => Windows::ENDLESS,
        }
    }

    /// What the operator said of a prompt, and whether it fails closed.
    fn configured(&self, reader: &Reader, prompt: Option<&str>) -> (Windows, bool) {
        let (mut windows, mut fail_closed) = (self.windows, self.fail_closed);
        let of_environment = self.environments.get(&*reader.environment);
        let of_prompt = prompt.and_then(|prompt| self.prompts.get(prompt));
        for exception in [of_environment, of_prompt].into_iter().flatten() {
            windows.fresh = exception.fresh.unwrap_or(windows.fresh);
            windows.stale = exception.stale.unwrap_or(windows.stale);
            windows.rescue = exception.rescue.unwrap_or(windows.rescue);
            fail_closed = exception.fail_closed.unwrap_or(fail_closed);
        }
        (windows, fail_closed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;
    use uuid::Uuid;

    use crate::model::{
        Content, Edition, EnvironmentId, ProjectId, Prompt, PromptId, PromptName, Reads, Slug,
        Tenant, Version, VersionId, Visibility,
    };
    use crate::origins::Text;

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn reader(environment: &str) -> Reader {
        Reader {
            tenant: Tenant::new(ProjectId(1), EnvironmentId(1)),
            project: "acme".into(),
            environment: environment.into(),
            reads: Reads::Published,
            origin: None,
            credential: None,
        }
    }

    #[test]
    fn a_prompt_outvotes_its_environment_and_both_the_origin_as_a_whole() {
        let fresh = |fresh| Exception { fresh: Some(seconds(fresh)), ..Exception::default() };
        let freshness = Freshness {
            environments: [("dev".to_owned(), fresh(1))].into(),
            prompts: [("greeting".to_owned(), fresh(2))].into(),
            ..Freshness::default()
        };
        let of = |environment, prompt| {
            freshness.windows(&reader(environment), prompt, Allowance::default()).fresh
        };

        assert_eq!(of("live", Some("other")), seconds(30));
        assert_eq!(of("dev", Some("other")), seconds(1));
        assert_eq!(of("dev", None), seconds(1));
        assert_eq!(of("dev", Some("greeting")), seconds(2));
    }

    #[test]
    fn an_origin_shortens_and_never_lengthens() {
        let freshness = Freshness { max_staleness: seconds(3600), ..Freshness::default() };
        let allows = |fresh, stale, rescue| Allowance {
            fresh: Some(seconds(fresh)),
            stale: Some(seconds(stale)),
            rescue: Some(seconds(rescue)),
        };
        let of = |allows| freshness.windows(&reader("live"), None, allows);

        assert_eq!(
            of(allows(1, 2, 3)),
            Windows { fresh: seconds(1), stale: seconds(2), rescue: seconds(3) }
        );
        assert_eq!(of(allows(1 << 30, 1 << 30, 1 << 30)), of(Allowance::default()));
    }

    #[test]
    fn what_fails_closed_has_no_rescue() {
        let closed = Exception { fail_closed: Some(true), ..Exception::default() };
        let freshness =
            Freshness { prompts: [("safety".to_owned(), closed)].into(), ..Freshness::default() };
        let of =
            |prompt| freshness.windows(&reader("live"), Some(prompt), Allowance::default()).rescue;

        assert_eq!(of("safety"), Duration::ZERO);
        assert!(of("other") > Duration::ZERO);
        assert_eq!(freshness.endless(&reader("live"), Some("safety")).rescue, Duration::ZERO);
        assert_eq!(freshness.endless(&reader("live"), Some("other")), Windows::ENDLESS);
    }

    #[test]
    fn what_is_said_of_a_prompt_holds_whichever_name_it_is_asked_for_by() {
        let id = PromptId(Uuid::from_u128(7));
        let sheet = sheet(id, "safety");
        let exceptions = [("safety".to_owned(), Exception::default())].into();
        let freshness = Freshness { prompts: exceptions, ..Freshness::default() };
        let of = |query, sheet| freshness.name_of(&query, sheet);

        let by_id = Query::Prompt(PromptName::Id(id));
        assert_eq!(of(by_id.clone(), Some(&sheet)), Some("safety".to_owned()));
        assert_eq!(of(by_id, None), None);
        assert_eq!(of(Query::Listing, None), None);
    }

    fn sheet(id: PromptId, slug: &str) -> Sheet {
        let slug = Slug::foreign(slug).unwrap();
        let (name, description, category, owner) = Default::default();
        let (number, tags, visibility) = (1, Vec::new(), Visibility::Private);
        let (created_at, updated_at) = Default::default();
        let prompt = Prompt {
            id,
            number,
            slug,
            name,
            description,
            category,
            visibility,
            tags,
            owner,
            created_at,
            updated_at,
        };
        let version = Version {
            id: VersionId(Uuid::nil()),
            number: 1,
            commit: String::new(),
            content: Content::default(),
            created_at,
        };
        let (project, defaults, composed_of) = (Uuid::nil(), Map::new(), Vec::new());
        Sheet::new(Text::Edition(Box::new(Edition {
            project,
            prompt,
            version,
            defaults,
            composed_of,
        })))
    }

    #[test]
    fn what_is_left_beyond_the_bound_is_rescue() {
        let windows = Freshness::default().windows(&reader("live"), None, Allowance::default());

        // 30 s fresh, then stale up to the bound of 60 s, then the rest of 5 min and 24 h.
        assert_eq!(
            windows,
            Windows {
                fresh: seconds(30),
                stale: seconds(30),
                rescue: seconds(5 * 60 - 30 + 24 * 60 * 60),
            }
        );
    }
}
