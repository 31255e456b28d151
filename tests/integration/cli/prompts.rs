//! `prompts`.

use serde_json::{Value, json};

use crate::harness::process::Folder;

/// `greeting` with two published versions and a draft.
fn with_history() -> Folder {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello {{name}}");
    folder.publish("greeting", "Good day {{name}}");
    folder.write("greeting.md", "# Role\nGood evening {{title}} {{name}}\n");
    folder.run("import greeting.md --project acme").done();
    folder
}

#[test]
fn prompts_are_listed_with_what_is_live() {
    let folder = with_history();
    folder.write("farewell.md", "---\nname: Farewell\n---\nBye");
    folder.run("import farewell.md --project acme").done();

    let table = folder.run("prompts list --project acme").done();
    let json = folder.run("prompts list --project acme --json").done();

    let rows: Vec<Vec<_>> =
        table.lines().map(|line| line.split_whitespace().take(4).collect()).collect();
    assert_eq!(rows[0], ["SLUG", "NAME", "LATEST", "PUBLISHED"]);
    assert_eq!(rows[1], ["farewell", "Farewell", "1", "-"]);
    assert_eq!(rows[2], ["greeting", "greeting", "3", "live=2"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json[0]["published"], json!({}));
    assert_eq!((&json[1]["latest"], &json[1]["published"]), (&json!(3), &json!({"live": 2})));
}

#[test]
fn a_prompt_is_shown_by_slug_or_by_id() {
    let folder = with_history();

    let newest = folder.run("prompts show greeting --project acme").done();
    let first = folder.run("prompts show greeting --project acme --version 1").done();
    let whole = folder.run("prompts show greeting --project acme --json").done();

    assert!(newest.contains("version    3\nvariables  title, name\n\n## Role\nGood evening"));
    assert!(newest.contains("versions   3\npublished  live=2\n"), "{newest}");
    assert!(first.contains("version    1\nvariables  name\n\n## Role\nHello {{name}}\n"));
    assert_eq!(whole, folder.run("export --project acme").done(), "it is the only prompt");
    let whole: Value = serde_json::from_str(&whole).expect("JSON");
    let id = whole["prompts"][0]["id"].as_str().expect("an id");
    assert_eq!(folder.run(&format!("prompts show {id} --project acme")).done(), newest);
}

#[test]
fn publishing_and_rolling_back_say_what_is_live_then() {
    let folder = with_history();
    let run = |line: &str| folder.run(&format!("{line} --project acme")).done();

    assert_eq!(run("prompts publish greeting"), "greeting: version 3 is live in live\n");
    assert_eq!(run("prompts rollback greeting"), "greeting: version 2 is live again in live\n");
    assert_eq!(run("prompts rollback greeting"), "greeting: version 1 is live again in live\n");
    let earliest = folder.run("prompts rollback greeting --project acme").failed(1);
    assert_eq!(earliest, "error: `greeting` has no earlier publication in `live` to go back to\n");
    assert_eq!(
        run("prompts publish greeting --version 2"),
        "greeting: version 2 is live in live\n"
    );
}

#[test]
fn a_deleted_prompt_is_gone() {
    let folder = with_history();

    let deleted = folder.run("prompts delete greeting --project acme").done();

    assert_eq!(deleted, "greeting: deleted\n");
    assert_eq!(folder.run("prompts list --project acme --json").done(), "[]\n");
    let again = folder.run("prompts delete greeting --project acme").failed(1);
    assert_eq!(again, "error: there is no prompt `greeting`\n");
}

#[test]
fn whatever_does_not_exist_is_named() {
    let folder = with_history();

    for (line, message) in [
        ("prompts show nobody", "there is no prompt `nobody`"),
        ("prompts publish nobody", "there is no prompt `nobody`"),
        ("prompts rollback nobody", "there is no prompt `nobody`"),
        ("prompts delete nobody", "there is no prompt `nobody`"),
        ("prompts show greeting --version 4", "`greeting` has no version 4: it has 1 to 3"),
        ("prompts show greeting --version 0", "`greeting` has no version 0: it has 1 to 3"),
        ("prompts publish greeting --version 4", "there is no version `greeting@4`"),
        ("prompts publish greeting --environment test", "there is no environment `test`"),
        ("prompts rollback greeting --environment test", "there is no environment `test`"),
    ] {
        let said = folder.run(&format!("{line} --project acme")).failed(1);
        assert_eq!(said, format!("error: {message}\n"), "{line}");
    }
}

#[test]
fn a_project_never_reaches_anothers_prompts() {
    let folder = with_history();
    folder.run("projects create other --plan free").done();

    let refused = folder.run("prompts show greeting --project other").failed(1);

    assert_eq!(refused, "error: there is no prompt `greeting`\n");
    assert_eq!(folder.run("prompts list --project other --json").done(), "[]\n");
}
