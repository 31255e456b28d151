//! Accepting connections, and what each failure to do so means.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::access::Peer;
use crate::live::Live;
use crate::server::Config;
use crate::server::connection::{self, Protocol};
use crate::server::drain::Drain;
use crate::server::reply::Service;

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds an address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// If the address is not ours or taken.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves connections until the drain begins. Each runs in a task of the drain.
    ///
    /// A connection over the limit is answered 503 as far as its buffer takes it, and closed:
    /// nothing is read from it and no task is made for it.
    pub async fn run(
        self,
        service: Arc<impl Service>,
        config: Live<Config>,
        drain: Drain,
        shed: Counter,
    ) {
        // Each connection has a clone of it.
        let open = Arc::new(());
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = drain.stopping() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // A connection keeps what held when it was accepted.
                    let config = **config.load();
                    let place = Arc::clone(&open);
                    if Arc::strong_count(&open) > config.max_connections.saturating_add(1) {
                        shed.inc();
                        turn_away(stream);
                        continue;
                    }
                    let (service, ending) = (Arc::clone(&service), drain.clone());
                    let connection = (prepared(stream), Protocol::Unsaid, Peer::at(peer.ip()));
                    let served = connection::serve(connection, service, config, ending);
                    drain.tasks().spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a connection broke off before it was accepted");
                }
                Err(error) => {
                    // Out of descriptors or memory: asking again at once would only spin.
                    tracing::error!(%error, "connections cannot be accepted");
                    let _ = timeout(PAUSE, drain.stopping()).await;
                }
            }
        }
    }
}

/// How long nothing is accepted after the system had no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers a connection over the limit and closes it, without a task or a wait. Its buffer is empty
/// and takes the few bytes; the runtime, which may not know yet that it is writable, is not asked.
fn turn_away(stream: TcpStream) {
    if let Err(error) = stream.into_std().and_then(|mut stream| stream.write_all(TOO_MANY)) {
        tracing::debug!(%error, "a connection over the limit left before it was answered");
    }
}

/// The whole answer to a connection over the limit.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
connection: close\r\ncontent-length: 0\r\n\r\n";

fn prepared(stream: TcpStream) -> TcpStream {
    // Answers are written whole: waiting for more to send would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    stream
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
