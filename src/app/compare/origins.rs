//! Origins, by their names: how long what one says is used, and its hook, can change. Where it is and
//! how it is asked cannot, because connections, breakers and watchers stand behind that.

use std::collections::BTreeMap;

use super::{Notes, display, duration, or_none, secret, shown, size};
use crate::admin::reload::Waiting;
use crate::cache::provenance::Windows;
use crate::config::{Keys, Kind, Labels, Origin, Remote};
use crate::delivery::freshness::Freshness;
use crate::origins::guard;
use crate::wire::client;

impl Notes {
    /// What is wanted becomes what there is, in its order: no origin comes or goes without a restart.
    pub(super) fn origins(&mut self, running: &[Origin], wanted: &mut Vec<Origin>) {
        let mut new = std::mem::take(wanted);
        for origin in running {
            let same = new.iter().position(|other| other.name == origin.name);
            wanted.push(match same.map(|place| new.remove(place)) {
                Some(mut other) => {
                    self.origin(origin, &mut other);
                    other
                }
                None => {
                    self.comes_or_goes(origin, ["configured", "none"]);
                    origin.clone()
                }
            });
        }
        for origin in new {
            self.comes_or_goes(&origin, ["none", "configured"]);
        }
    }

    fn comes_or_goes(&mut self, origin: &Origin, [running, wanted]: [&str; 2]) {
        let (running, wanted) = (running.to_owned(), wanted.to_owned());
        self.waiting.push(Waiting { key: format!("origins.{}", origin.name), running, wanted });
    }

    fn origin(&mut self, running: &Origin, wanted: &mut Origin) {
        let Origin { name, kind, freshness, guard, hook } = running;
        let at = |key: &str| format!("origins.{name}.{key}");
        self.freshness(&at, freshness, &wanted.freshness);
        self.live(at("hook"), hook, &wanted.hook);
        self.guard(&at, guard, &mut wanted.guard);
        self.kind(&at, kind, &mut wanted.kind);
    }

    fn freshness(&mut self, at: &impl Fn(&str) -> String, running: &Freshness, wanted: &Freshness) {
        let Freshness {
            windows: Windows { fresh, stale, rescue },
            fail_closed,
            max_staleness,
            environments,
            prompts,
        } = running;
        self.live(at("fresh"), fresh, &wanted.windows.fresh);
        self.live(at("stale"), stale, &wanted.windows.stale);
        self.live(at("rescue"), rescue, &wanted.windows.rescue);
        self.live(at("fail_closed"), fail_closed, &wanted.fail_closed);
        self.live(at("max_staleness"), max_staleness, &wanted.max_staleness);
        self.live(at("environments"), environments, &wanted.environments);
        self.live(at("prompts"), prompts, &wanted.prompts);
    }

    fn guard(
        &mut self,
        at: &impl Fn(&str) -> String,
        running: &guard::Config,
        wanted: &mut guard::Config,
    ) {
        // The last two are made of other settings, which are compared themselves.
        let guard::Config { retries, breaker_failures, breaker_open, deadline, is_offline } =
            running;
        self.fixed(at("retries"), retries, &mut wanted.retries, display);
        let failures = &mut wanted.breaker_failures;
        self.fixed(at("breaker_failures"), breaker_failures, failures, display);
        self.fixed(at("breaker_open"), breaker_open, &mut wanted.breaker_open, duration);
        (wanted.deadline, wanted.is_offline) = (*deadline, *is_offline);
    }

    fn kind(&mut self, at: &impl Fn(&str) -> String, running: &Kind, wanted: &mut Kind) {
        match (running, wanted) {
            (Kind::Files { path }, Kind::Files { path: new })
            | (Kind::Sqlite { path }, Kind::Sqlite { path: new }) => {
                self.fixed(at("path"), path, new, |path| shown(path));
            }
            (Kind::PromptEdge(remote), Kind::PromptEdge(new))
            | (Kind::PromptOt(remote), Kind::PromptOt(new)) => self.remote(at, remote, new),
            (
                Kind::Langfuse { remote, labels: Labels { live, draft }, poll_interval, pins },
                Kind::Langfuse {
                    remote: new,
                    labels: new_labels,
                    poll_interval: new_interval,
                    pins: new_pins,
                },
            ) => {
                self.remote(at, remote, new);
                self.fixed(at("live_label"), live, &mut new_labels.live, display);
                self.fixed(at("draft_label"), draft, &mut new_labels.draft, display);
                self.fixed(at("poll_interval"), poll_interval, new_interval, duration);
                self.pins(at, pins, new_pins);
            }
            (running, wanted) => self.fixed(at("kind"), running, wanted, name_of),
        }
    }

    fn pins(
        &mut self,
        at: &impl Fn(&str) -> String,
        running: &BTreeMap<String, u32>,
        wanted: &mut BTreeMap<String, u32>,
    ) {
        let mut names: Vec<_> = running.keys().chain(wanted.keys()).cloned().collect();
        names.sort();
        names.dedup();
        for name in names {
            let (key, new) = (format!("prompts.{name}.version"), wanted.get(&name).copied());
            let now = running.get(&name).copied();
            self.fixed(at(&key), &now, &mut { new }, |pin| or_none(pin, display));
        }
        wanted.clone_from(running);
    }

    fn remote(&mut self, at: &impl Fn(&str) -> String, running: &Remote, wanted: &mut Remote) {
        let Remote { base_url, keys, client } = running;
        self.fixed(at("base_url"), base_url, &mut wanted.base_url, display);
        match (keys, &mut wanted.keys) {
            (Keys::Mapped { key, draft_key }, Keys::Mapped { key: new, draft_key: new_draft }) => {
                self.fixed(at("key"), key, new, secret);
                self.fixed(at("draft_key"), draft_key, new_draft, |key| or_none(key, secret));
            }
            (running, wanted) => self.fixed(at("keys"), running, wanted, |keys| match keys {
                Keys::Mapped { .. } => "mapped".to_owned(),
                Keys::PassThrough => "pass-through".to_owned(),
            }),
        }
        self.client(at, client, &mut wanted.client);
    }

    fn client(
        &mut self,
        at: &impl Fn(&str) -> String,
        running: &client::Config,
        wanted: &mut client::Config,
    ) {
        let client::Config {
            connect_timeout,
            first_byte_timeout,
            total_timeout,
            max_body_bytes,
            ca,
            client_certificate,
            proxy,
            allow_http,
        } = running;
        for (key, running, wanted) in [
            ("connect_timeout", connect_timeout, &mut wanted.connect_timeout),
            ("first_byte_timeout", first_byte_timeout, &mut wanted.first_byte_timeout),
            ("total_timeout", total_timeout, &mut wanted.total_timeout),
        ] {
            self.fixed(at(key), running, wanted, duration);
        }
        self.fixed(at("max_body"), max_body_bytes, &mut wanted.max_body_bytes, size);
        self.fixed(at("ca"), ca, &mut wanted.ca, |ca| or_none(ca, |path| shown(path)));
        let certificate = &mut wanted.client_certificate;
        self.fixed(at("client_certificate"), client_certificate, certificate, |pair| {
            or_none(pair, |(certificate, _)| shown(certificate))
        });
        self.fixed(at("proxy"), proxy, &mut wanted.proxy, |proxy| or_none(proxy, display));
        self.fixed(at("allow_http"), allow_http, &mut wanted.allow_http, display);
    }
}

fn name_of(kind: &Kind) -> String {
    let name = match kind {
        Kind::Files { .. } => "files",
        Kind::Langfuse { .. } => "langfuse",
        Kind::PromptEdge(_) => "prompt-edge",
        Kind::PromptOt(_) => "promptot",
        Kind::Sqlite { .. } => "sqlite",
    };
    name.to_owned()
}
