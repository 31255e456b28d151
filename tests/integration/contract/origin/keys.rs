//! Keys that are the origin's, brought by callers.

use prompt_edge::model::{Credential, Reads};
use prompt_edge::origins::{Error, Reader};

use super::away::gave_no_answer;
use super::{Keys, ask, name, text};

pub(crate) async fn the_callers_own_key_reads(place: &impl Keys) {
    place.publish("greeting", "Hello").await;

    let told = ask(place, &reader(place, place.key()), &name("greeting"), None).await;

    assert_eq!(text(&told.expect("the origin answers")).as_deref(), Some("Hello"));
}

/// Whether a key opens anything and whether there is a prompt are two questions.
pub(crate) async fn a_wrong_key_is_rejected_and_finds_nothing_absent(place: &impl Keys) {
    place.publish("greeting", "Hello").await;
    let reader = reader(place, place.wrong_key());

    for prompt in [name("greeting"), name("nowhere")] {
        let told = ask(place, &reader, &prompt, None).await;
        assert!(matches!(told, Err(Error::Rejected { .. })), "{told:?}");
    }
    let told = place.origin().listing(&reader, None).await;
    assert!(matches!(told, Err(Error::Rejected { .. })), "{told:?}");
}

pub(crate) async fn a_key_is_admitted_if_it_opens_something(place: &impl Keys) {
    let origin = place.origin();

    assert!(origin.admits(&place.key()).await.expect("the origin answers"));
    assert!(!origin.admits(&place.wrong_key()).await.expect("the origin answers"));
}

pub(crate) async fn an_origin_that_is_gone_has_no_word_on_a_key(place: &impl Keys) {
    place.goes_away().await;

    gave_no_answer(place.origin().admits(&place.key()).await);
    gave_no_answer(place.origin().admits(&place.wrong_key()).await);
}

/// A caller that brought this key.
fn reader(place: &impl Keys, key: Credential) -> Reader {
    Reader { credential: Some(key), ..place.reader(Reads::Published) }
}
