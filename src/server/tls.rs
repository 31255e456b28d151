//! TLS on a listener.

use std::path::PathBuf;

/// What a listener of TLS is set up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The certificates, each a file of a chain in PEM and the file of its private key. A caller
    /// that names no host, or none of theirs, gets the first.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// Who vouches for callers' certificates: a file of certificates in PEM. Callers are not asked
    /// for theirs if there is none.
    pub client_ca: Option<PathBuf>,
    /// Whether a caller without a certificate is let in, if callers are asked for theirs.
    pub is_client_optional: bool,
}
