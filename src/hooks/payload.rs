//! What a hook says: which prompts are no longer what they were.
//!
//! Vendors document their bodies little or not at all. So every name that may be the prompt's is
//! taken: to ask once more for a prompt that has not changed costs a question, to miss the one that
//! has would serve its old text. Of what is said *about* a prompt, its text included, nothing is
//! kept.

use serde_json::Value;

use crate::hooks::signature::Scheme;
use crate::model::{PromptName, Timestamp};

/// What a hook is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Something other than prompts.
    Other,
    /// These prompts, by each name that the body has for them; all there are if it has none.
    Prompts {
        /// Their names, each once.
        names: Vec<PromptName>,
        /// When it happened, if the body says so.
        at: Option<Timestamp>,
    },
}

/// Reads the body of a hook that was signed.
///
/// Never fails: whoever has the key and says something unreadable may have said anything, and is
/// taken to speak of every prompt.
pub(crate) fn read(scheme: &Scheme, body: &[u8]) -> Event {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let kind = KINDS.iter().find_map(|name| body.get(name)?.as_str());
    if kind.is_some_and(|kind| !kind.starts_with("prompt.") && kind != "prompt-version") {
        return Event::Other;
    }
    let mut names = Vec::new();
    for (place, fields) in places(scheme) {
        let Some(place) = body.pointer(place) else { continue };
        let texts = fields.iter().filter_map(|field| place.get(field)?.as_str());
        for name in texts.filter_map(|text| PromptName::anywhere(text).ok()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    Event::Prompts { names, at: TIMES.iter().find_map(|name| moment(body.get(name)?)) }
}

/// Where the kind of an event stands: `prompt.published`, `prompt-version`.
const KINDS: [&str; 3] = ["type", "event", "event_type"];

/// Where the moment of an event stands. `created_at` is not among them: it may be the prompt's.
const TIMES: [&str; 3] = ["timestamp", "sent_at", "occurred_at"];

/// Where prompts' names may stand: JSON pointers, and the fields there. The `id` and `name` of the
/// body itself are the event's.
const fn places(scheme: &Scheme) -> &'static [(&'static str, &'static [&'static str])] {
    match scheme {
        Scheme::Langfuse => &[("/prompt", &["name"])],
        // Its names are for people: callers ask by slug or id.
        Scheme::PromptOt { .. } => &[
            ("", &["slug", "prompt_slug", "prompt_id"]),
            ("/data", &["slug", "id", "prompt_slug", "prompt_id"]),
            ("/prompt", &["slug", "id"]),
            ("/data/prompt", &["slug", "id"]),
        ],
        Scheme::Standard => &[
            ("/data", &["slug", "name", "id", "prompt_slug", "prompt_name", "prompt_id"]),
            ("/data/prompt", &["slug", "name", "id"]),
        ],
    }
}

/// RFC 3339, or a number of seconds or milliseconds since the Unix epoch.
fn moment(value: &Value) -> Option<Timestamp> {
    if let Some(text) = value.as_str() {
        return Timestamp::parse(text);
    }
    let number = value.as_i64()?;
    // As seconds, that is the year 5138; as milliseconds, 1973.
    let is_seconds = number < 100_000_000_000;
    Some(Timestamp::from_millis(if is_seconds { number.saturating_mul(1_000) } else { number }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use crate::hooks::signature::PROMPTOT_SIGNATURE;

    use super::*;

    const ID: &str = "a1b2c3d4-e5f6-4a1b-8c3d-4e5f6a7b8c9d";
    const PROMPTOT: Scheme = Scheme::PromptOt { header: PROMPTOT_SIGNATURE };

    fn names(scheme: &Scheme, body: &str) -> Vec<String> {
        match read(scheme, body.as_bytes()) {
            Event::Prompts { names, .. } => names.iter().map(ToString::to_string).collect(),
            Event::Other => panic!("{body} should be about prompts"),
        }
    }

    #[test]
    fn promptot_names_a_prompt_in_one_of_many_places() {
        for said in [
            r#""data":{"slug":"greeting"}"#,
            r#""data":{"prompt":{"slug":"greeting","name":"Greeting"}}"#,
            r#""slug":"greeting","id":"evt_1""#,
            r#""prompt":{"slug":"greeting"}"#,
            r#""data":{"slug":"greeting","name":"Greeting","prompt_slug":"greeting"}"#,
        ] {
            let body = format!(r#"{{"event":"prompt.published",{said}}}"#);
            assert_eq!(names(&PROMPTOT, &body), ["greeting"], "{body}");
        }
        let both = format!(r#"{{"type":"prompt.updated","data":{{"id":"{ID}","slug":"a"}}}}"#);
        assert_eq!(names(&PROMPTOT, &both), ["a", ID]);
        let top = format!(r#"{{"event":"prompt.deleted","prompt_id":"{ID}"}}"#);
        assert_eq!(names(&PROMPTOT, &top), [ID]);
    }

    #[test]
    fn langfuse_names_a_prompt_as_its_callers_do() {
        let body = r#"{"id":"550e8400-e29b-41d4-a716-446655440000","type":"prompt-version",
            "action":"created","prompt":{"id":"p1","name":"movies/film critic","prompt":"text"}}"#;

        assert_eq!(names(&Scheme::Langfuse, body), ["movies/film critic"]);
    }

    #[test]
    fn standard_webhooks_name_a_prompt_in_their_data() {
        let body = |data: &str| format!(r#"{{"type":"prompt.published","data":{data}}}"#);

        assert_eq!(names(&Scheme::Standard, &body(r#"{"slug":"a"}"#)), ["a"]);
        assert_eq!(names(&Scheme::Standard, &body(r#"{"name":"b c"}"#)), ["b c"]);
        assert_eq!(names(&Scheme::Standard, &body(&format!(r#"{{"id":"{ID}"}}"#))), [ID]);
    }

    #[test]
    fn who_names_nothing_readable_speaks_of_every_prompt() {
        for body in [
            "",
            "no JSON",
            "[]",
            r#"{"event":"prompt.published"}"#,
            r#"{"event":"prompt.published","data":{"slug":7,"id":null}}"#,
            r#"{"event":"prompt.published","data":{"slug":""}}"#,
            r#"{"event":"prompt.published","data":{"prompt":"a text"}}"#,
        ] {
            assert_eq!(names(&PROMPTOT, body), [""; 0], "{body}");
        }
    }

    #[test]
    fn an_event_about_something_else_is_nothing() {
        for kind in ["project.created", "key.revoked", "ping", "prompts", "prompt_run.finished"] {
            let body = format!(r#"{{"type":"{kind}","data":{{"slug":"greeting"}}}}"#);
            for scheme in [PROMPTOT, Scheme::Langfuse, Scheme::Standard] {
                assert_eq!(read(&scheme, body.as_bytes()), Event::Other, "{kind}");
            }
        }
    }

    #[test]
    fn a_moment_is_a_date_or_a_number() {
        let at = |time: &str| {
            let body = format!(r#"{{"event":"prompt.updated","timestamp":{time}}}"#);
            match read(&PROMPTOT, body.as_bytes()) {
                Event::Prompts { at, .. } => at.map(Timestamp::as_millis),
                Event::Other => None,
            }
        };

        for time in [r#""2026-03-01T12:00:00Z""#, "1772366400", "1772366400000"] {
            assert_eq!(at(time), Some(1_772_366_400_000), "{time}");
        }
        for time in ["null", "1e400", "1.5", r#""noon""#, "{}"] {
            assert_eq!(at(time), None, "{time}");
        }
        assert_eq!(at("-9223372036854775808"), Some(i64::MIN));
    }

    proptest! {
        #[test]
        fn every_name_is_found_once_whatever_stands_beside_it(
            slug in "[a-z][a-z0-9]{0,12}", beside in "[a-z]{1,8}", text in any::<String>(),
        ) {
            let data = json!({ "prompt": { "slug": slug, "text": text }, "slug": slug, "id": ID });
            let body = json!({ "event": "prompt.updated", format!("x{beside}"): text, "data": data });

            for scheme in [PROMPTOT, Scheme::Standard] {
                let mut names = names(&scheme, &body.to_string());
                names.sort();
                let mut expected = [slug.clone(), ID.to_owned()];
                expected.sort();
                prop_assert_eq!(names, expected);
            }
        }

        #[test]
        fn no_bytes_panic_as_a_body(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            text in r#"(\{|\}|\[|"|:|,|data|prompt|slug|id|type|prompt\.x|timestamp|-?[0-9e]{1,25}| ){0,40}"#,
        ) {
            for scheme in [PROMPTOT, Scheme::Langfuse, Scheme::Standard] {
                let _ = (read(&scheme, &bytes), read(&scheme, text.as_bytes()));
            }
        }
    }
}
