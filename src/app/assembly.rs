//! The product, put together over its ports.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::access;
use crate::access::Gate;
use crate::admin::Admin;
use crate::admin::health::Health;
use crate::admin::reload::Reloads;
use crate::app::opening::{Opened, OpenedOrigin};
use crate::authoring::Authoring;
use crate::authoring::usage::Usage;
use crate::cache::generation::Generations;
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::{Delivery, Source, Sources};
use crate::dialects::Services;
use crate::hooks::{self, Hooks};
use crate::live::Live;
use crate::model::OriginName;
use crate::origins::guard::Guarded;
use crate::origins::stored::Projects;
use crate::origins::{Origin, Store, Stored};
use crate::server::{self, Drain, Router};
use crate::telemetry::Metrics;
use crate::telemetry::trace;
use crate::wire::body::Limits;

/// The version and the source revision of this binary.
pub const BUILD: (&str, &str) = (env!("CARGO_PKG_VERSION"), env!("PROMPT_EDGE_REVISION"));

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
    /// How connections are served; each reads it when it is accepted.
    pub server: Live<server::Config>,
    /// How much of a body is waited for.
    body: Live<Limits>,
    hooks: Arc<Hooks>,
    pub(crate) paces: Paces,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    pub(crate) store: Arc<dyn Store>,
}

impl Assembly {
    /// Puts the product together over a store. Nothing runs yet.
    pub fn new(config: &Config, opened: Opened, clock: Arc<dyn Clock>) -> Self {
        let Opened { store, ledger, origins } = opened;
        let (drain, health) = (Drain::default(), Arc::new(Health::awaiting(origins.is_empty())));
        let metrics = Arc::new(Metrics::new(BUILD.0, BUILD.1));
        let generations = Arc::new(Generations::default());
        let South { sources, feeds, foreign } = south(&store, origins, &clock, &metrics);
        let limits = Live::new(config.limits.clone());
        let gate = Arc::new(Gate::new(
            config.keys,
            limits.clone(),
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
        let (server, body) = (Live::new(config.server), Live::new(body_limits(&config.server)));
        let hooks = Arc::new(Hooks::new(
            hooks_of(config),
            Arc::clone(&delivery),
            Arc::clone(&clock),
            Arc::clone(&metrics),
            body.clone(),
        ));
        let services = Services {
            gate: Arc::clone(&gate),
            delivery: Arc::clone(&delivery),
            body: body.clone(),
        };
        let counted = (&*metrics, Arc::clone(&clock));
        let router = Router::new(services, counted, server.clone(), Arc::clone(&hooks));
        let plans = config.limits.plans.keys().cloned().collect();
        let origins = config.origins.iter().map(|origin| &origin.name);
        let admin = Arc::new(Admin {
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
            delivery: Arc::clone(&delivery),
            hooks: Arc::clone(&hooks),
            authoring: Authoring::new(Arc::clone(&store), plans, Arc::clone(&clock)),
            origins: [store.name()].into_iter().chain(origins).cloned().collect(),
            body: body.clone(),
            reloads: Reloads::default(),
            usage: Usage { store: Arc::clone(&store), ledger, limits, clock: Arc::clone(&clock) },
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
            server,
            body,
            hooks,
            paces: Paces::of(config),
            clock,
            metrics,
            health,
            store,
        }
    }
}

/// The hooks of the origins that have one.
fn hooks_of(config: &Config) -> impl Iterator<Item = (OriginName, hooks::Config)> {
    let origins = config.origins.iter();
    origins.filter_map(|origin| Some((origin.name.clone(), origin.hook.clone()?)))
}

fn body_limits(server: &server::Config) -> Limits {
    let server::Deadlines { body, min_rate, .. } = server.deadlines;
    Limits { bytes: server.body_limit_bytes, time: body, min_rate }
}

/// How often what goes on in the background is done.
pub(crate) struct Paces {
    pub(crate) tend: watch::Sender<Duration>,
    pub(crate) touch: watch::Sender<Duration>,
}

impl Paces {
    fn of(config: &Config) -> Self {
        let [tend, touch] = Self::intervals(config).map(watch::Sender::new);
        Self { tend, touch }
    }

    fn set(&self, config: &Config) {
        let [tend, touch] = Self::intervals(config);
        for (pace, interval) in [(&self.tend, tend), (&self.touch, touch)] {
            let is_new = |pace: &mut Duration| std::mem::replace(pace, interval) != interval;
            pace.send_if_modified(is_new);
        }
    }

    /// A renewal that fails is tried twice more before the lease ends.
    fn intervals(config: &Config) -> [Duration; 2] {
        [config.limits.quota.lease_for / 4, config.keys.touch_interval]
    }
}

impl Assembly {
    /// Goes by another configuration from now on, as far as it can without a restart: `reload` has
    /// seen to it that nothing else in it is new. Each part swaps its own settings whole.
    pub fn reconfigure(&self, config: &Config) {
        self.server.store(config.server);
        self.body.store(body_limits(&config.server));
        self.gate.reconfigure(config.keys, &config.limits, &config.guesses);
        let freshness = config.origins.iter().map(|origin| (&origin.name, &origin.freshness));
        self.delivery.reconfigure(config.delivery, freshness);
        self.hooks.reconfigure(hooks_of(config));
        self.paces.set(config);
        trace::set_level(config.log.level);
    }
}

/// Where prompts come from, as the parts see it.
struct South {
    sources: Sources,
    /// The origins beside the store.
    feeds: Vec<Arc<dyn Origin>>,
    /// The origin whose own keys are let through.
    foreign: Option<Arc<dyn Origin>>,
}

/// The store as an origin and those beside it, each behind its guard.
fn south(
    store: &Arc<dyn Store>,
    origins: Vec<OpenedOrigin>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) -> South {
    let own = Stored::new(store.name().clone(), Arc::clone(store), Projects::Own);
    let mut sources = Sources::of_store(Arc::new(own));
    let (mut foreign, mut feeds) = (None, Vec::new());
    for opened in origins {
        let name = opened.origin.name().clone();
        let origin: Arc<dyn Origin> = match opened.guard {
            Some(guard) => {
                // Another edge's seed is another: they do not retry in step.
                let seed = foldhash::quality::RandomState::default().hash_one(&name);
                let (clock, metrics) = (Arc::clone(clock), Arc::clone(metrics));
                Arc::new(Guarded::new(opened.origin, guard, clock, metrics, seed))
            }
            None => opened.origin,
        };
        feeds.push(Arc::clone(&origin));
        if opened.lets_keys_through {
            foreign = Some(Arc::clone(&origin));
        }
        sources.named.insert(name, Source { origin, freshness: Live::new(opened.freshness) });
    }
    South { sources, feeds, foreign }
}
