//! From arguments to a plan: the files that they name are read, and every request is made ready.

use std::fmt::Display;
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use rustls::ClientConfig;
use serde_json::{Map, Value, json};

use crate::cli::bench::arguments::{Arguments, How, What};
use crate::load::Plan;
use crate::load::choice::{Choice, Zipf};
use crate::load::connection::Protocol;
use crate::load::schedule::Length;
use crate::load::target::{Target, Template};
use crate::telemetry::trace::Chain;
use crate::wire::client;

/// The arguments with all their files read: what a plan is made of, and how it is reported.
pub(super) struct Given {
    pub(super) plan: Plan,
    pub(super) settings: Value,
}

/// What is wrong with an argument that was well-formed by itself.
#[derive(Debug)]
pub(super) struct Wrong(pub(super) String);

impl Wrong {
    fn flag(flag: &str, problem: impl Display) -> Self {
        Self(format!("`{flag}`: {problem}"))
    }
}

impl Arguments {
    /// Reads the files, and makes every request ready.
    pub(super) fn given(&self) -> Result<Given, Wrong> {
        let Self { how, what, other, .. } = self;
        if how.connections < how.threads {
            let problem = "each thread needs a connection: give at least as many";
            return Err(Wrong::flag("--connections", problem));
        }
        let rounds = other.vs.as_ref().map_or(1, |_| other.rounds);
        let length = self.length(rounds)?;
        let (slugs, variables) = (what.slugs()?, what.variables()?);
        let protocol = if how.http2 { Protocol::Http2 } else { Protocol::Http1 };

        let targets = self.targets((&slugs, &variables), protocol)?;
        let ranks = [slugs.len(), variables.len()];
        let [by_slug, by_variables] = ranks.map(|ranks| Zipf::new(ranks, what.zipf));
        let settings = self.settings(rounds, protocol, ranks);
        let plan = Plan {
            targets,
            protocol,
            tls: how.tls()?,
            choice: Choice::new(by_slug, by_variables, what.not_modified, what.seed),
            rate: how.rate,
            length,
            rounds,
            warm_up: how.warm_up,
            connections: how.connections,
            streams: how.streams,
            threads: how.threads,
            timeout: how.timeout,
        };
        Ok(Given { plan, settings })
    }

    /// The first target, and the second if there is one.
    fn targets(
        &self,
        asked: (&[String], &[String]),
        protocol: Protocol,
    ) -> Result<Vec<Arc<Target>>, Wrong> {
        let Self { url, caller, other, .. } = self;
        let target = |flag, template: &Template, identity: &Identity<'_>| {
            let (addresses, headers) = (resolve(flag, template)?, identity.headers()?);
            let target = Target::new(template, addresses, asked, headers, protocol);
            target.map(Arc::new).map_err(|invalid| Wrong::flag(flag, invalid))
        };
        let own = Template::parse(url).map_err(|invalid| Wrong::flag("URL", invalid))?;
        let identity = Identity {
            prefix: "--",
            key: caller.key.as_deref(),
            key_file: caller.key_file.as_deref(),
            headers: &caller.header,
        };
        let mut targets = vec![target("URL", &own, &identity)?];
        if let Some(url) = &other.vs {
            let vs = Template::parse(url).map_err(|invalid| Wrong::flag("--vs", invalid))?;
            let identity = Identity {
                prefix: "--vs-",
                key: other.vs_key.as_deref(),
                key_file: other.vs_key_file.as_deref(),
                headers: &other.vs_header,
            };
            targets.push(target("--vs", &vs.or_path_of(&own), &identity)?);
        }
        Ok(targets)
    }

    fn length(&self, rounds: u32) -> Result<Length, Wrong> {
        let Some(requests) = self.how.requests else {
            return Ok(Length::For(self.how.duration.unwrap_or(DEFAULT_DURATION)));
        };
        if requests < u64::from(rounds) {
            let problem =
                format!("there are {rounds} rounds: give as many requests, or fewer --rounds");
            return Err(Wrong::flag("--requests", problem));
        }
        Ok(Length::Requests(requests))
    }

    /// How it was asked for; no key and no header.
    fn settings(&self, rounds: u32, protocol: Protocol, [slugs, variables]: [usize; 2]) -> Value {
        let Self { how, what, .. } = self;
        let duration = how.requests.is_none().then(|| how.duration.unwrap_or(DEFAULT_DURATION));
        json!({
            "rate": how.rate,
            "latency_from": if how.rate.is_some() { "due" } else { "sent" },
            "connections": how.connections,
            "streams": how.streams,
            "threads": how.threads,
            "protocol": protocol.as_str(),
            "duration_seconds": duration.map(|duration| duration.as_secs_f64()),
            "requests": how.requests,
            "rounds": rounds,
            "warm_up_seconds": how.warm_up.as_secs_f64(),
            "timeout_seconds": how.timeout.as_secs_f64(),
            "slugs": slugs,
            "variables": variables,
            "zipf": what.zipf,
            "not_modified": what.not_modified,
            "seed": what.seed,
        })
    }
}

impl What {
    fn slugs(&self) -> Result<Vec<String>, Wrong> {
        let Some(file) = &self.slugs_file else {
            if self.slug.iter().any(String::is_empty) {
                return Err(Wrong::flag("--slug", "a slug is empty: leave it out"));
            }
            return Ok(self.slug.clone());
        };
        let text = read("--slugs-file", file)?;
        let slugs = lines(&text).map(|(_, slug)| slug.to_owned()).collect::<Vec<_>>();
        if slugs.is_empty() {
            let problem = format!("{} holds no slug: write one on each line", file.display());
            return Err(Wrong::flag("--slugs-file", problem));
        }
        Ok(slugs)
    }

    /// The sets of variables as they are sent, in compact JSON.
    fn variables(&self) -> Result<Vec<String>, Wrong> {
        let mut sets = Vec::new();
        for given in &self.variables {
            if given.trim_start().starts_with('{') {
                sets.push(object(given).ok_or_else(|| Wrong::flag("--variables", OBJECT))?);
                continue;
            }
            let file = Path::new(given);
            for (number, line) in lines(&read("--variables", file)?) {
                let set = object(line).ok_or_else(|| {
                    Wrong::flag("--variables", format!("{given}, line {number}: {OBJECT}"))
                })?;
                sets.push(set);
            }
        }
        let Some((name, count)) = &self.distinct else {
            return Ok(sets.into_iter().map(|set| Value::Object(set).to_string()).collect());
        };
        if sets.len() > 1 {
            let problem = "it completes one set: give `--variables` once at most";
            return Err(Wrong::flag("--distinct", problem));
        }
        let mut set = sets.pop().unwrap_or_default();
        // As long as each other, so that answers are too.
        let width = count.to_string().len();
        let sets = (1..=*count).map(|number| {
            set.insert(name.clone(), format!("{number:0width$}").into());
            Value::Object(set.clone()).to_string()
        });
        Ok(sets.collect())
    }
}

impl How {
    fn tls(&self) -> Result<ClientConfig, Wrong> {
        let config = client::Config { ca: self.ca.clone(), ..client::Config::default() };
        // The setting has the flag's name, but for its dashes.
        let wrong = |unusable| Wrong(Chain(&unusable).to_string().replacen("`ca`", "`--ca`", 1));
        client::tls::of(&config).map_err(wrong)
    }
}

/// As whom a target is asked, by flags that begin with `prefix`.
struct Identity<'a> {
    prefix: &'static str,
    key: Option<&'a str>,
    key_file: Option<&'a Path>,
    headers: &'a [String],
}

impl Identity<'_> {
    /// What every request carries. No problem shows a value: it may be a secret.
    fn headers(&self) -> Result<HeaderMap, Wrong> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, client::AGENT);
        if let Some(key) = self.key()? {
            headers.insert(AUTHORIZATION, key);
        }
        for line in self.headers {
            let (name, value) = header(line).ok_or_else(|| {
                let flag = format!("{}header", self.prefix);
                Wrong::flag(&flag, "expected a name, a colon and a value")
            })?;
            headers.insert(name, value);
        }
        Ok(headers)
    }

    fn key(&self) -> Result<Option<HeaderValue>, Wrong> {
        let (flag, key) = match (self.key_file, self.key) {
            (Some(file), _) => {
                let flag = format!("{}key-file", self.prefix);
                let text = read(&flag, file)?;
                (flag, text.trim().to_owned())
            }
            (None, Some(key)) => (format!("{}key", self.prefix), key.to_owned()),
            (None, None) => return Ok(None),
        };
        let is_visible = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        let value = HeaderValue::try_from(format!("Bearer {key}")).ok().filter(|_| is_visible);
        let problem = "a key is one line of visible ASCII";
        let mut value = value.ok_or_else(|| Wrong::flag(&flag, problem))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

/// Looked up once: all connections go to one place, and no look-up is measured.
fn resolve(flag: &str, template: &Template) -> Result<Vec<SocketAddr>, Wrong> {
    let (host, _) = template.place();
    let found = template.place().to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    match found {
        Ok(addresses) if !addresses.is_empty() => Ok(addresses),
        Ok(_) => Err(Wrong::flag(flag, format!("{host} has no address"))),
        Err(error) => Err(Wrong::flag(flag, format!("{host} has no address: {error}"))),
    }
}

fn read(flag: &str, file: &Path) -> Result<String, Wrong> {
    let problem = |error| Wrong::flag(flag, format!("{} cannot be read: {error}", file.display()));
    fs::read_to_string(file).map_err(problem)
}

/// The lines that hold something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty())
}

fn object(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

const OBJECT: &str = r#"expected a JSON object, such as {"name": "Ada"}"#;

const DEFAULT_DURATION: Duration = Duration::from_secs(10);
