//! The way to a server: straight, through a proxy's tunnel, or by asking the proxy to forward.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Connects to servers, below TLS.
#[derive(Clone, Debug)]
pub(crate) struct Router {
    tcp: HttpConnector,
    proxy: Option<Uri>,
    timeout: Duration,
}

impl Router {
    /// A router that uses `proxy` for other machines and gives up after `timeout`.
    pub(crate) fn new(proxy: Option<Uri>, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { tcp, proxy, timeout }
    }

    /// Connects to the host of `to`, or to whoever connects us with it.
    async fn connect(mut self, to: Uri) -> Result<Wire, BoxError> {
        let proxy = self.proxy.take().filter(|_| !is_loopback(&to));
        let is_secure = to.scheme() == Some(&Scheme::HTTPS);
        let (stream, is_forwarded) = match proxy {
            None => (self.tcp.call(to).await?, false),
            Some(proxy) if is_secure => (Tunnel::new(proxy, self.tcp).call(to).await?, false),
            Some(proxy) => (self.tcp.call(proxy).await?, true),
        };
        Ok(Wire { stream, is_forwarded })
    }
}

impl Service<Uri> for Router {
    type Response = Wire;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = timeout(self.timeout, self.clone().connect(to));
        Box::pin(async move {
            let in_time = connecting.await;
            in_time.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}

/// A connection, and whether a proxy forwards what is said on it: requests on it name the scheme
/// and the host then (RFC 9112 §3.2.2).
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TokioIo<TcpStream>,
    is_forwarded: bool,
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.is_forwarded)
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}

/// Whether the host is this machine, by its address or as `localhost`.
pub(crate) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_addresses_and_one_name() {
        for (uri, expected) in [
            ("http://127.0.0.1", true),
            ("http://127.9.9.9:80/path", true),
            ("http://[::1]:8080", true),
            ("http://LocalHost:8080", true),
            ("http://10.0.0.1", false),
            ("http://[::2]", false),
            ("http://127.0.0.1.example.com", false),
            ("http://localhost.example.com", false),
            ("/localhost", false),
        ] {
            assert_eq!(is_loopback(&Uri::from_static(uri)), expected, "{uri}");
        }
    }
}
