//! May this caller do this, now?
//!
//! | # | phase    | may end with                | costs, for a key in use      |
//! |---|----------|-----------------------------|------------------------------|
//! | 1 | identify | `Unauthenticated`           | one SHA-256, one map look-up; nothing where the fast lane knows the token |
//! | 2 | permit   | `Forbidden`                 | one comparison               |
//! | 3 | spend    | `RateLimited`, `QuotaSpent` | two compare-and-swaps        |
//!
//! Rate comes before month, so a flood cannot drain one. A place in the month is taken before the
//! answer is made and given back if there is none: 200 and 304 count, refusals and failures do not.
//! An answer that the client never received counts, since nobody can know.
//!
//! [`keyring`] says whose key it is, [`limits`] what its project may do: [`rate`] by GCRA, [`quota`] by
//! leases of the month. [`guesses`] slows down whoever presents keys that open nothing.
//!
//! # Invariants
//!
//! 1. A caller never learns whether a key is unknown, expired or revoked.
//!    (`unknown_expired_and_revoked_keys_are_refused_alike` in `tests/integration/access.rs`)
//! 2. A revocation that is known stops everybody who comes after it, even if the store was asked
//!    before it. (`a_revocation_outruns_a_fetch_that_began_before_it`, in the same place)
//! 3. A request that brings a credential is judged by that alone, whatever certificate its connection
//!    has. (`a_key_beside_a_certificate_is_judged_alone`, in `tests/integration/certificates.rs`)
//! 4. The token is never printed, and kept only in memory: to know who presents it again, and to
//!    show an origin its own. Stores know digests.

pub mod credential;
pub mod foreign;
pub mod guesses;
pub mod keyring;
pub mod limits;
pub mod peer;
pub mod quota;
pub mod rate;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::StatusCode;
use tokio::time::timeout;

use crate::cache::generation::Generations;
use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::live::Live;
use crate::model::{Budgets, Refusal, Scope, Timestamp};
use crate::origins::{Origin, RETRY_AFTER, Store};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::wire;
use crate::wire::Response;

pub use credential::Presented;
pub use keyring::{Caller, Config};
pub use peer::{Identity, Peer};

use credential::Shown;
use foreign::Foreign;
use guesses::{Guesses, Source};
use keyring::Keyring;
use limits::{Book, Decision, Headers};
use quota::{Attempt, Unspent};
use rate::Limiter;

/// Decides who may pass.
pub struct Gate {
    keyring: Keyring,
    book: Arc<Book>,
    guesses: Guesses,
    clock: Arc<dyn Clock>,
}

/// What a gate decides by.
pub struct Parts {
    /// Where keys are.
    pub store: Arc<dyn Store>,
    /// Where months are counted.
    pub ledger: Arc<dyn Ledger>,
    /// What has changed.
    pub generations: Arc<Generations>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The origin whose own keys are let through, if there is one.
    pub foreign: Option<Arc<dyn Origin>>,
    /// Where questions run.
    pub tasks: Tasks,
}

impl Gate {
    /// A gate over these parts.
    pub fn new(
        keys: Config,
        limits: Live<limits::Config>,
        guesses: guesses::Config,
        parts: Parts,
    ) -> Self {
        let Parts { store, ledger, generations, clock, metrics, foreign, tasks } = parts;
        let good_for = keys.foreign_for;
        let foreign =
            foreign.map(|origin| Arc::new(Foreign::new(origin, good_for, Arc::clone(&clock))));
        let (time, counters) = (Arc::clone(&clock), Arc::clone(&metrics));
        let book = Arc::new(Book::new(limits, ledger, time, counters, tasks.clone()));
        let parts = keyring::Parts { store, generations, metrics, tasks };
        let keyring = Keyring::new(keys, Arc::clone(&book), foreign, parts);
        Self { keyring, book, guesses: Guesses::new(guesses), clock }
    }

    /// Goes by other settings from now on. New limits reach every caller with its next request.
    pub fn reconfigure(&self, keys: Config, limits: &limits::Config, guesses: &guesses::Config) {
        self.guesses.reconfigure(guesses.clone());
        self.keyring.reconfigure(keys);
        if **self.book.config() != *limits {
            self.book.reconfigure(limits.clone());
            // Only now: a record that is made under the new mark has the new limits.
            self.keyring.renew_limits();
        }
    }

    /// The keys in memory.
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The limits of every project.
    pub fn book(&self) -> &Arc<Book> {
        &self.book
    }

    /// Lets a caller pass, or says why not. `peer` is who the connection is from: its certificate
    /// counts for a request without a token of its own.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` with neither of them, or for one that opens nothing, `RateLimited` where too
    /// many of those came from, `Forbidden` for one that does not open this, and what the store's
    /// failures mean.
    pub async fn admit(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
        needs: Scope,
    ) -> Result<Caller, Refusal> {
        let shown = Shown::of(headers, peer).ok_or(Refusal::Unauthenticated)?;
        let digest = shown.digest();
        let now = self.clock.now();
        let permit = |caller: Caller| caller.permit(needs, now).map(|()| caller);
        let recalled = self.keyring.recall(&digest, now).map(|known| known.and_then(permit));
        let opens_nothing = match recalled {
            Some(Err(Refusal::Unauthenticated)) => true,
            Some(known) => return known,
            None => false,
        };

        let source = self.guesses.source(peer.address, headers);
        self.may_guess(source)?;
        let found = match opens_nothing {
            true => Err(Refusal::Unauthenticated),
            false => self.keyring.fetch(shown, now).await.and_then(permit),
        };
        // Unknown, expired and revoked keys count alike: else the limit would tell them apart.
        if matches!(found, Err(Refusal::Unauthenticated)) {
            self.guesses.failed(source, self.clock.elapsed());
        }
        found
    }

    /// Whether a caller that was let in before may pass again: if not, [`Gate::admit`] knows why.
    /// Memory only.
    pub fn readmits(&self, caller: &Caller, needs: Scope, now: Timestamp) -> bool {
        self.keyring.vouches_for(caller) && caller.permit(needs, now).is_ok()
    }

    /// Takes one request from the caller's rates and month; `None` if the ledger would have to be
    /// asked. Memory only.
    pub fn try_spend(&self, caller: &Caller, now: Timestamp) -> Option<Result<Receipt, Refusal>> {
        let spent = caller.limits().meter().try_spend_after(now, || self.take(caller, now))?;
        let (taken, attempt) = match spent {
            Ok(spent) => spent,
            Err(refusal) => return Some(Err(refusal)),
        };
        match attempt {
            Attempt::Yes(place) => Some(Ok(self.receipt(caller, place, taken, now))),
            Attempt::Spent => Some(Err(self.month_spent(caller, taken, now))),
            Attempt::Ask => None,
        }
    }

    /// Takes one request from the caller's rates and month.
    ///
    /// # Errors
    ///
    /// `RateLimited`, `QuotaSpent`, or `QuotaUnknown` if the ledger is away and policy says no.
    pub async fn spend(&self, caller: &Caller) -> Result<Receipt, Refusal> {
        let limits = caller.limits();
        let taken = self.take(caller, self.clock.now())?;
        let spent = timeout(SPEND_WITHIN, limits.meter().spend()).await;
        let now = self.clock.now();
        match spent.unwrap_or(Err(Unspent::LedgerAway)) {
            Ok(place) => Ok(self.receipt(caller, place, taken, now)),
            Err(Unspent::Spent) => Err(self.month_spent(caller, taken, now)),
            Err(Unspent::LedgerAway) => {
                limits.count(Decision::QuotaUnknown);
                Err(Refusal::QuotaUnknown { retry_after: RETRY_AFTER })
            }
        }
    }

    /// Ends what [`Gate::spend`] began, now that there is a response: gives the place back if it
    /// does not count, and says on the response what is left, if it is to be said.
    pub fn settle(&self, receipt: Receipt, response: &mut Response) {
        let counts = match response.status() {
            StatusCode::OK => true,
            StatusCode::NOT_MODIFIED => receipt.count_not_modified,
            _ => false,
        };
        if let Some(budgets) = receipt.say {
            self.say(&budgets, response);
        }
        if !counts {
            receipt.place.refund();
        }
    }

    /// Says on the response to a refusal what is left, if that is why.
    pub fn say_refused(&self, refusal: &Refusal, response: &mut Response) {
        if let Refusal::RateLimited { budgets, .. } | Refusal::QuotaSpent { budgets } = refusal {
            self.say(budgets, response);
        }
    }

    fn say(&self, budgets: &Budgets, response: &mut Response) {
        wire::limits::append(response.headers_mut(), budgets);
        if self.book.config().legacy_headers {
            wire::limits::append_legacy(response.headers_mut(), budgets);
        }
    }

    fn may_guess(&self, source: Source) -> Result<(), Refusal> {
        match self.guesses.wait(source, self.clock.elapsed()) {
            Some(retry_after) => Err(Refusal::RateLimited { retry_after, budgets: Box::default() }),
            None => Ok(()),
        }
    }

    /// Takes one request from the key's rate and the project's.
    fn take(&self, caller: &Caller, now: Timestamp) -> Result<Taken, Refusal> {
        let limits = caller.limits();
        let of_key = caller.key_rate().map(Limiter::take);
        let wait = match of_key {
            Some(Err(wait)) => Some(wait),
            Some(Ok(_)) | None => None,
        };
        let taken = if wait.is_none() { limits.take() } else { None };
        let Some(wait) = wait.or(taken.and_then(Result::err)) else { return Ok(taken) };

        limits.count(Decision::RateLimited);
        let mut budgets = limits.budgets(taken, now);
        if let (None, Some(key_rate)) = (budgets.burst, caller.key_rate()) {
            budgets.burst = Some(key_rate.budget(Err(wait)));
        }
        Err(Refusal::RateLimited { retry_after: wait, budgets: Box::new(budgets) })
    }

    fn receipt(
        &self,
        caller: &Caller,
        place: quota::Receipt,
        taken: Taken,
        now: Timestamp,
    ) -> Receipt {
        let limits = caller.limits();
        limits.count(Decision::Admitted);
        let terms = limits.terms();
        let is_said = match terms.headers {
            Headers::Always => true,
            Headers::NearEnd => limits.is_near_end(taken, &place),
            Headers::Refused => false,
        };
        let say = is_said.then(|| limits.budgets(taken, now));
        Receipt { place, count_not_modified: terms.count_not_modified, say }
    }

    fn month_spent(&self, caller: &Caller, taken: Taken, now: Timestamp) -> Refusal {
        let limits = caller.limits();
        limits.count(Decision::QuotaSpent);
        let mut budgets = limits.budgets(taken, now);
        if let Some(month) = &mut budgets.month {
            // A place that is just being given back is nobody's yet.
            month.remaining = 0;
        }
        Refusal::QuotaSpent { budgets: Box::new(budgets) }
    }
}

/// What a project's limiter said, if it has one.
type Taken = Option<Result<u32, Duration>>;

/// One admitted request. Dropping it unsettled keeps its place in the month.
#[derive(Debug)]
pub struct Receipt {
    place: quota::Receipt,
    /// Whether a 304 keeps it.
    count_not_modified: bool,
    /// What the response is to say is left.
    say: Option<Budgets>,
}

impl Receipt {
    /// Gives the place in the month back: the request was refused after all.
    pub fn refund(self) {
        self.place.refund();
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate(…)")
    }
}

/// How long a request may wait for its place in the month.
const SPEND_WITHIN: Duration = Duration::from_secs(5);
