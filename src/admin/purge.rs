//! What `POST /admin/purge` is asked for.

use serde_json::{Map, Value};

use crate::delivery::purge::{Mode, Purge, Scope};
use crate::model::{OriginName, PromptName};

/// Reads a body.
///
/// # Errors
///
/// What is wrong with it: the field, and what would be right. Nothing that was sent is repeated but
/// the names of fields that mean nothing.
pub(crate) fn parse(body: &[u8]) -> Result<Purge, String> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        return Err(format!("body: expected a JSON object such as {EXAMPLE}"));
    };
    let is_all = flag(&mut fields, "all")?;
    let is_hard = flag(&mut fields, "hard")?;
    let origin = text(&mut fields, "origin")?;
    let project = text(&mut fields, "project")?;
    let prompt = text(&mut fields, "prompt")?;
    if let Some(name) = fields.keys().next() {
        let name = name.escape_debug();
        return Err(format!("{name}: unknown; there are all, origin, project, prompt and hard"));
    }
    let scope = match (is_all, origin, project, prompt) {
        (true, None, None, None) => Scope::All,
        (false, Some(origin), None, None) => Scope::Origin(OriginName::new(&origin)),
        (false, None, Some(project), None) => Scope::Project(project),
        (false, None, Some(project), Some(prompt)) => {
            let prompt = PromptName::anywhere(&prompt).map_err(|e| format!("prompt: {e}"))?;
            Scope::Prompt(project, prompt)
        }
        (false, _, None, Some(_)) => return Err("prompt: say of which project".to_owned()),
        (false, None, None, None) => {
            return Err(format!("body: say what is to be purged, such as {EXAMPLE}"));
        }
        (true, ..) => return Err("all: it leaves nothing to name: leave the others out".to_owned()),
        (false, Some(_), Some(_), _) => {
            return Err("origin: name it or the project, not both".to_owned());
        }
    };
    Ok(Purge { scope, mode: if is_hard { Mode::Hard } else { Mode::Soft } })
}

const EXAMPLE: &str = r#"{"project": "shop"}, {"origin": "promptot"} or {"all": true}"#;

fn flag(fields: &mut Map<String, Value>, name: &str) -> Result<bool, String> {
    match fields.shift_remove(name) {
        None => Ok(false),
        Some(Value::Bool(is_set)) => Ok(is_set),
        Some(_) => Err(format!("{name}: expected true or false")),
    }
}

fn text(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match fields.shift_remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name}: expected its name, as text")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_body_names_one_thing() {
        let project = || "shop".to_owned();
        for (body, scope) in [
            (r#"{"all": true}"#, Scope::All),
            (r#"{"origin": "promptot"}"#, Scope::Origin(OriginName::new("promptot"))),
            (r#"{"project": "shop"}"#, Scope::Project(project())),
            (
                r#"{"prompt": "movies/critic", "project": "shop", "all": false}"#,
                Scope::Prompt(project(), PromptName::anywhere("movies/critic").unwrap()),
            ),
        ] {
            assert_eq!(parse(body.as_bytes()), Ok(Purge { scope, mode: Mode::Soft }), "{body}");
        }
        let hard = Purge { scope: Scope::All, mode: Mode::Hard };
        assert_eq!(parse(br#"{"all": true, "hard": true}"#), Ok(hard));
    }

    #[test]
    fn a_bad_body_is_refused_by_field_and_with_the_remedy() {
        for (body, problem) in [
            ("", "body: expected a JSON object such as "),
            ("[]", "body: expected a JSON object such as "),
            ("{}", "body: say what is to be purged, such as "),
            (r#"{"all": false}"#, "body: say what is to be purged, such as "),
            (r#"{"all": 1}"#, "all: expected true or false"),
            (r#"{"all": true, "hard": "yes"}"#, "hard: expected true or false"),
            (r#"{"all": true, "project": "a"}"#, "all: it leaves nothing to name"),
            (r#"{"origin": "a", "project": "a"}"#, "origin: name it or the project, not both"),
            (r#"{"origin": "a", "prompt": "a"}"#, "prompt: say of which project"),
            (r#"{"prompt": "a"}"#, "prompt: say of which project"),
            (r#"{"project": null}"#, "project: expected its name, as text"),
            (r#"{"project": "a", "prompt": " "}"#, "prompt: a name has 1 to 256 bytes"),
            (r#"{"projekt": "a"}"#, "projekt: unknown; there are all, origin, project, "),
        ] {
            let refused = parse(body.as_bytes()).unwrap_err();
            assert!(refused.starts_with(problem), "{body}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_as_a_purge(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&bytes);
        }
    }
}
