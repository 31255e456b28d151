//! Whom we trust, and as whom we are trusted: TLS as a client.

use std::path::Path;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::wire::client::config::Config;
use crate::wire::client::config::Unusable;

/// TLS 1.2 and 1.3 with the settings' authorities and certificate. Their files are read here, once.
#[expect(clippy::expect_used, reason = "the provider's own defaults fit the provider")]
pub(crate) fn of(config: &Config) -> Result<ClientConfig, Unusable> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs knows TLS 1.2 and 1.3");
    let builder = match &config.ca {
        Some(path) => builder.with_root_certificates(authorities(path)?),
        None => builder.with_webpki_roots(),
    };
    let Some((certificate, key)) = &config.client_certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates("client_certificate", certificate)?;
    builder.with_client_auth_cert(chain, private_key(key)?).map_err(|source| {
        Unusable::ClientCertificate { certificate: certificate.clone(), key: key.clone(), source }
    })
}

fn authorities(path: &Path) -> Result<RootCertStore, Unusable> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", path)? {
        roots.add(certificate).map_err(|_| contents("ca", path, "certificate"))?;
    }
    Ok(roots)
}

/// Every certificate of a file, and at least one.
fn certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let pem = read(setting, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    certificates
        .ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| contents(setting, path, "certificate"))
}

/// The error of a file with a key in it names the file and nothing from it.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Unusable> {
    let pem = read("client_key", path)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| contents("client_key", path, "private key"))
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, Unusable> {
    std::fs::read(path).map_err(|source| Unusable::File { setting, path: path.to_owned(), source })
}

fn contents(setting: &'static str, path: &Path, expected: &'static str) -> Unusable {
    Unusable::Contents { setting, path: path.to_owned(), expected }
}
