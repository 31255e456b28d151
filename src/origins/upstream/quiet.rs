//! Platforms that tell nobody what has changed: whether they are there is all there is to find out.

use std::sync::{Mutex, PoisonError};

use crate::origins::{Changes, Cursor, Error, Pending, Validator};

/// What marks a platform's list as the operator's key read it last: whether that still holds is the
/// cheapest question there is.
#[derive(Debug, Default)]
pub(super) struct LastList(Mutex<Option<Validator>>);

impl LastList {
    /// The list was read, and is marked like this.
    pub(super) fn is(&self, validator: Option<Validator>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = validator;
    }

    /// To ask with whether it is still the same.
    pub(super) fn validator(&self) -> Option<Validator> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The changes of who never tells: the start is answered once `probe` is, and nothing after it.
pub(super) async fn changes(cursor: Cursor, probe: Pending<'_, ()>) -> Result<Changes, Error> {
    if cursor != Cursor::START {
        return std::future::pending().await;
    }
    probe.await?;
    Ok(Changes { changes: Vec::new(), cursor: Cursor(0) })
}
