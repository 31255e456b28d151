//! Two configurations: what of the new one can hold at once, and what needs a restart.
//!
//! Every struct is taken apart field by field and without `..`, so that a new setting does not
//! compile until it is decided which of the two it is.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::access;
use crate::access::{guesses, limits, quota};
use crate::admin::reload::Waiting;
use crate::cache;
use crate::config::units::{print_duration, print_size};
use crate::config::{Admin, Config, Snapshot, Store};
use crate::delivery;
use crate::server::{self, ListenerConfig};
use crate::telemetry::trace;
use crate::wire::caching::Lifetimes;

mod origins;

/// What a new configuration changes.
pub(crate) struct Comparison {
    /// What is to hold: the new values of what can change, the present ones of what cannot.
    pub(crate) next: Config,
    /// The keys of what can change and does.
    pub(crate) applied: Vec<String>,
    /// What would change and cannot.
    pub(crate) waiting: Vec<Waiting>,
}

/// Compares what holds with what is wanted.
pub(crate) fn compare(running: &Config, mut wanted: Config) -> Comparison {
    let mut notes = Notes::default();
    let Config {
        demo,
        offline,
        server,
        admin: Admin { listen },
        store,
        cache,
        snapshot,
        delivery,
        limits,
        guesses,
        keys,
        log,
        listeners,
        origins,
    } = running;
    notes.listeners(listeners, &mut wanted.listeners, wanted.server.listen);
    notes.fixed("demo", demo, &mut wanted.demo, display);
    notes.fixed("offline", offline, &mut wanted.offline, display);
    notes.server(server, &mut wanted.server);
    notes.fixed("admin.listen", listen, &mut wanted.admin.listen, display);
    notes.store(store, &mut wanted.store);
    notes.cache(cache, &mut wanted.cache);
    notes.snapshot(snapshot, &mut wanted.snapshot);
    notes.delivery(delivery, &wanted.delivery);
    notes.limits(limits, &wanted.limits);
    notes.guesses(guesses, &wanted.guesses);
    notes.keys(keys, &mut wanted.keys);
    notes.log(log, &mut wanted.log);
    notes.origins(origins, &mut wanted.origins);
    Comparison { next: wanted, applied: notes.applied, waiting: notes.waiting }
}

/// What was found so far.
#[derive(Default)]
struct Notes {
    applied: Vec<String>,
    waiting: Vec<Waiting>,
}

impl Notes {
    /// A setting that can change.
    fn live<T: PartialEq + ?Sized>(&mut self, key: impl Into<String>, running: &T, wanted: &T) {
        if running != wanted {
            self.applied.push(key.into());
        }
    }

    /// A setting that cannot: what is wanted becomes what holds.
    fn fixed<T: PartialEq + Clone>(
        &mut self,
        key: impl Into<String>,
        running: &T,
        wanted: &mut T,
        print: impl Fn(&T) -> String,
    ) {
        if running != wanted {
            let [said, asked] = [running, &*wanted].map(print);
            self.waiting.push(Waiting { key: key.into(), running: said, wanted: asked });
            wanted.clone_from(running);
        }
    }

    /// One that only moves with `server.listen` is named by that key.
    fn listeners(
        &mut self,
        running: &[ListenerConfig],
        wanted: &mut Vec<ListenerConfig>,
        listen: SocketAddr,
    ) {
        let is_plain = |listeners: &[ListenerConfig]| match listeners {
            [one] => {
                *one == ListenerConfig {
                    address: one.address.clone(),
                    ..ListenerConfig::clear(listen)
                }
            }
            _ => false,
        };
        if is_plain(running) && is_plain(wanted) {
            running.clone_into(wanted);
        }
        let mut listeners = wanted.clone();
        self.fixed("listeners", &running.to_vec(), &mut listeners, |listeners| {
            let names = listeners
                .iter()
                .map(|listener| format!("{} at {}", listener.name, listener.address));
            names.collect::<Vec<_>>().join(", ")
        });
        *wanted = listeners;
    }

    fn server(&mut self, running: &server::Config, wanted: &mut server::Config) {
        let server::Config {
            listen,
            workers,
            deadlines,
            head_limit_bytes,
            body_limit_bytes,
            drain: server::Draining { delay, timeout },
            max_connections,
            max_connections_per_source,
            max_in_flight,
            http2: server::Http2 { max_streams, max_resets },
            hooks,
        } = running;
        self.fixed("server.listen", listen, &mut wanted.listen, display);
        self.fixed("server.workers", workers, &mut wanted.workers, display);
        self.deadlines(deadlines, &wanted.deadlines);
        self.live("server.head_limit", head_limit_bytes, &wanted.head_limit_bytes);
        self.live("server.body_limit", body_limit_bytes, &wanted.body_limit_bytes);
        self.live("server.drain_delay", delay, &wanted.drain.delay);
        self.live("server.drain_timeout", timeout, &wanted.drain.timeout);
        self.live("server.max_connections", max_connections, &wanted.max_connections);
        let of_one = &wanted.max_connections_per_source;
        self.live("server.max_connections_per_source", max_connections_per_source, of_one);
        self.live("server.max_in_flight", max_in_flight, &wanted.max_in_flight);
        self.live("server.max_streams", max_streams, &wanted.http2.max_streams);
        self.live("server.max_resets", max_resets, &wanted.http2.max_resets);
        self.live("server.hooks", hooks, &wanted.hooks);
    }

    fn deadlines(&mut self, running: &server::Deadlines, wanted: &server::Deadlines) {
        let server::Deadlines {
            handshake,
            first_byte,
            header,
            body,
            write,
            min_rate,
            idle,
            ping,
            pong,
        } = running;
        self.live("server.handshake_timeout", handshake, &wanted.handshake);
        self.live("server.first_byte_timeout", first_byte, &wanted.first_byte);
        self.live("server.header_timeout", header, &wanted.header);
        self.live("server.body_timeout", body, &wanted.body);
        self.live("server.write_timeout", write, &wanted.write);
        self.live("server.min_rate", min_rate, &wanted.min_rate);
        self.live("server.idle_timeout", idle, &wanted.idle);
        self.live("server.ping_interval", ping, &wanted.ping);
        self.live("server.ping_timeout", pong, &wanted.pong);
    }

    fn store(&mut self, running: &Store, wanted: &mut Store) {
        let Store { url, readers, timeout, busy_timeout, watch_interval } = running;
        self.fixed("store.url", url, &mut wanted.url, display);
        self.fixed("store.readers", readers, &mut wanted.readers, display);
        self.fixed("store.timeout", timeout, &mut wanted.timeout, duration);
        self.fixed("store.busy_timeout", busy_timeout, &mut wanted.busy_timeout, duration);
        self.fixed("store.watch_interval", watch_interval, &mut wanted.watch_interval, duration);
    }

    fn cache(&mut self, running: &cache::Config, wanted: &mut cache::Config) {
        let cache::Config { templates_bytes, answers_bytes } = running;
        self.fixed("cache.templates", templates_bytes, &mut wanted.templates_bytes, size);
        self.fixed("cache.answers", answers_bytes, &mut wanted.answers_bytes, size);
    }

    fn snapshot(&mut self, running: &Snapshot, wanted: &mut Snapshot) {
        let Snapshot { path, interval, key } = running;
        self.fixed("snapshot.path", path, &mut wanted.path, |path| or_none(path, |p| shown(p)));
        self.fixed("snapshot.interval", interval, &mut wanted.interval, duration);
        self.fixed("snapshot.key", key, &mut wanted.key, |key| or_none(key, secret));
    }

    fn delivery(&mut self, running: &delivery::Config, wanted: &delivery::Config) {
        let delivery::Config {
            lifetimes: Lifetimes { max_age, stale_while_revalidate, stale_if_error },
            max_output_bytes,
            absent_for,
            deadline,
            turns,
        } = running;
        let lifetimes = &wanted.lifetimes;
        self.live("delivery.max_age", max_age, &lifetimes.max_age);
        let revalidate = &lifetimes.stale_while_revalidate;
        self.live("delivery.stale_while_revalidate", stale_while_revalidate, revalidate);
        self.live("delivery.stale_if_error", stale_if_error, &lifetimes.stale_if_error);
        self.live("delivery.max_output", max_output_bytes, &wanted.max_output_bytes);
        self.live("delivery.absent_for", absent_for, &wanted.absent_for);
        self.live("delivery.deadline", deadline, &wanted.deadline);
        self.live("delivery.turns", turns, &wanted.turns);
    }

    fn limits(&mut self, running: &limits::Config, wanted: &limits::Config) {
        let limits::Config {
            plans,
            fallback_plan,
            count_not_modified,
            headers,
            legacy_headers,
            quota,
        } = running;
        let names: BTreeSet<_> = plans.keys().chain(wanted.plans.keys()).collect();
        for name in names {
            self.live(format!("plans.{name}"), &plans.get(name), &wanted.plans.get(name));
        }
        self.live("limits.fallback_plan", fallback_plan, &wanted.fallback_plan);
        let not_modified = &wanted.count_not_modified;
        self.live("limits.count_not_modified", count_not_modified, not_modified);
        self.live("limits.headers", headers, &wanted.headers);
        self.live("limits.legacy_headers", legacy_headers, &wanted.legacy_headers);
        let quota::Config { max_lease, lease_for, on_ledger_loss, ledger_loss_allowance } = quota;
        self.live("limits.max_lease", max_lease, &wanted.quota.max_lease);
        self.live("limits.lease_for", lease_for, &wanted.quota.lease_for);
        self.live("limits.on_ledger_loss", on_ledger_loss, &wanted.quota.on_ledger_loss);
        let allowance = &wanted.quota.ledger_loss_allowance;
        self.live("limits.ledger_loss_allowance", ledger_loss_allowance, allowance);
    }

    fn guesses(&mut self, running: &guesses::Config, wanted: &guesses::Config) {
        let guesses::Config { rate, trusted_proxies } = running;
        let (per_second, burst) = (&wanted.rate.per_second, &wanted.rate.burst);
        self.live("limits.failed_keys_per_second", &rate.per_second, per_second);
        self.live("limits.failed_keys_burst", &rate.burst, burst);
        self.live("limits.trusted_proxies", trusted_proxies, &wanted.trusted_proxies);
    }

    fn keys(&mut self, running: &access::Config, wanted: &mut access::Config) {
        let access::Config { unknown_keys, unknown_key_for, touch_interval, foreign_for } = running;
        self.fixed("keys.unknown", unknown_keys, &mut wanted.unknown_keys, display);
        self.live("keys.unknown_for", unknown_key_for, &wanted.unknown_key_for);
        self.live("keys.touch_interval", touch_interval, &wanted.touch_interval);
        self.live("keys.foreign_for", foreign_for, &wanted.foreign_for);
    }

    fn log(&mut self, running: &trace::Config, wanted: &mut trace::Config) {
        let trace::Config { level, format } = running;
        self.live("log.level", level, &wanted.level);
        self.fixed("log.format", format, &mut wanted.format, |format| format.as_str().to_owned());
    }
}

fn display(value: &impl Display) -> String {
    value.to_string()
}

fn duration(value: &Duration) -> String {
    print_duration(*value)
}

fn size(value: &u64) -> String {
    print_size(*value)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// That there is one.
fn secret<T>(_: &T) -> String {
    "…".to_owned()
}

fn or_none<T>(value: &Option<T>, print: impl Fn(&T) -> String) -> String {
    value.as_ref().map_or_else(|| "none".to_owned(), print)
}

#[cfg(test)]
mod tests;
