//! Saying what changed.

use std::time::Duration;

use prompt_edge::model::{PromptName, Reads};
use prompt_edge::origins::{Change, Changes, Cursor};
use tokio::time::timeout;

use super::{Place, served};

pub(crate) async fn the_start_is_answered_with_no_changes(place: &impl Place) {
    place.publish("greeting", "Hello").await;

    let told = changes(place, Cursor::START).await;

    assert_eq!(told.changes, [], "what came before is nobody's concern");
    assert_ne!(told.cursor, Cursor::START);
}

/// By the prompt's name, or by a word that means it among others.
pub(crate) async fn every_change_is_told_once_it_can_be_read(place: &impl Place) {
    let mut cursor = changes(place, Cursor::START).await.cursor;

    for text in ["one", "two", "three"] {
        let served_when_told = async {
            let told = until_told(place, cursor, "greeting").await;
            (told, served(place, Reads::Published, "greeting").await)
        };
        let ((told, served), ()) =
            tokio::join!(biased; served_when_told, place.publish("greeting", text));
        assert_eq!(served.as_deref(), Some(text), "a change was told before it could be read");
        cursor = told;
    }

    place.delete("greeting").await;
    until_told(place, cursor, "greeting").await;
    assert_eq!(served(place, Reads::Published, "greeting").await, None);
}

/// Waits until a change means this prompt, and says where to ask from next.
async fn until_told(place: &impl Place, mut cursor: Cursor, prompt: &str) -> Cursor {
    loop {
        let told = changes(place, cursor).await;
        cursor = told.cursor;
        if told.changes.iter().any(|change| means(change, prompt)) {
            return cursor;
        }
    }
}

fn means(change: &Change, prompt: &str) -> bool {
    match change {
        Change::Everything => true,
        Change::Named(PromptName::Slug(slug)) | Change::Prompt { slug, .. } => {
            slug.as_str() == prompt
        }
        Change::Named(PromptName::Id(_)) | Change::Key(_) | Change::Project(_) => false,
    }
}

/// What changed after the cursor. Something must have, or be about to.
async fn changes(place: &impl Place, cursor: Cursor) -> Changes {
    let told = timeout(Duration::from_secs(30), async { place.origin().changes(cursor).await });
    told.await.expect("a change is told").expect("the origin answers")
}
