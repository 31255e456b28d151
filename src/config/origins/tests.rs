//! What an operator can rely on: examples that load, every mistake in one run, and no secret shown.

use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::config::reader::Reader;
use crate::config::{Config, File, Problems, Sources};
use crate::delivery::freshness::Exception;
use crate::hooks::Scheme;

use super::*;

const SHIPPED: &str = include_str!("../../../config.toml");

/// What must never be printed, wherever it was put.
const SECRET: &str = "hunter2";

/// A file, in an environment that has the secrets of the examples.
fn file(text: &str) -> Sources {
    let names = ["PROMPTOT_KEY", "PROMPTOT_DRAFT_KEY", "PROMPTOT_HOOK"];
    let pair = [("LANGFUSE_KEY".into(), format!("public:{SECRET}").into())];
    Sources {
        file: Some(File { name: "config.toml".into(), text: text.to_owned() }),
        environment: names
            .map(|name| (name.into(), SECRET.into()))
            .into_iter()
            .chain(pair)
            .collect(),
        flags: Vec::new(),
    }
}

fn problems(sources: &Sources) -> Vec<String> {
    match Config::load(sources) {
        Ok(_) => Vec::new(),
        Err(Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn origins(text: &str) -> Vec<Origin> {
    Config::load(&file(text)).unwrap().origins
}

/// An entry for PromptOT on its first four lines, and what else it says.
fn promptot(more: &str) -> String {
    format!(
        "[[origins]]\nname = \"a\"\nkind = \"promptot\"\nbase_url = \"https://host/v1\"\n{more}"
    )
}

const KEY: &str = "key = { env = \"PROMPTOT_KEY\" }";

/// The shipped file with its examples made real, and a folder with the files they name.
fn examples() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, secret) in [("far", SECRET), ("snapshot", &"0f".repeat(32))] {
        fs::write(folder.path().join(name), format!("{secret}\n")).unwrap();
    }
    let is_example = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line != "#";
    let lines = SHIPPED.lines().map(|line| if is_example(line) { &line[1..] } else { line });
    let text = lines.collect::<Vec<_>>().join("\n");
    let text = text.replace("/run/secrets", folder.path().to_str().unwrap());
    // With listeners of its own a file has no other.
    let text = text.replacen("\nlisten = ", "\n# listen = ", 1);
    (folder, text)
}

#[test]
fn the_examples_of_the_shipped_file_are_origins_of_every_kind() {
    let (_folder, text) = examples();

    let config = Config::load(&file(&text)).unwrap();

    let names: Vec<_> = config.origins.iter().map(|origin| origin.name.as_str()).collect();
    assert_eq!(names, ["promptot", "far", "langfuse", "folder", "other"]);
    assert_eq!(config.snapshot.key.unwrap().expose(), &[0x0f; 32]);
    let [promptot, far, langfuse, folder, other] = &*config.origins else { panic!("five") };
    assert!(matches!(&promptot.kind, Kind::PromptOt(remote) if remote.client.proxy.is_some()));
    assert!(matches!(&far.kind, Kind::PromptEdge(remote) if remote.client.proxy.is_none()));
    let Kind::Langfuse { labels, pins, .. } = &langfuse.kind else { panic!("{langfuse:?}") };
    assert_eq!((&*labels.live, &*labels.draft), ("production", "latest"));
    assert_eq!(*pins, [("support/greeting".to_owned(), 3)].into());
    assert_eq!(folder.kind, Kind::Files { path: "prompts".into() });
    assert_eq!(other.kind, Kind::Sqlite { path: "/var/lib/prompt-edge/other.db".into() });
}

/// A path with the same place for every origin, environment and prompt.
fn of_any(path: &str) -> Option<String> {
    let (_, key) = path.strip_prefix("origins.")?.split_once('.')?;
    let ends = [("environments.", "environments.*."), ("prompts.", "prompts.*.")];
    let end = ends.iter().find(|(table, _)| key.starts_with(table));
    let last = key.rsplit('.').next().unwrap();
    Some(end.map_or(key.to_owned(), |(_, any)| format!("{any}{last}")))
}

#[test]
fn the_examples_of_the_shipped_file_have_every_key_of_an_origin() {
    let (_folder, text) = examples();
    let sources = file(&text);
    let mut reader = Reader::new(&sources);

    entry::all(&mut reader, Duration::ZERO, false);

    let of = |paths: Vec<&str>| paths.into_iter().filter_map(of_any).collect::<BTreeSet<_>>();
    let set = of(reader.asked().filter(|path| reader.is_set(path)).collect());
    let all = of(reader.asked().collect());
    let missing: Vec<_> = all.difference(&set).collect();
    // Where a secret is in a variable, it is in no file.
    assert_eq!(missing, ["draft_key.file", "hook.secret.file"]);
}

/// The comment above one of a key's examples says what the key takes, in the words a problem would.
#[test]
fn the_examples_of_the_shipped_file_tell_every_range() {
    let (_folder, text) = examples();
    let sources = file(&text);
    let mut reader = Reader::new(&sources);
    entry::all(&mut reader, Duration::ZERO, false);
    let lines: Vec<_> = text.lines().collect();
    let comment = |at: usize| {
        let above = lines[..at].iter().rev().take_while(|text| text.starts_with('#'));
        let mut comment: Vec<_> = above.map(|text| text.trim_start_matches(['#', ' '])).collect();
        comment.reverse();
        comment.join(" ").to_lowercase()
    };

    for key in reader.finish().0 {
        let name = format!("{} = ", key.path.rsplit('.').next().unwrap());
        let mut examples = (0..lines.len()).filter(|at| lines[*at].contains(&name));
        let is_told = examples.any(|at| comment(at).contains(&key.form.to_lowercase()));
        assert!(is_told, "{} takes {}", key.path, key.form);
    }
}

#[test]
fn the_readme_lists_every_key_of_an_origin() {
    let (_folder, text) = examples();
    let sources = file(&text);
    let mut reader = Reader::new(&sources);
    entry::all(&mut reader, Duration::ZERO, false);
    let row = |path: &str| {
        let key = of_any(path)?;
        let (row, _) = key.split_once('.').unwrap_or((&key, ""));
        let is_named = matches!(row, "environments" | "prompts");
        Some(if is_named { format!("{row}.NAME") } else { row.to_owned() })
    };

    let (_, section) = include_str!("../../../README.md").split_once("\n### Origins\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: BTreeSet<_> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();

    assert_eq!(rows, reader.asked().filter_map(row).collect());
}

#[test]
fn an_entry_is_the_defaults_and_what_it_says() {
    let text =
        promptot(&format!("{KEY}\nrescue = \"1h\"\n[origins.environments.dev]\nfresh = \"1s\"\n"));

    let origins = origins(&text);

    let key = Credential::new(SECRET);
    let of_dev = Exception { fresh: Some(Duration::from_secs(1)), ..Exception::default() };
    let mut freshness =
        Freshness { environments: [("dev".to_owned(), of_dev)].into(), ..Freshness::default() };
    freshness.windows.rescue = Duration::from_secs(3600);
    let remote = Remote {
        base_url: "https://host/v1".parse().unwrap(),
        keys: Keys::Mapped { key, draft_key: None },
        client: client::Config::default(),
    };
    let expected = Origin {
        name: OriginName::new("a"),
        freshness,
        guard: guard::Config { deadline: remote.client.total_timeout, ..guard::Config::default() },
        kind: Kind::PromptOt(remote),
        hook: None,
    };
    assert_eq!(origins, [expected]);
}

#[test]
fn every_problem_of_every_entry_is_reported_in_one_run() {
    let text = "[[origins]]
name = \"Bad Name\"
kind = \"promptot\"
base_ulr = \"https://host\"
fresh = 30

[[origins]]
name = \"b\"
kind = \"postgres\"
max_body = \"1 GiB\"

[origins.prompts.\"folder/name\"]
stale = \"2y\"
fersh = \"1s\"

[[origins]]
name = \"c\"
kind = \"files\"

[origins.environments]
live = 5
";

    assert_eq!(
        problems(&file(text)),
        [
            "config.toml:1  origins[0].base_url is missing   expected an absolute URL, \
             https://host/path, without user, query and fragment",
            "config.toml:1  origins[0].key is missing   \
             expected { env = \"NAME\" } or { file = \"path\" }, where the secret is",
            "config.toml:2  origins[0].name = \"Bad Name\"   expected a name of 1 to 32 lower-case \
             letters, digits, dashes and underscores, other than store",
            "config.toml:4  origins[0].base_ulr is unknown   did you mean origins[0].base_url?",
            "config.toml:5  origins[0].fresh = 30   expected a duration from 0s to 365d: \
             a whole number and one of ms, s, m, h, d, such as \"30s\"",
            "config.toml:9  origins.b.kind = \"postgres\"   \
             expected one of promptot, prompt-edge, langfuse, files, sqlite",
            "config.toml:10  origins.b.max_body = \"1 GiB\"   expected a size from 1 KiB to 64 MiB",
            "config.toml:13  origins.b.prompts.\"folder/name\".stale = \"2y\"   expected a duration \
             from 0s to 365d: a whole number and one of ms, s, m, h, d, such as \"5m\"",
            "config.toml:14  origins.b.prompts.\"folder/name\".fersh is unknown   \
             did you mean origins.b.prompts.\"folder/name\".fresh?",
            "config.toml:16  origins.c.path is missing   expected a path",
            "config.toml:21  origins.c.environments.live = …   \
             expected a table: [origins.c.environments.live] and its keys below",
        ]
    );
}

#[test]
fn a_key_of_another_kind_is_refused_with_the_kinds_it_is_for() {
    let text = promptot(&format!(
        "{KEY}\npath = \"p\"\npoll_interval = \"1s\"\n[origins.prompts.a]\nversion = 3\n\
         [[origins]]\nname = \"b\"\nkind = \"sqlite\"\npath = \"p\"\nkey = \"{SECRET}\"\n"
    ));

    assert_eq!(
        problems(&file(&text)),
        [
            "config.toml:6  origins.a.path is out of place   \
             expected in an origin of kind files, sqlite",
            "config.toml:7  origins.a.poll_interval is out of place   \
             expected in an origin of kind langfuse",
            "config.toml:9  origins.a.prompts.a.version is out of place   \
             expected in an origin of kind langfuse",
            "config.toml:14  origins.b.key is out of place   \
             expected in an origin of kind promptot, prompt-edge, langfuse",
        ]
    );
}

#[test]
fn a_name_is_given_once_and_never_to_the_store() {
    let files =
        |name: &str| format!("[[origins]]\nname = \"{name}\"\nkind = \"files\"\npath = \"p\"\n");

    assert_eq!(
        problems(&file(&[files("a"), files("a")].concat())),
        ["config.toml:6  origins[1].name = a   expected a name that no origin before it has"]
    );
    for bad in ["store", "", "A", "a b", "a.b", &"x".repeat(33)] {
        assert_eq!(problems(&file(&files(bad))).len(), 1, "{bad:?}");
    }
    for good in ["a", "0", "a-b_c", &"x".repeat(32)] {
        assert_eq!(origins(&files(good))[0].name.as_str(), good);
    }
}

#[test]
fn mapped_needs_a_key_and_pass_through_refuses_one() {
    let pass_through = "keys = \"pass-through\"\n";

    assert_eq!(
        problems(&file(&promptot(""))),
        ["config.toml:1  origins.a.key is missing   \
          expected { env = \"NAME\" } or { file = \"path\" }, where the secret is"]
    );
    assert_eq!(
        problems(&file(&promptot(&format!("{pass_through}{KEY}\ndraft_{KEY}\n")))),
        [
            "config.toml:6  origins.a.key is out of place   expected only with keys = \"mapped\"",
            "config.toml:7  origins.a.draft_key is out of place   \
             expected only with keys = \"mapped\"",
        ]
    );
    let origins = origins(&promptot(pass_through));
    assert_eq!(origins[0].remote().unwrap().keys, Keys::PassThrough);
}

#[test]
fn a_callers_key_is_shown_to_one_origin_only() {
    let one = promptot("keys = \"pass-through\"\n");
    let two = one.replace("\"a\"", "\"b\"");

    assert_eq!(
        problems(&file(&[one, two].concat())),
        ["config.toml:10  origins.b.keys = \"pass-through\"   expected mapped: origins.a is \
          pass-through, and a caller's key is shown to one origin only"]
    );
}

#[test]
fn a_secret_comes_from_a_variable_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("key");
    let in_file = format!("key = {{ file = {place:?} }}");
    let key = |text: &str| match &origins(&promptot(text))[0].remote().unwrap().keys {
        Keys::Mapped { key, .. } => key.expose().to_owned(),
        Keys::PassThrough => panic!("mapped"),
    };

    assert_eq!(key(KEY), SECRET);
    for content in ["s3cret", "s3cret\n", "s3cret\r\n"] {
        fs::write(&place, content).unwrap();
        assert_eq!(key(&in_file), "s3cret", "{content:?}");
    }
    for content in ["", "\n", "\r\n", "a\n\n", "a b", " a", "é", &"x".repeat(20_000)] {
        fs::write(&place, content).unwrap();
        let problems = problems(&file(&promptot(&in_file)));
        let start = "config.toml:5  origins.a.key.file = …   expected a ";
        assert!(matches!(&*problems, [one] if one.starts_with(start)), "{content:?}: {problems:?}");
    }
}

#[test]
fn a_key_of_langfuse_is_a_pair() {
    let langfuse = |key: &str| problems(&file(&promptot(key).replace("promptot", "langfuse")));

    assert!(langfuse("key = { env = \"LANGFUSE_KEY\" }").is_empty());
    assert_eq!(
        langfuse(KEY),
        ["config.toml:5  origins.a.key.env = …   \
          expected the public key, a colon and the secret key, in that variable"]
    );
}

#[test]
fn a_secret_that_is_not_there_is_refused_where_it_is_named() {
    let said = |key: &str| problems(&file(&promptot(key))).join("\n");

    assert_eq!(
        said("key = { env = \"NO_SUCH\" }"),
        "config.toml:5  origins.a.key.env = …   \
         expected the variable NO_SUCH to be set and not empty"
    );
    assert!(said("key = { file = \"/no/such\" }").starts_with(
        "config.toml:5  origins.a.key.file = …   expected a file that can be read: No such file"
    ));
    assert_eq!(
        said("key = { env = \"PROMPT_EDGE__KEY\" }"),
        "config.toml:5  origins.a.key.env = …   \
         expected a name that does not begin with PROMPT_EDGE__: such variables are keys"
    );
    assert_eq!(
        said("key = { env = \"PROMPTOT_KEY\", file = \"/no/such\" }"),
        "config.toml:5  origins.a.key.file is out of place   expected env or file, and not both"
    );
    assert_eq!(
        said("key = {}"),
        "config.toml:5  origins.a.key = …   \
         expected { env = \"NAME\" } or { file = \"path\" }, where the secret is"
    );
}

#[test]
fn a_secret_that_stands_in_the_configuration_is_refused_and_never_printed() {
    for wrong in [
        format!("key = \"{SECRET}\""),
        format!("key = [\"{SECRET}\"]"),
        format!("key = {{ env = \"{SECRET}\" }}"),
        format!("key = {{ file = \"{SECRET}\" }}"),
        format!("key = {{ env = [\"{SECRET}\"] }}"),
        format!("key = {{ value = \"{SECRET}\" }}"),
        format!("key = {{ env = \"PROMPTOT_KEY\", value = \"{SECRET}\" }}"),
        format!("{KEY}\ndraft_key = \"{SECRET}\""),
        format!("{KEY}\nhook = \"{SECRET}\""),
        format!("{KEY}\nhook = {{ secret = \"{SECRET}\" }}"),
        format!("{KEY}\nclient_certificate = \"{SECRET}\""),
        format!("{KEY}\nproxy = \"http://me:{SECRET}@proxy\""),
        format!("{KEY}\nproxy = \"me:{SECRET}@proxy\""),
        format!("{KEY}\n[snapshot]\nkey = \"{SECRET}\""),
        format!("{KEY}\n[snapshot]\nkey = {{ env = \"PROMPTOT_KEY\" }}"),
    ] {
        let problems = Config::load(&file(&promptot(&wrong))).unwrap_err();

        assert!(!format!("{problems} {problems:?}").contains(SECRET), "{problems}");
    }
}

#[test]
fn a_secret_of_the_environment_is_never_printed() {
    let mut sources =
        file(&promptot(&format!("{KEY}\nhook = {{ secret = {{ env = \"PROMPTOT_HOOK\" }} }}\n")));

    let config = Config::load(&sources).unwrap();
    sources.environment.push(("PROMPT_EDGE__SNAPSHOT__KEY".into(), SECRET.into()));
    sources.environment.push(("PROMPT_EDGE__ORIGINS__A__KEY".into(), SECRET.into()));
    let problems = Config::load(&sources).unwrap_err();

    assert!(!format!("{config:?}").contains(SECRET), "{config:?}");
    assert!(!format!("{problems} {problems:?}").contains(SECRET), "{problems}");
    assert_eq!(
        problems.to_string(),
        "configuration: 2 problems
  PROMPT_EDGE__ORIGINS__A__KEY  origins.a.key is unknown   \
         expected in the configuration file: [[origins]] and its keys below
  PROMPT_EDGE__SNAPSHOT__KEY    snapshot.key = …           \
         expected { env = \"NAME\" } or { file = \"path\" }, where the secret is"
    );
}

#[test]
fn an_origin_cannot_be_set_in_the_environment() {
    let mut sources = file(&promptot(KEY));
    let known = "PROMPT_EDGE__ORIGINS__A__FRESH";
    sources.environment.push((known.into(), "1s".into()));
    sources.environment.push(("PROMPT_EDGE__ORIGINS".into(), "[]".into()));
    sources.environment.push(("PROMPT_EDGE__FRESH".into(), "1s".into()));

    let remedy = "expected in the configuration file: [[origins]] and its keys below";
    assert_eq!(
        problems(&sources),
        [
            "PROMPT_EDGE__FRESH  fresh is unknown   \
             expected a key of config.toml, such as PROMPT_EDGE__SERVER__LISTEN",
            &format!("PROMPT_EDGE__ORIGINS  origins is unknown   {remedy}"),
            &format!("{known}  origins.a.fresh is unknown   {remedy}"),
        ]
    );
}

#[test]
fn what_leaves_the_machine_is_encrypted_unless_it_is_said_not_to_be() {
    let http = |url: &str, more: &str| {
        problems(&file(&promptot(&format!("{KEY}\n{more}")).replace("https://host/v1", url)))
    };

    assert_eq!(
        http("http://host/v1", ""),
        ["config.toml:4  origins.a.base_url = http://…   expected https://, \
          or allow_http = true: keys and prompts would be readable on the way"]
    );
    assert!(http("http://host/v1", "allow_http = true").is_empty());
    assert!(http("http://127.0.0.1:3000/v1", "").is_empty());
}

#[test]
fn a_hook_is_signed_as_its_platform_does_unless_another_scheme_is_named() {
    let hook = |more: &str| {
        let text = format!("{KEY}\nhook = {{ secret = {{ env = \"PROMPTOT_HOOK\" }}{more} }}\n");
        Config::load(&file(&promptot(&text))).map(|config| config.origins[0].hook.clone().unwrap())
    };
    let secret = Credential::new(SECRET);
    let signed = |scheme| hooks::Config::new(scheme, &secret).unwrap();
    let by_promptot = |header: &str| signed(Scheme::PromptOt { header: header.parse().unwrap() });

    assert_eq!(hook("").unwrap(), by_promptot("x-promptot-signature"));
    assert_eq!(hook(", header = \"x-mine\"").unwrap(), by_promptot("x-mine"));
    assert_eq!(hook(", scheme = \"langfuse\"").unwrap(), signed(Scheme::Langfuse));
    let problems = hook(", scheme = \"standard\", header = \"x-mine\"").unwrap_err();
    assert!(problems.to_string().contains("origins.a.hook.header is out of place"), "{problems}");
}

#[test]
fn offline_is_about_origins_over_http_alone() {
    let files = "[[origins]]\nname = \"b\"\nkind = \"files\"\npath = \"p\"\n";

    let origins = origins(&format!("offline = true\n{}\n{files}", promptot(KEY)));

    assert!(origins[0].guard.is_offline);
    assert!(!origins[1].guard.is_offline);
}

#[test]
fn what_is_no_array_of_tables_is_told_to_be_one() {
    for wrong in ["origins = 5", "origins = [1]", "[origins.promptot]\nkind = \"promptot\""] {
        let problems = problems(&file(wrong));

        let end = "expected [[origins]] for each, and its keys below";
        assert!(matches!(&*problems, [one] if one.ends_with(end)), "{wrong}: {problems:?}");
    }
    assert!(origins("origins = []").is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_mutation_of_the_examples_makes_the_reader_panic(
        at in 0..SHIPPED.len(),
        length in 0..40_usize,
        splice in "[\\PC\n\"'\\[\\]{}.=#]{0,12}",
    ) {
        // Without the folder: no mutation may find a file to read.
        let text = examples().1;
        let head: String = text.chars().take(at).collect();
        let tail: String = text.chars().skip(at + length).collect();

        let _ = Config::load(&file(&format!("{head}{splice}{tail}")));
    }
}
