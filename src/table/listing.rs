//! Looking at entries, many or one, with all that is stored with them.

use super::clock::Moment;
use super::data::{DataKind, DataType, Place, Rows};
use super::entry::{Entry, TableEntry};
use super::keeper::Removal;
use super::servers::TableServer;
use super::shared::Visit;
use super::slots::Slot;
use super::stick_table::{StickTable, milliseconds};
use super::storage::{Storage, with_key, with_storage};
use crate::key::Key;
use crate::time::Now;

impl StickTable {
    /// Removes all entries but those that somebody holds, and says how many. HAProxy:
    /// `clear table T`.
    pub fn clear(&self) -> usize {
        with_storage!(self, |shared| {
            let (slots, mut keeper) = shared.locked();
            keeper.clear(slots)
        })
    }

    /// Removes the entries that the filter accepts, but those that somebody holds, and
    /// says how many. An entry that changes between the filter and its removal goes, too.
    pub fn clear_where(&self, now: Now, filter: impl FnMut(&TableEntry<'_>) -> bool) -> usize {
        let chosen = self.entries_where(now, filter);
        let removals = chosen.iter().map(|chosen| self.remove(&chosen.key, now));
        removals
            .filter(|&removal| removal == Removal::Removed)
            .count()
    }

    /// All entries that have not expired, in the order of their keys. HAProxy 2.6:
    /// `show table T`.
    ///
    /// It takes no lock, so it is no single moment of a table that changes meanwhile.
    pub fn entries(&self, now: Now) -> Vec<TableEntry<'_>> {
        self.entries_where(now, |_| true)
    }

    /// The entries that the filter accepts, in the order of their keys.
    pub fn entries_where(
        &self,
        now: Now,
        mut filter: impl FnMut(&TableEntry<'_>) -> bool,
    ) -> Vec<TableEntry<'_>> {
        self.tell(now);
        let at = Moment::of(now);
        let mut entries = Vec::new();
        let mut add = |key, visit| {
            let entry = self.listed(key, visit, now);
            if filter(&entry) {
                entries.push(entry);
            }
        };
        match &self.storage {
            Storage::Ip(shared) | Storage::Integer(shared) => {
                shared.visit(at, |key, visit| add(self.narrow_key(key), visit));
            }
            Storage::Wide(shared) => {
                shared.visit(at, |key, visit| add(self.wide_key(key), visit));
            }
        }
        entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        entries
    }

    /// How many entries that have not expired name this server, as
    /// [`server`](Self::server) knows it: by this id and this text.
    ///
    /// They are clients that would come back to it, each perhaps a long time from now or
    /// never. It looks at every slot, a nanosecond or two each, and takes no lock, so it is
    /// no single moment of a table that changes meanwhile. HAProxy has no such command:
    /// there it is `show table T data.server_id eq N`, counted.
    pub fn entries_of(&self, server: TableServer, now: Now) -> usize {
        self.count_where(now, |entry| entry.server() == server)
    }

    pub(crate) fn count_where(&self, now: Now, filter: impl Fn(&Entry<'_>) -> bool) -> usize {
        let at = Moment::of(now);
        let mut count = 0;
        with_storage!(self, |shared| shared.visit(at, |_, visit| {
            count += usize::from(filter(&Entry::new(self, visit.hit, at)));
        }));
        count
    }

    /// What is stored with each entry beside its server, in HAProxy's order.
    pub fn stored(&self) -> &[DataType] {
        self.rows().map_or(&[], Rows::types)
    }

    /// The entry of a key as [`entries`](Self::entries) lists it, left as it is. HAProxy:
    /// `show table T key K`. Takes the table's lock.
    pub fn entry(&self, key: &Key<'_>, now: Now) -> Option<TableEntry<'_>> {
        self.tell(now);
        let at = Moment::of(now);
        let visit = with_key!(self, key, |shared, key| shared.visit_one(key, at), None)?;
        Some(self.listed(key.clone().into_owned(), visit, now))
    }

    /// Sets a value stored with the entry of a key and refreshes it; `element` is 0 but in
    /// arrays. False without such an entry, or if the value is not stored. HAProxy: `set
    /// table T key K data.TYPE VALUE`.
    ///
    /// Counters keep the lower 32 bits, those of bytes all 64. A rate is that many events
    /// just now, and none before. Takes the table's lock.
    pub fn set_data(
        &self,
        key: &Key<'_>,
        kind: DataKind,
        element: u32,
        value: u64,
        now: Now,
    ) -> bool {
        self.tell(now);
        let Some(rows) = self.rows() else {
            return false;
        };
        let set = |slot: Slot| {
            let slot = slot.0;
            let place = Place {
                slot,
                kind,
                element,
            };
            rows.set(place, value, milliseconds(now))
        };
        let at = Moment::of(now);
        with_key!(self, key, |shared, key| shared.change(key, at, set), false)
    }

    fn listed(&self, key: Key<'static>, visit: Visit, now: Now) -> TableEntry<'_> {
        let Visit { slot, hit, uses } = visit;
        let entry = Entry::new(self, hit, Moment::of(now));
        TableEntry::new(key, entry, uses, slot, milliseconds(now))
    }
}
