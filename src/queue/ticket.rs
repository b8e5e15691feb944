//! What a waiting request and its queue share.

use std::fmt;
use std::task::{Context, Poll, Waker};

use super::sync::Mutex;
use crate::handle::Lease;

/// How it goes with a request that waits.
enum Stage<P> {
    /// In its queue; whoever waits is woken by this.
    Waiting(Option<Waker>),
    /// Out of its queue, with a slot.
    Served(Lease<P>),
    /// Out of its queue because its server has left.
    SentBack,
    /// The answer was taken, or nobody waits for it any more.
    Gone,
}

/// How the waiting ended.
pub(crate) enum Ending<P> {
    Served(Lease<P>),
    SentBack,
}

/// One for each request that waits.
pub(super) struct Ticket<P> {
    stage: Mutex<Stage<P>>,
    /// Whether it stays with its server whatever becomes of that.
    pub(super) is_forced: bool,
}

impl<P> Ticket<P> {
    pub(super) fn new(is_forced: bool) -> Self {
        Self {
            stage: Mutex::new(Stage::Waiting(None)),
            is_forced,
        }
    }

    /// Ends the waiting, and says whom to wake once no lock is held.
    pub(super) fn end(&self, ending: Ending<P>) -> Option<Waker> {
        let stage = match ending {
            Ending::Served(lease) => Stage::Served(lease),
            Ending::SentBack => Stage::SentBack,
        };
        match std::mem::replace(&mut *self.stage.lock(), stage) {
            Stage::Waiting(waker) => waker,
            _ => None,
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(*self.stage.lock(), Stage::Waiting(_))
    }

    /// The ending, if there is one that was not taken before.
    pub(super) fn take(&self) -> Option<Ending<P>> {
        let mut stage = self.stage.lock();
        if matches!(*stage, Stage::Waiting(_)) {
            return None;
        }
        let taken = std::mem::replace(&mut *stage, Stage::Gone);
        drop(stage);
        match taken {
            Stage::Served(lease) => Some(Ending::Served(lease)),
            Stage::SentBack => Some(Ending::SentBack),
            Stage::Waiting(_) | Stage::Gone => None,
        }
    }

    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<Ending<P>> {
        let old = match &mut *self.stage.lock() {
            Stage::Waiting(Some(waker)) if waker.will_wake(context.waker()) => None,
            Stage::Waiting(waker) => waker.replace(context.waker().clone()),
            _ => None,
        };
        // A waker's code is somebody else's: not under the lock.
        drop(old);
        self.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<P> fmt::Debug for Ticket<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self.stage.lock() {
            Stage::Waiting(_) => "waiting",
            Stage::Served(_) => "served",
            Stage::SentBack => "sent back",
            Stage::Gone => "gone",
        })
    }
}
