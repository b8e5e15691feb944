//! Describing a table.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ahash::RandomState;

use super::clock::{Clock, Lifetime};
use super::data::{self, DataType, Rows};
use super::error::TableError;
use super::keeper::Keeper;
use super::layout::{HEAD, Layout, Narrow, SLOTS, Wide};
use super::servers::{ServerNaming, Servers};
use super::shared::Shared;
use super::slots::Slots;
use super::stick_table::StickTable;
use super::storage::Storage;
use super::victims::EXACT;
use crate::key::KeyType;

/// Describes a [`StickTable`]; made by [`StickTable::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct StickTableBuilder {
    key_type: KeyType,
    size: u64,
    expire: Duration,
    nopurge: bool,
    hash_seed: u64,
    named_by: ServerNaming,
    data: Vec<DataType>,
}

impl StickTableBuilder {
    pub(super) const fn new(key_type: KeyType) -> Self {
        Self {
            key_type,
            size: 0,
            expire: Duration::ZERO,
            nopurge: false,
            hash_seed: 0,
            named_by: ServerNaming::Name,
            data: Vec::new(),
        }
    }

    /// The most entries there may be, 1 to 2³² − 1; there is no default. HAProxy: `size`.
    ///
    /// The bound is exact, and nothing is evicted before it is reached. Memory is taken
    /// as entries arrive.
    pub const fn size(mut self, entries: u64) -> Self {
        self.size = entries;
        self
    }

    /// How long an entry lives after it was last touched: up to 2³¹ − 1 milliseconds,
    /// about 24.8 days, rounded up to whole ones. Zero, the default, is for ever.
    /// HAProxy: `expire`.
    pub const fn expire(mut self, idle: Duration) -> Self {
        self.expire = idle;
        self
    }

    /// Refuses new entries when the table is full, instead of evicting old ones. HAProxy:
    /// `nopurge`.
    pub const fn nopurge(mut self) -> Self {
        self.nopurge = true;
        self
    }

    /// By which text backends name servers to this table; default by name. HAProxy:
    /// `srvkey`.
    pub const fn servers_named_by(mut self, naming: ServerNaming) -> Self {
        self.named_by = naming;
        self
    }

    /// A number that decides how keys are strewn over the table. The default is 0.
    ///
    /// The library reads no randomness of the operating system. Where clients choose
    /// keys, as with cookies and headers, give a random number here: who knows it can
    /// make keys that all meet in one place and slow the table down.
    pub const fn hash_seed(mut self, seed: u64) -> Self {
        self.hash_seed = seed;
        self
    }

    /// Stores a counter, a rate, a tag or an array of them with each entry; default:
    /// nothing but the server. HAProxy: `store`.
    ///
    /// A row of 8 bytes for each value, 16 for a rate, is kept for every slot. Each kind
    /// once; an array excludes the single ones it takes the place of.
    pub fn store(mut self, data: DataType) -> Self {
        self.data.push(data);
        self
    }

    /// Builds the table.
    ///
    /// # Errors
    /// What is out of range, or memory that is not to be had.
    pub fn build(self) -> Result<StickTable, TableError> {
        let size = self.checked_size()?;
        let length = self.key_type.length();
        if length == 0 || length > KeyType::MAX_LENGTH {
            return Err(TableError::KeyLength { found: length });
        }
        data::check(&self.data)?;
        let expire = self.milliseconds()?;
        let lifetime = expire.map_or(Lifetime::ENDLESS, Lifetime::milliseconds);
        let narrow = || {
            let load = if size > SMALL { DENSE } else { LOOSE };
            self.shared(Narrow::new(&self.hasher(0)), load, size, lifetime)
        };
        let wide = |layout, load| Ok(Storage::Wide(self.shared(layout, load, size, lifetime)?));
        let storage = match self.key_type {
            KeyType::Ip => Storage::Ip(narrow()?),
            KeyType::Integer => Storage::Integer(narrow()?),
            KeyType::Ipv6 => wide(Wide::words(2, self.hasher(0)), DENSEST)?,
            KeyType::String(_) | KeyType::Binary(_) => {
                wide(Wide::up_to(length, self.hasher(0)), MIDDLE)?
            }
        };
        Ok(StickTable {
            key_type: self.key_type,
            size,
            expire: expire.map(|ms| Duration::from_millis(ms.into())),
            named_by: self.named_by,
            servers: Servers::new(self.hasher(2)),
            storage,
            latest: AtomicU64::new(0),
        })
    }

    fn checked_size(&self) -> Result<usize, TableError> {
        let size = u32::try_from(self.size).ok().filter(|&size| size > 0);
        let size = size.and_then(|size| usize::try_from(size).ok());
        size.ok_or(TableError::Size { found: self.size })
    }

    fn milliseconds(&self) -> Result<Option<u32>, TableError> {
        let milliseconds = self.expire.as_nanos().div_ceil(1_000_000);
        if milliseconds > i32::MAX as u128 {
            return Err(TableError::Expire { found: self.expire });
        }
        Ok(Some(milliseconds as u32).filter(|&milliseconds| milliseconds > 0))
    }

    fn shared<L: Layout>(
        &self,
        layout: L,
        load: u64,
        size: usize,
        lifetime: Lifetime,
    ) -> Result<Shared<L>, TableError> {
        let load = if size <= EXACT { LOOSE } else { load };
        let slots = (size as u64 * 100).div_ceil(load);
        let groups = slots.div_ceil(SLOTS as u64);
        let row = SLOTS * Rows::width(&self.data);
        let words = (HEAD + SLOTS * layout.key_words() + row) as u64;
        let refused = TableError::Memory {
            size: self.size,
            bytes: groups.saturating_mul(words * 8),
        };
        let clock = if size <= EXACT {
            Clock::exact()
        } else {
            Clock::coarse(size)
        };
        let groups = usize::try_from(groups).map_err(|_| refused.clone())?;
        let slots = Slots::new(layout, groups, lifetime, clock).ok_or(refused.clone())?;
        let rows = self.rows(groups * SLOTS).ok_or(refused)?;
        let keeper = Keeper::new(size, self.nopurge, self.hasher(1), rows);
        Ok(Shared::new(slots, keeper))
    }

    /// The rows of so many slots, if data is stored; `None` without memory for them.
    #[expect(
        clippy::option_option,
        reason = "nothing to be kept is not nothing to be had"
    )]
    fn rows(&self, slots: usize) -> Option<Option<Arc<Rows>>> {
        if self.data.is_empty() {
            return Some(None);
        }
        let rows = Rows::new(self.data.clone(), slots)?;
        Some(Some(Arc::new(rows)))
    }

    fn hasher(&self, purpose: u64) -> RandomState {
        let [a, b, c] = SEEDS;
        RandomState::with_seeds(
            self.hash_seed,
            self.hash_seed.rotate_left(32) ^ a,
            b,
            c ^ purpose,
        )
    }
}

/// Percentages of slots in use when the table is full. More is less memory, and more
/// groups to look at for a key. Small tables need little memory anyway, and where the
/// victim is exactly the oldest entry, it cannot be chosen so that groups overflow less.
const LOOSE: u64 = 50;
/// For long keys, which are most of the memory.
const MIDDLE: u64 = 71;
/// For tables of short keys so large that cache misses are what lookups cost.
const DENSE: u64 = 80;
/// For IPv6 addresses, as the memory of each slot is in proportion.
const DENSEST: u64 = 85;

/// Up to so many entries of short keys, a table is in reach of a processor's own cache.
const SMALL: usize = 65_536;

/// Any numbers do that are odd and without pattern: the seed is what differs.
const SEEDS: [u64; 3] = [
    0x9e37_79b9_7f4a_7c15,
    0xbf58_476d_1ce4_e5b9,
    0x94d0_49bb_1331_11eb,
];
