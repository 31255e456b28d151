//! Plays recorded exchanges, whatever the dialect.
//!
//! Each file of `tests/fixtures/dialects/*` is one exchange with a fresh edge: a request, a blank
//! line, the response with every header it has. Bodies stand there as indented JSON, and what
//! differs from run to run in angle brackets. Variables in a URL stand there as they are meant. A
//! line that starts with `#` says what is out of the ordinary beforehand: `# store: unreachable`,
//! `# ledger: away`, `# body: never comes`, `# warm` (the key and another prompt are in memory), `# again`
//! (the same request was made before), `# coded` (it was, and what it asks for was coded). A coded body
//! stands there decoded.
//!
//! To record what the edge says now, set `PROMPT_EDGE_RECORD`; the difference is a change of the
//! API and to be reviewed as one.

use std::convert::Infallible;
use std::fmt::Write;
use std::fs;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::body::{Body, Frame};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use prompt_edge::access::quota::OnLedgerLoss;
use prompt_edge::app::OpenedOrigin;
use prompt_edge::config::Config;
use prompt_edge::delivery::freshness::Freshness;
use prompt_edge::model::{Noun, Plan, PlanName, Rate, Refusal, Scope};
use prompt_edge::origins::upstream::promptot;
use prompt_edge::origins::{NewKey, Store};
use serde_json::{Value, json};

use crate::coding::decoded;
use crate::harness;
use crate::harness::edge::Edge;
use crate::harness::exchange::{Answer, compiled, request};
use crate::harness::prompt::{Draft, prompt};
use crate::harness::watched::Fault;

/// What a response begins with.
const RESPONSE: &str = "\n\nHTTP/1.1 ";

/// The recorded exchanges of one dialect.
pub(super) struct Recorded(Vec<PathBuf>);

impl Recorded {
    /// Those in `tests/fixtures/dialects/{dialect}`, by name.
    pub(super) fn of(dialect: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = root.join("tests/fixtures/dialects").join(dialect);
        let entries = fs::read_dir(&folder).expect("the folder is there");
        let mut paths: Vec<_> =
            entries.map(|entry| entry.expect("it is readable").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "http"));
        paths.sort();
        assert!(!paths.is_empty(), "there should be exchanges in {}", folder.display());
        Self(paths)
    }

    /// Plays them all, and fails with every difference; or records them.
    pub(super) async fn play(&self) {
        let is_recording = std::env::var_os("PROMPT_EDGE_RECORD").is_some();
        let mut differences = String::new();
        for path in &self.0 {
            let text = fs::read_to_string(path).expect("a fixture is readable");
            let (asked, recorded) = text.split_once(RESPONSE).unwrap_or((text.trim_end(), ""));
            let answered = Played::start().await.play(asked).await;
            if is_recording {
                fs::write(path, format!("{asked}{RESPONSE}{answered}")).expect("it can be written");
            } else if answered != recorded {
                let name = path.display();
                writeln!(differences, "{name}\nrecorded:\n{recorded}\nanswered:\n{answered}")
                    .expect("a string can be written to");
            }
        }
        assert!(differences.is_empty(), "{differences}");
    }

    /// The method and the target of each.
    pub(super) fn asked(&self) -> Vec<(String, String)> {
        let asked = self.texts().map(|text| {
            let line = text.lines().find(|line| !line.starts_with('#')).expect("it asks");
            let (method, target) = line.split_once(' ').expect("a method and a target");
            (method.to_owned(), target.to_owned())
        });
        asked.collect()
    }

    /// The status and the body of each that has one.
    pub(super) fn answered(&self) -> Vec<(u16, Value)> {
        let answered = self.texts().filter_map(|text| {
            let (_, response) = text.split_once(RESPONSE)?;
            let status = response.split(' ').next()?.parse().ok()?;
            let (_, body) = response.split_once("\n\n")?;
            Some((status, serde_json::from_str(body).ok()?))
        });
        answered.collect()
    }

    fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|path| fs::read_to_string(path).expect("a fixture is readable"))
    }
}

/// The edge that a fixture is played with.
struct Played {
    edge: Edge,
    /// What stands in angle brackets, and what stands for it in a request.
    words: Vec<(&'static str, String)>,
    /// The UUIDs of every project.
    projects: Vec<String>,
}

impl Played {
    async fn start() -> Self {
        // Nobody listens there: what it is about is settled before it is asked.
        let origin = OpenedOrigin {
            origin: Arc::new(promptot::PromptOt::new(
                harness::promptot::upstream("http://127.0.0.1:9"),
                promptot::Config::default(),
            )),
            guard: None,
            freshness: Freshness::default(),
            lets_keys_through: false,
        };
        let prompts = [greeting(), report(), warm()];
        let edge = Edge::in_front_of(&limited(), vec![origin], prompts).await;
        let compiling = edge.project_of("promptot", "compiling").await;
        let spent = edge.project_on("one_a_month", "spent", greeting()).await;
        let long = edge.project_on("enterprise", "long", long()).await;
        let slow = edge.project_on("one_a_second", "slow", greeting()).await;
        edge.draft(prompt("unpublished").id(ids::UNPUBLISHED).text("Not yet")).await;
        edge.draft(greeting().text("And another thing.")).await;
        edge.another_project("empty").await;
        let (empty, _) = edge.key("empty", "live").await;
        let (revoked, id) = edge.key("acme", "live").await;
        edge.revoke(id).await;
        edge.record_key("expired", |new| new.expires_at = Some(new.at)).await;
        edge.record_key("powerless", |new| new.scopes.clear()).await;
        for (token, environment) in [("edge", "live"), ("edge-dev", "dev")] {
            let environment = environment.to_owned();
            let change = |new: &mut NewKey| {
                (new.scopes, new.environment) = (vec![Scope::Edge], environment);
            };
            edge.record_key(token, change).await;
        }
        edge.follow().await;

        let object = |len: usize| json!({ "a": "x".repeat(len - r#"{"a":""}"#.len()) }).to_string();
        let words = vec![
            ("<live>", edge.live.clone()),
            ("<dev>", edge.dev.clone()),
            ("<edge>", "edge".to_owned()),
            ("<edge-dev>", "edge-dev".to_owned()),
            ("<empty>", empty),
            ("<long>", long),
            ("<spent>", spent),
            ("<slow>", slow),
            ("<compiling>", compiling),
            ("<revoked>", revoked),
            ("<project>", edge.project.uuid.to_string()),
            ("<64 KiB of variables and a byte>", object((64 << 10) + 1)),
            ("<128 KiB of variables and a byte>", object((128 << 10) + 1)),
        ];
        let projects = edge.store.projects().await.expect("the store answers").into_iter();
        let projects = projects.map(|project| project.uuid.to_string()).collect();
        Self { edge, words, projects }
    }

    /// Makes the request and writes down the answer.
    async fn play(&self, asked: &str) -> String {
        for line in asked.lines().filter(|line| line.starts_with('#')) {
            match line {
                "# again" => drop(self.edge.ask(self.request(asked)).await),
                "# coded" => {
                    self.edge.ask(self.request(asked)).await.expect_status(200);
                    self.edge.all_is_quiet().await;
                }
                "# warm" => {
                    let warm = self.edge.get(compiled("warm"), &self.edge.live).await;
                    warm.expect_status(200);
                }
                "# body: never comes" => {}
                "# ledger: away" => self.edge.ledger.goes_away(),
                "# store: busy" => self.edge.store.fail_with(Fault::Busy),
                "# store: malformed" => self.edge.store.fail_with(Fault::Malformed),
                "# store: panics" => self.edge.store.fail_with(Fault::Panics),
                "# store: timed out" => self.edge.store.fail_with(Fault::TimedOut),
                "# store: unreachable" => self.edge.store.fail_with(Fault::Unreachable),
                _ => panic!("`{line}` means nothing"),
            }
        }
        let request = match self.request(asked) {
            tagged if asked.contains("etag>") => self.with_current_tag(tagged).await,
            plain => plain,
        };
        let path = request.uri().path();
        let is_of_run = path.ends_with("/compiled") || path.starts_with("/edge/v1/prompts/");
        let is_head = *request.method() == http::Method::HEAD;
        let answer = if asked.contains("# body: never comes") {
            self.edge.ask(request.map(|_| Never)).await
        } else {
            self.edge.ask(request).await
        };
        self.written(&answer, is_of_run, is_head)
    }

    /// The request of a fixture. Variables stand in it as they are meant, and are encoded here.
    fn request(&self, asked: &str) -> Request<Full<Bytes>> {
        let known = |text: &str| {
            let words = self.words.iter();
            words.fold(text.to_owned(), |text, (word, meant)| text.replace(word, meant))
        };
        let asked: Vec<_> = asked.lines().filter(|line| !line.starts_with('#')).collect();
        let (head, body) = match asked.iter().position(|line| line.is_empty()) {
            Some(end) => (&asked[..end], asked[end + 1..].join("\n")),
            None => (&asked[..], String::new()),
        };
        let (method, target) = head[0].split_once(' ').expect("a method and a target");
        let mut request = Request::builder().method(method).uri(encoded(target));
        for line in &head[1..] {
            let (name, value) = line.split_once(':').expect("a header has a colon");
            request = request.header(name, known(value.trim()));
        }
        request.body(Full::from(known(&body))).expect("the fixture is a request")
    }

    /// The same request, with the tag that a `GET` of its target has now.
    async fn with_current_tag(&self, asked: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
        let (mut parts, body) = asked.into_parts();
        let key = parts.headers["authorization"].to_str().expect("a key is ASCII");
        let key = key.strip_prefix("Bearer ").expect("a key is a bearer's");
        let current = self.edge.ask(request("GET", &parts.uri.to_string(), key)).await;
        let tags = parts.headers["if-none-match"].to_str().expect("a tag is ASCII");
        let tags = tags.replace("<etag>", current.header("etag"));
        let tags = tags.replace("<bare etag>", current.header("etag").trim_matches('"'));
        parts.headers.insert("if-none-match", tags.parse().expect("a tag is a header value"));
        Request::from_parts(parts, body)
    }

    /// An answer as it stands in a fixture: status, headers by name, body.
    fn written(&self, answer: &Answer, is_of_run: bool, is_head: bool) -> String {
        let mut headers: Vec<_> = answer.headers.iter().collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        let mut text = format!("{}\n", answer.status_line());
        for (name, value) in headers {
            let value = value.to_str().expect("headers are ASCII");
            let value = match name.as_str() {
                "x-request-id" => "<uuid>",
                // It depends on the project's UUID, which is another in every run.
                "etag" if is_of_run => &masked(value),
                _ => value,
            };
            writeln!(text, "{name}: {value}").expect("a string can be written to");
        }
        // The server leaves the body of an answer to HEAD away.
        if !answer.body.is_empty() && !is_head {
            let plain = decoded(answer);
            let mut body: Value = serde_json::from_slice(&plain).expect("the body is JSON");
            if let Some(id) = body.pointer_mut("/version/id") {
                *id = "<version>".into();
            }
            let body = serde_json::to_string_pretty(&body).expect("JSON can be written");
            let projects = self.projects.iter();
            let body = projects.fold(body, |body, project| body.replace(project, "<project>"));
            writeln!(text, "\n{body}").expect("a string can be written to");
        }
        text
    }
}

/// A body that never comes.
struct Never;

impl Body for Never {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// Plans that are soon spent, a ledger whose loss is a refusal, and no time for bodies that are not
/// there.
fn limited() -> Config {
    let mut config = Config::default();
    config.server.deadlines.body = Duration::ZERO;
    config.limits.quota.on_ledger_loss = OnLedgerLoss::Refuse;
    let one = NonZeroU32::MIN;
    let plan = |name: &str| Plan {
        name: PlanName::new(name),
        requests_per_month: None,
        rate: None,
        key_rate: None,
        weight: one,
    };
    let a_month = Plan { requests_per_month: Some(NonZeroU64::MIN), ..plan("one_a_month") };
    let rate = Some(Rate { per_second: one, burst: one });
    let a_second = Plan { rate, ..plan("one_a_second") };
    for plan in [a_month, a_second] {
        config.limits.plans.insert(plan.name.clone(), plan);
    }
    config
}

/// One of each, so that the list is complete when it compiles.
pub(super) fn every_refusal() -> Vec<Refusal> {
    let retry_after = Duration::from_secs(1);
    vec![
        Refusal::BadInput { field: "variables", problem: "…".into() },
        Refusal::Forbidden { needs: Scope::Deliver },
        Refusal::MethodNotAllowed { allow: "GET" },
        Refusal::NotFound { noun: Noun::Prompt },
        Refusal::NotFound { noun: Noun::Route },
        Refusal::TooLarge { limit_bytes: 1 },
        Refusal::TooSlow,
        Refusal::Unauthenticated,
        Refusal::Overloaded { retry_after },
        Refusal::QuotaUnknown { retry_after },
        Refusal::QuotaSpent { budgets: Box::default() },
        Refusal::RateLimited { retry_after, budgets: Box::default() },
        Refusal::OriginBroken { retry_after: Duration::from_secs(1) },
        Refusal::NotKept,
        Refusal::OriginTimedOut { retry_after },
        Refusal::OriginUnreachable { retry_after },
        Refusal::Internal,
        Refusal::CompiledByOrigin,
    ]
}

pub(super) mod ids {
    //! UUIDs that stay the same from run to run.

    pub(in crate::dialects) const GREETING: &str = "0198f3a1-7c2e-7d30-9a4b-5c6d7e8f9a01";
    pub(in crate::dialects) const REPORT: &str = "0198f3a1-7c2e-7d30-9a4b-5c6d7e8f9a02";
    pub(in crate::dialects) const UNPUBLISHED: &str = "0198f3a1-7c2e-7d30-9a4b-5c6d7e8f9a03";
    pub(in crate::dialects) const LONG: &str = "0198f3a1-7c2e-7d30-9a4b-5c6d7e8f9a05";
    pub(in crate::dialects) const WARM: &str = "0198f3a1-7c2e-7d30-9a4b-5c6d7e8f9a04";
}

pub(super) fn greeting() -> Draft {
    prompt("greeting")
        .id(ids::GREETING)
        .block("Role", "You greet {{name}} in {{language}}.\n")
        .block("Rules", "Be kind to {{name}}.")
        .default("language", "English")
        .default("unused", Value::Null)
        .model_config("model", "gpt-4o")
        .model_config("temperature", 0.2)
        .model_config("max_tokens", 512)
}

/// Long enough that its answers are coded.
fn long() -> Draft {
    prompt("long")
        .id(ids::LONG)
        .text("You answer {{name}} in their own language. ".repeat(30).trim())
}

fn report() -> Draft {
    prompt("report").id(ids::REPORT).text("{{from}} to {{to}}").required("from").required("to")
}

fn warm() -> Draft {
    prompt("warm").id(ids::WARM).text("Warm in {{place}}")
}

/// A tag without what is of a run; the end that names a coding stays.
fn masked(tag: &str) -> String {
    let coding = tag.trim_matches('"').get(SHA_256..).unwrap_or_default();
    format!("<etag>{coding}")
}

/// How long SHA-256 is in base64url.
const SHA_256: usize = 43;

/// A target whose variables are percent-encoded.
fn encoded(target: &str) -> String {
    let Some((before, variables)) = target.split_once("variables={") else {
        return target.to_owned();
    };
    let (variables, after) = variables.split_once('&').unwrap_or((variables, ""));
    let variables = utf8_percent_encode(&format!("{{{variables}"), NON_ALPHANUMERIC).to_string();
    let and = if after.is_empty() { "" } else { "&" };
    format!("{before}variables={variables}{and}{}", encoded(after))
}
