//! Who is at the other end of a connection.

use std::net::IpAddr;
use std::sync::Arc;

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The project's name.
    pub project: String,
    /// The environment's name.
    pub environment: String,
}
