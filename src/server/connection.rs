//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::HeaderValue;
use http::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::access::Peer;
use crate::server::Config;
use crate::server::drain::Drain;
use crate::server::reply::{Reply, Service};
use crate::wire::Response;

/// What was agreed on before the first byte of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, by ALPN.
    Http1,
    /// HTTP/2, by ALPN.
    Http2,
    /// Nothing: the first bytes tell.
    Unsaid,
}

/// Serves HTTP until the peer leaves, a deadline passes or the drain ends it.
pub(super) async fn serve(
    (stream, _, peer): (impl AsyncRead + AsyncWrite + Unpin + Send, Protocol, Peer),
    service: Arc<impl Service>,
    config: Config,
    drain: Drain,
) {
    let answer =
        service_fn(|request| Parting { reply: service.call(request, &peer), drain: &drain });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.deadlines.header)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);

    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drain.parting() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = drain.insisting() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A reply that says, from the drain on, that the connection ends with it.
struct Parting<'d> {
    reply: Reply,
    drain: &'d Drain,
}

impl Future for Parting<'_> {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = Pin::new(&mut self.reply).poll(context);
        reply.map_ok(|mut response| {
            if self.drain.is_stopping() {
                response.headers_mut().insert(CONNECTION, CLOSE);
            }
            response
        })
    }
}

const CLOSE: HeaderValue = HeaderValue::from_static("close");
