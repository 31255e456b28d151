//! What the command line says of itself, and of mistakes in it.

use rusqlite::Connection;

use crate::harness::process::Folder;

#[test]
fn every_command_explains_itself() {
    let folder = Folder::new();

    let help = folder.run("--help").done();

    let commands = ["serve", "check", "projects", "keys", "import", "export", "prompts", "health"];
    for command in commands.into_iter().chain(["purge", "why", "ready", "bench", "completions"]) {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is missing in:\n{help}");
        let own = folder.run(&format!("{command} --help")).done();
        assert!(own.contains(&format!("Usage: prompt-edge {command}")), "{own}");
    }
}

#[test]
fn the_version_names_the_revision() {
    let version = Folder::new().run("--version").done();

    let expected = format!("prompt-edge {} (revision ", env!("CARGO_PKG_VERSION"));
    let revision = version.trim_end().strip_prefix(&expected).and_then(|v| v.strip_suffix(')'));
    assert!(revision.is_some_and(|revision| revision.len() >= 7), "{version}");
}

#[test]
fn a_mistake_on_the_command_line_is_64() {
    let folder = Folder::with_project();

    for line in [
        "",
        "frobnicate",
        "serve --frobnicate",
        "projects",
        "projects create",
        "projects create acme",
        "keys create --project acme",
        "keys create --project acme --environment test",
        "keys revoke seven",
        "import --project acme",
        "import x.md --project acme --environment dev",
        "export",
        "prompts show greeting",
        "prompts show Not_A_Slug --project acme",
        "prompts show greeting --project acme --version 1 --json",
        "prompts publish greeting --project acme --version one",
        "completions tcsh",
        "health --admin-listen",
        "purge",
        "purge --prompt greeting",
        "purge --all --prompt greeting",
        "purge --all --origin promptot",
        "purge --project acme --origin promptot",
        "why --project acme --prompt greeting",
        "bench",
        "bench http://127.0.0.1:1/x --rate fast",
    ] {
        let ended = folder.run(line);
        assert_eq!(ended.stdout, "", "`{line}` has no result");
        let message = ended.failed(64);
        assert!(message.contains("Usage:") || message.contains("--help"), "`{line}`: {message}");
        assert!(!message.contains('\u{1b}'), "colours are for terminals: {message:?}");
    }
}

#[test]
fn a_wrong_duration_is_refused_with_what_would_be_right() {
    let folder = Folder::with_project();

    for duration in ["90", "1h30m", "-1d", "forever", "1.5d"] {
        let line = format!("keys create --project acme --environment live --expires={duration}");
        let message = folder.run(&line).failed(64);
        let remedy = "expected a whole number and one of ms, s, m, h, d";
        assert!(message.contains(remedy), "{duration}: {message}");
    }
    assert_eq!(folder.run("keys list --json").done(), "[]\n", "no key was made");
}

#[test]
fn completions_know_every_command() {
    let folder = Folder::new();

    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = folder.run(&format!("completions {shell}")).done();
        for word in ["prompt-edge", "serve", "rollback", "admin-listen"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
}

#[test]
fn a_store_of_a_newer_release_is_refused_by_every_command() {
    let folder = Folder::with_project();
    let connection = Connection::open(folder.store()).expect("the file opens");
    connection.pragma_update(None, "user_version", 99).expect("a pragma");
    drop(connection);

    for line in ["projects list", "serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0"] {
        let message = folder.run(line).failed(1);
        let expected = "prompt-edge.db has schema version 99, this binary knows up to 3: upgrade \
                        prompt-edge, or restore a backup from before the upgrade\n";
        assert!(message.starts_with("error: ") && message.ends_with(expected), "{line}: {message}");
    }
}

#[test]
fn a_store_that_cannot_be_opened_is_named() {
    let folder = Folder::new();
    folder.write("notes.txt", "no database, but long enough to be looked at. ".repeat(50));

    let missing = folder.run("projects list --store missing/store.db").failed(1);
    let other = folder.run("projects list --store notes.txt").failed(1);

    assert!(missing.contains("missing/store.db cannot be opened: "), "{missing}");
    assert!(other.contains("notes.txt is not a database: name another file"), "{other}");
}

/// `prompt-edge keys list | head -1` is no failure.
#[test]
fn a_reader_that_has_left_is_no_failure() {
    let folder = Folder::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);

    let status = folder.command("completions bash").stdout(writer).status();

    assert!(status.expect("the binary can be run").success());
}
