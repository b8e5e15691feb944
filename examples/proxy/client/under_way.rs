//! What those who answer the requests of a connection, and the connection itself, have to
//! tell each other.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use stickroute::Now;
use stickroute::haproxy::Cause;
use tokio::io::AsyncWrite;

use crate::client::wire::{Refusal, Told};
use crate::server::exchange::Exchange;

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
    is_opaque: bool,
    is_tunnel: bool,
    /// Heads of interim responses, and how much of them has been written.
    interim: Vec<u8>,
    interim_written: usize,
    /// Requests whose responses have been made, and not all written.
    unwritten: Vec<Exchange>,
    /// Nothing is written any more, by whose fault.
    broken: Option<Cause>,
    departure: Option<Departure>,
    /// Of somebody who wants to know of that.
    watcher: Option<Waker>,
}

/// Where nothing has been said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Over HTTP/1, or before anything came.
    First,
    /// Over HTTP/2.
    Second,
}

/// How a client has left while it was waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// It says nothing more, and may still listen.
    HalfClosed,
    Reset,
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
            is_opaque: false,
            is_tunnel: false,
            interim: Vec::new(),
            interim_written: 0,
            unwritten: Vec::new(),
            broken: None,
            departure: None,
            watcher: None,
        })))
    }

    /// Of the request whose head is being read, or has just been.
    pub(crate) fn beginning(&self) -> Beginning {
        self.lock().beginning
    }

    /// In which version nothing has been said: no request has come, nor anything that could
    /// not be read as one.
    pub(crate) fn silence(&self) -> Option<Silence> {
        let shared = self.lock();
        let is_silent = !shared.has_begun && shared.refusal.is_none();
        let silence = if shared.is_opaque {
            Silence::Second
        } else {
            Silence::First
        };
        is_silent.then_some(silence)
    }

    /// What is spoken is HTTP/2, or a tunnel.
    pub(super) fn is_opaque(&self) {
        self.lock().is_opaque = true;
    }

    /// Bytes have come.
    pub(super) fn hear(&self) {
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

    /// What is known of requests that will begin.
    pub(super) fn tell(&self, told: impl Iterator<Item = Told>) {
        self.lock().told.extend(told);
    }

    /// Nothing more is read.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.lock().refusal = Some(refusal);
    }

    /// Why the body of the last request is not read any further.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.lock().refusal
    }

    /// A request whose response has been made ends when that has been written.
    pub(crate) fn end_when_written(&self, exchange: Exchange) {
        let mut shared = self.lock();
        if let Some(cause) = shared.broken {
            drop(shared);
            return exchange.break_off(cause);
        }
        shared.unwritten.push(exchange);
    }

    pub(super) fn written(&self) {
        let done = mem::take(&mut self.lock().unwritten);
        // They lock it themselves.
        drop(done);
    }

    pub(super) fn break_off(&self, cause: Cause) {
        let unwritten = {
            let mut shared = self.lock();
            shared.broken.get_or_insert(cause);
            mem::take(&mut shared.unwritten)
        };
        for exchange in unwritten {
            exchange.break_off(cause);
        }
    }

    /// Whose fault it is that the rest of a response is not written.
    pub(crate) fn breaker(&self) -> Cause {
        self.lock().broken.unwrap_or(Cause::Client)
    }

    /// Waits until the client leaves.
    pub(crate) async fn left(&self) -> Departure {
        poll_fn(|context| {
            let mut shared = self.lock();
            shared.watcher = Some(context.waker().clone());
            shared.departure.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    pub(super) fn leave(&self, departure: Departure) {
        let mut shared = self.lock();
        shared.departure.get_or_insert(departure);
        let watcher = shared.watcher.take();
        drop(shared);
        watcher.into_iter().for_each(Waker::wake);
    }

    pub(super) fn is_watched(&self) -> bool {
        let shared = self.lock();
        shared.watcher.is_some() && shared.departure.is_none()
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

    /// Writes what hyper does not know of. It is called when hyper has nothing to write, so
    /// that it never comes in between.
    pub(super) fn poll_interim(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut shared = self.lock();
            if shared.interim.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let rest = &shared.interim[shared.interim_written..];
            let count = ready!(Pin::new(&mut *stream).poll_write(context, rest))?;
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

    /// Whether there is none; otherwise `context` is woken when the last has ended: hyper
    /// would not ask for more of the client by itself, and the timer would not start.
    pub(super) fn is_empty(&self, context: &Context<'_>) -> bool {
        let mut shared = self.lock();
        shared.waker = Some(context.waker().clone());
        shared.count == 0 && shared.told.is_empty()
    }

    pub(super) fn is_tunnel(&self) -> bool {
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

impl Counted {
    pub(crate) fn under_way(&self) -> UnderWay {
        self.0.clone()
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
