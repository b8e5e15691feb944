//! Entries as callers see them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Moment;
use super::data::{DataKind, Place};
use super::error::StoreError;
use super::keeper::Stored;
use super::servers::TableServer;
use super::slots::{Hit, Slot};
use super::stick_table::{StickTable, milliseconds};
use crate::key::Key;
use crate::time::Now;

/// What a table says about a key: its server, and for how long.
///
/// It is a copy, and stays what it is when the entry changes.
#[derive(Clone, Copy)]
#[must_use]
pub struct Entry<'t> {
    table: &'t StickTable,
    hit: Hit,
    at: Moment,
}

impl<'t> Entry<'t> {
    #[inline]
    pub(super) fn new(table: &'t StickTable, hit: Hit, at: Moment) -> Self {
        Self { table, hit, at }
    }

    /// The server as the table knows it, good for storing it again.
    #[inline]
    pub fn server(&self) -> TableServer {
        TableServer(self.hit.code)
    }

    /// Id of the server, 0 for none. HAProxy: `server_id`.
    #[inline]
    pub fn server_id(&self) -> u32 {
        let named = self.table.servers.get(self.server());
        named.map_or(0, |(id, _)| id)
    }

    /// Name or address of the server, by which it is found before its id. HAProxy:
    /// `server_key`.
    #[inline]
    pub fn server_key(&self) -> Option<&'t str> {
        self.table.servers.get(self.server())?.1
    }

    /// Time until the entry expires if it is not touched, in whole milliseconds, or
    /// `None` if it never does. HAProxy: `exp`.
    ///
    /// It is zero for an entry that only lives on because somebody holds it.
    pub fn expires_in(&self) -> Option<Duration> {
        self.table.expire?;
        let left = self.at.until(self.hit.stamp, self.table.lifetime());
        Some(Duration::from_millis(left))
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("server_id", &self.server_id())
            .field("server_key", &self.server_key())
            .field("expires_in", &self.expires_in())
            .finish()
    }
}

/// An entry in a list of entries.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TableEntry<'t> {
    /// The key. A binary one has the full length of the table's keys.
    pub key: Key<'static>,
    /// What the table says about it.
    pub entry: Entry<'t>,
    /// How many hold the entry. HAProxy: `use`.
    pub uses: u32,
    slot: Slot,
    /// When the list was made.
    at: u64,
}

impl<'t> TableEntry<'t> {
    pub(super) fn new(key: Key<'static>, entry: Entry<'t>, uses: u32, slot: Slot, at: u64) -> Self {
        Self {
            key,
            entry,
            uses,
            slot,
            at,
        }
    }

    /// A value stored with the entry, `element` of an array and 0 of anything else; `None`
    /// if the table does not store it.
    ///
    /// It is read when it is asked for: of an entry that left its table since, it is 0 or
    /// that of the next one in its place.
    pub fn data(&self, kind: DataKind, element: u32) -> Option<u64> {
        let place = Place {
            slot: self.slot.0,
            kind,
            element,
        };
        self.entry.table.rows()?.read(place, self.at)
    }
}

/// Keeps an entry from being evicted, removed or expired, until it is dropped.
///
/// An entry past its time is gone as soon as nobody holds it, as in HAProxy 2.6. HAProxy:
/// the entries of `track-sc`.
#[derive(Debug)]
#[must_use = "the entry is held no longer than this"]
pub struct Held {
    table: Arc<StickTable>,
    slot: Slot,
}

impl Held {
    pub(super) fn new(table: Arc<StickTable>, slot: Slot) -> Self {
        Self { table, slot }
    }

    /// What the table says about the entry now.
    pub fn entry(&self, now: Now) -> Entry<'_> {
        Entry::new(&self.table, self.table.hit(self.slot), Moment::of(now))
    }

    /// A value stored with the entry, `element` of an array and 0 of anything else; `None`
    /// if the table does not store it. HAProxy: `sc_get_gpc0` and the like.
    pub fn data(&self, kind: DataKind, element: u32, now: Now) -> Option<u64> {
        let rows = self.table.rows()?;
        rows.read(self.place(kind, element), milliseconds(now))
    }

    /// Sets a value and refreshes the entry; false if the table does not store it.
    ///
    /// Counters keep the lower 32 bits, those of bytes all 64. A rate is that many events
    /// just now, and none before. HAProxy: `set table`, `sc-set-gpt0`.
    pub fn set_data(&self, kind: DataKind, element: u32, value: u64, now: Now) -> bool {
        let place = self.place(kind, element);
        let rows = self.table.rows();
        let is_stored = rows.is_some_and(|rows| rows.set(place, value, milliseconds(now)));
        self.refresh_if(is_stored, now)
    }

    /// Adds to a value, or takes from it, and refreshes the entry; false if the table does
    /// not store it. A rate counts that many events. HAProxy: `sc-inc-gpc0` and the like.
    pub fn add_data(&self, kind: DataKind, element: u32, change: i64, now: Now) -> bool {
        let place = self.place(kind, element);
        let rows = self.table.rows();
        let is_stored = rows.is_some_and(|rows| rows.add(place, change, milliseconds(now)));
        self.refresh_if(is_stored, now)
    }

    fn place(&self, kind: DataKind, element: u32) -> Place {
        Place {
            slot: self.slot.0,
            kind,
            element,
        }
    }

    fn refresh_if(&self, is_stored: bool, now: Now) -> bool {
        if is_stored {
            self.table.tell(now);
            self.table.refresh(self.slot, Moment::of(now));
        }
        is_stored
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.table.release(self.slot);
    }
}

/// Room for one entry, taken before its server is known.
///
/// It counts as an entry until it is used or dropped. HAProxy: the entry that a request
/// with a store rule has from the choice of its server to the response.
#[derive(Debug)]
#[must_use = "the room is kept no longer than this"]
pub struct Reservation {
    table: Option<Arc<StickTable>>,
}

impl Reservation {
    pub(super) fn new(table: Arc<StickTable>) -> Self {
        Self { table: Some(table) }
    }

    /// Stores an entry, or refreshes and rewrites the one that is there.
    ///
    /// # Errors
    /// Never [`StoreError::Full`]; else as [`StickTable::set`].
    pub fn set(
        mut self,
        key: &Key<'_>,
        server: TableServer,
        now: Now,
    ) -> Result<Stored, StoreError> {
        let Some(table) = self.table.take() else {
            return Err(StoreError::Full);
        };
        table.set_reserved(key, server, now)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(table) = &self.table {
            table.give_back();
        }
    }
}
