//! How often a source may present a key that opens nothing.
//!
//! Guessing is slowed where it comes from: an IPv4 address, or an IPv6 /64 (RFC 6177: what one site
//! has). The table is of fixed size, so a million sources take no more memory than one. Two sources
//! may share a slot and then share a budget; the hash is seeded anew at each start, so nobody can
//! choose whose.
//!
//! A key in use never comes here: whoever shares an address with a guesser is not held up.

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::quality::RandomState;
use http::HeaderMap;
use http::HeaderName;
use http::header::FORWARDED;
use ipnet::IpNet;

use crate::live::Live;
use crate::model::Rate;

/// How failed credentials are limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many a source may present.
    pub rate: Rate,
    /// Whose word on where a request comes from is taken.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for Config {
    /// A person who mistypes never notices; a guesser needs longer than any key lives.
    fn default() -> Self {
        let rate = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN.saturating_add(19) };
        Self { rate, trusted_proxies: Vec::new() }
    }
}

/// The table: per slot GCRA's theoretical arrival time, in ms of the monotonic clock.
#[derive(Debug)]
pub struct Guesses {
    config: Live<Config>,
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
}

/// Where a request comes from, as far as guesses are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source(usize);

impl Guesses {
    /// An empty table.
    pub fn new(config: Config) -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { config: Live::new(config), slots, hasher: RandomState::default() }
    }

    /// Limits otherwise from now on. What was counted stays counted.
    pub fn reconfigure(&self, config: Config) {
        self.config.store(config);
    }

    /// Where a request comes from: the peer, or what the last proxy that is not ours was, by the
    /// word of those that are (`Forwarded`, else `X-Forwarded-For`).
    pub fn source(&self, peer: IpAddr, headers: &HeaderMap) -> Source {
        let network = network(self.behind_proxies(peer.to_canonical(), headers));
        // The remainder is below `SLOTS`.
        Source((self.hasher.hash_one(network) % SLOTS) as usize)
    }

    /// How long the source has to wait before it may present another key; `None` if not at all.
    pub fn wait(&self, source: Source, now: Duration) -> Option<Duration> {
        let (now, arrival) = (millis(now), self.slots.get(source.0)?.load(Ordering::Relaxed));
        let wait = arrival.saturating_sub(tolerance(self.rate())).checked_sub(now)?;
        (wait > 0).then(|| Duration::from_millis(wait))
    }

    /// Counts a key that opened nothing.
    pub fn failed(&self, source: Source, now: Duration) {
        let (now, each) = (millis(now), per_guess(self.rate()));
        let next = |arrival: u64| Some(arrival.max(now).saturating_add(each));
        if let Some(slot) = self.slots.get(source.0) {
            let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        }
    }

    fn rate(&self) -> Rate {
        self.config.load().rate
    }

    fn behind_proxies(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let config = self.config.load();
        let is_ours = |address: &IpAddr| {
            config.trusted_proxies.iter().any(|network| network.contains(address))
        };
        let mut address = peer;
        for hop in hops(headers).into_iter().rev() {
            if !is_ours(&address) {
                break;
            }
            // What cannot be read is as far as can be seen.
            let Some(hop) = hop else { break };
            address = hop.to_canonical();
        }
        address
    }
}

fn per_guess(rate: Rate) -> u64 {
    (1_000 / u64::from(rate.per_second.get())).max(1)
}

fn tolerance(rate: Rate) -> u64 {
    per_guess(rate) * u64::from(rate.burst.get() - 1)
}

/// What the request says of its way here, the client first; `None` for what is no address.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines =
        |name: HeaderName| headers.get_all(name).into_iter().filter_map(|v| v.to_str().ok());
    if headers.contains_key(FORWARDED) {
        let elements = lines(FORWARDED).flat_map(|line| line.split(','));
        return elements.map(forwarded_for).collect();
    }
    let addresses = lines(X_FORWARDED_FOR).flat_map(|line| line.split(','));
    addresses.map(|text| address(text.trim())).collect()
}

/// The `for` of one element of `Forwarded` (RFC 7239 §5.2).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| address(value.trim().trim_matches('"')))?
    })
}

/// An address, in brackets or not, with a port or not.
fn address(text: &str) -> Option<IpAddr> {
    if let Some(bracketed) = text.strip_prefix('[') {
        return bracketed.split_once(']')?.0.parse().ok();
    }
    let without_port = text.rsplit_once(':').map(|(address, _)| address);
    text.parse().ok().or_else(|| without_port.and_then(|text| text.parse().ok()))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// 128 KiB of slots.
const SLOTS: u64 = 16_384;

/// What one site has: an IPv4 address, or an IPv6 /64 (RFC 6177).
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address @ IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn guesses(trusted: &[&str]) -> Guesses {
        let trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
        Guesses::new(Config { trusted_proxies, ..Config::default() })
    }

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_has_a_burst_and_then_one_a_second() {
        let guesses = guesses(&[]);
        let source = guesses.source(ip("192.0.2.1"), &HeaderMap::new());
        let at = Duration::from_secs;

        for _ in 0..20 {
            assert_eq!(guesses.wait(source, at(100)), None);
            guesses.failed(source, at(100));
        }

        assert_eq!(guesses.wait(source, at(100)), Some(at(1)));
        assert_eq!(guesses.wait(source, at(101)), None);
    }

    #[test]
    fn a_site_is_one_source() {
        let guesses = guesses(&[]);
        let of = |text: &str| guesses.source(ip(text), &HeaderMap::new());

        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn only_a_trusted_proxy_says_where_a_request_comes_from() {
        let of = |guesses: &Guesses, peer: &str, name: HeaderName, value: &str| {
            guesses.behind_proxies(ip(peer), &headers(name, value))
        };
        let (nobody, ours) = (guesses(&[]), guesses(&["10.0.0.0/8", "fd00::/8"]));

        let chain = "198.51.100.1, 192.0.2.7, 10.0.0.2";
        assert_eq!(of(&nobody, "10.0.0.1", X_FORWARDED_FOR, chain), ip("10.0.0.1"));
        assert_eq!(of(&ours, "10.0.0.1", X_FORWARDED_FOR, chain), ip("192.0.2.7"));
        assert_eq!(of(&ours, "192.0.2.9", X_FORWARDED_FOR, chain), ip("192.0.2.9"));
        let chain = "for=192.0.2.7;proto=https, for=\"[fd00::1]:4711\";by=10.0.0.1";
        assert_eq!(of(&ours, "10.0.0.1", FORWARDED, chain), ip("192.0.2.7"));
        assert_eq!(of(&ours, "10.0.0.1", FORWARDED, "for=unknown"), ip("10.0.0.1"));
    }

    proptest! {
        #[test]
        fn an_address_is_read_in_every_form_of_it(v4: [u8; 4], v6: [u16; 8], port: Option<u16>) {
            let guesses = guesses(&["10.0.0.1/32"]);
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let (v4, v6) = (IpAddr::from(v4), IpAddr::from(v6));
            let of = |name, value: &str| guesses.behind_proxies(ip("10.0.0.1"), &headers(name, value));

            for (address, text) in [(v4, format!("{v4}{port}")), (v6, format!("[{v6}]{port}"))] {
                let address = address.to_canonical();
                prop_assert_eq!(of(X_FORWARDED_FOR, &format!("garbage, {text}")), address);
                let element = format!("for=unknown, proto=http;FOR=\"{text}\"");
                prop_assert_eq!(of(FORWARDED, &element), address);
            }
            prop_assert_eq!(of(X_FORWARDED_FOR, &v6.to_string()), v6.to_canonical());
        }

        #[test]
        fn no_bytes_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            like in r#"(for=|by=|\[|\]|:|;|,|\x22|[0-9a-f.]{1,4}){0,20}"#,
        ) {
            let guesses = guesses(&["0.0.0.0/0", "::/0"]);
            for bytes in [&bytes[..], like.as_bytes()] {
                let Ok(value) = HeaderValue::from_bytes(bytes) else { continue };
                for name in [FORWARDED, X_FORWARDED_FOR] {
                    guesses.source(ip("10.0.0.1"), &HeaderMap::from_iter([(name, value.clone())]));
                }
            }
        }

    }
}
