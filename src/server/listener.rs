//! Where connections come from: what is bound, or was handed over.
//!
//! A TCP socket is bound with `SO_REUSEPORT`, so that the next version of the edge can listen beside
//! this one before this one stops. The system then gives each connection to one of the two for good.
//! A connection that waits to be accepted when its socket is closed is lost. So a socket that is about
//! to close lets none in any more: whoever knocks is not heard, and knocks again, at whoever listens
//! then. Those that are in are accepted to the last.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket, UnixStream};

use crate::server::Address;
use crate::server::ListenerConfig;
use crate::server::accept::{Door, accept};
use crate::server::activation::{Inherited, Socket};
use crate::server::reply::Service;
use crate::server::workers::Workers;

/// Sockets that are bound, and that nobody accepts from yet.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<Socket>,
    /// What callers put before a path, for each socket.
    urls: Vec<String>,
    file: Option<Arc<SocketFile>>,
    /// Whether the next process may listen beside it.
    is_shared: bool,
}

impl Listener {
    /// Binds an address for this process alone; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// If the address is not ours or taken.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::tcp(address, Sharing::Alone)
    }

    /// Opens what is configured.
    ///
    /// # Errors
    ///
    /// If it is not ours, taken, or was not handed over.
    pub async fn open(config: &ListenerConfig, inherited: &mut Inherited) -> io::Result<Self> {
        let mut opened = match &config.address {
            Address::Systemd(name) => Self::over(inherited.take(name)?)?,
            Address::Tcp(address) => Self::tcp(*address, Sharing::WithTheNext)?,
            Address::Unix(path) => Self::unix(path).await?,
        };
        if config.tls.is_some() {
            opened.urls.iter_mut().for_each(|url| *url = url.replacen("http:", "https:", 1));
        }
        Ok(opened)
    }

    fn tcp(address: SocketAddr, sharing: Sharing) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Connections of a process before may still be in their last state.
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(sharing == Sharing::WithTheNext)?;
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?.into_std()?;
        let is_shared = sharing == Sharing::WithTheNext;
        Ok(Self { is_shared, ..Self::over(vec![Socket::Tcp(socket)])? })
    }

    async fn unix(path: &Path) -> io::Result<Self> {
        remove_stale(path).await?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        let file = SocketFile::at(path)?;
        let socket = socket.listen(BACKLOG)?.into_std()?;
        let file = Some(Arc::new(file));
        Ok(Self { file, ..Self::over(vec![Socket::Unix(socket)])? })
    }

    fn over(sockets: Vec<Socket>) -> io::Result<Self> {
        let mut urls = Vec::new();
        for socket in &sockets {
            urls.push(match socket {
                Socket::Tcp(socket) => {
                    socket.set_nonblocking(true)?;
                    // Connections inherit it.
                    #[cfg(target_os = "linux")]
                    SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_BYTES)?;
                    format!("http://{}", socket.local_addr()?)
                }
                Socket::Unix(socket) => {
                    socket.set_nonblocking(true)?;
                    let address = socket.local_addr()?;
                    let path = address.as_pathname().unwrap_or(Path::new("(unnamed)"));
                    format!("unix:{}", path.display())
                }
            });
        }
        Ok(Self { sockets, urls, file: None, is_shared: false })
    }

    /// What callers put before a path, for each socket: `http://127.0.0.1:7080`, `unix:/run/edge`.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The address of its first TCP socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.sockets.iter().find_map(|socket| match socket {
            Socket::Tcp(socket) => socket.local_addr().ok(),
            Socket::Unix(_) => None,
        })
    }

    /// Serves connections until the drain begins, on all `workers`.
    ///
    /// # Errors
    ///
    /// If the system has no descriptor left.
    pub fn serve_on<S: Service>(self, workers: &Workers, door: &Door<S>) -> io::Result<()> {
        workers.in_each(|| self.accept_here(door))
    }

    /// Serves connections until the drain begins, in the runtime that this is called in.
    ///
    /// # Errors
    ///
    /// If the system has no descriptor left.
    pub fn serve<S: Service>(self, door: &Door<S>) -> io::Result<()> {
        self.accept_here(door)
    }

    fn accept_here<S: Service>(&self, door: &Door<S>) -> io::Result<()> {
        let loops = door.drain.listeners();
        for socket in &self.sockets {
            let (door, file, shared) = (door.clone(), self.file.clone(), self.is_shared);
            match socket {
                Socket::Tcp(socket) => {
                    let socket = TcpListener::from_std(socket.try_clone()?)?;
                    loops.spawn(async move {
                        accept(socket, door, shared).await;
                        drop(file);
                    });
                }
                Socket::Unix(socket) => {
                    let socket = UnixListener::from_std(socket.try_clone()?)?;
                    loops.spawn(async move {
                        accept(socket, door, shared).await;
                        drop(file);
                    });
                }
            }
        }
        Ok(())
    }
}

/// Who else may bind the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    Alone,
    WithTheNext,
}

/// How many connections wait to be accepted at most, as far as the system lets them.
const BACKLOG: u32 = 4096;

/// How much the system takes of an answer before it is on its way, in bytes, and at most one segment
/// of its own more. Left to itself it takes megabytes: nobody would see that a peer does not read until the
/// connection is idle for too long.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 16 << 10;

/// Removes the file of a socket that nobody listens on any more, as a crash leaves it.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(file) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !file.file_type().is_socket() {
        let message = "there is a file that is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Ok(_) | Err(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The file of a Unix socket, removed with its listener.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and number: another process may have put its own there since.
    id: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), id: id_of(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if id_of(&self.path).is_ok_and(|id| id == self.id)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a socket's file is left behind");
        }
    }
}

fn id_of(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}
