//! An image with something of everything, written and read back.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use crate::model::{
    ApiKey, Content, Credential, Environment, EnvironmentId, KeyId, OriginName, Project, ProjectId,
    Prompt, PromptId, Reads, Scope, Slug, Tenant, Version, VersionId, Visibility,
};
use crate::origins::View;

use super::*;

/// An image with something of everything.
fn image() -> Image {
    let record = |asked, what| Record {
        reader: reader(None),
        asked,
        what,
        validator: Some(Validator("\"abc\"".into())),
        age: Duration::from_millis(7),
        fresh: Duration::from_secs(30),
        stale: Duration::ZERO,
        rescue: Duration::from_millis(u64::MAX),
        is_immutable: true,
    };
    let name = PromptName::anywhere("chat/first contact").unwrap();
    let compile = Compile { view: View::Delivered, variables: Some(r#"{"a":1.0}"#.into()) };
    let rendition = Rendition {
        edition: edition(),
        text: "Hello".into(),
        tokens: Some(1),
        used: vec!["a".into()],
    };
    let line = Listed {
        id: PromptId(Uuid::from_u128(2)),
        name: "First contact".into(),
        slug: Slug::foreign("chat/first contact").unwrap(),
        current_version: None,
    };
    let answer = Answer {
        record: 3,
        representation: "promptot/compiled".into(),
        route: "/api/v1/prompts/{prompt}/compiled".into(),
        given: Given::Values(Bytes::from_static(b"a\0b\xff")),
        body: Bytes::from_static(b"{}"),
        etag: "\"abc\"".into(),
        cache_control: "private".into(),
    };
    Image {
        saved_at: Timestamp::from_millis(1_772_366_400_000),
        records: vec![
            record(Asked::Listing, What::Listing(vec![line])),
            record(Asked::Prompt(name.clone()), What::Absent),
            record(Asked::Prompt(name.clone()), What::Edition(edition())),
            record(Asked::Compiled { prompt: name, compile }, What::Rendition(rendition)),
        ],
        answers: vec![Answer { given: Given::Nothing, ..answer.clone() }, answer],
        keys: vec![known_key()],
    }
}

fn reader(credential: Option<&str>) -> Reader {
    let holder = Some(KeyDigest([9; 32]));
    Reader {
        tenant: Tenant { holder, ..Tenant::new(ProjectId(1), EnvironmentId(2)) },
        project: "acme".into(),
        environment: "live".into(),
        reads: Reads::Published,
        origin: Some(OriginName::new("far")),
        credential: credential.map(Credential::new),
    }
}

/// An edition of another platform, which calls its version something of its own.
fn edition() -> Edition {
    let at = Timestamp::from_millis(1_772_366_400_000);
    Edition {
        project: Uuid::from_u128(1),
        prompt: Prompt {
            id: PromptId(Uuid::from_u128(2)),
            number: -7,
            slug: Slug::foreign("chat/first contact").unwrap(),
            name: "First contact".into(),
            description: String::new(),
            category: String::new(),
            visibility: Visibility::Public,
            tags: vec!["warm".into()],
            owner: String::new(),
            created_at: at,
            updated_at: at,
        },
        version: Version {
            id: VersionId(Uuid::from_u128(3)),
            number: 4,
            content: Content::default(),
            commit: "r4".into(),
            created_at: at,
        },
        defaults: Map::from_iter([("tone".into(), json!({"z": 1, "a": null}))]),
        composed_of: Vec::new(),
    }
}

fn known_key() -> KnownKey {
    let at = Timestamp::from_millis(5);
    let (project, environment) = (ProjectId(1), EnvironmentId(2));
    let key = ApiKey {
        id: KeyId(3),
        project,
        environment,
        name: "ci".into(),
        prefix: "pk_live_abcd".into(),
        scopes: vec![Scope::Deliver, Scope::Edge],
        created_at: at,
        expires_at: Some(at),
        revoked_at: None,
        last_used_at: None,
    };
    let project = Project {
        id: project,
        uuid: Uuid::from_u128(4),
        name: "acme".into(),
        plan: "free".into(),
        origin: None,
        created_at: at,
    };
    let environment = Environment {
        id: environment,
        name: "dev".into(),
        reads: Reads::Draft,
        defaults: Map::new(),
    };
    KnownKey {
        digest: KeyDigest([7; 32]),
        grant: Grant { key, project, environment },
        vouched: Some(Duration::from_secs(60)),
    }
}

#[test]
fn what_is_not_understood_is_refused() {
    let written: Value = serde_json::from_slice(&encode(&image())).unwrap();
    let with = |pointer: &str, other: Value| {
        let mut image = written.clone();
        *image.pointer_mut(pointer).unwrap() = other;
        decode(image.to_string().as_bytes())
    };
    assert_eq!(with("/saved_at", json!(1_772_366_400_000_i64)), Ok(image()));

    for (pointer, other) in [
        ("", json!([])),
        ("/keys", json!(null)),
        ("/keys/0/digest", json!("c2hvcnQ=")),
        ("/keys/0/grant/key/scopes/0", json!("admin")),
        ("/keys/0/grant/environment", json!({"token": "x"})),
        ("/records/0/reader/tenant/holder", json!("!")),
        ("/records/0/reader/reads", json!("newest")),
        ("/records/0/what", json!("present")),
        ("/records/0/age", json!(-1)),
        ("/records/2/what/edition/0", json!("{}")),
        ("/answers/0/body", json!("!")),
        ("/answers/0/given", json!({"value": ""})),
    ] {
        assert!(
            matches!(with(pointer, other), Err(Misfit::Field { .. })),
            "{pointer} should be refused"
        );
    }
    assert_eq!(with("/answers/1/record", json!(4)), Err(Misfit::Stray { answer: 1 }));
}

#[test]
fn no_key_of_anybody_is_written() {
    let mut image = image();
    image.records[0].reader = reader(Some("sk-their-own"));

    let written = String::from_utf8(encode(&image)).unwrap();

    assert!(!written.contains("sk-their-own"));
    assert_eq!(decode(written.as_bytes()).unwrap().records[0].reader, reader(None));
}

#[test]
fn a_misfit_says_where_and_never_what() {
    let written = String::from_utf8(encode(&image())).unwrap();
    let written = written.replacen(r#""records":["#, r#""records":["secret text","#, 1);

    let misfit = decode(written.as_bytes()).unwrap_err().to_string();

    assert_eq!(misfit, "the snapshot's content does not fit at line 1, column 50");
}

/// JSON, with numbers that a float could not hold, nested as deeply as it may be.
fn value() -> impl Strategy<Value = Value> {
    let number = select(vec!["0.70", "1e400", "123456789012345678901234567890", "-0"])
        .prop_map(|number| serde_json::from_str(number).unwrap());
    let deep =
        (1..120_usize).prop_map(|levels| (0..levels).fold(json!(null), |inner, _| json!([inner])));
    prop_oneof![number, deep, any::<String>().prop_map(Value::from)]
}

prop_compose! {
    fn any_image()(
        moments in vec(any::<i64>(), 4),
        spans in vec(any::<u64>(), 4),
        texts in vec(any::<String>(), 4),
        bytes in vec(any::<u8>(), 0..9),
        values in vec(("[a-z]{1,3}", value()), 0..3),
        maybe in option::of(any::<u64>()),
    ) -> Image {
        let mut image = image();
        let at = |n: usize| Timestamp::from_millis(moments[n]);
        let span = |n: usize| Duration::from_millis(spans[n]);
        image.saved_at = at(0);
        for record in &mut image.records {
            record.validator = maybe.map(|_| Validator(Arc::from(texts[0].as_str())));
            (record.age, record.fresh) = (span(0), span(1));
            (record.stale, record.rescue) = (span(2), span(3));
        }
        let [_, valued] = &mut image.answers[..] else { unreachable!() };
        valued.given = Given::Values(bytes.clone().into());
        valued.body = bytes.into();
        let KnownKey { grant, vouched, .. } = &mut image.keys[0];
        *vouched = maybe.map(Duration::from_millis);
        grant.project.name = texts[2].clone();
        grant.key.last_used_at = maybe.map(|_| at(1));
        grant.environment.defaults = values.into_iter().collect();
        image
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn reading_what_was_written_changes_nothing(image in any_image()) {
        prop_assert_eq!(decode(&encode(&image)), Ok(image));
    }

    #[test]
    fn no_text_panics(
        text in "[\\[\\]{}\":,a-z0-9]{0,60}",
        place: prop::sample::Index,
        byte: u8,
    ) {
        let mut written = encode(&image());
        *place.get_mut(&mut written) = byte;

        let _ = decode(&written);
        let _ = decode(text.as_bytes());
        let _ = decode(&written[..place.index(written.len())]);
    }
}
