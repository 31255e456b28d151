//! What answers requests, and what it answers with.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Request;
use hyper::body::Incoming;

use crate::access::Peer;
use crate::wire::Response;
use crate::wire::heeded::Heeded;

/// Something behind a listener.
pub trait Service: Send + Sync + 'static {
    /// The answer to a request that is plain and has no body, if it is in memory. Only its `Host` was
    /// looked at: what is recalled was asked before by the same bytes, and was looked at then.
    fn recall(
        &self,
        _request: &Request<Incoming>,
        _heeded: &Heeded<'_>,
        _peer: &Peer,
    ) -> Option<Response> {
        None
    }

    /// Answers one request from a connection with `peer`.
    fn call(&self, request: Request<Incoming>, peer: &Peer) -> Reply;

    /// Counts a request that was refused before anybody looked at what it wants, and puts on its
    /// answer what every answer carries.
    fn refuse(&self, request: &Request<Incoming>, refused: Response) -> Response;
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
    pub const fn now(response: Response) -> Self {
        Self::Now(Some(response))
    }

    /// The response in its place, once it is there: to move one costs more than to mark it.
    pub(super) fn poll_here(&mut self, context: &mut Context<'_>) -> Poll<&mut Response> {
        if let Self::Later(future) = self {
            *self = Self::now(ready!(future.as_mut().poll(context)));
        }
        match self {
            Self::Now(Some(response)) => Poll::Ready(response),
            // A future that was ready is not polled again; if it is, it waits for ever.
            Self::Now(None) | Self::Later(_) => Poll::Pending,
        }
    }

    /// Takes a response that is there.
    pub(super) fn take(&mut self) -> Poll<Result<Response, Infallible>> {
        match self {
            Self::Now(response) => response.take().map_or(Poll::Pending, |r| Poll::Ready(Ok(r))),
            Self::Later(_) => Poll::Pending,
        }
    }
}

impl Future for Reply {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let _: &mut Response = ready!(this.poll_here(context));
        this.take()
    }
}
