//! The table as its users have it: any type of keys, any number of threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::builder::StickTableBuilder;
use super::clock::{Lifetime, Moment};
use super::data::Rows;
use super::entry::{Entry, Held, Reservation};
use super::error::StoreError;
use super::keeper::{Removal, Stored};
use super::layout::Wide;
use super::servers::{ServerNaming, Servers, TableServer};
use super::shared::Shared;
use super::slots::{Hit, Slot, Touch};
use super::storage::{Storage, with_key, with_storage};
use super::upkeep::Upkeep;
use crate::key::{Key, KeyType};
use crate::time::Now;

/// A table of sticky keys and their servers, shared by any number of threads.
///
/// See the [module](crate::table) for how it works and what it costs. HAProxy: `stick-table`.
///
/// ```
/// use std::net::Ipv4Addr;
/// use std::time::Duration;
/// use stickroute::{Key, KeyType, Now, StickTable};
///
/// let table = StickTable::builder(KeyType::Ip)
///     .size(100_000)
///     .expire(Duration::from_secs(1_800))
///     .build()?;
/// let app1 = table.server(1, Some("app1"))?;
///
/// let client = Key::from(Ipv4Addr::new(192, 0, 2, 7));
/// let now = Now::system();
/// assert!(table.lookup(&client, now).is_none());
/// let _ = table.set(&client, app1, now)?;
///
/// let entry = table.lookup(&client, now).ok_or("it was stored")?;
/// assert_eq!((entry.server_id(), entry.server_key()), (1, Some("app1")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StickTable {
    pub(super) key_type: KeyType,
    pub(super) size: usize,
    pub(super) expire: Option<Duration>,
    pub(super) named_by: ServerNaming,
    pub(super) servers: Servers,
    pub(super) storage: Storage,
    /// The latest time it was told of, in milliseconds.
    pub(super) latest: AtomicU64,
}

impl StickTable {
    /// Describes a table for keys of this type.
    pub const fn builder(key_type: KeyType) -> StickTableBuilder {
        StickTableBuilder::new(key_type)
    }

    /// Finds the entry of a key and refreshes it: it will live for another whole
    /// lifetime, and be the last to be evicted.
    ///
    /// There is no entry once it has expired, and none of a key of another type. Takes
    /// no lock and allocates nothing.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "a call costs a third of a hit")]
    pub fn lookup(&self, key: &Key<'_>, now: Now) -> Option<Entry<'_>> {
        self.find(key, now, Touch::Refresh)
    }

    /// Finds the entry of a key and leaves it as it is. HAProxy: `in_table`, `show table`.
    #[inline]
    pub fn peek(&self, key: &Key<'_>, now: Now) -> Option<Entry<'_>> {
        self.find(key, now, Touch::Leave)
    }

    /// Names a server to this table, by id and, if given, by the text that is looked for
    /// first: its name, or its address as `srvkey addr` has it.
    ///
    /// Do it once a server, not once a request: it may take a lock, and the table never
    /// forgets a text.
    ///
    /// # Errors
    /// [`StoreError::TooManyServers`] beyond four million texts.
    pub fn server(&self, id: u32, key: Option<&str>) -> Result<TableServer, StoreError> {
        self.servers.code(id, key)
    }

    /// Stores the server of a key: in a new entry, or in the one that is there, which is
    /// refreshed. If the table is full, the least recently touched entry goes.
    ///
    /// An entry that names this server already is found and refreshed without a lock.
    ///
    /// # Errors
    /// [`StoreError::Full`], a key of another type, a server of another table.
    pub fn set(&self, key: &Key<'_>, server: TableServer, now: Now) -> Result<Stored, StoreError> {
        self.check_server(server)?;
        self.store(key, Some(server), now)
    }

    /// Creates an entry without a server, or refreshes the one that is there. HAProxy:
    /// `set table T key K` without data.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn insert(&self, key: &Key<'_>, now: Now) -> Result<Stored, StoreError> {
        self.store(key, None, now)
    }

    /// Removes the entry of a key, unless somebody holds it. HAProxy: `clear table T key K`.
    pub fn remove(&self, key: &Key<'_>, now: Now) -> Removal {
        self.tell(now);
        let at = Moment::of(now);
        with_key!(
            self,
            key,
            |shared, key| shared.remove(key, at),
            Removal::Absent
        )
    }

    /// Removes expired entries, looking at no more than `budget` slots, a nanosecond or
    /// two each. Call it now and then, for example each second with 10,000; it returns at
    /// once when nothing can have expired.
    ///
    /// Expired entries are never found, so this is only about room: they count until they
    /// are removed, here or when room is needed.
    ///
    /// It also tells the table the time. Sample expressions, which have no clock, read
    /// entries ([`Converter::in_table`](crate::Converter::in_table) and the like) as of the
    /// latest time that this or anything else that creates, removes, changes, holds,
    /// reserves or lists entries was given. A lookup tells nothing, nor does storing
    /// a server again that is stored already.
    pub fn maintain(&self, now: Now, budget: usize) -> Upkeep {
        self.tell(now);
        with_storage!(self, |shared| {
            let (slots, mut keeper) = shared.locked();
            keeper.maintain(slots, Moment::of(now), budget)
        })
    }

    /// Holds the entry of a key, which is refreshed, or created if it is not there.
    /// HAProxy: `track-sc`.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn hold(self: &Arc<Self>, key: &Key<'_>, now: Now) -> Result<Held, StoreError> {
        self.tell(now);
        let at = Moment::of(now);
        let refused = || Err(StoreError::key_type(key, self.key_type));
        let slot = with_key!(self, key, |shared, key| shared.hold(key, at), refused())?;
        Ok(Held::new(Arc::clone(self), slot))
    }

    /// Takes room for an entry whose server is not known yet.
    ///
    /// # Errors
    /// [`StoreError::Full`].
    pub fn reserve(self: &Arc<Self>, now: Now) -> Result<Reservation, StoreError> {
        self.tell(now);
        with_storage!(self, |shared| shared.reserve(Moment::of(now)))?;
        Ok(Reservation::new(Arc::clone(self)))
    }

    /// Keeps a time that is later than all before.
    pub(super) fn tell(&self, now: Now) {
        let now = milliseconds(now);
        if self.latest.load(Relaxed) < now {
            self.latest.fetch_max(now, Relaxed);
        }
    }

    /// The latest time it was told of, for those who have no clock.
    pub(crate) fn latest(&self) -> Now {
        let latest = Duration::from_millis(self.latest.load(Relaxed));
        Now::new(latest, Duration::ZERO)
    }

    pub(super) fn rows(&self) -> Option<&Rows> {
        with_storage!(self, |shared| shared.rows())
    }

    pub(super) fn refresh(&self, slot: Slot, at: Moment) {
        with_storage!(self, |shared| shared.refresh(slot, at));
    }

    /// How many [hold](Self::hold) the entry of a key; 0 if it is not there. HAProxy: `use`.
    pub fn uses(&self, key: &Key<'_>) -> u32 {
        with_key!(self, key, |shared, key| shared.holds(key), 0)
    }

    /// Number of entries, with those that have expired and are not removed yet.
    pub fn len(&self) -> usize {
        with_storage!(self, |shared| shared.locked().1.entries())
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of entries and [reservations](Self::reserve): what the size bounds.
    /// HAProxy: `used`.
    pub fn used(&self) -> usize {
        with_storage!(self, |shared| shared.locked().1.used())
    }

    /// The most entries there may be.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How long an entry lives after it was last touched, or `None` if for ever.
    pub fn expire(&self) -> Option<Duration> {
        self.expire
    }

    /// By which text backends name servers to this table.
    pub fn servers_named_by(&self) -> ServerNaming {
        self.named_by
    }

    /// The type of the keys.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "a call costs a third of a hit")]
    fn find(&self, key: &Key<'_>, now: Now, touch: Touch) -> Option<Entry<'_>> {
        let at = Moment::of(now);
        let hit = match (key, &self.storage) {
            (Key::Ip(address), Storage::Ip(shared)) => {
                shared.lookup(u32::from(*address), at, touch)
            }
            (Key::Integer(number), Storage::Integer(shared)) => shared.lookup(*number, at, touch),
            (Key::Ip(_) | Key::Integer(_), _) => None,
            (_, Storage::Wide(shared)) => self.find_wide(shared, key, at, touch),
            _ => None,
        };
        Some(Entry::new(self, hit?, at))
    }

    /// Not inlined: the two kinds in one function have too few registers.
    #[inline(never)]
    fn find_wide(
        &self,
        shared: &Shared<Wide>,
        key: &Key<'_>,
        at: Moment,
        touch: Touch,
    ) -> Option<Hit> {
        shared.lookup(self.wide(key, &mut [0; 16])?, at, touch)
    }

    fn store(
        &self,
        key: &Key<'_>,
        server: Option<TableServer>,
        now: Now,
    ) -> Result<Stored, StoreError> {
        let at = Moment::of(now);
        let refused = || Err(StoreError::key_type(key, self.key_type));
        let stored = with_key!(
            self,
            key,
            |shared, key| shared.store(key, server, at),
            refused()
        );
        if stored == Ok(Stored::Created) {
            self.tell(now);
        }
        stored
    }

    pub(super) fn set_reserved(
        &self,
        key: &Key<'_>,
        server: TableServer,
        now: Now,
    ) -> Result<Stored, StoreError> {
        self.tell(now);
        let at = Moment::of(now);
        let refused = || {
            self.give_back();
            Err(StoreError::key_type(key, self.key_type))
        };
        if let Err(error) = self.check_server(server) {
            self.give_back();
            return Err(error);
        }
        with_key!(
            self,
            key,
            |shared, key| shared.store_reserved(key, server, at),
            refused()
        )
    }

    pub(super) fn give_back(&self) {
        with_storage!(self, |shared| shared.locked().1.give_back());
    }

    pub(super) fn release(&self, slot: Slot) {
        with_storage!(self, |shared| shared.release(slot));
    }

    pub(super) fn hit(&self, slot: Slot) -> Hit {
        with_storage!(self, |shared| {
            let slots = shared.slots();
            let (code, stamp) = (slots.code(slot), slots.stamp(slot));
            Hit { code, stamp }
        })
    }

    fn check_server(&self, server: TableServer) -> Result<(), StoreError> {
        let known = self.servers.get(server);
        known.map(drop).ok_or(StoreError::UnknownServer)
    }

    pub(super) fn lifetime(&self) -> Lifetime {
        with_storage!(self, |shared| shared.slots().lifetime())
    }
}

/// The clock of rates.
pub(super) fn milliseconds(now: Now) -> u64 {
    u64::try_from(now.mono().as_millis()).unwrap_or(u64::MAX)
}
