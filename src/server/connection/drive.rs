//! One connection in hyper's hands, under a watch, until it ends.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::server::connection::bell::Bell;
use crate::server::connection::pulse::Pulse;
use crate::server::connection::watch::{Verdict, Watch};
use crate::server::drain::Drain;

/// A connection that hyper serves.
pub(super) trait Served: Future<Output = hyper::Result<()>> + Unpin {
    /// Ends it with the requests it has.
    fn part(&mut self);
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself, or it was cut.
    Over,
    /// It was cut, and holds what its peer did not read.
    Unread,
    /// It did not: nothing is asked, and it needs no buffers meanwhile.
    Resting,
}

/// Drives a connection. What is rare, its deadlines and the end of the process, is polled when its
/// bell rang.
pub(super) async fn drive(
    connection: &mut impl Served,
    (pulse, watch): (&Pulse, &mut Watch),
    drain: &Drain,
) -> Ended {
    let bell = Bell::new();
    let ringing = Waker::from(Arc::clone(&bell));
    let mut task = Waker::noop().clone();
    let mut stopping = pin!(drain.stopping());
    let mut parting = pin!(drain.parting());
    let mut insisting = pin!(drain.insisting());
    poll_fn(|context| {
        if !task.will_wake(context.waker()) {
            context.waker().clone_into(&mut task);
            bell.wakes(&task);
        }
        let rare = &mut Context::from_waker(&ringing);
        let rang = bell.rang();
        if rang {
            if insisting.as_mut().poll(rare).is_ready() {
                return Poll::Ready(Ended::Over);
            }
            if !pulse.is_stopping() && stopping.as_mut().poll(rare).is_ready() {
                pulse.stop();
            }
            // HTTP/2 has a way to say so at any time. On HTTP/1.1 the next answer says it; who asks
            // nothing is given the time to.
            let is_due = !watch.is_ending()
                && match watch.is_http2() {
                    true => pulse.is_stopping(),
                    false => parting.as_mut().poll(rare).is_ready(),
                };
            if is_due {
                watch.end();
            }
        }
        loop {
            if let Poll::Ready(ended) = Pin::new(&mut *connection).poll(context) {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return Poll::Ready(Ended::Over);
            }
            if !rang && !pulse.is_urgent() {
                return Poll::Pending;
            }
            match watch.poll(rare, pulse) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Verdict::Part) => connection.part(),
                Poll::Ready(Verdict::Rest) => return Poll::Ready(Ended::Resting),
                Poll::Ready(Verdict::Late(what)) => {
                    tracing::debug!(what, "a connection was cut: its peer took too long");
                    return Poll::Ready(Ended::Over);
                }
                Poll::Ready(Verdict::Unread) => {
                    tracing::debug!("a connection was cut: its peer read too slowly");
                    return Poll::Ready(Ended::Unread);
                }
            }
        }
    })
    .await
}
