//! A real ledger that can be counted and made to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use prompt_edge::ledger::{Ask, Away, Leased, Ledger, Pending, Settle, Usage};
use prompt_edge::model::ProjectId;

/// Passes everything on to a ledger, unless it was told to be away.
pub(crate) struct Account {
    inner: Arc<dyn Ledger>,
    is_away: AtomicBool,
    asked: AtomicUsize,
}

impl Account {
    /// In front of this ledger.
    pub(crate) fn over(inner: Arc<dyn Ledger>) -> Self {
        Self { inner, is_away: AtomicBool::new(false), asked: AtomicUsize::new(0) }
    }

    /// From now on it answers nothing.
    pub(crate) fn goes_away(&self) {
        self.is_away.store(true, Ordering::SeqCst);
    }

    /// From now on it answers again.
    pub(crate) fn comes_back(&self) {
        self.is_away.store(false, Ordering::SeqCst);
    }

    /// How often it was asked to lease or to settle.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn is_there(&self) -> Result<(), Away> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.is_away.load(Ordering::SeqCst) {
            true => Err(Away("it was told to be".into())),
            false => Ok(()),
        }
    }
}

impl Ledger for Account {
    fn lease(&self, ask: Ask) -> Pending<'_, Leased> {
        Box::pin(async move {
            self.is_there()?;
            self.inner.lease(ask).await
        })
    }

    fn settle(&self, settle: Settle) -> Pending<'_, ()> {
        Box::pin(async move {
            self.is_there()?;
            self.inner.settle(settle).await
        })
    }

    fn usage(&self, project: Option<ProjectId>) -> Pending<'_, Vec<Usage>> {
        self.inner.usage(project)
    }
}
