//! Every key in a table: its path, its default and its range, one function per table.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::access;
use crate::cache;
use crate::config::reader::Reader;
use crate::config::sections::{Admin, InvalidStoreUrl, Store, StoreUrl};
use crate::delivery;
use crate::server;
use crate::telemetry::trace;
use crate::wire::caching::Lifetimes;

/// Reads `[server]`.
pub(crate) fn server(reader: &mut Reader<'_>) -> server::Config {
    let default = server::Config::default();
    server::Config {
        listen: reader.parsed("server.listen", default.listen, ADDRESS, address),
        header_timeout: reader.duration(
            "server.header_timeout",
            default.header_timeout,
            SECOND..=5 * MINUTE,
        ),
        body_limit_bytes: reader.size(
            "server.body_limit",
            default.body_limit_bytes,
            KIB..=16 * MIB,
        ),
        drain_timeout: reader.duration(
            "server.drain_timeout",
            default.drain_timeout,
            Duration::ZERO..=10 * MINUTE,
        ),
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
    }
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

/// Refuses one address for both listeners. Port 0 is a new port each time.
pub(crate) fn refuse_a_shared_address(
    server: &server::Config,
    admin: &Admin,
    reader: &mut Reader<'_>,
) {
    if server.listen == admin.listen && admin.listen.port() != 0 {
        reader.refuse(
            &["admin.listen", "server.listen"],
            &admin.listen.to_string(),
            "different addresses for server.listen and admin.listen",
        );
    }
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| ADDRESS)
}

const ADDRESS: &str = "an IP address and a port";

fn store_url(text: &str) -> Result<StoreUrl, &'static str> {
    text.parse().map_err(|InvalidStoreUrl(form)| form)
}

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// More than a store that is read only on cache misses can keep busy.
const MAX_READERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);
