//! What stands between an origin that fails and those who need an answer.
//!
//! [`Guarded`] is an origin in front of another one. It adds three things, all of which only decide
//! whether and when that one is asked, never what it said:
//!
//! * **Retries** of what may pass by itself, after a wait that grows, is spread at random and is
//!   never shorter than the origin wants. They are at most a tenth of the questions, so that
//!   trouble is not answered with more of what may have caused it.
//! * **A breaker**: after some failures in a row the origin is left alone for a while, and every
//!   question is answered at once with [`Error::Resting`]. When the time is over, one question
//!   finds out whether it is well, the cheapest there is: the question at hand if it has a
//!   validator, else the last one that was answered with one, else [`Origin::probe`].
//! * **An alarm** if the origin refuses our own key: that is for an operator to mend, and says
//!   nothing of any prompt.
//!
//! # Invariants
//!
//! 1. Retries are at most a reserve and a tenth of the questions.
//!    (`tests::retries_stay_within_a_tenth_of_a_thousand_failing_questions`)
//! 2. While it is not known whether the origin is well, one question is on its way at most.
//!    (`tests::of_a_crowd_one_asks_whether_the_origin_is_well`)
//! 3. A probe that is dropped or panics leaves its place to the next.
//!    (`tests::a_probe_that_leaves_or_panics_frees_its_place`)
//! 4. An edge that is offline asks nothing. (`tests::offline_nothing_is_asked`)
//! 5. A caller's own key is used for that caller's questions only.
//!    (`tests::a_callers_own_key_is_never_used_to_probe`)

mod breaker;
mod budget;
mod probe;
mod retry;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::model::{Credential, Listed, OriginName};
use crate::origins::guard::breaker::{Breaker, Permit, Verdict};
use crate::origins::guard::budget::Budget;
use crate::origins::guard::probe::Probe;
use crate::origins::guard::retry::{Jitter, Retries};
use crate::origins::{
    Changes, Compiles, Cursor, Error, Origin, Pending, Question, Reader, Text, Told, Validator,
};
use crate::telemetry::Metrics;

/// How an origin is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How often a question that failed is asked again.
    pub retries: u32,
    /// How many failures in a row open the breaker.
    pub breaker_failures: NonZeroU32,
    /// The longest time the breaker is open before the origin is asked again. It begins with a
    /// second and doubles.
    pub breaker_open: Duration,
    /// How long one question may take in all, retries included.
    pub deadline: Duration,
    /// Whether the origin is never asked at all.
    pub is_offline: bool,
}

impl Default for Config {
    /// Two retries outlive a connection that was just closed and a node that was just replaced.
    /// Five failures are no accident; half a minute is what recovery may take to be noticed. A
    /// question takes as long as an ask waits for it.
    fn default() -> Self {
        Self {
            retries: 2,
            breaker_failures: NonZeroU32::MIN.saturating_add(4),
            breaker_open: Duration::from_secs(30),
            deadline: Duration::from_secs(5),
            is_offline: false,
        }
    }
}

/// An origin that is asked with care.
pub struct Guarded {
    inner: Arc<dyn Origin>,
    config: Config,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    breaker: Breaker,
    budget: Budget,
    jitter: Jitter,
    /// What to ask first when the breaker is half open. Guards the exchange of it only.
    probe: Mutex<Arc<Probe>>,
    /// When the last alarm was raised, by the monotonic clock.
    alarmed: Mutex<Option<Duration>>,
}

/// What matters of a question beside its words.
#[derive(Clone, Copy)]
struct Manner {
    /// It is asked with a key of our own, not with a caller's.
    is_ours: bool,
    /// It can serve as a probe itself.
    is_cheap: bool,
}

impl Guarded {
    /// Guards `inner`. The same `seed` spreads retries in the same way; instances take different
    /// ones.
    pub fn new(
        inner: Arc<dyn Origin>,
        config: Config,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        seed: u64,
    ) -> Self {
        let gauge = metrics.origin_breaker(inner.name().as_str());
        Self {
            breaker: Breaker::new(config.breaker_failures, config.breaker_open, gauge),
            budget: Budget::new(),
            jitter: Jitter::new(seed),
            probe: Mutex::default(),
            alarmed: Mutex::default(),
            inner,
            config,
            clock,
            metrics,
        }
    }

    /// Asks until there is an answer, or no hope of one in time.
    async fn ask<'a, T>(
        &'a self,
        manner: Manner,
        ask: impl Fn() -> Pending<'a, T> + Send,
    ) -> Result<T, Error> {
        let mut permit = self.admit()?;
        let deadline = Instant::now() + self.config.deadline;
        let mut retries = Retries::new(self.config.retries, &self.jitter);
        self.budget.earn();
        loop {
            if permit.is_probe() && !manner.is_cheap {
                self.check(permit, deadline).await?;
                permit = self.admit()?;
            }
            let answer = self.within(deadline, ask()).await;
            self.heard(permit, manner.is_ours, &answer);
            let error = match answer {
                Ok(told) => return Ok(told),
                Err(error) => error,
            };

            let Some(wait) = self.wait(&mut retries, &error, deadline) else { return Err(error) };
            pause(wait).await;
            let Ok(next) = self.admit() else { return Err(error) };
            permit = next;
            self.metrics.origin_retried(self.name().as_str(), error.as_str());
        }
    }

    /// Finds out whether the origin is well.
    ///
    /// # Errors
    ///
    /// If it is not. What it says against the probe's own key or words is an answer.
    async fn check(&self, permit: Permit<'_>, deadline: Instant) -> Result<(), Error> {
        let probe = Arc::clone(&self.probe.lock().unwrap_or_else(PoisonError::into_inner));
        let answer = self.within(deadline, probe.ask(&*self.inner)).await;
        if self.heard(permit, true, &answer) == Verdict::Well {
            return Ok(());
        }
        // If it was reached and still failed, this one question may be what it fails at.
        if !matches!(answer, Err(Error::TimedOut { .. } | Error::Unreachable { .. })) {
            self.remember(Some(Probe::Plain));
        }
        answer
    }

    fn admit(&self) -> Result<Permit<'_>, Error> {
        let admitted = match self.config.is_offline {
            true => Err(self.config.breaker_open),
            false => self.breaker.admit(self.clock.elapsed()),
        };
        let origin = self.name();
        admitted.map_err(|retry_after| Error::Resting { origin: origin.clone(), retry_after })
    }

    async fn within<T>(
        &self,
        deadline: Instant,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let timed_out =
            || Error::TimedOut { origin: self.name().clone(), waited: self.config.deadline };
        timeout_at(deadline, answer).await.unwrap_or_else(|_| Err(timed_out()))
    }

    /// Takes note of an answer.
    fn heard<T>(&self, permit: Permit<'_>, is_ours: bool, answer: &Result<T, Error>) -> Verdict {
        let verdict = Verdict::of(answer, is_ours);
        let was_closed = self.breaker.is_closed();
        permit.settle(verdict, self.clock.elapsed());
        let origin = self.name().as_str();
        match (was_closed, self.breaker.is_closed()) {
            (true, false) => tracing::warn!(origin, "an origin is left alone for now"),
            (false, true) => tracing::info!(origin, "an origin is well again"),
            (true, true) | (false, false) => {}
        }
        match answer {
            Ok(_) => self.metrics.origin_succeeded(self.name().as_str(), self.clock.now()),
            Err(Error::Rejected { status, .. }) if is_ours => self.raise_alarm(*status),
            Err(_) => {}
        }
        verdict
    }

    /// How long to wait before the question is asked again; `None` if that would be in vain.
    fn wait(
        &self,
        retries: &mut Retries<'_>,
        error: &Error,
        deadline: Instant,
    ) -> Option<Duration> {
        let wait = retries.wait(error)?;
        let fits = wait < deadline.saturating_duration_since(Instant::now());
        let may_ask = fits && self.breaker.is_due(self.clock.elapsed().saturating_add(wait));
        (may_ask && self.budget.spend()).then_some(wait)
    }

    /// Our own key is refused: somebody has to put another one in. Said once a minute at most.
    fn raise_alarm(&self, status: u16) {
        let origin = self.name().as_str();
        self.metrics.origin_rejected(origin);
        let now = self.clock.elapsed();
        let mut alarmed = self.alarmed.lock().unwrap_or_else(PoisonError::into_inner);
        if alarmed.is_none_or(|at| now.saturating_sub(at) >= BETWEEN_ALARMS) {
            *alarmed = Some(now);
            tracing::error!(origin, status, "an origin refuses the key it is configured with");
        }
    }

    /// Keeps what may be asked first when the origin has failed.
    fn remember(&self, probe: Option<Probe>) {
        if let Some(probe) = probe {
            *self.probe.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(probe);
        }
    }
}

impl Origin for Guarded {
    fn name(&self) -> &OriginName {
        self.inner.name()
    }

    fn compiles(&self) -> Compiles {
        self.inner.compiles()
    }

    fn tells_all(&self) -> bool {
        self.inner.tells_all()
    }

    fn prompt<'a>(&'a self, question: Question<'a>) -> Pending<'a, Told<Text>> {
        let manner = Manner::of(question.reader, question.known);
        Box::pin(async move {
            let told = self.ask(manner, move || self.inner.prompt(question)).await?;
            self.remember(Probe::prompt(&question, &told));
            Ok(told)
        })
    }

    fn listing<'a>(
        &'a self,
        reader: &'a Reader,
        known: Option<&'a Validator>,
    ) -> Pending<'a, Told<Vec<Listed>>> {
        let manner = Manner::of(reader, known);
        Box::pin(async move {
            let told = self.ask(manner, move || self.inner.listing(reader, known)).await?;
            self.remember(Probe::listing(reader, known, &told));
            Ok(told)
        })
    }

    /// Unguarded: whoever listens for changes goes on asking, at a pace of its own.
    fn changes(&self, cursor: Cursor) -> Pending<'_, Changes> {
        match self.config.is_offline {
            true => Box::pin(std::future::pending()),
            false => self.inner.changes(cursor),
        }
    }

    fn probe(&self) -> Pending<'_, ()> {
        let manner = Manner { is_ours: true, is_cheap: true };
        Box::pin(self.ask(manner, move || self.inner.probe()))
    }

    fn admits<'a>(&'a self, credential: &'a Credential) -> Pending<'a, bool> {
        let manner = Manner { is_ours: false, is_cheap: false };
        Box::pin(self.ask(manner, move || self.inner.admits(credential)))
    }
}

impl Manner {
    fn of(reader: &Reader, known: Option<&Validator>) -> Self {
        Self { is_ours: reader.credential.is_none(), is_cheap: known.is_some() }
    }
}

/// Lets time pass between two tries.
#[expect(clippy::disallowed_methods, reason = "nothing but time ends the wait before a retry")]
async fn pause(wait: Duration) {
    tokio::time::sleep(wait).await;
}

const BETWEEN_ALARMS: Duration = Duration::from_secs(60);
