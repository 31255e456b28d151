//! Asking other servers: one client with pooled connections.
//!
//! Whatever answers is not trusted:
//!
//! 1. Three deadlines end every question, whatever the server does or leaves undone
//!    (`a_black_hole_and_a_drip_are_given_up`).
//! 2. No more than a limit of a body is held (`a_body_without_end_is_cut_at_the_limit`).
//! 3. No redirect is followed, and nothing is decompressed (`a_redirect_is_not_followed`).
//! 4. Nothing is sent in the clear to another machine, unless an operator allows it
//!    (`plain_http_is_for_this_machine_alone`).
//!
//! No error holds a URL, a header or a part of a body.

pub mod config;
mod route;
pub(crate) mod tls;

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use http::StatusCode;
use http::Uri;
use http::header::{CONTENT_ENCODING, USER_AGENT};
use http::uri::Scheme;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

pub use config::{Config, Unusable};

use crate::wire::client::route::Router;
use crate::wire::client::route::is_loopback;

/// Asks other servers. A clone shares the connections.
#[derive(Clone, Debug)]
pub struct Client {
    pool: legacy::Client<HttpsConnector<Router>, Empty<Bytes>>,
    connect_timeout: Duration,
    first_byte_timeout: Duration,
    total_timeout: Duration,
    max_body_bytes: u64,
    allow_http: bool,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Received {
    /// Never a redirect.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// All of its body, as it was sent.
    pub body: Bytes,
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A connection was made, but gave no whole answer in HTTP.
    #[error("the connection broke off before the answer was whole")]
    BrokenOff {
        /// What happened.
        source: BoxError,
    },

    /// The body is compressed, which was not asked for.
    #[error("the answer has a content coding that was not asked for")]
    Encoded,

    /// The question would travel in the clear; it was not sent.
    #[error("http:// to another machine is not allowed")]
    Insecure,

    /// The answer is somewhere else; nobody was asked there.
    #[error("the answer is a redirect, with status {status}")]
    Redirected {
        /// What it answered with.
        status: u16,
    },

    /// It took too long.
    #[error("no answer within {waited:?}")]
    TimedOut {
        /// The deadline that passed.
        waited: Duration,
    },

    /// The body is longer than is read.
    #[error("the body is longer than {limit_bytes} bytes")]
    TooLarge {
        /// The longest that is read.
        limit_bytes: u64,
    },

    /// No connection could be made.
    #[error("no connection could be made")]
    Unreachable {
        /// What happened.
        source: BoxError,
    },
}

/// The cause beneath an [`Error`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Client {
    /// A client with these settings; the files they name are read now, and never again.
    ///
    /// # Errors
    ///
    /// The error names the setting that cannot be used, and its file.
    pub fn new(config: &Config) -> Result<Self, Unusable> {
        let router = Router::new(config.usable_proxy()?, config.connect_timeout);
        let connector = HttpsConnector::from((router, tls::of(config)?));
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        Ok(Self {
            pool,
            connect_timeout: config.connect_timeout,
            first_byte_timeout: config.first_byte_timeout,
            total_timeout: config.total_timeout,
            max_body_bytes: config.max_body_bytes,
            allow_http: config.allow_http,
        })
    }

    /// Whether a question to this place may be sent: `https://`, or `http://` on this machine or
    /// where it is allowed.
    pub fn permits(&self, uri: &Uri) -> bool {
        uri.scheme() != Some(&Scheme::HTTP) || self.allow_http || is_loopback(uri)
    }

    /// Asks `GET uri` with these headers, and waits for the whole answer.
    ///
    /// # Errors
    ///
    /// See [`Error`]; a status is none, but for a redirect.
    pub async fn get(&self, uri: Uri, mut headers: HeaderMap) -> Result<Received, Error> {
        if !self.permits(&uri) {
            return Err(Error::Insecure);
        }
        headers.insert(USER_AGENT, AGENT);
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        within(self.total_timeout, self.exchange(request)).await
    }

    async fn exchange(&self, request: Request<Empty<Bytes>>) -> Result<Received, Error> {
        let head = async { self.pool.request(request).await.map_err(|error| self.failed(error)) };
        let response = within(self.first_byte_timeout, head).await?;
        let (head, body) = response.into_parts();
        let status = head.status;
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            return Err(Error::Redirected { status: status.as_u16() });
        }
        let mut codings = head.headers.get_all(CONTENT_ENCODING).iter();
        if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Error::Encoded);
        }
        Ok(Received { status, headers: head.headers, body: self.read(body).await? })
    }

    async fn read(&self, body: Incoming) -> Result<Bytes, Error> {
        let limit_bytes = self.max_body_bytes;
        if body.size_hint().lower() > limit_bytes {
            return Err(Error::TooLarge { limit_bytes });
        }
        // A limit beyond the address space is no limit.
        let limit = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
        match Limited::new(body, limit).collect().await {
            Ok(whole) => Ok(whole.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLarge { limit_bytes }),
            Err(source) => Err(Error::BrokenOff { source }),
        }
    }

    /// Why there is no head of an answer.
    fn failed(&self, error: legacy::Error) -> Error {
        if !error.is_connect() {
            return Error::BrokenOff { source: error.into() };
        }
        let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
        let is_late = |cause: &io::Error| cause.kind() == io::ErrorKind::TimedOut;
        if causes.any(|cause| cause.downcast_ref().is_some_and(is_late)) {
            return Error::TimedOut { waited: self.connect_timeout };
        }
        Error::Unreachable { source: error.into() }
    }
}

async fn within<T>(
    deadline: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(deadline, answer).await.unwrap_or(Err(Error::TimedOut { waited: deadline }))
}

/// Who asks.
pub(crate) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("prompt-edge/", env!("CARGO_PKG_VERSION")));

/// Below the minute after which load balancers close a quiet connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// As many as are used at once in a busy moment; more would wait for nothing.
const IDLE_CONNECTIONS: usize = 32;
