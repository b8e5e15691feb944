//! The queues of one backend.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use super::Spot;
use super::drained::{DrainEnd, Drained, Watch};
use super::priority::{Place, Priority};
use super::sync::{AtomicU32, Mutex};
use super::ticket::{Ending, Ticket};
use crate::handle::{Lease, ServerHandle};
use crate::server::{AdminState, Crowd, Joined, OperationalState, ServerId, ServerLoad, Status};

/// Those who wait in a backend.
pub(crate) struct Line<P> {
    /// How many wait in the common queue, to be read without the lock.
    waiting: AtomicU32,
    crowd: Option<Arc<Crowd>>,
    /// Whether those who wait for a server that leaves are balanced again.
    sends_back: bool,
    state: Mutex<State<P>>,
}

/// What became of a request that came to wait.
pub(crate) enum Entry<P> {
    Served(Lease<P>),
    Waits(Spot<P>),
    /// There is no room in the queue.
    Full,
    /// The farm has changed since the request began.
    Stale,
}

/// A request that comes to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comer {
    pub(crate) priority: Priority,
    pub(crate) arrival: Duration,
    pub(crate) is_forced: bool,
}

/// A server and what of its state decides about queues.
pub(crate) struct Seated<'a, P> {
    pub(crate) member: &'a Arc<ServerHandle<P>>,
    pub(crate) status: Status,
    /// Whether it may serve the common queue.
    pub(crate) serves_all: bool,
}

type Queue<P> = BTreeMap<Place, Arc<Ticket<P>>>;

struct State<P> {
    /// Which of the farms that came one after the other this is about.
    version: u64,
    /// At their positions in that farm.
    seats: Vec<Seat<P>>,
    positions: HashMap<ServerId, usize, ahash::RandomState>,
    common: Queue<P>,
    /// Those who wait for servers to be empty, of which some may have left.
    watches: Vec<Arc<Watch>>,
    /// How many have come to wait so far.
    comers: u64,
}

/// A server and those who wait for it.
struct Seat<P> {
    /// Not kept alive, since it keeps the line alive that this belongs to.
    member: Weak<ServerHandle<P>>,
    load: Arc<ServerLoad>,
    status: Status,
    serves_all: bool,
    queue: Queue<P>,
}

impl<P> Line<P> {
    pub(crate) fn new(crowd: Option<Arc<Crowd>>, sends_back: bool) -> Self {
        Self {
            waiting: AtomicU32::new(0),
            crowd,
            sends_back,
            state: Mutex::new(State {
                version: 0,
                seats: Vec::new(),
                // The keys are the operator's, so nobody can make them collide: fixed seeds.
                positions: HashMap::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4)),
                common: Queue::new(),
                watches: Vec::new(),
                comers: 0,
            }),
        }
    }

    pub(crate) fn crowd(&self) -> Option<&Arc<Crowd>> {
        self.crowd.as_ref()
    }

    /// How many wait in the common queue.
    #[inline]
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// Takes note of a farm, unless of a later one already, and lets those go on who can.
    pub(crate) fn adapt<'a>(
        &self,
        version: u64,
        seated: impl Iterator<Item = Seated<'a, P>>,
    ) -> Called<P>
    where
        P: 'a,
    {
        let mut called = Called::new();
        let mut state = self.state.lock();
        if state.version < version {
            state.version = version;
            self.seat(&mut state, seated, &mut called);
            for position in 0..state.seats.len() {
                self.serve(&mut state, position, None, &mut called);
            }
            state.tell_watches(&mut called);
        }
        drop(state);
        called
    }

    fn seat<'a>(
        &self,
        state: &mut State<P>,
        seated: impl Iterator<Item = Seated<'a, P>>,
        called: &mut Called<P>,
    ) where
        P: 'a,
    {
        let identity = |load: &Arc<ServerLoad>| Arc::as_ptr(load) as usize;
        let before = std::mem::take(&mut state.seats).into_iter();
        let mut before: HashMap<_, _> = before.map(|it| (identity(&it.load), it)).collect();
        state.positions.clear();
        for (position, server) in seated.enumerate() {
            let load = &server.member.load;
            let mut seat = before
                .remove(&identity(load))
                .unwrap_or_else(|| Seat::new(&server));
            if self.sends_back && server.leaves(seat.status) {
                seat.send_back(false, called);
            }
            seat.member = Arc::downgrade(server.member);
            (seat.status, seat.serves_all) = (server.status, server.serves_all);
            load.call(!state.common.is_empty());
            state.positions.insert(load.server(), position);
            state.seats.push(seat);
        }
        for mut removed in before.into_values() {
            removed.send_back(true, called);
            removed.load.close();
        }
    }

    /// Takes a slot of one server, or else a place in its queue.
    pub(crate) fn join(
        self: &Arc<Self>,
        version: u64,
        member: &Arc<ServerHandle<P>>,
        comer: Comer,
    ) -> Entry<P> {
        let mut state = self.state.lock();
        let position = state.position(&member.load);
        let Some(position) = position.filter(|_| state.version == version) else {
            return Entry::Stale;
        };
        match member.load.join(member.spec.limits) {
            Joined::Slot => Entry::Served(Lease::of(member)),
            Joined::Full => Entry::Full,
            Joined::Queue => {
                let (place, ticket) = state.enter(comer);
                let queue = &mut state.seats[position].queue;
                queue.insert(place, Arc::clone(&ticket));
                Entry::Waits(Spot::new(self, ticket, place, Some(member)))
            }
        }
    }

    /// Takes a place in the common queue, or a slot that has just become free.
    ///
    /// If a slot that is free `may_be_passed_over`, it is only taken when nobody else would
    /// come by to hand one on.
    pub(crate) fn join_all(
        self: &Arc<Self>,
        version: u64,
        comer: Comer,
        may_be_passed_over: bool,
    ) -> (Entry<P>, Called<P>) {
        let mut called = Called::new();
        let mut state = self.state.lock();
        if state.version != version {
            return (Entry::Stale, called);
        }
        let is_first = state.common.is_empty();
        let (place, ticket) = state.enter(comer);
        state.common.insert(place, Arc::clone(&ticket));
        self.waiting.fetch_add(1, Relaxed);
        if let Some(crowd) = &self.crowd {
            crowd.arrived();
        }
        if is_first {
            state.call(true);
            self.look_once_more(&mut state, may_be_passed_over, &mut called);
        }
        drop(state);
        (Entry::Waits(Spot::new(self, ticket, place, None)), called)
    }

    /// Looks for slots that were given back before anybody could know of the first who waits
    /// in the common queue.
    fn look_once_more(&self, state: &mut State<P>, is_passed_over: bool, called: &mut Called<P>) {
        let mut serving = state.seats.iter().filter(|seat| seat.serves_all);
        if is_passed_over && serving.any(|seat| seat.load.in_flight() > 0) {
            return;
        }
        for position in 0..state.seats.len() {
            // Where others wait already, somebody will come by for them.
            if state.seats[position].queue.is_empty() {
                self.serve(state, position, None, called);
            }
        }
    }

    /// Hands on a slot that was given back.
    pub(crate) fn given_back(&self, member: &Arc<ServerHandle<P>>) {
        let mut called = Called::new();
        let mut state = self.state.lock();
        if let Some(position) = state.position(&member.load) {
            self.serve(&mut state, position, Some(member), &mut called);
        }
        state.tell_watches(&mut called);
        drop(state);
        called.wake();
    }

    /// Lets those who wait have the free slots of a server, in their order. `member` is
    /// that server, should its backend be gone.
    fn serve(
        &self,
        state: &mut State<P>,
        position: usize,
        member: Option<&Arc<ServerHandle<P>>>,
        called: &mut Called<P>,
    ) {
        if state.first_is_own(position).is_none() {
            return;
        }
        let current = state.seats[position].member.upgrade();
        let Some(member) = current.or_else(|| member.map(Arc::clone)) else {
            return;
        };
        while let Some(own) = state.first_is_own(position)
            && member.load.take_for_waiting(member.spec.limits, own)
        {
            let ticket = if own {
                state.seats[position].queue.pop_first()
            } else {
                self.leave_common(state, Queue::pop_first)
            };
            if let Some((_, ticket)) = ticket {
                called.note(ticket.end(Ending::Served(Lease::of(&member))));
            }
        }
        called.members.push(member);
    }

    fn leave_common<R>(&self, state: &mut State<P>, leave: impl FnOnce(&mut Queue<P>) -> R) -> R {
        let left = leave(&mut state.common);
        self.waiting.store(state.common.len() as u32, Relaxed);
        if state.common.is_empty() {
            state.call(false);
        }
        left
    }

    /// Takes a request out that waits no longer, if it still does.
    pub(super) fn leave(&self, server: Option<&Arc<ServerHandle<P>>>, place: Place) {
        let mut called = Called::new();
        let mut state = self.state.lock();
        match server {
            None => {
                let left = self.leave_common(&mut state, |common| common.remove(&place));
                self.has_left(left.is_some());
            }
            Some(server) => self.leave_server(&mut state, server, place, &mut called),
        }
        state.tell_watches(&mut called);
        drop(state);
        called.wake();
    }

    /// Waits for a server to be empty, even one that has left.
    pub(crate) fn watch(self: &Arc<Self>, load: &Arc<ServerLoad>) -> Drained<P> {
        let (watch, mut called) = (Arc::new(Watch::new(load)), Called::new());
        let mut state = self.state.lock();
        state.watches.push(Arc::clone(&watch));
        // First the mark, then the look: what ends in between sees the one or is seen by
        // the other.
        load.watch(true);
        state.tell_watches(&mut called);
        drop(state);
        called.wake();
        Drained::new(self, watch)
    }

    /// Takes somebody out who waits no longer for a server to be empty.
    pub(super) fn unwatch(&self, watch: &Arc<Watch>) {
        let mut state = self.state.lock();
        state.watches.retain(|known| !Arc::ptr_eq(known, watch));
        let mut others = state.watches.iter();
        if !others.any(|other| Arc::ptr_eq(&other.load, &watch.load)) {
            watch.load.watch(false);
        }
    }

    /// HAProxy looks for room on this occasion, too, which there may be by now if limits
    /// grow with the crowd, to which the leaving one does not belong any more.
    fn leave_server(
        &self,
        state: &mut State<P>,
        server: &Arc<ServerHandle<P>>,
        place: Place,
        called: &mut Called<P>,
    ) {
        let Some(position) = state.position(&server.load) else {
            return;
        };
        let left = state.seats[position].queue.remove(&place).is_some();
        self.has_left(left);
        if left {
            server.load.leave_queue();
            self.serve(state, position, Some(server), called);
        }
    }

    fn has_left(&self, left: bool) {
        if let (true, Some(crowd)) = (left, &self.crowd) {
            crowd.left();
        }
    }
}

impl<P> State<P> {
    fn position(&self, load: &Arc<ServerLoad>) -> Option<usize> {
        let position = *self.positions.get(&load.server())?;
        Arc::ptr_eq(&self.seats[position].load, load).then_some(position)
    }

    /// Lets those go who wait for a server that is empty by now, or takes new sessions.
    fn tell_watches(&mut self, called: &mut Called<P>) {
        for watch in std::mem::take(&mut self.watches) {
            let Some(end) = self.drain_end(&watch.load) else {
                self.watches.push(watch);
                continue;
            };
            watch.load.watch(false);
            called.note(watch.end(end));
            called.watches.push(watch);
        }
    }

    fn drain_end(&self, load: &Arc<ServerLoad>) -> Option<DrainEnd> {
        let position = self.position(load);
        if position.is_some_and(|position| self.seats[position].status.accepts_new()) {
            return Some(DrainEnd::InService);
        }
        load.is_empty().then_some(DrainEnd::Empty)
    }

    fn enter(&mut self, comer: Comer) -> (Place, Arc<Ticket<P>>) {
        self.comers += 1;
        let place = Place {
            rank: comer.priority.rank(comer.arrival),
            number: self.comers,
        };
        (place, Arc::new(Ticket::new(comer.is_forced)))
    }

    fn call(&self, somebody_waits: bool) {
        for seat in &self.seats {
            seat.load.call(somebody_waits);
        }
    }

    /// Whether the next to be served by a server waits in its own queue, which comes first
    /// among equals; `None` if nobody waits.
    fn first_is_own(&self, position: usize) -> Option<bool> {
        let seat = &self.seats[position];
        let rank = |queue: &Queue<P>| queue.first_key_value().map(|(place, _)| place.rank);
        let common = rank(&self.common).filter(|_| seat.serves_all);
        match (rank(&seat.queue), common) {
            (None, None) => None,
            (None, Some(_)) => Some(false),
            (Some(own), common) => Some(common.is_none_or(|common| own <= common)),
        }
    }
}

impl<P> Seat<P> {
    fn new(server: &Seated<'_, P>) -> Self {
        Self {
            member: Weak::new(),
            load: Arc::clone(&server.member.load),
            status: server.status,
            serves_all: false,
            queue: Queue::new(),
        }
    }

    /// Sends those who wait for this server back to be balanced.
    fn send_back(&mut self, even_forced: bool, called: &mut Called<P>) {
        self.queue.retain(|_, ticket| {
            let stays = ticket.is_forced && !even_forced;
            if !stays {
                self.load.leave_queue();
                self.load.left();
                called.note(ticket.end(Ending::SentBack));
            }
            stays
        });
    }
}

impl<P> Seated<'_, P> {
    /// Whether it has just gone down, into maintenance or drain, or begun to stop.
    fn leaves(&self, before: Status) -> bool {
        let (admin, operational) = (self.status.admin(), self.status.operational());
        let is_taken_out = admin != AdminState::Ready && admin != before.admin();
        let ends = matches!(
            operational,
            OperationalState::Stopped | OperationalState::Stopping
        );
        is_taken_out || ends && operational != before.operational()
    }
}

impl<P> fmt::Debug for Line<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

/// Those whose waiting has ended, to be woken once no lock is held.
#[must_use = "those who are called have to be woken"]
pub(crate) struct Called<P> {
    wakers: Vec<Waker>,
    /// The servers looked at: dropping the last of a server runs code of the caller's.
    members: Vec<Arc<ServerHandle<P>>>,
    /// Those that have ended, for the same reason.
    watches: Vec<Arc<Watch>>,
}

impl<P> Called<P> {
    fn new() -> Self {
        Self {
            wakers: Vec::new(),
            members: Vec::new(),
            watches: Vec::new(),
        }
    }

    fn note(&mut self, waker: Option<Waker>) {
        self.wakers.extend(waker);
    }

    pub(crate) fn wake(self) {
        drop((self.members, self.watches));
        self.wakers.into_iter().for_each(Waker::wake);
    }
}
