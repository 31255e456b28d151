//! What an operator can rely on: precedence, the shipped file, and every mistake in one run.

use proptest::prelude::*;

use super::*;

const SHIPPED: &str = include_str!("../../config.toml");

fn file(text: &str) -> Sources {
    let file = File { name: "config.toml".into(), text: text.to_owned() };
    Sources { file: Some(file), ..Sources::default() }
}

fn variables(pairs: &[(&str, &str)]) -> Sources {
    let environment = pairs.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Sources { environment, ..Sources::default() }
}

/// The lines of what is wrong, without the header.
fn problems(sources: &Sources) -> Vec<String> {
    match Config::load(sources) {
        Ok(_) => Vec::new(),
        Err(Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// `table.key` and line number of every assignment in the shipped file.
fn shipped_keys() -> Vec<(String, usize)> {
    let mut table = "";
    let mut keys = Vec::new();
    for (line, text) in SHIPPED.lines().enumerate() {
        if let Some(header) = text.strip_prefix('[') {
            table = header.trim_end_matches(']');
        } else if let Some((key, _)) = text.split_once(" = ").filter(|_| !text.starts_with('#')) {
            let path = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            keys.push((path, line + 1));
        }
    }
    keys
}

/// The shipped file with one line replaced.
fn shipped_with(line: usize, replacement: &str) -> String {
    let lines = SHIPPED.lines().enumerate();
    let lines: Vec<_> = lines
        .map(|(at, text)| if at + 1 == line { replacement.to_owned() } else { text.to_owned() })
        .collect();
    lines.join("\n")
}

/// The shipped file with one key set to something else.
fn shipped_with_value(path: &str, line: usize, value: &str) -> String {
    let key = path.rsplit('.').next().unwrap();
    shipped_with(line, &format!("{key} = {value}"))
}

#[test]
fn nothing_set_gives_the_defaults() {
    assert_eq!(Config::load(&Sources::default()), Ok(Config::default()));
    assert_eq!(Config::load(&file("")), Ok(Config::default()));
}

#[test]
fn the_shipped_file_is_exactly_the_defaults() {
    assert_eq!(Config::load(&file(SHIPPED)), Ok(Config::default()));
}

#[test]
fn the_shipped_file_has_every_key_and_no_other() {
    let shipped: Vec<_> = shipped_keys().into_iter().map(|(path, _)| path).collect();
    let read: Vec<_> = keys().into_iter().map(|key| key.path).collect();

    assert_eq!(shipped, read, "config.toml lists the keys in the order they are read");
}

/// The comment above every key says what the key takes, in the words a problem would.
#[test]
fn the_shipped_file_tells_every_range() {
    let lines: Vec<_> = SHIPPED.lines().collect();
    for (key, (path, line)) in keys().iter().zip(shipped_keys()) {
        let above = lines[..line - 1].iter().rev().take_while(|text| text.starts_with('#'));
        let mut comment: Vec<_> = above.map(|text| text.trim_start_matches(['#', ' '])).collect();
        comment.reverse();
        let comment = comment.join(" ").to_lowercase();

        assert!(comment.contains(&key.form.to_lowercase()), "{path} takes {}", key.form);
    }
}

#[test]
fn every_default_reads_back_from_the_environment() {
    for Key { path, default, .. } in keys() {
        let sources = variables(&[(&variable(&path), &default)]);

        assert_eq!(Config::load(&sources), Ok(Config::default()), "{path} = {default}");
    }
}

#[test]
fn a_bogus_key_is_refused_in_every_table() {
    let headers = SHIPPED.lines().enumerate().filter(|(_, text)| text.starts_with('['));
    let tables = headers.map(|(at, text)| (at + 1, text, text.trim_matches(['[', ']'])));
    for (line, header, table) in tables {
        let text = shipped_with(line, &format!("{header}\nbogus_key = 1"));

        let problems = problems(&file(&text));

        let start = format!("config.toml:{}  {table}.bogus_key is unknown   ", line + 1);
        assert!(matches!(&*problems, [one] if one.starts_with(&start)), "{problems:?}");
    }
    let top = problems(&file(&format!("bogus_key = 1\n{SHIPPED}")));
    assert!(matches!(&*top, [one] if one.starts_with("config.toml:1  bogus_key is unknown")));
}

#[test]
fn every_key_of_a_wrong_type_is_refused_with_its_path_and_line() {
    for (path, line) in shipped_keys() {
        // An empty list is what the only list there is has by default.
        let wrong = |value: &&str| *value != "[]" || path != "limits.trusted_proxies";
        for value in ["1.5", "[]", "{}", "1979-05-27", "\"\""].into_iter().filter(wrong) {
            let text = shipped_with_value(&path, line, value);

            let problems = problems(&file(&text));

            let start = format!("config.toml:{line}  {path} = ");
            let is_it = |one: &str| one.starts_with(&start) && one.contains("   expected ");
            assert!(matches!(&*problems, [one] if is_it(one)), "{value}: {problems:?}");
        }
    }
}

#[test]
fn every_key_of_a_wrong_type_is_reported_at_once() {
    let keys = shipped_keys();
    let text = keys.iter().fold(SHIPPED.to_owned(), |text, (_, line)| {
        let break_line = |(at, text): (usize, &str)| match text.split_once(" = ") {
            Some((key, _)) if at + 1 == *line => format!("{key} = 1.5"),
            _ => text.to_owned(),
        };
        text.lines().enumerate().map(break_line).collect::<Vec<_>>().join("\n")
    });

    assert_eq!(problems(&file(&text)).len(), keys.len());
}

#[test]
fn a_bare_number_is_refused_with_the_remedy() {
    assert_eq!(
        problems(&file("[store]\ntimeout = 30\n[cache]\nanswers = 64")),
        [
            "config.toml:2  store.timeout = 30   expected a duration from 10ms to 1m: \
             a whole number and one of ms, s, m, h, d, such as \"2s\"",
            "config.toml:4  cache.answers = 64   expected a size from 1 MiB to 1 TiB: \
             a whole number and one of B, KiB, MiB, GiB, TiB, such as \"256 MiB\"",
        ]
    );
    assert_eq!(
        problems(&variables(&[("PROMPT_EDGE__STORE__TIMEOUT", "30")])),
        ["PROMPT_EDGE__STORE__TIMEOUT  store.timeout = 30   expected a duration from 10ms to 1m: \
          a whole number and one of ms, s, m, h, d, such as 2s"]
    );
}

#[test]
fn every_kind_of_problem_is_reported_in_one_run() {
    let sources = Sources {
        environment: variables(&[
            ("PROMPT_EDGE__CACHE__ANSWR", "1 GiB"),
            ("PROMPT_EDGE__LOG__LEVEL", "loud"),
            ("PROMPT_EDGE_PORT", "tcp://10.0.0.1:80"),
            ("PATH", "/bin"),
        ])
        .environment,
        flags: vec![Flag { name: "--listen", path: "server.listen", value: "7080".to_owned() }],
        ..file("[cache]\nanswers = \"0 B\"\ntempl = 1\n\n[store]\nreaders = \"2\"\n\n[logs]\n")
    };

    let problems = Config::load(&sources).unwrap_err();

    assert_eq!(
        problems.to_string(),
        "configuration: 7 problems
  config.toml:2              cache.answers = \"0 B\"    expected a size from 1 MiB to 1 TiB
  config.toml:3              cache.templ is unknown   expected one of templates, answers
  config.toml:6              store.readers = \"2\"      expected a whole number from 1 to 64, without quotes
  config.toml:8              logs is unknown          did you mean [log]?
  PROMPT_EDGE__CACHE__ANSWR  cache.answr is unknown   did you mean PROMPT_EDGE__CACHE__ANSWERS?
  PROMPT_EDGE__LOG__LEVEL    log.level = loud         expected one of error, warn, info, debug, trace, such as info
  --listen                   server.listen = 7080     expected an IP address and a port, such as 127.0.0.1:7080"
    );
}

#[test]
fn broken_toml_does_not_hide_the_other_sources() {
    let sources = Sources {
        environment: variables(&[("PROMPT_EDGE__DEMO", "yes")]).environment,
        ..file("[cache\nanswr = 1")
    };

    assert_eq!(
        problems(&sources),
        [
            "config.toml:1:7  unclosed table   expected `]`",
            "PROMPT_EDGE__DEMO  demo = yes   expected true or false",
        ]
    );
}

#[test]
fn a_flag_wins_over_the_environment_and_the_environment_over_the_file() {
    let listen = |sources: &Sources| Config::load(sources).unwrap().server.listen.port();
    let mut sources = file("[server]\nlisten = \"127.0.0.1:1\"");
    assert_eq!(listen(&sources), 1);

    sources.environment = variables(&[("PROMPT_EDGE__SERVER__LISTEN", "127.0.0.1:2")]).environment;
    assert_eq!(listen(&sources), 2);

    let value = "127.0.0.1:3".to_owned();
    sources.flags = vec![Flag { name: "--listen", path: "server.listen", value }];
    assert_eq!(listen(&sources), 3);
}

#[test]
fn a_wrong_value_is_reported_although_another_source_wins() {
    let sources = Sources {
        environment: variables(&[("PROMPT_EDGE__STORE__READERS", "4")]).environment,
        ..file("[store]\nreaders = 65")
    };

    assert_eq!(
        problems(&sources),
        ["config.toml:2  store.readers = 65   expected a whole number from 1 to 64"]
    );
}

#[test]
fn an_unknown_variable_is_refused_with_the_one_that_was_meant() {
    assert_eq!(
        problems(&variables(&[
            ("PROMPT_EDGE__cache__answers", "1 GiB"),
            ("PROMPT_EDGE__TOKEN", "secret"),
        ])),
        [
            "PROMPT_EDGE__TOKEN  token is unknown   \
             expected a key of config.toml, such as PROMPT_EDGE__SERVER__LISTEN",
            "PROMPT_EDGE__cache__answers  cache.answers is unknown   \
             did you mean PROMPT_EDGE__CACHE__ANSWERS?",
        ]
    );
}

#[test]
fn a_flag_for_no_key_is_reported_instead_of_passed_over() {
    let flag = Flag { name: "--adress", path: "server.adress", value: String::new() };
    let sources = Sources { flags: vec![flag], ..Sources::default() };

    let problems = problems(&sources);

    assert!(matches!(&*problems, [one] if one.starts_with("--adress  server.adress is unknown")));
}

#[test]
fn both_ends_of_a_range_are_in_it() {
    let set = |value: &str| problems(&file(&format!("[store]\nwatch_interval = \"{value}\"")));

    for good in ["10ms", "500ms"] {
        assert!(set(good).is_empty(), "{good}");
    }
    for bad in ["9ms", "501ms", "0s", "90d"] {
        let problems = set(bad);
        let remedy = "expected a duration from 10ms to 500ms";
        assert!(matches!(&*problems, [one] if one.ends_with(remedy)), "{bad}: {problems:?}");
    }
}

#[test]
fn two_listeners_on_one_address_are_refused_where_the_address_is_set() {
    let to_admin = file("[server]\nlisten = \"127.0.0.1:7081\"");
    let any_port = file("server.listen = \"0.0.0.0:0\"\nadmin.listen = \"0.0.0.0:0\"");
    let already_wrong = file("server.listen = 1\nadmin.listen = \"127.0.0.1:7080\"");

    assert_eq!(
        problems(&to_admin),
        ["config.toml:2  server.listen = 127.0.0.1:7081   \
          expected different addresses for server.listen and admin.listen"]
    );
    assert!(problems(&any_port).is_empty());
    assert_eq!(problems(&already_wrong).len(), 1, "the default of a wrong value is no mistake");
}

#[test]
fn a_password_is_never_printed() {
    let url = "postgres://me:hunter2@host/db?password=hunter2";
    let sources = Sources {
        environment: variables(&[
            ("PROMPT_EDGE__STORE__URL", url),
            ("PROMPT_EDGE__STORE__PASSWORD", "hunter2"),
        ])
        .environment,
        flags: vec![Flag { name: "--store", path: "store.url", value: url.to_owned() }],
        ..file(&format!("[store]\nurl = \"{url}\"\npassword = \"hunter2\""))
    };

    let problems = Config::load(&sources).unwrap_err();

    assert_eq!(problems.0.len(), 5);
    let printed = format!("{problems} {problems:?}");
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.contains("sqlite:PATH, sqlite://PATH or a path"), "{printed}");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStringExt;

    let value = OsString::from_vec(vec![b'a', 0xff]);
    let environment = vec![("PROMPT_EDGE__STORE__URL".into(), value)];

    assert_eq!(
        problems(&Sources { environment, ..Sources::default() }),
        ["PROMPT_EDGE__STORE__URL  store.url = a\u{fffd}   expected UTF-8 text"]
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text: String) {
        let _ = Config::load(&file(&text)).map_err(|problems| problems.to_string());
    }

    #[test]
    fn no_mutation_of_the_shipped_file_makes_the_reader_panic(
        at in 0..SHIPPED.len(),
        length in 0..40_usize,
        splice in "[\\PC\n\"'\\[\\]{}.=#]{0,12}",
    ) {
        let head: String = SHIPPED.chars().take(at).collect();
        let tail: String = SHIPPED.chars().skip(at + length).collect();
        let text = format!("{head}{splice}{tail}");

        let _ = Config::load(&file(&text)).map_err(|problems| problems.to_string());
    }

    #[test]
    fn no_value_makes_the_reader_panic(value: String, key in 0..keys().len()) {
        let name = variable(&keys()[key].path);
        let sources = variables(&[(&name, &value)]);

        let _ = Config::load(&sources).map_err(|problems| problems.to_string());
    }
}
