//! `keys`.

use serde_json::{Value, json};

use crate::harness::process::Folder;

#[test]
fn the_token_alone_is_written_to_standard_output() {
    let folder = Folder::with_project();

    let line = "keys create --project acme --environment live --name ci --expires 90d";
    let made = folder.run(line);

    let token = made.stdout.strip_suffix('\n').expect("a line");
    let random = token.strip_prefix("pk_live_").expect("the kind of the key");
    assert!(random.len() == 43 && random.bytes().all(|b| b.is_ascii_graphic()), "{token}");
    assert!(made.stderr.starts_with("key 1 for project \"acme\" (live, until 2"), "{made:?}");
    assert!(!made.stderr.contains(random), "a token is not a message");
    made.done();
    assert!(folder.key("dev").starts_with("pk_dev_"));
}

#[test]
fn a_list_never_shows_a_secret() {
    let folder = Folder::with_project();
    let tokens = [folder.key("live"), folder.key("dev")];

    let table = folder.run("keys list").done();
    let json = folder.run("keys list --json").done();
    let of_project = folder.run("keys list --project acme --json").done();

    let keys: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json, of_project);
    for (index, token) in tokens.iter().enumerate() {
        let secret = &token[token.len() - 39..];
        assert!(!table.contains(secret) && !json.contains(secret), "{table}{json}");
        let prefix = keys[index]["prefix"].as_str().expect("a text");
        assert!(token.starts_with(prefix) && prefix.len() <= token.len() - 39, "{prefix}");
        assert!(table.contains(prefix), "{table}");
    }
    let without = ["prefix", "created_at"];
    let mut first = keys[0].as_object().expect("an object").clone();
    first.retain(|name, _| !without.contains(&name.as_str()));
    let expected = json!({
        "id": 1, "project": "acme", "environment": "live", "name": "", "scopes": ["deliver"],
        "status": "valid", "last_used_at": null, "expires_at": null
    });
    assert_eq!(Value::Object(first), expected);
}

#[test]
fn a_key_allows_what_it_is_issued_for() {
    let folder = Folder::with_project();
    for scopes in ["", "--scope edge", "--scope deliver --scope edge --scope edge"] {
        let line = format!("keys create --project acme --environment live {scopes}");
        folder.run(&line).done();
    }

    let table = folder.run("keys list").done();
    let keys: Value = serde_json::from_str(&folder.run("keys list --json").done()).expect("JSON");

    let scopes: Vec<_> = (0..3).map(|index| keys[index]["scopes"].clone()).collect();
    assert_eq!(scopes, [json!(["deliver"]), json!(["edge"]), json!(["deliver", "edge"])]);
    assert!(table.contains(" deliver edge "), "{table}");
    let unknown = folder.run("keys create --project acme --environment live --scope write");
    assert!(unknown.failed(64).contains("possible values: deliver, edge"));
}

#[test]
fn the_file_never_holds_a_secret() {
    let folder = Folder::with_project();
    let token = folder.key("live");

    let file = std::fs::read(folder.store()).expect("the store is a file");

    let secret = &token.as_bytes()[token.len() - 39..];
    assert!(!file.windows(secret.len()).any(|window| window == secret));
}

#[test]
fn a_key_ends_by_time_or_by_hand() {
    let folder = Folder::with_project();
    folder.run("keys create --project acme --environment live --expires 1ms").done();
    folder.run("keys create --project acme --environment live --expires 90d").done();
    folder.run("keys create --project acme --environment dev").done();

    assert_eq!(folder.run("keys revoke 3").done(), "key 3 revoked\n");

    let keys: Value = serde_json::from_str(&folder.run("keys list --json").done()).expect("JSON");
    let standing: Vec<_> = (0..3).map(|index| keys[index]["status"].clone()).collect();
    assert_eq!(standing, ["expired", "valid", "revoked"]);
}

#[test]
fn a_key_that_does_not_exist_cannot_be_revoked() {
    let refused = Folder::with_project().run("keys revoke 7").failed(1);

    assert_eq!(refused, "error: there is no key `7`\n");
}

#[test]
fn a_table_shows_control_characters_as_what_they_are() {
    let folder = Folder::with_project();
    let name = "two\nlines\u{1b}[31m";
    let mut create = folder.command("keys create --project acme --environment live --name");
    assert!(create.arg(name).output().expect("the binary can be run").status.success());

    let table = folder.run("keys list").done();
    let json = folder.run("keys list --json").done();

    assert_eq!(table.lines().count(), 2, "{table:?}");
    assert!(table.contains(r"two\nlines\u{1b}[31m"), "{table:?}");
    let keys: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(keys[0]["name"], name, "programs are given it unchanged");
}
