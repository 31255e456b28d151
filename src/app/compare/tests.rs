//! Every key of the configuration, changed by itself, and what is said of it.

use std::collections::BTreeSet;
use std::fs;

use crate::config::{self, File, Key, Sources};

use super::*;

/// A configuration with one key set by its variable.
fn with(key: &str, value: &str) -> Config {
    let environment = vec![(config::variable(key).into(), value.into())];
    Config::load(&Sources { environment, ..Sources::default() }).expect("the value fits its key")
}

fn file(text: &str) -> Config {
    let file = Some(File { name: "config.toml".into(), text: text.to_owned() });
    Config::load(&Sources { file, ..Sources::default() }).expect("the file is right")
}

/// A value that a key takes and that is not its default.
fn another(key: &Key) -> String {
    let words = |list: &str| list.split(", ").map(str::to_owned).collect::<Vec<_>>();
    let value = match (key.path.as_ref(), key.form.as_str()) {
        ("store.url", _) => "other.db".to_owned(),
        ("limits.fallback_plan", _) => "pro".to_owned(),
        ("limits.trusted_proxies", _) => "10.0.0.0/8".to_owned(),
        (_, form) if form.starts_with("an IP address") => "127.0.0.1:7".to_owned(),
        (_, form) if form.starts_with("a duration") => match form.contains("from 10ms to 500ms") {
            true => "250ms".to_owned(),
            false => "11s".to_owned(),
        },
        (_, form) if form.starts_with("a size") => "1 MiB".to_owned(),
        (_, form) if form.starts_with("a whole number") => "7".to_owned(),
        (_, "true or false") => (key.default != "true").to_string(),
        (path, form) => {
            let list = form.strip_prefix("one of ").map(words).unwrap_or_default();
            let other = list.into_iter().find(|word| *word != key.default);
            other.unwrap_or_else(|| panic!("{path} takes {form}: of which this test knows nothing"))
        }
    };
    assert_ne!(value, key.default, "{}", key.path);
    value
}

/// The keys that are named to need a restart, each changed by itself.
fn needing_a_restart() -> BTreeSet<String> {
    let mut needing = BTreeSet::new();
    for key in config::keys() {
        let path = key.path.as_ref();
        let running = Config::default();

        let Comparison { next, applied, waiting } = compare(&running, with(path, &another(&key)));

        let waiting: Vec<_> = waiting.into_iter().map(|waiting| waiting.key).collect();
        let named = match path.strip_prefix("plans.").and_then(|rest| rest.split('.').next()) {
            Some(plan) => format!("plans.{plan}"),
            None => path.to_owned(),
        };
        let is_applied = applied == [named.clone()] && waiting.is_empty();
        let is_waiting = applied.is_empty() && waiting == [named.clone()];
        assert!(is_applied || is_waiting, "{path}: {applied:?}, {waiting:?}");
        assert_eq!(next == running, is_waiting, "{path}: what waits does not hold");
        if is_waiting {
            needing.insert(named);
        }
    }
    needing
}

#[test]
fn every_key_is_applied_or_named() {
    let needing = needing_a_restart();

    assert!(needing.contains("store.url") && !needing.contains("delivery.max_age"), "{needing:?}");
}

#[test]
fn the_readme_names_what_needs_a_restart() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = fs::read_to_string(readme).expect("README.md is there");
    let (_, after) = readme.split_once("These need a restart:").expect("the list is there");
    let list = after.split("\n\n").next().unwrap_or_default();
    let named = list.split('`').skip(1).step_by(2).map(str::to_owned);

    // Two keys have no default, and so are not among those that `config` lists.
    let mut needing = needing_a_restart();
    needing.extend(["snapshot.path", "snapshot.key"].map(str::to_owned));
    assert_eq!(named.collect::<BTreeSet<_>>(), needing);
}

#[test]
fn what_waits_says_both_values_and_of_a_secret_neither() {
    let mut wanted = Config::default();
    wanted.snapshot.path = Some("memory".into());
    wanted.snapshot.key = Some("0f".repeat(32).parse().unwrap());
    wanted.cache.answers_bytes = 64 << 20;

    let waiting = compare(&Config::default(), wanted).waiting;

    let said: Vec<_> =
        waiting.iter().map(|w| (w.key.as_str(), w.running.as_str(), w.wanted.as_str())).collect();
    let expected = [
        ("cache.answers", "256 MiB", "64 MiB"),
        ("snapshot.path", "none", "memory"),
        ("snapshot.key", "none", "…"),
    ];
    assert_eq!(said, expected);
}

#[test]
fn what_waits_is_named_again_by_the_next_reload() {
    let wanted = || with("store.readers", "7");

    let first = compare(&Config::default(), wanted());
    let second = compare(&first.next, wanted());

    assert_eq!(first.waiting, second.waiting);
    assert_eq!(compare(&second.next, Config::default()).waiting, []);
}

#[test]
fn of_an_origin_its_windows_change_and_its_place_waits() {
    let one = "[[origins]]\nname = \"one\"\nkind = \"files\"\npath = \"prompts\"\n";
    let moved = "[[origins]]\nname = \"one\"\nkind = \"files\"\npath = \"other\"\nfresh = \"1s\"\n";
    let two = "[[origins]]\nname = \"two\"\nkind = \"sqlite\"\npath = \"two.db\"\n";
    let running = file(one);

    let compared = compare(&running, file(&format!("{two}{moved}")));

    assert_eq!(compared.applied, ["origins.one.fresh"]);
    let waiting: Vec<_> = compared.waiting.iter().map(|waiting| waiting.key.as_str()).collect();
    assert_eq!(waiting, ["origins.one.path", "origins.two"]);
    let [next] = &*compared.next.origins else { panic!("no origin comes without a restart") };
    assert_eq!(next.kind, running.origins[0].kind);
    assert_eq!(next.freshness.windows.fresh, Duration::from_secs(1));
    let gone = compare(&compared.next, file(two));
    assert_eq!(gone.next.origins, compared.next.origins);
}

#[test]
fn a_platforms_settings_wait_by_name() {
    let platform = |more: &str| {
        let entry = "[[origins]]\nname = \"far\"\nkind = \"langfuse\"\n\
                     base_url = \"https://langfuse.example\"\nkey = { env = \"KEY\" }\n";
        let file = File { name: "config.toml".into(), text: format!("{entry}{more}") };
        let environment = vec![("KEY".into(), "public:planted".into())];
        let environment = match more.contains("rescue") {
            true => vec![("KEY".into(), "public:other".into())],
            false => environment,
        };
        Config::load(&Sources { file: Some(file), environment, ..Sources::default() })
            .expect("the file is right")
    };
    let wanted = platform(
        "rescue = \"1h\"\nretries = 7\ntotal_timeout = \"11s\"\nlive_label = \"other\"\n\
         [origins.prompts.greeting]\nversion = 7\n",
    );

    let compared = compare(&platform(""), wanted);

    let waiting: Vec<_> = compared.waiting.iter().map(|w| w.key.as_str()).collect();
    let expected = [
        "origins.far.retries",
        "origins.far.key",
        "origins.far.total_timeout",
        "origins.far.live_label",
        "origins.far.prompts.greeting.version",
    ];
    assert_eq!(waiting, expected);
    assert_eq!(compared.applied, ["origins.far.rescue", "origins.far.prompts"]);
    assert!(!format!("{:?}", compared.waiting).contains("planted"), "a secret stays unsaid");
}
