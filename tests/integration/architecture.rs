//! Holds the source tree to the rules in ARCHITECTURE.md.
//!
//! The order of the `mod` lines in `src/lib.rs` *is* the architecture: a module may use only the
//! modules declared before it. An order cannot contain a circle, so there are none.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Pairs the order alone would allow, but the design does not.
const FORBIDDEN: &[(&str, &str)] = &[
    // A decision taken in a dialect would hold in that dialect only.
    ("dialects", "cache"),
    ("dialects", "compile"),
    ("dialects", "origins"),
    // Operators act through the verbs too.
    ("admin", "cache"),
    ("admin", "origins"),
    // What is written reaches a cache through the store's changes alone.
    ("authoring", "cache"),
    // What an origin tells reaches a cache through a purge alone.
    ("hooks", "cache"),
    ("hooks", "origins"),
];

/// Concrete adapters. `config` describes one, `app` builds it; others know only the port.
const ADAPTERS: &[&str] = &[
    "origins::files",
    "origins::sqlite",
    "origins::upstream::edge",
    "origins::upstream::langfuse",
    "origins::upstream::promptot",
];

/// Folders whose `mod.rs` declares a port that the files and folders beside it implement.
const PORTS: &[&str] = &["origins", "dialects"];

/// What a part may use of its whole: the settings, the error and the exit that the folder has one
/// of, and the response type that `wire` exists for.
const SHARED_BY_PARTS: &[&str] = &[
    "authoring::Error",
    "cli::Failure",
    "delivery::Config",
    "server::Address",
    "server::Config",
    "server::Deadlines",
    "server::ListenerConfig",
    "server::Serves",
    "wire::Response",
];

#[test]
fn modules_use_only_what_is_declared_before_them() {
    let order = modules_in_order();
    let rank = |name: &str| order.iter().position(|module| module == name);
    let mut offences = Vec::new();

    for (own_rank, module) in order.iter().enumerate() {
        for (place, used) in uses_of(module) {
            let upward = rank(&used).is_some_and(|used_rank| used_rank > own_rank);
            let forbidden = FORBIDDEN.contains(&(module.as_str(), used.as_str()));
            if upward || forbidden {
                offences.push(format!("{place}: `{module}` must not use `crate::{used}`"));
            }
        }
    }

    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn every_module_is_in_the_order() {
    let order = modules_in_order();
    let entries = fs::read_dir(root().join("src")).expect("the folder is there");

    for entry in entries {
        let path = entry.expect("an entry is readable").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let is_listed = order.contains(&name) || matches!(name.as_str(), "lib" | "main");
        assert!(is_listed, "`pub mod {name};` is missing in src/lib.rs");
    }
}

#[test]
fn only_app_names_an_adapter() {
    for file in rust_files(Path::new("src")) {
        let named = ADAPTERS.iter().filter(|adapter| code(&file).contains(*adapter));
        for adapter in named {
            let own = Path::new("src").join(adapter.replace("::", "/"));
            let allowed = file == Path::new("src/app/opening.rs")
                || file.starts_with("src/config")
                || file.with_extension("").starts_with(own);
            assert!(allowed, "{} names `{adapter}`", file.display());
        }
    }
}

/// In a port folder the children implement what `mod.rs` declares. In every other folder `mod.rs`
/// is built from its children, so they must not look up: an import through the parent starts with
/// a capital (`crate::cache::Entry`), one from a sibling does not (`crate::cache::entry::Entry`).
#[test]
fn parts_do_not_use_the_whole() {
    for module in modules_in_order().iter().filter(|module| !PORTS.contains(&module.as_str())) {
        let parent = format!("crate::{module}::");
        for file in rust_files(&Path::new("src").join(module)) {
            if file.ends_with("mod.rs") || file.ends_with("tests.rs") {
                continue;
            }
            for used in code(&file).split(&parent).skip(1) {
                let name = used.split(|c| !is_ident(c)).next().unwrap_or_default();
                let upward = name.starts_with(|c: char| c.is_ascii_uppercase());
                let shared = SHARED_BY_PARTS.contains(&format!("{module}::{name}").as_str());
                assert!(!upward || shared, "{} imports `{parent}{name}`", file.display());
            }
        }
    }
}

/// An adapter knows its port, not its neighbours.
#[test]
fn adapters_of_one_port_do_not_know_each_other() {
    for port in PORTS {
        let folders = fs::read_dir(root().join("src").join(port)).expect("the folder is there");
        let folders = folders.map(|entry| entry.expect("an entry is readable").path());
        let adapters: Vec<_> = folders
            .filter(|path| path.is_dir())
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect();
        for adapter in &adapters {
            for file in rust_files(&Path::new("src").join(port).join(adapter)) {
                for other in adapters.iter().filter(|other| *other != adapter) {
                    let path = format!("crate::{port}::{other}");
                    assert!(!code(&file).contains(&path), "{} names {path}", file.display());
                }
            }
        }
    }
}

#[test]
fn every_dialect_has_the_same_five_files() {
    let folders = fs::read_dir(root().join("src/dialects")).expect("the folder is there");

    for folder in folders.map(|entry| entry.expect("an entry is readable").path()) {
        if !folder.is_dir() {
            continue;
        }
        let files = fs::read_dir(&folder).expect("the folder is readable");
        let files: BTreeSet<_> =
            files.map(|entry| entry.expect("an entry is readable").file_name()).collect();
        let five = ["errors.rs", "handlers.rs", "mod.rs", "routes.rs", "shapes.rs"];
        assert!(files.iter().eq(five.iter()), "{} holds {files:?}", folder.display());
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for folder in ["src", "tests", "benches"] {
        for file in rust_files(Path::new(folder)) {
            assert!(read(&file).starts_with("//! "), "{} has no module doc", file.display());
        }
    }
}

#[test]
fn every_path_named_in_the_docs_exists() {
    let sources = rust_files(Path::new("src")).into_iter();
    let module_docs = sources.map(|file| (file.clone(), module_doc(&file)));
    let mut missing = Vec::new();
    for (doc, text) in documents().into_iter().chain(module_docs) {
        for quoted in quoted(&text) {
            let path = quoted.split("::").next().unwrap_or_default();
            let is_path =
                ["src/", "tests/", "benches/", "docs/", "examples/", "packaging/", "scripts/"]
                    .iter()
                    .any(|folder| path.starts_with(folder));
            let is_pattern = path.contains(['<', '{', '*', '…', ' ']);
            if is_path && !is_pattern && !root().join(path).exists() {
                missing.push(format!("{} names `{path}`, which does not exist", doc.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_link_in_the_docs_leads_to_a_file() {
    for (doc, text) in documents() {
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                let folder = doc.parent().unwrap_or(Path::new(""));
                let exists = root().join(folder).join(target).exists();
                assert!(exists, "{} links to {target}, which does not exist", doc.display());
            }
        }
    }
}

/// A test is cited as `module::tests::name`, or by its bare name in parentheses.
#[test]
fn every_test_named_in_the_docs_exists() {
    let files: Vec<_> = ["src", "tests"].iter().flat_map(|f| rust_files(Path::new(f))).collect();
    let all: String = files.iter().map(|file| code(file)).collect();
    let sources = files.iter().filter(|file| file.starts_with("src"));
    let docs = sources.map(|file| (file.clone(), module_doc(file)));
    let mut missing = Vec::new();

    for (place, text) in docs.chain(documents()) {
        for name in cited_tests(&text) {
            if !all.contains(&format!("fn {name}(")) {
                missing.push(format!("{} cites `{name}`, which does not exist", place.display()));
            }
        }
    }

    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The names of tests that a document cites: the quoted identifiers of at least four words, and
/// whatever is quoted behind `tests::`.
fn cited_tests(text: &str) -> Vec<&str> {
    let names = quoted(text).filter_map(|quoted| {
        let (path, name) = quoted.rsplit_once("::").unwrap_or(("", quoted));
        let is_name =
            name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let is_sentence = name.matches('_').count() >= 3 && !name.starts_with("prompt_edge_");
        (is_name && (is_sentence || path.ends_with("tests"))).then_some(name)
    });
    names.collect()
}

/// What stands in single backticks, line by line: code blocks hold none.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("```"));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Every Markdown file at the root and in `docs`.
fn documents() -> Vec<(PathBuf, String)> {
    let mut documents = Vec::new();
    for folder in ["", "docs"] {
        let Ok(entries) = fs::read_dir(root().join(folder)) else { continue };
        for entry in entries {
            let name = entry.expect("an entry is readable").file_name();
            let path = Path::new(folder).join(name);
            if path.extension().is_some_and(|extension| extension == "md") {
                documents.push((path.clone(), read(&path)));
            }
        }
    }
    documents
}

/// The modules `src/lib.rs` declares, in the order it declares them.
fn modules_in_order() -> Vec<String> {
    read(Path::new("src/lib.rs"))
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';').map(str::to_owned))
        .collect()
}

/// Every `crate::name` a module's code mentions, with its file and line.
fn uses_of(module: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in rust_files(&Path::new("src").join(module)) {
        for (index, line) in code(&file).lines().enumerate() {
            let place = format!("{}:{}", file.display(), index + 1);
            assert!(!line.contains("crate::{"), "{place}: write one `use crate::…` per module");
            for used in line.split("crate::").skip(1) {
                let name = used.split(|c| !is_ident(c)).next().unwrap_or_default();
                found.push((place.clone(), name.to_owned()));
            }
        }
    }
    found
}

/// A file without its comments: they may point anywhere.
fn code(file: &Path) -> String {
    let text = read(file);
    text.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// The `//!` lines at the top of a file.
fn module_doc(file: &Path) -> String {
    let text = read(file);
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.to_owned() + "\n").collect()
}

fn is_ident(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &Path) -> String {
    fs::read_to_string(root().join(file))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The Rust files of a module: `path.rs`, or everything under `path/`. Paths start at the root.
fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.extension().is_some() {
        return Vec::from([path.to_owned()]);
    }
    let Ok(entries) = fs::read_dir(root().join(path)) else {
        let file = path.with_extension("rs");
        return if root().join(&file).exists() { Vec::from([file]) } else { Vec::new() };
    };
    entries
        .map(|entry| path.join(entry.expect("a folder entry is readable").file_name()))
        .filter(|path| {
            path.extension().map_or(root().join(path).is_dir(), |extension| extension == "rs")
        })
        .flat_map(|path| rust_files(&path))
        .collect()
}
