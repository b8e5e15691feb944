//! Entries that a request keeps in use, and what is counted in them.

use std::rc::Rc;

use stickroute::{DataKind, Held};

use super::clock::Clock;

/// The entries of one request, by number of the `track-sc` rule. When the request ends,
/// they are one connection less.
pub(super) struct Tracked {
    clock: Rc<Clock>,
    slots: [Option<Held>; 3],
}

use DataKind as Kind;

pub(super) const CONNECTION: [Kind; 3] = [
    Kind::ConnectionCount,
    Kind::ConnectionRate,
    Kind::ConnectionsOpen,
];
pub(super) const SESSION: [Kind; 2] = [Kind::SessionCount, Kind::SessionRate];
pub(super) const REQUEST: [Kind; 2] = [Kind::RequestCount, Kind::RequestRate];
pub(super) const ERROR: [Kind; 2] = [Kind::ErrorCount, Kind::ErrorRate];
pub(super) const FAILURE: [Kind; 2] = [Kind::FailureCount, Kind::FailureRate];
pub(super) const BYTES_IN: [Kind; 2] = [Kind::BytesInCount, Kind::BytesInRate];
pub(super) const BYTES_OUT: [Kind; 2] = [Kind::BytesOutCount, Kind::BytesOutRate];

impl Tracked {
    pub(super) fn new(clock: &Rc<Clock>) -> Self {
        Self {
            clock: Rc::clone(clock),
            slots: [None, None, None],
        }
    }

    /// Whether a rule of this number has had its entry.
    pub(super) fn has(&self, number: usize) -> bool {
        self.slots[number].is_some()
    }

    pub(super) fn start(&mut self, number: usize, held: Held) {
        self.slots[number] = Some(held);
    }

    /// Adds to one entry; what its table does not store is not counted.
    pub(super) fn add_one(&self, number: usize, kinds: &[Kind], element: u32) {
        if let Some(held) = &self.slots[number] {
            for &kind in kinds {
                held.add_data(kind, element, 1, self.clock.now());
            }
        }
    }

    pub(super) fn set_one(&self, number: usize, kind: Kind, element: u32, value: u64) {
        if let Some(held) = &self.slots[number] {
            held.set_data(kind, element, value, self.clock.now());
        }
    }

    /// Adds to all entries.
    pub(super) fn add(&self, kinds: &[Kind], change: i64) {
        for held in self.slots.iter().flatten() {
            for &kind in kinds {
                held.add_data(kind, 0, change, self.clock.now());
            }
        }
    }

    /// Counts the status of a server.
    pub(super) fn count_status(&self, status: u16) {
        match status {
            400..=499 => self.add(&ERROR, 1),
            501 | 505 => {}
            500..=599 => self.add(&FAILURE, 1),
            _ => {}
        }
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.add(&[Kind::ConnectionsOpen], -1);
    }
}
