//! The list of what is served.

use prompt_edge::model::Reads;
use prompt_edge::origins::Found;

use super::{Drafts, Place, names};

pub(crate) async fn an_empty_place_has_an_empty_list(place: &impl Place) {
    assert_eq!(names(place, Reads::Published).await, [""; 0]);
}

/// However many pages it comes in.
pub(crate) async fn the_list_is_complete_and_sorted(place: &impl Place) {
    let mut expected = Vec::new();
    for number in (0..120).rev() {
        let name = format!("prompt-{number}");
        place.publish(&name, "Hello").await;
        expected.push(name);
    }
    expected.sort();

    assert_eq!(names(place, Reads::Published).await, expected);
}

pub(crate) async fn a_deleted_prompt_is_not_listed(place: &impl Place) {
    place.publish("greeting", "Hello").await;
    place.publish("farewell", "Bye").await;
    let reader = place.reader(Reads::Published);
    let known = place.origin().listing(&reader, None).await.expect("the origin answers").validator;

    place.delete("greeting").await;

    assert_eq!(names(place, Reads::Published).await, ["farewell"]);
    let told = place.origin().listing(&reader, known.as_ref()).await.expect("the origin answers");
    assert_ne!(told.found, Found::Unchanged);
}

pub(crate) async fn a_list_that_is_known_is_unchanged_or_the_same(place: &impl Place) {
    place.publish("greeting", "Hello").await;
    let (origin, reader) = (place.origin(), place.reader(Reads::Published));
    let first = origin.listing(&reader, None).await.expect("the origin answers");

    let again = origin.listing(&reader, first.validator.as_ref()).await;

    let again = again.expect("the origin answers");
    assert!(again.found == Found::Unchanged || again.found == first.found, "of {again:?}");
}

pub(crate) async fn drafts_are_listed_for_their_readers_alone(place: &impl Drafts) {
    place.publish("greeting", "Hello").await;
    place.draft("farewell", "Bye").await;

    assert_eq!(names(place, Reads::Published).await, ["greeting"]);
    assert_eq!(names(place, Reads::Draft).await, ["farewell", "greeting"]);
}
