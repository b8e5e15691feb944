//! The entries of a table: found by many threads at once, changed by one at a time.

use std::sync::atomic::Ordering::{Acquire, Release};

use ahash::RandomState;

use super::clock::{Clock, Lifetime, Moment};
use super::layout::{CODE, HEAD, IDENTITY, IN_USE, Layout, ONE_PASSED, PASSED, SLOTS};
use super::words::{AtomicU64, Words};

/// Groups of four slots. See the [module](super) for the layout and why reading is safe.
///
/// What takes a [`Slot`] or changes anything but a stamp is for the one thread that has
/// the keeper's lock.
#[derive(Debug)]
pub(super) struct Slots<L> {
    layout: L,
    words: Words,
    groups: usize,
    hasher: RandomState,
    lifetime: Lifetime,
    clock: Clock,
    inserts: AtomicU64,
}

/// A place for one entry. An entry never moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) usize);

/// What a lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    /// The server's code.
    pub(super) code: u32,
    /// When the entry was last touched.
    pub(super) stamp: u64,
}

/// Whether a lookup refreshes what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    Refresh,
    Leave,
}

/// Where the search for a key is.
#[derive(Clone, Copy)]
struct Path {
    group: usize,
    /// Bits that choose the second group, as long as it lies ahead.
    other: Option<u64>,
}

/// Why a lookup found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    Absent,
    Expired,
}

/// The slot of a key, as it was a moment ago.
struct Found<'w> {
    head: &'w [AtomicU64; HEAD],
    group: usize,
    slot: usize,
    meta: u64,
}

/// One group: meta words and stamps in the first cache line, keys behind them.
struct Group<'w> {
    head: &'w [AtomicU64; HEAD],
    keys: &'w [AtomicU64],
}

impl<L: Layout> Slots<L> {
    /// So many groups, or `None` when there is no memory for them.
    pub(super) fn new(
        layout: L,
        groups: usize,
        hasher: RandomState,
        lifetime: Lifetime,
        clock: Clock,
    ) -> Option<Self> {
        let group_words = HEAD + SLOTS * layout.key_words();
        Some(Self {
            words: Words::zeroed(groups.checked_mul(group_words)?)?,
            layout,
            groups,
            hasher,
            lifetime,
            clock,
            inserts: AtomicU64::new(0),
        })
    }

    /// Finds the entry of a key, unless it has expired. Takes no lock.
    ///
    /// Not inlined: the two layouts in one function have too few registers.
    #[inline(never)]
    pub(super) fn lookup(&self, key: L::Key<'_>, at: Moment, touch: Touch) -> Result<Hit, Miss> {
        let hash = self.hash(key);
        loop {
            let found = self.search(key, hash).ok_or(Miss::Absent)?;
            let slot = found.slot % SLOTS;
            let (meta, last_touch) = (&found.head[slot], &found.head[SLOTS + slot]);
            let stamp = last_touch.load(Acquire);
            // If it is the same entry still, then key and stamp were read of this one.
            if (meta.load(Acquire) ^ found.meta) & IDENTITY != 0 {
                continue;
            }
            if self.has_expired(found.meta, stamp, at) {
                return Err(Miss::Expired);
            }
            let mut hit = Hit {
                code: (found.meta & CODE) as u32,
                stamp,
            };
            if touch == Touch::Refresh
                && let Some(stamp) = self.clock.touch(stamp, hash, at)
            {
                last_touch.store(stamp, Release);
                hit.stamp = stamp;
            }
            return Ok(hit);
        }
    }

    /// Finds the place of a key, whether its entry has expired or not.
    pub(super) fn find(&self, key: L::Key<'_>) -> Option<Slot> {
        let found = self.search(key, self.hash(key))?;
        Some(Slot(found.group * SLOTS + found.slot))
    }

    /// Puts an entry into the first free slot. There must be one, and no entry of the key.
    pub(super) fn insert(&self, key: L::Key<'_>, code: u32, at: Moment) -> Slot {
        let hash = self.hash(key);
        let mut path = self.path(hash);
        let slot = loop {
            let metas = metas(self.group(path.group).head);
            if let Some(slot) = metas.iter().position(|meta| meta & CODE == 0) {
                break Slot(path.group * SLOTS + slot);
            }
            self.count_passed(path.group, u64::wrapping_add);
            path = self.further(path);
        };
        self.fill(slot, key, hash, code, at);
        self.inserts.store(self.inserts() + 1, Release);
        slot
    }

    /// Frees the slot of an entry. `buffer` is for its key.
    pub(super) fn vacate(&self, slot: Slot, buffer: &mut Vec<u8>) {
        let group = self.group(slot.0 / SLOTS);
        let meta = self.meta(slot);
        self.layout.read(self.key_words(&group, slot), buffer);
        let key = self.layout.key(meta, buffer);
        let mut path = self.path(self.hash(key));
        let next = meta & PASSED | self.layout.next_version(meta);
        group.head[slot.0 % SLOTS].store(next, Release);
        self.set_stamp(slot, 0);
        while path.group != slot.0 / SLOTS {
            self.count_passed(path.group, u64::wrapping_sub);
            path = self.further(path);
        }
    }

    /// Gives an entry another server and refreshes it.
    pub(super) fn rewrite(&self, slot: Slot, code: u32, at: Moment) {
        // The server first: who sees the fresh stamp of an entry that had expired must
        // not take its old server for a live one.
        self.change_meta(slot, |meta| meta & !CODE | u64::from(code));
        self.set_stamp(slot, self.clock.advance(at));
    }

    /// Refreshes an entry.
    pub(super) fn refresh(&self, slot: Slot, at: Moment) {
        self.set_stamp(slot, self.clock.advance(at));
    }

    /// Marks an entry as held by somebody, or by nobody.
    pub(super) fn set_in_use(&self, slot: Slot, in_use: bool) {
        let bit = if in_use { IN_USE } else { 0 };
        self.change_meta(slot, |meta| meta & !IN_USE | bit);
    }

    /// Whether there is an entry that nobody holds.
    #[inline]
    pub(super) fn is_idle(&self, slot: Slot) -> bool {
        let meta = self.meta(slot);
        meta & CODE != 0 && meta & IN_USE == 0
    }

    pub(super) fn is_expired(&self, slot: Slot, at: Moment) -> bool {
        self.has_expired(self.meta(slot), self.stamp(slot), at)
    }

    pub(super) fn code(&self, slot: Slot) -> u32 {
        (self.meta(slot) & CODE) as u32
    }

    /// When the entry was last touched; 0 in a free slot, but for a touch that came late.
    #[inline]
    pub(super) fn stamp(&self, slot: Slot) -> u64 {
        self.group(slot.0 / SLOTS).head[SLOTS + slot.0 % SLOTS].load(Acquire)
    }

    /// The stamps of one group.
    #[inline]
    pub(super) fn stamps(&self, group: usize) -> [u64; SLOTS] {
        let head = self.group(group).head;
        std::array::from_fn(|slot| head[SLOTS + slot].load(Acquire))
    }

    /// Reads a slot without any lock: its key, what else it holds, and whether it is held.
    pub(super) fn read<'b>(
        &self,
        slot: Slot,
        buffer: &'b mut Vec<u8>,
    ) -> Option<(L::Key<'b>, Hit, bool)> {
        let group = self.group(slot.0 / SLOTS);
        let (meta, stamp) = loop {
            let meta = self.meta(slot);
            if meta & CODE == 0 {
                return None;
            }
            self.layout.read(self.key_words(&group, slot), buffer);
            let stamp = self.stamp(slot);
            if (self.meta(slot) ^ meta) & IDENTITY == 0 {
                break (meta, stamp);
            }
        };
        let code = (meta & CODE) as u32;
        let key = self.layout.key(meta, buffer);
        Some((key, Hit { code, stamp }, meta & IN_USE != 0))
    }

    /// How many entries were ever put in. A key that was absent is so still if this is
    /// what it was before.
    pub(super) fn inserts(&self) -> u64 {
        self.inserts.load(Acquire)
    }

    pub(super) fn groups(&self) -> usize {
        self.groups
    }

    pub(super) fn lifetime(&self) -> Lifetime {
        self.lifetime
    }

    #[inline]
    fn hash(&self, key: L::Key<'_>) -> u64 {
        self.layout.hash(key, &self.hasher)
    }

    /// Finds the slot of a key. A wide key may have been read of two entries: the slot is
    /// the key's only if the meta word is still the same afterwards.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "a call costs a tenth of a hit")]
    fn search(&self, key: L::Key<'_>, hash: u64) -> Option<Found<'_>> {
        let mark = self.layout.mark(key, hash);
        let mut path = self.path(hash);
        // The number of groups bounds the walk should all have passed something on.
        let mut left = self.groups;
        loop {
            let group = self.group(path.group);
            let mut candidates = candidates::<L>(group.head, mark);
            while candidates != 0 {
                let slot = candidates.trailing_zeros() as usize % SLOTS;
                let meta = group.head[slot].load(Acquire);
                if is_candidate::<L>(meta, mark)
                    && self.layout.matches(self.key_words(&group, Slot(slot)), key)
                {
                    return Some(Found {
                        head: group.head,
                        group: path.group,
                        slot,
                        meta,
                    });
                }
                candidates &= candidates - 1;
            }
            if group.head[0].load(Acquire) & PASSED == 0 || left == 0 {
                return None;
            }
            left -= 1;
            path = self.further(path);
        }
    }

    fn fill(&self, slot: Slot, key: L::Key<'_>, hash: u64, code: u32, at: Moment) {
        let group = self.group(slot.0 / SLOTS);
        self.layout.write(self.key_words(&group, slot), key);
        self.set_stamp(slot, self.clock.advance(at));
        let mark = self.layout.mark(key, hash);
        self.change_meta(slot, |meta| meta & !L::MARK | mark | u64::from(code));
    }

    /// The way of a key through the groups begins here.
    #[inline]
    fn path(&self, hash: u64) -> Path {
        Path {
            group: self.spread(hash >> 32),
            other: Some(hash & 0xffff_ffff),
        }
    }

    /// From the first group to another that is as random, and from there to one after the
    /// other. (Straight to the next ones, full groups would gather.)
    #[inline]
    fn further(&self, path: Path) -> Path {
        let next = match path.other {
            Some(other) => self.spread(other),
            None if path.group + 1 == self.groups => 0,
            None => path.group + 1,
        };
        Path {
            group: next,
            other: None,
        }
    }

    /// Maps 32 bits to the groups, evenly.
    #[inline]
    fn spread(&self, bits: u64) -> usize {
        ((bits * self.groups as u64) >> 32) as usize
    }

    fn count_passed(&self, group: usize, count: impl Fn(u64, u64) -> u64) {
        self.change_meta(Slot(group * SLOTS), |meta| {
            if meta & PASSED == PASSED {
                meta
            } else {
                count(meta, ONE_PASSED)
            }
        });
    }

    #[inline]
    fn has_expired(&self, meta: u64, stamp: u64, at: Moment) -> bool {
        at.is_past(stamp, self.lifetime) && meta & IN_USE == 0
    }

    #[inline]
    fn meta(&self, slot: Slot) -> u64 {
        self.group(slot.0 / SLOTS).head[slot.0 % SLOTS].load(Acquire)
    }

    #[inline]
    fn change_meta(&self, slot: Slot, change: impl Fn(u64) -> u64) {
        let word = &self.group(slot.0 / SLOTS).head[slot.0 % SLOTS];
        word.store(change(word.load(Acquire)), Release);
    }

    #[inline]
    fn set_stamp(&self, slot: Slot, stamp: u64) {
        self.group(slot.0 / SLOTS).head[SLOTS + slot.0 % SLOTS].store(stamp, Release);
    }

    #[inline]
    fn group(&self, index: usize) -> Group<'_> {
        let count = HEAD + SLOTS * self.layout.key_words();
        let words = self.words.slice(index * count, count);
        match words.split_first_chunk() {
            Some((head, keys)) => Group { head, keys },
            None => unreachable!("a group has a head"),
        }
    }

    #[inline]
    fn key_words<'w>(&self, group: &Group<'w>, slot: Slot) -> &'w [AtomicU64] {
        let count = self.layout.key_words();
        &group.keys[slot.0 % SLOTS * count..][..count]
    }
}

#[inline]
fn metas(head: &[AtomicU64; HEAD]) -> [u64; SLOTS] {
    std::array::from_fn(|slot| head[slot].load(Acquire))
}

/// Bits of the slots with this mark and an entry. It looks at all four, because a branch
/// at the right one could not be predicted.
#[inline]
fn candidates<L: Layout>(head: &[AtomicU64; HEAD], mark: u64) -> u32 {
    let is_one = |slot: usize| u32::from(is_candidate::<L>(head[slot].load(Acquire), mark));
    is_one(0) | is_one(1) << 1 | is_one(2) << 2 | is_one(3) << 3
}

/// With the right mark only the code is left over; 0, for a free slot, becomes the
/// greatest number.
#[inline]
fn is_candidate<L: Layout>(meta: u64, mark: u64) -> bool {
    ((meta ^ mark) & (L::MARK | CODE)).wrapping_sub(1) < CODE
}
