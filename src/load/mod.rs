//! A load generator, for those who want to know what their edge does.
//!
//! # The problem
//!
//! A generator that waits for each answer before it asks again measures a server at its own pace:
//! when the server stalls, so does the question, and the worst is never asked about. This is
//! *coordinated omission* (Gil Tene, "How NOT to Measure Latency").
//!
//! # The idea
//!
//! An *open loop*: every request has a due time on a fixed [`schedule`], and its latency counts from
//! there. Free connections take what is due from a `line`, whoever comes first. Without a rate the
//! loop is *closed*, as fast as connections go; then latencies are service times, and the report
//! says so.
//!
//! # Parts
//!
//! [`target`] holds every request ready made, [`choice`] draws one by its number, [`connection`]
//! asks, `worker` is a thread with connections of its own, [`recorder`] counts. [`figures`] makes
//! numbers of it, [`table`], [`json`] and [`plot`] show them.
//!
//! # Invariants
//!
//! 1. Latency counts from the due time, also of requests that were never sent
//!    (`a_stall_of_the_server_is_measured_by_due_times`,
//!    `what_could_not_be_sent_in_time_counts_as_waiting`).
//! 2. Threads divide one schedule: no request is asked twice, and none is left out
//!    (`workers_share_one_schedule`).
//! 3. What is asked follows from seed and number alone
//!    (`a_seed_repeats_its_draws_and_another_does_not`).
//! 4. What the generator itself was late by is measured apart
//!    (`lag_is_what_the_generator_was_late_by`).
//!
//! Two targets are asked in alternating rounds, so that what else happens on the machines and
//! between them falls on both.

pub mod choice;
pub mod connection;
pub mod figures;
pub mod json;
mod line;
pub mod plot;
pub mod recorder;
pub mod schedule;
pub mod table;
pub mod target;
mod worker;

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustls::ClientConfig;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;

use choice::Choice;
use connection::{Dialer, Protocol};
use recorder::Record;
use schedule::{Length, Schedule};
use target::Target;
use worker::{Go, Live, Worker};

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// Whom to ask; two are asked in turns.
    pub targets: Vec<Arc<Target>>,
    /// What is spoken with all of them.
    pub protocol: Protocol,
    /// Whom to trust over TLS.
    pub tls: ClientConfig,
    /// What to ask for.
    pub choice: Choice,
    /// Requests per second; without one, as many as there are answers.
    pub rate: Option<f64>,
    /// How much of each target, in all rounds together.
    pub length: Length,
    /// How many rounds.
    pub rounds: u32,
    /// How long each target is asked before anything counts.
    pub warm_up: Duration,
    /// Connections to each target, of all threads together; at least one for each thread.
    pub connections: usize,
    /// Requests at once on a connection of HTTP/2.
    pub streams: usize,
    /// Threads that ask.
    pub threads: usize,
    /// How long an answer may take once its request is sent.
    pub timeout: Duration,
}

/// Where a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Which target is asked, from 0.
    pub target: usize,
    /// Which round this is, from 1; 0 is the warm-up.
    pub round: u32,
    /// How long this go has lasted.
    pub elapsed: Duration,
    /// How long it is to last, if that is known.
    pub of: Option<Duration>,
    /// Answers in this go.
    pub answered: u64,
    /// Requests without a whole answer in this go.
    pub failed: u64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The machine does not give what a thread needs.
    #[error("a thread could not be set up")]
    Setup(#[from] io::Error),
    /// No connection to a target could be made.
    #[error("{server} cannot be reached")]
    Unreachable {
        /// Which.
        server: String,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Carries a plan out, and returns what was measured: for each target, round by round.
///
/// It blocks until it is done, and calls `watch` ten times a second meanwhile.
///
/// # Errors
///
/// If a target cannot be reached. What fails later is part of the result.
pub fn run(
    plan: &Plan,
    clock: &Arc<dyn Clock>,
    watch: &mut dyn FnMut(Progress),
) -> Result<Vec<Vec<Record>>, Failure> {
    let mut workers = connected(plan)?;
    let choice = Arc::new(plan.choice.clone());
    let mut measured = vec![Vec::new(); plan.targets.len()];
    let first = if plan.warm_up.is_zero() { 1 } else { 0 };
    for round in first..=plan.rounds {
        for (target, records) in measured.iter_mut().enumerate() {
            let go = Go {
                target,
                // More than a round can ask, and the same for both targets.
                first_number: u64::from(round) << 40,
                choice: Arc::clone(&choice),
                clock: Arc::clone(clock),
                live: Arc::default(),
            };
            let record = all_run(&mut workers, &go, (round, plan), watch);
            if round > 0 {
                records.push(record);
            }
        }
    }
    Ok(measured)
}

/// One worker per thread, each with its part of the connections.
fn connected(plan: &Plan) -> Result<Vec<Worker>, Failure> {
    let mut tls = plan.tls.clone();
    tls.alpn_protocols = vec![plan.protocol.alpn().to_vec()];
    let tls = TlsConnector::from(Arc::new(tls));
    let dialers: Vec<_> = plan
        .targets
        .iter()
        .map(|target| {
            Arc::new(Dialer {
                target: Arc::clone(target),
                protocol: plan.protocol,
                tls: target.is_secured.then(|| tls.clone()),
                limit: plan.timeout,
                tasks: TaskTracker::new(),
            })
        })
        .collect();
    let mut workers = Vec::with_capacity(plan.threads);
    for index in 0..plan.threads {
        // The first ones take what is left over.
        let left_over = usize::from(index < plan.connections % plan.threads);
        let connections = plan.connections / plan.threads + left_over;
        let mut worker = Worker::new()?;
        for dialer in &dialers {
            worker.connect(dialer, connections, plan.streams).map_err(|failed| {
                let server = dialer.target.server.clone();
                Failure::Unreachable { server, source: failed.cause }
            })?;
        }
        workers.push(worker);
    }
    Ok(workers)
}

/// One go of all workers at one target.
fn all_run(
    workers: &mut [Worker],
    go: &Go,
    (round, plan): (u32, &Plan),
    watch: &mut dyn FnMut(Progress),
) -> Record {
    let length = length(plan, round);
    let lead = plan.rate.map_or(Duration::ZERO, |_| LEAD);
    let start = go.clock.elapsed() + lead;
    let strides = workers.len() as u64;
    let span = Schedule::new(start, plan.rate, length, (0, 1)).span();
    let progress = |live: &Live| Progress {
        target: go.target,
        round,
        elapsed: go.clock.elapsed().saturating_sub(start),
        of: (!span.is_zero()).then_some(span),
        answered: live.answered.load(Ordering::Relaxed),
        failed: live.failed.load(Ordering::Relaxed),
    };
    let mut record = Record::new();
    thread::scope(|scope| {
        let (tx, rx) = channel();
        for (offset, worker) in (0..strides).zip(workers) {
            let tx = tx.clone();
            let schedule = Schedule::new(start, plan.rate, length, (offset, strides));
            // The receiver outlives the scope's threads.
            scope.spawn(move || drop(tx.send(worker.run(go, schedule))));
        }
        drop(tx);
        loop {
            match rx.recv_timeout(TICK) {
                Ok(part) => record.merge(&part),
                Err(RecvTimeoutError::Timeout) => watch(progress(&go.live)),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    record
}

/// How much one go asks for: rounds share what the plan says, and the first take what is left over.
fn length(plan: &Plan, round: u32) -> Length {
    match plan.length {
        _ if round == 0 => Length::For(plan.warm_up),
        Length::For(time) => Length::For(time / plan.rounds),
        Length::Requests(count) => {
            let rounds = u64::from(plan.rounds);
            Length::Requests(count / rounds + u64::from(u64::from(round) <= count % rounds))
        }
    }
}

/// How often somebody is told how far it is.
const TICK: Duration = Duration::from_millis(100);

/// For threads to start before the first request is due.
const LEAD: Duration = Duration::from_millis(5);
