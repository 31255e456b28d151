//! `serve`: run the edge until a signal says otherwise.

use std::io;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::reload::Source;
use crate::app::{self, Edge, Haste, Opened, Supervisor};
use crate::authoring::Authoring;
use crate::cli::settings::{Anew, Settings};
use crate::cli::{Failure, authoring};
use crate::cli::{demo, output};
use crate::clock::SystemClock;
use crate::config;
use crate::config::{Config, Flag};
use crate::model::Project;
use crate::server::{Inherited, descriptors};
use crate::telemetry::trace;
use crate::telemetry::trace::Chain;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Serve a temporary store with example prompts [key: demo]
    #[arg(long)]
    demo: bool,
    /// Never call an origin over HTTP: serve what there is [key: offline]
    #[arg(long)]
    offline: bool,
    /// Where callers connect; port 0 takes a free one [key: server.listen]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// How many threads serve connections; 0 is one for each core [key: server.workers]
    #[arg(long, value_name = "N")]
    workers: Option<String>,
    /// Where operators connect; port 0 takes a free one [key: admin.listen]
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<String>,
}

impl Arguments {
    fn flags(&self) -> Vec<Flag> {
        let [demo, offline] = [self.demo, self.offline].map(|is| is.then(|| "true".to_owned()));
        let given = [
            ("--demo", "demo", &demo),
            ("--offline", "offline", &offline),
            ("--listen", "server.listen", &self.listen),
            ("--workers", "server.workers", &self.workers),
            ("--admin-listen", "admin.listen", &self.admin_listen),
        ];
        let flags = given.into_iter().filter_map(|(name, path, value)| {
            value.clone().map(|value| Flag { name, path, value })
        });
        flags.collect()
    }
}

pub(super) fn run(settings: &Settings, arguments: &Arguments) -> Result<(), Failure> {
    let flags = arguments.flags();
    let mut anew = settings.anew(flags);
    let content = anew.content();
    let mut config = anew.load().map_err(Failure::Config)?;
    trace::start(config.log);

    // Before there are threads: it changes the environment.
    let inherited = inherited();
    let descriptors = descriptors::raise();

    // Kept until the server has stopped; dropping it removes the store.
    let folder = if config.demo {
        let (folder, url) = demo::temporary()?;
        anew.serve_store(url.clone());
        config.store.url = url;
        Some(folder)
    } else {
        None
    };
    let mut opened = app::open(&config.store).map_err(Failure::of)?;
    opened.origins = app::open_origins(&config).map_err(Failure::of)?;
    let cores = std::thread::available_parallelism()?.get();
    // Everything but connections: what is asked of origins, and operators.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(cores.min(MAIN_THREADS))
        // They render large prompts: more of them than cores would only take turns.
        .max_blocking_threads(cores * 2)
        .build()?;
    let began = (inherited, descriptors);
    let served = runtime.block_on(serve(&config, opened, began, (content, anew)));
    drop(runtime);
    if let Some(folder) = folder {
        folder.close()?;
    }
    served
}

/// How many threads wait for origins at most; they do little else.
const MAIN_THREADS: usize = 4;

/// The sockets that systemd has opened, if it has.
fn inherited() -> Inherited {
    let environment = config::environment();
    let names = environment.iter().find(|(name, _)| name == "LISTEN_FDNAMES");
    Inherited::take_over(names.and_then(|(_, names)| names.to_str()))
}

/// Says if the system lets fewer files be open than connections may be, and everything beside them.
fn warn_of_descriptors(most: Option<u64>, max_connections: usize) {
    let needed = u64::try_from(max_connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    if let Some(most) = most.filter(|most| *most < needed) {
        tracing::warn!(
            limit = most,
            needed,
            "server.max_connections does not fit under the limit of open files (LimitNOFILE)"
        );
    }
}

/// The store, event queues, listeners, connections to origins, operators.
const OTHER_FILES: u64 = 256;

async fn serve(
    config: &Config,
    opened: Opened,
    (inherited, descriptors): (Inherited, Option<u64>),
    (content, anew): (Option<Vec<u8>>, Anew),
) -> Result<(), Failure> {
    let (mut signals, mut hangup) = (Signals::new()?, signal(SignalKind::hangup())?);
    let supervisor = Supervisor::start()?;
    let clock = Arc::new(SystemClock::ticking()?);
    let authoring = authoring(config, Arc::clone(&opened.store), clock.clone());
    let started = Edge::start(config, opened, inherited, clock).await;
    let edge = started.map_err(Failure::of)?;
    edge.follow_configuration((config.clone(), content), anew);
    let admin = edge.admin_address();
    for (at, (listener, url)) in edge.urls().iter().enumerate() {
        let admin = if at == 0 { format!("   admin http://{admin}") } else { String::new() };
        output::line(&format!("prompt-edge listening on {url}{admin}"))?;
        tracing::info!(address = url, listener, "listening");
    }
    if config.demo {
        let url = edge.urls().first().map_or("", |(_, url)| url);
        output::line(&demo::fill(&authoring, url).await?)?;
    }
    tracing::info!(%admin, "operators are listened to");
    warn_of_descriptors(descriptors, config.server.max_connections);
    supervisor.ready();
    edge.report(&supervisor);
    warn_of_strays(&authoring).await;

    let (signal, haste) = loop {
        tokio::select! {
            signal = signals.next() => break signal,
            _ = hangup.recv() => {
                edge.reload();
                edge.reload_certificates().await;
            }
        }
    };
    tracing::info!(signal, "stopping");
    supervisor.stopping();
    tokio::select! {
        all_finished = edge.stop(haste) => {
            if !all_finished {
                tracing::warn!("requests were cut off at the end of the drain timeout");
            }
        }
        (signal, _) = signals.next() => tracing::warn!(signal, "stopping at once"),
    }
    Ok(())
}

/// Says which projects cannot be served: nobody may ask for their prompts for days.
async fn warn_of_strays(authoring: &Authoring) {
    match authoring.strays().await {
        Ok(strays) => {
            for (Project { name, .. }, origin) in strays {
                tracing::warn!(project = name, %origin, "the project's origin is not configured");
            }
        }
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "the store does not list its projects");
        }
    }
}

/// The signals that end a server.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next one. Who interrupts sits before it; who terminates may be moving callers elsewhere.
    async fn next(&mut self) -> (&'static str, Haste) {
        tokio::select! {
            _ = self.interrupt.recv() => ("SIGINT", Haste::Now),
            _ = self.terminate.recv() => ("SIGTERM", Haste::Announced),
        }
    }
}
