//! One place to ask from: a connection of its own over HTTP/1.1, a stream of a shared one over HTTP/2.

use std::error::Error;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::rt::{Executor, Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::load::target::Target;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, one request at a time per connection.
    Http1,
    /// HTTP/2: by ALPN over TLS, without a word before it in clear text.
    Http2,
}

impl Protocol {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }

    /// Its name in a TLS handshake (RFC 7301, RFC 9113 §3.2).
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

/// Why a request has no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The connection broke off before the answer was whole.
    Broken,
    /// No connection could be made.
    Connect,
    /// What came was no answer.
    Malformed,
    /// The answer took longer than `--timeout`.
    Timeout,
    /// It was due, and no connection was free to send it before the time was over.
    Unsent,
}

impl Kind {
    /// Its name in results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Connect => "connect",
            Self::Malformed => "malformed",
            Self::Timeout => "timeout",
            Self::Unsent => "unsent",
        }
    }
}

/// What is kept of a whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body_bytes: u64,
    pub(crate) tag: Option<HeaderValue>,
}

/// A request without a whole answer.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) kind: Kind,
    pub(crate) cause: Box<dyn Error + Send + Sync>,
}

impl Failed {
    fn connecting(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: Kind::Connect, cause: cause.into() }
    }

    fn asking(error: hyper::Error) -> Self {
        let kind = if error.is_parse() { Kind::Malformed } else { Kind::Broken };
        Self { kind, cause: error.into() }
    }

    fn late(limit: Duration) -> Self {
        let cause = format!("no answer within {limit:?}");
        Self { kind: Kind::Timeout, cause: cause.into() }
    }
}

/// Makes connections to one target. Their tasks run on the runtime that makes them.
pub(crate) struct Dialer {
    pub(crate) target: Arc<Target>,
    pub(crate) protocol: Protocol,
    /// Where the target is asked over TLS: with the ALPN of the protocol.
    pub(crate) tls: Option<TlsConnector>,
    /// How long a whole answer may take once its request is sent, a new connection included.
    pub(crate) limit: Duration,
    pub(crate) tasks: TaskTracker,
}

type Sender1 = http1::SendRequest<Empty<Bytes>>;
type Sender2 = http2::SendRequest<Empty<Bytes>>;

impl Dialer {
    async fn connect1(&self) -> Result<Sender1, Failed> {
        let stream = self.tcp().await?;
        match &self.tls {
            Some(tls) => self.greet1(self.secure(tls, stream).await?).await,
            None => self.greet1(TokioIo::new(stream)).await,
        }
    }

    async fn connect2(&self) -> Result<Sender2, Failed> {
        let stream = self.tcp().await?;
        match &self.tls {
            Some(tls) => self.greet2(self.secure(tls, stream).await?).await,
            None => self.greet2(TokioIo::new(stream)).await,
        }
    }

    async fn tcp(&self) -> Result<TcpStream, Failed> {
        let stream = TcpStream::connect(self.target.addresses.as_slice()).await;
        let stream = stream.map_err(Failed::connecting)?;
        stream.set_nodelay(true).map_err(Failed::connecting)?;
        Ok(stream)
    }

    async fn secure(&self, tls: &TlsConnector, stream: TcpStream) -> Result<Secured, Failed> {
        let name = ServerName::try_from(self.target.host.clone()).map_err(Failed::connecting)?;
        let stream = tls.connect(name, stream).await.map_err(Failed::connecting)?;
        let agreed = stream.get_ref().1.alpn_protocol();
        // A server without ALPN speaks HTTP/1.1 (RFC 9113 §3.3 asks for ALPN).
        if agreed != Some(self.protocol.alpn()) && self.protocol == Protocol::Http2 {
            return Err(Failed::connecting("the server does not speak HTTP/2"));
        }
        Ok(TokioIo::new(stream))
    }

    async fn greet1<S>(&self, stream: S) -> Result<Sender1, Failed>
    where
        S: Read + Write + Send + Unpin + 'static,
    {
        let made = http1::Builder::new().writev(false).handshake(stream).await;
        let (sender, connection) = made.map_err(Failed::connecting)?;
        self.tasks.spawn(connection);
        Ok(sender)
    }

    async fn greet2<S>(&self, stream: S) -> Result<Sender2, Failed>
    where
        S: Read + Write + Send + Unpin + 'static,
    {
        let executor = Tasks(self.tasks.clone());
        let made = http2::Builder::new(executor).handshake(stream).await;
        let (sender, connection) = made.map_err(Failed::connecting)?;
        self.tasks.spawn(connection);
        Ok(sender)
    }
}

type Secured = TokioIo<tokio_rustls::client::TlsStream<TcpStream>>;

/// Spawns what HTTP/2 wants to run beside the connection.
#[derive(Clone)]
struct Tasks(TaskTracker);

impl<F> Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

/// A place to ask from: one request at a time. What is closed is opened again for the next request.
pub(crate) struct Slot {
    dialer: Arc<Dialer>,
    lane: Lane,
}

enum Lane {
    Own(Option<Sender1>),
    Shared(Shared),
}

/// The connection that several slots share. Who finds it closed puts an empty cell there; who comes
/// first connects, and the others wait for that.
type Shared = Arc<Mutex<Arc<OnceCell<Sender2>>>>;

impl Slot {
    /// Slots that share `connections`, each with so many streams over HTTP/2.
    pub(crate) fn several(dialer: &Arc<Dialer>, connections: usize, streams: usize) -> Vec<Self> {
        let slot = |lane| Self { dialer: Arc::clone(dialer), lane };
        if dialer.protocol == Protocol::Http1 {
            return (0..connections).map(|_| slot(Lane::Own(None))).collect();
        }
        let shared = (0..connections).map(|_| Shared::default());
        let lanes = shared.flat_map(|one| std::iter::repeat_n(one, streams));
        lanes.map(|shared| slot(Lane::Shared(shared))).collect()
    }

    /// Whom it asks.
    pub(crate) fn target(&self) -> &Target {
        &self.dialer.target
    }

    /// Connects, if it is not connected.
    pub(crate) async fn open(&mut self) -> Result<(), Failed> {
        let limit = self.dialer.limit;
        timeout(limit, self.ready()).await.unwrap_or_else(|_| Err(Failed::late(limit)))
    }

    /// Asks, and reads the whole answer.
    pub(crate) async fn ask(&mut self, request: Request<Empty<Bytes>>) -> Result<Answer, Failed> {
        let limit = self.dialer.limit;
        let asked = timeout(limit, async { read(self.send(request).await?).await });
        asked.await.unwrap_or_else(|_| Err(Failed::late(limit)))
    }

    /// Waits a little after a connection was refused: nobody is helped by a flood of attempts.
    #[expect(clippy::disallowed_methods, reason = "the pause is time itself")]
    pub(crate) async fn pause(&self) {
        tokio::time::sleep(PAUSE).await;
    }

    async fn ready(&mut self) -> Result<(), Failed> {
        match &mut self.lane {
            Lane::Own(own) => {
                if let Some(sender) = own
                    && sender.ready().await.is_ok()
                {
                    return Ok(());
                }
                *own = Some(self.dialer.connect1().await?);
                Ok(())
            }
            Lane::Shared(shared) => {
                let cell = {
                    let mut newest = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    if newest.get().is_some_and(http2::SendRequest::is_closed) {
                        *newest = Arc::default();
                    }
                    Arc::clone(&newest)
                };
                cell.get_or_try_init(|| self.dialer.connect2()).await.map(|_| ())
            }
        }
    }

    /// A server may close a connection at the moment in which it is asked. What it has not taken is
    /// asked once more on a new connection.
    async fn send(&mut self, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, Failed> {
        self.ready().await?;
        match self.try_send(request).await {
            Ok(response) => Ok(response),
            Err(mut error) => match error.take_message() {
                None => Err(Failed::asking(error.into_error())),
                Some(request) => {
                    if let Lane::Own(own) = &mut self.lane {
                        *own = None;
                    }
                    self.ready().await?;
                    let again = self.try_send(request).await;
                    again.map_err(|error| Failed::asking(error.into_error()))
                }
            },
        }
    }

    async fn try_send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Empty<Bytes>>>> {
        match &mut self.lane {
            Lane::Own(Some(sender)) => sender.try_send_request(request).await,
            Lane::Own(None) => pending().await,
            Lane::Shared(shared) => {
                let cell = Arc::clone(&shared.lock().unwrap_or_else(PoisonError::into_inner));
                match cell.get() {
                    Some(sender) => sender.clone().try_send_request(request).await,
                    None => pending().await,
                }
            }
        }
    }
}

async fn read(mut response: Response<Incoming>) -> Result<Answer, Failed> {
    let tag = response.headers_mut().remove(ETAG);
    let status = response.status();
    let mut body = response.into_body();
    let mut body_bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Failed::asking)?;
        body_bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(Answer { status, body_bytes, tag })
}

/// As long as a retry of a patient client.
const PAUSE: Duration = Duration::from_millis(100);
