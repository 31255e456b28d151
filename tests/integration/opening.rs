//! Configured origins, opened: each answers under its name, or says at the start why it cannot.

use prompt_edge::app;
use prompt_edge::config::{Config, File, Sources};
use prompt_edge::model::{PromptName, Reads};
use prompt_edge::origins::{Found, Question, Text};
use prompt_edge::telemetry::trace::Chain;

use crate::contract::origin;
use crate::harness::process::Folder;

/// A configuration, in an environment where `KEY` is a key.
fn configured(text: &str) -> Config {
    let file = File { name: "config.toml".into(), text: text.to_owned() };
    let environment = vec![("KEY".into(), "public:s3cret".into())];
    let sources = Sources { file: Some(file), environment, ..Sources::default() };
    Config::load(&sources).expect("the text has no problems")
}

/// An entry of `[[origins]]` for a platform over HTTP.
fn platform(name: &str, kind: &str) -> String {
    format!(
        "[[origins]]\nname = \"{name}\"\nkind = \"{kind}\"\n\
         base_url = \"https://127.0.0.1:1\"\nkey = {{ env = \"KEY\" }}\n"
    )
}

fn sqlite(folder: &Folder) -> Config {
    let path = folder.store();
    configured(&format!("[[origins]]\nname = \"other\"\nkind = \"sqlite\"\npath = {path:?}\n"))
}

#[tokio::test]
async fn origins_are_opened_in_the_order_of_the_file() {
    let folder = Folder::with_project();
    let store = folder.store();
    let text = [
        platform("one", "promptot"),
        platform("two", "langfuse"),
        platform("far", "prompt-edge"),
        format!("[[origins]]\nname = \"three\"\nkind = \"sqlite\"\npath = {store:?}\n"),
        format!(
            "[[origins]]\nname = \"four\"\nkind = \"files\"\npath = {:?}\n",
            folder.path("prompts")
        ),
    ];

    let origins = app::open_origins(&configured(&text.concat())).expect("each can be used");

    let names: Vec<_> = origins.iter().map(|opened| opened.origin.name().as_str()).collect();
    assert_eq!(names, ["one", "two", "far", "three", "four"]);
}

#[tokio::test]
async fn another_edges_store_is_read_by_the_names_of_things() {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello");
    let prompt = "greeting".parse::<PromptName>().expect("a slug");
    let reader = origin::reader(Reads::Published);

    let origins = app::open_origins(&sqlite(&folder)).expect("the file is there");

    assert_eq!(origins[0].origin.name().as_str(), "other");
    let question = Question { reader: &reader, prompt: &prompt, compile: None, known: None };
    let told = origins[0].origin.prompt(question).await.expect("it answers");
    let Found::Present(Text::Edition(edition)) = told.found else { panic!("{told:?}") };
    assert_eq!(edition.prompt.slug.as_str(), "greeting");
}

#[test]
fn a_store_that_is_not_there_is_named_and_not_made() {
    let folder = Folder::new();

    let Err(error) = app::open_origins(&sqlite(&folder)) else { panic!("there is no file") };

    let said = Chain(&error).to_string();
    assert!(said.starts_with("the origin `other` cannot be used: "), "{said}");
    assert!(said.contains("No such file"), "{said}");
    assert!(!folder.store().exists());
}

#[test]
fn a_file_that_tls_needs_and_is_not_there_is_named_with_its_origin() {
    let config = configured(&format!("{}ca = \"no-such.pem\"\n", platform("a", "promptot")));

    let Err(error) = app::open_origins(&config) else { panic!("there is no file") };

    let said = Chain(&error).to_string();
    assert!(said.starts_with("the origin `a` cannot be used: `ca`: "), "{said}");
    assert!(said.contains("no-such.pem"), "{said}");
}
