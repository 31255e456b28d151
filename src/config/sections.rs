//! The tables that `app` reads itself: which store, which addresses, which snapshot. Every other
//! table belongs to the module it sets up.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// `[admin]`: where operators look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The address of health and metrics. It asks for no key, so it stays on loopback.
    pub listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7081)) }
    }
}

/// `[store]`: where prompts and keys are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Which store.
    pub url: StoreUrl,
    /// Connections that read at the same time. Misses are rare; two keep one slow read from
    /// holding up the rest.
    pub readers: NonZeroUsize,
    /// How long one read may take.
    pub timeout: Duration,
    /// How long a write waits for another process's write to end.
    pub busy_timeout: Duration,
    /// How often changes by other processes are looked for. Changes are to be served within one
    /// second, so half a second is the most.
    pub watch_interval: Duration,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            url: StoreUrl::default(),
            readers: NonZeroUsize::MIN.saturating_add(1),
            timeout: Duration::from_secs(2),
            busy_timeout: Duration::from_secs(5),
            watch_interval: Duration::from_millis(100),
        }
    }
}

/// `[snapshot]`: what outlives a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The file; relative to the working directory. Nothing is written if there is none.
    pub path: Option<PathBuf>,
    /// How often it is written.
    pub interval: Duration,
    /// What it is encrypted with; not encrypted if there is none.
    pub key: Option<SnapshotKey>,
}

impl Default for Snapshot {
    /// A minute is what a crash may cost: after it the origins are asked again.
    fn default() -> Self {
        Self { path: None, interval: Duration::from_secs(60), key: None }
    }
}

/// The key of an encrypted snapshot. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SnapshotKey([u8; Self::BYTES]);

impl SnapshotKey {
    /// The length of a key of AES-256.
    pub const BYTES: usize = 32;

    /// The key itself, for the cipher and for nothing else.
    pub fn expose(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl FromStr for SnapshotKey {
    type Err = InvalidSnapshotKey;

    /// Reads 64 hex digits, or base64 as `openssl rand -base64 32` prints it.
    fn from_str(text: &str) -> Result<Self, InvalidSnapshotKey> {
        let hex = || {
            let digits: Option<Vec<_>> =
                text.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
            let (pairs, rest) = digits.as_ref()?.as_chunks::<2>();
            rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
        };
        let base64 = || STANDARD.decode(text).ok();
        let bytes = hex().filter(|bytes: &Vec<u8>| bytes.len() == Self::BYTES).or_else(base64);
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or(InvalidSnapshotKey("32 bytes in base64, or in 64 hex digits"))
    }
}

impl fmt::Debug for SnapshotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SnapshotKey(…)")
    }
}

/// Why a text is no key of a snapshot: what would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct InvalidSnapshotKey(pub(crate) &'static str);

/// Which store holds the prompts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A SQLite file; relative to the working directory.
    Sqlite(PathBuf),
}

impl StoreUrl {
    /// What is understood, as messages put it.
    pub(crate) const FORM: &str =
        "a SQLite file, the only store supported: sqlite:PATH, sqlite://PATH or a path";
}

impl Default for StoreUrl {
    fn default() -> Self {
        Self::Sqlite("prompt-edge.db".into())
    }
}

impl FromStr for StoreUrl {
    type Err = InvalidStoreUrl;

    fn from_str(text: &str) -> Result<Self, InvalidStoreUrl> {
        let path = match text.split_once(':') {
            Some(("sqlite", rest)) => rest.strip_prefix("//").unwrap_or(rest),
            Some((scheme, _)) if is_scheme(scheme) => {
                return Err(InvalidStoreUrl(Self::FORM));
            }
            _ => text,
        };
        if path == ":memory:" {
            return Err(InvalidStoreUrl(
                "a file, because each connection would see a memory of its own (`demo` gives a \
                 temporary store)",
            ));
        }
        if path.len() < text.len() && path.contains('?') {
            return Err(InvalidStoreUrl("a path without parameters"));
        }
        if path.is_empty() || path.ends_with('/') || path.contains('\0') {
            return Err(InvalidStoreUrl("the path of a file"));
        }
        Ok(Self::Sqlite(path.into()))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

/// Why a text names no store: what would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct InvalidStoreUrl(pub(crate) &'static str);

/// Whether what stands before a colon is a scheme (RFC 3986 §3.1) rather than part of a path.
/// A single letter is a drive.
fn is_scheme(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_sqlite_url_or_a_path() {
        for (text, path) in [
            ("sqlite:prompt-edge.db", "prompt-edge.db"),
            ("sqlite://data/prompts.db", "data/prompts.db"),
            ("sqlite:///var/lib/prompts.db", "/var/lib/prompts.db"),
            ("/var/lib/prompts.db", "/var/lib/prompts.db"),
            ("./odd:name.db", "./odd:name.db"),
            ("C:\\prompts.db", "C:\\prompts.db"),
            ("what?.db", "what?.db"),
        ] {
            assert_eq!(text.parse(), Ok(StoreUrl::Sqlite(path.into())), "{text}");
        }
    }

    #[test]
    fn what_is_no_sqlite_file_is_refused_with_what_would_be() {
        let refused = |text: &str| text.parse::<StoreUrl>().unwrap_err().to_string();

        assert!(refused("postgres://host/db").contains("sqlite:PATH, sqlite://PATH or a path"));
        assert!(refused("file:prompts.db").contains("the only store supported"));
        assert!(refused("sqlite::memory:").contains("`demo` gives a temporary store"));
        assert_eq!(refused("sqlite://a.db?mode=rwc"), "expected a path without parameters");
        for empty in ["", "sqlite:", "sqlite://", "data/"] {
            assert_eq!(refused(empty), "expected the path of a file", "{empty:?}");
        }
    }

    #[test]
    fn a_store_prints_as_a_url_that_reads_back() {
        let store = StoreUrl::Sqlite("/var/lib/prompts.db".into());

        assert_eq!(store.to_string(), "sqlite:/var/lib/prompts.db");
        assert_eq!(store.to_string().parse(), Ok(store));
    }

    #[test]
    fn a_key_of_a_snapshot_is_32_bytes_in_base64_or_hex() {
        let key = |text: &str| text.parse::<SnapshotKey>().map(|key| *key.expose());

        assert_eq!(key(&"0F".repeat(32)), Ok([0x0f; 32]));
        assert_eq!(key("Dw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8="), Ok([0x0f; 32]));
        for bad in ["", "hunter2", &"0f".repeat(31), &"0f".repeat(33), &"é".repeat(32), "Dw8P"] {
            let refused = key(bad).unwrap_err().to_string();
            assert_eq!(refused, "expected 32 bytes in base64, or in 64 hex digits", "{bad:?}");
        }
    }
}
