//! Where settings come from, `check`, and the probes.

use crate::harness::process::Folder;

#[test]
fn a_configuration_without_problems_is_said_to_have_none() {
    let folder = Folder::new();

    assert_eq!(folder.run("check").done(), "defaults: no problems\n");
    folder.write("config.toml", include_str!("../../../config.toml"));
    assert_eq!(folder.run("check").done(), "config.toml: no problems\n");
    folder.write("other.toml", "[log]\nlevel = \"debug\"\n");
    assert_eq!(folder.run("check --config other.toml").done(), "other.toml: no problems\n");
}

#[test]
fn a_check_names_every_problem_with_its_place_at_once() {
    let folder = Folder::new();
    folder.write(
        "edge.toml",
        "[server]\nlisten = \"here\"\nheder_timeout = \"1s\"\n\n[cache]\nanswers = 5\n",
    );
    let variables = [("PROMPT_EDGE__LOG__LEVEL", "loud"), ("PROMPT_EDGE__FOO", "s3cret")];

    let said = folder.run_with("check --config edge.toml", &variables).failed(78);

    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], "configuration: 5 problems");
    for (line, start) in lines[1..].iter().zip([
        "  edge.toml:2              server.listen = \"here\"",
        "  edge.toml:3              server.heder_timeout is unknown",
        "  edge.toml:6              cache.answers = 5",
        "  PROMPT_EDGE__FOO         foo is unknown",
        "  PROMPT_EDGE__LOG__LEVEL  log.level = loud",
    ]) {
        assert!(line.starts_with(start), "{start} expected in:\n{said}");
    }
    assert!(!said.contains("s3cret"), "the value of an unknown name may be a secret: {said}");
}

#[test]
fn a_check_finds_the_secrets_of_origins_and_shows_none() {
    let folder = Folder::new();
    let origin = |key: &str| {
        let url = "https://api.promptot.com/api/v1";
        format!(
            "[[origins]]\nname = \"a\"\nkind = \"promptot\"\nbase_url = \"{url}\"\nkey = {key}\n"
        )
    };
    let secret = [("KEY", "s3cret")];

    folder.write("config.toml", origin("{ env = \"KEY\" }"));
    assert_eq!(folder.run_with("check", &secret).done(), "config.toml: no problems\n");
    let missing = folder.run("check").failed(78);
    assert!(missing.contains("expected the variable KEY to be set and not empty"), "{missing}");

    folder.write("config.toml", origin("\"s3cret\""));
    let inline = folder.run("check").failed(78);
    assert!(inline.contains("origins.a.key = …   expected { env = \"NAME\" }"), "{inline}");
    assert!(!inline.contains("s3cret"), "{inline}");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let folder = Folder::new();
    let named = [("PROMPT_EDGE__CONFIG", "missing.toml")];

    for said in [
        folder.run("check --config missing.toml").failed(78),
        folder.run_with("check", &named).failed(78),
        folder.run("serve --config missing.toml").failed(78),
        folder.run("projects list --config missing.toml").failed(78),
    ] {
        assert!(
            said.starts_with("missing.toml: 1 problem\n  missing.toml  cannot be read: "),
            "{said}"
        );
    }
}

#[test]
fn every_command_refuses_a_wrong_configuration() {
    let folder = Folder::new();
    folder.write("config.toml", "[store]\nurl = \"postgres://user:s3cret@host/db\"\n");

    for line in ["serve", "projects list", "keys list", "health", "ready", "check"] {
        let said = folder.run(line).failed(78);
        assert!(said.starts_with("config.toml: 1 problem\n  config.toml:2  store.url"), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let folder = Folder::new();
    folder.write("config.toml", "[store]\nurl = \"file.db\"\n");
    folder.write("other.toml", "[store]\nurl = \"other.db\"\n");
    let variable = [("PROMPT_EDGE__STORE__URL", "sqlite:variable.db")];
    let config = [("PROMPT_EDGE__CONFIG", "other.toml")];

    for (line, variables, store) in [
        ("projects list --store flag.db", &variable[..], "flag.db"),
        ("projects list", &variable[..], "variable.db"),
        ("projects list --config other.toml", &config[..], "other.db"),
        ("projects list", &[], "file.db"),
    ] {
        assert!(!folder.path(store).exists());
        folder.run_with(line, variables).done();
        assert!(folder.path(store).exists(), "`{line}` should use {store}");
    }
    assert!(!folder.store().exists(), "nobody asked for the default");
}

#[test]
fn probes_tell_a_running_server_from_a_stopped_one() {
    let folder = Folder::with_project();
    let server = folder.serve("");
    let admin = server.admin;
    let probe = |command: &str| folder.run(&format!("{command} --admin-listen {admin}"));

    assert_eq!(probe("health").done(), "ok\n");
    let variable = [("PROMPT_EDGE__ADMIN__LISTEN", &*admin.to_string())];
    assert_eq!(folder.run_with("health", &variable).done(), "ok\n", "by the environment too");

    server.kill();
    for (command, path) in [("health", "livez"), ("ready", "readyz")] {
        let said = probe(command).failed(1);
        let expected = format!("error: http://{admin}/{path} did not answer: ");
        assert!(said.starts_with(&expected), "{said}");
    }
}
