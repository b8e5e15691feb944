//! The rules of a table, for one thread at a time: room, eviction, holds, upkeep.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ahash::RandomState;

use super::clock::Moment;
use super::data::Rows;
use super::error::StoreError;
use super::layout::{Layout, SLOTS};
use super::servers::TableServer;
use super::slots::{Slot, Slots, Sought};
use super::upkeep::{Collector, Upkeep};
use super::victims::Victims;

/// Slots that a refused entry searches for expired ones.
const SEARCH: usize = 4_096;

/// What only one thread may change, beside the slots themselves.
pub(super) struct Keeper {
    size: usize,
    nopurge: bool,
    entries: usize,
    /// Entries promised but not made yet; they need room as well.
    reserved: usize,
    /// How many hold an entry. Most entries are held by nobody.
    holds: HashMap<Slot, u32, RandomState>,
    victims: Victims,
    collector: Collector,
    /// Data of the entries: zeros where there is none.
    rows: Option<Arc<Rows>>,
    /// For keys to be read into.
    pub(super) buffer: Vec<u8>,
}

/// What became of an entry that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Stored {
    /// There was none, or an expired one.
    Created,
    /// It was there and has been refreshed.
    Updated,
}

/// What became of an entry that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// There was none, or an expired one.
    Absent,
    /// Somebody holds it, so it stays.
    InUse,
}

impl Keeper {
    pub(super) fn new(
        size: usize,
        nopurge: bool,
        hasher: RandomState,
        rows: Option<Arc<Rows>>,
    ) -> Self {
        Self {
            size,
            nopurge,
            entries: 0,
            reserved: 0,
            holds: HashMap::with_hasher(hasher),
            victims: Victims::of_size(size),
            collector: Collector::default(),
            rows,
            buffer: Vec::new(),
        }
    }

    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    pub(super) fn used(&self) -> usize {
        self.entries + self.reserved
    }

    /// Creates or refreshes an entry. Without a server, an entry that is there keeps its
    /// own and a new one has none.
    pub(super) fn store<L: Layout>(
        &mut self,
        slots: &Slots<L>,
        sought: Sought<L::Key<'_>>,
        server: Option<TableServer>,
        at: Moment,
    ) -> Result<(Slot, Stored), StoreError> {
        let new = server.unwrap_or_default().0;
        let Some(slot) = slots.find(sought) else {
            let slot = self.create(slots, sought, new, at)?;
            return Ok((slot, Stored::Created));
        };
        if slots.is_expired(slot, at) {
            self.clear_row(slot);
            slots.rewrite(slot, new, at);
            return Ok((slot, Stored::Created));
        }
        match server {
            Some(server) => slots.rewrite(slot, server.0, at),
            None => slots.refresh(slot, at),
        }
        Ok((slot, Stored::Updated))
    }

    /// Creates an entry for a key that has none.
    pub(super) fn create<L: Layout>(
        &mut self,
        slots: &Slots<L>,
        sought: Sought<L::Key<'_>>,
        code: u32,
        at: Moment,
    ) -> Result<Slot, StoreError> {
        self.make_room(slots, at, slots.homes(sought))?;
        self.entries += 1;
        Ok(slots.insert(sought, code, at))
    }

    pub(super) fn remove<L: Layout>(
        &mut self,
        slots: &Slots<L>,
        sought: Sought<L::Key<'_>>,
        at: Moment,
    ) -> Removal {
        match slots.find(sought) {
            None => Removal::Absent,
            Some(slot) if !slots.is_idle(slot) => Removal::InUse,
            Some(slot) => {
                let expired = slots.is_expired(slot, at);
                self.discard(slots, slot);
                if expired {
                    Removal::Absent
                } else {
                    Removal::Removed
                }
            }
        }
    }

    /// Removes every entry that nobody holds; says how many.
    pub(super) fn clear<L: Layout>(&mut self, slots: &Slots<L>) -> usize {
        let before = self.entries;
        for slot in (0..slots.groups() * SLOTS).map(Slot) {
            if self.entries == 0 {
                break;
            }
            if slots.is_idle(slot) {
                self.discard(slots, slot);
            }
        }
        before - self.entries
    }

    /// Takes room for one entry to be made later.
    pub(super) fn reserve<L: Layout>(
        &mut self,
        slots: &Slots<L>,
        at: Moment,
    ) -> Result<(), StoreError> {
        self.make_room(slots, at, [0; 2])?;
        self.reserved += 1;
        Ok(())
    }

    /// Gives back what [`reserve`](Self::reserve) took.
    pub(super) fn give_back(&mut self) {
        self.reserved -= 1;
    }

    pub(super) fn hold<L: Layout>(&mut self, slots: &Slots<L>, slot: Slot) {
        *self.holds.entry(slot).or_default() += 1;
        slots.set_in_use(slot, true);
    }

    pub(super) fn release<L: Layout>(&mut self, slots: &Slots<L>, slot: Slot) {
        let Some(holds) = self.holds.get_mut(&slot) else {
            return;
        };
        *holds -= 1;
        if *holds == 0 {
            self.holds.remove(&slot);
            slots.set_in_use(slot, false);
            self.victims.released(slots.stamp(slot), slot);
            self.collector.wake();
        }
    }

    pub(super) fn holds(&self, slot: Slot) -> u32 {
        self.holds.get(&slot).copied().unwrap_or(0)
    }

    /// Removes expired entries, looking at so many slots at most.
    pub(super) fn maintain<L: Layout>(
        &mut self,
        slots: &Slots<L>,
        at: Moment,
        budget: usize,
    ) -> Upkeep {
        let mut groups = budget.div_ceil(SLOTS).min(2 * slots.groups());
        let before = self.entries;
        while groups > 0 && !self.collector.is_idle(slots, at) {
            groups -= 1;
            for slot in self.collector.next(slots, at) {
                self.discard(slots, slot);
            }
        }
        Upkeep {
            removed: before - self.entries,
            finished: self.collector.is_idle(slots, at),
        }
    }

    /// Sees to it that one more entry can be made; `homes` are the groups it
    /// belongs into.
    #[inline]
    fn make_room<L: Layout>(
        &mut self,
        slots: &Slots<L>,
        at: Moment,
        homes: [usize; 2],
    ) -> Result<(), StoreError> {
        if self.used() < self.size {
            return Ok(());
        }
        if self.nopurge {
            let freed = self.maintain(slots, at, SEARCH).removed;
            return if freed > 0 {
                Ok(())
            } else {
                Err(StoreError::Full)
            };
        }
        let victim = self.victims.next(slots, homes).ok_or(StoreError::Full)?;
        self.discard(slots, victim);
        Ok(())
    }

    fn discard<L: Layout>(&mut self, slots: &Slots<L>, slot: Slot) {
        self.clear_row(slot);
        slots.vacate(slot, &mut self.buffer);
        self.entries -= 1;
    }
}

impl Keeper {
    /// The data of the entries, if there are any.
    pub(super) fn rows(&self) -> Option<&Arc<Rows>> {
        self.rows.as_ref()
    }

    /// So that the next entry of the slot begins with zeros.
    fn clear_row(&self, slot: Slot) {
        if let Some(rows) = &self.rows {
            rows.clear(slot.0);
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper")
            .field("entries", &self.entries)
            .field("reserved", &self.reserved)
            .field("held", &self.holds.len())
            .finish_non_exhaustive()
    }
}
