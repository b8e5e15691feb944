//! Connections to clients: where they come from, and how long they may be silent.

use std::fmt;
use std::future::Future;
use std::io;
use std::mem::{self, MaybeUninit};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use stickroute::SimpleRequest;
use stickroute::haproxy::Cause;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{self, Instant, Sleep};

use crate::client::under_way::{Departure, UnderWay};
use crate::client::wire::{Refusal, Wire};

/// So much of what clients send is read before anybody takes it. HAProxy: `tune.bufsize`.
pub(crate) const MOST_AHEAD: usize = 16_384;

/// A connection of any kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The two ends of a client's connection, `None` where they have no IP address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) source: Option<SocketAddr>,
    pub(crate) destination: Option<SocketAddr>,
}

impl Ends {
    /// A request between them.
    pub(crate) fn describe(self, mut request: SimpleRequest) -> SimpleRequest {
        if let Some(source) = self.source {
            request = request.source(source.ip()).source_port(source.port());
        }
        match self.destination {
            Some(destination) => request.destination(destination),
            None => request,
        }
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source {
            Some(source) => source.fmt(f),
            None => f.write_str("unix"),
        }
    }
}

/// How long an HTTP client may be silent; `None` is for ever.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    /// From the first byte of a request to the last of its head.
    pub(crate) head: Option<Duration>,
    /// Between two requests.
    pub(crate) keep_alive: Option<Duration>,
    /// While it is to take bytes of a response.
    pub(crate) write: Option<Duration>,
}

/// Tells of a request that is not read any further before anybody could answer it; comes
/// back with what the client is told.
pub(crate) type Refuse = Box<dyn Fn(Refusal) -> Vec<u8> + Send>;

/// An HTTP client's connection that ends when the client is silent for too long or sends
/// what is no HTTP.
pub(crate) struct PatientStream {
    stream: Box<dyn Stream>,
    patience: Patience,
    under_way: UnderWay,
    wire: Wire,
    refuse: Refuse,
    /// What is still to be written before it is closed.
    last_words: Vec<u8>,
    is_at_end: bool,
    waiting: Waiting,
    reading: Timer,
    writing: Timer,
}

/// What of a client is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// The first request, or the rest of a head.
    Head,
    /// Nothing: a request is under way, with whatever its body has to say.
    Response,
    /// Another request.
    Next,
}

impl PatientStream {
    pub(crate) fn new(
        stream: Box<dyn Stream>,
        patience: Patience,
        under_way: UnderWay,
        refuse: Refuse,
    ) -> Self {
        Self {
            stream,
            patience,
            under_way,
            wire: Wire::new(),
            refuse,
            last_words: Vec::new(),
            is_at_end: false,
            waiting: Waiting::Head,
            reading: Timer::default(),
            writing: Timer::default(),
        }
    }

    /// Follows the requests; the timer starts anew with each change.
    fn wait_for(&mut self, waiting: Waiting) {
        if self.waiting != waiting {
            self.waiting = waiting;
            self.reading.stop();
        }
    }

    fn expired(&mut self, context: &mut Context<'_>) -> bool {
        match (self.under_way.is_empty(context), self.waiting) {
            (false, _) => self.wait_for(Waiting::Response),
            (true, _) if self.wire.is_in_head() => self.wait_for(Waiting::Head),
            (true, Waiting::Head) if self.wire.is_opaque() => {}
            (true, _) => self.wait_for(Waiting::Next),
        }
        let limit = match self.waiting {
            _ if self.under_way.is_tunnel() => None,
            Waiting::Head => self.patience.head,
            Waiting::Next => self.patience.keep_alive,
            Waiting::Response => None,
        };
        self.reading.has_expired(limit, context)
    }

    /// Moves bytes from the client to `wire`.
    fn poll_feed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wire.is_undecided() {
            return self.poll_decision(context);
        }
        let mut bytes = [const { MaybeUninit::uninit() }; 8192];
        let mut bytes = ReadBuf::uninit(&mut bytes);
        let read = Pin::new(&mut self.stream).poll_read(context, &mut bytes);
        match read {
            Poll::Ready(Ok(())) if bytes.filled().is_empty() => {
                self.is_at_end = true;
                self.wire.end();
                self.under_way.leave(Departure::HalfClosed);
            }
            Poll::Ready(Ok(())) => self.feed(bytes.filled()),
            Poll::Ready(Err(error)) => {
                self.under_way.leave(Departure::Reset);
                if !self.wire.is_before_body() {
                    self.wire.end();
                    self.note_refusal();
                }
                return Poll::Ready(Err(error));
            }
            Poll::Pending if self.expired(context) => {
                // As if the client had closed it: what is under way has ended.
                self.is_at_end = true;
                self.wire.expire();
            }
            Poll::Pending => return Poll::Pending,
        }
        self.note_refusal();
        Poll::Ready(Ok(()))
    }

    /// Waits until it is known what has become of a request for a tunnel.
    fn poll_decision(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_over = self.under_way.is_empty(context);
        let is_tunnel = self.under_way.is_tunnel();
        if !is_over && !is_tunnel {
            return Poll::Pending;
        }
        self.wire.decide(is_tunnel);
        Poll::Ready(Ok(()))
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.under_way.hear();
        self.wire.feed(bytes);
        // They may be those of another request: nothing else tells two pauses apart if it is
        // answered before more is asked for. So may each frame of HTTP/2.
        self.wait_for(Waiting::Head);
        if self.wire.is_opaque() {
            self.under_way.is_opaque();
        }
        self.under_way.tell(self.wire.told());
    }

    fn note_refusal(&mut self) {
        let Some(refusal) = self.wire.refusal() else {
            return;
        };
        self.is_at_end = true;
        self.under_way.refuse(refusal);
        if self.wire.is_before_body() {
            // Nobody else will answer.
            self.last_words = (self.refuse)(refusal);
        }
    }

    /// Reads what else has come of a body, so that a request is known to be cut off, or no
    /// request, before it goes anywhere.
    fn look_ahead(&mut self, context: &mut Context<'_>) {
        while self.wire.is_in_body() && self.feeds_ahead(context) {}
    }

    /// Looks whether the client has left, if anybody wants to know.
    fn watch(&mut self, context: &mut Context<'_>) {
        let watches = self.under_way.is_watched() && !self.under_way.is_tunnel();
        while watches && !self.wire.is_undecided() && self.feeds_ahead(context) {}
    }

    /// Whether there was more, and there may be more than that.
    fn feeds_ahead(&mut self, context: &mut Context<'_>) -> bool {
        if self.is_at_end || self.wire.len() >= MOST_AHEAD {
            return false;
        }
        let fed = self.poll_feed(context);
        self.is_at_end |= matches!(fed, Poll::Ready(Err(_)));
        fed.is_ready()
    }

    fn poll_last_words(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.last_words.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(context, &self.last_words);
            let count = ready!(written)?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.last_words.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}

/// Runs while somebody is waited for.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    /// Stays when the timer is stopped: to put it off costs much less than to make another.
    sleep: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl Timer {
    pub(crate) fn stop(&mut self) {
        self.is_running = false;
    }

    /// Starts it, if it does not run, and asks whether `limit` is over; `None` stops it.
    pub(crate) fn has_expired(
        &mut self,
        limit: Option<Duration>,
        context: &mut Context<'_>,
    ) -> bool {
        let was_running = mem::replace(&mut self.is_running, limit.is_some());
        let Some(limit) = limit else { return false };
        match &mut self.sleep {
            Some(_) if was_running => {}
            Some(sleep) => sleep.as_mut().reset(Instant::now() + limit),
            None => self.sleep = Some(Box::pin(time::sleep(limit))),
        }
        let mut sleep = self.sleep.iter_mut();
        sleep.any(|sleep| sleep.as_mut().poll(context).is_ready())
    }
}

impl AsyncRead for PatientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.wire.is_empty() && !self.is_at_end {
            ready!(self.poll_feed(context))?;
        }
        self.look_ahead(context);
        let plain = self.wire.take(buffer.remaining());
        buffer.put_slice(plain.as_slice());
        Poll::Ready(Ok(()))
    }
}

impl Drop for PatientStream {
    fn drop(&mut self) {
        self.under_way.break_off(Cause::Client);
    }
}

impl PatientStream {
    fn timed<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        // A tunnel has its own idea of silence.
        let limit = self.patience.write.filter(|_| !self.under_way.is_tunnel());
        if written.is_ready() {
            self.writing.stop();
        } else if self.writing.has_expired(limit, context) {
            self.under_way.break_off(Cause::ClientTimeout);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if let Poll::Ready(Err(_)) = written {
            self.under_way.break_off(Cause::Client);
        }
        written
    }
}

impl AsyncWrite for PatientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.timed(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let flushed = match this.under_way.poll_interim(&mut this.stream, context) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.stream).poll_flush(context),
            other => other,
        };
        if let Poll::Ready(Ok(())) = flushed {
            self.under_way.written();
        }
        self.watch(context);
        self.timed(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = match self.poll_last_words(context) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_shutdown(context),
            other => other,
        };
        self.timed(shut, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.timed(written, context)
    }
}
