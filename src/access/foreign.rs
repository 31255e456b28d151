//! Keys that only an origin knows: callers present what they have from the platform itself.
//!
//! The first use is judged by the origin, and its word is kept by the key's digest.
//!
//! | the word on a key is                   | its caller                | the origin is asked   |
//! |----------------------------------------|---------------------------|-----------------------|
//! | younger than half of its time          | passes                    | not                   |
//! | younger than its time                  | passes                    | behind                |
//! | older, and it could not be had anew    | passes                    | behind                |
//! | older                                  | waits                     | while the caller waits |
//!
//! Only the origin's word ends a key, said twice, and only while it admits another that is in use,
//! or there is none: that it cannot be asked ends nothing, nor does a moment in which it refuses
//! everybody. That is believed for an hour (with the default time of a word).
//!
//! Ages are by the monotonic clock: the wall clock may be set back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use crate::cache::provenance::{Moment, moment};
use crate::clock::Clock;
use crate::live::Live;
use crate::model::{Credential, Grant, OriginName, Project, Timestamp};
use crate::origins::{Error, Origin, Store};

/// The origin whose keys are let through.
pub struct Foreign {
    origin: Arc<dyn Origin>,
    /// How long one word is good for.
    good_for: Live<Duration>,
    clock: Arc<dyn Clock>,
}

/// What the origin said of one key. Moments are in milliseconds of the monotonic clock.
#[derive(Debug)]
pub struct Verdict {
    /// When it last admitted the key.
    admitted_at: AtomicI64,
    /// From when on it is to be asked again.
    due_at: AtomicI64,
    /// Until when the key passes without its word.
    good_until: AtomicI64,
    /// How often it refused the key since.
    refusals: AtomicU32,
}

impl Verdict {
    /// The origin admitted the key at `at`.
    fn admitted(at: Moment, good_for: Duration) -> Self {
        let verdict = Self {
            admitted_at: AtomicI64::new(at),
            due_at: AtomicI64::new(at),
            good_until: AtomicI64::new(at),
            refusals: AtomicU32::new(0),
        };
        verdict.admit(at, good_for);
        verdict
    }

    /// When the origin last admitted the key.
    pub fn admitted_at(&self) -> Moment {
        self.admitted_at.load(Ordering::Relaxed)
    }

    fn is_due(&self, now: Moment) -> bool {
        self.due_at.load(Ordering::Relaxed) <= now
    }

    fn is_good(&self, now: Moment) -> bool {
        now < self.good_until.load(Ordering::Relaxed)
    }

    fn admit(&self, at: Moment, good_for: Duration) {
        self.refusals.store(0, Ordering::Relaxed);
        self.admitted_at.store(at, Ordering::Relaxed);
        self.good_until.store(at.saturating_add(moment(good_for)), Ordering::Relaxed);
        self.due_at.store(at.saturating_add(moment(good_for / 2)), Ordering::Relaxed);
    }

    fn shorten(&self, good_for: Duration) {
        let within = |span| self.admitted_at().saturating_add(moment(span));
        self.good_until.fetch_min(within(good_for), Ordering::Relaxed);
        self.due_at.fetch_min(within(good_for / 2), Ordering::Relaxed);
    }

    /// The origin's word could not be had: nobody waits for it while that lasts.
    fn excuse(&self, now: Moment, good_for: Duration) {
        self.good_until.fetch_max(now.saturating_add(moment(good_for)), Ordering::Relaxed);
    }

    /// Whoever still holds on to it has to ask anew.
    fn end(&self) {
        self.good_until.store(Moment::MIN, Ordering::Relaxed);
        self.due_at.store(Moment::MIN, Ordering::Relaxed);
    }
}

/// Whether a key passes on the word that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// Yes.
    Yes,
    /// Yes, and the origin is to be asked behind.
    AndAsks,
    /// The origin is to be asked first.
    Waits,
}

impl Foreign {
    /// Lets keys of this origin through.
    pub fn new(origin: Arc<dyn Origin>, good_for: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { origin, good_for: Live::new(good_for), clock }
    }

    /// From now on a word is good for so long.
    pub fn reconfigure(&self, good_for: Duration) {
        self.good_for.store(good_for);
    }

    /// Holds a word of before to the time that words are good for now. A longer time begins with the
    /// next word.
    pub fn shorten(&self, verdict: &Verdict) {
        verdict.shorten(self.good_for());
    }

    fn good_for(&self) -> Duration {
        **self.good_for.load()
    }

    /// The origin's name.
    pub fn name(&self) -> &OriginName {
        self.origin.name()
    }

    /// Which of the rows above holds.
    pub fn passes(&self, verdict: &Verdict) -> Passes {
        let now = self.now();
        match (verdict.is_due(now), verdict.is_good(now)) {
            (false, _) => Passes::Yes,
            (true, true) => Passes::AndAsks,
            (true, false) => Passes::Waits,
        }
    }

    /// How old the origin's word on a key is.
    pub fn age(&self, verdict: &Verdict) -> Duration {
        let age = self.now().saturating_sub(verdict.admitted_at());
        Duration::from_millis(u64::try_from(age).unwrap_or_default())
    }

    /// The word of an origin that admitted a key before the start: `age` ago as of `saved_at`.
    pub fn vouched(&self, age: Duration, saved_at: Timestamp) -> Verdict {
        let age = self.clock.now().since(saved_at).saturating_add(age);
        Verdict::admitted(self.now().saturating_sub(moment(age)), self.good_for())
    }

    fn now(&self) -> Moment {
        moment(self.clock.elapsed())
    }

    /// What a key stands for, if the origin admits it and a project is its own.
    ///
    /// # Errors
    ///
    /// If the origin or the store cannot be asked.
    pub async fn introduce(
        &self,
        store: &dyn Store,
        credential: &Credential,
    ) -> Result<Option<(Grant, Verdict)>, Error> {
        let Some(grant) = self.grant(store, credential).await? else { return Ok(None) };
        let asked_at = self.now();
        let is_admitted = self.origin.admits(credential).await?;
        Ok(is_admitted.then(|| (grant, Verdict::admitted(asked_at, self.good_for()))))
    }

    /// Whether it is the origin of a project: whoever reads there brings a key of the origin's own.
    pub fn is_of(&self, project: &Project) -> bool {
        project.origin.as_ref() == Some(self.name())
    }

    /// What a key stands for if it is good: the first project that names the origin, and its
    /// environment by the token's own word.
    ///
    /// # Errors
    ///
    /// If the store cannot be asked.
    pub async fn grant(
        &self,
        store: &dyn Store,
        credential: &Credential,
    ) -> Result<Option<Grant>, Error> {
        let mut projects = store.projects().await?;
        projects.sort_by_key(|project| project.id);
        let is_its = |project: &Project| self.is_of(project);
        let Some(project) = projects.into_iter().find(is_its) else { return Ok(None) };
        let name = if credential.expose().starts_with("pk_dev_") { "dev" } else { "live" };
        let environments = store.environments(project.id).await?;
        let named = environments.into_iter().find(|environment| environment.name == name);
        Ok(named.map(|environment| Grant::without_key(project, environment)))
    }

    /// Asks the origin again about a key that it admitted before: twice at once, if its word is too
    /// old to wait for a second. Returns whether the key is over. `witness` is another one that it
    /// admitted, the latest.
    pub async fn judge(
        &self,
        verdict: &Verdict,
        credential: &Credential,
        witness: impl FnOnce() -> Option<(Arc<Verdict>, Credential)>,
    ) -> bool {
        let now = self.now();
        verdict.due_at.store(now.saturating_add(moment(self.good_for() / 8)), Ordering::Relaxed);
        loop {
            if self.is_admitted(verdict, credential).await != Some(false) {
                return false;
            }
            let refusals = verdict.refusals.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if refusals >= EVIDENCE {
                break;
            }
            if verdict.is_good(now) {
                return false;
            }
        }
        if self.refuses_all(verdict, witness()).await {
            verdict.excuse(self.now(), self.good_for());
            return false;
        }
        verdict.end();
        true
    }

    /// The origin's word; `None` if there is none, which excuses the key.
    async fn is_admitted(&self, verdict: &Verdict, credential: &Credential) -> Option<bool> {
        let asked_at = self.now();
        match self.origin.admits(credential).await {
            Ok(true) => {
                verdict.admit(asked_at, self.good_for());
                Some(true)
            }
            Ok(false) => Some(false),
            Err(error) => {
                let origin = self.name().as_str();
                tracing::debug!(origin, kind = error.as_str(), "a caller's key was not judged");
                verdict.excuse(self.now(), self.good_for());
                None
            }
        }
    }

    /// Whether the origin, which refuses a key, may be refusing everybody: it gives no good word on
    /// another one that it admitted about when it admitted this one.
    async fn refuses_all(
        &self,
        verdict: &Verdict,
        witness: Option<(Arc<Verdict>, Credential)>,
    ) -> bool {
        let Some((other, credential)) = witness else { return false };
        let before = verdict.admitted_at().saturating_sub(other.admitted_at());
        let was_in_use = before < moment(self.good_for() * 2);
        match self.is_admitted(&other, &credential).await {
            Some(true) => return false,
            Some(false) => {}
            None => return true,
        }
        // One that nobody used any more may have ended long before.
        if !was_in_use || self.age(verdict) >= self.good_for() * OUTAGE_AT_MOST {
            return false;
        }
        let origin = self.name().as_str();
        tracing::error!(origin, "an origin refuses every caller's key: they are kept for now");
        true
    }
}

impl std::fmt::Debug for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Foreign({})", self.name())
    }
}

/// How often an origin has to refuse a key that it admitted.
const EVIDENCE: u32 = 2;

/// For how many times a word's time an origin may refuse everybody before it is believed.
const OUTAGE_AT_MOST: u32 = 12;
