//! The request side for callers that can wait: a server now, or a place in a queue.

use super::Backend;
use super::select::Chosen;
use super::snapshot::Snapshot;
use crate::error::{Refusal, SelectError};
use crate::handle::{Lease, ServerHandle};
use crate::message::Request;
use crate::queue::{Admission, Comer, Entry, Priority, SentBack, Spot, Turn, Waiting};
use crate::selection::{Claim, Selection, Trust};
use crate::selector::Choice;
use crate::server::ServerId;
use crate::time::Now;

impl<P: Send + Sync + 'static> Backend<P> {
    /// Finds the server for a request, as [`select`](Self::select) does, and lets the request
    /// wait where that would refuse it for want of a slot.
    ///
    /// A request that persistence or a hash sends to a full server waits for that server
    /// and no other; one that found all servers full waits for whichever has a slot first.
    /// A slot that becomes free goes to the first of both queues, by [`Priority`], then by
    /// arrival, `now`. Requests of one moment: first those that wait for this server, then in
    /// the order of the calls.
    ///
    /// If the queue of the server is [full](crate::Server::max_queue), a request that persistence
    /// sent there is balanced at once, away from that server, if
    /// [`Redispatch`](crate::Redispatch) is on and it is not force-persisted; others are refused.
    ///
    /// When the server a request waits for goes down, into maintenance or drain, begins
    /// to stop, or is removed, waiting ends with [`Turn::SentBack`], if
    /// [`Redispatch`](crate::Redispatch) is on, [`persist`](crate::BackendBuilder::persist) is not,
    /// and the request is not force-persisted; otherwise it waits on, and is served as sessions on the
    /// server end. Only the removal of a server sends all of them back.
    ///
    /// ```
    /// use stickroute::{Admission, Backend, Now, Server, SimpleRequest, Turn};
    ///
    /// let backend: Backend = Backend::builder("render")
    ///     .server(Server::new("gpu1", "10.0.0.1:80").max_connections(1))
    ///     .build()?;
    ///
    /// let request = SimpleRequest::default();
    /// let Admission::Served(first) = backend.admit(&request, Now::system())? else {
    ///     unreachable!("the server is idle");
    /// };
    /// let Admission::Waits(waiting) = backend.admit(&request, Now::system())? else {
    ///     unreachable!("its only slot is taken");
    /// };
    /// let waiting = waiting.try_take().expect_err("not yet");
    ///
    /// drop(first);
    /// // A proxy would write `waiting.await` here, within a timeout.
    /// let Ok(Turn::Served(second)) = waiting.try_take() else {
    ///     unreachable!("the slot was handed on");
    /// };
    /// assert_eq!(second.server().name(), "gpu1");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SelectError`] when no server can take the request, or when there is no room in the
    /// queue; answer 503.
    pub fn admit(&self, request: &dyn Request, now: Now) -> Result<Admission<P>, SelectError> {
        self.admit_with(request, now, Priority::default())
    }

    /// As [`admit`](Self::admit), with an urgency of its own, should the request have to wait.
    ///
    /// # Errors
    /// As [`admit`](Self::admit).
    pub fn admit_with(
        &self,
        request: &dyn Request,
        now: Now,
        priority: Priority,
    ) -> Result<Admission<P>, SelectError> {
        self.warm_up(now);
        self.current.read(|snapshot| {
            let request = &self.forwarded(request);
            let mut stores = None;
            let (named, findings) = self.decide(snapshot, request, now, &mut stores);
            let arrival = Arrival {
                request,
                now,
                claim: Claim {
                    priority,
                    ..findings.claim(stores)
                },
                named: named.map(|index| snapshot.members[index].id()),
                given_up: None,
                avoid: None,
            };
            self.admit_in(snapshot, arrival)
        })
    }

    /// Balances a request again whose server left while it waited; it may have to wait once
    /// more, behind those who wait already.
    ///
    /// `request` is the request as it was admitted with.
    ///
    /// # Errors
    /// As [`admit`](Self::admit).
    pub fn readmit(
        &self,
        sent_back: SentBack,
        request: &dyn Request,
        now: Now,
    ) -> Result<Admission<P>, SelectError> {
        self.warm_up(now);
        let request = &self.forwarded(request);
        self.current
            .read(|snapshot| self.admit_in(snapshot, sent_back.arrival(request, now)))
    }

    /// Finds a place for a request in this snapshot, or in the next if that has come.
    pub(super) fn admit_in(
        &self,
        snapshot: &Snapshot<P>,
        arrival: Arrival<'_>,
    ) -> Result<Admission<P>, SelectError> {
        match self.place(snapshot, arrival) {
            Ok(placed) => placed,
            Err(late) => self.current.read(|newer| self.admit_in(newer, *late)),
        }
    }

    /// Whether persistence may name the server at this position.
    fn may_be_named(&self, snapshot: &Snapshot<P>, index: usize, arrival: &Arrival<'_>) -> bool {
        let status = snapshot.farm.servers()[index].status();
        status.accepts_persisted() || self.policy.persist || arrival.is_forced()
    }

    fn place<'r>(&self, snapshot: &Snapshot<P>, mut arrival: Arrival<'r>) -> Placed<'r, P> {
        if let Some(server) = arrival.named {
            let may_move = self.policy.retry.redispatches() && !arrival.is_forced();
            // In the moment since it was named it may have been removed, or have stopped.
            let position = snapshot.position(server);
            let position = position.filter(|&index| self.may_be_named(snapshot, index, &arrival));
            match position.map(|index| snapshot.enter(index, arrival.comer())) {
                None => arrival = arrival.giving_up(server),
                Some(Entry::Full) if may_move => arrival = arrival.giving_up(server),
                Some(entry) => return arrival.settle(entry),
            }
        }
        match snapshot.enter_any(&arrival) {
            Ok(entry) => arrival.settle(entry),
            Err(refusal) => Ok(Err(arrival.refused(refusal))),
        }
    }
}

/// A request on its way to a server or into a queue.
pub(super) struct Arrival<'r> {
    request: &'r dyn Request,
    now: Now,
    claim: Claim,
    /// The server that persistence names.
    named: Option<ServerId>,
    /// The server it came for before and that was given up.
    given_up: Option<ServerId>,
    avoid: Option<ServerId>,
}

/// The answer, or the request once more when the farm has changed meanwhile.
type Placed<'r, P> = Result<Result<Admission<P>, SelectError>, Box<Arrival<'r>>>;

impl<'r> Arrival<'r> {
    /// A request that was given up by, or has given up, this server.
    pub(super) fn balanced_again(
        request: &'r dyn Request,
        now: Now,
        claim: Claim,
        server: impl Into<Option<ServerId>>,
    ) -> Self {
        Self {
            request,
            now,
            claim,
            named: None,
            given_up: server.into(),
            avoid: None,
        }
    }

    pub(super) fn avoiding(mut self, server: ServerId) -> Self {
        self.avoid = Some(server);
        self
    }

    fn giving_up(mut self, server: ServerId) -> Self {
        self.claim.balance_again();
        Self::balanced_again(self.request, self.now, self.claim, server).avoiding(server)
    }

    fn is_forced(&self) -> bool {
        self.claim.trust == Trust::Forced
    }

    fn comer(&self) -> Comer {
        Comer {
            priority: self.claim.priority,
            arrival: self.now.mono(),
            is_forced: self.is_forced(),
        }
    }

    fn refused(&self, refusal: Refusal) -> SelectError {
        SelectError::new(refusal, self.claim.client_cookie)
    }

    fn settle<P>(mut self, entry: Entry<P>) -> Placed<'r, P> {
        match entry {
            Entry::Served(lease) => {
                self.is_at(Some(&lease));
                let claim = self.claim;
                Ok(Ok(Admission::Served(Selection { lease, claim })))
            }
            Entry::Waits(spot) => {
                self.is_at(spot.server());
                self.wait(spot)
            }
            Entry::Full => Ok(Err(self.refused(Refusal::Saturated))),
            Entry::Stale => Err(Box::new(self)),
        }
    }

    /// Notes where it is now. In the queue for all servers it has none, which is another
    /// than before: observed on HAProxy 2.6.12 even when the same serves it in the end.
    fn is_at<P>(&mut self, server: Option<&ServerHandle<P>>) {
        if self.given_up.is_some() && server.map(ServerHandle::id) != self.given_up {
            self.claim.moved();
        }
    }

    /// The turn may have come by now.
    fn wait<P>(self, spot: Spot<P>) -> Placed<'r, P> {
        match Waiting::new(spot, self.claim).try_take() {
            Err(waiting) => Ok(Ok(Admission::Waits(waiting))),
            Ok(Turn::Served(selection)) => Ok(Ok(Admission::Served(selection))),
            Ok(Turn::SentBack(back)) => Err(Box::new(back.arrival(self.request, self.now))),
        }
    }
}

impl SentBack {
    fn arrival(mut self, request: &dyn Request, now: Now) -> Arrival<'_> {
        self.claim.balance_again();
        Arrival::balanced_again(request, now, self.claim, self.from)
    }
}

impl<P> Snapshot<P> {
    /// A slot of the server at this position, or a place in its queue.
    fn enter(&self, index: usize, comer: Comer) -> Entry<P> {
        let member = &self.members[index];
        if let Some(lease) = Lease::take(member) {
            return Entry::Served(lease);
        }
        self.adapt_line().wake();
        self.line.join(self.version, member, comer)
    }

    /// A slot of any server, or a place in the queue of the one the selector insists on, or
    /// of all.
    fn enter_any(&self, arrival: &Arrival<'_>) -> Result<Entry<P>, Refusal> {
        let choice = Choice::new(&self.farm, arrival.request, arrival.now);
        let avoid = arrival.avoid.and_then(|id| self.position(id));
        Ok(match self.choose(&choice.avoiding(avoid))? {
            Chosen::Taken(lease) => Entry::Served(lease),
            Chosen::Full(index) => self.enter(index, arrival.comer()),
            Chosen::Nobody => {
                self.adapt_line().wake();
                let passed_over = self.selector.passes_over_room();
                let (entry, called) =
                    self.line
                        .join_all(self.version, arrival.comer(), passed_over);
                called.wake();
                entry
            }
        })
    }
}
