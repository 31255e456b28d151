//! The product, put together over its ports.

use std::hash::BuildHasher;
use std::sync::Arc;

use crate::access;
use crate::access::Gate;
use crate::admin::Admin;
use crate::admin::health::Health;
use crate::app::opening::{Opened, OpenedOrigin};
use crate::authoring::Authoring;
use crate::authoring::usage::Usage;
use crate::cache::generation::Generations;
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::{Delivery, Source, Sources};
use crate::dialects::Services;
use crate::hooks::Hooks;
use crate::origins::guard::Guarded;
use crate::origins::stored::Projects;
use crate::origins::{Origin, Store, Stored};
use crate::server::{Drain, Router};
use crate::telemetry::Metrics;
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
        let deadlines = config.server.deadlines;
        let body = Limits {
            bytes: config.server.body_limit_bytes,
            time: deadlines.body,
            min_rate: deadlines.min_rate,
        };
        let hooks = Arc::new(Hooks::new(
            config
                .origins
                .iter()
                .filter_map(|origin| Some((origin.name.clone(), origin.hook.clone()?))),
            Arc::clone(&delivery),
            Arc::clone(&clock),
            Arc::clone(&metrics),
            body,
        ));
        let services = Services { gate: Arc::clone(&gate), delivery: Arc::clone(&delivery), body };
        let public_hooks = config.server.hooks.then(|| Arc::clone(&hooks));
        let router = Router::new(
            services,
            (&metrics, Arc::clone(&clock)),
            config.server.max_in_flight,
            public_hooks,
        );
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
        sources.named.insert(name, Source { origin, freshness: opened.freshness });
    }
    South { sources, feeds, foreign }
}
