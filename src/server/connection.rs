//! One connection, from its first byte to its last.

use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::access::Peer;
use crate::server::Config;
use crate::server::drain::Drain;
use crate::server::reply::Service;

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
    let answer = service_fn(|request| service.call(request, &peer));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.deadlines.header)
        .serve_connection(TokioIo::new(stream), answer);
    tokio::pin!(connection);

    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drain.stopping() => {
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
