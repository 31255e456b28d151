//! Who is at the other end of a connection.

use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::model::KeyDigest;

/// Who is at the other end of a connection. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address it connected from; loopback for a Unix socket.
    pub address: IpAddr,
    /// Whom its certificate names, if it showed one that names somebody.
    pub identity: Option<Arc<Identity>>,
}

impl Peer {
    /// A peer that is known by its address alone.
    pub const fn at(address: IpAddr) -> Self {
        Self { address, identity: None }
    }
}

/// The project and environment that a client certificate names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    project: String,
    environment: String,
    digest: KeyDigest,
}

impl Identity {
    /// Whoever reads through this environment of this project. Whether there is such a one is not
    /// known yet.
    pub fn new(project: &str, environment: &str) -> Self {
        let mut hash = Sha256::new();
        // No token has a NUL in it, and no name: what is hashed here is hashed for nobody else.
        for part in ["certificate", project, environment] {
            hash.update(part);
            hash.update([0]);
        }
        let digest = KeyDigest(hash.finalize().into());
        Self { project: project.to_owned(), environment: environment.to_owned(), digest }
    }

    /// The project's name.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The environment's name.
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// What it is remembered by, as a token is by its own. Never that of a token.
    pub fn digest(&self) -> KeyDigest {
        self.digest
    }

    /// The same, where it is.
    pub(crate) const fn digest_ref(&self) -> &KeyDigest {
        &self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_remembered_by_both_of_its_names() {
        let digest = |project, environment| Identity::new(project, environment).digest();

        assert_eq!(digest("acme", "live"), digest("acme", "live"));
        for (project, environment) in [("acme", "dev"), ("acm", "elive"), ("live", "acme")] {
            assert_ne!(digest("acme", "live"), digest(project, environment));
        }
    }
}
