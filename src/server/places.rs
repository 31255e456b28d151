//! How many connections are open at once: in all, and from one source.
//!
//! What is counted by source takes memory for the sources that have a connection now, so it is
//! bounded by how many connections there may be.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::quality::RandomState;
use prometheus_client::metrics::counter::Counter;

use crate::access::guesses::network;
use crate::server::Config;
use crate::telemetry::Metrics;

/// The places there are. Cheap to clone; a clone is the same places.
#[derive(Clone, Debug)]
pub struct Places(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    is_by_source: bool,
    open: AtomicUsize,
    /// By network, those without a connection left out. In shards, since every worker comes here.
    sources: [Mutex<HashMap<IpAddr, usize, RandomState>>; SHARDS],
    hasher: RandomState,
    over_all: Counter,
    over_source: Counter,
}

const SHARDS: usize = 16;

impl Places {
    /// Places for whoever comes. What is turned away is counted.
    pub fn new(metrics: &Metrics) -> Self {
        Self::counting(false, metrics)
    }

    /// Places of which no source has more than its share.
    pub fn by_source(metrics: &Metrics) -> Self {
        Self::counting(true, metrics)
    }

    fn counting(is_by_source: bool, metrics: &Metrics) -> Self {
        Self(Arc::new(Parts {
            is_by_source,
            open: AtomicUsize::new(0),
            sources: Default::default(),
            hasher: RandomState::default(),
            over_all: metrics.shed("connections"),
            over_source: metrics.shed("source"),
        }))
    }

    /// A place for a connection; `None` over a limit. A connection without a source, over a Unix
    /// socket, only counts as one more.
    pub(super) fn take(&self, source: Option<IpAddr>, config: &Config) -> Option<Place> {
        // Before it is known to fit: dropping the place gives it back.
        let before = self.0.open.fetch_add(1, Ordering::Relaxed);
        let mut place = Place { parts: Arc::clone(&self.0), source: None };
        if before >= config.max_connections {
            self.0.over_all.inc();
            return None;
        }
        if let Some(network) = source.filter(|_| self.0.is_by_source).map(network) {
            let entered = self.0.of(network, |count| {
                let fits = *count < config.max_connections_per_source;
                *count += usize::from(fits);
                fits
            });
            if entered != Some(true) {
                self.0.over_source.inc();
                return None;
            }
            place.source = Some(network);
        }
        Some(place)
    }
}

impl Parts {
    /// Changes a source's count. One that is left at zero takes no memory.
    fn of<T>(&self, network: IpAddr, change: impl FnOnce(&mut usize) -> T) -> Option<T> {
        let shard = usize::try_from(self.hasher.hash_one(network)).unwrap_or_default() % SHARDS;
        let mut shard = self.sources.get(shard)?.lock().unwrap_or_else(PoisonError::into_inner);
        let count = shard.entry(network).or_default();
        let result = change(count);
        if *count == 0 {
            shard.remove(&network);
        }
        Some(result)
    }
}

/// One connection's place; dropping it makes room.
#[derive(Debug)]
pub(super) struct Place {
    parts: Arc<Parts>,
    source: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.parts.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(network) = self.source {
            self.parts.of(network, |count| *count = count.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Limited(Places, Config);

    impl Limited {
        fn take(&self, source: Option<IpAddr>) -> Option<Place> {
            self.0.take(source, &self.1)
        }
    }

    fn places(max_connections: usize, max_connections_per_source: usize) -> Limited {
        let places = Places::by_source(&Metrics::new("0", "0"));
        let config = Config { max_connections, max_connections_per_source, ..Config::default() };
        Limited(places, config)
    }

    fn from(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    fn sources(places: &Limited) -> usize {
        places.0.0.sources.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    #[test]
    fn there_are_so_many_places_and_one_more_when_one_is_left() {
        let places = places(2, 2);
        let one = places.take(from("192.0.2.1")).unwrap();
        let _two = places.take(None).unwrap();

        assert!(places.take(from("192.0.2.2")).is_none());
        drop(one);
        assert!(places.take(from("192.0.2.2")).is_some());
        assert_eq!((places.0.0.over_all.get(), places.0.0.over_source.get()), (1, 0));
    }

    #[test]
    fn a_source_has_no_more_than_its_share_whatever_address_of_its_site_it_has() {
        let places = places(10, 1);
        let one = places.take(from("2001:db8::1"));

        assert!(one.is_some());
        assert!(places.take(from("2001:db8::ffff:2")).is_none());
        assert!(places.take(from("2001:db8:0:1::1")).is_some(), "another site");
        assert!(places.take(None).is_some() && places.take(None).is_some(), "no source at all");
        assert_eq!((places.0.0.over_all.get(), places.0.0.over_source.get()), (0, 1));
        drop(one);
        assert!(places.take(from("2001:db8::3")).is_some());
    }

    #[test]
    fn a_source_without_a_connection_takes_no_memory() {
        let places = places(10, 1);
        let taken = places.take(from("192.0.2.1"));
        assert!(places.take(from("192.0.2.1")).is_none());
        assert_eq!(sources(&places), 1);

        drop(taken);

        assert_eq!(sources(&places), 0);
        assert_eq!(places.0.0.open.load(Ordering::Relaxed), 0);
    }
}
