//! What SQLite's own errors mean to whoever asked.

use rusqlite::ErrorCode;

use crate::model::OriginName;
use crate::origins::error::{BoxError, Error, WriteError};

/// The store's name in logs, metrics and `Cache-Status`.
pub(super) fn name() -> OriginName {
    OriginName::new("store")
}

/// The store did not get as far as an answer.
pub(super) fn broken_off(source: impl Into<BoxError>) -> Error {
    Error::Unreachable { origin: name(), source: source.into() }
}

impl From<rusqlite::Error> for Error {
    fn from(source: rusqlite::Error) -> Self {
        let malformed = |expected, source: rusqlite::Error| Self::Malformed {
            origin: name(),
            expected,
            source: source.into(),
        };
        match source.sqlite_error_code() {
            // Another process kept the file locked for longer than `busy_timeout`.
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Busy { origin: name() }
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                malformed("an intact database", source)
            }
            Some(_) => broken_off(source),
            // Not SQLite's complaint: a column did not hold what its reader expects.
            None => malformed("what its schema says", source),
        }
    }
}

impl From<rusqlite::Error> for WriteError {
    fn from(source: rusqlite::Error) -> Self {
        Self::Store(source.into())
    }
}
