//! How busy a server is: counters that outlive every change of the farm.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{Limits, ServerId};
use crate::queue::sync::{AtomicU32, AtomicU64};

/// Is told of every session that starts and ends on a server.
///
/// A selector that orders servers by their load returns one from
/// [`Selector::load_watcher`](crate::Selector::load_watcher). The calls come from
/// whichever thread takes or drops a selection, some of them under a lock of the backend: they
/// should be short, not panic, and neither take nor drop selections.
///
/// Calls of several threads may come in another order than the changes they tell of. What
/// [`ServerLoad`] says, read under the lock that guards an order of servers, is
/// right once the last call has come, whatever the order of the calls; a count of one's
/// own is, too, as far as it only adds and subtracts.
///
/// Sessions of a server that was removed end later, perhaps when its id was given to
/// another server: compare with
/// [`FarmServer::load`](crate::FarmServer::load) to tell them apart. A watcher that
/// keeps loads should keep them as [`Weak`](std::sync::Weak), since each load keeps its
/// watcher.
pub trait LoadWatcher: fmt::Debug + Send + Sync {
    /// A session took a slot of this server.
    fn taken(&self, server: &ServerLoad);

    /// A session gave its slot back.
    fn given_back(&self, server: &ServerLoad);

    /// A request lined up in the queue of this server, or left it without a slot; default
    /// nothing. One that leaves it with a slot is told of by [`taken`](Self::taken) alone.
    fn queue_changed(&self, server: &ServerLoad) {
        let _ = server;
    }
}

/// The sessions of one server, and who waits for it: what a [`LoadWatcher`] is told of.
///
/// The same for as long as the server stays in its backend, whatever changes about it.
pub struct ServerLoad {
    server: ServerId,
    counts: AtomicU64,
    crowd: Option<Arc<Crowd>>,
    watcher: Option<Arc<dyn LoadWatcher>>,
}

/// One word, so that every change of one count sees the other as it is at that moment:
/// sessions in the low half, above them those who wait in the server's own queue, and in
/// the three highest bits whether anybody waits in the backend's, whether anybody waits
/// for the server to be empty, and whether it has left.
#[derive(Clone, Copy)]
struct Counts(u64);

const ONE_SESSION: u64 = 1;
const ONE_WAITING: u64 = 1 << 32;
const CALLED: u64 = 1 << 63;
const WATCHED: u64 = 1 << 62;
const CLOSED: u64 = 1 << 61;

impl Counts {
    fn sessions(self) -> u32 {
        self.0 as u32
    }

    fn queued(self) -> u32 {
        ((self.0 & !(CALLED | WATCHED | CLOSED)) >> 32) as u32
    }

    fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    fn is_awaited(self) -> bool {
        self.0 >= ONE_WAITING
    }
}

/// What became of a request that asked for a slot, or else a place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    Slot,
    Queue,
    Full,
}

impl ServerLoad {
    /// The id of the server.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// Sessions that hold a slot at this very moment.
    pub fn in_flight(&self) -> u32 {
        self.counts().sessions()
    }

    /// Requests that wait for this server and no other at this very moment. HAProxy: `qcur`
    /// of the server.
    pub fn queued(&self) -> u32 {
        self.counts().queued()
    }

    pub(crate) fn new(
        server: ServerId,
        watcher: Option<Arc<dyn LoadWatcher>>,
        crowd: Option<Arc<Crowd>>,
    ) -> Self {
        Self {
            server,
            counts: AtomicU64::new(0),
            crowd,
            watcher,
        }
    }

    // The counts order nothing but themselves, and each change is one step on one word, so
    // relaxed is enough everywhere; see the reasoning in `queue`.
    fn counts(&self) -> Counts {
        Counts(self.counts.load(Relaxed))
    }

    /// Sessions and waiting requests of the whole backend, if they are counted.
    pub(super) fn crowd(&self) -> Option<&Crowd> {
        self.crowd.as_deref()
    }

    /// Takes a slot unless `limit` are in use, somebody waits for one, or the server has
    /// [left](Self::close); without a limit there is nothing to wait for.
    #[inline]
    pub(crate) fn try_take(&self, limit: Option<u32>) -> bool {
        let taken = match limit {
            None => {
                let before = Counts(self.counts.fetch_add(ONE_SESSION, Relaxed));
                !before.is_closed() || self.undo()
            }
            Some(limit) => self.change(|now| {
                let is_free = now.queued() == 0 && now.sessions() < limit && !now.is_closed();
                is_free.then_some(now.0 + ONE_SESSION)
            }),
        };
        if taken {
            self.arrived();
            self.tell(|watcher| watcher.taken(self));
        }
        taken
    }

    /// Takes back that a slot was taken on a server that has left.
    #[cold]
    fn undo(&self) -> bool {
        self.counts.fetch_sub(ONE_SESSION, Relaxed);
        false
    }

    /// Notes that the server has left: nobody takes a slot from now on, not even a request
    /// that began before and still sees it.
    pub(crate) fn close(&self) {
        self.counts.fetch_or(CLOSED, Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.counts().is_closed()
    }

    /// Takes a slot as [`try_take`](Self::try_take) does, or else a place in the queue.
    pub(crate) fn join(&self, limits: Limits) -> Joined {
        let Some(limit) = limits.now(self, 1) else {
            self.try_take(None);
            return Joined::Slot;
        };
        let mut joined = Joined::Full;
        self.change(|now| {
            let step;
            (joined, step) = if now.queued() == 0 && now.sessions() < limit {
                (Joined::Slot, ONE_SESSION)
            } else if limits.queue.is_some_and(|most| now.queued() >= most.get()) {
                (Joined::Full, 0)
            } else {
                (Joined::Queue, ONE_WAITING)
            };
            (step > 0).then_some(now.0 + step)
        });
        match joined {
            Joined::Slot => {
                self.arrived();
                self.tell(|watcher| watcher.taken(self));
            }
            Joined::Queue => {
                self.arrived();
                self.tell(|watcher| watcher.queue_changed(self));
            }
            Joined::Full => {}
        }
        joined
    }

    /// Takes a slot for somebody who has waited, in the server's own queue or in the
    /// backend's.
    pub(crate) fn take_for_waiting(&self, limits: Limits, own: bool) -> bool {
        let limit = limits.now(self, 0);
        let left = if own { ONE_WAITING } else { 0 };
        let taken = self.change(|now| {
            let is_free = limit.is_none_or(|limit| now.sessions() < limit);
            is_free.then(|| now.0 + ONE_SESSION - left)
        });
        if taken {
            self.tell(|watcher| watcher.taken(self));
        }
        taken
    }

    /// Leaves the queue without a slot. For the [crowd](Crowd), the request [leaves](Self::left)
    /// by itself.
    pub(crate) fn leave_queue(&self) {
        let before = Counts(self.counts.fetch_sub(ONE_WAITING, Relaxed));
        debug_assert!(before.queued() > 0, "a queue was left twice");
        self.tell(|watcher| watcher.queue_changed(self));
    }

    /// Notes whether somebody waits in the backend's queue, so that whoever gives a slot
    /// back from now on learns of it.
    pub(crate) fn call(&self, somebody_waits: bool) {
        if somebody_waits {
            self.counts.fetch_or(CALLED, Relaxed);
        } else {
            self.counts.fetch_and(!CALLED, Relaxed);
        }
    }

    /// Notes whether somebody waits for the server to be empty, so that whoever gives a slot
    /// back from now on learns of it.
    pub(crate) fn watch(&self, somebody_waits: bool) {
        if somebody_waits {
            self.counts.fetch_or(WATCHED, Relaxed);
        } else {
            self.counts.fetch_and(!WATCHED, Relaxed);
        }
    }

    /// Whether there is neither a session nor anybody in the server's own queue.
    pub(crate) fn is_empty(&self) -> bool {
        let now = self.counts();
        now.sessions() == 0 && now.queued() == 0
    }

    /// Gives a slot back, and says whether somebody may be waiting for that. The session
    /// counts for the [crowd](Crowd) until it has [left](Self::left).
    #[inline]
    #[must_use]
    pub(crate) fn give_back(&self) -> bool {
        let before = Counts(self.counts.fetch_sub(ONE_SESSION, Relaxed));
        debug_assert!(before.sessions() > 0, "a slot was given back twice");
        self.tell(|watcher| watcher.given_back(self));
        before.is_awaited()
    }

    #[inline]
    fn arrived(&self) {
        if let Some(crowd) = &self.crowd {
            crowd.arrived();
        }
    }

    #[inline]
    pub(crate) fn left(&self) {
        if let Some(crowd) = &self.crowd {
            crowd.left();
        }
    }

    fn tell(&self, what: impl FnOnce(&dyn LoadWatcher)) {
        if let Some(watcher) = &self.watcher {
            what(&**watcher);
        }
    }

    fn change(&self, mut to: impl FnMut(Counts) -> Option<u64>) -> bool {
        let changed = self
            .counts
            .fetch_update(Relaxed, Relaxed, |now| to(Counts(now)));
        changed.is_ok()
    }
}

impl fmt::Debug for ServerLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the watcher, which may know of all other servers.
        f.debug_struct("ServerLoad")
            .field("server", &self.server)
            .field("in_flight", &self.in_flight())
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

/// All sessions and waiting requests of a backend, counted if its servers' limits depend
/// on them.
#[derive(Debug)]
pub(crate) struct Crowd {
    size: AtomicU32,
    full: u32,
}

impl Crowd {
    /// Nobody yet; `full` is HAProxy's `fullconn`.
    pub(crate) fn new(full: u32) -> Self {
        Self {
            size: AtomicU32::new(0),
            full,
        }
    }

    pub(crate) fn arrived(&self) {
        self.size.fetch_add(1, Relaxed);
    }

    pub(crate) fn left(&self) {
        self.size.fetch_sub(1, Relaxed);
    }

    /// The limit of a server between `least` and `most`, in proportion to how full the
    /// backend is with `more` than there are.
    pub(super) fn limit(&self, least: u32, most: u32, more: u32) -> u32 {
        let size = self.size.load(Relaxed).saturating_add(more);
        if size >= self.full {
            return most;
        }
        let share = u64::from(size) * u64::from(most) / u64::from(self.full);
        // The most may have become the lesser of the two since.
        least.max(share as u32).min(most)
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn load() -> ServerLoad {
        ServerLoad::new(ServerId::new(1).unwrap(), None, None)
    }

    fn limits(most: u32, queue: u32) -> Limits {
        Limits {
            most: NonZeroU32::new(most),
            least: None,
            queue: NonZeroU32::new(queue),
            warmth: None,
        }
    }

    #[test]
    fn a_limit_is_never_exceeded() {
        let load = load();
        assert!(load.try_take(Some(2)) && load.try_take(Some(2)));
        assert!(!load.try_take(Some(2)));
        assert!(!load.give_back());
        assert!(load.try_take(Some(2)));
        assert_eq!(load.in_flight(), 2);
    }

    #[test]
    fn a_slot_is_not_free_while_somebody_waits_for_it() {
        let load = load();
        let limits = limits(1, 1);
        let joined = [(); 3].map(|()| load.join(limits));
        assert_eq!(joined, [Joined::Slot, Joined::Queue, Joined::Full]);
        assert!(load.give_back());
        assert!(!load.try_take(Some(1)));
        assert!(load.take_for_waiting(limits, true));
        assert_eq!((load.in_flight(), load.queued()), (1, 0));
        assert!(!load.give_back());
    }

    #[test]
    fn who_gives_back_learns_of_the_backend_s_queue() {
        let load = load();
        assert!(load.try_take(None) && load.try_take(None));
        load.call(true);
        assert_eq!((load.in_flight(), load.queued()), (2, 0));
        assert!(load.give_back());
        load.call(false);
        assert!(!load.give_back());
    }

    #[test]
    fn who_gives_back_learns_of_those_who_wait_for_the_end() {
        let load = load();
        assert!(load.try_take(Some(9)) && load.try_take(Some(9)));
        load.watch(true);
        assert!(!load.is_empty() && load.try_take(Some(9)));
        assert_eq!((load.in_flight(), load.queued()), (3, 0));
        assert!(load.give_back() && load.give_back() && load.give_back());
        assert!(load.is_empty());
        load.watch(false);
        assert!(load.try_take(Some(9)) && !load.give_back());
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn limits_grow_with_the_crowd() {
        let crowd = Crowd::new(20);
        let limits = [0, 1, 3, 4, 11, 12, 19, 20, 99].map(|size| crowd.limit(1, 10, size));
        assert_eq!(limits, [1, 1, 1, 2, 5, 6, 9, 10, 10]);
        assert_eq!(Crowd::new(0).limit(1, 10, 1), 10);
        assert_eq!(Crowd::new(20).limit(5, 3, 1), 3);
    }
}
