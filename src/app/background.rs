//! What goes on while requests are answered.
//!
//! | task      | does                                                        | how often            |
//! |-----------|-------------------------------------------------------------|----------------------|
//! | follow    | applies what the store and each origin say has changed      | when they say so     |
//! | refresh   | asks again for what is in use, before it is too old         | every second         |
//! | touch     | writes down when keys were used                             | `keys.touch_interval`|
//! | tend      | keeps the leases in use, gives back the others              | a quarter of a lease |
//! | keep      | writes the snapshot                                         | `snapshot.interval`  |
//! | tidy      | has the allocator give back what is not used any more       | every two seconds    |
//!
//! Each goes on while the edge still accepts, and ends when it stops; touch and keep do their work
//! once more then.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::app::assembly::Assembly;
use crate::app::memory::Memory;
use crate::compile::tokens;
use crate::config::Config;
use crate::origins::{self, Change, Changes, Cursor, Origin};
use crate::telemetry::trace::Chain;

impl Assembly {
    /// Begins all of it.
    pub(crate) fn begin(self: &Arc<Self>, config: &Config, memory: Option<Memory>) {
        let tasks = self.drain.tasks();
        tasks.spawn(Arc::clone(self).follow());
        for feed in &self.feeds {
            tasks.spawn(Arc::clone(self).follow_origin(Arc::clone(feed)));
        }
        tasks.spawn(Arc::clone(self).refresh());
        if let Some(memory) = memory {
            tasks.spawn(Arc::clone(self).keep(memory, config.snapshot.interval));
        }
        tasks.spawn(Arc::clone(self).touch());
        tasks.spawn(Arc::clone(self).tend());
        tasks.spawn(Arc::clone(self).tidy());
        tasks.spawn_blocking(tokens::warm);
    }

    /// Has the allocator give memory back, until the drain begins: mimalloc looks for pages that nobody
    /// has used for a second when a page is freed, and after a peak none may be for a long time. A block
    /// of this size is a page of its own.
    async fn tidy(self: Arc<Self>) {
        while timeout(TIDY, self.drain.stopping()).await.is_err() {
            drop(black_box(Vec::<u8>::with_capacity(PAGE_OF_ITS_OWN)));
        }
    }

    /// Applies what the store says has changed, until the drain begins.
    async fn follow(self: Arc<Self>) {
        let mut cursor = Cursor::START;
        loop {
            let followed = tokio::select! {
                followed = self.follow_once(cursor) => followed,
                () = self.drain.stopping() => return,
            };
            match followed {
                Ok(next) => cursor = next,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the store does not say what has changed");
                    let _ = timeout(PAUSE, self.drain.stopping()).await;
                }
            }
        }
    }

    /// Waits for the store's next changes, applies them and returns where to go on.
    ///
    /// # Errors
    ///
    /// If the store does not say what has changed; ask again with the same cursor.
    pub async fn follow_once(&self, cursor: Cursor) -> Result<Cursor, origins::Error> {
        let Changes { changes, cursor } = self.store.changes(cursor).await?;
        for change in &changes {
            self.generations.apply(change);
        }
        self.metrics.changes_applied(changes.len());
        tracing::debug!(count = changes.len(), "changes applied");
        self.health.has_heard_from_the_store();
        Ok(cursor)
    }

    /// Applies what an origin says has changed, until the drain begins.
    async fn follow_origin(self: Arc<Self>, origin: Arc<dyn Origin>) {
        let (mut cursor, mut pause) = (Cursor::START, PAUSE);
        loop {
            let followed = tokio::select! {
                followed = self.follow_origin_once(&*origin, cursor) => followed,
                () = self.drain.stopping() => return,
            };
            match followed {
                Ok(next) => (cursor, pause) = (next, PAUSE),
                Err(error) => {
                    let name = origin.name().as_str();
                    tracing::warn!(origin = name, error = %Chain(&error), "an origin does not say what has changed");
                    let _ = timeout(pause, self.drain.stopping()).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Waits for an origin's next changes, applies them and returns where to go on.
    ///
    /// # Errors
    ///
    /// If the origin does not say what has changed; ask again with the same cursor.
    pub async fn follow_origin_once(
        &self,
        origin: &dyn Origin,
        cursor: Cursor,
    ) -> Result<Cursor, origins::Error> {
        let Changes { changes, cursor } = origin.changes(cursor).await?;
        let mut named = Vec::new();
        let mut is_everything = false;
        for change in &changes {
            match change {
                Change::Named(name) => named.push(name.clone()),
                Change::Everything
                | Change::Key(_)
                | Change::Project(_)
                | Change::Prompt { .. } => is_everything = true,
            }
        }
        if is_everything {
            named.clear();
        }
        if !changes.is_empty() {
            self.delivery.told(origin.name(), named, None);
        }
        self.metrics.changes_applied(changes.len());
        self.health.has_heard_from_an_origin();
        Ok(cursor)
    }

    /// Asks again for what is in use and about to be too old.
    async fn refresh(self: Arc<Self>) {
        while timeout(REFRESH_EVERY, self.drain.stopping()).await.is_err() {
            self.delivery.tend();
        }
    }

    /// Keeps the leases in use and gives back the others.
    async fn tend(self: Arc<Self>) {
        let mut interval = self.paces.tend.subscribe();
        while !self.is_stopped_within(&mut interval).await {
            self.gate.book().tend().await;
        }
    }

    /// Writes down when keys were used, at each interval and once more when the drain begins.
    async fn touch(self: Arc<Self>) {
        let mut interval = self.paces.touch.subscribe();
        loop {
            let is_stopping = self.is_stopped_within(&mut interval).await;
            let used = self.gate.keyring().take_used();
            if !used.is_empty()
                && let Err(error) = self.store.touch_keys(used).await
            {
                tracing::warn!(error = %Chain(&error), "moments of last use were not written");
            }
            if is_stopping {
                return;
            }
        }
    }

    /// Waits for an interval, which begins anew when it is changed. Returns whether the drain has
    /// begun.
    async fn is_stopped_within(&self, interval: &mut watch::Receiver<Duration>) -> bool {
        loop {
            let span = *interval.borrow_and_update();
            let ended = async {
                tokio::select! {
                    () = self.drain.stopping() => true,
                    // Whoever may change it lives as long as `self`.
                    _ = interval.changed() => false,
                }
            };
            match timeout(span, ended).await {
                Err(_) => return false,
                Ok(true) => return true,
                Ok(false) => {}
            }
        }
    }

    /// Writes the snapshot at each interval and once more when the drain begins.
    async fn keep(self: Arc<Self>, memory: Memory, interval: Duration) {
        loop {
            let is_stopping = timeout(interval, self.drain.stopping()).await.is_ok();
            memory.write(&self).await;
            if is_stopping {
                return;
            }
        }
    }
}

/// How often the allocator is asked to.
const TIDY: Duration = Duration::from_secs(2);

/// More than mimalloc has several of in one page, in bytes.
const PAGE_OF_ITS_OWN: usize = 1 << 20;

/// How long the store is left alone after it failed to say what has changed; an origin at first.
const PAUSE: Duration = Duration::from_secs(1);

/// How long an origin is left alone at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often what is in use is looked through.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
