//! What an operator can rely on: one list of doors, and every mistake in it named in one run.

use std::collections::BTreeSet;

use crate::config::{Config, File, Flag, Problems, Sources};

use super::*;

const SHIPPED: &str = include_str!("../../../config.toml");
const README: &str = include_str!("../../../README.md");

fn file(text: &str) -> Sources {
    let file = Some(File { name: "config.toml".into(), text: text.to_owned() });
    Sources { file, ..Sources::default() }
}

fn problems(sources: &Sources) -> Vec<String> {
    match Config::load(sources) {
        Ok(_) => Vec::new(),
        Err(Problems(problems)) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// An entry on its first three lines, and what else it says.
fn entry(name: &str, listen: &str, more: &str) -> String {
    format!("[[listeners]]\nname = \"{name}\"\nlisten = \"{listen}\"\n{more}\n")
}

/// The example of the shipped file, made real.
fn example() -> String {
    let (_, text) = SHIPPED.split_once("#[[listeners]]\n").unwrap();
    let (text, _) = text.split_once("# Origins:").unwrap();
    let is_example = |line: &str| line.starts_with('#') && !line.starts_with("# ");
    let lines = text.lines().map(|line| if is_example(line) { &line[1..] } else { line });
    format!("[[listeners]]\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// The keys of an entry among these paths.
fn of_an_entry<'a>(paths: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let keys = paths.filter_map(|path| Some(path.strip_prefix("listeners.")?.split_once('.')?.1));
    keys.map(str::to_owned).collect()
}

#[test]
fn without_an_entry_there_is_one_at_the_address_of_the_server() {
    let config = Config::load(&file("server.listen = \"[::1]:8080\"")).unwrap();

    assert_eq!(config.listeners, [ListenerConfig::clear("[::1]:8080".parse().unwrap())]);
}

#[test]
fn an_entry_is_where_how_and_for_whom() {
    let text = entry("inside", "unix:/run/edge.sock", "dialects = [\"promptot\"]")
        + &entry("given", "systemd:edge", "")
        + &example();

    let listeners = Config::load(&file(&text)).unwrap().listeners;

    let [inside, given, public] = &*listeners else { panic!("{listeners:?}") };
    assert_eq!(inside.address, Address::Unix("/run/edge.sock".into()));
    assert_eq!(inside.serves, Serves { edge: false, promptot: true });
    assert_eq!(given.address, Address::Systemd("edge".to_owned()));
    assert_eq!((given.serves, &given.tls), (Serves::ALL, &None));
    assert_eq!(public.address.to_string(), "0.0.0.0:7443");
    let tls = public.tls.as_ref().unwrap();
    let pair = ("edge.example.com.pem".into(), "edge.example.com.key".into());
    assert_eq!((&*tls.certificates, tls.is_client_optional), (&[pair][..], false));
    assert_eq!(tls.client_ca, Some("callers.pem".into()));
}

#[test]
fn the_example_of_the_shipped_file_has_every_key_of_a_listener() {
    let text = example();
    let sources = file(&text);
    let mut reader = Reader::new(&sources);

    all(&mut reader, SocketAddr::from(([127, 0, 0, 1], 0)));

    let asked = of_an_entry(reader.asked());
    assert_eq!(of_an_entry(reader.asked().filter(|path| reader.is_set(path))), asked);
    let lines: Vec<_> = text.lines().collect();
    for key in asked {
        let form = match key.as_str() {
            "name" => NAME,
            "listen" => ADDRESS,
            "dialects" => DIALECTS,
            "certificates" | "private_keys" => PATHS,
            "client_ca" => PATH,
            _ => "one of required, optional",
        };
        let at = lines.iter().position(|line| line.starts_with(&format!("{key} = "))).unwrap();
        let above = lines[..at].iter().rev().take_while(|text| text.starts_with('#'));
        let mut comment: Vec<_> = above.map(|text| text.trim_start_matches(['#', ' '])).collect();
        comment.reverse();
        assert!(comment.join(" ").to_lowercase().contains(&form.to_lowercase()), "{key}: {form}");
    }
}

#[test]
fn the_readme_lists_every_key_of_a_listener() {
    let text = example();
    let sources = file(&text);
    let mut reader = Reader::new(&sources);
    all(&mut reader, SocketAddr::from(([127, 0, 0, 1], 0)));

    let (_, section) = README.split_once("\n### Listeners\n").unwrap();
    let (section, _) = section.split_once("\n### ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: BTreeSet<_> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();

    assert_eq!(rows, of_an_entry(reader.asked()));
}

#[test]
fn everything_that_is_wrong_is_said_in_one_run() {
    let text = entry("a", "localhost:80", "dialects = [\"genum\"]")
        + &entry("a", "127.0.0.1:80", "client_certificates = \"optional\"")
        + &entry("b", "unix:run/edge", "certificates = [\"a\", \"b\"]\nprivate_keys = [\"a\"]")
        + &entry("c", "systemd:a:b", "dialects = []\nclient_ca = \"ca.pem\"")
        + "[[listeners]]\nnme = \"d\"\n";

    assert_eq!(
        problems(&file(&text)),
        [
            "config.toml:3  listeners.a.listen = \"localhost:80\"   \
             expected an IP address and a port, unix:/path or systemd:NAME",
            "config.toml:4  listeners.a.dialects = [\"genum\"]   \
             expected a list of one or both of promptot, edge",
            "config.toml:6  listeners[1].name = a   \
             expected a name that no listener before it has",
            "config.toml:8  listeners[1].client_certificates is out of place   \
             expected beside client_ca",
            "config.toml:11  listeners.b.listen = \"unix:run/edge\"   \
             expected an IP address and a port, unix:/path or systemd:NAME",
            "config.toml:12  listeners.b.certificates = 2 and 1   \
             expected as many private_keys as certificates, in the same order",
            "config.toml:16  listeners.c.listen = \"systemd:a:b\"   \
             expected an IP address and a port, unix:/path or systemd:NAME",
            "config.toml:17  listeners.c.dialects = []   \
             expected a list of one or both of promptot, edge",
            "config.toml:18  listeners.c.client_ca is out of place   \
             expected beside certificates and private_keys",
            "config.toml:19  listeners[4].listen is missing   \
             expected an IP address and a port, unix:/path or systemd:NAME",
            "config.toml:19  listeners[4].name is missing   \
             expected a name of 1 to 32 lower-case letters, digits, dashes and underscores, \
             other than default",
            "config.toml:20  listeners[4].nme is unknown   did you mean listeners[4].name?",
        ]
    );
}

#[test]
fn the_address_of_the_server_is_refused_beside_entries() {
    let value = "127.0.0.1:1".to_owned();
    let flag = Flag { name: "--listen", path: "server.listen", value };
    let sources = Sources { flags: vec![flag], ..file(&entry("a", "127.0.0.1:2", "")) };

    assert_eq!(
        problems(&sources),
        ["--listen  server.listen is out of place   \
          expected as `listen` of one of [[listeners]], since there are some"]
    );
}

#[test]
fn one_address_for_two_is_refused_and_any_port_is_not_one() {
    let same = entry("a", "127.0.0.1:7081", "")
        + &entry("b", "unix:/run/edge", "")
        + &entry("c", "unix:/run/edge", "");
    let any = entry("a", "127.0.0.1:0", "") + &entry("b", "127.0.0.1:0", "");

    assert_eq!(
        problems(&file(&same)),
        [
            "config.toml:3  listeners.a.listen = 127.0.0.1:7081   \
             expected different addresses for listeners.a.listen and admin.listen",
            "config.toml:7  listeners.b.listen = unix:/run/edge   \
             expected different addresses for listeners.c.listen and listeners.b.listen",
        ]
    );
    assert_eq!(problems(&file(&any)), [""; 0]);
}

#[test]
fn a_listener_cannot_be_set_by_a_variable() {
    let name = "PROMPT_EDGE__LISTENERS__A__LISTEN".into();
    let environment = vec![(name, "127.0.0.1:1".into())];

    assert_eq!(
        problems(&Sources { environment, ..Sources::default() }),
        ["PROMPT_EDGE__LISTENERS__A__LISTEN  listeners.a.listen is unknown   \
          expected in the configuration file: [[listeners]] and its keys below"]
    );
}
