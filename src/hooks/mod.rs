//! An origin tells what changed.
//!
//! An origin that is only ever asked is as old here as the last question. A hook is its word that
//! something is no longer what it was: the prompts that it names are asked for anew at once, and
//! what is kept of them still rescues. So a hook can make an edge ask, and never make it forget.
//!
//! | # | phase  | may end with             | status |
//! |---|--------|--------------------------|-------:|
//! | 1 | find   | no such origin, no hook  |    404 |
//! | 2 | verify | [`signature`]: refused   |    401 |
//! | 3 | read   | [`payload`]: ignored     |    200 |
//! | 4 | judge  | [`seen`]: replayed       |    200 |
//! | 5 | apply  | a soft purge for each name |  200 |
//!
//! # Invariants
//!
//! 1. Nothing of a body is parsed before its signature was found right.
//!    (`a_hook_that_nobody_signed_is_refused_whatever_it_says` in `tests/integration/hooks.rs`)
//! 2. Who is refused never learns which part was wrong. (the same)
//! 3. A hook that says when it was sent is applied once.
//!    (`a_hook_that_is_sent_again_does_nothing`, in the same place)

pub mod payload;
pub mod seen;
pub mod signature;

use std::sync::Arc;

use aws_lc_rs::hmac;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::StatusCode;
use http::header::{ALLOW, WWW_AUTHENTICATE};
use hyper::body::Body;
use serde_json::json;

use crate::clock::Clock;
use crate::delivery::Delivery;
use crate::live::Live;
use crate::model::{Credential, OriginName, PromptName, Timestamp};
use crate::telemetry::Metrics;
use crate::wire::Response;
use crate::wire::body::{self, Limits};
use crate::wire::representation::{uncached_error, uncached_json};

pub use signature::{InvalidSecret, Scheme, SigningKey};

use payload::Event;
use seen::Seen;

/// How one origin's hooks are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    key: SigningKey,
    scheme: Scheme,
}

impl Config {
    /// Hooks signed in this way, with the secret that the vendor shows where hooks are set up.
    ///
    /// # Errors
    ///
    /// If the scheme has no such secrets.
    pub fn new(scheme: Scheme, secret: &Credential) -> Result<Self, InvalidSecret> {
        Ok(Self { key: SigningKey::of(&scheme, secret)?, scheme })
    }
}

/// Where hooks are received, before the origin's name.
pub const PATH: &str = "/hooks/";

/// [`PATH`] as a route, in metrics.
pub const ROUTE: &str = "/hooks/{origin}";

/// The longest hook that is read. It holds the prompt's text in some vendors' hooks.
const MAX_BYTES: u64 = 256 << 10;

/// Receives hooks.
pub struct Hooks {
    hooks: Live<Vec<Hook>>,
    delivery: Arc<Delivery>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// Of which the time is taken.
    body: Live<Limits>,
}

/// What an origin told, once it was believed and applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The prompts that changed, by each name the hook has for them. None: any may have.
    pub names: Vec<PromptName>,
    /// When it happened, or else when the hook was signed, if either was said.
    pub sent_at: Option<Timestamp>,
}

/// Why a hook changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It is about something other than prompts.
    Ignored,
    /// It is not shown that it comes from the origin, and is of now.
    Refused,
    /// It was here before.
    Replayed,
    /// There is no such origin, or it has no hook.
    Unknown,
}

impl Turned {
    /// The outcome in metrics and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Refused => "refused",
            Self::Replayed => "replayed",
            Self::Unknown => "unknown",
        }
    }
}

impl Hooks {
    /// Receives the hooks of these origins. A body may take as long as `body` says to arrive.
    pub fn new(
        origins: impl IntoIterator<Item = (OriginName, Config)>,
        delivery: Arc<Delivery>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        body: Live<Limits>,
    ) -> Self {
        let hooks = Live::new(origins.into_iter().map(Hook::new).collect());
        Self { hooks, delivery, clock, metrics, body }
    }

    /// Receives the hooks of these origins from now on. What was here before is still known.
    pub fn reconfigure(&self, origins: impl IntoIterator<Item = (OriginName, Config)>) {
        let before = self.hooks.load();
        let hooks = origins.into_iter().map(Hook::new).map(|hook| {
            let seen = before.iter().find(|known| known.origin == hook.origin);
            let seen = seen.map_or_else(|| Arc::clone(&hook.seen), |known| Arc::clone(&known.seen));
            Hook { seen, ..hook }
        });
        self.hooks.store(hooks.collect());
    }

    /// Answers a request under [`PATH`].
    pub async fn answer<B>(&self, request: Request<B>) -> Response
    where
        B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let (parts, body) = request.into_parts();
        let origin = parts.uri.path().strip_prefix(PATH).unwrap_or_default();
        if self.find(origin).is_none() {
            return turned(Turned::Unknown);
        }
        if parts.method != Method::POST {
            let mut response = uncached_error(StatusCode::METHOD_NOT_ALLOWED, "use POST");
            response.headers_mut().append(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        let limits = Limits { bytes: MAX_BYTES, ..**self.body.load() };
        let body = match body::read(body, limits).await {
            Ok(body) => body,
            Err(refusal) => return body::refused(&refusal),
        };
        match self.receive(origin, &parts.headers, &body) {
            Ok(_) => outcome("applied"),
            Err(why) => turned(why),
        }
    }

    /// Receives one hook and applies it: what it names is asked for anew.
    ///
    /// # Errors
    ///
    /// Why nothing was done.
    pub fn receive(&self, origin: &str, headers: &HeaderMap, body: &[u8]) -> Result<Told, Turned> {
        let hook = self.find(origin).ok_or(Turned::Unknown)?;
        let judged = hook.judge((headers, body), self.clock.now());
        let outcome = judged.as_ref().map_or_else(|why| why.as_str(), |_| "applied");
        self.metrics.hooks(&hook.origin, outcome).inc();
        tracing::debug!(origin, outcome, "a hook was received");
        let told = judged?;
        self.apply(&hook.origin, &told);
        Ok(told)
    }

    fn find(&self, origin: &str) -> Option<Hook> {
        self.hooks.load().iter().find(|hook| hook.origin.as_str() == origin).cloned()
    }

    fn apply(&self, origin: &OriginName, told: &Told) {
        // One that does not say when it happened is as good as from now.
        let at = told.sent_at.unwrap_or_else(|| self.clock.now());
        self.delivery.told(origin, told.names.clone(), Some(at));
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooks(…)")
    }
}

/// One origin's hook.
#[derive(Clone)]
struct Hook {
    origin: OriginName,
    scheme: Scheme,
    key: hmac::Key,
    seen: Arc<Seen>,
}

impl Hook {
    fn new((origin, Config { key, scheme }): (OriginName, Config)) -> Self {
        Self { origin, scheme, key: key.prepared(), seen: Arc::default() }
    }

    /// What a hook tells, if it is to be believed.
    ///
    /// PromptOT does not sign when it sends. Its body may say so; if not, the same body sent again
    /// cannot be told from a second publish, and is applied: a question that was not needed costs
    /// less than a publish that was missed.
    fn judge(&self, hook: (&HeaderMap, &[u8]), now: Timestamp) -> Result<Told, Turned> {
        let signed =
            signature::verify(&self.scheme, &self.key, hook, now).ok_or(Turned::Refused)?;
        let Event::Prompts { names, at } = payload::read(&self.scheme, hook.1) else {
            return Err(Turned::Ignored);
        };
        if let Some(sent) = signed.at.or(at) {
            if !signature::is_timely(sent, now) {
                return Err(Turned::Refused);
            }
            let until = sent.plus(signature::TOLERANCE);
            if !self.seen.is_first(signed.identity, until, now) {
                return Err(Turned::Replayed);
            }
        }
        Ok(Told { names, sent_at: at.or(signed.at) })
    }
}

fn outcome(outcome: &'static str) -> Response {
    uncached_json(StatusCode::OK, json!({"outcome": outcome}).to_string().into_bytes())
}

fn turned(why: Turned) -> Response {
    match why {
        Turned::Ignored | Turned::Replayed => outcome(why.as_str()),
        Turned::Refused => {
            let remedy = "the signature does not fit: check the secret, the scheme, the header that \
                          it stands in, and both clocks";
            let mut response = uncached_error(StatusCode::UNAUTHORIZED, remedy);
            let challenge = HeaderValue::from_static("Signature");
            response.headers_mut().append(WWW_AUTHENTICATE, challenge);
            response
        }
        Turned::Unknown => {
            uncached_error(StatusCode::NOT_FOUND, "no origin of this name has a hook")
        }
    }
}
