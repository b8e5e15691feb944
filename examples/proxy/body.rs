//! Bodies on their way through, which are not waited for without end.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::stream::has_expired;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// A body whose sender may be silent for so long.
#[derive(Debug)]
pub(crate) struct Patient {
    body: Incoming,
    limit: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    pulse: Pulse,
}

impl Patient {
    /// `pulse` is told of what arrives.
    pub(crate) fn new(body: Incoming, limit: Option<Duration>, pulse: Pulse) -> Self {
        Self {
            body,
            limit,
            timer: None,
            pulse,
        }
    }
}

impl Body for Patient {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(frame) => {
                this.timer = None;
                this.pulse.moved(data_of(frame.as_ref()));
                if matches!(frame, Some(Err(_))) {
                    this.pulse.change(|beats| beats.has_broken = true);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending if has_expired(&mut this.timer, this.limit, context) => {
                this.pulse.stop();
                Poll::Ready(Some(Err("silent for too long".into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of the body itself in a frame.
fn data_of<E>(frame: Option<&Result<Frame<Bytes>, E>>) -> usize {
    let frame = frame.and_then(|frame| frame.as_ref().ok());
    frame.and_then(Frame::data_ref).map_or(0, Bytes::len)
}

/// When something last happened, for those who wait for something else meanwhile, and how
/// many bytes it was in all.
#[derive(Clone, Debug)]
pub(crate) struct Pulse(Arc<Mutex<Beats>>);

#[derive(Debug)]
struct Beats {
    last: Instant,
    has_stopped: bool,
    has_broken: bool,
    bytes: u64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Beats {
            last: Instant::now(),
            has_stopped: false,
            has_broken: false,
            bytes: 0,
        })))
    }
}

impl Pulse {
    /// Something has happened.
    pub(crate) fn beat(&self) {
        self.moved(0);
    }

    /// So many bytes have come.
    pub(crate) fn moved(&self, bytes: usize) {
        self.change(|beats| {
            beats.last = Instant::now();
            beats.bytes += bytes as u64;
        });
    }

    /// Nothing has happened for too long.
    fn stop(&self) {
        self.change(|beats| beats.has_stopped = true);
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.change(|beats| beats.has_stopped)
    }

    /// Whether it broke off.
    pub(crate) fn has_broken(&self) -> bool {
        self.change(|beats| beats.has_broken)
    }

    pub(crate) fn last(&self) -> Instant {
        self.change(|beats| beats.last)
    }

    /// How many bytes there were so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.change(|beats| beats.bytes)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Beats) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What comes of a future that may take `limit` after the last beat; `None` if it takes
/// longer.
pub(crate) async fn within<F: Future>(
    limit: Option<Duration>,
    pulse: &Pulse,
    future: F,
) -> Option<F::Output> {
    tokio::select! {
        output = future => Some(output),
        () = silence(|| limit, pulse) => None,
    }
}

/// Ends when nothing has happened for too long; `limit` may change meanwhile.
pub(crate) async fn silence(limit: impl Fn() -> Option<Duration>, pulse: &Pulse) {
    /// How often a limit that is none yet is asked for again.
    const LATER: Duration = Duration::from_secs(1);
    loop {
        let now = Instant::now();
        match limit() {
            Some(limit) if pulse.last() + limit <= now => return,
            Some(limit) => sleep_until((pulse.last() + limit).min(now + LATER)).await,
            None => sleep_until(now + LATER).await,
        }
    }
}
