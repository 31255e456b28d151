//! One fetch per key, however many wait for it.
//!
//! A flight runs in a task of its own. It ends in one of three ways: with a result, which everybody
//! who waits gets; by a panic, or because the edge is stopping, which everybody sees as
//! [`Abandoned`]. In each case its key is free again before anybody hears of it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::quality::RandomState;
use tokio::sync::watch;

use crate::tasks::Tasks;

/// The flights under way.
#[derive(Debug)]
pub struct Flights<K, V> {
    /// Guards the map only, for the length of one look-up or one removal.
    under_way: Arc<UnderWay<K, V>>,
    tasks: Tasks,
}

type UnderWay<K, V> = Mutex<HashMap<K, watch::Receiver<Option<V>>, RandomState>>;

/// The flight ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the fetch was abandoned")]
pub struct Abandoned;

/// How somebody came by a flight's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boarded {
    /// By starting it.
    First,
    /// By waiting for one that was under way.
    Later,
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// No flights; each will run in `tasks`.
    pub fn new(tasks: Tasks) -> Self {
        Self { under_way: Arc::default(), tasks }
    }

    /// Waits for the flight of `key`, starting it if none is under way.
    ///
    /// # Errors
    ///
    /// If the flight ends without a result. Asking again starts another.
    ///
    /// # Cancellation
    ///
    /// Dropping this future never cancels the flight, not even for whoever started it.
    pub async fn join<F>(
        &self,
        key: K,
        start: impl FnOnce() -> F,
    ) -> (Result<V, Abandoned>, Boarded)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (mut landing, boarded) = self.board(key, start);
        let landed = landing.wait_for(Option::is_some).await;
        let result = landed.ok().and_then(|value| value.clone()).ok_or(Abandoned);
        (result, boarded)
    }

    /// Starts the flight of `key` if none is under way, and waits for none.
    pub fn launch<F>(&self, key: K, start: impl FnOnce() -> F)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let _ = self.board(key, start);
    }

    /// The keys of the flights under way.
    pub fn under_way(&self) -> Vec<K> {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.keys().cloned().collect()
    }

    fn board<F>(&self, key: K, start: impl FnOnce() -> F) -> (watch::Receiver<Option<V>>, Boarded)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (place, landing) = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(landing) = under_way.get(&key) {
                return (landing.clone(), Boarded::Later);
            }
            let (arrival, landing) = watch::channel(None);
            under_way.insert(key.clone(), landing.clone());
            // Made before the task, so that a task which never runs frees the key all the same.
            let place = Place { key: Some(key), under_way: Arc::clone(&self.under_way), arrival };
            (place, landing)
        };

        // Without the lock: a runtime that is shutting down drops the task, and with it the place,
        // before this returns.
        let flight = start();
        self.tasks.spawn(async move { place.land(flight.await) });
        (landing, Boarded::First)
    }
}

/// A key's place among the flights under way. Dropping it frees the key, then tells whoever waits.
struct Place<K: Eq + Hash, V> {
    /// `None` once the key is free: somebody else may have taken it since.
    key: Option<K>,
    under_way: Arc<UnderWay<K, V>>,
    arrival: watch::Sender<Option<V>>,
}

impl<K: Eq + Hash, V> Place<K, V> {
    fn land(mut self, value: V) {
        self.free();
        // Nobody may be left to hear it.
        self.arrival.send_replace(Some(value));
    }

    fn free(&mut self) {
        if let Some(key) = self.key.take() {
            self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
    }
}

impl<K: Eq + Hash, V> Drop for Place<K, V> {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    fn flights() -> Flights<&'static str, u32> {
        Flights::new(Tasks::default())
    }

    #[tokio::test]
    async fn a_crowd_shares_one_flight() {
        let flights = flights();
        let started = AtomicUsize::new(0);
        let (release, released) = oneshot::channel::<()>();
        let released = Mutex::new(Some(released));
        let start = || {
            started.fetch_add(1, Ordering::SeqCst);
            let released = released.lock().unwrap().take();
            async move {
                if let Some(released) = released {
                    released.await.unwrap();
                }
                7
            }
        };

        let mut first = Box::pin(flights.join("k", start));
        assert!(poll_once(&mut first).is_none(), "the flight waits for its release");
        let mut second = Box::pin(flights.join("k", start));
        assert!(poll_once(&mut second).is_none());
        drop(first); // Whoever started it leaves.
        release.send(()).unwrap();

        assert_eq!(second.await, (Ok(7), Boarded::Later));
        assert_eq!(started.load(Ordering::SeqCst), 1);
        assert_eq!(flights.join("k", start).await, (Ok(7), Boarded::First), "the key is free");
    }

    #[tokio::test]
    async fn a_flight_that_panics_frees_its_key() {
        let flights = flights();

        let (result, _) = flights.join("k", || async { panic!("on purpose") }).await;

        assert_eq!(result, Err(Abandoned));
        assert_eq!(flights.join("k", || async { 1 }).await, (Ok(1), Boarded::First));
    }

    #[test]
    fn a_flight_of_a_runtime_that_has_ended_frees_its_key() {
        let flights = flights();
        // On its own thread: dropping it has ended it, no worker is left to run anything.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let ended = runtime.handle().clone();
        drop(runtime);
        let _inside = ended.enter();

        let mut joined = Box::pin(flights.join("k", || async { 1 }));

        assert_eq!(poll_once(&mut joined), Some((Err(Abandoned), Boarded::First)));
        assert!(flights.under_way.lock().unwrap().is_empty());
    }

    /// Polls once.
    fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
