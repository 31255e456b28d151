//! Folders, look by look. Nothing here waits: a look is a call.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::model::{EnvironmentId, ProjectId, PromptName, Reads, Tenant};
use crate::origins::Change;
use crate::origins::files::watch::Lookout;

/// A folder that is looked at when a test says so.
struct Given {
    folder: TempDir,
    lookout: Lookout,
    state: State,
}

/// How many looks find a folder in motion until that is a problem.
const PATIENCE: u32 = 5;

impl Given {
    /// An empty folder that has been read.
    fn folder() -> Self {
        let folder = TempDir::new().unwrap();
        let name = OriginName::new("team-folder");
        let lookout = Lookout::new(name, folder.path().to_owned(), PATIENCE);
        let mut given = Self { folder, lookout, state: State::default() };
        given.settle().unwrap();
        given
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes beside the file and renames.
    fn replace(&self, name: &str, text: &str) {
        self.write(".new", text);
        fs::rename(self.folder.path().join(".new"), self.folder.path().join(name)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    fn link(&self, target: &str, name: &str) {
        symlink(target, self.folder.path().join(name)).unwrap();
    }

    /// One look. `None` if it led to no judgement; `Err` says why the folder is not taken over.
    fn look(&mut self) -> Option<Result<(), String>> {
        let judgement = self.lookout.look()?;
        let said = judgement.as_ref().map(|_| ()).map_err(ToString::to_string);
        self.state = self.state.after(judgement);
        Some(said)
    }

    /// As many looks as a folder at rest takes.
    fn settle(&mut self) -> Result<(), String> {
        self.look();
        self.look().expect("the folder is at rest")
    }

    /// Why the folder, at rest, is not taken over.
    fn problem(&mut self) -> String {
        self.settle().expect_err("the folder is wrong")
    }

    /// What is served there under each slug, joined by `slug: text`.
    fn served_in(&self, environment: &str, reads: Reads) -> Vec<String> {
        let Held::Set(set) = &self.state.held else { return Vec::new() };
        let reader = reader(environment, reads);
        let served = set.prompts().filter_map(|kept| {
            let version = kept.version_for(&reader)?;
            let text: String =
                version.content.blocks().iter().map(|b| b.content.as_str()).collect();
            Some(format!("{}: {}", kept.prompt.slug, text.trim()))
        });
        served.collect()
    }

    fn served(&self) -> Vec<String> {
        self.served_in("live", Reads::Published)
    }

    /// Where the changes are now.
    fn now(&self) -> Cursor {
        self.state.since(Cursor::START).expect("a set is held").cursor
    }

    /// What changed since: the slugs that are told, or `*`.
    fn changed(&self, since: Cursor) -> Vec<String> {
        let told = self.state.since(since).map(|told| told.changes).unwrap_or_default();
        let names = told.into_iter().filter_map(|change| match change {
            Change::Named(PromptName::Slug(slug)) => Some(slug.to_string()),
            Change::Everything => Some("*".to_owned()),
            Change::Named(PromptName::Id(_)) => None,
            other @ (Change::Key(_) | Change::Project(_) | Change::Prompt { .. }) => {
                panic!("a folder cannot tell {other:?}")
            }
        });
        names.collect()
    }
}

fn reader(environment: &str, reads: Reads) -> Reader {
    Reader {
        tenant: Tenant::new(ProjectId(1), EnvironmentId(1)),
        project: "acme".into(),
        environment: environment.into(),
        reads,
        origin: Some(OriginName::new("team-folder")),
        credential: None,
    }
}

#[test]
fn a_save_in_two_halves_is_never_seen_half() {
    let mut given = Given::folder();
    given.write("greeting.md", "Hello");
    given.settle().unwrap();

    given.write("greeting.md", "Good mor");
    assert_eq!(given.look(), None);
    given.write("greeting.md", "Good morning");
    assert_eq!(given.look(), None);
    assert_eq!(given.served(), ["greeting: Hello"]);

    assert_eq!(given.look(), Some(Ok(())));
    assert_eq!(given.served(), ["greeting: Good morning"]);
}

#[test]
fn a_pull_is_one_change() {
    let mut given = Given::folder();
    given.write(".git/HEAD", "ref: refs/heads/main\n");
    given.write("farewell.md", "Bye");
    given.write("greeting.md", "Hello");
    given.settle().unwrap();
    let before = given.now();

    given.write(".git/index.lock", "");
    for (file, text) in [("farewell.md", "Good bye"), ("thanks.md", "Thanks")] {
        given.write(file, text);
        assert_eq!([given.look(), given.look()], [None, None], "while git is at work");
    }
    given.remove("greeting.md");
    given.remove(".git/index.lock");
    given.settle().unwrap();

    assert_eq!(given.served(), ["farewell: Good bye", "thanks: Thanks"]);
    assert_eq!(given.changed(before), ["farewell", "greeting", "thanks"]);
    assert_eq!(given.now(), Cursor(before.0 + 1), "one change");
}

#[test]
fn a_wrong_file_keeps_what_was_there_and_is_named() {
    let mut given = Given::folder();
    given.write("greeting.md", "Hello");
    given.settle().unwrap();
    let before = given.now();

    given.write("greeting.md", "Good morning");
    given.write("support/refund.md", "---\nowner: [me]\n---\nKeep this secret");

    let expected = "\"support/refund.md\": front matter: owner must be a text: put it in quotes";
    assert_eq!(given.problem(), expected, "file and field are named, the prompt's text is not");
    assert_eq!(given.look(), None, "it is said once");
    assert_eq!(given.served(), ["greeting: Hello"]);
    assert_eq!(given.now(), before);

    given.write("support/refund.md", "---\nowner: me\n---\nKeep this");
    given.settle().unwrap();
    assert_eq!(given.served(), ["greeting: Good morning", "refund: Keep this"]);
}

#[test]
fn a_file_that_is_renamed_over_another_takes_its_place() {
    let mut given = Given::folder();
    given.write("greeting.md", "Hello");
    given.settle().unwrap();
    let before = given.now();

    given.replace("greeting.md", "Howdy");
    given.settle().unwrap();

    assert_eq!(given.served(), ["greeting: Howdy"]);
    assert_eq!(given.changed(before), ["greeting"]);
}

#[test]
fn a_deleted_file_is_told_under_both_names_of_its_prompt() {
    let mut given = Given::folder();
    given.write("greeting.md", "Hello");
    given.settle().unwrap();
    let before = given.now();

    given.remove("greeting.md");
    given.settle().unwrap();

    assert_eq!(given.served(), [""; 0]);
    let told = given.state.since(before).unwrap().changes;
    assert!(
        matches!(&*told, [Change::Named(PromptName::Slug(_)), Change::Named(PromptName::Id(_))]),
        "{told:?}"
    );
}

#[test]
fn a_file_that_is_written_anew_with_the_same_text_is_no_change() {
    let mut given = Given::folder();
    given.write("greeting.md", "Hello");
    given.settle().unwrap();
    let before = given.now();

    given.replace("greeting.md", "Hello");
    given.settle().unwrap();

    assert_eq!(given.now(), before);
}

#[test]
fn what_editors_leave_beside_a_file_is_passed_over() {
    let mut given = Given::folder();
    given.write("greeting.md", "Hello");
    for beside in [".greeting.md.swp", "greeting.md~", "#greeting.md#", "4913", ".git/x.md"] {
        given.write(beside, "Half of a gre");
    }
    given.link("nowhere", ".#greeting.md");

    given.settle().unwrap();

    assert_eq!(given.served(), ["greeting: Hello"]);
}

/// A mounted ConfigMap: names that lead into a hidden folder, which is exchanged by one rename.
#[test]
fn links_inside_the_folder_are_followed() {
    let mut given = Given::folder();
    given.write("..1/greeting.md", "Hello");
    given.link("..1", "..data");
    given.link("..data/greeting.md", "greeting.md");
    given.settle().unwrap();
    assert_eq!(given.served(), ["greeting: Hello"]);

    given.write("..2/greeting.md", "Howdy");
    given.link("..2", "..next");
    fs::rename(given.folder.path().join("..next"), given.folder.path().join("..data")).unwrap();
    given.settle().unwrap();

    assert_eq!(given.served(), ["greeting: Howdy"]);
}

#[test]
fn a_link_out_of_the_folder_is_refused() {
    let mut given = Given::folder();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("secret.md"), "Secret").unwrap();

    for (target, link) in [("secret.md", "link.md"), (".", "link")] {
        given.link(outside.path().join(target).to_str().unwrap(), link);
        let problem = given.problem();
        assert!(problem.starts_with(&format!("{link:?} is a link out of the folder")), "{problem}");
        given.remove(link);
    }
    assert_eq!(given.served(), [""; 0]);
}

#[test]
fn links_that_lead_around_in_circles_end() {
    let mut given = Given::folder();
    given.write("a/greeting.md", "Hello");
    given.link("..", "a/up");
    given.link("a", "b");

    given.settle().unwrap();

    assert_eq!(given.served(), ["greeting: Hello"]);
}

#[test]
fn two_files_with_one_slug_are_both_named() {
    let mut given = Given::folder();
    given.write("greeting.md", "Hello");
    given.write("old/hello.md", "---\nslug: greeting\n---\nHello");

    let problem = given.problem();

    assert!(
        problem.starts_with("`greeting` is in \"greeting.md\" and in \"old/hello.md\": "),
        "{problem}"
    );
}

#[test]
fn a_bundle_says_what_is_live_where_and_markdown_is_live_everywhere() {
    let mut given = Given::folder();
    given.write("farewell.md", "Bye");
    let version = |number, text| {
        format!(r#"{{"number": {number}, "blocks": [{{"type": "role", "content": "{text}"}}]}}"#)
    };
    given.write(
        "all.json",
        &format!(
            r#"{{"format": "prompt-edge-bundle", "version": 1, "prompts": [{{"slug": "greeting",
                "versions": [{}, {}, {}], "published": {{"live": [1, 2], "test": []}}}}]}}"#,
            version(1, "one"),
            version(2, "two"),
            version(3, "three"),
        ),
    );
    given.settle().unwrap();

    for (environment, reads, expected) in [
        ("live", Reads::Published, &["farewell: Bye", "greeting: two"][..]),
        ("test", Reads::Published, &["farewell: Bye"]),
        ("else", Reads::Published, &["farewell: Bye"]),
        ("dev", Reads::Draft, &["farewell: Bye", "greeting: three"]),
    ] {
        assert_eq!(given.served_in(environment, reads), expected, "in {environment}");
    }
}

#[test]
fn ids_are_the_same_for_the_same_names() {
    let ids = |origin: &str, path: &str| {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(path), "Hello").unwrap();
        let tree = tree::Tree::of(folder.path()).unwrap();
        let set = Set::read(&OriginName::new(origin), &tree).unwrap();
        let kept = set.prompts().next().unwrap();
        let version = kept.version_for(&reader("live", Reads::Published)).unwrap();
        (kept.prompt.id, kept.prompt.number, version.id)
    };

    assert_eq!(ids("team-folder", "greeting.md"), ids("team-folder", "Greeting.markdown"));
    assert_ne!(ids("team-folder", "greeting.md"), ids("team-folder", "farewell.md"));
    assert_ne!(ids("team-folder", "greeting.md"), ids("another", "greeting.md"));
}

#[test]
fn a_folder_in_motion_is_a_problem_in_the_end() {
    let mut given = Given::folder();
    let judged = |given: &mut Given| {
        let looks: Vec<_> = (0..2 * PATIENCE).filter_map(|_| given.look()).collect();
        looks.into_iter().map(|said| said.unwrap_err()).collect::<Vec<_>>()
    };

    given.write(".git/index.lock", "");
    given.write("greeting.md", "Hello");

    let problems = judged(&mut given);
    let [problem] = &*problems else { panic!("it is said once: {problems:?}") };
    assert!(problem.contains(".git/index.lock"), "{problem}");

    given.remove(".git/index.lock");
    assert_eq!(given.look(), Some(Ok(())));
    assert_eq!(given.served(), ["greeting: Hello"]);
}

#[test]
fn a_file_that_is_too_long_is_named() {
    let mut given = Given::folder();
    let file = File::create(given.folder.path().join("all.json")).unwrap();
    file.set_len(tree::MAX_FILE_BYTES + 1).unwrap();

    let problem = given.problem();

    assert!(problem.starts_with("\"all.json\" is longer than 16777216 bytes"), "{problem}");
}

#[test]
fn a_folder_that_is_gone_keeps_what_was_there() {
    let mut given = Given::folder();
    given.write("greeting.md", "Hello");
    given.settle().unwrap();

    fs::remove_dir_all(given.folder.path()).unwrap();

    let problem = given.problem();
    assert!(problem.ends_with("cannot be read: entity not found"), "{problem}");
    assert_eq!(given.served(), ["greeting: Hello"]);
}

#[test]
fn five_thousand_files_are_one_change_that_names_none() {
    let mut given = Given::folder();
    let before = given.now();
    for number in 0..5_000 {
        given.write(&format!("{}/prompt-{number}.md", number % 50), "# Role\nYou are {{name}}.\n");
    }

    given.settle().unwrap();

    assert_eq!(given.served().len(), 5_000);
    assert_eq!(given.changed(before), ["*"]);
}

#[test]
fn who_falls_behind_is_told_what_was_missed_or_everything() {
    let mut given = Given::folder();
    let start = given.now();
    for number in 0..20 {
        given.write(&format!("prompt-{number}.md"), "Hello");
        given.settle().unwrap();
    }
    let now = given.now();

    assert_eq!(given.changed(Cursor(now.0 - 2)), ["prompt-18", "prompt-19"]);
    assert_eq!(given.changed(now), [""; 0]);
    assert_eq!(given.changed(start), ["*"]);
    assert_eq!(given.changed(Cursor(now.0 + 1)), ["*"], "of a cursor from elsewhere");
}

#[test]
fn a_change_of_slug_is_told_under_both_slugs() {
    let mut given = Given::folder();
    given.write("greeting.md", "Hello");
    given.settle().unwrap();
    let before = given.now();

    given.write("greeting.md", "---\nslug: hello\n---\nHello");
    given.settle().unwrap();

    let told: BTreeSet<_> = given.changed(before).into_iter().collect();
    assert_eq!(told, ["greeting".to_owned(), "hello".to_owned()].into());
}

#[test]
fn dropping_the_origin_ends_its_thread() {
    let folder = TempDir::new().unwrap();
    let config = Config::at(OriginName::new("team-folder"), folder.path());
    let origin = FilesOrigin::open(config).unwrap();
    let state = origin.state.clone();

    drop(origin);

    assert!(state.has_changed().is_err(), "the thread held the sender");
}

#[tokio::test]
async fn a_wrong_folder_is_an_error_until_it_is_right() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("greeting.md"), "").unwrap();
    let config = Config::at(OriginName::new("team-folder"), folder.path());
    let origin = FilesOrigin::open(Config { interval: Duration::from_millis(1), ..config });
    let origin = origin.unwrap();

    let error = origin.probe().await.unwrap_err();
    let Error::Malformed { source, .. } = error else { panic!("{error:?}") };
    assert!(source.to_string().starts_with("\"greeting.md\": "), "{source}");

    fs::write(folder.path().join("greeting.md"), "Hello").unwrap();
    origin.changes(Cursor::START).await.unwrap();
    origin.probe().await.unwrap();
}

#[tokio::test]
async fn what_is_known_is_unchanged_until_it_changes() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("greeting.md"), "Hello").unwrap();
    let config = Config::at(OriginName::new("team-folder"), folder.path());
    let origin = FilesOrigin::open(Config { interval: Duration::from_millis(1), ..config });
    let origin = origin.unwrap();
    let (reader, prompt) = (reader("live", Reads::Published), "greeting".parse().unwrap());
    let ask = async |known: Option<Validator>| {
        let known = known.as_ref();
        let question = Question { reader: &reader, prompt: &prompt, compile: None, known };
        origin.prompt(question).await.unwrap()
    };
    let first = ask(None).await;
    let cursor = origin.changes(Cursor::START).await.unwrap().cursor;

    assert_eq!(ask(first.validator.clone()).await.found, Found::Unchanged);

    fs::write(folder.path().join("greeting.md"), "Good morning").unwrap();
    origin.changes(cursor).await.unwrap();
    let told = ask(first.validator.clone()).await;
    assert_ne!(told.found, Found::Unchanged);
    assert_ne!(told.validator, first.validator);
}

/// A link to the folder is moved, again and again, while the folder is looked at.
#[tokio::test]
async fn a_folder_that_is_exchanged_is_seen_whole() {
    let root = TempDir::new().unwrap();
    let current = root.path().join("current");
    let exchange = |number: usize| {
        let (folder, link) = (root.path().join(number.to_string()), root.path().join("next"));
        fs::create_dir(&folder).unwrap();
        for file in ["farewell.md", "greeting.md"] {
            fs::write(folder.join(file), format!("Of {number}")).unwrap();
        }
        symlink(&folder, &link).unwrap();
        fs::rename(link, &current).unwrap();
    };
    exchange(0);
    let config = Config::at(OriginName::new("team-folder"), &current);
    let origin = FilesOrigin::open(Config { interval: Duration::from_millis(1), ..config });
    let origin = origin.unwrap();
    let mut cursor = origin.changes(Cursor::START).await.unwrap().cursor;

    for round in 0..30 {
        (1..=10).for_each(|step| exchange(round * 10 + step));
        cursor = origin.changes(cursor).await.unwrap().cursor;

        let set = origin.set().await.unwrap();
        let contents = set.prompts().map(|kept| {
            let version = kept.version_for(&reader("live", Reads::Published));
            &version.unwrap().content
        });
        let [farewell, greeting] = &*contents.collect::<Vec<_>>() else { panic!("two are served") };
        assert_eq!(farewell, greeting);
    }
}
