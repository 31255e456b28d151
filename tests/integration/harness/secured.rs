//! An edge behind a listener of TLS, and callers that know how to reach it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prompt_edge::clock::Clock;
use prompt_edge::live::Live;
use prompt_edge::server::{self, Door, Drain, Listener, Places, Service, Tls, tls};
use prompt_edge::telemetry::Metrics;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, SignatureScheme, SupportedProtocolVersion,
};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::authority::Authority;
use crate::harness::client::Client;
use crate::harness::process::PATIENCE;

/// The name in certificates of tests.
pub(crate) const HOST: &str = "edge.test";

/// The settings of a listener with these certificates, which asks callers for none.
pub(crate) fn config(certificates: impl Into<Vec<(PathBuf, PathBuf)>>) -> tls::Config {
    tls::Config { certificates: certificates.into(), client_ca: None, is_client_optional: false }
}

/// A listener of TLS.
pub(crate) struct Secured {
    pub(crate) tls: Arc<Tls>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) address: SocketAddr,
    pub(crate) drain: Drain,
}

impl Secured {
    /// Puts a service behind one.
    pub(crate) async fn serving(
        service: impl Service,
        config: tls::Config,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::within(server::Config::default(), service, config, clock).await
    }

    /// The same, with connections served otherwise.
    pub(crate) async fn within(
        server: server::Config,
        service: impl Service,
        config: tls::Config,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let metrics = Arc::new(Metrics::new("0", "0"));
        let tls = Tls::open("public", config, clock, Arc::clone(&metrics));
        let tls = Arc::new(tls.expect("the certificates can be used"));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any).expect("a port is free");
        let address = listener.address().expect("it is one of TCP");
        let (drain, service) = (Drain::default(), Arc::new(service));
        let places = Places::new(&metrics);
        let secured = Some(Arc::clone(&tls));
        let door =
            Door { service, config: Live::new(server), places, tls: secured, drain: drain.clone() };
        listener.serve(&door).expect("there are descriptors left");
        Self { tls, metrics, address, drain }
    }

    /// Lets every connection end, so that all of them are counted.
    pub(crate) async fn stopped(&self) {
        assert!(self.drain.finish(PATIENCE).await, "connections end by themselves");
    }

    /// How many handshakes ended so.
    pub(crate) fn handshakes(&self, outcome: &'static str) -> u64 {
        self.metrics.tls_handshakes("public", outcome).get()
    }
}

/// A caller: whom it trusts, and what it shows.
pub(crate) struct Caller(Arc<ClientConfig>);

impl Caller {
    /// One that trusts this authority, has no certificate, and speaks HTTP/1.1.
    pub(crate) fn of(authority: &Authority) -> Self {
        Self::speaking(rustls::ALL_VERSIONS, authority)
    }

    /// One that speaks only these versions of TLS.
    pub(crate) fn speaking(
        versions: &[&'static SupportedProtocolVersion],
        authority: &Authority,
    ) -> Self {
        Self::made(builder(versions, authority).with_no_client_auth())
    }

    /// One that shows this certificate.
    pub(crate) fn showing(files: (PathBuf, PathBuf), authority: &Authority) -> Self {
        Self::showing_in(rustls::ALL_VERSIONS, files, authority)
    }

    /// One that shows this certificate, in these versions of TLS.
    pub(crate) fn showing_in(
        versions: &[&'static SupportedProtocolVersion],
        (chain, key): (PathBuf, PathBuf),
        authority: &Authority,
    ) -> Self {
        let [chain, key] = [chain, key].map(|path| fs::read(path).expect("the file is there"));
        let chain = Vec::from([CertificateDer::from_pem_slice(&chain).expect("a certificate")]);
        let key = PrivateKeyDer::from_pem_slice(&key).expect("a key");
        let config = builder(versions, authority).with_client_auth_cert(chain, key);
        Self::made(config.expect("the certificate is the key's"))
    }

    /// One that would rather have the suites that others like least.
    pub(crate) fn preferring_last(authority: &Authority) -> Self {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.reverse();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS")
            .with_root_certificates(roots(authority));
        Self::made(config.with_no_client_auth())
    }

    /// One that can read signatures of this kind alone.
    pub(crate) fn reading(scheme: SignatureScheme, authority: &Authority) -> Self {
        let mut provider = aws_lc_rs::default_provider();
        let readable = &mut provider.signature_verification_algorithms;
        let place = readable.mapping.iter().position(|(known, _)| *known == scheme);
        let place = place.expect("the provider knows it");
        readable.mapping = &readable.mapping[place..=place];
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS")
            .with_root_certificates(roots(authority));
        Self::made(config.with_no_client_auth())
    }

    fn made(mut config: ClientConfig) -> Self {
        config.alpn_protocols = Vec::from([b"http/1.1".to_vec()]);
        Self(Arc::new(config))
    }

    /// The same, with other protocols in its ALPN. It knows the same sessions.
    pub(crate) fn offering(&self, protocols: &[&str]) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }

    /// Makes a connection and shakes hands. With TLS 1.3 that the server is content with a
    /// certificate shows only when something comes from it.
    pub(crate) async fn shake(
        &self,
        address: SocketAddr,
        host: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address).await?;
        let host = ServerName::try_from(host.to_owned()).expect("a host's name");
        let shaken = TlsConnector::from(Arc::clone(&self.0)).connect(host, stream);
        timeout(PATIENCE, shaken).await.expect("an answer in time")
    }

    /// Connects, and is ready to ask.
    pub(crate) async fn reach(&self, address: SocketAddr) -> Client {
        let stream = self.shake(address, HOST).await.expect("both sides agree");
        Client::over(stream, address).await
    }

    /// Connects, and waits for the alert by which the server turns it away.
    pub(crate) async fn is_turned_away(&self, address: SocketAddr) {
        let error = match self.shake(address, HOST).await {
            Ok(mut stream) => {
                let read = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
                read.expect("the connection ends in time").expect_err("the server says why")
            }
            Err(error) => error,
        };
        let said = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        assert!(matches!(said, Some(rustls::Error::AlertReceived(_))), "{error:?}");
    }
}

fn builder(
    versions: &[&'static SupportedProtocolVersion],
    authority: &Authority,
) -> ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("the provider knows TLS")
        .with_root_certificates(roots(authority))
}

fn roots(authority: &Authority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).expect("an authority is one");
    roots
}

/// Far shorter than anybody is patient: for those who are to be given up.
pub(crate) const SHORT: Duration = Duration::from_millis(200);
