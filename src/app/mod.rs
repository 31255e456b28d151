//! The only place that builds concrete adapters and puts the parts together.
//!
//! [`opening`] builds the configured store and the origins beside it, [`assembly`] the product over
//! any of them, and [`Edge`] puts it behind listeners, with what goes on in the `background`;
//! `memory` is its snapshot.

pub mod assembly;
mod background;
mod memory;
pub mod opening;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::admin::health::State;
use crate::clock::Clock;
use crate::compile::tokens;
use crate::config::Config;
use crate::server;
use crate::server::{Drain, Listener, Tls, tls};

pub use assembly::{Assembly, BUILD};
pub use opening::{OpenOriginError, Opened, OpenedOrigin, open, open_origins};

use memory::Memory;

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

    /// A listener's certificates cannot be used.
    #[error("cannot secure the listener `{listener}`")]
    Secure {
        /// The listener's name.
        listener: String,
        /// What is wrong with which file.
        source: tls::Error,
    },
}

/// A running edge.
pub struct Edge {
    assembly: Arc<Assembly>,
    /// The operators' side, which ends last: until then `/readyz` says that the edge drains.
    operators: Drain,
    address: SocketAddr,
    admin_address: SocketAddr,
    server: server::Config,
    /// One for each listener with TLS.
    secured: Vec<Arc<Tls>>,
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
        tasks.spawn(public.run(router, server, drain.clone(), shed.clone(), None));
        let operators = Drain::default();
        let admin = Arc::clone(&assembly.admin);
        operators.tasks().spawn(private.run(admin, server, operators.clone(), shed, None));

        Ok(Self { assembly, operators, address, admin_address, server, secured: Vec::new() })
    }

    /// Opens one more listener for callers, over TLS. Returns where it is.
    ///
    /// # Errors
    ///
    /// If its certificates cannot be used, or its address cannot be listened on; the rest goes on.
    pub async fn open(
        &mut self,
        name: &str,
        address: SocketAddr,
        config: tls::Config,
    ) -> Result<SocketAddr, StartError> {
        let Assembly { drain, clock, metrics, router, .. } = &*self.assembly;
        let tls = Tls::open(name, config, Arc::clone(clock), Arc::clone(metrics));
        let secure = |source| StartError::Secure { listener: name.to_owned(), source };
        let tls = Arc::new(tls.map_err(secure)?);
        let listener = bind(address, "listeners").await?;
        let address = listener.address();
        let (router, shed) = (Arc::new(router.clone()), metrics.shed("connections"));
        let served = listener.run(router, self.server, drain.clone(), shed, Some(Arc::clone(&tls)));
        drain.tasks().spawn(served);
        drain.tasks().spawn(Arc::clone(&tls).watch(drain.clone()));
        self.secured.push(tls);
        Ok(address)
    }

    /// Reads the certificates of every listener again, without ending a connection. What cannot be
    /// used is logged, and stays as it was. Returns whether everything can be.
    pub async fn reload_certificates(&self) -> bool {
        let mut all_usable = true;
        for tls in &self.secured {
            all_usable &= tls.renew().await;
        }
        all_usable
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
        let all_finished = self.assembly.drain.finish(self.server.drain.timeout).await;
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
