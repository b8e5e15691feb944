//! Connections to clients: where they come from, and how long they may be silent.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use stickroute::Now;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{self, Sleep};

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

/// The requests of one connection that are under way.
#[derive(Clone, Debug)]
pub(crate) struct UnderWay(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    requests: usize,
    waker: Option<Waker>,
    /// When the connection was accepted, or the last request ended.
    begun: Now,
    /// When the first byte came after that.
    heard: Option<Now>,
}

/// When a request began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    /// When its connection was accepted, or the request before it ended.
    pub(crate) begun: Now,
    /// When its first byte came.
    pub(crate) heard: Now,
}

/// Counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(UnderWay);

impl UnderWay {
    /// The connection was accepted now.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            requests: 0,
            waker: None,
            begun: Now::system(),
            heard: None,
        })))
    }

    pub(crate) fn begin(&self) -> Counted {
        self.lock().requests += 1;
        Counted(self.clone())
    }

    /// Of the request whose head has just been read.
    pub(crate) fn beginning(&self) -> Beginning {
        let state = self.lock();
        let begun = state.begun;
        let heard = state.heard.unwrap_or(begun);
        Beginning { begun, heard }
    }

    /// Bytes have come.
    fn hear(&self) {
        let mut state = self.lock();
        if state.requests == 0 {
            state.heard.get_or_insert_with(Now::system);
        }
    }

    /// Whether there is none; otherwise `context` is woken when the last has ended: hyper
    /// would not ask for more of the client by itself, and the timer would not start.
    fn is_empty(&self, context: &Context<'_>) -> bool {
        let mut state = self.lock();
        if state.requests > 0 {
            state.waker = Some(context.waker().clone());
        }
        state.requests == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.requests -= 1;
        if state.requests > 0 {
            return;
        }
        state.begun = Now::system();
        state.heard = None;
        if let Some(waker) = state.waker.take() {
            drop(state);
            waker.wake();
        }
    }
}

/// An HTTP client's connection that ends when the client is silent for too long.
pub(crate) struct PatientStream {
    stream: Box<dyn Stream>,
    patience: Patience,
    under_way: UnderWay,
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
    pub(crate) fn new(stream: Box<dyn Stream>, patience: Patience, under_way: UnderWay) -> Self {
        Self {
            stream,
            patience,
            under_way,
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
            (true, Waiting::Response) => self.wait_for(Waiting::Next),
            _ => {}
        }
        let limit = match self.waiting {
            Waiting::Head => self.patience.head,
            Waiting::Next => self.patience.keep_alive,
            Waiting::Response => None,
        };
        has_expired(&mut self.reading, limit, context)
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
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_pending() {
            // As if the client had closed it: what is under way has ended.
            if this.expired(context) {
                return Poll::Ready(Ok(()));
            }
        }
        if buffer.filled().len() > before {
            this.under_way.hear();
            this.wait_for(Waiting::Head);
        }
        read
    }
}

impl PatientStream {
    fn timed<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
        } else if has_expired(&mut self.writing, self.patience.write, context) {
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
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.timed(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
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
