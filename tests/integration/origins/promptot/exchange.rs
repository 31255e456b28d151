//! Exchanges that were recorded, played by a vendor on a socket.

use std::fs;

use prompt_edge::model::{Credential, Listed, PromptName, Reads};
use prompt_edge::origins::upstream::promptot::{Config, PromptOt};
use prompt_edge::origins::{Compile, Error, Origin, Question, Text, Told, Validator, View};

use crate::contract::origin::reader;
use crate::harness::promptot::upstream;
use crate::harness::vendor::{Said, Vendor};

/// Where they are.
pub(super) const FIXTURES: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/origins/promptot");

/// An origin that says what was recorded, whatever it is asked.
pub(super) struct Recorded {
    vendor: Vendor,
    origin: PromptOt,
    /// The question that it answers.
    asked: String,
}

impl Recorded {
    pub(super) async fn start(fixture: &str) -> Self {
        let path = format!("{FIXTURES}/{fixture}.http");
        let text = fs::read_to_string(path).expect("the fixture is readable");
        let (asked, answered) = text.split_once("\n\nHTTP/1.1 ").expect("it is an exchange");
        let (head, body) = answered.split_once("\n\n").unwrap_or((answered.trim_end(), ""));
        let said = said(head, body);
        let vendor = Vendor::start(move |_| said.clone()).await;
        let config = Config {
            key: Some(Credential::new("pk_live_recorded")),
            draft_key: Some(Credential::new("pk_dev_recorded")),
        };
        let base_url = format!("{}/api/v1", vendor.url());
        Self { vendor, origin: PromptOt::new(upstream(&base_url), config), asked: asked.to_owned() }
    }

    /// Asks for the compiled prompt.
    pub(super) async fn ask(
        &self,
        name: &str,
        variables: Option<&str>,
        known: Option<&Validator>,
    ) -> Result<Told<Text>, Error> {
        self.ask_as(Reads::Published, name, View::Compiled, variables, known).await
    }

    pub(super) async fn ask_as(
        &self,
        reads: Reads,
        name: &str,
        view: View,
        variables: Option<&str>,
        known: Option<&Validator>,
    ) -> Result<Told<Text>, Error> {
        let reader = reader(reads);
        let prompt = PromptName::anywhere(name).expect("some platform could call a prompt that");
        let compile = Some(&Compile { view, variables: variables.map(Into::into) });
        let question = Question { reader: &reader, prompt: &prompt, compile, known };
        let told = self.origin.prompt(question).await;
        self.was_asked_as_recorded();
        told
    }

    pub(super) async fn list(&self, known: Option<&Validator>) -> Result<Told<Vec<Listed>>, Error> {
        let told = self.origin.listing(&reader(Reads::Published), known).await;
        self.was_asked_as_recorded();
        told
    }

    /// Of the headers, those count that say who asks and what is known.
    fn was_asked_as_recorded(&self) {
        let asked = self.vendor.asked().into_iter().next().expect("it was asked");
        let mut lines = vec![format!("{} {}", asked.method, asked.target)];
        for name in ["authorization", "if-none-match"] {
            if let Some(value) = asked.headers.get(name) {
                lines.push(format!("{name}: {}", value.to_str().expect("headers are ASCII")));
            }
        }
        assert_eq!(lines.join("\n"), self.asked);
    }
}

/// The answer under this status line.
fn said(head: &str, body: &str) -> Said {
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.get(..3)).map(str::parse);
    let said = Said::status(status.expect("there is a status").expect("it is a number"));
    let said = lines.fold(said, |said, line| {
        let (name, value) = line.split_once(": ").expect("a header has a value");
        let known = ["cache-control", "content-type", "etag", "retry-after"];
        let name = known.into_iter().find(|known| *known == name);
        said.with(name.expect("the header is one of the known"), value)
    });
    Said { body: body.to_owned().into(), ..said }
}
