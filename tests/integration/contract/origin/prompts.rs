//! What is served to whom.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use prompt_edge::model::{PromptId, PromptName, Reads};
use prompt_edge::origins::{Found, Text};
use tokio::task::yield_now;
use uuid::Uuid;

use super::{Drafts, Place, ask, listed, name, names, served, text};

/// Absence is an answer. Only failure is an error.
pub(crate) async fn a_missing_prompt_is_absent(place: &impl Place) {
    place.publish("greeting", "Hello").await;

    for missing in [name("nowhere"), PromptName::Id(PromptId(Uuid::from_u128(1)))] {
        for reads in [Reads::Published, Reads::Draft] {
            let told = ask(place, &place.reader(reads), &missing, None).await;
            assert_eq!(told.expect("the origin answers").found, Found::Absent, "of {missing}");
        }
    }
}

pub(crate) async fn what_is_published_is_found_by_its_name(place: &impl Place) {
    place.publish("greeting", "Hello").await;
    place.publish("farewell", "Bye").await;

    for (prompt, expected) in [("greeting", "Hello"), ("farewell", "Bye")] {
        let told = ask(place, &place.reader(Reads::Published), &name(prompt), None).await;

        let told = told.expect("the origin answers");
        assert_eq!(text(&told).as_deref(), Some(expected));
        let edition = match told.found {
            Found::Present(Text::Edition(edition)) => *edition,
            Found::Present(Text::Rendition(rendition)) => rendition.edition,
            Found::Absent | Found::Unchanged => unreachable!("it has a text"),
        };
        assert_eq!(edition.prompt.slug.as_str(), prompt);
    }
}

pub(crate) async fn a_deleted_prompt_is_absent(place: &impl Place) {
    place.publish("greeting", "Hello").await;
    place.publish("farewell", "Bye").await;
    let reader = place.reader(Reads::Published);
    let known = ask(place, &reader, &name("greeting"), None).await.expect("the origin answers");

    place.delete("greeting").await;

    let told = ask(place, &reader, &name("greeting"), known.validator.as_ref()).await;
    assert_eq!(told.expect("the origin answers").found, Found::Absent);
    assert_eq!(served(place, Reads::Published, "farewell").await.as_deref(), Some("Bye"));
}

pub(crate) async fn a_text_that_is_known_is_unchanged_or_the_same(place: &impl Place) {
    place.publish("greeting", "Hello").await;
    let reader = place.reader(Reads::Published);
    let first = ask(place, &reader, &name("greeting"), None).await.expect("the origin answers");

    place.publish("farewell", "Bye").await;

    let again = ask(place, &reader, &name("greeting"), first.validator.as_ref()).await;
    let again = again.expect("the origin answers");
    assert!(again.found == Found::Unchanged || again.found == first.found, "of {again:?}");
}

pub(crate) async fn what_was_known_before_a_change_is_never_unchanged(place: &impl Place) {
    let reader = place.reader(Reads::Published);
    place.publish("greeting", "0").await;
    let told = ask(place, &reader, &name("greeting"), None).await;
    let mut known = told.expect("the origin answers").validator;

    for number in 1..=5 {
        let new = number.to_string();
        place.publish("greeting", &new).await;

        let told = ask(place, &reader, &name("greeting"), known.as_ref()).await;
        let told = told.expect("the origin answers");
        assert_eq!(text(&told), Some(new));
        known = told.validator;
    }
}

/// However far it got.
pub(crate) async fn a_dropped_question_leaves_nothing_behind(place: &impl Place) {
    place.publish("greeting", "Hello").await;
    let (reader, greeting) = (place.reader(Reads::Published), name("greeting"));

    for polls in 1..=20 {
        begun(ask(place, &reader, &greeting, None), polls).await;

        assert_eq!(served(place, Reads::Published, "greeting").await.as_deref(), Some("Hello"));
        assert_eq!(names(place, Reads::Published).await, ["greeting"]);
    }
}

/// Lets others run between that many polls, and drops what is not done then.
async fn begun(question: impl Future, polls: usize) {
    let mut question = pin!(question);
    for _ in 0..polls {
        if poll_fn(|context| Poll::Ready(question.as_mut().poll(context).is_ready())).await {
            return;
        }
        yield_now().await;
    }
}

pub(crate) async fn drafts_are_served_to_their_readers_alone(place: &impl Drafts) {
    place.draft("greeting", "one").await;

    assert_eq!(served(place, Reads::Published, "greeting").await, None);
    assert_eq!(served(place, Reads::Draft, "greeting").await.as_deref(), Some("one"));

    place.publish("greeting", "two").await;
    place.draft("greeting", "three").await;

    assert_eq!(served(place, Reads::Published, "greeting").await.as_deref(), Some("two"));
    assert_eq!(served(place, Reads::Draft, "greeting").await.as_deref(), Some("three"));
}

pub(crate) async fn a_name_may_hold_slashes_and_blanks(place: &impl Place) {
    place.publish("support", "Of all").await;
    place.publish("support/refund offer", "Of refunds").await;
    place.publish("support/refund", "Of refunds in general").await;

    let found = served(place, Reads::Published, "support/refund offer").await;

    assert_eq!(found.as_deref(), Some("Of refunds"));
    assert_eq!(served(place, Reads::Published, "support/refund of").await, None);
    let all = ["support", "support/refund", "support/refund offer"];
    assert_eq!(names(place, Reads::Published).await, all);
}

pub(crate) async fn a_prompt_is_found_by_the_id_in_the_list(place: &impl Place) {
    place.publish("greeting", "Hello").await;
    place.publish("farewell", "Bye").await;

    for listed in listed(place, Reads::Published).await {
        let by_id = served(place, Reads::Published, &listed.id.0.to_string()).await;
        assert_eq!(by_id, served(place, Reads::Published, listed.slug.as_str()).await);
        assert_ne!(by_id, None);
    }
}
