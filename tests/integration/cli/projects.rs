//! `projects`.

use serde_json::Value;

use crate::harness::process::Folder;

#[test]
fn a_project_is_made_once() {
    let folder = Folder::new();

    let made = folder.run("projects create acme --plan free").done();
    let again = folder.run("projects create acme --plan pro").failed(1);

    assert_eq!(made, "project \"acme\" (plan free)\n");
    assert_eq!(again, "error: there is a project `acme` already\n");
}

#[test]
fn a_plan_that_does_not_exist_is_refused_with_those_that_do() {
    let folder = Folder::new();

    let refused = folder.run("projects create acme --plan gold").failed(1);

    assert_eq!(refused, "error: plan `gold`: the plans are enterprise, free, pro\n");
    assert_eq!(folder.run("projects list --json").done(), "[]\n", "nothing was made");
}

#[test]
fn projects_are_listed_for_people_and_for_programs() {
    let folder = Folder::new();
    folder.run("projects create zebra --plan enterprise").done();
    folder.run("projects create acme --plan free").done();

    let table = folder.run("projects list").done();
    let json = folder.run("projects list --json").done();

    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("NAME") && lines[0].ends_with("CREATED AT"), "{table}");
    assert!(lines[1].starts_with("acme") && lines[2].starts_with("zebra"), "{table}");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json[0]["name"], &json[0]["plan"]), (&"acme".into(), &"free".into()));
    assert_eq!((&json[1]["name"], &json[1]["plan"]), (&"zebra".into(), &"enterprise".into()));
    assert_eq!(json[0]["id"].as_str().map(str::len), Some(36), "an id is a UUID");
}

/// A configuration with one origin that needs nothing else.
const FOLDER: &str = "[[origins]]\nname = \"folder\"\nkind = \"files\"\npath = \"prompts\"\n";

#[test]
fn a_project_takes_its_prompts_from_the_origin_it_names() {
    let folder = Folder::new();
    folder.write("config.toml", FOLDER);
    let listed = || {
        let json = folder.run("projects list --json").done();
        let json: Value = serde_json::from_str(&json).expect("JSON");
        json[0]["origin"].as_str().expect("a text").to_owned()
    };

    let made = folder.run("projects create acme --plan free --origin folder").done();
    assert_eq!((&*made, &*listed()), ("project \"acme\" (plan free, origin folder)\n", "folder"));

    let moved = folder.run("projects set-origin acme store").done();
    assert_eq!((&*moved, &*listed()), ("project \"acme\" (origin store)\n", "store"));

    let moved = folder.run("projects set-origin acme folder").done();
    assert_eq!((&*moved, &*listed()), ("project \"acme\" (origin folder)\n", "folder"));
}

#[test]
fn an_origin_that_is_not_configured_is_refused_with_those_that_are() {
    let folder = Folder::with_project();
    folder.write("config.toml", FOLDER);

    for line in
        ["projects create other --plan free --origin promptot", "projects set-origin acme promptot"]
    {
        let refused = folder.run(line).failed(1);
        assert_eq!(refused, "error: origin `promptot`: the origins are store, folder\n", "{line}");
    }
}

#[test]
fn a_project_that_does_not_exist_is_named() {
    let folder = Folder::new();
    folder.write("greeting.md", "Hello");

    for line in [
        "projects set-origin nobody store",
        "keys create --project nobody --environment live",
        "keys list --project nobody",
        "import greeting.md --project nobody",
        "export --project nobody",
        "prompts list --project nobody",
        "prompts show greeting --project nobody",
        "prompts publish greeting --project nobody",
        "prompts rollback greeting --project nobody",
        "prompts delete greeting --project nobody",
    ] {
        let message = folder.run(line).failed(1);
        assert_eq!(message, "error: there is no project `nobody`\n", "{line}");
    }
}
