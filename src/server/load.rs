//! How busy a server is: counters that outlive every change of the farm.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::ServerId;

/// Is told of every session that starts and ends on a server.
///
/// A selector that orders servers by their load returns one from
/// [`Selector::load_watcher`](crate::Selector::load_watcher). The calls come from
/// whichever thread takes or drops a selection, so they should be short and not panic.
///
/// Calls of several threads may come in another order than the changes they tell of. What
/// [`ServerLoad::in_flight`] says, read under the lock that guards an order of servers, is
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
}

/// The sessions of one server: what a [`LoadWatcher`] is told of.
///
/// The same for as long as the server stays in its backend, whatever changes about it.
pub struct ServerLoad {
    server: ServerId,
    in_flight: AtomicU32,
    watcher: Option<Arc<dyn LoadWatcher>>,
}

impl ServerLoad {
    /// The id of the server.
    pub fn server(&self) -> ServerId {
        self.server
    }

    /// Sessions that hold a slot at this very moment.
    pub fn in_flight(&self) -> u32 {
        // A count on its own orders nothing else, so relaxed is enough everywhere.
        self.in_flight.load(Relaxed)
    }

    pub(crate) fn new(server: ServerId, watcher: Option<Arc<dyn LoadWatcher>>) -> Self {
        Self {
            server,
            in_flight: AtomicU32::new(0),
            watcher,
        }
    }

    /// Takes a slot unless `limit` are in use; no limit at all when it is `None`.
    #[inline]
    pub(crate) fn try_take(&self, limit: Option<u32>) -> bool {
        let taken = match limit {
            None => {
                self.in_flight.fetch_add(1, Relaxed);
                true
            }
            Some(limit) => self
                .in_flight
                .fetch_update(Relaxed, Relaxed, |n| (n < limit).then_some(n + 1))
                .is_ok(),
        };
        if let (true, Some(watcher)) = (taken, &self.watcher) {
            watcher.taken(self);
        }
        taken
    }

    #[inline]
    pub(crate) fn give_back(&self) {
        let before = self.in_flight.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "a slot was given back twice");
        if let Some(watcher) = &self.watcher {
            watcher.given_back(self);
        }
    }
}

impl fmt::Debug for ServerLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the watcher, which may know of all other servers.
        f.debug_struct("ServerLoad")
            .field("server", &self.server)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_exceeded() {
        let load = ServerLoad::new(ServerId::new(1).unwrap(), None);
        assert!(load.try_take(Some(2)) && load.try_take(Some(2)));
        assert!(!load.try_take(Some(2)));
        load.give_back();
        assert!(load.try_take(Some(2)));
        assert_eq!(load.in_flight(), 2);
    }
}
