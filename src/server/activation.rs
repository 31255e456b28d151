//! Sockets that systemd has opened and hands over (sd_listen_fds(3)).
//!
//! They outlive the process: while it is replaced, callers wait in the socket's queue.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use listenfd::ListenFd;

/// The sockets that were handed over and not taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    /// In the order of `LISTEN_FDS`.
    sockets: Vec<(Option<String>, Socket)>,
}

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Inherited {
    /// Takes over what `LISTEN_FDS` speaks of, if it speaks to this process. `names` is what
    /// `LISTEN_FDNAMES` says. Call it before there are threads: it removes the variables.
    pub fn take_over(names: Option<&str>) -> Self {
        let mut given = ListenFd::from_env();
        let names: Vec<_> = names.map(|names| names.split(':').collect()).unwrap_or_default();
        let mut sockets = Vec::new();
        for at in 0..given.len() {
            // What is neither is nothing that can be served.
            let tcp = given.take_tcp_listener(at).ok().flatten().map(Socket::Tcp);
            let unix = || given.take_unix_listener(at).ok().flatten().map(Socket::Unix);
            let name = names.get(at).map(|name| (*name).to_owned());
            match tcp.or_else(unix) {
                Some(socket) => sockets.push((name, socket)),
                None => tracing::warn!(at, "what systemd hands over is no socket that listens"),
            }
        }
        Self { sockets }
    }

    /// All sockets of this name. If systemd named none, the next in order.
    pub(super) fn take(&mut self, name: &str) -> io::Result<Vec<Socket>> {
        let has_names = self.sockets.iter().any(|(name, _)| name.is_some());
        let mut taken = Vec::new();
        if has_names {
            let is_it = |(its, _): &mut (Option<String>, Socket)| its.as_deref() == Some(name);
            taken.extend(self.sockets.extract_if(.., is_it));
        } else if !self.sockets.is_empty() {
            taken.push(self.sockets.remove(0));
        }
        if taken.is_empty() {
            let message = "systemd has handed over no socket of this name that is not in use";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(taken.into_iter().map(|(_, socket)| socket).collect())
    }

    /// The names of those that nobody took.
    pub fn left(&self) -> Vec<&str> {
        self.sockets.iter().map(|(name, _)| name.as_deref().unwrap_or("unnamed")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(names: &[Option<&str>]) -> Inherited {
        let socket = || Socket::Tcp(TcpListener::bind("127.0.0.1:0").unwrap());
        let sockets = names.iter().map(|name| (name.map(str::to_owned), socket()));
        Inherited { sockets: sockets.collect() }
    }

    #[test]
    fn a_name_takes_all_of_its_sockets_and_no_other() {
        let mut inherited = inherited(&[Some("web"), Some("inside"), Some("web")]);

        assert_eq!(inherited.take("web").unwrap().len(), 2);
        assert!(inherited.take("web").is_err());
        assert_eq!(inherited.left(), ["inside"]);
    }

    #[test]
    fn without_names_sockets_are_taken_in_order() {
        let mut inherited = inherited(&[None, None]);

        assert_eq!(inherited.take("web").unwrap().len(), 1);
        assert_eq!(inherited.take("inside").unwrap().len(), 1);
        assert!(inherited.take("third").is_err());
    }
}
