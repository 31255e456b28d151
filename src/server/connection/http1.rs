//! HTTP/1.1 on one connection (RFC 9112).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::{Body, Incoming};
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
use crate::server::connection::sliced::Sliced;
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
    F: HttpService<Incoming, ResBody = Sliced, Error = Infallible>,
{
    fn part(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

/// An answer, until it is there.
struct Answering<'a> {
    reply: Reply,
    pulse: &'a Arc<Pulse>,
    writes: Writes,
}

impl Future for Answering<'_> {
    type Output = Result<http::Response<Sliced>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let response = ready!(this.reply.poll_here(context));
        if this.pulse.is_stopping() || leaves_unread(response.status()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let (slice, pulse) = (this.writes.at_once(), this.pulse);
        this.reply.take().map_ok(|answer| answer.map(|whole| Sliced::new(whole, slice, pulse)))
    }
}

/// Whether a status says that the request was not read to its end (RFC 9110 §15.5.9 and §15.5.14).
fn leaves_unread(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE)
}
