//! Langfuse: what becomes of its answers, and how its changes are found.
//!
//! Each file of `tests/fixtures/origins/langfuse` is one exchange: a question as it has to be
//! asked, a blank line, Langfuse's answer. A `#` above a malformed answer says what the error says.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use prompt_edge::compile::{Message, Prepared};
use prompt_edge::formats::content::commit_hash;
use prompt_edge::model::{
    self, Content, Credential, Edition, Layout, Listed, Prompt, PromptId, PromptName, Reads, Slug,
    Timestamp, Version, VersionId, Visibility,
};
use prompt_edge::origins::upstream::langfuse::{Config, Langfuse};
use prompt_edge::origins::{
    Change, Changes, Cursor, Error, Found, Origin, Question, Reader, Text, Told,
};
use prompt_edge::wire::caching::Allowance;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::contract::origin::{Drafts, Place, reader};
use crate::harness::langfuse::{KEY, Project, config, upstream};
use crate::harness::vendor::{Said, Vendor};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/origins/langfuse");

#[tokio::test]
async fn a_text_prompt_is_taken_byte_for_byte() {
    let told = told("text", "movie-critic", Reads::Published).await;

    let text = "\n# Critic \nAs a {{ criticLevel }} critic, do you like {{movie}}? \
                {{movie}}{{unknown}}\n\n";
    let model_config = r#"{"model":"gpt-4o","temperature":0.70,"nested":{"b":1,"a":[null]}}"#;
    let content = Content {
        layout: Layout::Verbatim(text.to_owned()),
        model_config: serde_json::from_str(model_config).expect("it is JSON"),
        ..Content::default()
    };
    let version = Version {
        id: VersionId(uuid("65fa2bc0-781b-84cf-8454-ece9b367e340")),
        number: 3,
        commit: commit_hash(&content),
        content,
        created_at: moment("2026-03-01T12:00:00.000Z"),
    };
    let commit = version.commit.clone();
    let validator = format!("3;2026-03-02T08:30:00.123Z;production;{commit}");
    let expected = Told {
        found: Found::Present(Text::Edition(Box::new(Edition {
            project: uuid("b3b74213-7d3e-896d-89cb-5d092d598a61"),
            prompt: movie_critic(),
            version,
            defaults: Map::new(),
            composed_of: Vec::new(),
        }))),
        validator: Some(prompt_edge::origins::Validator(validator.into())),
        allowance: Allowance::default(),
        is_immutable: false,
        status: Some(200),
    };
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_text_compiles_by_langfuses_rules() {
    let edition = edition(told("text", "movie-critic", Reads::Published).await);
    let values = json!({"criticLevel": "{{movie}}", "movie": "Dune 2\n"});

    let (text, messages) = compiled(&edition, values);

    let expected =
        "\n# Critic \nAs a {{movie}} critic, do you like Dune 2\n? Dune 2\n{{unknown}}\n\n";
    assert_eq!(text, expected);
    assert_eq!(messages, None);
}

#[tokio::test]
async fn a_chat_prompt_keeps_whatever_has_a_role_and_a_content() {
    let edition = edition(told("chat", "support-chat", Reads::Published).await);

    let said = |role: &str, content: &str| model::Message::Said {
        role: role.to_owned(),
        content: content.to_owned(),
    };
    let messages = vec![
        said("system", "You help {{ customer }}.\n"),
        model::Message::Placeholder { name: "history".to_owned() },
        said("user", "{{question}}"),
        said("tool result", ""),
        said("", " {{x}"),
    ];
    assert_eq!(edition.version.content.layout, Layout::Chat(messages));
    assert_eq!(edition.version.content.model_config, Map::new());
    assert_eq!(edition.version.id, VersionId(uuid("3f0c8a52-6a3e-4c39-9f5e-0d8f6b1f2a11")));
    assert_eq!(edition.project, uuid("7a88fb47-b4e2-43b8-a06c-a5ce950dc53a"));
}

#[tokio::test]
async fn a_chat_prompt_compiles_by_langfuses_rules() {
    let edition = edition(told("chat", "support-chat", Reads::Published).await);
    let history = json!([
        {"role": "user", "content": "{{customer}}"},
        {"role": "assistant", "content": "Hi", "tool_calls": []},
    ]);

    let (_, messages) = compiled(&edition, json!({"customer": "Ada", "history": history}));

    let expected = json!([
        {"role": "system", "content": "You help Ada.\n"},
        history[0],
        history[1],
        {"role": "user", "content": "{{question}}"},
        {"role": "tool result", "content": ""},
        {"role": "", "content": " {{x}"},
    ]);
    assert_eq!(messages, Some(expected));
}

#[tokio::test]
async fn each_kind_of_reader_is_served_its_label() {
    let live = edition(told("text", "movie-critic", Reads::Published).await);
    let draft = edition(told("text-draft", "movie-critic", Reads::Draft).await);

    assert_eq!((live.version.number, draft.version.number), (3, 4));
    assert_eq!(live.prompt.id, draft.prompt.id);
}

#[tokio::test]
async fn a_name_may_hold_whatever_a_url_gives_a_meaning_to() {
    let name = "support/refund offer?#1";

    let edition = edition(told("folder", name, Reads::Published).await);

    assert_eq!(edition.prompt.slug.as_str(), name);
}

#[tokio::test]
async fn a_pinned_version_never_changes() {
    for reads in [Reads::Published, Reads::Draft] {
        let told = told_by(pinned(), "text-pinned", "movie-critic", reads).await.expect("it fits");

        assert!(told.is_immutable);
        assert_eq!(edition(told).version.number, 3);
    }
}

#[tokio::test]
async fn a_prompt_knows_what_it_is_composed_of() {
    let told = told("composed", "movie-critic", Reads::Published).await;

    let slugs: Vec<_> = edition(told).composed_of.iter().map(ToString::to_string).collect();
    assert_eq!(slugs, ["base", "shared/tone"]);
}

/// The parts of it are not pinned.
#[tokio::test]
async fn a_pinned_version_that_is_composed_may_change() {
    let told = told_by(pinned(), "composed-pinned", "movie-critic", Reads::Published).await;

    assert!(!told.expect("it fits").is_immutable);
}

#[tokio::test]
async fn what_says_nothing_to_us_may_be_left_out() {
    let edition = edition(told("sparse", "movie-critic", Reads::Published).await);

    assert_eq!(edition.version.content.model_config, Map::new());
    assert_eq!(edition.composed_of, []);
}

#[tokio::test]
async fn a_prompt_without_the_label_is_absent() {
    let told = told("absent", "movie-critic", Reads::Published).await;

    assert_eq!(told, Told { status: Some(404), ..Told::plainly(None) });
}

#[tokio::test]
async fn a_refused_key_is_no_absence() {
    for (fixture, expected) in [("rejected-key", 401), ("rejected-project", 403)] {
        let told = told_by(config(), fixture, "movie-critic", Reads::Published).await;

        assert!(matches!(told, Err(Error::Rejected { status, .. }) if status == expected));
    }
}

#[tokio::test]
async fn every_malformed_answer_is_refused_by_its_field() {
    let mut tried = 0;
    for path in fixtures("malformed-") {
        let exchange = Exchange::read(&path);
        let is_list = exchange.target.contains("?page=");
        let config = if exchange.target.contains("version=") { pinned() } else { config() };
        let (vendor, origin) = exchange.play(config).await;

        let refused = match is_list {
            true => origin.listing(&reader(Reads::Published), None).await.map(drop),
            false => ask(&origin, "movie-critic", &reader(Reads::Published)).await.map(drop),
        };

        let Err(Error::Malformed { source, .. }) = refused else {
            panic!("{} should be refused: {refused:?}", path.display());
        };
        assert_eq!(source.to_string(), exchange.remark, "of {}", path.display());
        exchange.expect_asked(&vendor);
        tried += 1;
    }
    assert!(tried > 20, "there should be malformed answers in {FIXTURES}");
}

#[tokio::test]
async fn the_list_says_which_version_as_far_as_langfuse_does() {
    let live = listing("list", Reads::Published).await;
    let drafts = listing("list", Reads::Draft).await;

    let id = |name| PromptId(uuid(name));
    let line = |id, name: &str, current_version| Listed {
        id,
        name: name.to_owned(),
        slug: Slug::foreign(name).expect("it is a name"),
        current_version,
    };
    let critic = id("8d2ec50f-0a17-8c2e-b36b-c3f2b4b011b7");
    assert_eq!(live[0], line(critic, "movie-critic", None));
    let lines = |listed: &[Listed]| {
        let line = |listed: &Listed| (listed.slug.to_string(), listed.current_version);
        listed.iter().map(line).collect::<BTreeMap<_, _>>()
    };
    let folder = "support/refund offer".to_owned();
    assert_eq!(lines(&live), [("movie-critic".to_owned(), None), (folder.clone(), Some(1))].into());
    assert_eq!(
        lines(&drafts),
        [
            ("draft-only".to_owned(), Some(2)),
            ("movie-critic".to_owned(), Some(3)),
            (folder, Some(1)),
        ]
        .into()
    );
}

/// Langfuse knows no such ids.
#[tokio::test]
async fn a_prompt_asked_for_by_id_is_looked_for_in_the_list_once() {
    let project = Project::empty().await;
    project.publish("greeting", "Hello").await;
    let (origin, live) = (project.origin(), reader(Reads::Published));
    let Found::Present(listed) = origin.listing(&live, None).await.expect("it answers").found
    else {
        panic!("there is a list")
    };
    let id = listed[0].id.0.to_string();

    for _ in 0..3 {
        let told = ask(&*origin, &id, &live).await.expect("it answers");
        assert_eq!(edition(told).prompt.slug.as_str(), "greeting");
    }

    assert_eq!(project.lists().len(), 2, "one for the list itself, one for the name");
}

#[tokio::test]
async fn a_pinned_prompt_is_listed_with_its_version_whatever_its_labels() {
    let exchange = Exchange::named("list");
    let versions = [("unlabelled".to_owned(), 1), ("movie-critic".to_owned(), 9)].into();
    let (_vendor, origin) = exchange.play(Config { versions, ..config() }).await;

    let told = origin.listing(&reader(Reads::Published), None).await.expect("it fits");

    let Found::Present(listed) = told.found else { panic!("there is a list") };
    let lines: Vec<_> =
        listed.iter().map(|line| (line.slug.as_str(), line.current_version)).collect();
    assert_eq!(lines, [("support/refund offer", Some(1)), ("unlabelled", Some(1))]);
}

/// What a list says of its own length is not relied on.
#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let row = json!({"name": "a", "versions": [1], "labels": ["production"],
                     "lastUpdatedAt": "2026-03-01T12:00:00.000Z"});
    let page = json!({"data": [row], "meta": {"totalPages": u64::MAX}});
    let vendor = Vendor::start(move |_| Said::json(page.clone())).await;
    let origin = Langfuse::new(upstream(&vendor), config());

    let told = origin.listing(&reader(Reads::Published), None).await.expect("it fits");

    let Found::Present(listed) = told.found else { panic!("there is a list") };
    assert_eq!(listed.len(), 1);
    assert_eq!(vendor.asked_count(), 100);
}

#[tokio::test]
async fn a_page_with_more_rows_than_were_asked_for_is_refused() {
    let page = json!({"data": vec![0; 101], "meta": {"totalPages": 1}});
    let vendor = Vendor::start(move |_| Said::json(page.clone())).await;
    let origin = Langfuse::new(upstream(&vendor), config());

    let told = origin.listing(&reader(Reads::Published), None).await;

    assert!(matches!(told, Err(Error::Malformed { .. })), "{told:?}");
}

/// A segment of dots means another place.
#[tokio::test]
async fn a_name_that_no_url_can_hold_is_absent_unasked() {
    let project = Project::empty().await;

    for name in [".", "..", "a/../b", "a/."] {
        let told = ask(&*project.origin(), name, &reader(Reads::Published)).await;
        assert_eq!(told.expect("nobody was asked").found, Found::Absent);
    }
    assert_eq!(project.vendor.asked_count(), 0);
}

#[tokio::test]
async fn a_label_that_moves_brings_its_version_along() {
    let project = Project::empty().await;
    project.publish("greeting", "one").await;
    project.draft("greeting", "two").await;
    let live = reader(Reads::Published);
    let before = edition(ask(&*project.origin(), "greeting", &live).await.expect("it answers"));

    project.relabel("greeting", "production", 2);

    let after = edition(ask(&*project.origin(), "greeting", &live).await.expect("it answers"));
    assert_eq!((before.version.number, after.version.number), (1, 2));
    assert_eq!(before.prompt.id, after.prompt.id);
}

#[tokio::test]
async fn a_reader_without_any_key_is_rejected_unasked() {
    let project = Project::configured(Config { key: None, ..config() }).await;

    let told = ask(&*project.origin(), "greeting", &reader(Reads::Published)).await;

    assert!(matches!(told, Err(Error::Rejected { status: 401, .. })), "{told:?}");
    assert_eq!(project.vendor.asked_count(), 0);
}

#[tokio::test]
async fn an_origin_without_a_key_of_its_own_answers_and_never_tells() {
    let project = Project::configured(Config { key: None, ..config() }).await;
    let origin = project.origin();

    origin.probe().await.expect("a refusal is an answer");
    let start = origin.changes(Cursor::START).await.expect("it needs no key");

    assert_eq!(start.changes, []);
    let own = Reader { credential: Some(Credential::new(KEY)), ..reader(Reads::Published) };
    tokio::select! {
        biased;
        told = origin.changes(start.cursor) => panic!("nobody looks for changes: {told:?}"),
        told = ask(&*origin, "greeting", &own) => {
            assert_eq!(told.expect("it answers").found, Found::Absent);
        }
    }
    project.goes_away().await;
    assert!(origin.probe().await.is_err());
}

#[tokio::test]
async fn a_new_version_and_a_moved_label_are_told_by_both_names() {
    let project = Project::empty().await;
    project.publish("greeting", "one").await;
    project.publish("farewell", "Bye").await;
    let cursor = start(&project).await;

    project.draft("greeting", "two").await;
    let drafted = project.origin().changes(cursor).await.expect("it answers");
    project.relabel("greeting", "production", 2);
    let moved = project.origin().changes(drafted.cursor).await.expect("it answers");

    for told in [&drafted, &moved] {
        assert_eq!(told.changes, named(&project, "greeting").await);
    }
    assert!(drafted.cursor > cursor && moved.cursor > drafted.cursor);
}

#[tokio::test]
async fn what_was_told_is_not_told_again() {
    let project = Project::empty().await;
    project.publish("greeting", "one").await;
    let cursor = start(&project).await;
    project.publish("greeting", "two").await;

    let told = project.origin().changes(cursor).await.expect("it answers");

    quiet(&project, told.cursor).await;
}

#[tokio::test]
async fn a_deleted_prompt_is_told_by_a_look_through_the_whole_list() {
    let project = Project::empty().await;
    project.publish("greeting", "Hello").await;
    project.publish("farewell", "Bye").await;
    let cursor = start(&project).await;
    let greeting = named(&project, "greeting").await;

    project.delete("greeting").await;
    let told = project.origin().changes(cursor).await.expect("it answers");

    assert_eq!(told, Changes { changes: greeting.into(), cursor });
    quiet(&project, cursor).await;
}

#[tokio::test]
async fn a_look_asks_for_what_was_updated_shortly_before_the_cursor_and_later() {
    let every = NonZeroU32::MIN.saturating_add(3);
    let project = Project::configured(Config { full_list_every: every, ..config() }).await;
    project.publish("greeting", "Hello").await;
    let cursor = start(&project).await;
    let whole = "/api/public/v2/prompts?page=1&limit=100";
    let since = format!("{whole}&fromUpdatedAt=2026-03-01T11:59:55.002Z");
    assert_eq!(cursor, Cursor(moment("2026-03-01T12:00:00.002Z").as_millis()));

    quiet(&project, cursor).await;

    let since = since.as_str();
    assert_eq!(project.lists()[..6], [whole, since, since, since, whole, since]);
}

#[tokio::test]
async fn a_look_that_fails_is_an_error_and_loses_nothing() {
    let project = Project::empty().await;
    project.publish("greeting", "one").await;
    let cursor = start(&project).await;
    project.publish("greeting", "two").await;

    project.goes_away().await;
    let failed = project.origin().changes(cursor).await;
    project.comes_back().await;
    let told = project.origin().changes(cursor).await.expect("it answers");

    assert!(matches!(failed, Err(Error::Unreachable { .. })), "{failed:?}");
    assert_eq!(told.changes, named(&project, "greeting").await);
}

/// Looks for changes until it has asked another ten times, in vain.
async fn quiet(project: &Project, cursor: Cursor) {
    let count = project.vendor.asked_count() + 10;
    tokio::select! {
        told = async { project.origin().changes(cursor).await } => panic!("nothing changed: {told:?}"),
        () = project.vendor.has_been_asked(count) => {}
    }
}

async fn start(project: &Project) -> Cursor {
    project.origin().changes(Cursor::START).await.expect("it answers").cursor
}

/// That a prompt changed, by both of its names.
async fn named(project: &Project, slug: &str) -> [Change; 2] {
    let drafts = reader(Reads::Draft);
    let told = project.origin().listing(&drafts, None).await.expect("it answers");
    let Found::Present(listed) = told.found else { panic!("there is a list") };
    let line = listed.iter().find(|line| line.slug.as_str() == slug).expect("it is listed");
    [name(slug), PromptName::Id(line.id)].map(Change::Named)
}

/// An exchange with Langfuse.
struct Exchange {
    remark: String,
    target: String,
    authorization: String,
    said: Said,
}

impl Exchange {
    fn named(fixture: &str) -> Self {
        Self::read(&Path::new(FIXTURES).join(format!("{fixture}.http")))
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a fixture is readable");
        let (asked, answered) = text.split_once("\n\nHTTP/1.1 ").expect("it has an answer");
        let (head, body) = answered.split_once("\n\n").expect("the answer has a body");
        let field = |of: &str, start: &str| {
            let line = of.lines().find_map(|line| line.strip_prefix(start));
            line.unwrap_or_default().to_owned()
        };
        let status = head.split(' ').next().and_then(|status| status.parse().ok());
        let said = Said::status(status.expect("the answer has a status"));
        Self {
            remark: field(asked, "# "),
            target: field(asked, "GET "),
            authorization: field(asked, "authorization: "),
            said: Said { body: body.to_owned().into(), ..said }
                .with("content-type", field(head, "content-type: ")),
        }
    }

    /// A platform that gives the answer to every question.
    async fn play(&self, config: Config) -> (Vendor, Langfuse) {
        let said = self.said.clone();
        let vendor = Vendor::start(move |_| said.clone()).await;
        let origin = Langfuse::new(upstream(&vendor), config);
        (vendor, origin)
    }

    /// The question was asked, and none beside it.
    fn expect_asked(&self, vendor: &Vendor) {
        let asked = vendor.asked();
        assert_eq!(asked.len(), 1, "one question: {asked:?}");
        assert_eq!(asked[0].target, self.target);
        assert_eq!(asked[0].headers["authorization"], self.authorization);
    }
}

async fn told(fixture: &str, name: &str, reads: Reads) -> Told<Text> {
    told_by(config(), fixture, name, reads).await.expect("the answer fits")
}

async fn told_by(
    config: Config,
    fixture: &str,
    name: &str,
    reads: Reads,
) -> Result<Told<Text>, Error> {
    let exchange = Exchange::named(fixture);
    let (vendor, origin) = exchange.play(config).await;
    let told = ask(&origin, name, &reader(reads)).await;
    exchange.expect_asked(&vendor);
    told
}

async fn listing(fixture: &str, reads: Reads) -> Vec<Listed> {
    let exchange = Exchange::named(fixture);
    let (vendor, origin) = exchange.play(config()).await;
    let told = origin.listing(&reader(reads), None).await.expect("the answer fits");
    exchange.expect_asked(&vendor);
    let Found::Present(listed) = told.found else { panic!("there is a list") };
    listed
}

async fn ask(origin: &dyn Origin, prompt: &str, reader: &Reader) -> Result<Told<Text>, Error> {
    let prompt = &name(prompt);
    origin.prompt(Question { reader, prompt, compile: None, known: None }).await
}

#[track_caller]
fn edition(told: Told<Text>) -> Edition {
    match told.found {
        Found::Present(Text::Edition(edition)) => *edition,
        other @ (Found::Absent | Found::Present(Text::Rendition(_)) | Found::Unchanged) => {
            panic!("{other:?} is no version")
        }
    }
}

/// The text, and the messages of a chat prompt as JSON.
fn compiled(edition: &Edition, values: Value) -> (String, Option<Value>) {
    let Value::Object(values) = values else { panic!("variables are an object") };
    let prepared = Prepared::new(&edition.version.content, Map::new());
    let compiled = prepared.render(&prepared.resolve(&values), usize::MAX).expect("no limit");
    let message = |message: &Message<'_>| match message {
        Message::Inserted(message) => (*message).clone(),
        Message::Own(model::Message::Placeholder { name }) => {
            json!({"type": "placeholder", "name": name})
        }
        Message::Own(model::Message::Said { role, content }) => {
            json!({"role": role, "content": content})
        }
    };
    let messages = compiled.messages.as_ref().map(|all| all.iter().map(message).collect());
    (compiled.text, messages)
}

fn pinned() -> Config {
    Config { versions: [("movie-critic".to_owned(), 3)].into(), ..config() }
}

fn movie_critic() -> Prompt {
    Prompt {
        id: PromptId(uuid("8d2ec50f-0a17-8c2e-b36b-c3f2b4b011b7")),
        number: 0,
        slug: "movie-critic".parse().expect("it is a slug"),
        name: "movie-critic".to_owned(),
        description: String::new(),
        category: String::new(),
        visibility: Visibility::Private,
        tags: ["movies", "production", "latest"].map(ToOwned::to_owned).into(),
        owner: String::new(),
        created_at: moment("2026-03-01T12:00:00.000Z"),
        updated_at: moment("2026-03-02T08:30:00.123Z"),
    }
}

fn fixtures(prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(FIXTURES).expect("the folder is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it is readable").path()).collect();
    paths.retain(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    });
    paths.sort();
    paths
}

fn name(text: &str) -> PromptName {
    PromptName::anywhere(text).expect("some platform could call a prompt that")
}

fn uuid(text: &str) -> Uuid {
    text.parse().expect("it is a UUID")
}

fn moment(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("it is a moment")
}
