//! The only place that builds concrete adapters and puts the parts together.
//!
//! [`open`] builds the configured store, [`Assembly::new`] the product over any store, and
//! [`Edge`] puts it behind listeners, with what goes on in the background: applying what the store
//! says has changed, writing down when keys were used, tending leases, building the tokenizer.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
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
use crate::config::{Config, Kind, StoreUrl};
use crate::delivery::{Delivery, Sources};
use crate::dialects::Services;
use crate::hooks::Hooks;
use crate::ledger::Ledger;
use crate::model::OriginName;
use crate::origins::files::{self, FilesOrigin};
use crate::origins::sqlite::{self, OpenError, SqliteStore};
use crate::origins::stored::Projects;
use crate::origins::upstream::Upstream;
use crate::origins::upstream::langfuse::{self, Langfuse};
use crate::origins::upstream::promptot::{self, PromptOt};
use crate::origins::{self, Changes, Cursor, Origin, Store, Stored};
use crate::server::{Drain, Listener, Router};
use crate::telemetry::Metrics;
use crate::telemetry::trace::Chain;
use crate::wire::body::Limits;
use crate::wire::client::Unusable;

/// The version and the source revision of this binary.
pub const BUILD: (&str, &str) = (env!("CARGO_PKG_VERSION"), env!("PROMPT_EDGE_REVISION"));

/// The ports that the configured store is behind.
pub struct Opened {
    /// Where prompts live.
    pub store: Arc<dyn Store>,
    /// Where months are counted.
    pub ledger: Arc<dyn Ledger>,
}

/// Opens the configured store.
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
    Ok(Opened { store: Arc::clone(&opened) as _, ledger: opened })
}

/// Opens the configured origins, in the order of the configuration. None is asked anything yet.
///
/// # Errors
///
/// If one cannot be used; the message names it and says why.
pub fn open_origins(config: &Config) -> Result<Vec<Arc<dyn Origin>>, OpenOriginError> {
    let open = |origin: &config::Origin| {
        let name = || origin.name.clone();
        open_origin(origin, &config.store)
            .map_err(|source| OpenOriginError { name: name(), source })
    };
    config.origins.iter().map(open).collect()
}

fn open_origin(origin: &config::Origin, store: &config::Store) -> Result<Arc<dyn Origin>, Fault> {
    let name = origin.name.clone();
    Ok(match &origin.kind {
        Kind::Files { path } => Arc::new(FilesOrigin::open(files::Config::at(name, path))?),
        Kind::Langfuse { remote, labels, poll_interval, pins } => {
            let config = langfuse::Config {
                key: remote.keys.key(),
                live_label: labels.live.clone(),
                draft_label: labels.draft.clone(),
                versions: pins.clone(),
                poll_interval: *poll_interval,
                full_list_every: looks_in_an_hour(*poll_interval),
            };
            Arc::new(Langfuse::new(upstream(name, remote)?, config))
        }
        Kind::PromptOt(remote) => {
            let (key, draft_key) = (remote.keys.key(), remote.keys.draft_key());
            let config = promptot::Config { key, draft_key };
            Arc::new(PromptOt::new(upstream(name, remote)?, config))
        }
        Kind::Sqlite { path } => {
            // Opening would make one, and an empty store has no prompts.
            path.metadata()?;
            let url = StoreUrl::Sqlite(path.clone());
            let store = open(&config::Store { url, ..store.clone() })?.store;
            Arc::new(Stored::new(name, store, Projects::ByName))
        }
        Kind::PromptEdge(_) => return Err("this edge has no adapter for its kind".into()),
    })
}

fn upstream(name: OriginName, remote: &config::Remote) -> Result<Upstream, Unusable> {
    Upstream::new(name, &remote.base_url, &remote.client)
}

/// One at least.
fn looks_in_an_hour(interval: Duration) -> NonZeroU32 {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let looks = HOUR.as_millis() / interval.as_millis().max(1);
    u32::try_from(looks).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

/// An origin that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the origin `{name}` cannot be used")]
pub struct OpenOriginError {
    name: OriginName,
    source: Fault,
}

type Fault = Box<dyn Error + Send + Sync>;

/// The product, put together but not yet behind a listener.
pub struct Assembly {
    /// The callers' side.
    pub router: Router,
    /// The operators' side.
    pub admin: Arc<Admin>,
    /// Who may pass.
    pub gate: Arc<Gate>,
    /// What ends with the process.
    pub drain: Drain,
    /// What has changed.
    pub generations: Arc<Generations>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    store: Arc<dyn Store>,
}

impl Assembly {
    /// Puts the product together over a store. Nothing runs yet.
    pub fn new(config: &Config, opened: Opened, clock: Arc<dyn Clock>) -> Self {
        let Opened { store, ledger } = opened;
        let (drain, health) = (Drain::default(), Arc::new(Health::default()));
        let metrics = Arc::new(Metrics::new(BUILD.0, BUILD.1));
        let generations = Arc::new(Generations::default());
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
                foreign: None,
                tasks: drain.tasks().clone(),
            },
        ));
        let own = Stored::new(store.name().clone(), Arc::clone(&store), Projects::Own);
        let sources = Sources::of_store(Arc::new(own));
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
            delivery,
            hooks,
            authoring: Authoring::new(Arc::clone(&store), plans, Arc::clone(&clock)),
            origins: [store.name()].into_iter().chain(origins).cloned().collect(),
            body,
            usage: Usage {
                store: Arc::clone(&store),
                ledger,
                plans: config.limits.plans.clone(),
                fallback_plan: config.limits.fallback_plan.clone(),
                clock,
            },
            build: BUILD,
        });
        Self { router, admin, gate, drain, generations, metrics, health, store }
    }

    /// Applies what the store says has changed, until the drain begins.
    pub async fn follow(self: Arc<Self>) {
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

    /// Waits for the next changes, applies them and returns where to go on. Ready is what the first
    /// answer of the store makes the process.
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
        self.health.reach(State::Ready);
        Ok(cursor)
    }

    /// Keeps the leases in use and gives back the others.
    async fn tend(self: Arc<Self>, interval: Duration) {
        while timeout(interval, self.drain.stopping()).await.is_err() {
            self.gate.book().tend().await;
        }
    }

    /// Writes down when keys were used, at each interval and once more when the drain begins.
    async fn touch(self: Arc<Self>, interval: Duration) {
        loop {
            let is_stopping = timeout(interval, self.drain.stopping()).await.is_ok();
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
}

/// How long the store is left alone after it failed to say what has changed.
const PAUSE: Duration = Duration::from_secs(1);

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
        tasks.spawn(Arc::clone(&assembly).follow());
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
        let settled = timeout(PAUSE, self.assembly.gate.book().settle()).await;
        if settled.is_err() {
            tracing::warn!("leases were not given back: they end with their expiry");
        }
        self.operators.finish(OPERATORS_FINISH).await;
        all_finished
    }
}

/// How long an operator's open request may take: its answer is in memory.
const OPERATORS_FINISH: Duration = Duration::from_secs(1);

async fn bind(address: SocketAddr, setting: &'static str) -> Result<Listener, StartError> {
    let bound = Listener::bind(address).await;
    bound.map_err(|source| StartError::Listen { address, setting, source })
}
