//! Being gone, and coming back.

use prompt_edge::model::Reads;
use prompt_edge::origins::Error;

use super::{Place, ask, name, names, served};

/// "There is none" is for the origin alone to say.
pub(crate) async fn an_origin_that_is_gone_never_says_that_there_is_nothing(place: &impl Place) {
    place.publish("greeting", "Hello").await;
    place.goes_away().await;

    let (origin, reader) = (place.origin(), place.reader(Reads::Published));
    for prompt in [name("greeting"), name("nowhere")] {
        gave_no_answer(ask(place, &reader, &prompt, None).await);
    }
    gave_no_answer(origin.listing(&reader, None).await);
    gave_no_answer(origin.probe().await);
}

pub(crate) async fn an_origin_that_was_gone_answers_as_before(place: &impl Place) {
    place.publish("greeting", "Hello").await;
    place.goes_away().await;
    gave_no_answer(place.origin().probe().await);

    place.comes_back().await;

    place.origin().probe().await.expect("the origin answers");
    assert_eq!(served(place, Reads::Published, "greeting").await.as_deref(), Some("Hello"));
    assert_eq!(names(place, Reads::Published).await, ["greeting"]);
}

/// It is the origin's own trouble, and said to be.
#[track_caller]
pub(super) fn gave_no_answer<T: std::fmt::Debug>(told: Result<T, Error>) {
    let is_trouble = matches!(
        told,
        Err(Error::Unreachable { .. } | Error::TimedOut { .. } | Error::Failed { .. })
    );
    assert!(is_trouble, "an origin that is gone said {told:?}");
}
