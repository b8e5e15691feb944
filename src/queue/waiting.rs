//! A request that waits, as its caller holds it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Line;
use super::priority::Place;
use super::ticket::{Ending, Ticket};
use crate::cookie::ClientCookie;
use crate::error::{Refusal, SelectError};
use crate::handle::ServerHandle;
use crate::selection::{Claim, Selection};
use crate::server::ServerId;

/// What [`Backend::admit`](crate::Backend::admit) answers.
#[derive(Debug)]
#[must_use = "dropping it gives the slot back, or the place in the queue"]
pub enum Admission<P = ()> {
    /// The request has its server.
    Served(Selection<P>),
    /// All slots are taken, so the request waits for one.
    Waits(Waiting<P>),
}

/// How waiting ended.
#[derive(Debug)]
#[must_use = "dropping it gives the slot back"]
pub enum Turn<P = ()> {
    /// The request has its server, as if it had been served at once.
    Served(Selection<P>),
    /// The server it waited for has left: hand this to
    /// [`Backend::readmit`](crate::Backend::readmit).
    SentBack(SentBack),
}

/// A request whose server left while it waited.
#[derive(Debug)]
#[must_use = "the request is to be readmitted"]
pub struct SentBack {
    pub(crate) claim: Claim,
    /// The server that left.
    pub(crate) from: Option<ServerId>,
}

impl SentBack {
    /// What the client's cookie said, for the log.
    pub fn client_cookie(&self) -> ClientCookie {
        self.claim.client_cookie
    }
}

/// A request that waits for its turn.
///
/// It is a future: await it, on any runtime or by hand, or ask now and then with
/// [`try_take`](Self::try_take). It borrows nothing and may cross threads. Dropping it leaves
/// the queue; a slot it was given meanwhile goes to the next in turn.
///
/// It never ends by itself, not even when no server is left, since one may come. How long a request may wait is the caller's to measure: drop
/// it after that and answer 503. HAProxy: `timeout queue`, which is `timeout connect` unless it is
/// set; neither redispatch nor retries help a request that has waited too long.
#[must_use = "dropping it leaves the queue"]
pub struct Waiting<P = ()> {
    spot: Spot<P>,
    /// There until the waiting has ended.
    claim: Option<Box<Claim>>,
}

/// A place in a queue.
pub(crate) struct Spot<P> {
    line: Arc<Line<P>>,
    ticket: Arc<Ticket<P>>,
    place: Place,
    server: Option<Arc<ServerHandle<P>>>,
}

impl<P> Spot<P> {
    pub(super) fn new(
        line: &Arc<Line<P>>,
        ticket: Arc<Ticket<P>>,
        place: Place,
        server: Option<&Arc<ServerHandle<P>>>,
    ) -> Self {
        Self {
            line: Arc::clone(line),
            ticket,
            place,
            server: server.cloned(),
        }
    }

    pub(crate) fn server(&self) -> Option<&ServerHandle<P>> {
        self.server.as_deref()
    }

    /// How the waiting ended, if it has.
    pub(super) fn take(&self) -> Option<Ending<P>> {
        self.ticket.take()
    }
}

impl<P> Drop for Spot<P> {
    fn drop(&mut self) {
        if self.ticket.is_waiting() {
            self.line.leave(self.server.as_ref(), self.place);
        }
        // A slot that nobody came for goes to the next, when no lock is held.
        drop(self.take());
    }
}

impl<P> Waiting<P> {
    pub(crate) fn new(spot: Spot<P>, claim: Claim) -> Self {
        Self {
            spot,
            claim: Some(Box::new(claim)),
        }
    }

    /// The server the request waits for, `None` if the first that has a slot will do.
    pub fn server(&self) -> Option<&ServerHandle<P>> {
        self.spot.server()
    }

    /// What the client's cookie said, for the log of a request that waited too long.
    pub fn client_cookie(&self) -> ClientCookie {
        let claim = self.claim.as_ref();
        claim.map_or(ClientCookie::None, |claim| claim.client_cookie)
    }

    /// Leaves the queue: what to tell of a request that has waited too long. A slot that it
    /// was given meanwhile goes to the next in turn.
    pub fn give_up(self) -> SelectError {
        SelectError::new(Refusal::Saturated, self.client_cookie())
    }

    /// The turn, if it has come; else the request waits on.
    ///
    /// # Errors
    /// The request itself, which still waits.
    pub fn try_take(mut self) -> Result<Turn<P>, Self> {
        match self.spot.take() {
            Some(ending) => self.end(ending).ok_or(self),
            None => Err(self),
        }
    }

    fn end(&mut self, ending: Ending<P>) -> Option<Turn<P>> {
        let claim = *self.claim.take()?;
        Some(match ending {
            Ending::Served(lease) => Turn::Served(Selection { lease, claim }),
            Ending::SentBack => Turn::SentBack(SentBack {
                claim,
                from: self.server().map(ServerHandle::id),
            }),
        })
    }
}

/// After the turn was taken it stays pending for ever.
impl<P> Future for Waiting<P> {
    type Output = Turn<P>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Turn<P>> {
        match self.spot.ticket.poll(context) {
            Poll::Ready(ending) => self.end(ending).map_or(Poll::Pending, Poll::Ready),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<P> fmt::Debug for Waiting<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("server", &self.server().map(ServerHandle::name))
            .field("state", &self.spot.ticket)
            .finish_non_exhaustive()
    }
}
