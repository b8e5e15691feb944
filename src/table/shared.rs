//! One kind of keys in a table: the slots, and the keeper behind its lock.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::clock::Moment;
use super::data::Rows;
use super::error::StoreError;
use super::keeper::{Keeper, Removal, Stored};
use super::layout::{Layout, SLOTS};
use super::servers::TableServer;
use super::slots::{Hit, Slot, Slots, Touch};

/// An entry that is visited.
#[derive(Clone, Copy)]
pub(super) struct Visit {
    pub(super) slot: Slot,
    pub(super) hit: Hit,
    /// How many hold it.
    pub(super) uses: u32,
}

/// Slots that all threads read, and a keeper that one at a time may use.
#[derive(Debug)]
pub(super) struct Shared<L> {
    slots: Slots<L>,
    keeper: Mutex<Keeper>,
    rows: Option<Arc<Rows>>,
}

impl<L: Layout> Shared<L> {
    pub(super) fn new(slots: Slots<L>, keeper: Keeper) -> Self {
        Self {
            slots,
            rows: keeper.rows().cloned(),
            keeper: Mutex::new(keeper),
        }
    }

    /// The data of the entries, if any is stored.
    pub(super) fn rows(&self) -> Option<&Rows> {
        self.rows.as_deref()
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "a call costs a tenth of a hit")]
    pub(super) fn lookup(&self, key: L::Key<'_>, at: Moment, touch: Touch) -> Option<Hit> {
        self.slots.lookup(self.slots.sought(key), at, touch).hit()
    }

    /// Most entries are stored again with the server they have: that is a hit, and needs
    /// no lock.
    pub(super) fn store(
        &self,
        key: L::Key<'_>,
        server: Option<TableServer>,
        at: Moment,
    ) -> Result<Stored, StoreError> {
        let sought = self.slots.sought(key);
        let inserts = self.slots.inserts();
        let there = self.slots.lookup(sought, at, Touch::Refresh);
        let is_same = |hit: Hit| server.is_none_or(|server| server.0 == hit.code);
        if there.hit().is_some_and(is_same) {
            return Ok(Stored::Updated);
        }
        let mut keeper = self.keeper.lock();
        if there.is_nothing() && self.slots.inserts() == inserts {
            let code = server.unwrap_or_default().0;
            keeper.create(&self.slots, sought, code, at)?;
            return Ok(Stored::Created);
        }
        let stored = self.place(&mut keeper, key, server, at);
        stored.map(|(_, stored)| stored)
    }

    /// Stores what a reservation has kept room for.
    pub(super) fn store_reserved(
        &self,
        key: L::Key<'_>,
        server: TableServer,
        at: Moment,
    ) -> Result<Stored, StoreError> {
        let mut keeper = self.keeper.lock();
        keeper.give_back();
        let stored = self.place(&mut keeper, key, Some(server), at);
        stored.map(|(_, stored)| stored)
    }

    pub(super) fn hold(&self, key: L::Key<'_>, at: Moment) -> Result<Slot, StoreError> {
        let mut keeper = self.keeper.lock();
        let (slot, _) = self.place(&mut keeper, key, None, at)?;
        keeper.hold(&self.slots, slot);
        Ok(slot)
    }

    pub(super) fn release(&self, slot: Slot) {
        self.keeper.lock().release(&self.slots, slot);
    }

    pub(super) fn remove(&self, key: L::Key<'_>, at: Moment) -> Removal {
        let sought = self.slots.sought(key);
        self.keeper.lock().remove(&self.slots, sought, at)
    }

    pub(super) fn reserve(&self, at: Moment) -> Result<(), StoreError> {
        self.keeper.lock().reserve(&self.slots, at)
    }

    /// Calls `visit` with all that has not expired, in no order, without the lock.
    pub(super) fn visit(&self, at: Moment, mut visit: impl FnMut(L::Key<'_>, Visit)) {
        let mut buffer = Vec::new();
        for slot in (0..self.slots.groups() * SLOTS).map(Slot) {
            let Some((key, hit, in_use)) = self.slots.read(slot, &mut buffer) else {
                continue;
            };
            let uses = if in_use {
                self.keeper.lock().holds(slot)
            } else if at.is_past(hit.stamp, self.slots.lifetime()) {
                continue;
            } else {
                0
            };
            visit(key, Visit { slot, hit, uses });
        }
    }

    /// The entry of a key, unless it has none or it has expired.
    pub(super) fn visit_one(&self, key: L::Key<'_>, at: Moment) -> Option<Visit> {
        let keeper = self.keeper.lock();
        let slot = self.slots.find(self.slots.sought(key))?;
        let (code, stamp) = (self.slots.code(slot), self.slots.stamp(slot));
        let visit = Visit {
            slot,
            hit: Hit { code, stamp },
            uses: keeper.holds(slot),
        };
        (!self.slots.is_expired(slot, at)).then_some(visit)
    }

    /// Changes something of the entry of a key, if there is one, and refreshes it.
    pub(super) fn change(
        &self,
        key: L::Key<'_>,
        at: Moment,
        change: impl FnOnce(Slot) -> bool,
    ) -> bool {
        let _keeper = self.keeper.lock();
        let Some(slot) = self.slots.find(self.slots.sought(key)) else {
            return false;
        };
        let is_changed = !self.slots.is_expired(slot, at) && change(slot);
        if is_changed {
            self.slots.refresh(slot, at);
        }
        is_changed
    }

    /// Refreshes an entry that somebody holds.
    pub(super) fn refresh(&self, slot: Slot, at: Moment) {
        let _keeper = self.keeper.lock();
        self.slots.refresh(slot, at);
    }

    /// How many hold the entry of a key.
    pub(super) fn holds(&self, key: L::Key<'_>) -> u32 {
        let keeper = self.keeper.lock();
        let slot = self.slots.find(self.slots.sought(key));
        slot.map_or(0, |slot| keeper.holds(slot))
    }

    /// Slots and keeper, for what needs nothing but both.
    pub(super) fn locked(&self) -> (&Slots<L>, MutexGuard<'_, Keeper>) {
        (&self.slots, self.keeper.lock())
    }

    pub(super) fn slots(&self) -> &Slots<L> {
        &self.slots
    }

    fn place(
        &self,
        keeper: &mut Keeper,
        key: L::Key<'_>,
        server: Option<TableServer>,
        at: Moment,
    ) -> Result<(Slot, Stored), StoreError> {
        keeper.store(&self.slots, self.slots.sought(key), server, at)
    }
}
