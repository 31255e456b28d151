//! One small request to an edge's admin listener, for `health` and `ready`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::StatusCode;
use http::header::HOST;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Asks `GET path` of a server and returns the status. The body is not read.
///
/// # Errors
///
/// If no whole answer head came within `deadline`, or the server could not be reached.
pub async fn status(to: SocketAddr, path: &str, deadline: Duration) -> io::Result<StatusCode> {
    let ask = async {
        let stream = TcpStream::connect(to).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(other)?;
        let request = Request::get(path)
            .header(HOST, to.to_string())
            .body(Empty::<Bytes>::new())
            .map_err(other)?;
        let exchange = sender.send_request(request);
        tokio::select! {
            response = exchange => response.map(|response| response.status()).map_err(other),
            ended = connection => Err(ended.err().map_or_else(closed, other)),
        }
    };
    timeout(deadline, ask).await.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {deadline:?}")))
    })
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")
}
