//! What every origin owes, whatever stands behind it.
//!
//! Each function in the files beside this one states one promise of `origins::Origin`, given a
//! [`Place`]: an origin, and the other side of it, where people write. To add an origin, write its
//! place in `tests/integration/harness`, and add one line at the bottom that names the groups of
//! promises it is to keep beside those that all keep:
//!
//! * `drafts`: it tells what is published from what is not ([`Drafts`]);
//! * `folders`: names may hold slashes and blanks;
//! * `ids`: a prompt is found by the id that the list gives;
//! * `keys`: callers may bring a key of its own ([`Keys`]);
//! * `tells`: it says what changed.
//!
//! A place is empty when it is handed over: its origin answers, and has no prompts.

mod away;
mod changes;
mod keys;
mod lists;
mod prompts;

use std::sync::Arc;

use prompt_edge::compile::Prepared;
use prompt_edge::model::{Credential, EnvironmentId, Listed, ProjectId, PromptName, Reads, Tenant};
use prompt_edge::origins::{
    Compile, Compiles, Error, Found, Origin, Question, Reader, Text, Told, Validator, View,
};

/// An origin, and the other side of it.
pub(crate) trait Place {
    /// The origin.
    fn origin(&self) -> Arc<dyn Origin>;

    /// Who reads there.
    fn reader(&self, reads: Reads) -> Reader;

    /// Makes a prompt or its next version, which readers of what is published are served from now
    /// on. Its text has no variables and no line breaks.
    async fn publish(&self, name: &str, text: &str);

    /// Deletes a prompt.
    async fn delete(&self, name: &str);

    /// From now on it gives no answer.
    async fn goes_away(&self);

    /// From now on it answers again, with everything it held before.
    async fn comes_back(&self);
}

/// A place where a version can be written before it is published.
pub(crate) trait Drafts: Place {
    /// Makes a prompt or its next version, and leaves it unpublished.
    async fn draft(&self, name: &str, text: &str);
}

/// A place that has keys of its own.
pub(crate) trait Keys: Place {
    /// A key that opens the prompts that [`Place::publish`] writes.
    fn key(&self) -> Credential;

    /// What looks like a key there and is none.
    fn wrong_key(&self) -> Credential;
}

/// Who reads, for whoever does not mind whose prompts.
pub(crate) fn reader(reads: Reads) -> Reader {
    let (environment, name) = match reads {
        Reads::Published => (1, "live"),
        Reads::Draft => (2, "dev"),
    };
    Reader {
        tenant: Tenant::new(ProjectId(1), EnvironmentId(environment)),
        project: "acme".into(),
        environment: name.into(),
        reads,
        origin: None,
        credential: None,
    }
}

/// What is asked of an origin that compiles.
const COMPILED: Compile = Compile { view: View::Compiled, variables: None };

/// A prompt's name, as any place may have it.
fn name(text: &str) -> PromptName {
    PromptName::anywhere(text).expect("some platform could call a prompt that")
}

/// Asks for a prompt.
async fn ask(
    place: &impl Place,
    reader: &Reader,
    prompt: &PromptName,
    known: Option<&Validator>,
) -> Result<Told<Text>, Error> {
    let origin = place.origin();
    let compile = (origin.compiles() == Compiles::There).then_some(&COMPILED);
    origin.prompt(Question { reader, prompt, compile, known }).await
}

/// The text a reader is served under this name; `None` if there is none.
async fn served(place: &impl Place, reads: Reads, prompt: &str) -> Option<String> {
    let told = ask(place, &place.reader(reads), &name(prompt), None).await;
    text(&told.expect("the origin answers"))
}

/// The text that was told, without the line break at its end.
#[track_caller]
fn text(told: &Told<Text>) -> Option<String> {
    match &told.found {
        Found::Absent => None,
        Found::Present(Text::Edition(edition)) => {
            let prepared = Prepared::new(&edition.version.content, edition.defaults.clone());
            Some(prepared.source().trim_end().to_owned())
        }
        Found::Present(Text::Rendition(rendition)) => Some(rendition.text.trim_end().to_owned()),
        Found::Unchanged => panic!("nothing was known that could be unchanged"),
    }
}

/// The list a reader is served.
async fn listed(place: &impl Place, reads: Reads) -> Vec<Listed> {
    let told = place.origin().listing(&place.reader(reads), None).await;
    match told.expect("the origin answers").found {
        Found::Present(listed) => listed,
        other @ (Found::Absent | Found::Unchanged) => panic!("{other:?} is no list"),
    }
}

/// The names in it.
async fn names(place: &impl Place, reads: Reads) -> Vec<String> {
    listed(place, reads).await.iter().map(|listed| listed.slug.to_string()).collect()
}

macro_rules! keeps_an_origins_contract {
    ($origin:ident, $open:expr, $($group:ident)*) => {
        mod $origin {
            keeps_an_origins_contract!(@group always $open);
            $(keeps_an_origins_contract!(@group $group $open);)*
        }
    };
    (@group always $open:expr) => {
        keeps_an_origins_contract!(@each $open;
            away::an_origin_that_is_gone_never_says_that_there_is_nothing
            away::an_origin_that_was_gone_answers_as_before
            changes::the_start_is_answered_with_no_changes
            lists::an_empty_place_has_an_empty_list
            lists::the_list_is_complete_and_sorted
            lists::a_deleted_prompt_is_not_listed
            lists::a_list_that_is_known_is_unchanged_or_the_same
            prompts::a_deleted_prompt_is_absent
            prompts::a_dropped_question_leaves_nothing_behind
            prompts::a_missing_prompt_is_absent
            prompts::a_text_that_is_known_is_unchanged_or_the_same
            prompts::what_is_published_is_found_by_its_name
            prompts::what_was_known_before_a_change_is_never_unchanged
        );
    };
    (@group drafts $open:expr) => {
        keeps_an_origins_contract!(@each $open;
            lists::drafts_are_listed_for_their_readers_alone
            prompts::drafts_are_served_to_their_readers_alone
        );
    };
    (@group folders $open:expr) => {
        keeps_an_origins_contract!(@each $open;
            prompts::a_name_may_hold_slashes_and_blanks
        );
    };
    (@group ids $open:expr) => {
        keeps_an_origins_contract!(@each $open;
            prompts::a_prompt_is_found_by_the_id_in_the_list
        );
    };
    (@group keys $open:expr) => {
        keeps_an_origins_contract!(@each $open;
            keys::a_key_is_admitted_if_it_opens_something
            keys::a_wrong_key_is_rejected_and_finds_nothing_absent
            keys::an_origin_that_is_gone_has_no_word_on_a_key
            keys::the_callers_own_key_reads
        );
    };
    (@group tells $open:expr) => {
        keeps_an_origins_contract!(@each $open;
            changes::a_change_can_be_read_when_it_is_told
        );
    };
    (@each $open:expr; $($file:ident::$promise:ident)*) => {$(
        #[tokio::test]
        async fn $promise() {
            let place = $open;
            super::$file::$promise(&place).await;
        }
    )*};
}

keeps_an_origins_contract!(
    promptot,
    crate::harness::promptot::with_keys_mapped().await,
    drafts folders ids keys
);
keeps_an_origins_contract!(
    promptot_passed_through,
    crate::harness::promptot::with_keys_passed_through().await,
    drafts folders ids keys
);
keeps_an_origins_contract!(sqlite, crate::harness::stored::own().await, drafts ids tells);
keeps_an_origins_contract!(sqlite_by_name, crate::harness::stored::by_name().await, drafts ids tells);
keeps_an_origins_contract!(
    langfuse, crate::harness::langfuse::Project::empty().await, drafts folders ids keys tells
);
keeps_an_origins_contract!(files_markdown, crate::harness::files::markdown().await, ids tells);
keeps_an_origins_contract!(files_bundles, crate::harness::files::bundles().await, drafts ids tells);
keeps_an_origins_contract!(edge, crate::harness::far::Far::start().await, drafts ids keys);
