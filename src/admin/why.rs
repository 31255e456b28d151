//! What `GET /admin/why` is asked for, and what it answers.

use serde_json::{Value, json};

use crate::delivery::Why;
use crate::model::PromptName;
use crate::wire::query;

/// Whose records are asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The project's name.
    pub(crate) project: String,
    /// The environment's name.
    pub(crate) environment: String,
    /// The prompt, as callers name it.
    pub(crate) prompt: PromptName,
}

impl Asked {
    /// Reads a query. Names that mean nothing here are ignored.
    ///
    /// # Errors
    ///
    /// What is wrong with it: the parameter, and what would be right.
    pub(crate) fn parse(query: &str) -> Result<Self, String> {
        let slug = only(query, "slug")?;
        Ok(Self {
            project: only(query, "project")?,
            environment: only(query, "environment")?,
            prompt: PromptName::anywhere(&slug).map_err(|error| format!("slug: {error}"))?,
        })
    }

    /// The page: what was asked for, and what is kept of it.
    pub(crate) fn page(&self, kept: &[Why]) -> Value {
        json!({
            "project": self.project,
            "environment": self.environment,
            "prompt": self.prompt.to_string(),
            "records": kept.iter().map(Why::to_json).collect::<Vec<_>>(),
        })
    }
}

fn only(query: &str, name: &'static str) -> Result<String, String> {
    let mut values = query::pairs(query).filter(|pair| *pair.0 == *name.as_bytes());
    let value = values.next().ok_or_else(|| format!("{name}: missing: {EXAMPLE}"))?.1;
    if values.next().is_some() {
        return Err(format!("{name}: it is given more than once: give it once"));
    }
    String::from_utf8(value.into_owned()).map_err(|_| format!("{name}: it is not UTF-8: send text"))
}

const EXAMPLE: &str = "ask for /admin/why?project=shop&slug=greeting&environment=live";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_project_prompt_and_environment() {
        let asked = Asked::parse("environment=live&slug=movies%2Fcritic&project=shop&x=y");

        let expected = Asked {
            project: "shop".to_owned(),
            environment: "live".to_owned(),
            prompt: PromptName::anywhere("movies/critic").unwrap(),
        };
        assert_eq!(asked, Ok(expected));
    }

    #[test]
    fn a_bad_query_is_refused_by_parameter_and_with_the_remedy() {
        for (query, problem) in [
            ("", "slug: missing: ask for /admin/why?project=shop"),
            ("slug=a&environment=live", "project: missing"),
            ("slug=a&project=b", "environment: missing"),
            ("slug=a&slug=b&project=b&environment=live", "slug: it is given more than once"),
            ("slug=&project=b&environment=live", "slug: a name has 1 to 256 bytes"),
            ("slug=a&project=%FF&environment=live", "project: it is not UTF-8"),
        ] {
            let refused = Asked::parse(query).unwrap_err();
            assert!(refused.starts_with(problem), "{query}: {refused}");
        }
    }
}
