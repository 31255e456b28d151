//! A connection's server with nothing behind it: deadlines shorter than the settings allow, and a
//! service that tells what reached it.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use prompt_edge::access::Peer;
use prompt_edge::model::Refusal;
use prompt_edge::server::connection::{self, Protocol, Terms};
use prompt_edge::server::{Config, Deadlines, Drain, Reply, Service};
use prompt_edge::wire::Response;
use prompt_edge::wire::body::{self, Limits};
use tokio::runtime::Runtime;

/// How long an answer to `/big` is, in bytes.
pub(crate) const BIG: usize = 8 << 20;

/// Serves every connection until it is dropped.
pub(crate) struct Door {
    runtime: Option<Runtime>,
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// Ends it.
    pub(crate) drain: Drain,
    told: Arc<Told>,
}

impl Door {
    /// Opens one on a free port.
    pub(crate) fn open(config: Config) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be built");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("a socket can be told not to block");
        let (drain, told) = (Drain::default(), Arc::new(Told::of(&config)));
        let (serving, service) = (drain.clone(), Arc::clone(&told));
        let config = Arc::new(config);
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
            loop {
                let (stream, peer) = listener.accept().await.expect("it listens");
                let (service, config) = (Arc::clone(&service), Arc::clone(&config));
                let terms = Terms { service, config, drain: serving.clone(), place: () };
                let peer = (Protocol::Unsaid, Peer::at(peer.ip()));
                serving.tasks().spawn(connection::serve(stream, peer, terms));
            }
        });
        Self { runtime: Some(runtime), address, drain, told }
    }

    /// What reached the service, in order: method and target.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.told.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Settings with every deadline at `time`.
pub(crate) fn within(time: Duration) -> Config {
    let deadlines = Deadlines {
        handshake: time,
        first_byte: time,
        header: time,
        body: time,
        write: time,
        min_rate: 1 << 10,
        idle: time,
        ping: time,
        pong: time,
    };
    Config { deadlines, ..Config::default() }
}

/// Tells what was asked.
#[derive(Debug)]
struct Told {
    asked: Mutex<Vec<String>>,
    limits: Limits,
    big: Bytes,
}

impl Told {
    fn of(config: &Config) -> Self {
        let (time, min_rate) = (config.deadlines.body, config.deadlines.min_rate);
        let limits = Limits { bytes: config.body_limit_bytes, time, min_rate };
        Self { asked: Mutex::default(), limits, big: vec![b'x'; BIG].into() }
    }
}

impl Service for Told {
    fn call(&self, request: Request<Incoming>, _: &Peer) -> Reply {
        let asked = format!("{} {}", request.method(), request.uri().path());
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        let answer = match request.uri().path() {
            "/big" => self.big.clone(),
            _ => Bytes::from_static(b"hello\n"),
        };
        if *request.method() == Method::GET || *request.method() == Method::HEAD {
            return Reply::now(Response::new(Full::new(answer)));
        }
        let limits = self.limits;
        Reply::Later(Box::pin(async move {
            let status = match body::read(request.into_body(), limits).await {
                Ok(_) => StatusCode::OK,
                Err(Refusal::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
                Err(Refusal::TooSlow) => StatusCode::REQUEST_TIMEOUT,
                Err(_) => StatusCode::BAD_REQUEST,
            };
            let mut response = Response::new(Full::new(answer));
            *response.status_mut() = status;
            response
        }))
    }

    fn refuse(&self, _: &Request<Incoming>, refused: Response) -> Response {
        refused
    }
}
