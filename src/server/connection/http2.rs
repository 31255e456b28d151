//! HTTP/2 on one connection (RFC 9113).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::rt::Executor;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::server::conn::http2;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::access::Peer;
use crate::server::Config;
use crate::server::check;
use crate::server::connection::batch::Batch;
use crate::server::connection::drive::{Ended, Served, drive};
use crate::server::connection::first::First;
use crate::server::connection::io::Noted;
use crate::server::connection::pulse::{Asked, Pulse};
use crate::server::connection::recall;
use crate::server::connection::stream::Stream;
use crate::server::connection::watch::{Looks, Watch};
use crate::server::drain::Drain;
use crate::server::reply::{Reply, Service};
use crate::tasks::Tasks;
use crate::wire::Response;

/// How much of all bodies a peer may send ahead, in bytes. Bodies are few and short.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// How much of one body, in bytes: all of the longest by default.
const STREAM_WINDOW: u32 = 128 << 10;

/// How much of an answer is handed to a stream at once, in bytes. Answers are shared, not copied.
const SEND_BUFFER: usize = 256 << 10;

/// Serves a connection.
pub(super) async fn serve<S>(
    (stream, first, is_stopping): (S, First, bool),
    (service, peer): (Arc<impl Service>, Peer),
    config: Arc<Config>,
    drain: Drain,
) where
    S: Stream,
{
    let pulse = Arc::new(Pulse::default());
    if is_stopping {
        pulse.stop();
    }
    let noting = Arc::clone(&pulse);
    let answer = service_fn(move |request: Request<Incoming>| {
        let (asked, is_head) = (noting.request(), *request.method() == Method::HEAD);
        let reply = match recall(&*service, &request, &peer, check::is_plain_http2) {
            Some(response) => Reply::now(response),
            None => match check::http2(&request) {
                Ok(()) => service.call(request, &peer),
                Err(refused) => Reply::now(service.refuse(&request, refused.respond())),
            },
        };
        Answering { reply, is_head, _asked: asked }
    });
    let mut watch = Watch::new(config.deadlines, true, (first.since, Looks::SELDOM));
    let batch = Batch::new(Noted::http2(stream, first.bytes, Arc::clone(&pulse)));
    let head_limit = u32::try_from(config.head_limit_bytes).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(Streams(drain.tasks().clone()))
        .timer(TokioTimer::new())
        .keep_alive_interval(config.deadlines.ping)
        .keep_alive_timeout(config.deadlines.pong)
        .max_concurrent_streams(config.http2.max_streams)
        .max_pending_accept_reset_streams(config.http2.max_resets)
        // What makes us reset a stream is as cheap for a peer as resetting it (CVE-2025-8671).
        .max_local_error_reset_streams(config.http2.max_resets)
        .max_header_list_size(head_limit)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .serve_connection(TokioIo::new(batch.clone()), answer);
    let mut connection = Batched { connection, batch };
    if drive(&mut connection, (&pulse, &mut watch), &drain).await == Ended::Unread {
        connection.batch.with(|noted| noted.stream().abandon());
    }
}

/// A connection whose answers are sent when there is nothing more to do for it at the moment.
struct Batched<S: AsyncRead + AsyncWrite, F: HttpService<Incoming>> {
    connection: http2::Connection<TokioIo<Batch<S>>, F, Streams>,
    batch: Batch<S>,
}

impl<S, F> Future for Batched<S, F>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible>,
    Streams: Http2ServerConnExec<F::Future, Full<Bytes>>,
{
    type Output = hyper::Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let ended @ Poll::Ready(_) = Pin::new(&mut this.connection).poll(context) {
            return ended;
        }
        match this.batch.poll_send(context) {
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "a peer cannot be written to");
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<S, F> Served for Batched<S, F>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible>,
    Streams: Http2ServerConnExec<F::Future, Full<Bytes>>,
{
    fn part(&mut self) {
        Pin::new(&mut self.connection).graceful_shutdown();
    }
}

/// Where the streams of a connection run: an answer that is there at once is written at once,
/// without a task; the others are tasks that the drain waits for. They end with their connection.
#[derive(Clone, Debug)]
struct Streams(Tasks);

impl<F: Future<Output = ()> + Send + Unpin + 'static> Executor<F> for Streams {
    fn execute(&self, mut stream: F) {
        // Nobody is to be woken: what is not ready is polled again as soon as it is a task.
        let nobody = &mut Context::from_waker(Waker::noop());
        if Pin::new(&mut stream).poll(nobody).is_pending() {
            self.0.spawn_here(stream);
        }
    }
}

/// An answer, until it is there.
struct Answering {
    reply: Reply,
    is_head: bool,
    _asked: Asked,
}

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Ok(response) = ready!(Pin::new(&mut this.reply).poll(context));
        Poll::Ready(Ok(framed(response, this.is_head)))
    }
}

/// Says how long a body is where hyper does not, and leaves it away for HEAD, which hyper does on
/// HTTP/1.1 only.
fn framed(mut response: Response, is_head: bool) -> Response {
    let has_none = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !has_none && (is_head || response.body().is_end_stream()) {
        let len = response.body().size_hint().exact().unwrap_or_default();
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| len.into());
        *response.body_mut() = Full::default();
    }
    response
}
