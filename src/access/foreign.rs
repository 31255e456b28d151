//! Keys that only an origin knows: callers present what they have from the platform itself.
//!
//! The first use is judged by the origin, and its word is kept by the key's digest. Half-way through
//! the time that a word is good for the origin is asked again, behind the caller. Only its word
//! ends a key, said more than once: that it cannot be asked ends nothing, nor does a moment in
//! which it refuses everybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use crate::model::{ApiKey, Credential, Grant, KeyId, OriginName, Project, Scope, Timestamp};
use crate::origins::{Error, Origin, Store};

/// The origin whose keys are let through, and what it said of all of them.
pub struct Foreign {
    origin: Arc<dyn Origin>,
    /// How long one word is good for.
    good_for: Duration,
    /// When it last admitted any key, in milliseconds since the epoch.
    admitted_at: AtomicI64,
}

/// What the origin said of one key.
#[derive(Debug)]
pub struct Verdict {
    /// When it last admitted the key, in milliseconds since the epoch.
    admitted_at: AtomicI64,
    /// From when on it is to be asked again.
    due_at: AtomicI64,
    /// How often it refused the key since.
    refusals: AtomicU32,
}

/// As it stands at the moment.
impl Clone for Verdict {
    fn clone(&self) -> Self {
        let of = |moment: &AtomicI64| AtomicI64::new(moment.load(Ordering::Relaxed));
        Self {
            admitted_at: of(&self.admitted_at),
            due_at: of(&self.due_at),
            refusals: AtomicU32::new(self.refusals.load(Ordering::Relaxed)),
        }
    }
}

impl Verdict {
    /// The origin admitted the key at `now`.
    pub fn admitted(now: Timestamp, good_for: Duration) -> Self {
        let verdict = Self {
            admitted_at: AtomicI64::new(0),
            due_at: AtomicI64::new(0),
            refusals: AtomicU32::new(0),
        };
        verdict.admit(now, good_for);
        verdict
    }

    /// Whether the origin is to be asked again.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.due_at.load(Ordering::Relaxed) <= now.as_millis()
    }

    /// When the origin last admitted the key.
    pub fn admitted_at(&self) -> Timestamp {
        Timestamp::from_millis(self.admitted_at.load(Ordering::Relaxed))
    }

    fn admit(&self, now: Timestamp, good_for: Duration) {
        self.refusals.store(0, Ordering::Relaxed);
        self.admitted_at.store(now.as_millis(), Ordering::Relaxed);
        self.due_at.store(now.plus(good_for / 2).as_millis(), Ordering::Relaxed);
    }
}

impl Foreign {
    /// Lets keys of this origin through.
    pub fn new(origin: Arc<dyn Origin>, good_for: Duration) -> Self {
        Self { origin, good_for, admitted_at: AtomicI64::new(0) }
    }

    /// The origin's name.
    pub fn name(&self) -> &OriginName {
        self.origin.name()
    }

    /// The word of an origin that admitted a key at `at`, before the start.
    pub fn vouched(&self, at: Timestamp) -> Verdict {
        Verdict::admitted(at, self.good_for)
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
        now: Timestamp,
    ) -> Result<Option<(Grant, Verdict)>, Error> {
        let Some(grant) = self.grant(store, credential).await? else { return Ok(None) };
        if !self.origin.admits(credential).await? {
            return Ok(None);
        }
        self.admitted_at.store(now.as_millis(), Ordering::Relaxed);
        Ok(Some((grant, Verdict::admitted(now, self.good_for))))
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
        let ours = |project: &Project| project.origin.as_ref() == Some(self.name());
        let Some(project) = projects.into_iter().find(ours) else { return Ok(None) };
        let name = if credential.expose().starts_with("pk_dev_") { "dev" } else { "live" };
        let environments = store.environments(project.id).await?;
        let named = environments.into_iter().find(|environment| environment.name == name);
        Ok(named.map(|environment| Grant {
            key: ApiKey {
                id: NO_ID,
                project: project.id,
                environment: environment.id,
                name: String::new(),
                prefix: String::new(),
                scopes: Vec::from([Scope::Deliver]),
                created_at: Timestamp::default(),
                expires_at: None,
                revoked_at: None,
                last_used_at: None,
            },
            project,
            environment,
        }))
    }

    /// Asks the origin again about a key that it admitted before. Returns whether the key is over.
    pub async fn judge(
        &self,
        verdict: &Verdict,
        credential: &Credential,
        is_alone: bool,
        now: Timestamp,
    ) -> bool {
        let again_at = now.plus(self.good_for / 8).as_millis();
        verdict.due_at.store(again_at, Ordering::Relaxed);
        match self.origin.admits(credential).await {
            Ok(true) => {
                self.admitted_at.store(now.as_millis(), Ordering::Relaxed);
                verdict.admit(now, self.good_for);
                false
            }
            Ok(false) => self.refused(verdict, is_alone, now),
            Err(error) => {
                let origin = self.name().as_str();
                tracing::debug!(origin, kind = error.as_str(), "a caller's key was not judged");
                false
            }
        }
    }

    /// The origin refused a key. Whether that is evidence enough.
    fn refused(&self, verdict: &Verdict, is_alone: bool, now: Timestamp) -> bool {
        let refusals = verdict.refusals.fetch_add(1, Ordering::Relaxed) + 1;
        if refusals < EVIDENCE {
            return false;
        }
        // Had others been admitted since, it would be about this key.
        let last = Timestamp::from_millis(self.admitted_at.load(Ordering::Relaxed));
        let others_pass = now.since(last) < self.good_for / 2;
        let is_outage = !is_alone && !others_pass;
        if is_outage && now.since(verdict.admitted_at()) < self.good_for * OUTAGE_AT_MOST {
            let origin = self.name().as_str();
            tracing::error!(origin, "an origin refuses every caller's key: they are kept for now");
            return false;
        }
        true
    }
}

impl std::fmt::Debug for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Foreign({})", self.name())
    }
}

/// The id of a key that no store has given one.
const NO_ID: KeyId = KeyId(0);

/// How often an origin has to refuse a key that it admitted.
const EVIDENCE: u32 = 2;

/// For how many times a word's time an origin may refuse everybody before it is believed.
const OUTAGE_AT_MOST: u32 = 12;
