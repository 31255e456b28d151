//! HTTP/1.1 on one connection (RFC 9112).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::TokioIo;

use crate::access::Peer;
use crate::server::Config;
use crate::server::check;
use crate::server::connection::drive::{Ended, Served, drive};
use crate::server::connection::first::{First, Wait};
use crate::server::connection::io::Noted;
use crate::server::connection::pulse::Pulse;
use crate::server::connection::recall;
use crate::server::connection::stream::Stream;
use crate::server::connection::watch::Watch;
use crate::server::drain::Drain;
use crate::server::reply::{Reply, Service};

/// The smallest buffer that hyper can be given, in bytes.
const LEAST_BUFFER: usize = 8 << 10;

/// A connection that rests.
pub(super) struct Rested<S> {
    /// Its stream.
    pub(super) stream: S,
    /// What is to be waited for.
    pub(super) wait: Wait,
    /// How its answers are written from now on.
    pub(super) writes: Writes,
}

/// How the head and the body of an answer come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    /// Copied into one buffer: cheap for short answers.
    Copied,
    /// Gathered by the kernel: cheap for long ones.
    Gathered,
}

impl Writes {
    /// How many bytes of a body hyper is handed at once: what is copied is held for each connection.
    const fn at_once(self) -> usize {
        match self {
            Self::Copied => 64 << 10,
            Self::Gathered => usize::MAX,
        }
    }
}

/// Serves a connection. Gives it back if it rests.
pub(super) async fn serve<S>(
    (stream, first, is_stopping): (S, First, bool),
    writes: Writes,
    (service, peer): (&impl Service, &Peer),
    config: &Config,
    drain: &Drain,
) -> Option<Rested<S>>
where
    S: Stream,
{
    let pulse = Arc::new(Pulse::default());
    if is_stopping {
        pulse.stop();
    }
    let answer = service_fn(|request: Request<Incoming>| {
        let has_body = !request.body().is_end_stream();
        pulse.ask(has_body);
        let reply = match recall(service, &request, peer, check::is_plain_http1) {
            Some(response) => Reply::now(response),
            None => match check::http1(&request, has_body, pulse.is_ambiguous()) {
                Ok(()) => service.call(request, peer),
                Err(refused) => Reply::now(service.refuse(&request, refused.respond())),
            },
        };
        Answering { reply, pulse: &pulse, writes }
    });
    let head_limit = usize::try_from(config.head_limit_bytes).unwrap_or(usize::MAX);
    let mut watch = Watch::new(config.deadlines, false, (first.since, first.looks));
    let stream = TokioIo::new(Noted::http1(stream, first.bytes, Arc::clone(&pulse)));
    // hyper's own deadline for heads costs a tenth of a request, and bounds idleness too.
    let mut connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(head_limit.max(LEAST_BUFFER))
        .writev(writes == Writes::Gathered)
        .serve_connection(stream, answer);
    match drive(&mut connection, (&pulse, &mut watch), drain).await {
        Ended::Over => None,
        Ended::Unread => {
            connection.into_parts().io.inner().stream().abandon();
            None
        }
        Ended::Resting => {
            let parts = connection.into_parts();
            let wait = Wait::resting(parts.read_buf, &watch, &config.deadlines);
            let writes = if pulse.is_outgrown() { Writes::Gathered } else { writes };
            Some(Rested { stream: parts.io.into_inner().into_inner(), wait, writes })
        }
    }
}

impl<I, F> Served for http1::Connection<I, F>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    F: HttpService<Incoming, ResBody = Parts, Error = Infallible>,
{
    fn part(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

/// An answer, noted when hyper has all of it.
struct Answering<'a> {
    reply: Reply,
    pulse: &'a Arc<Pulse>,
    writes: Writes,
}

impl Future for Answering<'_> {
    type Output = Result<http::Response<Parts>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let response = ready!(this.reply.poll_here(context));
        if this.pulse.is_stopping() || leaves_unread(response.status()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let at_once = this.writes.at_once();
        // What hyper takes at once is written when it is flushed; of a long body that is only a part.
        let is_whole = response.body().size_hint().lower() <= at_once as u64;
        let ending = if is_whole { None } else { Some(Ending(Arc::clone(this.pulse))) };
        if is_whole {
            this.pulse.answer();
        }
        let parts = |whole| Parts { whole, rest: Bytes::new(), at_once, _ending: ending };
        this.reply.take().map_ok(|response| response.map(parts))
    }
}

/// A body in parts. What is to be copied is asked for as it is sent.
struct Parts {
    whole: Full<Bytes>,
    /// What is left of a long one.
    rest: Bytes,
    at_once: usize,
    _ending: Option<Ending>,
}

/// Notes, when it is dropped with the body, that hyper has all of a long answer.
struct Ending(Arc<Pulse>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.answer();
    }
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            let frame = ready!(Pin::new(&mut this.whole).poll_frame(context));
            let Some(Ok(bytes)) = frame.map(|Ok(frame)| frame.into_data()) else {
                return Poll::Ready(None);
            };
            this.rest = bytes;
        }
        let part = this.rest.split_to(this.at_once.min(this.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.whole.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64 + self.whole.size_hint().lower())
    }
}

/// Whether a status says that the request was not read to its end (RFC 9110 §15.5.9 and §15.5.14).
fn leaves_unread(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE)
}
