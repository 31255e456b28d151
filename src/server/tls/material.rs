//! What the files of a listener hold: certificates with their keys, and who vouches for callers.
//!
//! No error holds a byte of a file.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::model::Timestamp;
use crate::server::tls::Config;
use crate::server::tls::names::Table;

/// Why a listener cannot have TLS with these files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file does not hold what it should.
    #[error("{} holds no {expected} in PEM: name the file that does", .path.display())]
    Contents {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },

    /// Nobody is there to be asked for the passphrase.
    #[error(
        "the key in {} is encrypted: decrypt it with `openssl pkey -in KEY -out NEW`, and keep the \
         file from others", .path.display()
    )]
    Encrypted {
        /// The file.
        path: PathBuf,
    },

    /// A file cannot be read.
    #[error("{} cannot be read", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// The private key is another one's.
    #[error(
        "the key in {} is not that of the first certificate in {}: the server's own certificate \
         comes first in its file, then those that vouch for it",
        .key.display(), .certificate.display()
    )]
    Mismatch {
        /// The file with the chain.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },

    /// No certificate is configured.
    #[error("there is no certificate: a listener with TLS needs at least one")]
    Nothing,

    /// The operating system gives no randomness.
    #[error("no key for session tickets can be made")]
    Randomness {
        /// What happened.
        source: rustls::Error,
    },

    /// It is what it should be, but of a kind that is not supported.
    #[error("the {what} in {} cannot be used", .path.display())]
    Unusable {
        /// What is meant.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
}

/// Everything the files hold.
pub(super) struct Material {
    /// In the order of the configuration; at least one.
    pub(super) certificates: Vec<Certificate>,
    /// Who vouches for callers; nobody if they are not asked.
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// SHA-256 of all of it: whether it is the same as before.
    pub(super) digest: [u8; 32],
}

/// A certificate with its chain and its key.
pub(super) struct Certificate {
    /// What it is called in logs and metrics; unique on its listener.
    pub(super) label: String,
    /// The DNS names it is for, in lower case.
    pub(super) names: Vec<String>,
    /// Its own end, not that of its chain.
    pub(super) expires_at: Timestamp,
    pub(super) key: Arc<CertifiedKey>,
}

impl Material {
    /// Reads the files.
    pub(super) fn read(config: &Config, provider: &CryptoProvider) -> Result<Self, Error> {
        let mut digest = Sha256::new();
        let mut certificates: Vec<Certificate> = Vec::new();
        for (chain, key) in &config.certificates {
            let mut certificate = Certificate::read(chain, key, provider, &mut digest)?;
            if certificates.iter().any(|other| other.label == certificate.label) {
                certificate.label = chain.display().to_string();
            }
            certificates.push(certificate);
        }
        let authorities = match &config.client_ca {
            Some(path) => chain_of(path, &mut digest)?,
            None => Vec::new(),
        };
        Ok(Self { certificates, authorities, digest: digest.finalize().into() })
    }

    /// The certificates by the names they are for.
    pub(super) fn table(&self) -> Result<Table, Error> {
        let first = self.certificates.first().ok_or(Error::Nothing)?;
        let mut table = Table::new(Arc::clone(&first.key));
        for certificate in &self.certificates {
            for name in &certificate.names {
                table.add(name, &certificate.key);
            }
        }
        Ok(table)
    }

    /// Who vouches for callers, as they are verified by; `None` if callers are not asked.
    pub(super) fn roots(&self, config: &Config) -> Result<Option<RootCertStore>, Error> {
        let Some(path) = &config.client_ca else { return Ok(None) };
        let mut roots = RootCertStore::empty();
        for authority in &self.authorities {
            let added = roots.add(authority.clone());
            added.map_err(|source| unusable("certificate of an authority", path, source))?;
        }
        Ok(Some(roots))
    }
}

impl Certificate {
    fn read(
        chain_path: &Path,
        key_path: &Path,
        provider: &CryptoProvider,
        digest: &mut Sha256,
    ) -> Result<Self, Error> {
        let chain = chain_of(chain_path, digest)?;
        let key = key_of(key_path, digest)?;
        // The error of a key is never handed on: it may be about its bytes.
        let key = provider.key_provider.load_private_key(key).map_err(|_| {
            let source =
                rustls::Error::General("no RSA, ECDSA or Ed25519 key that is known".into());
            unusable("private key", key_path, source)
        })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let (certificate, key) = (chain_path.to_owned(), key_path.to_owned());
                return Err(Error::Mismatch { certificate, key });
            }
            Err(source) => return Err(unusable("certificate", chain_path, source)),
        }
        let (names, expires_at) = own_words(&certified, chain_path)?;
        let stem = || chain_path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let label = names.first().cloned().unwrap_or_else(stem);
        Ok(Self { label, names, expires_at, key: Arc::new(certified) })
    }
}

/// The DNS names of a certificate, in lower case, and when it ends.
fn own_words(key: &CertifiedKey, path: &Path) -> Result<(Vec<String>, Timestamp), Error> {
    let malformed = || {
        let source = rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding);
        unusable("certificate", path, source)
    };
    let own = key.end_entity_cert().map_err(|_| malformed())?;
    let (_, own) = X509Certificate::from_der(own).map_err(|_| malformed())?;
    let alternatives = own.subject_alternative_name().map_err(|_| malformed())?;
    let alternatives = alternatives.iter().flat_map(|names| &names.value.general_names);
    let names = alternatives.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::IPAddress(_)
        | GeneralName::Invalid(..)
        | GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::URI(_)
        | GeneralName::X400Address(_) => None,
    });
    let seconds = own.validity().not_after.timestamp();
    Ok((names.collect(), Timestamp::from_millis(seconds.saturating_mul(1_000))))
}

/// Every certificate of a file, and at least one.
fn chain_of(path: &Path, digest: &mut Sha256) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(path, digest)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    certificates
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| Error::Contents { path: path.to_owned(), expected: "certificate" })
}

fn key_of(path: &Path, digest: &mut Sha256) -> Result<PrivateKeyDer<'static>, Error> {
    let pem = read(path, digest)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let path = path.to_owned();
        // `BEGIN ENCRYPTED PRIVATE KEY` of PKCS #8, `Proc-Type: 4,ENCRYPTED` of RFC 1421.
        let is_encrypted = pem.windows(ENCRYPTED.len()).any(|word| word == ENCRYPTED);
        match is_encrypted {
            true => Error::Encrypted { path },
            false => Error::Contents { path, expected: "private key" },
        }
    })
}

const ENCRYPTED: &[u8] = b"ENCRYPTED";

fn read(path: &Path, digest: &mut Sha256) -> Result<Vec<u8>, Error> {
    let bytes = fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    digest.update((bytes.len() as u64).to_le_bytes());
    digest.update(&bytes);
    Ok(bytes)
}

fn unusable(what: &'static str, path: &Path, source: rustls::Error) -> Error {
    Error::Unusable { what, path: path.to_owned(), source }
}

/// How the files look from outside. Names are followed to what they lead to now: a mounted secret is
/// a link that is turned over to another folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look(Vec<Option<[i64; 7]>>);

impl Look {
    /// A look at every file.
    pub(super) fn at(config: &Config) -> Self {
        let pairs = config.certificates.iter().flat_map(|(chain, key)| [chain, key]);
        Self(pairs.chain(&config.client_ca).map(|path| glance(path)).collect())
    }
}

/// Which file it is, how long, and when it was written and put there; `None` if it is not there.
fn glance(path: &Path) -> Option<[i64; 7]> {
    let file = fs::metadata(path).ok()?;
    // Only whether they are equal counts.
    let [device, inode, size] = [file.dev(), file.ino(), file.size()].map(u64::cast_signed);
    let (written, written_ns) = (file.mtime(), file.mtime_nsec());
    Some([device, inode, size, written, written_ns, file.ctime(), file.ctime_nsec()])
}
