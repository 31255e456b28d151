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

/// Whoever reads again at each change has the newest text after the last.
pub(crate) async fn a_change_can_be_read_when_it_is_told(place: &impl Place) {
    let mut cursor = changes(place, Cursor::START).await.cursor;

    for text in ["one", "two", "three"] {
        let following = until_served(place, cursor, Some(text));
        (cursor, ()) = tokio::join!(biased; following, place.publish("greeting", text));
    }

    let following = until_served(place, cursor, None);
    tokio::join!(biased; following, place.delete("greeting"));
}

/// Reads the greeting whenever a change means it, until it says this. Returns where to ask from
/// next.
async fn until_served(place: &impl Place, mut cursor: Cursor, text: Option<&str>) -> Cursor {
    loop {
        let told = changes(place, cursor).await;
        cursor = told.cursor;
        let is_meant = told.changes.iter().any(|change| means(change, "greeting"));
        if is_meant && served(place, Reads::Published, "greeting").await.as_deref() == text {
            return cursor;
        }
    }
}

/// Whether a change is one of this prompt, by its name or by a word that means it among others.
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
