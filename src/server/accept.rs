//! Accepting: from a socket to a connection that is served or turned away, to the last that waits.

use std::future::pending;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

use crate::access::Peer;
use crate::live::Live;
use crate::server::Config;
use crate::server::connection::{self, Protocol, Stream, Terms};
use crate::server::drain::Drain;
use crate::server::places::{Place, Places};
use crate::server::reply::Service;
use crate::server::tls::Tls;

/// What every connection of a listener is served with.
#[derive(Debug)]
pub struct Door<S> {
    /// Who answers.
    pub service: Arc<S>,
    /// Under which deadlines.
    pub config: Live<Config>,
    /// How many at once.
    pub places: Places,
    /// What secures them; clear text if this is `None`.
    pub tls: Option<Arc<Tls>>,
    /// What ends them.
    pub drain: Drain,
}

impl<S> Clone for Door<S> {
    fn clone(&self) -> Self {
        let Self { service, config, places, tls, drain } = self;
        let (service, places) = (Arc::clone(service), places.clone());
        Self { service, config: config.clone(), places, tls: tls.clone(), drain: drain.clone() }
    }
}

/// Accepts until the drain begins, and then what waits already. If the next process may listen beside
/// it, none is let in any more that it would be lost with.
pub(super) async fn accept<A: Accept, S: Service>(socket: A, door: Door<S>, is_shared: bool) {
    tokio::select! {
        () = accept_all(&socket, &door) => {}
        () = door.drain.closing() => {}
    }
    if is_shared && socket.let_no_more_in() {
        let _ = timeout(HANDSHAKE, accept_all(&socket, &door)).await;
    }
    if let Err(error) = socket.accept_rest(|stream, source| door.admit::<A>(stream, source)) {
        tracing::debug!(%error, "what waited to be accepted was not, or not all of it");
    }
}

async fn accept_all<A: Accept, S: Service>(socket: &A, door: &Door<S>) {
    loop {
        match socket.accept().await {
            Ok((stream, source)) => door.admit::<A>(stream, source),
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(%error, "a connection broke off before it was accepted");
            }
            Err(error) => {
                // Out of descriptors or memory: asking again at once would only spin.
                tracing::error!(%error, "connections cannot be accepted");
                let _ = timeout(PAUSE, pending::<()>()).await;
            }
        }
    }
}

impl<S: Service> Door<S> {
    /// Serves a connection in a task of the drain, or turns it away: then nothing is read from it and
    /// no task is made for it.
    fn admit<A: Accept>(&self, stream: A::Stream, source: Option<IpAddr>) {
        // A connection keeps what held when it was accepted.
        let config = Arc::clone(&self.config.load());
        let Some(place) = self.places.take(source, &config) else {
            // Its buffer is empty and takes the few bytes; the runtime, which may not know yet that
            // it is writable, is not asked.
            let said = if self.tls.is_none() { TOO_MANY } else { b"" };
            if let Err(error) = A::write_at_once(stream, said) {
                tracing::debug!(%error, "a connection over the limit left before it was answered");
            }
            return;
        };
        // Whoever reaches a Unix socket is on this machine.
        let peer = Peer::at(source.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let (service, drain) = (Arc::clone(&self.service), self.drain.clone());
        let terms = Terms { service, config, drain, place };
        let tasks = self.drain.tasks();
        match self.tls.clone() {
            None => tasks.spawn_here(connection::serve(stream, (Protocol::Unsaid, peer), terms)),
            Some(tls) => tasks.spawn_here(secured(stream, peer, tls, terms)),
        };
    }
}

/// Serves a connection over TLS, once both sides have agreed on it.
async fn secured<S>(stream: S, peer: Peer, tls: Arc<Tls>, terms: Terms<impl Service, Place>)
where
    S: Stream,
{
    let deadline = terms.config.deadlines.handshake;
    // The state of a handshake, and then of TLS, is large: it is not kept room for in the task.
    let accepted = tokio::select! {
        accepted = Box::pin(tls.accept(stream, deadline)) => accepted,
        () = terms.drain.insisting() => return,
    };
    drop(tls);
    let Ok((stream, protocol, identity)) = accepted else { return };
    let peer = Peer { identity: identity.map(Arc::new), ..peer };
    connection::serve(Box::new(stream), (protocol, peer), terms).await;
}

/// A socket that connections are accepted from, and the way back to the standard library's.
pub(super) trait Accept: Sized + Send + 'static {
    type Stream: Stream;

    /// The next connection, and where it comes from.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;

    /// Keeps new connections out, but for those whose handshake is on its way. Returns whether there
    /// may be any.
    fn let_no_more_in(&self) -> bool;

    /// Every connection that waits already.
    fn accept_rest(self, each: impl FnMut(Self::Stream, Option<IpAddr>)) -> io::Result<()>;

    /// Writes as far as the buffer goes, and closes.
    fn write_at_once(stream: Self::Stream, bytes: &[u8]) -> io::Result<()>;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, peer) = Self::accept(self).await?;
        Ok((prepared(stream), Some(peer.ip())))
    }

    fn let_no_more_in(&self) -> bool {
        #[cfg(target_os = "linux")]
        if let Err(error) = SockRef::from(self).attach_filter(&NO_SYN) {
            tracing::debug!(%error, "a socket about to close lets connections in all the same");
        }
        true
    }

    fn accept_rest(self, mut each: impl FnMut(TcpStream, Option<IpAddr>)) -> io::Result<()> {
        let socket = self.into_std()?;
        while let Some((stream, peer)) = waiting(socket.accept())? {
            stream.set_nonblocking(true)?;
            each(prepared(TcpStream::from_std(stream)?), Some(peer.ip()));
        }
        Ok(())
    }

    fn write_at_once(stream: TcpStream, bytes: &[u8]) -> io::Result<()> {
        stream.into_std()?.write_all(bytes)
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, None))
    }

    fn let_no_more_in(&self) -> bool {
        false
    }

    fn accept_rest(self, mut each: impl FnMut(UnixStream, Option<IpAddr>)) -> io::Result<()> {
        let socket = self.into_std()?;
        while let Some((stream, _)) = waiting(socket.accept())? {
            stream.set_nonblocking(true)?;
            each(UnixStream::from_std(stream)?, None);
        }
        Ok(())
    }

    fn write_at_once(stream: UnixStream, bytes: &[u8]) -> io::Result<()> {
        stream.into_std()?.write_all(bytes)
    }
}

/// A program of the packet filter that sees TCP headers (linux/bpf_common.h): a segment that asks for
/// a connection is dropped, any other kept whole. Connections made meanwhile have it too, and are
/// sent no such segment.
#[cfg(target_os = "linux")]
const NO_SYN: [SockFilter; 4] = [
    // Load the byte of flags; if it has SYN, go on, else skip one.
    SockFilter::new(0x30, 0, 0, 13),
    SockFilter::new(0x45, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// How long the handshake of a connection may take that knocked before the socket was closed to
/// others: the round trip to another continent.
const HANDSHAKE: Duration = Duration::from_millis(200);

/// What was accepted; `None` once nothing waits any more.
fn waiting<T>(accepted: io::Result<T>) -> io::Result<Option<T>> {
    match accepted {
        Ok(accepted) => Ok(Some(accepted)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// How long nothing is accepted after the system had no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

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
