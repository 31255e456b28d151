//! Two clients on real sockets: one that speaks HTTP/1.1, one that sends whatever it is given.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::process::PATIENCE;

/// One connection that is kept.
pub(crate) struct Client {
    host: String,
    sender: SendRequest<Full<Bytes>>,
    /// The task that drives the connection; it ends with it.
    connection: JoinSet<()>,
}

impl Client {
    /// Connects.
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
        Self::over(stream, address).await
    }

    /// Connects, unless nobody listens (any more).
    pub(crate) async fn try_to(address: SocketAddr) -> Option<Self> {
        let stream = tokio::net::TcpStream::connect(address).await.ok()?;
        Some(Self::over(stream, address).await)
    }

    /// Speaks on a connection that is there.
    pub(crate) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        address: SocketAddr,
    ) -> Self {
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1 needs no handshake");
        let mut connection = JoinSet::new();
        connection.spawn(async move { drop(driver.await) });
        Self { host: address.to_string(), sender, connection }
    }

    /// `GET`, with headers.
    pub(crate) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask(Method::GET, path, headers, "").await
    }

    /// `GET` with a key.
    pub(crate) async fn get_as(&mut self, key: &str, path: &str) -> Answer {
        self.get(path, &[("authorization", &format!("Bearer {key}"))]).await
    }

    /// One request and its whole answer.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.try_ask(method, path, headers, body).await.expect("a whole answer")
    }

    /// `GET` and its whole answer, or the end of the connection.
    pub(crate) async fn try_get(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> hyper::Result<Answer> {
        self.try_ask(Method::GET, path, headers, "").await
    }

    async fn try_ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> hyper::Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header("host", &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let exchange = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        timeout(PATIENCE, exchange).await.expect("an answer in time")
    }

    /// Waits until the server has closed the connection.
    pub(crate) async fn closed(mut self) {
        let ended = timeout(PATIENCE, self.connection.join_next()).await;
        ended.expect("the connection ends in time");
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header of ASCII"))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body of JSON")
    }
}

/// A connection that sends bytes, right or wrong.
pub(crate) struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Raw {
    /// Connects.
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket has timeouts");
        Self { stream, received: Vec::new() }
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).expect("the server reads");
    }

    /// Everything received so far, once `phrase` is in it.
    pub(crate) fn until(&mut self, phrase: &str) -> String {
        while !self.text().contains(phrase) {
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).expect("something comes in time");
            assert_ne!(count, 0, "the connection ended without `{phrase}`: {}", self.text());
            self.received.extend_from_slice(&buffer[..count]);
        }
        self.text()
    }

    /// Everything received, once the server has closed the connection or cut it off.
    pub(crate) fn rest(mut self) -> String {
        if let Err(error) = self.stream.read_to_end(&mut self.received) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the connection ends in time");
        }
        self.text()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }
}
