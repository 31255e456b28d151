//! hyper and nothing else: what `benches/load` measures an edge against.
//!
//! ```sh
//! cargo run --release --example bare_hyper -- 127.0.0.1:0 1024
//! ```
//!
//! One thread serves HTTP/1.1 at the address, and prints it. Every request is answered with JSON of
//! so many bytes, under the headers that an edge sends with a hit; 304 if it has that already.

#![expect(clippy::print_stdout, reason = "whoever started it has to know the port")]

#[path = "../benches/support/bare.rs"]
mod bare;

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use bare::Bare;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let bytes = arguments.next().map_or(Ok(1024), |bytes| bytes.parse::<usize>())?;

    let bare = Bare::new(bytes);
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    let connections = TaskTracker::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let bare = bare.clone();
        connections.spawn(async move {
            let answer = service_fn(|request| ready(Ok::<_, Infallible>(bare.answer(&request))));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10))
                .serve_connection(TokioIo::new(stream), answer);
            // A client that leaves is no concern of ours.
            drop(connection.await);
        });
    }
}
