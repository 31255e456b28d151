//! What PromptOT is asked, and what it is not.

use std::future::poll_fn;
use std::task::Poll;

use prompt_edge::model::{Credential, PromptName, Reads};
use prompt_edge::origins::upstream::promptot::{Config, PromptOt};
use prompt_edge::origins::{
    Compile, Cursor, Error, Found, Origin, Question, Reader, Text, Told, View,
};
use serde_json::json;

use crate::contract::origin::reader;
use crate::harness::promptot::{self, Draft, LIVE, LIVE_OF_ANOTHER, mapped, upstream};

#[tokio::test]
async fn callers_with_keys_of_their_own_never_see_each_others_prompts() {
    let platform = promptot::PromptOt::start().await;
    platform.publish("greeting", "Of acme");
    platform.publish("secret", "Of acme alone");
    platform.publish_in_another("greeting", "Of zeta");
    let origin = passed_through(&platform);

    let own = ask(&origin, Some(LIVE), "greeting", None).await;
    let others = ask(&origin, Some(LIVE_OF_ANOTHER), "greeting", None).await;
    let secret = ask(&origin, Some(LIVE_OF_ANOTHER), "secret", None).await;

    assert_eq!(text(own), "Of acme\n");
    assert_eq!(text(others), "Of zeta\n");
    assert_eq!(secret.expect("the origin answers").found, Found::Absent);
}

#[tokio::test]
async fn whoever_brings_no_key_where_one_is_needed_is_rejected_unasked() {
    let platform = promptot::PromptOt::start().await;
    let origin = passed_through(&platform);

    let told = ask(&origin, None, "greeting", None).await;

    assert!(matches!(told, Err(Error::Rejected { status: 401, .. })), "{told:?}");
    assert_eq!(platform.vendor.asked_count(), 0);
}

#[tokio::test]
async fn a_name_that_no_url_leads_to_is_absent_unasked() {
    let platform = promptot::PromptOt::start().await;

    let told = ask(&mapped(&platform), None, "..", None).await;

    assert_eq!(told.expect("there is nothing to ask"), Told::plainly(None));
    assert_eq!(platform.vendor.asked_count(), 0);
}

#[tokio::test]
async fn variables_that_no_url_holds_are_refused() {
    let platform = promptot::PromptOt::start().await;
    platform.publish("greeting", "Hello {{name}}");
    let origin = mapped(&platform);
    let named = |length: usize| json!({ "name": "a".repeat(length) }).to_string();

    let long = ask(&origin, None, "greeting", Some(&named(50_000))).await;
    let too_long = ask(&origin, None, "greeting", Some(&named(70_000))).await;

    assert_eq!(text(long).len(), "Hello \n".len() + 50_000);
    assert!(matches!(too_long, Err(Error::Refused { .. })), "{too_long:?}");
}

#[tokio::test]
async fn a_required_variable_is_asked_for() {
    let platform = promptot::PromptOt::start().await;
    platform.publish("greeting", Draft { required: vec!["name"], ..Draft::from("Hello {{name}}") });
    let origin = mapped(&platform);

    let without = ask(&origin, None, "greeting", None).await;
    let with = ask(&origin, None, "greeting", Some(r#"{"name":"Ada"}"#)).await;

    let names_it = |problem: &str| problem.contains("name");
    assert!(
        matches!(&without, Err(Error::Refused { problem, .. }) if names_it(problem)),
        "{without:?}"
    );
    assert_eq!(text(with), "Hello Ada\n");
}

#[tokio::test]
async fn both_views_of_a_prompt_have_the_same_text() {
    let platform = promptot::PromptOt::start().await;
    let defaults = vec![("tone", Some("kind")), ("name", None)];
    platform.publish("greeting", Draft { defaults, ..Draft::from("Hello {{name}}, be {{tone}}.") });
    let origin = mapped(&platform);
    let variables = Some(r#"{"name":"Ada"}"#);

    let compiled = ask(&origin, None, "greeting", variables).await;
    let delivered = ask_for(View::Delivered, &origin, None, "greeting", variables).await;

    assert_eq!(text(compiled), "Hello Ada, be kind.\n");
    assert_eq!(text(delivered), "Hello Ada, be kind.\n");
}

/// With the operator's key, the second one has no body to read.
#[tokio::test]
async fn a_probe_asks_whether_the_list_is_still_the_same() {
    let platform = promptot::PromptOt::start().await;
    platform.publish("greeting", "Hello");
    let origin = mapped(&platform);

    origin.probe().await.expect("the origin answers");
    origin.probe().await.expect("the origin answers");

    let asked = platform.vendor.asked();
    let conditions: Vec<_> =
        asked.iter().map(|asked| asked.headers.contains_key("if-none-match")).collect();
    assert_eq!(conditions, [false, true]);
}

/// A refused key is an answer, too.
#[tokio::test]
async fn a_probe_needs_no_key() {
    let platform = promptot::PromptOt::start().await;
    let origin = passed_through(&platform);

    origin.probe().await.expect("the origin answers");
    platform.vendor.kill().await;
    origin.probe().await.expect_err("the origin is gone");
}

#[tokio::test]
async fn after_the_start_there_is_nothing_to_wait_for() {
    let platform = promptot::PromptOt::start().await;
    let origin = mapped(&platform);
    let start = origin.changes(Cursor::START).await.expect("the origin answers");
    let asked = platform.vendor.asked_count();

    let mut following = origin.changes(start.cursor);
    let is_over = poll_fn(|context| Poll::Ready(following.as_mut().poll(context).is_ready())).await;

    assert!(!is_over);
    assert_eq!(platform.vendor.asked_count(), asked, "waiting asks nothing");
}

/// The adapter, where callers bring keys of PromptOT's.
fn passed_through(platform: &promptot::PromptOt) -> PromptOt {
    PromptOt::new(upstream(&platform.base_url()), Config::default())
}

/// Asks for the compiled prompt.
async fn ask(
    origin: &PromptOt,
    key: Option<&str>,
    name: &str,
    variables: Option<&str>,
) -> Result<Told<Text>, Error> {
    ask_for(View::Compiled, origin, key, name, variables).await
}

async fn ask_for(
    view: View,
    origin: &PromptOt,
    key: Option<&str>,
    name: &str,
    variables: Option<&str>,
) -> Result<Told<Text>, Error> {
    let reader = Reader { credential: key.map(Credential::new), ..reader(Reads::Published) };
    let prompt = PromptName::anywhere(name).expect("some platform could call a prompt that");
    let compile = Some(&Compile { view, variables: variables.map(Into::into) });
    origin.prompt(Question { reader: &reader, prompt: &prompt, compile, known: None }).await
}

#[track_caller]
fn text(told: Result<Told<Text>, Error>) -> String {
    let told = told.expect("the origin answers");
    let Found::Present(Text::Rendition(rendition)) = told.found else {
        panic!("{told:?} has no text");
    };
    rendition.text
}
