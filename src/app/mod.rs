//! The only place that builds concrete adapters and puts the parts together.
//!
//! [`open`] builds the configured store, [`open_origins`] the origins beside it, [`Assembly::new`]
//! the product over any of them, and [`Edge`] puts it behind listeners, with what goes on in the
//! `background`. `memory` is the snapshot.

mod background;
mod memory;
mod origins;

use std::hash::BuildHasher;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::access;
use crate::access::Gate;
use crate::admin::Admin;
use crate::admin::health::{Health, State};
use crate::authoring::Authoring;
use crate::authoring::usage::Usage;
use crate::cache::generation::Generations;
use crate::clock::Clock;
use crate::compile::tokens;
use crate::config;
use crate::config::{Config, StoreUrl};
use crate::delivery::{Delivery, Source, Sources};
use crate::dialects::Services;
use crate::hooks::Hooks;
use crate::ledger::Ledger;
use crate::origins::guard::Guarded;
use crate::origins::sqlite::{self, OpenError, SqliteStore};
use crate::origins::stored::Projects;
use crate::origins::{Origin, Store, Stored};
use crate::server::{Drain, Listener, Router};
use crate::telemetry::Metrics;
use crate::wire::body::Limits;

pub use origins::{OpenOriginError, OpenedOrigin, open_origins};

use memory::Memory;

/// The version and the source revision of this binary.
pub const BUILD: (&str, &str) = (env!("CARGO_PKG_VERSION"), env!("PROMPT_EDGE_REVISION"));

/// The ports that the configured store is behind.
pub struct Opened {
    /// Where prompts live.
    pub store: Arc<dyn Store>,
    /// Where months are counted.
    pub ledger: Arc<dyn Ledger>,
    /// The origins beside the store.
    pub origins: Vec<OpenedOrigin>,
}

/// Opens the configured store, and no origin beside it: that is [`open_origins`].
///
/// # Errors
///
/// If it cannot be used; the message says why.
pub fn open(config: &config::Store) -> Result<Opened, OpenError> {
    let StoreUrl::Sqlite(path) = &config.url;
    let opened = SqliteStore::open(sqlite::Config {
        path: path.clone(),
        readers: config.readers,
        busy_timeout: config.busy_timeout,
        timeout: config.timeout,
        watch_interval: config.watch_interval,
    })?;
    let opened = Arc::new(opened);
    Ok(Opened { store: Arc::clone(&opened) as _, ledger: opened, origins: Vec::new() })
}

/// The product, put together but not yet behind a listener.
pub struct Assembly {
    /// The callers' side.
    pub router: Router,
    /// The operators' side.
    pub admin: Arc<Admin>,
    /// Who may pass.
    pub gate: Arc<Gate>,
    /// What is kept of origins.
    pub delivery: Arc<Delivery>,
    /// What ends with the process.
    pub drain: Drain,
    /// What has changed.
    pub generations: Arc<Generations>,
    /// The origins beside the store.
    pub feeds: Vec<Arc<dyn Origin>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    store: Arc<dyn Store>,
}

impl Assembly {
    /// Puts the product together over a store. Nothing runs yet.
    pub fn new(config: &Config, opened: Opened, clock: Arc<dyn Clock>) -> Self {
        let Opened { store, ledger, origins } = opened;
        let (drain, health) = (Drain::default(), Arc::new(Health::awaiting(origins.is_empty())));
        let metrics = Arc::new(Metrics::new(BUILD.0, BUILD.1));
        let generations = Arc::new(Generations::default());
        let own = Stored::new(store.name().clone(), Arc::clone(&store), Projects::Own);
        let mut sources = Sources::of_store(Arc::new(own));
        let (mut foreign, mut feeds) = (None, Vec::new());
        for opened in origins {
            let name = opened.origin.name().clone();
            let origin: Arc<dyn Origin> = match opened.guard {
                Some(guard) => {
                    // Another edge's seed is another: they do not retry in step.
                    let seed = foldhash::quality::RandomState::default().hash_one(&name);
                    let (clock, metrics) = (Arc::clone(&clock), Arc::clone(&metrics));
                    Arc::new(Guarded::new(opened.origin, guard, clock, metrics, seed))
                }
                None => opened.origin,
            };
            feeds.push(Arc::clone(&origin));
            if opened.lets_keys_through {
                foreign = Some(Arc::clone(&origin));
            }
            sources.named.insert(name, Source { origin, freshness: opened.freshness });
        }
        let gate = Arc::new(Gate::new(
            config.keys,
            config.limits.clone(),
            config.guesses.clone(),
            access::Parts {
                store: Arc::clone(&store),
                ledger: Arc::clone(&ledger),
                generations: Arc::clone(&generations),
                clock: Arc::clone(&clock),
                metrics: Arc::clone(&metrics),
                foreign,
                tasks: drain.tasks().clone(),
            },
        ));
        let delivery = Arc::new(Delivery::new(
            config.delivery,
            config.cache,
            Arc::clone(&generations),
            sources,
            Arc::clone(&clock),
            (Arc::clone(&metrics), drain.tasks()),
        ));
        let hooks = Arc::new(Hooks::new(
            config
                .origins
                .iter()
                .filter_map(|origin| Some((origin.name.clone(), origin.hook.clone()?))),
            Arc::clone(&delivery),
            Arc::clone(&clock),
            Arc::clone(&metrics),
            config.server.header_timeout,
        ));
        let body =
            Limits { bytes: config.server.body_limit_bytes, time: config.server.header_timeout };
        let services = Services { gate: Arc::clone(&gate), delivery: Arc::clone(&delivery), body };
        let public_hooks = config.server.hooks.then(|| Arc::clone(&hooks));
        let router = Router::new(services, &metrics, config.server.max_in_flight, public_hooks);
        let plans = config.limits.plans.keys().cloned().collect();
        let origins = config.origins.iter().map(|origin| &origin.name);
        let admin = Arc::new(Admin {
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
            delivery: Arc::clone(&delivery),
            hooks,
            authoring: Authoring::new(Arc::clone(&store), plans, Arc::clone(&clock)),
            origins: [store.name()].into_iter().chain(origins).cloned().collect(),
            body,
            usage: Usage {
                store: Arc::clone(&store),
                ledger,
                plans: config.limits.plans.clone(),
                fallback_plan: config.limits.fallback_plan.clone(),
                clock: Arc::clone(&clock),
            },
            build: BUILD,
        });
        Self {
            router,
            admin,
            gate,
            delivery,
            drain,
            generations,
            feeds,
            clock,
            metrics,
            health,
            store,
        }
    }
}

/// Why an edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({setting})")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The key it is configured under.
        setting: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// A running edge.
pub struct Edge {
    assembly: Arc<Assembly>,
    /// The operators' side, which ends last: until then `/readyz` says that the edge drains.
    operators: Drain,
    address: SocketAddr,
    admin_address: SocketAddr,
    drain_timeout: Duration,
}

impl Edge {
    /// Binds both listeners and starts to serve.
    ///
    /// # Errors
    ///
    /// If an address cannot be listened on; nothing runs then.
    pub async fn start(
        config: &Config,
        opened: Opened,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let public = bind(config.server.listen, "server.listen").await?;
        let private = bind(config.admin.listen, "admin.listen").await?;
        let (address, admin_address) = (public.address(), private.address());

        let assembly = Arc::new(Assembly::new(config, opened, clock));
        let (drain, server) = (&assembly.drain, config.server);
        let tasks = drain.tasks();
        let memory = Memory::of(&config.snapshot);
        if let Some(memory) = &memory
            && let Some(image) = memory.read().await
        {
            assembly.restore(image).await;
        }
        tasks.spawn(Arc::clone(&assembly).follow());
        for feed in &assembly.feeds {
            tasks.spawn(Arc::clone(&assembly).follow_origin(Arc::clone(feed)));
        }
        tasks.spawn(Arc::clone(&assembly).refresh());
        if let Some(memory) = memory {
            tasks.spawn(Arc::clone(&assembly).keep(memory, config.snapshot.interval));
        }
        tasks.spawn(Arc::clone(&assembly).touch(config.keys.touch_interval));
        // A renewal that fails is tried twice more before the lease ends.
        tasks.spawn(Arc::clone(&assembly).tend(config.limits.quota.lease_for / 4));
        tasks.spawn_blocking(tokens::warm);
        let shed = assembly.metrics.shed("connections");
        let router = Arc::new(assembly.router.clone());
        tasks.spawn(public.run(router, server, drain.clone(), shed.clone()));
        let operators = Drain::default();
        let admin = private.run(Arc::clone(&assembly.admin), server, operators.clone(), shed);
        operators.tasks().spawn(admin);

        let drain_timeout = server.drain_timeout;
        Ok(Self { assembly, operators, address, admin_address, drain_timeout })
    }

    /// Where callers reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators reach it.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Stops accepting, lets what was started finish within the drain timeout, then insists.
    /// Returns whether everything finished by itself.
    pub async fn stop(self) -> bool {
        self.assembly.health.reach(State::Draining);
        let all_finished = self.assembly.drain.finish(self.drain_timeout).await;
        // Nobody spends any more: what is left of the leases goes back.
        let settled = timeout(SETTLE_WITHIN, self.assembly.gate.book().settle()).await;
        if settled.is_err() {
            tracing::warn!("leases were not given back: they end with their expiry");
        }
        self.operators.finish(OPERATORS_FINISH).await;
        all_finished
    }
}

/// How long the ledger may take to take the leases back.
const SETTLE_WITHIN: Duration = Duration::from_secs(1);

/// How long an operator's open request may take: its answer is in memory.
const OPERATORS_FINISH: Duration = Duration::from_secs(1);

async fn bind(address: SocketAddr, setting: &'static str) -> Result<Listener, StartError> {
    let bound = Listener::bind(address).await;
    bound.map_err(|source| StartError::Listen { address, setting, source })
}
