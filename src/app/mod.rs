//! The only place that builds concrete adapters and puts the parts together.
//!
//! [`opening`] builds the configured store and the origins beside it, [`assembly`] the product over
//! any of them, and [`Edge`] puts it behind listeners, with what goes on in the `background`;
//! `memory` is its snapshot, [`supervisor`] who watches over the process. [`reload`] gives it another
//! configuration while it runs, as far as `compare` says that it can.

pub mod assembly;
mod background;
mod compare;
mod memory;
pub mod opening;
pub mod reload;
pub mod supervisor;

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::admin::health::State;
use crate::clock::Clock;
use crate::config::Config;
use crate::server::{
    Address, Door, Drain, Draining, Inherited, Listener, ListenerConfig, Places, Tls, Workers, tls,
};

pub use assembly::{Assembly, BUILD};
pub use opening::{OpenOriginError, Opened, OpenedOrigin, open, open_origins};
pub use supervisor::Supervisor;

use memory::Memory;
use reload::Reloader;

/// Why an edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener cannot be opened.
    #[error("cannot listen on {address} ({setting})")]
    Listen {
        /// Where it is to be.
        address: Address,
        /// The key it is configured under.
        setting: String,
        /// What the system said.
        source: io::Error,
    },
    /// The threads that serve connections cannot be started.
    #[error("cannot start workers")]
    Workers {
        /// What the system said.
        source: io::Error,
    },

    /// A listener's certificates cannot be used.
    #[error("cannot secure the listener `{listener}`")]
    Secure {
        /// The listener's name.
        listener: String,
        /// What is wrong with which file.
        source: Box<tls::Error>,
    },
}

/// A running edge.
pub struct Edge {
    assembly: Arc<Assembly>,
    /// The operators' side, which ends last: until then `/readyz` says that the edge drains.
    operators: Drain,
    workers: Arc<Workers>,
    urls: Vec<(String, String)>,
    address: Option<SocketAddr>,
    admin_address: SocketAddr,
    /// One for each listener with TLS.
    secured: Vec<Arc<Tls>>,
}

/// How soon an edge stops to accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// After `server.drain_delay`: balancers that look at `/readyz` go elsewhere meanwhile.
    Announced,
    /// Now: somebody waits for it.
    Now,
}

impl Edge {
    /// Opens all listeners and starts to serve. Tasks that are no connections run in the runtime that
    /// this is called in.
    ///
    /// # Errors
    ///
    /// If a listener cannot be opened, or the system has no thread or descriptor left.
    pub async fn start(
        config: &Config,
        opened: Opened,
        mut inherited: Inherited,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let listeners = listen(config, &mut inherited).await?;
        for name in inherited.left() {
            tracing::warn!(name, "no listener takes a socket that systemd has handed over");
        }
        let (private, admin_address) = operate(config.admin.listen)?;
        let workers = Workers::start(config.server.workers);
        let workers = Arc::new(workers.map_err(|source| StartError::Workers { source })?);

        let assembly = Arc::new(Assembly::new(config, opened, clock));
        let memory = Memory::of(&config.snapshot);
        if let Some(memory) = &memory
            && let Some(image) = memory.read().await
        {
            assembly.restore(image).await;
        }
        assembly.begin(config, memory);
        let (server, drain) = (&assembly.server, assembly.drain.clone());
        let metrics = &assembly.metrics;
        let places = Places::by_source(metrics);
        let (mut urls, mut address, mut secured) = (Vec::new(), None, Vec::new());
        for (entry, listener) in config.listeners.iter().zip(listeners) {
            urls.extend(listener.urls().iter().map(|url| (entry.name.clone(), url.clone())));
            address = address.or(listener.address());
            let service = Arc::new(assembly.router.serving(entry.serves));
            let (places, drain) = (places.clone(), drain.clone());
            let tls = entry.tls.clone().map(|config| secure(&assembly, &entry.name, config));
            let tls = tls.transpose()?;
            secured.extend(tls.clone());
            let door = Door { service, config: server.clone(), places, tls, drain };
            let served = listener.serve_on(&workers, &door);
            served.map_err(|source| unusable(entry, source))?;
        }
        let operators = Drain::default();
        let door = Door {
            service: Arc::clone(&assembly.admin),
            config: server.clone(),
            places: Places::new(metrics),
            tls: None,
            drain: operators.clone(),
        };
        private.serve(&door).map_err(|source| unusable_admin(config.admin.listen, source))?;

        Ok(Self { assembly, operators, workers, urls, address, admin_address, secured })
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

    /// What callers put before a path, each with its listener's name, in the order of the
    /// configuration.
    pub fn urls(&self) -> &[(String, String)] {
        &self.urls
    }

    /// Where callers reach it over TCP, first of all.
    pub fn address(&self) -> Option<SocketAddr> {
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

    /// Tells the service manager that the edge is alive, as often as it wants to know, until the end.
    pub fn report(&self, to: &Supervisor) {
        let (admin, workers) = (Arc::clone(&self.assembly.admin), Arc::clone(&self.workers));
        let is_alive = move || workers.have_turned() && !admin.is_stalled();
        let report = supervisor::report(to.clone(), is_alive, self.operators.clone());
        self.operators.tasks().spawn(report);
    }

    /// Says that it stops, goes on accepting unless in haste, lets what was started finish within
    /// the drain timeout, then insists. Returns whether everything finished by itself.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the edge at once, in every phase.
    pub async fn stop(self, haste: Haste) -> bool {
        self.assembly.health.reach(State::Draining);
        let Draining { delay, timeout: patience } = self.assembly.server.load().drain;
        if haste == Haste::Announced && !delay.is_zero() {
            let _ = timeout(delay, pending::<()>()).await;
        }
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

/// Opens the callers' listeners, in the order of the configuration.
async fn listen(config: &Config, inherited: &mut Inherited) -> Result<Vec<Listener>, StartError> {
    let mut listeners = Vec::new();
    for entry in &config.listeners {
        let opened = Listener::open(entry, inherited).await;
        listeners.push(opened.map_err(|source| unusable(entry, source))?);
    }
    Ok(listeners)
}

/// Opens the operators' listener.
fn operate(address: SocketAddr) -> Result<(Listener, SocketAddr), StartError> {
    let bound = Listener::bind(address).map_err(|source| unusable_admin(address, source))?;
    let address = bound.address().unwrap_or(address);
    Ok((bound, address))
}

fn unusable(entry: &ListenerConfig, source: io::Error) -> StartError {
    let setting = match entry.name.as_str() {
        ListenerConfig::DEFAULT => "server.listen".to_owned(),
        name => format!("listeners.{name}.listen"),
    };
    StartError::Listen { address: entry.address.clone(), setting, source }
}

fn unusable_admin(address: SocketAddr, source: io::Error) -> StartError {
    let setting = "admin.listen".to_owned();
    StartError::Listen { address: Address::Tcp(address), setting, source }
}

/// What a listener of TLS shows, watched until the drain begins.
fn secure(assembly: &Assembly, name: &str, config: tls::Config) -> Result<Arc<Tls>, StartError> {
    let (clock, metrics) = (Arc::clone(&assembly.clock), Arc::clone(&assembly.metrics));
    let opened = Tls::open(name, config, clock, metrics);
    let secure = |error| StartError::Secure { listener: name.to_owned(), source: Box::new(error) };
    let tls = Arc::new(opened.map_err(secure)?);
    assembly.drain.tasks().spawn(Arc::clone(&tls).watch(assembly.drain.clone()));
    Ok(tls)
}
