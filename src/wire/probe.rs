//! One small request to an edge's admin listener, for the commands that ask a running server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::Request;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::wire::representation::JSON;

/// Asks `GET path` of a server and returns the status.
///
/// # Errors
///
/// If no whole answer came within `deadline`, or the server could not be reached.
pub async fn status(to: SocketAddr, path: &str, deadline: Duration) -> io::Result<StatusCode> {
    Ok(ask(to, (Method::GET, path), None, deadline).await?.0)
}

/// Asks for a path and query of a server, with a body of JSON if there is one, and returns the
/// status and the whole body.
///
/// # Errors
///
/// If no whole answer came within `deadline`, or the server could not be reached.
pub async fn ask(
    to: SocketAddr,
    (method, target): (Method, &str),
    json: Option<String>,
    deadline: Duration,
) -> io::Result<(StatusCode, Bytes)> {
    let mut request = Request::builder().method(method).uri(target).header(HOST, to.to_string());
    if json.is_some() {
        request = request.header(CONTENT_TYPE, JSON);
    }
    let body = Full::<Bytes>::from(json.unwrap_or_default());
    let request = request.body(body).map_err(other)?;
    let ask = async {
        let stream = TcpStream::connect(to).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(other)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(other)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
            Ok((status, body.map_err(io::Error::other)?.to_bytes()))
        };
        tokio::select! {
            answered = exchange => answered,
            ended = connection => Err(ended.err().map_or_else(closed, other)),
        }
    };
    timeout(deadline, ask).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {deadline:?}")))
    })
}

/// The longest answer that is read: far more than any page has.
const MAX_BYTES: usize = 64 << 20;

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")
}
