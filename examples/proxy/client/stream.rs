//! Connections to clients: where they come from, and how long they may be silent.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use stickroute::Now;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{self, Sleep};

use crate::client::wire::{Refusal, Told, Wire};

/// A connection of any kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The two ends of a client's connection, `None` where they have no IP address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) source: Option<SocketAddr>,
    pub(crate) destination: Option<SocketAddr>,
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

/// The requests of one connection that are under way, and what those who answer them and
/// the connection have to tell each other.
#[derive(Clone, Debug)]
pub(crate) struct UnderWay(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    count: usize,
    beginning: Beginning,
    has_begun: bool,
    /// Of the connection's task.
    waker: Option<Waker>,
    told: VecDeque<Told>,
    refusal: Option<Refusal>,
    is_tunnel: bool,
    /// Heads of interim responses, and how much of them has been written.
    interim: Vec<u8>,
    interim_written: usize,
}

/// When a request began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    /// When its connection was accepted, or the request before it ended.
    pub(crate) begun: Now,
    /// When its first byte came; `None` as long as none has.
    pub(crate) heard: Option<Now>,
}

impl Beginning {
    fn now() -> Self {
        Self {
            begun: Now::system(),
            heard: None,
        }
    }
}

/// Counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(UnderWay);

impl UnderWay {
    /// The connection was accepted now.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Shared {
            count: 0,
            beginning: Beginning::now(),
            has_begun: false,
            waker: None,
            told: VecDeque::new(),
            refusal: None,
            is_tunnel: false,
            interim: Vec::new(),
            interim_written: 0,
        })))
    }

    /// Of the request whose head is being read, or has just been.
    pub(crate) fn beginning(&self) -> Beginning {
        self.lock().beginning
    }

    /// Whether no request has come, nor anything that could not be read as one.
    pub(crate) fn has_said_nothing(&self) -> bool {
        let shared = self.lock();
        !shared.has_begun && shared.refusal.is_none()
    }

    /// Bytes have come.
    fn hear(&self) {
        let mut shared = self.lock();
        if shared.count == 0 {
            shared.beginning.heard.get_or_insert_with(Now::system);
        }
    }

    /// A request begins, of which the connection has told something.
    pub(crate) fn begin(&self) -> (Counted, Told) {
        let mut shared = self.lock();
        shared.count += 1;
        let mut told = shared.told.pop_front().unwrap_or_default();
        told.is_first = !mem::replace(&mut shared.has_begun, true);
        (Counted(self.clone()), told)
    }

    /// Why the body of the last request is not read any further.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.lock().refusal
    }

    /// From now on the connection is a tunnel.
    pub(crate) fn open_tunnel(&self) {
        self.lock().is_tunnel = true;
        self.wake();
    }

    /// Sends the head of an interim response ahead of the response.
    pub(crate) fn send_interim(&self, head: &[u8]) {
        self.lock().interim.extend_from_slice(head);
        self.wake();
    }

    /// Ends when all interim responses have been written: hyper knows nothing of them, and
    /// would write the response before them.
    pub(crate) async fn interim_sent(&self) {
        poll_fn(|context| {
            let mut shared = self.lock();
            if shared.interim.is_empty() {
                return Poll::Ready(());
            }
            shared.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether there is none; otherwise `context` is woken when the last has ended: hyper
    /// would not ask for more of the client by itself, and the timer would not start.
    fn is_empty(&self, context: &Context<'_>) -> bool {
        let mut shared = self.lock();
        shared.waker = Some(context.waker().clone());
        shared.count == 0 && shared.told.is_empty()
    }

    fn is_tunnel(&self) -> bool {
        self.lock().is_tunnel
    }

    fn wake(&self) {
        let waker = self.lock().waker.take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let count = {
            let mut shared = self.0.lock();
            shared.count -= 1;
            if shared.count == 0 {
                shared.beginning = Beginning::now();
            }
            shared.count
        };
        if count == 0 {
            self.0.wake();
        }
    }
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
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
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
            reading: None,
            writing: None,
        }
    }

    /// Follows the requests; the timer starts anew with each change.
    fn wait_for(&mut self, waiting: Waiting) {
        if self.waiting != waiting {
            self.waiting = waiting;
            self.reading = None;
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
        has_expired(&mut self.reading, limit, context)
    }

    /// Moves bytes from the client to `wire`.
    fn poll_feed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wire.is_undecided() {
            let is_over = self.under_way.is_empty(context);
            let is_tunnel = self.under_way.is_tunnel();
            if !is_over && !is_tunnel {
                return Poll::Pending;
            }
            self.wire.decide(is_tunnel);
            return Poll::Ready(Ok(()));
        }
        let mut bytes = [0; 8192];
        let mut bytes = ReadBuf::new(&mut bytes);
        let read = Pin::new(&mut self.stream).poll_read(context, &mut bytes);
        match read {
            Poll::Ready(Ok(())) if bytes.filled().is_empty() => {
                self.is_at_end = true;
                self.wire.end();
            }
            Poll::Ready(Ok(())) => {
                self.under_way.hear();
                self.wire.feed(bytes.filled());
                if self.wire.is_opaque() {
                    // Each frame of HTTP/2 may be that of a new request.
                    self.wait_for(Waiting::Head);
                }
                self.under_way.lock().told.extend(self.wire.told());
            }
            Poll::Ready(Err(error)) => {
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

    fn note_refusal(&mut self) {
        let Some(refusal) = self.wire.refusal() else {
            return;
        };
        self.is_at_end = true;
        self.under_way.lock().refusal = Some(refusal);
        if self.wire.is_before_body() {
            // Nobody else will answer.
            self.last_words = (self.refuse)(refusal);
        }
    }

    /// Writes what hyper does not know of. It is called when hyper has nothing to write, so
    /// that it never comes in between.
    fn poll_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut shared = self.under_way.lock();
            if shared.interim.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let rest = &shared.interim[shared.interim_written..];
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            shared.interim_written += count;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if shared.interim_written == shared.interim.len() {
                shared.interim.clear();
                shared.interim_written = 0;
                // Somebody in this task waits for that.
                context.waker().wake_by_ref();
            }
        }
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

/// Starts the timer, if it does not run, and asks it.
pub(crate) fn has_expired(
    timer: &mut Option<Pin<Box<Sleep>>>,
    limit: Option<Duration>,
    context: &mut Context<'_>,
) -> bool {
    let Some(limit) = limit else {
        *timer = None;
        return false;
    };
    let timer = timer.get_or_insert_with(|| Box::pin(time::sleep(limit)));
    timer.as_mut().poll(context).is_ready()
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
        let plain = self.wire.take(buffer.remaining());
        buffer.put_slice(plain.as_slice());
        Poll::Ready(Ok(()))
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
            self.writing = None;
        } else if has_expired(&mut self.writing, limit, context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
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
        let flushed = match self.poll_interim(context) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_flush(context),
            other => other,
        };
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
