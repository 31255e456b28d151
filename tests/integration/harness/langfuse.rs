//! A Langfuse project behind its public API.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::request::Parts;
use percent_encoding::percent_decode_str;
use prompt_edge::model::{Credential, OriginName, Reads, Timestamp};
use prompt_edge::origins::upstream::Upstream;
use prompt_edge::origins::upstream::langfuse::{Config, Langfuse};
use prompt_edge::origins::{Origin, Reader};
use prompt_edge::wire::client;
use serde_json::{Value, json};

use crate::contract::origin::{self, Drafts, Keys, Place};
use crate::harness::process::PATIENCE;
use crate::harness::vendor::{Said, Vendor};

/// The key of the project, `public:secret`.
pub(crate) const KEY: &str = "pk-lf-1:sk-lf-1";

/// The same as it is sent.
const BASIC: &str = "Basic cGstbGYtMTpzay1sZi0x";

/// Where prompts are.
const PROMPTS: &str = "/api/public/v2/prompts";

/// A project, and an origin that reads it.
pub(crate) struct Project {
    pub(crate) vendor: Vendor,
    shelf: Arc<Shelf>,
    origin: Arc<dyn Origin>,
}

impl Project {
    /// A project without prompts.
    pub(crate) async fn empty() -> Self {
        Self::configured(config()).await
    }

    /// A project without prompts that is read in another way.
    pub(crate) async fn configured(config: Config) -> Self {
        let shelf = Arc::<Shelf>::default();
        let answering = Arc::clone(&shelf);
        let vendor = Vendor::start(move |asked| answering.answer(asked)).await;
        let origin = Arc::new(Langfuse::new(upstream(&vendor), config));
        Self { vendor, shelf, origin }
    }

    /// Puts a label on another version.
    pub(crate) fn relabel(&self, name: &str, label: &str, version: usize) {
        self.shelf.state().relabel(name, label, version);
    }

    /// The lists that were asked for so far.
    pub(crate) fn lists(&self) -> Vec<String> {
        let asked = self.vendor.asked().into_iter().map(|asked| asked.target);
        asked.filter(|target| target.starts_with(&format!("{PROMPTS}?"))).collect()
    }
}

/// How the platform is reached.
pub(crate) fn upstream(vendor: &Vendor) -> Upstream {
    let base_url = vendor.url().parse().expect("it is a URL");
    let patient = client::Config {
        first_byte_timeout: PATIENCE,
        total_timeout: PATIENCE,
        ..client::Config::default()
    };
    let name = OriginName::new("langfuse");
    Upstream::new(name, &base_url, &patient).expect("loopback needs no TLS")
}

/// Looks for changes as often as it can, every second time through the whole list.
pub(crate) fn config() -> Config {
    Config {
        key: Some(Credential::new(KEY)),
        poll_interval: Duration::from_millis(1),
        full_list_every: NonZeroU32::MIN.saturating_add(1),
        ..Config::default()
    }
}

impl Place for Project {
    fn origin(&self) -> Arc<dyn Origin> {
        Arc::clone(&self.origin)
    }

    fn reader(&self, reads: Reads) -> Reader {
        origin::reader(reads)
    }

    async fn publish(&self, name: &str, text: &str) {
        self.shelf.state().write(name, text, &["production", "latest"]);
    }

    async fn delete(&self, name: &str) {
        self.shelf.state().prompts.remove(name).expect("the prompt exists");
    }

    async fn goes_away(&self) {
        self.vendor.kill().await;
    }

    async fn comes_back(&self) {
        self.vendor.revive().await;
    }
}

impl Drafts for Project {
    async fn draft(&self, name: &str, text: &str) {
        self.shelf.state().write(name, text, &["latest"]);
    }
}

impl Keys for Project {
    fn key(&self) -> Credential {
        Credential::new(KEY)
    }

    fn wrong_key(&self) -> Credential {
        Credential::new("pk-lf-1:sk-lf-2")
    }
}

/// The prompts of the project.
#[derive(Default)]
struct Shelf(Mutex<State>);

#[derive(Default)]
struct State {
    /// How many writes there were: each has a moment of its own.
    writes: i64,
    /// The versions of each prompt, from the first on.
    prompts: BTreeMap<String, Vec<Version>>,
}

struct Version {
    text: String,
    labels: Vec<String>,
    updated_at: Timestamp,
}

impl Shelf {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, asked: &Parts) -> Said {
        if asked.headers.get("authorization").is_none_or(|key| key != BASIC) {
            return said(
                401,
                "Invalid credentials. Confirm that you've configured the correct host.",
            );
        }
        let Some(rest) = asked.uri.path().strip_prefix(PROMPTS) else {
            return said(404, "Not Found");
        };
        let query = Query::of(asked.uri.query().unwrap_or_default());
        let state = self.state();
        match rest.strip_prefix('/') {
            Some(name) => state.prompt(&decoded(name), &query),
            None => state.page(&query),
        }
    }
}

impl State {
    fn write(&mut self, name: &str, text: &str, labels: &[&str]) {
        let versions = self.prompts.entry(name.to_owned()).or_default();
        let updated_at = Timestamp::default();
        versions.push(Version { text: text.to_owned(), labels: Vec::new(), updated_at });
        let newest = versions.len();
        for label in labels {
            self.relabel(name, label, newest);
        }
    }

    /// Both the version that gets the label and the one that loses it are updated by that.
    fn relabel(&mut self, name: &str, label: &str, version: usize) {
        self.writes += 1;
        let now = Timestamp::from_millis(1_772_366_400_000 + self.writes);
        let versions = self.prompts.get_mut(name).expect("the prompt exists");
        for (number, its) in (1..).zip(versions) {
            let had = its.labels.len();
            its.labels.retain(|kept| kept != label);
            if number == version {
                its.labels.push(label.to_owned());
            }
            if number == version || its.labels.len() != had {
                its.updated_at = now;
            }
        }
    }

    fn prompt(&self, name: &str, query: &Query) -> Said {
        let (label, version) = (query.get("label"), query.get("version"));
        let wanted = match (&label, &version) {
            (Some(_), Some(_)) => return said(400, "Cannot specify both version and label"),
            (_, Some(version)) => format!("version {version}"),
            (label, None) => format!("label '{}'", label.as_deref().unwrap_or("production")),
        };
        let is_wanted = |number: usize, its: &Version| match &version {
            Some(version) => number.to_string() == *version,
            None => its.labels.iter().any(|its| *its == *label.as_deref().unwrap_or("production")),
        };
        let versions = (1..).zip(self.prompts.get(name).into_iter().flatten());
        match versions.into_iter().find(|(number, its)| is_wanted(*number, its)) {
            Some((number, found)) => Said::json(prompt(name, number, found)),
            None => said(404, &format!("Prompt not found: '{name}' with {wanted}")),
        }
    }

    fn page(&self, query: &Query) -> Said {
        let from = query.get("fromUpdatedAt").and_then(|from| Timestamp::parse(&from));
        let rows: Vec<_> =
            self.prompts.iter().filter_map(|(name, versions)| row(name, versions, from)).collect();
        let number = |name, default| {
            query.get(name).map_or(default, |number| number.parse().expect("it is a number"))
        };
        let (page, limit) = (number("page", 1_usize), number("limit", 50));
        assert!((1..=100).contains(&limit), "Langfuse gives at most 100 rows");
        let meta = json!({
            "page": page,
            "limit": limit,
            "totalItems": rows.len(),
            "totalPages": rows.len().div_ceil(limit),
        });
        let data: Vec<_> = rows.into_iter().skip((page - 1) * limit).take(limit).collect();
        Said::json(json!({"data": data, "meta": meta}))
    }
}

fn prompt(name: &str, number: usize, version: &Version) -> Value {
    json!({
        "id": format!("clx{number}{name}"),
        "createdAt": "2026-03-01T12:00:00.000Z",
        "updatedAt": version.updated_at.to_string(),
        "projectId": "clkpwwm0m000gmm094odg11gi",
        "createdBy": "cl0user",
        "name": name,
        "version": number,
        "type": "text",
        "prompt": version.text,
        "config": {},
        "labels": version.labels,
        "tags": [],
        "commitMessage": null,
        "resolutionGraph": null,
        "isActive": null,
    })
}

/// A prompt in the list, made of the versions that were updated at `from` or later.
fn row(name: &str, versions: &[Version], from: Option<Timestamp>) -> Option<Value> {
    let all = (1_usize..).zip(versions);
    let updated: Vec<_> =
        all.filter(|(_, version)| from.is_none_or(|from| version.updated_at >= from)).collect();
    let last = updated.iter().map(|(_, version)| version.updated_at).max()?;
    Some(json!({
        "name": name,
        "type": "text",
        "versions": updated.iter().map(|(number, _)| number).collect::<Vec<_>>(),
        "labels": updated.iter().flat_map(|(_, version)| &version.labels).collect::<Vec<_>>(),
        "tags": [],
        "lastUpdatedAt": last.to_string(),
        "lastConfig": {},
    }))
}

fn said(status: u16, message: &str) -> Said {
    Said { status, ..Said::json(json!({"message": message})) }
}

/// A query's parameters.
struct Query(BTreeMap<String, String>);

impl Query {
    fn of(query: &str) -> Self {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect())
    }

    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().expect("it is UTF-8").into_owned()
}
