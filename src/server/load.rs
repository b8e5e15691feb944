//! How busy a server is: counters that outlive every change of the farm.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::ServerId;

/// Is told of every session that starts and ends on a server.
///
/// A selector that orders servers by their load returns one from
/// [`Selector::load_watcher`](crate::Selector::load_watcher). The calls come from
/// whichever thread takes or drops a selection, so they should be short and not panic.
///
/// Sessions of a server that was removed end later. If its id was given to another server
/// by then, they are told under that id: count each `given_back` down to 0 at most.
pub trait LoadWatcher: fmt::Debug + Send + Sync {
    /// A session took a slot of this server.
    fn taken(&self, server: ServerId);

    /// A session gave its slot back.
    fn given_back(&self, server: ServerId);
}

/// Counters of one [`ServerId`], shared by every snapshot and every selection.
#[derive(Debug)]
pub(crate) struct Load {
    in_flight: AtomicU32,
    watcher: Option<(ServerId, Arc<dyn LoadWatcher>)>,
}

impl Load {
    pub(crate) fn new(server: ServerId, watcher: Option<Arc<dyn LoadWatcher>>) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            watcher: watcher.map(|watcher| (server, watcher)),
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        // A count on its own orders nothing else, so relaxed is enough everywhere.
        self.in_flight.load(Relaxed)
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
        if let (true, Some((server, watcher))) = (taken, &self.watcher) {
            watcher.taken(*server);
        }
        taken
    }

    #[inline]
    pub(crate) fn give_back(&self) {
        let before = self.in_flight.fetch_sub(1, Relaxed);
        debug_assert!(before > 0, "a slot was given back twice");
        if let Some((server, watcher)) = &self.watcher {
            watcher.given_back(*server);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_exceeded() {
        let load = Load::new(ServerId::new(1).unwrap(), None);
        assert!(load.try_take(Some(2)) && load.try_take(Some(2)));
        assert!(!load.try_take(Some(2)));
        load.give_back();
        assert!(load.try_take(Some(2)));
        assert_eq!(load.in_flight(), 2);
    }
}
