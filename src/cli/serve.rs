//! `serve`: run the edge until a signal says otherwise.

use std::io;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::reload::Source;
use crate::app::{self, Edge, Opened};
use crate::authoring::Authoring;
use crate::cli::settings::{Anew, Settings};
use crate::cli::{Failure, authoring};
use crate::cli::{demo, output};
use crate::clock::SystemClock;
use crate::config::{Config, Flag};
use crate::model::Project;
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
    let workers = std::thread::available_parallelism()?.get();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(workers)
        // They render large prompts: more of them than cores would only take turns.
        .max_blocking_threads(workers * 2)
        .build()?;
    let served = runtime.block_on(serve(&config, opened, (content, anew)));
    drop(runtime);
    if let Some(folder) = folder {
        folder.close()?;
    }
    served
}

async fn serve(
    config: &Config,
    opened: Opened,
    file: (Option<Vec<u8>>, Anew),
) -> Result<(), Failure> {
    let (mut signals, mut hangup) = (Signals::new()?, signal(SignalKind::hangup())?);
    let clock = Arc::new(SystemClock::default());
    let authoring = authoring(config, Arc::clone(&opened.store), clock.clone());
    let edge = Edge::start(config, opened, clock).await.map_err(Failure::of)?;
    let (content, anew) = file;
    edge.follow_configuration((config.clone(), content), anew);
    let (address, admin) = (edge.address(), edge.admin_address());
    output::line(&format!("prompt-edge listening on http://{address}   admin http://{admin}"))?;
    if config.demo {
        output::line(&demo::fill(&authoring, &format!("http://{address}")).await?)?;
    }
    tracing::info!(%address, %admin, "listening");
    warn_of_strays(&authoring).await;

    let signal = loop {
        tokio::select! {
            signal = signals.next() => break signal,
            _ = hangup.recv() => edge.reload(),
        }
    };
    tracing::info!(signal, "stopping");
    tokio::select! {
        all_finished = edge.stop() => {
            if !all_finished {
                tracing::warn!("requests were cut off at the end of the drain timeout");
            }
        }
        signal = signals.next() => tracing::warn!(signal, "stopping at once"),
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

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
