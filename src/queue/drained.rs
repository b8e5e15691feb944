//! A server that is to be empty, as whoever waits for that holds it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::Line;
use super::sync::Mutex;
use crate::server::ServerLoad;

/// How the [draining](crate::Backend::drained) of a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DrainEnd {
    /// No request was in flight on the server and none waited in its queue. It may have been
    /// removed meanwhile.
    Empty,
    /// The server takes new sessions, still or again, so that it may never be empty.
    InService,
}

/// Waits for the last session of a server to end.
///
/// [`Backend::drained`](crate::Backend::drained) and
/// [`Backend::remove`](crate::Backend::remove) give one. It is a future: await it, on any runtime or
/// by hand, or ask now and then with [`end`](Self::end). It borrows nothing and may cross
/// threads; any number may wait for one server, and dropping one leaves the others as they
/// are.
///
/// While somebody waits, each session that ends on this server takes a lock of the backend
/// for a moment; sessions of other servers do not, nor any while nobody waits.
#[must_use = "nobody is told unless it is awaited or asked"]
pub struct Drained<P = ()> {
    line: Arc<Line<P>>,
    watch: Arc<Watch>,
}

/// What somebody who waits and the [`Line`] share.
pub(super) struct Watch {
    pub(super) load: Arc<ServerLoad>,
    stage: Mutex<Stage>,
}

enum Stage {
    /// Whoever waits is woken by this.
    Waiting(Option<Waker>),
    Ended(DrainEnd),
}

impl Watch {
    pub(super) fn new(load: &Arc<ServerLoad>) -> Self {
        Self {
            load: Arc::clone(load),
            stage: Mutex::new(Stage::Waiting(None)),
        }
    }

    /// Ends the waiting, and says whom to wake once no lock is held.
    pub(super) fn end(&self, end: DrainEnd) -> Option<Waker> {
        match std::mem::replace(&mut *self.stage.lock(), Stage::Ended(end)) {
            Stage::Waiting(waker) => waker,
            Stage::Ended(_) => None,
        }
    }

    fn ended(&self) -> Option<DrainEnd> {
        match *self.stage.lock() {
            Stage::Waiting(_) => None,
            Stage::Ended(end) => Some(end),
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<DrainEnd> {
        let mut stage = self.stage.lock();
        let old = match &mut *stage {
            Stage::Ended(end) => return Poll::Ready(*end),
            Stage::Waiting(Some(waker)) if waker.will_wake(context.waker()) => None,
            Stage::Waiting(waker) => waker.replace(context.waker().clone()),
        };
        drop(stage);
        // A waker's code is somebody else's: not under the lock.
        drop(old);
        Poll::Pending
    }
}

impl<P> Drained<P> {
    pub(super) fn new(line: &Arc<Line<P>>, watch: Arc<Watch>) -> Self {
        Self {
            line: Arc::clone(line),
            watch,
        }
    }

    /// How it ended, `None` as long as it has not; the answer stays what it was.
    pub fn end(&self) -> Option<DrainEnd> {
        self.watch.ended()
    }

    /// What is left on the server at this very moment, to be shown while one waits.
    pub fn load(&self) -> &ServerLoad {
        &self.watch.load
    }
}

/// Once it has ended it is ready with the same answer for ever.
impl<P> Future for Drained<P> {
    type Output = DrainEnd;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<DrainEnd> {
        self.watch.poll(context)
    }
}

impl<P> Drop for Drained<P> {
    fn drop(&mut self) {
        if self.end().is_none() {
            self.line.unwatch(&self.watch);
        }
    }
}

impl<P> fmt::Debug for Drained<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drained")
            .field("load", self.load())
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}
