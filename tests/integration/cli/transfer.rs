//! `import` and `export`.

use serde_json::{Value, json};

use crate::harness::process::{Folder, names_in};

/// What an import with `--json` did: outcome, slug and version of each prompt.
fn outcomes(json: &str) -> Vec<(String, String, u64)> {
    let rows: Vec<Value> = serde_json::from_str(json).expect("a JSON array");
    let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let version = |row: &Value| row["version"].as_u64().expect("a number");
    rows.iter().map(|row| (text(row, "outcome"), text(row, "slug"), version(row))).collect()
}

fn outcome(word: &str, slug: &str, version: u64) -> (String, String, u64) {
    (word.to_owned(), slug.to_owned(), version)
}

fn bundle(prompts: &Value) -> String {
    json!({"format": "prompt-edge-bundle", "version": 1, "prompts": prompts}).to_string()
}

#[test]
fn files_folders_and_bundles_are_imported() {
    let folder = Folder::with_project();
    folder.write("one.md", "One");
    folder.write("all/b.markdown", "B");
    folder.write("all/deep/er/c.md", "C");
    folder.write("all/README.txt", "passed over in a folder");
    let block =
        json!([{"number": 1, "blocks": [{"type": "role", "title": "Role", "content": "x"}]}]);
    let prompts = json!([{"slug": "d", "versions": block}, {"slug": "e", "versions": block}]);
    folder.write("all/more.json", bundle(&prompts));

    let imported = folder.run("import one.md all --project acme --json");

    assert_eq!(
        imported.stderr,
        "4 of 4 files imported: 5 prompts created, 0 drafted, 0 unchanged\n"
    );
    let created = ["one", "b", "c", "d", "e"].map(|slug| outcome("created", slug, 1));
    assert_eq!(outcomes(&imported.done()), created);
}

#[test]
fn a_bad_file_is_named_and_the_good_ones_are_imported() {
    let folder = Folder::with_project();
    folder.write("all/a.md", "A");
    folder.write("all/bad.md", "---\nmodle_config: {}\n---\nB");
    let good = json!([{"number": 1, "blocks": []}]);
    let half =
        json!([{"slug": "good-half", "versions": good}, {"slug": "bad-half", "versions": []}]);
    folder.write("all/half.json", bundle(&half));
    folder.write("all/latin.md", b"caf\xE9");
    folder.write("all/torn.json", "{\"format\":");
    folder.write("all/z.md", "Z");
    folder.write("notes.txt", "named, hence tried");

    let imported = folder.run("import all notes.txt missing.md --project acme --json");

    let created = ["a", "z"].map(|slug| outcome("created", slug, 1));
    assert_eq!(outcomes(&imported.stdout), created);
    let said = imported.failed(1);
    for reason in [
        "all/bad.md: front matter: modle_config is not a known field",
        "all/half.json: prompts[1].versions",
        "all/latin.md: not UTF-8 from byte 3 on: save it as UTF-8",
        "all/torn.json: not JSON: ",
        "notes.txt: expected a name that ends in .md, .markdown or .json",
        "missing.md: No such file or directory",
        "2 of 8 files imported: 2 prompts created, 0 drafted, 0 unchanged",
    ] {
        assert!(said.lines().any(|line| line.starts_with(reason)), "{reason} is not in:\n{said}");
    }
    assert_eq!(said.lines().count(), 7, "one line for each: {said}");
    let stored = folder.run("prompts list --project acme").done();
    assert!(!stored.contains("half"), "nothing of a bad file is stored: {stored}");
}

#[test]
fn what_is_unchanged_makes_no_version_and_what_changed_makes_the_next() {
    let folder = Folder::with_project();
    let import = || outcomes(&folder.run("import greeting.md --project acme --json").done());
    folder.write("greeting.md", "Hello");

    assert_eq!(import(), [outcome("created", "greeting", 1)]);
    assert_eq!(import(), [outcome("unchanged", "greeting", 1)]);
    folder.write("greeting.md", "Good day");
    assert_eq!(import(), [outcome("drafted", "greeting", 2)]);
    assert_eq!(import(), [outcome("unchanged", "greeting", 2)]);

    let listed = folder.run("prompts list --project acme --json").done();
    assert!(listed.contains("\"published\": {}"), "an import publishes nothing unasked: {listed}");
}

#[test]
fn an_import_publishes_where_it_is_told_to() {
    let folder = Folder::with_project();
    folder.write("greeting.md", "Hello");

    let missing = "import greeting.md --project acme --publish --environment test";
    let refused = folder.run(missing).failed(1);
    assert!(refused.starts_with("greeting.md: there is no environment `test`\n"), "{refused}");
    assert_eq!(folder.run("prompts list --project acme --json").done(), "[]\n");

    let table = folder.run("import greeting.md --project acme --publish").done();
    let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[1], ["created", "greeting", "1", "greeting.md"]);
    let shown = folder.run("prompts show greeting --project acme").done();
    assert!(shown.contains("published  live=1\n"), "{shown}");
}

#[test]
fn two_files_with_one_slug_are_a_mistake_and_not_a_history() {
    let folder = Folder::with_project();
    folder.write("all/a.md", "---\nslug: greeting\n---\nHello");
    folder.write("all/b.md", "---\nslug: greeting\n---\nGood day");

    let said = folder.run("import all --project acme").failed(1);

    let message =
        "all/b.md: the slug `greeting` came from all/a.md already: give one of them another";
    assert_eq!(said.lines().next(), Some(message));
    let shown = folder.run("prompts show greeting --project acme").done();
    assert!(shown.contains("versions   1\n") && shown.ends_with("Hello\n"), "{shown}");
}

/// A history with everything in it: publications, one taken back, a draft, a label.
#[test]
fn an_export_of_what_was_imported_is_the_same_to_the_byte() {
    let (from, to) = (Folder::with_project(), Folder::with_project());
    from.publish("greeting", "Hello {{name}}");
    from.publish("greeting", "Good day {{name}}");
    from.publish("greeting", "Good evening {{name}}");
    from.run("prompts rollback greeting --project acme").done();
    from.write(
        "many.md",
        "---\ntags: [a, \"é\"]\nmodel_config: {temperature: 0.70}\n---\n# Role\nx",
    );
    from.run("import many.md --project acme").done();

    let wrote = from.run("export --project acme --out bundle.json");
    let first = from.read("bundle.json");
    assert_eq!(wrote.stderr, "2 prompts written to bundle.json\n");
    assert_eq!(wrote.done(), "");

    to.write("bundle.json", &first);
    to.run("import bundle.json --project acme").done();

    assert_eq!(to.run("export --project acme").done(), first);
    assert_eq!(from.run("export --project acme").done(), first, "on standard output too");
    let again = to.run("import bundle.json --project acme --json").done();
    assert!(outcomes(&again).iter().all(|(word, ..)| word == "unchanged"), "{again}");
}

#[test]
fn an_export_is_written_whole_or_not_at_all() {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello");
    folder.write("bundle.json", "what was there before");
    let before = names_in(&folder.path("."));

    folder.run("export --project acme --out missing/bundle.json").failed(1);
    folder.run("export --project nobody --out bundle.json").failed(1);
    assert_eq!(folder.read("bundle.json"), "what was there before");

    folder.run("export --project acme --out bundle.json").done();
    assert!(folder.read("bundle.json").ends_with("}\n"));
    assert_eq!(names_in(&folder.path(".")).len(), before.len(), "no temporary file stays");
}
