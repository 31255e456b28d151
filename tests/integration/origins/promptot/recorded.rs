//! What is made of what PromptOT says.
//!
//! Each file of `tests/fixtures/origins/promptot` is one exchange: the question as it has to arrive,
//! a blank line, the answer as PromptOT gives it, or whoever pretends to be it.

use std::fs;
use std::time::Duration;

use prompt_edge::formats::content::commit_hash;
use prompt_edge::model::{
    Content, Edition, Listed, Prompt, PromptId, Reads, Slug, Timestamp, Variable, Version,
    VersionId, Visibility,
};
use prompt_edge::origins::{Error, Found, Rendition, Text, Told, Validator, View};
use prompt_edge::wire::caching::Allowance;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::exchange::{FIXTURES, Recorded};

const ID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
const PROJECT: &str = "16fd2706-8baf-433b-82eb-8c7fada847da";

/// Where the prompt of most exchanges is found.
const NAME: &str = "refund-helper";

#[tokio::test]
async fn a_compiled_prompt_is_told_in_full() {
    let recorded = Recorded::start("compiled").await;

    let told = recorded.ask(NAME, Some(r#"{"customer":"Ada & Co"}"#), None).await;

    let expected = Rendition {
        edition: edition(NAME, PROJECT, "", 12, Content::default()),
        text: "## Role\nYou help Ada & Co with refunds.\n\n## Rules\nStay kind, in a calm tone.\n"
            .to_owned(),
        tokens: Some(21),
        used: vec!["customer".to_owned(), "tone".to_owned()],
    };
    assert_eq!(
        told.expect("the answer fits"),
        Told {
            found: Found::Present(Text::Rendition(Box::new(expected))),
            validator: Some(tag("\"9f2c\"")),
            allowance: Allowance { fresh: seconds(20), stale: seconds(60), rescue: None },
            is_immutable: false,
            status: Some(200),
        },
    );
}

/// Drafts are read with a key of their own, a version may be a number, and what is new is ignored.
#[tokio::test]
async fn an_answer_that_has_grown_is_told_as_before() {
    let recorded = Recorded::start("compiled-grown").await;

    let told = recorded.ask_as(Reads::Draft, NAME, View::Compiled, None, None).await;

    let rendition = rendition(told);
    assert_eq!(rendition.edition.version.number, 13);
    assert_eq!(rendition.text, "You help {{customer}}.\n");
}

#[tokio::test]
async fn a_name_with_slashes_and_blanks_is_one_segment() {
    let recorded = Recorded::start("compiled-folder").await;

    let told = recorded.ask("support/refund offer", None, None).await;

    assert_eq!(rendition(told).edition.prompt.slug.as_str(), "support/refund offer");
}

#[tokio::test]
async fn what_is_known_is_told_to_hold() {
    let known = tag("\"9f2c\"");
    let with_headers = Recorded::start("compiled-not-modified").await;
    let bare = Recorded::start("compiled-not-modified-bare").await;

    let told = with_headers.ask(NAME, None, Some(&known)).await.expect("the answer fits");
    let told_barely = bare.ask(NAME, None, Some(&known)).await.expect("the answer fits");

    assert_eq!(told.found, Found::Unchanged);
    assert_eq!(told.validator.as_ref(), Some(&known));
    assert_eq!(told.allowance.fresh, seconds(20));
    assert_eq!(told_barely.found, Found::Unchanged);
    assert_eq!(told_barely.validator, Some(known), "what was known still marks it");
}

#[tokio::test]
async fn a_delivered_prompt_is_told_in_full() {
    let recorded = Recorded::start("delivered").await;

    let variables = Some(r#"{"customer":"Ada"}"#);
    let told = recorded.ask_as(Reads::Published, ID, View::Delivered, variables, None).await;

    let Value::Object(model_config) =
        serde_json::from_str(r#"{"model":"gpt-4o","temperature":0.70,"max_tokens":512,"top_p":1}"#)
            .expect("it is JSON")
    else {
        unreachable!("it is an object");
    };
    let variables = vec![
        variable("customer", None),
        variable("tone", Some(json!("calm"))),
        variable("limit", Some(json!(50))),
    ];
    let content = Content { model_config, variables, ..Content::default() };
    let expected = Rendition {
        edition: edition(ID, &Uuid::nil().to_string(), "Refund helper", 12, content),
        text: "## Role\nYou help Ada with refunds.\n".to_owned(),
        tokens: None,
        used: Vec::new(),
    };
    let told = told.expect("the answer fits");
    assert_eq!(told.validator, Some(tag("\"5e1d\"")));
    assert_eq!(told.found, Found::Present(Text::Rendition(Box::new(expected))));
}

#[tokio::test]
async fn the_tag_in_the_frozen_shape_stands_in_for_its_header() {
    let recorded = Recorded::start("delivered-tag-in-body").await;

    let told = recorded.ask_as(Reads::Published, ID, View::Delivered, None, None).await;

    assert_eq!(told.expect("the answer fits").validator, Some(tag("\"5e1d\"")));
}

#[tokio::test]
async fn the_list_is_told_sorted() {
    let recorded = Recorded::start("list").await;

    let told = recorded.list(None).await.expect("the answer fits");

    let line = |id: &str, name: &str, slug: &str, current_version| Listed {
        id: id_of(id),
        name: name.to_owned(),
        slug: slug.parse().expect("it is a slug"),
        current_version,
    };
    assert_eq!(
        told.found,
        Found::Present(vec![
            line(PROJECT, "Apology", "apology", None),
            line(ID, "Refund helper", "refund-helper", Some(12)),
        ]),
    );
    assert_eq!(told.validator, Some(tag("\"list-7\"")));
}

#[tokio::test]
async fn a_list_that_is_known_is_told_to_hold() {
    let recorded = Recorded::start("list-not-modified").await;

    let told = recorded.list(Some(&tag("\"list-7\""))).await.expect("the answer fits");

    assert_eq!(told.found, Found::Unchanged);
}

/// How long that is believed is for the edge to decide.
#[tokio::test]
async fn an_absence_is_told_without_an_allowance() {
    let recorded = Recorded::start("not-found").await;

    let told = recorded.ask(NAME, None, None).await.expect("the answer fits");

    assert_eq!(told, Told { status: Some(404), ..Told::plainly(None) });
}

#[tokio::test]
async fn a_refusal_is_an_error_that_says_whose_fault_it_is() {
    let error = async |fixture| {
        let told = Recorded::start(fixture).await.ask(NAME, None, None).await;
        told.expect_err("there is no text in it")
    };

    let refused = error("refused-variables").await;
    assert!(
        matches!(&refused, Error::Refused { problem, .. }
            if problem == "Missing required variable: customer"),
        "{refused:?}"
    );
    let rejected = error("refused-key").await;
    assert!(matches!(rejected, Error::Rejected { status: 401, .. }), "{rejected:?}");
    let limited = error("rate-limited").await;
    assert!(
        matches!(limited, Error::Limited { retry_after, .. } if retry_after == seconds(7)),
        "{limited:?}"
    );
    let failed = error("failed").await;
    assert!(matches!(failed, Error::Failed { status: 500, .. }), "{failed:?}");
}

#[tokio::test]
async fn what_does_not_fit_is_an_error_that_names_the_place() {
    for (fixture, expected) in [
        ("hostile-error-with-200", "null in error"),
        ("hostile-no-envelope", "an object in data"),
        ("hostile-text", "a string in data.prompt"),
        ("hostile-version", "a version's number in data.version"),
        ("not-found-of-a-balancer", "NOT_FOUND in error.code, as every absence of PromptOT has it"),
        (
            "not-found-of-another-api",
            "NOT_FOUND in error.code, as every absence of PromptOT has it",
        ),
        ("refused-by-a-balancer", "an object in error, as every refusal of PromptOT has it"),
    ] {
        let told = Recorded::start(fixture).await.ask(NAME, None, None).await;
        assert_eq!(misfit(told), expected, "of {fixture}");
    }
    for (fixture, expected) in [
        ("hostile-other-prompt", "the UUID of the prompt in data.id"),
        ("hostile-tag", "an entity tag in data.etag"),
    ] {
        let recorded = Recorded::start(fixture).await;
        let told = recorded.ask_as(Reads::Published, ID, View::Delivered, None, None).await;
        assert_eq!(misfit(told), expected, "of {fixture}");
    }
    for (fixture, expected) in [
        ("hostile-list-of-another-route", "a list of prompts"),
        ("hostile-list-of-lines", "a usable name in data[].slug"),
        ("hostile-list-twice", "slugs that differ in data[].slug"),
    ] {
        let told = Recorded::start(fixture).await.list(None).await;
        assert_eq!(misfit(told), expected, "of {fixture}");
    }
}

/// Whoever knows nothing cannot be told that it still holds.
#[tokio::test]
async fn an_answer_to_another_question_is_an_error() {
    let told = Recorded::start("hostile-not-modified").await.ask(NAME, None, None).await;

    assert!(matches!(told, Err(Error::Malformed { .. })), "{told:?}");
}

#[test]
fn every_recorded_exchange_is_one_of_a_test() {
    let tests = include_str!("recorded.rs");

    for entry in fs::read_dir(FIXTURES).expect("the folder is there") {
        let path = entry.expect("an entry is readable").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        assert!(tests.contains(&format!("\"{name}\"")), "no test plays {name}");
    }
}

/// The edition of a prompt that was asked for by this name.
fn edition(name: &str, project: &str, title: &str, number: u32, content: Content) -> Edition {
    Edition {
        composed_of: Vec::new(),
        project: project.parse().expect("it is a UUID"),
        prompt: Prompt {
            id: id_of(ID),
            number: 0,
            slug: Slug::foreign(name).expect("it is a name"),
            name: title.to_owned(),
            description: String::new(),
            category: String::new(),
            visibility: Visibility::Private,
            tags: Vec::new(),
            owner: String::new(),
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        },
        version: Version {
            id: VersionId(Uuid::nil()),
            number,
            commit: commit_hash(&content),
            content,
            created_at: Timestamp::default(),
        },
        defaults: Map::new(),
    }
}

fn variable(name: &str, default: Option<Value>) -> Variable {
    Variable { name: name.to_owned(), description: String::new(), required: false, default }
}

#[track_caller]
fn rendition(told: Result<Told<Text>, Error>) -> Rendition {
    let told = told.expect("the answer fits");
    let Found::Present(Text::Rendition(rendition)) = told.found else {
        panic!("{told:?} has no text");
    };
    *rendition
}

/// What was expected where something else was.
#[track_caller]
fn misfit<T: std::fmt::Debug>(told: Result<Told<T>, Error>) -> &'static str {
    match told {
        Err(Error::Malformed { expected, .. }) => expected,
        other => panic!("{other:?} should not fit"),
    }
}

fn id_of(id: &str) -> PromptId {
    PromptId(id.parse().expect("it is a UUID"))
}

fn tag(tag: &str) -> Validator {
    Validator(tag.into())
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}
