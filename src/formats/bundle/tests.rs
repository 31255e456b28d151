//! Bundles there and back, and every way in which one is refused.

use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, json};
use uuid::Uuid;

use super::*;
use crate::model::{Block, BlockKind, Content, Layout, Message, Timestamp, Variable, Visibility};

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = include_str!("../../../docs/bundle.schema.json");
    jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
});

/// A bundle in which every field of the format is used.
fn full() -> Value {
    json!({
        "format": "prompt-edge-bundle",
        "version": 1,
        "prompts": [
            {
                "id": "a1b2c3d4-e5f6-4a1b-8c3d-4e5f6a7b8c9d",
                "slug": "customer-support",
                "name": "Customer Support",
                "description": "Answers",
                "category": "support",
                "visibility": "public",
                "tags": ["chat"],
                "owner": "us",
                "created_at": "2026-03-01T12:00:00.000Z",
                "updated_at": "2026-03-02T12:00:00.123Z",
                "versions": [
                    {
                        "number": 1,
                        "id": "b1b2c3d4-e5f6-4a1b-8c3d-4e5f6a7b8c9d",
                        "created_at": "2026-03-01T12:00:00.000Z",
                        "blocks": [
                            {"type": "role", "title": "Role", "content": "Hi {{a}}", "enabled": true}
                        ],
                        "variables": [
                            {"name": "a", "description": "", "required": false, "default": null}
                        ],
                        "model_config": {"model": "gpt-4o"},
                        "input_schema": {"type": "object"},
                    },
                    {"number": 2, "blocks": []},
                ],
                "labels": {"production": 2, "beta": 1},
                "published": {"live": [1, 2, 1], "dev": []},
            },
            {"slug": "tiny", "versions": [{"number": 1, "blocks": []}]},
            {
                "slug": "foreign",
                "versions": [
                    {"number": 1, "text": "Hi {{a}}\n\n"},
                    {
                        "number": 2,
                        "messages": [
                            {"role": "system", "content": "Hi {{a}}"},
                            {"type": "placeholder", "name": "history"},
                        ],
                    },
                ],
            },
        ],
    })
}

/// The full bundle with the value at a JSON pointer replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut bundle = full();
    *bundle.pointer_mut(pointer).unwrap() = value;
    bundle
}

/// The full bundle with a field added to the object at a JSON pointer.
fn with_field(pointer: &str, key: &str, value: Value) -> Value {
    let mut bundle = full();
    bundle.pointer_mut(pointer).unwrap()[key] = value;
    bundle
}

fn problem(bundle: &Value) -> String {
    read(&bundle.to_string()).unwrap_err().to_string()
}

#[test]
fn every_field_is_read() {
    let prompts = read(&full().to_string()).unwrap();

    let prompt = &prompts[0];
    assert_eq!(prompt.id.unwrap().0.to_string(), "a1b2c3d4-e5f6-4a1b-8c3d-4e5f6a7b8c9d");
    assert_eq!(prompt.visibility, Visibility::Public);
    assert_eq!(prompt.updated_at, Timestamp::parse("2026-03-02T12:00:00.123Z"));
    assert_eq!(prompt.versions[0].content.variables[0].default, Some(Value::Null));
    assert_eq!(prompt.labels, [("beta".parse().unwrap(), 1), ("production".parse().unwrap(), 2)]);
    assert_eq!(prompt.published, [("dev".into(), vec![]), ("live".into(), vec![1, 2, 1])]);
}

#[test]
fn what_an_import_can_make_up_may_be_left_out() {
    let prompts = read(&full().to_string()).unwrap();

    let prompt = &prompts[1];
    assert_eq!((prompt.id, prompt.created_at, prompt.updated_at), (None, None, None));
    assert_eq!((prompt.name.as_str(), prompt.description.as_str()), ("tiny", ""));
    assert_eq!(prompt.versions[0].id, None);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert!(read(&format!("\u{feff}{}", full())).is_ok());
}

#[test]
fn a_broken_bundle_is_refused_where_it_is_broken() {
    let version = "/prompts/0/versions/0";
    for (bundle, expected) in [
        (json!([]), "not a bundle: `format` must be"),
        (json!({"version": 1, "prompts": []}), "not a bundle: `format` must be"),
        (with("/version", json!("1")), "version must be 1"),
        (with("/version", json!(2)), "the bundle has version 2, and this release reads version 1"),
        (with_field("", "extra", json!(1)), "extra is not a known field: known are format,"),
        (with_field("/prompts/0", "slugs", json!(1)), "prompts[0].slugs is not a known field"),
        (with("/prompts/1/slug", json!("customer-support")), "prompts[1].slug is there twice"),
        (with("/prompts/1/slug", json!("42")), "prompts[1].slug is not usable: a slug is never"),
        (with("/prompts/0/id", json!("42")), "prompts[0].id must be a UUID"),
        (with("/prompts/0/id", json!(null)), "prompts[0].id must be a UUID"),
        (with("/prompts/0/visibility", json!("all")), "prompts[0].visibility must be `private`"),
        (with("/prompts/0/tags/0", json!(1)), "prompts[0].tags[0] must be a text"),
        (with("/prompts/0/created_at", json!("now")), "prompts[0].created_at must be a moment"),
        (with("/prompts/1/versions", json!([])), "prompts[1].versions must be a list of at least"),
        (with("/prompts/0/versions/1/number", json!(3)), "prompts[0].versions[1].number must be"),
        (with_field(version, "commit", json!("00")), "prompts[0].versions[0].commit must be the"),
        (
            with("/prompts/0/versions/0/blocks/0/type", json!("rule")),
            "prompts[0].versions[0].blocks[0].type must be one of",
        ),
        (
            with_field("/prompts/0/versions/0/blocks/0", "titel", json!("")),
            "prompts[0].versions[0].blocks[0].titel is not a known field",
        ),
        (with("/prompts/0/labels/beta", json!(3)), "prompts[0].labels.beta must be the number of"),
        (with_field("/prompts/0/labels", "a b", json!(1)), "prompts[0].labels[\"a b\"] is not us"),
        (with("/prompts/0/published/live/1", json!(0)), "prompts[0].published.live[1] must be"),
    ] {
        let problem = problem(&bundle);
        assert!(problem.starts_with(expected), "should say {expected:?}: {problem}");
    }
}

#[test]
fn a_later_version_is_named_before_its_unknown_fields() {
    let mut bundle = with("/version", json!(2));
    bundle["compression"] = json!("zstd");

    assert!(matches!(read(&bundle.to_string()), Err(Error::Newer { found: 2 })));
}

#[test]
fn an_edit_by_hand_is_noticed_until_the_commit_is_removed() {
    let mut bundle: Value =
        serde_json::from_str(&write(&read(&full().to_string()).unwrap())).unwrap();
    let version = bundle.pointer_mut("/prompts/0/versions/0").unwrap();
    version["blocks"][0]["content"] = json!("Hello {{a}}");

    assert!(problem(&bundle).contains("remove `commit` to accept the edit"));

    bundle.pointer_mut("/prompts/0/versions/0").unwrap().as_object_mut().unwrap().remove("commit");
    assert!(read(&bundle.to_string()).is_ok());
}

#[test]
fn the_schema_accepts_what_is_written() {
    let written = write(&read(&full().to_string()).unwrap());

    for bundle in [full(), serde_json::from_str(&written).unwrap()] {
        let problems: Vec<_> = SCHEMA.iter_errors(&bundle).map(|e| e.to_string()).collect();
        assert!(problems.is_empty(), "{problems:?}");
    }
}

#[test]
fn the_schema_refuses_what_reading_refuses() {
    for bundle in [
        json!([]),
        with("/format", json!("other")),
        with("/version", json!(2)),
        with_field("", "extra", json!(1)),
        with_field("/prompts/0", "slugs", json!(1)),
        with_field("/prompts/0/versions/0", "text", json!("")),
        with_field("/prompts/0/versions/0/variables/0", "type", json!("")),
        with("/prompts/1/slug", json!("42")),
        with("/prompts/1/slug", json!("run")),
        with("/prompts/0/id", json!("42")),
        with("/prompts/1/versions", json!([])),
        with("/prompts/0/versions/0/blocks/0/type", json!("rule")),
        with("/prompts/0/versions/0/variables/0/name", json!("a..b")),
        with_field("/prompts/0/labels", "compiled", json!(1)),
        with("/prompts/0/published/live/1", json!(0)),
        with_field("/prompts/2/versions/0", "blocks", json!([])),
        with_field("/prompts/2/versions/1", "text", json!("")),
        with_field("/prompts/2/versions/1/messages/0", "type", json!("placeholder")),
        with_field("/prompts/2/versions/1/messages/1", "role", json!("user")),
        with("/prompts/2/versions/1/messages/1/type", json!("tool")),
    ] {
        assert!(!SCHEMA.is_valid(&bundle), "the schema should refuse {bundle}");
        assert!(read(&bundle.to_string()).is_err(), "reading should refuse {bundle}");
    }
}

/// JSON, with numbers that a float could not hold.
pub(in crate::formats) fn value() -> impl Strategy<Value = Value> {
    let numbers = ["0", "-0", "0.70", "1e400", "123456789012345678901234567890", "1.0", "-1E-2"];
    let number = select(numbers.to_vec()).prop_map(|n| serde_json::from_str(n).unwrap());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number,
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            object(inner).prop_map(Value::Object),
        ]
    })
}

pub(in crate::formats) fn object(
    value: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Map<String, Value>> {
    vec(("[a-z]{1,4}", value), 0..4).prop_map(|entries| entries.into_iter().collect())
}

fn layout() -> impl Strategy<Value = Layout> {
    let kinds = ["context", "custom", "guardrails", "instructions", "output_format", "role"];
    let kind = select(kinds.to_vec()).prop_map(|kind| BlockKind::parse(kind).unwrap());
    let block = (kind, any::<String>(), any::<String>(), any::<bool>())
        .prop_map(|(kind, title, content, enabled)| Block { kind, title, content, enabled });
    let message = prop_oneof![
        any::<String>().prop_map(|name| Message::Placeholder { name }),
        (any::<String>(), any::<String>())
            .prop_map(|(role, content)| Message::Said { role, content }),
    ];
    prop_oneof![
        2 => vec(block, 0..3).prop_map(Layout::Sections),
        1 => vec(message, 0..3).prop_map(Layout::Chat),
        1 => any::<String>().prop_map(Layout::Verbatim),
    ]
}

pub(in crate::formats) fn content() -> impl Strategy<Value = Content> {
    let variable = ("[a-z_]{1,3}(\\.[0-9a-z]{1,2})?", any::<bool>(), option::of(value()));
    let variable = variable.prop_map(|(name, required, default)| Variable {
        description: format!("What {name} is for"),
        name,
        required,
        default,
    });
    (layout(), vec(variable, 0..3), object(value()), option::of(value())).prop_map(
        |(layout, mut variables, model_config, input_schema)| {
            variables.sort_by(|a, b| a.name.cmp(&b.name));
            variables.dedup_by(|a, b| a.name == b.name);
            Content { layout, variables, model_config, input_schema }
        },
    )
}

pub(in crate::formats) fn moment() -> impl Strategy<Value = Option<Timestamp>> {
    // The years 1900 to 9999, as far as RFC 3339 has a form for them.
    option::of((-2_208_988_800_000_i64..253_402_207_200_000).prop_map(Timestamp::from_millis))
}

fn prompt() -> impl Strategy<Value = Portable> {
    let id = || option::of(any::<u128>().prop_map(Uuid::from_u128));
    let version = (id(), content(), moment()).prop_map(|(id, content, created_at)| {
        PortableVersion { id: id.map(VersionId), content, created_at }
    });
    let texts = (any::<String>(), any::<String>(), any::<String>(), any::<String>());
    let rest = (vec(any::<String>(), 0..3), any::<bool>(), vec("[a-z.]{1,4}", 0..3));
    (id(), "[a-z]{8}", texts, moment(), vec(version, 1..3), rest).prop_map(
        |(id, slug, (name, description, category, owner), at, versions, (tags, public, names))| {
            let newest = u32::try_from(versions.len()).unwrap();
            let mut labels: Vec<(Label, u32)> =
                names.iter().map(|name| (name.parse().unwrap(), newest)).collect();
            labels.sort();
            labels.dedup();
            let mut published: Vec<_> =
                names.into_iter().map(|name| (name, (1..=newest).collect())).collect();
            published.sort();
            published.dedup();
            Portable {
                id: id.map(PromptId),
                slug: slug.parse().unwrap(),
                name,
                description,
                category,
                visibility: if public { Visibility::Public } else { Visibility::Private },
                tags,
                owner,
                created_at: at,
                updated_at: at,
                versions,
                labels,
                published,
            }
        },
    )
}

/// Any JSON document, and bundles with one value out of place.
fn strange() -> impl Strategy<Value = Value> {
    let pointers = ["", "/version", "/prompts", "/prompts/0", "/prompts/0/versions/0/blocks"];
    prop_oneof![
        value(),
        (select(pointers.to_vec()), value()).prop_map(|(place, value)| with(place, value)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn writing_what_was_read_gives_the_same_bytes(mut prompts in vec(prompt(), 0..3)) {
        prompts.sort_by(|a, b| a.slug.cmp(&b.slug));
        prompts.dedup_by(|a, b| a.slug == b.slug);
        let written = write(&prompts);

        let again = read(&written).unwrap();

        prop_assert_eq!(&again, &prompts);
        prop_assert_eq!(write(&again), written.as_str());
        prop_assert!(written.ends_with('\n'));
        prop_assert!(SCHEMA.is_valid(&serde_json::from_str(&written).unwrap()));
    }

    #[test]
    fn no_text_is_too_strange_to_read(text in any::<String>(), json in strange()) {
        let _ = read(&text);
        let _ = read(&json.to_string());
    }
}
