//! TLS on a listener.
//!
//! TLS 1.2 and 1.3 with the suites that both RFC 8446 and RFC 9325 recommend, HTTP/2 and HTTP/1.1 by
//! ALPN, resumption by tickets alone: no session is kept in memory, and none sends early data.
//!
//! `material` is what the files hold, `names` which certificate a caller is shown, `identity` whom its
//! own names.
//!
//! # Invariants
//!
//! 1. Files are taken over whole or not at all: while anything is wrong with one, the listener goes
//!    on as before (`a_wrong_file_keeps_the_certificate_that_was_there`).
//! 2. Nobody resumes past a change of who vouches for callers, nor with a certificate that has ended
//!    (`nobody_resumes_past_a_change_of_the_authority`,
//!    `a_resumed_session_ends_with_its_certificate`).
//! 3. Each listener has tickets and authorities of its own: what opens one opens no other
//!    (`what_opens_one_listener_opens_no_other`).

mod identity;
mod material;
mod names;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;
use rustls::HandshakeKind;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::UnixTime;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::access::Identity;
use crate::clock::Clock;
use crate::model::Timestamp;
use crate::server::connection::Protocol;
use crate::server::drain::Drain;
use crate::telemetry::Metrics;
use crate::telemetry::trace::Chain;

pub use material::Error;

use material::{Look, Material};

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

/// The TLS of one listener.
pub struct Tls {
    listener: String,
    config: Config,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    handshakes: [Counter; Outcome::ALL.len()],
    current: ArcSwap<Current>,
    /// Guards reading the files: the later reader has the later files.
    seen: Mutex<Seen>,
    /// When it was last looked for certificates that end soon, in ms since the epoch.
    reminded_at: AtomicI64,
}

/// What new handshakes use.
struct Current {
    server: Arc<ServerConfig>,
    material: Material,
}

/// How the files looked.
struct Seen {
    /// When they were read.
    read: Look,
    /// When they were looked at.
    last: Look,
}

impl Tls {
    /// TLS for a listener of this name, with these files.
    ///
    /// # Errors
    ///
    /// If a file cannot be used: the error names it, and says what would be right. That a
    /// certificate has ended is none.
    pub fn open(
        listener: &str,
        config: Config,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let look = Look::at(&config);
        let current = Current::read(&config, &clock, None)?;
        let handshakes =
            Outcome::ALL.map(|outcome| metrics.tls_handshakes(listener, outcome.as_str()));
        let tls = Self {
            listener: listener.to_owned(),
            config,
            clock,
            metrics,
            handshakes,
            current: ArcSwap::from_pointee(current),
            seen: Mutex::new(Seen { read: look.clone(), last: look }),
            reminded_at: AtomicI64::new(0),
        };
        tls.show_ends(None);
        tls.remind();
        Ok(tls)
    }

    /// Makes TLS of a connection, within `deadline`. Returns what is to be spoken on it, and whom
    /// the caller's certificate names.
    ///
    /// A caller that says nothing of protocols gets HTTP/1.1: over TLS nobody may speak HTTP/2
    /// without having said so (RFC 9113 §3.3).
    ///
    /// # Errors
    ///
    /// If the caller speaks no TLS that is spoken here, has no certificate that it needs, leaves or
    /// is too slow. It was sent an alert, if it can understand one; what is left to do is nothing.
    pub async fn accept<S>(
        &self,
        stream: S,
        deadline: Duration,
    ) -> io::Result<(TlsStream<S>, Protocol, Option<Identity>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current.load().server));
        let shaken = timeout(deadline, acceptor.accept(stream)).await;
        let accepted =
            shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).and_then(|stream| {
                let session = stream.get_ref().1;
                let identity = self.identity(session)?;
                let protocol = match session.alpn_protocol() {
                    Some(HTTP2) => Protocol::Http2,
                    Some(_) | None => Protocol::Http1,
                };
                Ok((stream, protocol, identity))
            });
        let outcome = match &accepted {
            Ok((stream, ..)) => Outcome::of(stream.get_ref().1),
            Err(error) => {
                let outcome = Outcome::of_error(error);
                let (listener, why) = (&*self.listener, outcome.as_str());
                tracing::debug!(listener, why, %error, "a handshake failed");
                outcome
            }
        };
        if let Some(counter) = self.handshakes.get(outcome as usize) {
            counter.inc();
        }
        accepted
    }

    /// Whom the certificate of a caller names, if it has one that does.
    fn identity(&self, session: &ServerConnection) -> io::Result<Option<Identity>> {
        let Some([own, ..]) = session.peer_certificates() else { return Ok(None) };
        identity::of(own, self.clock.now()).map_err(|identity::Ended| {
            let expired = rustls::CertificateError::Expired;
            io::Error::new(io::ErrorKind::InvalidData, rustls::Error::from(expired))
        })
    }

    /// Reads all files again and takes them over for new handshakes, whole. Connections go on.
    /// Returns whether anything was different. Blocks on the files.
    ///
    /// # Errors
    ///
    /// If anything is wrong with them: then everything stays as it was.
    pub fn reload(&self) -> Result<bool, Error> {
        self.read_anew(&mut self.seen())
    }

    /// [`Tls::reload`], with a line in the log that says what came of it. Returns whether nothing is
    /// wrong.
    pub async fn renew(self: &Arc<Self>) -> bool {
        let tls = Arc::clone(self);
        let renewed = spawn_blocking(move || {
            let reloaded = tls.reload();
            tls.say(&reloaded);
            reloaded.is_ok()
        });
        renewed.await.unwrap_or(false)
    }

    /// Looks at the files, and reloads if they are others than were read last and have come to rest:
    /// the same at two looks. `None` if there was nothing to do. Blocks on the files.
    pub fn look(&self) -> Option<Result<bool, Error>> {
        let mut seen = self.seen();
        let look = Look::at(&self.config);
        let is_at_rest = look == seen.last;
        let is_due = is_at_rest && look != seen.read;
        seen.last = look;
        is_due.then(|| self.read_anew(&mut seen))
    }

    /// Looks at the files every few seconds and once a day for certificates that end soon, until the
    /// drain begins.
    pub async fn watch(self: Arc<Self>, drain: Drain) {
        while timeout(LOOK_EVERY, drain.stopping()).await.is_err() {
            let tls = Arc::clone(&self);
            match spawn_blocking(move || tls.look()).await {
                Ok(None) => {}
                Ok(Some(reloaded)) => self.say(&reloaded),
                Err(error) => tracing::error!(%error, "certificates were not looked at"),
            }
            let reminded_at = Timestamp::from_millis(self.reminded_at.load(Ordering::Relaxed));
            if self.clock.now().since(reminded_at) >= REMIND_EVERY {
                self.remind();
            }
        }
    }

    /// Warns of every certificate that ends within two weeks, or has ended. Returns what they are
    /// called.
    pub fn remind(&self) -> Vec<String> {
        let now = self.clock.now();
        self.reminded_at.store(now.as_millis(), Ordering::Relaxed);
        let current = self.current.load();
        let ending = current
            .material
            .certificates
            .iter()
            .filter(|certificate| certificate.expires_at.minus(WARN_BEFORE) <= now);
        let warned = ending.map(|certificate| {
            let (listener, certificate, at) =
                (&*self.listener, &certificate.label, certificate.expires_at);
            match at <= now {
                true => tracing::warn!(listener, certificate, %at, "a certificate has expired"),
                false => tracing::warn!(listener, certificate, %at, "a certificate expires soon"),
            }
            certificate.clone()
        });
        warned.collect()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_anew(&self, seen: &mut Seen) -> Result<bool, Error> {
        // Before reading: what is written meanwhile is noticed by the next look.
        seen.read = Look::at(&self.config);
        let before = self.current.load_full();
        let read = Current::read(&self.config, &self.clock, Some(&before));
        let reloaded = read.map(|next| {
            let is_other = next.material.digest != before.material.digest;
            if is_other {
                self.current.store(Arc::new(next));
                self.show_ends(Some(&before.material));
                self.remind();
            }
            is_other
        });
        let result = match reloaded {
            Ok(true) => "changed",
            Ok(false) => "unchanged",
            Err(_) => "failed",
        };
        self.metrics.tls_reloads(&self.listener, result).inc();
        reloaded
    }

    /// Says in the log what came of a reload.
    fn say(&self, reloaded: &Result<bool, Error>) {
        let listener = &*self.listener;
        match reloaded {
            Ok(true) => tracing::info!(listener, "certificates were reloaded"),
            Ok(false) => tracing::debug!(listener, "certificates are what they were"),
            Err(error) => {
                let error = Chain(error);
                tracing::error!(listener, %error, "certificates stay: new ones cannot be used");
            }
        }
    }

    /// Shows in the metrics when certificates end, and no longer those of before.
    fn show_ends(&self, before: Option<&Material>) {
        for old in before.into_iter().flat_map(|material| &material.certificates) {
            self.metrics.tls_certificate_is_gone(&self.listener, &old.label);
        }
        for certificate in &self.current.load().material.certificates {
            let (label, at) = (&certificate.label, certificate.expires_at);
            self.metrics.tls_certificate_expires(&self.listener, label, at);
        }
    }
}

impl Current {
    /// Reads the files, and goes on with the tickets of `before` if the same vouch for callers.
    #[expect(clippy::expect_used, reason = "the provider's own defaults fit the provider")]
    fn read(config: &Config, clock: &Arc<dyn Clock>, before: Option<&Self>) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let material = Material::read(config, &provider)?;
        let before = before.filter(|old| old.material.authorities == material.authorities);
        let ticketer: Arc<dyn ProducesTickets> = match before {
            Some(before) => Arc::clone(&before.server.ticketer),
            None => aws_lc_rs::Ticketer::new().map_err(|source| Error::Randomness { source })?,
        };
        let time = Arc::new(Time(Arc::clone(clock)));
        let builder = ServerConfig::builder_with_details(Arc::clone(&provider), time)
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs knows TLS 1.2 and 1.3");
        let builder = match material.roots(config)? {
            None => builder.with_no_client_auth(),
            Some(roots) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match config.is_client_optional {
                    true => verifier.allow_unauthenticated(),
                    false => verifier,
                };
                builder.with_client_cert_verifier(
                    verifier.build().expect("there is an authority, and no revocation list"),
                )
            }
        };
        let mut server = builder.with_cert_resolver(Arc::new(material.table()?));
        server.alpn_protocols = [HTTP2, HTTP1].map(Vec::from).into();
        // Ours of the suites counts, as scanners ask for. All have forward secrecy and authenticate.
        server.ignore_client_order = true;
        server.ticketer = ticketer;
        // Who cannot keep a ticket shakes hands anew: nothing is kept here for anybody.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { server: Arc::new(server), material })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({})", self.listener)
    }
}

/// How a handshake ends. The labels of `prompt_edge_tls_handshakes_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// What the caller sent is no TLS, or none that is spoken here.
    Failed,
    /// With a new session.
    Full,
    /// The caller left.
    Left,
    /// With a session of before.
    Resumed,
    /// The caller was too slow.
    TimedOut,
    /// The caller's certificate is missing, has ended, or nobody known vouches for it.
    Untrusted,
}

impl Outcome {
    const ALL: [Self; 6] =
        [Self::Failed, Self::Full, Self::Left, Self::Resumed, Self::TimedOut, Self::Untrusted];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Full => "full",
            Self::Left => "left",
            Self::Resumed => "resumed",
            Self::TimedOut => "timed_out",
            Self::Untrusted => "untrusted",
        }
    }

    fn of(session: &ServerConnection) -> Self {
        match session.handshake_kind() {
            Some(HandshakeKind::Resumed) => Self::Resumed,
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) | None => {
                Self::Full
            }
        }
    }

    fn of_error(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::TimedOut {
            return Self::TimedOut;
        }
        let said = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match said {
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                Self::Untrusted
            }
            Some(_) => Self::Failed,
            None => Self::Left,
        }
    }
}

/// The clock, as rustls asks it for the validity of callers' certificates.
struct Time(Arc<dyn Clock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let since_epoch = self.0.now().since(Timestamp::default());
        Some(UnixTime::since_unix_epoch(since_epoch))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time(…)")
    }
}

/// What is spoken, by the names of ALPN (RFC 7301): HTTP/2 rather than HTTP/1.1.
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// How often files are looked at. With two looks until they are at rest, a change is used within six
/// seconds.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// How long before its end a certificate is warned of.
const WARN_BEFORE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How often.
const REMIND_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
