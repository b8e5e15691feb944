//! Bodies on their way through, which are not waited for without end.

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Buf, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap};
use tokio::task;
use tokio::time::{Instant, sleep_until};

use crate::client::stream::Timer;
use crate::log::{Tally, size_of_trailers};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// A body whose sender may be silent for so long.
#[derive(Debug)]
pub(crate) struct Patient {
    body: Incoming,
    /// What has been looked at ahead of time.
    first: Option<Frame<Bytes>>,
    limit: Option<Duration>,
    timer: Timer,
    pulse: Option<Pulse>,
    tally: Option<Tally>,
    /// Chunks have an end of their own, which HAProxy counts.
    has_end: bool,
}

impl Patient {
    pub(crate) fn new(body: Incoming, limit: Option<Duration>) -> Self {
        Self {
            body,
            first: None,
            limit,
            timer: Timer::default(),
            pulse: None,
            tally: None,
            has_end: false,
        }
    }

    /// Tells `pulse` of what arrives.
    pub(crate) fn felt(mut self, pulse: &Pulse) -> Self {
        self.pulse = Some(pulse.clone());
        self.tell_end();
        self
    }

    /// Counts the bytes; `headers` are those of its message.
    pub(crate) fn counted(mut self, tally: &Tally, headers: &HeaderMap) -> Self {
        self.tally = Some(tally.clone());
        let is_chunked = headers.contains_key(header::TRANSFER_ENCODING);
        self.has_end = is_chunked && !self.body.is_end_stream();
        self
    }

    fn tell_end(&self) {
        if self.body.is_end_stream() {
            self.pulse.iter().for_each(Pulse::end);
        }
    }

    fn count(&mut self, frame: Option<&Frame<Bytes>>) {
        let Some(tally) = &self.tally else { return };
        let data = frame.and_then(Frame::data_ref);
        tally.add(data.map_or(0, Bytes::len));
        let trailers = frame.and_then(Frame::trailers_ref);
        tally.add(trailers.map_or(0, size_of_trailers));
        if frame.is_none() || trailers.is_some() {
            tally.add(usize::from(mem::take(&mut self.has_end)));
        }
    }

    /// Looks at what has come of the body, and waits for nothing.
    ///
    /// # Errors
    /// It is broken from its beginning.
    pub(crate) async fn peek(&mut self) -> Result<(), BoxError> {
        let first = poll_fn(|context| match Pin::new(&mut *self).poll_frame(context) {
            Poll::Ready(Some(frame)) => Poll::Ready(frame.map(Some)),
            Poll::Ready(None) | Poll::Pending => Poll::Ready(Ok(None)),
        });
        self.first = first.await?;
        Ok(())
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
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match Pin::new(&mut this.body).poll_frame(context) {
            Poll::Ready(frame) => {
                this.timer.stop();
                this.pulse.iter().for_each(Pulse::beat);
                match &frame {
                    Some(Ok(frame)) => {
                        this.count(Some(frame));
                        this.tell_end();
                    }
                    // Its end will never come, whatever is read behind it.
                    Some(Err(_)) => this.has_end = false,
                    None => {
                        this.count(None);
                        this.pulse.iter().for_each(Pulse::end);
                    }
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending if this.timer.has_expired(this.limit, context) => {
                this.pulse.iter().for_each(Pulse::stop);
                Poll::Ready(Some(Err(Silence.into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().and_then(Frame::data_ref);
        let first = first.map_or(0, |data| data.len() as u64);
        let rest = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + first);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + first);
        }
        hint
    }
}

/// Reads what has come of a body that nobody wants, and says whether that is all of it.
pub(crate) async fn spill(mut body: impl Body + Unpin) -> bool {
    /// HAProxy: `tune.bufsize`.
    const MOST: u64 = 16 * 1024;
    /// How often the connection has a turn to read.
    const TURNS: usize = 64;
    let mut read = 0;
    for _ in 0..TURNS {
        if body.is_end_stream() {
            return true;
        }
        if read + body.size_hint().lower() > MOST {
            return false;
        }
        let next = poll_fn(|context| match Pin::new(&mut body).poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(Some(frame)),
            Poll::Pending => Poll::Ready(None),
        });
        match next.await {
            Some(None) => return true,
            Some(Some(Ok(frame))) => {
                let data = frame.data_ref();
                read += data.map_or(0, |data| data.remaining() as u64);
            }
            Some(Some(Err(_))) => return false,
            None => task::yield_now().await,
        }
    }
    false
}

/// The error of a body whose sender is silent for too long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence;

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("silent for too long")
    }
}

impl Error for Silence {}

/// When something last happened, for those who wait for something else meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Pulse(Arc<Mutex<Felt>>);

#[derive(Clone, Copy, Debug)]
struct Felt {
    last: Instant,
    has_stopped: bool,
    is_over: bool,
}

impl Default for Pulse {
    fn default() -> Self {
        let last = Instant::now();
        Self(Arc::new(Mutex::new(Felt {
            last,
            has_stopped: false,
            is_over: false,
        })))
    }
}

impl Pulse {
    /// Something has happened.
    pub(crate) fn beat(&self) {
        self.change(|felt| felt.last = Instant::now());
    }

    /// Nothing has happened for too long.
    fn stop(&self) {
        self.change(|felt| felt.has_stopped = true);
    }

    /// All has come that there is.
    fn end(&self) {
        self.change(|felt| felt.is_over = true);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.change(|felt| felt.is_over)
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.change(|felt| felt.has_stopped)
    }

    pub(crate) fn last(&self) -> Instant {
        self.change(|felt| felt.last)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Felt) -> T) -> T {
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
