//! An HTTP proxy on a socket of its own, which leads to one server whatever it is asked for.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A proxy. It runs until the test's process ends.
pub(crate) struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy whose only way leads to `server`.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("the listener has an address");
        let asked = Arc::default();
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let log = Arc::clone(&log);
                // Whoever breaks off has its reasons; the test looks at what was asked.
                thread::spawn(move || drop(relay(stream, server, &log)));
            }
        });
        Self { address, asked }
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first line of each connection.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Opens a tunnel for a `CONNECT`; whatever else is asked goes to the server as it stands.
fn relay(mut client: TcpStream, server: SocketAddr, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let head = head(&mut client)?;
    let line = head.lines().next().unwrap_or_default().to_owned();
    let is_tunnel = line.starts_with("CONNECT ");
    log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    let mut server = TcpStream::connect(server)?;
    if is_tunnel {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    } else {
        server.write_all(head.as_bytes())?;
    }
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    let back = thread::spawn(move || {
        let copied = io::copy(&mut from_server, &mut to_client);
        to_client.shutdown(Shutdown::Both).and(copied)
    });
    io::copy(&mut client, &mut server)?;
    server.shutdown(Shutdown::Write)?;
    back.join().expect("copying does not panic").map(drop)
}

/// Everything up to the empty line, and nothing of what follows.
fn head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
