//! The only place that builds concrete adapters and puts the parts together.
//!
//! [`opening`] builds the configured store and the origins beside it, [`assembly`] the product over
//! any of them, and [`Edge`] puts it behind listeners, with what goes on in the `background`;
//! `memory` is its snapshot. [`reload`] gives it another configuration while it runs, as far as
//! `compare` says that it can.

pub mod assembly;
mod background;
mod compare;
mod memory;
pub mod opening;
pub mod reload;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::admin::health::State;
use crate::clock::Clock;
use crate::compile::tokens;
use crate::config::Config;
use crate::server::{Drain, Listener};

pub use assembly::{Assembly, BUILD};
pub use opening::{OpenOriginError, Opened, OpenedOrigin, open, open_origins};

use memory::Memory;
use reload::Reloader;

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
        let (drain, server) = (&assembly.drain, &assembly.server);
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
        tasks.spawn(Arc::clone(&assembly).touch());
        tasks.spawn(Arc::clone(&assembly).tend());
        tasks.spawn_blocking(tokens::warm);
        let shed = assembly.metrics.shed("connections");
        let router = Arc::new(assembly.router.clone());
        tasks.spawn(public.run(router, server.clone(), drain.clone(), shed.clone()));
        let operators = Drain::default();
        let admin =
            private.run(Arc::clone(&assembly.admin), server.clone(), operators.clone(), shed);
        operators.tasks().spawn(admin);

        Ok(Self { assembly, operators, address, admin_address })
    }

    /// Where callers reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators reach it.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Reads the configuration anew from now on: when [`Edge::reload`] is called, when an operator
    /// asks for it, and when its file changes. `started` is what the edge was started with, and what the
    /// file held before that was read.
    pub fn follow_configuration(
        &self,
        (running, content): (Config, Option<Vec<u8>>),
        source: impl reload::Source,
    ) {
        if let Some(wishes) = self.assembly.admin.reloads.open() {
            let reloader = Reloader::new(running, source, Arc::clone(&self.assembly));
            self.assembly.drain.tasks().spawn(Arc::new(reloader).run(content, wishes));
        }
    }

    /// Has the configuration read anew, behind.
    pub fn reload(&self) {
        self.assembly.admin.reloads.wish();
    }

    /// Stops accepting, lets what was started finish within the drain timeout, then insists.
    /// Returns whether everything finished by itself.
    pub async fn stop(self) -> bool {
        self.assembly.health.reach(State::Draining);
        let patience = self.assembly.server.load().drain.timeout;
        let all_finished = self.assembly.drain.finish(patience).await;
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
