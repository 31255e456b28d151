//! Configured origins, opened: each answers under its name, or says at the start why it cannot.

use prompt_edge::app;
use prompt_edge::config::{Config, File, Sources};
use prompt_edge::model::{PromptName, Reads};
use prompt_edge::origins::{Found, Question, Text};
use prompt_edge::telemetry::trace::Chain;

use crate::contract::origin;
use crate::harness::process::Folder;

fn configured(text: &str) -> Config {
    let file = File { name: "config.toml".into(), text: text.to_owned() };
    let sources = Sources { file: Some(file), ..Sources::default() };
    Config::load(&sources).expect("the text has no problems")
}

fn sqlite(folder: &Folder) -> Config {
    let path = folder.store();
    configured(&format!("[[origins]]\nname = \"other\"\nkind = \"sqlite\"\npath = {path:?}\n"))
}

#[tokio::test]
async fn another_edges_store_is_read_by_the_names_of_things() {
    let folder = Folder::with_project();
    folder.publish("greeting", "Hello");
    let prompt = "greeting".parse::<PromptName>().expect("a slug");
    let reader = origin::reader(Reads::Published);

    let origins = app::open_origins(&sqlite(&folder)).expect("the file is there");

    assert_eq!(origins[0].name().as_str(), "other");
    let question = Question { reader: &reader, prompt: &prompt, compile: None, known: None };
    let told = origins[0].prompt(question).await.expect("it answers");
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
    let key = [("KEY".into(), "s3cret".into())];
    let text = "[[origins]]\nname = \"a\"\nkind = \"promptot\"\nbase_url = \"https://host\"\n\
                key = { env = \"KEY\" }\nca = \"no-such.pem\"\n";
    let file = Some(File { name: "config.toml".into(), text: text.to_owned() });
    let sources = Sources { file, environment: key.into(), ..Sources::default() };
    let config = Config::load(&sources).expect("the text has no problems");

    let Err(error) = app::open_origins(&config) else { panic!("there is no file") };

    let said = Chain(&error).to_string();
    assert!(said.starts_with("the origin `a` cannot be used: `ca`: "), "{said}");
    assert!(said.contains("no-such.pem"), "{said}");
}
