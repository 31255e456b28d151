//! A certificate authority of one test, with the certificates it has issued.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ED25519, SanType,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;

/// An authority whose files go with it.
pub(crate) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = key();
        let certificate = params.self_signed(&key).expect("an authority signs itself");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("a file can be written");
        let issuer = Issuer::new(params, key);
        Self { certificate: certificate.der().clone(), issuer, folder }
    }

    /// The file with its certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Files with a certificate and its key, for a client.
    pub(crate) fn client(&self) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.issue("client");
        let files = ["client.pem", "client.key"].map(|name| self.folder.path().join(name));
        fs::write(&files[0], certificate.pem()).expect("a file can be written");
        fs::write(&files[1], key.serialize_pem()).expect("a file can be written");
        files.into()
    }

    /// A server of this name, which answers everybody.
    pub(crate) fn server(&self, name: &str) -> ServerConfig {
        let (certificate, key) = self.issue(name);
        builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], der(&key))
            .expect("the certificate is the key's")
    }

    /// A server of this name, which answers those with a certificate of this authority.
    pub(crate) fn strict_server(&self, name: &str) -> ServerConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("an authority is one");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let (certificate, key) = self.issue(name);
        builder()
            .with_client_cert_verifier(verifier.build().expect("there is an authority"))
            .with_single_cert(vec![certificate.der().clone()], der(&key))
            .expect("the certificate is the key's")
    }

    /// Its own certificate.
    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Writes a certificate for these hosts, and its key, into files of this name, over what was
    /// there.
    pub(crate) fn host(&self, stem: &str, names: &[&str]) -> (PathBuf, PathBuf) {
        self.files(stem, names, |_| {})
    }

    /// Writes a caller's certificate with these URIs.
    pub(crate) fn caller(&self, stem: &str, uris: &[&str]) -> (PathBuf, PathBuf) {
        self.files(stem, &[], |params| {
            let uri = |uri: &&str| SanType::URI((*uri).try_into().expect("a URI of ASCII"));
            params.subject_alt_names.extend(uris.iter().map(uri));
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        })
    }

    /// Writes a certificate of one's own making.
    pub(crate) fn files(
        &self,
        stem: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (PathBuf, PathBuf) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of ASCII");
        change(&mut params);
        self.write(stem, self.sign(params, key()))
    }

    /// Writes a certificate for these hosts with a key of Ed25519.
    pub(crate) fn modern_host(&self, stem: &str, names: &[&str]) -> (PathBuf, PathBuf) {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names of ASCII");
        let key = KeyPair::generate_for(&PKCS_ED25519).expect("there is entropy");
        self.write(stem, self.sign(params, key))
    }

    fn write(
        &self,
        stem: &str,
        (certificate, key): (rcgen::Certificate, KeyPair),
    ) -> (PathBuf, PathBuf) {
        let [chain, secret] = ["pem", "key"].map(|kind| self.path(&format!("{stem}.{kind}")));
        fs::write(&chain, certificate.pem()).expect("a file can be written");
        fs::write(&secret, key.serialize_pem()).expect("a file can be written");
        (chain, secret)
    }

    /// The path of a file in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        self.sign(CertificateParams::new([name.to_owned()]).expect("a name of ASCII"), key())
    }

    fn sign(&self, params: CertificateParams, key: KeyPair) -> (rcgen::Certificate, KeyPair) {
        let certificate = params.signed_by(&key, &self.issuer).expect("an authority signs");
        (certificate, key)
    }
}

fn builder() -> rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS")
}

fn key() -> KeyPair {
    KeyPair::generate().expect("there is entropy")
}

fn der(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::try_from(key.serialize_der()).expect("a key is one")
}
