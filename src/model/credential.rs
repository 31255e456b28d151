//! A secret that opens something elsewhere.

use std::fmt;
use std::sync::Arc;

/// A key of somebody else's platform: the operator's, or a caller's own. Never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Credential(Arc<str>);

impl Credential {
    /// Takes a secret in.
    pub fn new(secret: &str) -> Self {
        Self(secret.into())
    }

    /// The secret itself, for the header it is sent in and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}
