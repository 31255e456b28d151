//! Every key in a table: its path, its default and its range, one function per table.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;

use crate::access;
use crate::access::{guesses, limits, quota};
use crate::cache;
use crate::config::places;
use crate::config::reader::Reader;
use crate::config::secrets;
use crate::config::sections::{
    Admin, InvalidSnapshotKey, InvalidStoreUrl, Snapshot, Store, StoreUrl,
};
use crate::config::units::{DAY, HOUR, KIB, MIB, MILLISECOND, MINUTE, SECOND, TIB};
use crate::delivery;
use crate::model::{Plan, PlanName, Rate};
use crate::server;
use crate::telemetry::trace;
use crate::wire::caching::Lifetimes;

/// Reads `[server]`.
pub(crate) fn server(reader: &mut Reader<'_>) -> server::Config {
    let default = server::Config::default();
    server::Config {
        listen: reader.parsed("server.listen", default.listen, ADDRESS, address),
        workers: reader.number("server.workers", default.workers, 0..=1_024),
        deadlines: deadlines(reader, default.deadlines),
        head_limit_bytes: reader.size("server.head_limit", default.head_limit_bytes, 8 * KIB..=MIB),
        body_limit_bytes: reader.size(
            "server.body_limit",
            default.body_limit_bytes,
            KIB..=16 * MIB,
        ),
        drain: server::Draining {
            delay: reader.duration("server.drain_delay", default.drain.delay, DRAIN),
            timeout: reader.duration("server.drain_timeout", default.drain.timeout, DRAIN),
        },
        max_connections: reader.number(
            "server.max_connections",
            default.max_connections,
            1..=1_000_000,
        ),
        max_connections_per_source: reader.number(
            "server.max_connections_per_source",
            default.max_connections_per_source,
            1..=1_000_000,
        ),
        max_in_flight: reader.number("server.max_in_flight", default.max_in_flight, 1..=1_000_000),
        http2: server::Http2 {
            max_streams: reader.number("server.max_streams", default.http2.max_streams, 1..=10_000),
            max_resets: reader.number("server.max_resets", default.http2.max_resets, 1..=10_000),
        },
        hooks: reader.switch("server.hooks", default.hooks),
    }
}

fn deadlines(reader: &mut Reader<'_>, default: server::Deadlines) -> server::Deadlines {
    let mut deadline = |key, default| reader.duration(key, default, SECOND..=5 * MINUTE);
    server::Deadlines {
        handshake: deadline("server.handshake_timeout", default.handshake),
        first_byte: deadline("server.first_byte_timeout", default.first_byte),
        header: deadline("server.header_timeout", default.header),
        body: deadline("server.body_timeout", default.body),
        write: deadline("server.write_timeout", default.write),
        idle: reader.duration("server.idle_timeout", default.idle, SECOND..=HOUR),
        min_rate: reader.size("server.min_rate", default.min_rate, 1..=MIB),
        ping: reader.duration("server.ping_interval", default.ping, SECOND..=HOUR),
        pong: reader.duration("server.ping_timeout", default.pong, SECOND..=5 * MINUTE),
    }
}

/// Reads `[admin]`.
pub(crate) fn admin(reader: &mut Reader<'_>) -> Admin {
    Admin { listen: reader.parsed("admin.listen", Admin::default().listen, ADDRESS, address) }
}

/// Reads `[store]`.
pub(crate) fn store(reader: &mut Reader<'_>) -> Store {
    let default = Store::default();
    Store {
        url: reader.parsed("store.url", default.url, StoreUrl::FORM, store_url),
        readers: reader.number("store.readers", default.readers, NonZeroUsize::MIN..=MAX_READERS),
        timeout: reader.duration("store.timeout", default.timeout, 10 * MILLISECOND..=MINUTE),
        busy_timeout: reader.duration(
            "store.busy_timeout",
            default.busy_timeout,
            Duration::ZERO..=MINUTE,
        ),
        watch_interval: reader.duration(
            "store.watch_interval",
            default.watch_interval,
            10 * MILLISECOND..=500 * MILLISECOND,
        ),
    }
}

/// Reads `[cache]`.
pub(crate) fn cache(reader: &mut Reader<'_>) -> cache::Config {
    let default = cache::Config::default();
    cache::Config {
        templates_bytes: reader.size("cache.templates", default.templates_bytes, MIB..=TIB),
        answers_bytes: reader.size("cache.answers", default.answers_bytes, MIB..=TIB),
    }
}

/// Reads `[snapshot]`.
pub(crate) fn snapshot(reader: &mut Reader<'_>) -> Snapshot {
    let default = Snapshot::default();
    Snapshot {
        path: reader.text("snapshot.path".to_owned(), places::PATH, places::path),
        interval: reader.duration("snapshot.interval", default.interval, 5 * SECOND..=HOUR),
        key: secrets::secret(reader, "snapshot.key", |text| {
            text.parse().map_err(|InvalidSnapshotKey(form)| form.to_owned())
        }),
    }
}

/// Reads `[delivery]`.
pub(crate) fn delivery(reader: &mut Reader<'_>) -> delivery::Config {
    let default = delivery::Config::default();
    let mut window = |path, default| reader.duration(path, default, Duration::ZERO..=365 * DAY);
    let lifetimes = Lifetimes {
        max_age: window("delivery.max_age", default.lifetimes.max_age),
        stale_while_revalidate: window(
            "delivery.stale_while_revalidate",
            default.lifetimes.stale_while_revalidate,
        ),
        stale_if_error: window("delivery.stale_if_error", default.lifetimes.stale_if_error),
    };
    delivery::Config {
        lifetimes,
        max_output_bytes: reader.size(
            "delivery.max_output",
            default.max_output_bytes,
            KIB..=64 * MIB,
        ),
        absent_for: reader.duration(
            "delivery.absent_for",
            default.absent_for,
            Duration::ZERO..=5 * MINUTE,
        ),
        deadline: reader.duration(
            "delivery.deadline",
            default.deadline,
            100 * MILLISECOND..=5 * MINUTE,
        ),
        turns: reader.number("delivery.turns", default.turns, NonZeroUsize::MIN..=MAX_TURNS),
    }
}

/// Reads `[limits]`, but for the plans.
pub(crate) fn limits(reader: &mut Reader<'_>) -> limits::Config {
    let default = limits::Config::default();
    let headers = limits::Headers::ALL.map(|when| (when.as_str(), when));
    limits::Config {
        count_not_modified: reader.switch("limits.count_not_modified", default.count_not_modified),
        headers: reader.choice("limits.headers", default.headers, &headers),
        legacy_headers: reader.switch("limits.legacy_headers", default.legacy_headers),
        quota: quota(reader, default.quota),
        fallback_plan: reader.parsed(
            "limits.fallback_plan",
            default.fallback_plan,
            PLAN_NAME,
            |text| is_plan_name(text).then(|| PlanName::new(text)).ok_or(PLAN_NAME),
        ),
        plans: default.plans,
    }
}

fn quota(reader: &mut Reader<'_>, default: quota::Config) -> quota::Config {
    let policies = quota::OnLedgerLoss::ALL.map(|policy| (policy.as_str(), policy));
    quota::Config {
        max_lease: reader.number("limits.max_lease", default.max_lease, 1..=1_000_000),
        lease_for: reader.duration("limits.lease_for", default.lease_for, 5 * SECOND..=10 * MINUTE),
        on_ledger_loss: reader.choice("limits.on_ledger_loss", default.on_ledger_loss, &policies),
        ledger_loss_allowance: reader.number(
            "limits.ledger_loss_allowance",
            default.ledger_loss_allowance,
            0..=1_000_000_000,
        ),
    }
}

/// Reads what is said of keys that open nothing.
pub(crate) fn guesses(reader: &mut Reader<'_>) -> guesses::Config {
    let default = guesses::Config::default();
    guesses::Config {
        rate: Rate {
            per_second: reader.number(
                "limits.failed_keys_per_second",
                default.rate.per_second,
                NonZeroU32::MIN..=MAX_RATE,
            ),
            burst: reader.number(
                "limits.failed_keys_burst",
                default.rate.burst,
                NonZeroU32::MIN..=MAX_RATE,
            ),
        },
        trusted_proxies: reader.list(
            "limits.trusted_proxies",
            "a list of networks such as 10.0.0.0/8, or of addresses",
            |text| text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)),
        ),
    }
}

/// Reads `[plans]`. A plan that the file names is what the file says of it: what it leaves out is
/// not limited. The plans that it does not name are those there are by default.
pub(crate) fn plans(reader: &mut Reader<'_>, limits: &mut limits::Config) {
    let plans = &mut limits.plans;
    let mut names: Vec<_> = plans.keys().map(|name| name.as_str().to_owned()).collect();
    let named = reader.tables_in("plans");
    for (name, path) in &named {
        match is_plan_name(name) {
            true => names.push(name.clone()),
            false => reader.refuse_name(path, format!("expected {PLAN_NAME}")),
        }
    }
    names.sort();
    names.dedup();
    for name in names {
        let is_named = named.iter().any(|(named, _)| *named == name);
        let default = plans.get(&PlanName::new(&name)).filter(|_| !is_named);
        let plan = plan(reader, &name, default.cloned());
        plans.insert(plan.name.clone(), plan);
    }
    if !plans.contains_key(&limits.fallback_plan) {
        let found = limits.fallback_plan.to_string();
        reader.refuse(&["limits.fallback_plan"], &found, "a plan of [plans]");
    }
}

fn plan(reader: &mut Reader<'_>, name: &str, default: Option<Plan>) -> Plan {
    let path = |key: &str| format!("plans.{name}.{key}");
    let default = default.as_ref();
    let of_default = default.and_then(|plan| plan.requests_per_month);
    let rate = default.and_then(|plan| plan.rate);
    let key_rate = default.and_then(|plan| plan.key_rate);
    Plan {
        name: PlanName::new(name),
        requests_per_month: reader.optional(
            path("requests_per_month"),
            of_default,
            NonZeroU64::MIN..=MAX_MONTH,
        ),
        rate: self::rate(reader, &path("requests_per_second"), &path("burst"), rate),
        key_rate: self::rate(
            reader,
            &path("key_requests_per_second"),
            &path("key_burst"),
            key_rate,
        ),
        weight: reader
            .optional(path("weight"), None, NonZeroU32::MIN..=MAX_RATE)
            .unwrap_or(NonZeroU32::MIN),
    }
}

/// A rate and its burst. Without one the burst is a second's worth.
fn rate(
    reader: &mut Reader<'_>,
    per_second: &str,
    burst: &str,
    default: Option<Rate>,
) -> Option<Rate> {
    let of = |rate: fn(Rate) -> NonZeroU32| default.map(rate);
    let range = || NonZeroU32::MIN..=MAX_RATE;
    let rate = reader.optional(per_second.to_owned(), of(|rate| rate.per_second), range());
    let most = reader.optional(burst.to_owned(), of(|rate| rate.burst), range());
    if let (None, Some(most)) = (rate, most) {
        let expected = format!("{per_second} beside it");
        reader.refuse(&[burst, per_second], &most.to_string(), &expected);
    }
    rate.map(|per_second| Rate { per_second, burst: most.unwrap_or(per_second) })
}

/// Names that can stand in a variable of the environment too.
fn is_plan_name(name: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=32).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Reads `[keys]`.
pub(crate) fn keys(reader: &mut Reader<'_>) -> access::Config {
    let default = access::Config::default();
    access::Config {
        unknown_keys: reader.number("keys.unknown", default.unknown_keys, 1..=10_000_000),
        unknown_key_for: reader.duration(
            "keys.unknown_for",
            default.unknown_key_for,
            Duration::ZERO..=5 * MINUTE,
        ),
        touch_interval: reader.duration(
            "keys.touch_interval",
            default.touch_interval,
            SECOND..=HOUR,
        ),
        foreign_for: reader.duration("keys.foreign_for", default.foreign_for, 10 * SECOND..=DAY),
    }
}

/// Reads `[log]`.
pub(crate) fn log(reader: &mut Reader<'_>) -> trace::Config {
    let default = trace::Config::default();
    let levels = trace::Level::ALL.map(|level| (level.as_str(), level));
    let formats = trace::Format::ALL.map(|format| (format.as_str(), format));
    trace::Config {
        level: reader.choice("log.level", default.level, &levels),
        format: reader.choice("log.format", default.format, &formats),
    }
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| ADDRESS)
}

const ADDRESS: &str = "an IP address and a port";

fn store_url(text: &str) -> Result<StoreUrl, &'static str> {
    text.parse().map_err(|InvalidStoreUrl(form)| form)
}

const PLAN_NAME: &str = "the name of a plan, of lower-case letters, digits and underscores";

/// Far more than an edge answers in a second.
const MAX_RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(999_999);

/// The largest number that a header's structured field holds.
const MAX_MONTH: NonZeroU64 = NonZeroU64::MIN.saturating_add(999_999_999_999_998);

/// What a stop may wait for.
const DRAIN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(10 * 60);

/// More than any machine works on at once.
const MAX_TURNS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// More than a store that is read only on cache misses can keep busy.
const MAX_READERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);
