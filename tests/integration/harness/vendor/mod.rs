//! A platform that hands prompts out: an HTTP/1.1 server on a socket of its own, which answers as
//! the test says, and fails on demand.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::harness::process::PATIENCE;
use crate::harness::vendor::flow::Flow;

mod flow;

/// A platform under the control of a test. It listens until it is killed or dropped.
pub(crate) struct Vendor {
    address: SocketAddr,
    state: Arc<State>,
    running: Mutex<Option<Running>>,
}

/// One question, as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

/// How a platform fails. Every question is read and logged before.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Reads the question and never answers.
    BlackHole,
    /// Answers with this status and this `Retry-After`.
    Busy(u16, &'static str),
    /// Answers 200 at once, and goes on with one byte per second for ever.
    Drip,
    /// Answers 200 with `application/json` that is none.
    Garbage,
    /// Answers 200 with 200 MB.
    Huge,
    /// Answers 302 to this place.
    Redirect(String),
    /// Resets the connection (TCP RST).
    Reset,
    /// Answers with this status and no body.
    Status(u16),
    /// Announces more than it sends, and closes the connection.
    Truncated,
    /// Answers 200 with `text/html`.
    WrongType,
}

impl Vendor {
    /// Listens on a free port of 127.0.0.1 and answers by `answer`.
    pub(crate) async fn start(answer: impl Fn(&Parts) -> Said + Send + Sync + 'static) -> Self {
        Self::listening(None, Box::new(answer))
    }

    /// The same behind TLS.
    pub(crate) async fn start_secured(
        tls: ServerConfig,
        answer: impl Fn(&Parts) -> Said + Send + Sync + 'static,
    ) -> Self {
        Self::listening(Some(TlsAcceptor::from(Arc::new(tls))), Box::new(answer))
    }

    fn listening(tls: Option<TlsAcceptor>, answer: Answer) -> Self {
        let state = Arc::new(State {
            tls,
            answer,
            fault: Mutex::new(None),
            asked: watch::Sender::new(Vec::new()),
            is_holding: watch::Sender::new(false),
            connections: AtomicUsize::new(0),
        });
        let listener = listen("127.0.0.1:0".parse().expect("an address"));
        let address = listener.local_addr().expect("the listener has an address");
        let running = Running::start(listener, Arc::clone(&state));
        Self { address, state, running: Mutex::new(Some(running)) }
    }

    /// `http://127.0.0.1:PORT`, or the same with `https` behind TLS.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.state.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Where it listens, killed or not.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every question so far, in the order of their arrival.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.borrow().clone()
    }

    /// How many questions arrived so far.
    pub(crate) fn asked_count(&self) -> usize {
        self.state.asked.borrow().len()
    }

    /// How many connections were accepted so far.
    pub(crate) fn connection_count(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Completes once `count` questions have arrived in all.
    pub(crate) async fn has_been_asked(&self, count: usize) {
        let mut asked = self.state.asked.subscribe();
        let arrived = timeout(PATIENCE, asked.wait_for(|asked| asked.len() >= count)).await;
        arrived.expect("the questions arrive in time").expect("the vendor is there");
    }

    /// Fails every question from now on.
    pub(crate) fn fail_with(&self, fault: Fault) {
        *self.state.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    /// Answers again.
    pub(crate) fn recover(&self) {
        *self.state.fault.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Reads and logs what is asked from now on, but keeps the answers back.
    pub(crate) fn hold(&self) {
        self.state.is_holding.send_replace(true);
    }

    /// Lets every answer go that was kept back.
    pub(crate) fn release(&self) {
        self.state.is_holding.send_replace(false);
    }

    /// Stops listening and closes every connection. Does nothing if that was done before.
    pub(crate) async fn kill(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut running) = running {
            running.stop.cancel();
            while running.tasks.join_next().await.is_some() {}
        }
    }

    /// Listens on the same port again, after [`Vendor::kill`].
    pub(crate) async fn revive(&self) {
        self.kill().await;
        let running = Running::start(listen(self.address), Arc::clone(&self.state));
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    }
}

impl Said {
    /// A status without a body.
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// 200 with JSON.
    #[expect(clippy::needless_pass_by_value, reason = "it is called with `json!`")]
    pub(crate) fn json(value: Value) -> Self {
        let body = value.to_string().into();
        Self { body, ..Self::status(200) }.with("content-type", "application/json")
    }

    /// With one header more.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

type Answer = Box<dyn Fn(&Parts) -> Said + Send + Sync>;

/// What the listener and its connections share.
struct State {
    tls: Option<TlsAcceptor>,
    answer: Answer,
    fault: Mutex<Option<Fault>>,
    asked: watch::Sender<Vec<Asked>>,
    is_holding: watch::Sender<bool>,
    connections: AtomicUsize,
}

impl State {
    /// One question: logged, then answered or failed, and perhaps kept back.
    async fn tell(&self, request: Request<Incoming>, broken: &Notify) -> Response<Flow> {
        let (parts, _) = request.into_parts();
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let asked = Asked {
            method: parts.method.clone(),
            target: parts.uri.to_string(),
            headers: parts.headers.clone(),
        };
        self.asked.send_modify(|all| all.push(asked));
        // Only an answer is kept back; a fault is none.
        match fault {
            Some(fault) => fail(fault, broken).await,
            None => {
                let said = (self.answer)(&parts);
                let mut is_holding = self.is_holding.subscribe();
                is_holding.wait_for(|is_holding| !is_holding).await.expect("the vendor is there");
                let body = Flow::whole(said.body.clone());
                response(said, body)
            }
        }
    }
}

/// A listener and its connections.
struct Running {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    fn start(listener: TcpListener, state: Arc<State>) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, state, stop.clone()));
        Self { stop, tasks }
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    let accepting = async {
        while let Ok((stream, _)) = listener.accept().await {
            state.connections.fetch_add(1, Ordering::SeqCst);
            connections.spawn(serve(stream, Arc::clone(&state)));
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    connections.shutdown().await;
}

/// Serves one connection to its end, which a [`Fault::Reset`] brings about.
async fn serve(stream: TcpStream, state: Arc<State>) {
    let Some(tls) = &state.tls else {
        if let Some(stream) = converse(TokioIo::new(stream), &state).await {
            stream.into_inner().set_zero_linger().expect("a socket can be told to reset");
        }
        return;
    };
    // A client that does not trust us leaves.
    if let Ok(stream) = tls.accept(stream).await {
        converse(TokioIo::new(stream), &state).await;
    }
}

/// Answers what comes on a connection. Returns it if it is to be reset.
async fn converse<I: Read + Write + Unpin>(io: I, state: &State) -> Option<I> {
    let broken = &Notify::new();
    let service =
        service_fn(
            move |request| async move { Ok::<_, Infallible>(state.tell(request, broken).await) },
        );
    let mut connection = http1::Builder::new().serve_connection(io, service);
    tokio::select! {
        // A client that leaves, or that a fault has confused, is the client's business.
        _ = &mut connection => None,
        () = broken.notified() => Some(connection.into_parts().io),
    }
}

async fn fail(fault: Fault, broken: &Notify) -> Response<Flow> {
    let json = || Said::status(200).with("content-type", "application/json");
    let said = match fault {
        Fault::BlackHole => std::future::pending().await,
        Fault::Busy(status, retry_after) => Said::status(status).with("retry-after", retry_after),
        Fault::Drip => return response(json(), Flow::drip()),
        Fault::Garbage => Said { body: "{ this is no JSON".into(), ..json() },
        Fault::Huge => return response(json(), Flow::huge()),
        Fault::Redirect(place) => Said::status(302).with("location", place),
        Fault::Reset => {
            broken.notify_one();
            std::future::pending().await
        }
        Fault::Status(status) => Said::status(status),
        Fault::Truncated => return response(json().with("content-length", "1000"), Flow::cut()),
        Fault::WrongType => Said {
            body: "<p>Not what you asked for.</p>".into(),
            ..Said::status(200).with("content-type", "text/html")
        },
    };
    let body = Flow::whole(said.body.clone());
    response(said, body)
}

fn response(said: Said, body: Flow) -> Response<Flow> {
    let mut response = Response::builder().status(said.status);
    for (name, value) in said.headers {
        response = response.header(name, value);
    }
    response.body(body).expect("the vendor says what HTTP can say")
}

/// Listens, also on a port whose last connections have only just ended.
fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    socket.set_reuseaddr(true).expect("a socket has options");
    socket.bind(address).expect("the port is free");
    socket.listen(1024).expect("a bound socket listens")
}
