//! Another configuration for a running edge.
//!
//! A reload reads everything anew, as a start does: the file, and the secrets that it points to. The
//! environment and the flags are those of the start. If anything is wrong, nothing changes, and the
//! log says all of it. Else `compare` tells what can change from what needs a restart: the one is
//! applied whole, the other named.
//!
//! Reloads are wished for by a signal, by an operator's request, and by the file itself: it is looked
//! at every second, and has changed when two looks in a row find the same new content. It is judged
//! by content and never by time, so that a link which is pointed elsewhere is a change, and saving the
//! same again is none.
//!
//! # Invariants
//!
//! 1. One reload at a time, and no request waits for one.
//!    (`reloads_under_load_fail_no_request` in `tests/integration/reload.rs`)
//! 2. What is wrong in any place changes nothing in any other.
//!    (`a_wrong_file_is_named_and_changes_nothing`, in the same place)
//! 3. Every key is either applied or named. (`compare::tests::every_key_is_applied_or_named`)

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::admin::reload::{Reloaded, Waiting, Wish};
use crate::app::assembly::Assembly;
use crate::app::compare::{Comparison, compare};
use crate::config::{Config, Problems};

/// Where a configuration comes from. Both of them read files, and block.
pub trait Source: Send + Sync + 'static {
    /// Everything, resolved.
    ///
    /// # Errors
    ///
    /// Everything that is wrong. A file that was there before and is gone is wrong.
    fn load(&self) -> Result<Config, Problems>;

    /// What the file holds at the moment, whatever that is; `None` if it cannot be read.
    fn content(&self) -> Option<Vec<u8>>;
}

/// Gives an edge another configuration.
pub struct Reloader {
    source: Box<dyn Source>,
    /// What holds. Locked for the length of a reload, so that there is one at a time.
    running: Mutex<Config>,
    assembly: Arc<Assembly>,
}

impl Reloader {
    /// For an edge that runs by `running`.
    pub fn new(running: Config, source: impl Source, assembly: Arc<Assembly>) -> Self {
        assembly.metrics.configured(assembly.clock.now());
        Self { source: Box::new(source), running: Mutex::new(running), assembly }
    }

    /// Reads the configuration anew and applies it as far as it can without a restart. Blocks.
    pub fn reload(&self) -> Reloaded {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let (reloaded, problems) = match self.source.load() {
            Ok(wanted) => {
                let Comparison { next, applied, waiting } = compare(&running, wanted);
                if !applied.is_empty() {
                    self.assembly.reconfigure(&next);
                }
                *running = next;
                self.assembly.metrics.configured(self.assembly.clock.now());
                (Reloaded::Good { applied, waiting }, Vec::new())
            }
            Err(problems) => (Reloaded::Wrong { problems: problems.to_string() }, problems.0),
        };
        // Whoever reads in the log what came of it finds it counted.
        self.assembly.metrics.reloads(reloaded.as_str()).inc();
        match &reloaded {
            Reloaded::Good { applied, waiting } => say_what_holds(applied, waiting),
            Reloaded::Wrong { .. } => {
                for problem in &problems {
                    tracing::error!(%problem, "the configuration is wrong");
                }
                tracing::error!("the configuration is not used: the one before still holds");
            }
        }
        reloaded
    }

    /// Reloads when somebody wishes for it and when the file has changed, until the drain begins.
    /// `known` is what the file held before the configuration that holds was read.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut known: Option<Vec<u8>>,
        mut wishes: mpsc::Receiver<Wish>,
    ) {
        let drain = self.assembly.drain.clone();
        let mut before = None;
        loop {
            let wish = tokio::select! {
                wish = timeout(LOOK_EVERY, wishes.recv()) => wish,
                () = drain.stopping() => return,
            };
            let found = self.look().await;
            let told = match wish {
                Ok(Some(told)) => Some(told),
                // Nobody can wish any more.
                Ok(None) => return,
                // Twice the same: whoever writes it has come to an end.
                Err(_) if found != known && before.as_ref() == Some(&found) => None,
                Err(_) => {
                    before = Some(found);
                    continue;
                }
            };
            (known, before) = (found, None);
            let reloaded = self.reload_behind().await;
            if let (Some(told), Some(reloaded)) = (told, reloaded) {
                // Whoever wished for it may have left.
                let _ = told.send(reloaded);
            }
        }
    }

    async fn look(self: &Arc<Self>) -> Option<Vec<u8>> {
        let reloader = Arc::clone(self);
        spawn_blocking(move || reloader.source.content()).await.ok().flatten()
    }

    async fn reload_behind(self: &Arc<Self>) -> Option<Reloaded> {
        let reloader = Arc::clone(self);
        let reload = move || {
            tell_systemd_that_it_begins();
            let reloaded = reloader.reload();
            tell_systemd(&[NotifyState::Ready]);
            reloaded
        };
        spawn_blocking(reload).await.ok()
    }
}

fn say_what_holds(applied: &[String], waiting: &[Waiting]) {
    match applied.is_empty() {
        true => tracing::info!("the configuration was read anew: nothing to apply"),
        false => {
            let applied = applied.join(" ");
            tracing::info!(applied, "the configuration was read anew");
        }
    }
    for Waiting { key, running, wanted } in waiting {
        tracing::warn!(key, running, wanted, "this setting needs a restart");
    }
}

/// `Type=notify-reload` (systemd.service(5)): a reload begins with the time, and ends with readiness.
fn tell_systemd_that_it_begins() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell_systemd(&[NotifyState::Reloading, now]);
    }
}

/// Says nothing where systemd has not asked to be told.
fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
