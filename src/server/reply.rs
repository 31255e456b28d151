//! What answers requests, and what it answers with.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Request;
use hyper::body::Incoming;

use crate::access::Peer;
use crate::wire::Response;

/// Something behind a listener.
pub trait Service: Send + Sync + 'static {
    /// Answers one request from a connection with `peer`.
    fn call(&self, request: Request<Incoming>, peer: &Peer) -> Reply;
}

/// A response, at once or later.
///
/// An answer from memory is there at once: no allocation for a future, no state machine larger
/// than the response itself.
pub enum Reply {
    /// Not yet.
    Later(Pin<Box<dyn Future<Output = Response> + Send>>),
    /// At once; `None` once it was taken.
    Now(Option<Response>),
}

impl Reply {
    /// A response that is there.
    pub fn now(response: Response) -> Self {
        Self::Now(Some(response))
    }
}

impl Future for Reply {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Later(future) => future.as_mut().poll(context).map(Ok),
            // A future that was ready is not polled again; if it is, it waits for ever.
            Self::Now(response) => response.take().map_or(Poll::Pending, |r| Poll::Ready(Ok(r))),
        }
    }
}
