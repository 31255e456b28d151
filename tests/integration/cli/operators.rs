//! `purge` and `why` ask the server that runs, and say what it said.

use serde_json::{Value, json};

use crate::harness::process::Folder;

#[test]
fn purge_says_how_much_was_purged() {
    let folder = Folder::with_project();
    let server = folder.serve("");
    let admin = server.admin;

    for scope in [
        "--all",
        "--all --hard",
        "--project acme",
        "--project acme --prompt greeting",
        "--project acme --prompt greeting --hard",
    ] {
        let said = folder.run(&format!("purge {scope} --admin-listen {admin}")).done();
        assert_eq!(said, "purged 0\n", "nothing was asked for yet: {scope}");
    }
    let short = folder.run(&format!("purge --all --admin {admin}"));
    assert_eq!(short.done(), "purged 0\n");
}

#[test]
fn purge_says_what_there_is_not() {
    let folder = Folder::with_project();
    let server = folder.serve("");
    let purge = |scope: &str| folder.run(&format!("purge {scope} --admin-listen {}", server.admin));

    let project = purge("--project nobody").failed(1);
    let origin = purge("--origin nowhere").failed(1);

    assert!(project.ends_with(" answered 404: there is no project `nobody`\n"), "{project}");
    assert!(origin.ends_with(" answered 404: there is no origin `nowhere`\n"), "{origin}");
}

#[test]
fn why_prints_the_page() {
    let folder = Folder::with_project();
    let server = folder.serve("");
    let why = |environment: &str| {
        let scope = format!("--project acme --prompt movies/critic --environment {environment}");
        folder.run(&format!("why {scope} --admin-listen {}", server.admin))
    };

    let page: Value = serde_json::from_str(&why("live").done()).expect("JSON");
    let missing = why("nowhere").failed(1);

    let expected = json!({
        "project": "acme", "environment": "live", "prompt": "movies/critic", "records": [],
    });
    assert_eq!(page, expected);
    assert!(missing.ends_with(" answered 404: there is no environment `nowhere`\n"), "{missing}");
}

#[test]
fn without_a_server_nothing_is_purged() {
    let folder = Folder::with_project();
    let server = folder.serve("");
    let admin = server.admin;
    drop(server);

    for line in ["purge --all", "why --project acme --prompt greeting --environment live"] {
        let said = folder.run(&format!("{line} --admin-listen {admin}")).failed(1);
        assert!(said.starts_with(&format!("error: http://{admin} did not answer: ")), "{said}");
    }
}
