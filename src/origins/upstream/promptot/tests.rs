//! What the adapter asks for, and what it makes of what it hears.

use http::HeaderValue;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

#[test]
fn a_name_is_one_segment_of_the_path() {
    for (name, expected) in [
        ("greeting", Some("/prompts/greeting/compiled")),
        ("support/refund offer", Some("/prompts/support%2Frefund%20offer/compiled")),
        ("v1.2?x#y%z", Some("/prompts/v1.2%3Fx%23y%25z/compiled")),
        ("größe", Some("/prompts/gr%C3%B6%C3%9Fe/compiled")),
        ("...", Some("/prompts/.../compiled")),
        ("..", None),
        ("a/../../keys", None),
        ("./a", None),
    ] {
        let name = PromptName::anywhere(name).unwrap();
        assert_eq!(target(&name, None).as_deref(), expected, "of {name}");
    }
}

#[test]
fn a_view_has_a_path_and_variables_are_a_parameter() {
    let name = PromptName::anywhere("greeting").unwrap();
    let asked = |view, variables: Option<&str>| {
        let variables = variables.map(Into::into);
        target(&name, Some(&Compile { view, variables })).unwrap()
    };

    assert_eq!(asked(View::Compiled, None), "/prompts/greeting/compiled");
    assert_eq!(asked(View::Delivered, None), "/prompts/greeting");
    assert_eq!(
        asked(View::Delivered, Some(r#"{"a":"1 & 2"}"#)),
        "/prompts/greeting?variables=%7B%22a%22%3A%221%20%26%202%22%7D",
    );
    assert_eq!(asked(View::Compiled, Some("{}")), "/prompts/greeting/compiled?variables=%7B%7D");
}

#[test]
fn a_compiled_prompt_is_read_in_full() {
    let rendition = shapes::compiled(&compiled(), &greeting()).unwrap();

    assert_eq!(rendition.text, "## Role\nYou greet Ada.\n");
    assert_eq!(rendition.tokens, Some(9));
    assert_eq!(rendition.used, ["name"]);
    assert_eq!(rendition.edition.version.number, 3);
    assert_eq!(rendition.edition.prompt.id.0.to_string(), ID);
    assert_eq!(rendition.edition.prompt.slug.as_str(), "greeting");
    assert_eq!(rendition.edition.project.to_string(), PROJECT);
}

#[test]
fn a_version_is_a_number_or_a_string_of_digits_from_1() {
    let read = |version: Value| {
        let body = changed(&compiled(), "/data/version", Some(version));
        shapes::compiled(&body, &greeting()).map(|rendition| rendition.edition.version.number)
    };

    for (version, expected) in [
        (json!("3"), Some(3)),
        (json!(3), Some(3)),
        (json!(u32::MAX), Some(u32::MAX)),
        (json!("4294967296"), None),
        (json!(4_294_967_296_u64), None),
        (json!(0), None),
        (json!("+3"), None),
        (json!(""), None),
        (json!("three"), None),
        (json!(-3), None),
        (json!(3.5), None),
        (json!([3]), None),
    ] {
        assert_eq!(read(version.clone()).ok(), expected, "of {version}");
    }
}

#[test]
fn every_field_that_is_missing_or_of_another_type_is_named() {
    for pointer in COMPILED_FIELDS {
        for other in [None, Some(Value::Null), Some(json!([true]))] {
            let body = changed(&compiled(), pointer, other);
            let misfit = shapes::compiled(&body, &greeting()).unwrap_err();
            assert!(misfit.expected.ends_with(&dotted(pointer)), "{pointer}: {misfit:?}");
        }
    }
    for pointer in DELIVERED_FIELDS {
        for other in [None, Some(json!([[true]]))] {
            let body = changed(&delivered(), pointer, other);
            let misfit = shapes::delivered(&body, &greeting()).unwrap_err();
            assert!(misfit.expected.contains(&dotted(pointer)), "{pointer}: {misfit:?}");
        }
    }
    for pointer in LISTED_FIELDS {
        for other in [None, Some(json!(true))] {
            let misfit = shapes::listed(&changed(&listed(), pointer, other)).unwrap_err();
            assert!(misfit.expected.ends_with(&dotted(pointer)), "{pointer}: {misfit:?}");
        }
    }
}

#[test]
fn what_fits_in_type_but_not_in_meaning_is_named() {
    let delivered_with = |pointer, value| {
        shapes::delivered(&changed(&delivered(), pointer, Some(value)), &greeting()).map(drop)
    };
    let listed_with =
        |pointer, value| shapes::listed(&changed(&listed(), pointer, Some(value))).map(drop);
    let other_id = PromptName::anywhere(PROJECT).unwrap();
    let misfits = [
        (delivered_with("/data/etag", json!("\"a\"\r\nhost: evil")), "data.etag"),
        (delivered_with("/data/etag", json!("")), "data.etag"),
        (delivered_with("/data/variables/0/key", json!("not a name")), "data.variables[].key"),
        (delivered_with("/data/variables/1/key", json!("name")), "data.variables[].key"),
        (delivered_with("/error", json!({})), "error"),
        (listed_with("/data/0/slug", json!("a\nb")), "data[].slug"),
        (listed_with("/data/0/slug", json!("greeting")), "data[].slug"),
        (listed_with("/data/0/id", json!("1")), "data[].id"),
        (shapes::delivered(&delivered(), &other_id).map(drop), "data.id"),
        (shapes::compiled(&compiled(), &other_id).map(drop), "data.prompt_id"),
    ];

    for (read, place) in misfits {
        let misfit = read.unwrap_err();
        assert!(misfit.expected.ends_with(place), "{place}: {misfit:?}");
    }
}

#[test]
fn what_is_not_known_is_not_read() {
    let grown = changed(&compiled(), "/data/since_last_week", Some(json!({ "a": [1, null] })));

    let rendition = shapes::compiled(&grown, &greeting());

    assert_eq!(rendition, shapes::compiled(&compiled(), &greeting()));
}

#[test]
fn a_problem_is_repeated_without_control_characters_and_shortened() {
    let said = |message: &str| shapes::problem(&json!({ "error": { "message": message } }));

    assert_eq!(said("Missing: `name`\u{1b}[31m\r\n").unwrap(), "Missing: `name`[31m");
    assert_eq!(said(&"ß".repeat(301)).unwrap(), "ß".repeat(300));
    assert!(shapes::problem(&Value::Null).is_err());
}

proptest! {
    #[test]
    fn no_json_panics(body in any_json()) {
        let _ = shapes::compiled(&body, &greeting());
        let _ = shapes::delivered(&body, &greeting());
        let _ = shapes::listed(&body);
        let _ = shapes::problem(&body);
        let _ = shapes::absence(&body);
    }

    #[test]
    fn an_answer_with_anything_in_one_place_is_refused_or_right(
        place in any::<prop::sample::Index>(),
        value in any_json(),
    ) {
        let body = changed(&compiled(), COMPILED_FIELDS[place.index(COMPILED_FIELDS.len())], Some(value.clone()));
        if let Ok(rendition) = shapes::compiled(&body, &greeting()) {
            prop_assert!(rendition.edition.version.number > 0);
            prop_assert_eq!(body["data"]["prompt"].as_str(), Some(&*rendition.text));
        }
        let body = changed(&delivered(), DELIVERED_FIELDS[place.index(DELIVERED_FIELDS.len())], Some(value.clone()));
        if let Ok((_, tag)) = shapes::delivered(&body, &greeting()) {
            prop_assert!(HeaderValue::from_str(&tag.0).is_ok());
        }
        let body = changed(&listed(), LISTED_FIELDS[place.index(LISTED_FIELDS.len())], Some(value));
        if let Ok(listed) = shapes::listed(&body) {
            prop_assert!(listed.is_sorted_by(|a, b| a.slug < b.slug));
        }
    }
}

const ID: &str = "0198f3a1-7c2e-7d30-9a4b-5c6d7e8f9a01";
const PROJECT: &str = "0198f3a1-7c2e-7d30-9a4b-5c6d7e8f9a02";

const COMPILED_FIELDS: &[&str] = &[
    "/data",
    "/data/prompt",
    "/data/version",
    "/data/tokens",
    "/data/variables_used",
    "/data/prompt_id",
    "/data/project_id",
];

const DELIVERED_FIELDS: &[&str] = &[
    "/data",
    "/data/id",
    "/data/name",
    "/data/compiled_prompt",
    "/data/model_config",
    "/data/variables",
    "/data/variables/0/key",
    "/data/variables/0/default_value",
    "/data/version",
    "/data/etag",
];

const LISTED_FIELDS: &[&str] =
    &["/data", "/data/0/id", "/data/0/name", "/data/0/slug", "/data/0/current_version"];

fn compiled() -> Value {
    json!({
        "data": {
            "prompt": "## Role\nYou greet Ada.\n",
            "version": "3",
            "tokens": 9,
            "variables_used": ["name"],
            "prompt_id": ID,
            "project_id": PROJECT,
        },
        "error": null,
    })
}

fn delivered() -> Value {
    json!({
        "data": {
            "id": ID,
            "name": "Greeting",
            "compiled_prompt": "You greet Ada.\n",
            "model_config": { "model": "gpt-4o" },
            "variables": [
                { "key": "name", "default_value": null },
                { "key": "tone", "default_value": "kind" },
            ],
            "version": 3,
            "etag": "\"abc\"",
        },
        "error": null,
    })
}

fn listed() -> Value {
    json!({
        "data": [
            { "id": PROJECT, "name": "Welcome", "slug": "welcome", "current_version": "1" },
            { "id": ID, "name": "Greeting", "slug": "greeting", "current_version": null },
        ],
        "error": null,
    })
}

fn greeting() -> PromptName {
    PromptName::anywhere("greeting").unwrap()
}

/// The body with another value at the place, or with none there.
fn changed(body: &Value, pointer: &str, value: Option<Value>) -> Value {
    let mut body = body.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(object), Some(value)) => drop(object.insert(key.to_owned(), value)),
        (Value::Object(object), None) => drop(object.shift_remove(key)),
        (other, _) => panic!("{other} has no fields"),
    }
    body
}

/// How a misfit says where something is: `data[].id`.
fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace("/0/", "[].").replace('/', ".")
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[0-9]{0,12}".prop_map(Value::from),
        Just(Value::from(ID)),
    ];
    let key = prop_oneof![
        "data|error|prompt|version|tokens|prompt_id|project_id|variables|key|code|message|slug|id",
        any::<String>(),
    ];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    })
}
