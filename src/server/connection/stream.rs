//! What a connection is served over.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// A stream of bytes to a peer.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Has the system throw away what the peer did not take, and tell it so (RST), once this is closed.
    /// Otherwise it goes on offering it, for minutes, to somebody who does not read.
    fn abandon(&self);
}

impl Stream for TcpStream {
    fn abandon(&self) {
        if let Err(error) = self.set_zero_linger() {
            tracing::debug!(%error, "SO_LINGER cannot be set");
        }
    }
}

impl Stream for UnixStream {
    /// What is not taken goes with the socket.
    fn abandon(&self) {}
}

impl<S: Stream> Stream for TlsStream<S> {
    fn abandon(&self) {
        let (stream, _) = self.get_ref();
        stream.abandon();
    }
}

impl<S: Stream> Stream for Box<S> {
    fn abandon(&self) {
        (**self).abandon();
    }
}
