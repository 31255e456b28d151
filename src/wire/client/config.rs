//! What an operator says of how other servers are asked, and what of that cannot be used.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;

/// How other servers are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a connection may take, a proxy's consent included. The TLS handshake counts towards
    /// the first byte.
    pub connect_timeout: Duration,
    /// How long the head of an answer may take, a new connection included.
    pub first_byte_timeout: Duration,
    /// How long a whole answer may take.
    pub total_timeout: Duration,
    /// The longest body that is read.
    pub max_body_bytes: u64,
    /// A PEM file with the only authorities that are trusted; Mozilla's if `None`.
    pub ca: Option<PathBuf>,
    /// PEM files with the certificate chain and the private key that a server is shown which asks.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// The HTTP proxy between us and every server but those on this machine.
    pub proxy: Option<Uri>,
    /// Whether `http://` is spoken with other machines too: keys and prompts can then be read on
    /// the way.
    pub allow_http: bool,
}

impl Default for Config {
    /// A connection between continents takes a third of a second, and its SYN may be lost once:
    /// two seconds. A platform compiles a prompt in less than one: five for the slow ones, and as
    /// much again for the body. The longest prompts are some hundred kilobytes, the longest lists
    /// a few megabytes.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            first_byte_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
            max_body_bytes: 8 << 20,
            ca: None,
            client_certificate: None,
            proxy: None,
            allow_http: false,
        }
    }
}

impl Config {
    /// The proxy, if it is one that can be spoken to.
    pub(crate) fn usable_proxy(&self) -> Result<Option<Uri>, Unusable> {
        let Some(proxy) = &self.proxy else { return Ok(None) };
        let problem = |problem| Err(Unusable::Setting { setting: "proxy", problem });
        if proxy.scheme() != Some(&Scheme::HTTP) {
            return problem("is no http:// URL: write http://HOST:PORT");
        }
        if proxy.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return problem("holds a user: give the proxy's URL without one");
        }
        Ok(Some(proxy.clone()))
    }
}

/// Why there can be no client with these settings.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The private key is not the one of the certificate, or TLS cannot use them.
    #[error(
        "`client_certificate`: {} and {} cannot be used together",
        .certificate.display(),
        .key.display()
    )]
    ClientCertificate {
        /// The file with the chain.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },

    /// A file does not hold what its setting promises.
    #[error("`{setting}`: {} holds no {expected} in PEM", .path.display())]
    Contents {
        /// Which setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },

    /// A file cannot be read.
    #[error("`{setting}`: {} cannot be read", .path.display())]
    File {
        /// Which setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },

    /// A setting is not what it has to be.
    #[error("`{setting}` {problem}")]
    Setting {
        /// Which setting.
        setting: &'static str,
        /// What is wrong, and what to write instead.
        problem: &'static str,
    },
}
