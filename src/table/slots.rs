//! The entries of a table: found by many threads at once, changed by one at a time.

use std::sync::atomic::Ordering::{Acquire, Release};

use super::clock::{Clock, Lifetime, Moment};
use super::layout::{CODE, HEAD, IDENTITY, IN_USE, Layout, ONE_PASSED, PASSED, SLOT_AT, SLOTS};
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
    lifetime: Lifetime,
    clock: Clock,
    inserts: AtomicU64,
}

/// A place for one entry. An entry never moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) usize);

impl Slot {
    #[inline]
    pub(super) fn group(self) -> usize {
        self.0 / SLOTS
    }

    #[inline]
    fn index(self) -> usize {
        self.0 % SLOTS
    }
}

/// A key that is looked for, and what of it is worked out once.
#[derive(Clone, Copy)]
pub(super) struct Sought<K> {
    key: K,
    hash: u64,
    mark: u64,
}

/// What a lookup found, in a form that fits into registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// 0 if there is no live entry.
    code: u32,
    /// 0 if there is no entry at all.
    stamp: u64,
}

impl Found {
    const NOTHING: Self = Self { code: 0, stamp: 0 };

    /// The entry, if there is one that has not expired.
    #[inline]
    pub(super) fn hit(self) -> Option<Hit> {
        let Self { code, stamp } = self;
        (code != 0).then_some(Hit { code, stamp })
    }

    /// Whether there is not even an expired entry.
    #[inline]
    pub(super) fn is_nothing(self) -> bool {
        self == Self::NOTHING
    }
}

/// An entry that a lookup found.
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
    /// A hash that says the second group, as long as that lies ahead.
    other: Option<u64>,
}

/// The slot of a key, as it was a moment ago.
struct Place<'w> {
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
    pub(super) fn new(layout: L, groups: usize, lifetime: Lifetime, clock: Clock) -> Option<Self> {
        let group_words = HEAD + SLOTS * layout.key_words();
        Some(Self {
            words: Words::zeroed(groups.checked_mul(group_words)?)?,
            layout,
            groups,
            lifetime,
            clock,
            inserts: AtomicU64::new(0),
        })
    }

    /// Works out where a key belongs.
    #[inline]
    pub(super) fn sought<'k>(&self, key: L::Key<'k>) -> Sought<L::Key<'k>> {
        let hash = self.layout.hash(key);
        let mark = self.layout.mark(key, hash);
        Sought { key, hash, mark }
    }

    /// Finds the entry of a key, unless it has expired. Takes no lock.
    ///
    /// This is the usual case, in straight code: the key is in its first group, or in
    /// none, and nothing happens to it meanwhile.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "a call costs a tenth of a hit")]
    pub(super) fn lookup(&self, sought: Sought<L::Key<'_>>, at: Moment, touch: Touch) -> Found {
        let Group { head, keys } = self.group(self.first(sought.hash));
        let rest = nearest(head, sought.mark);
        if rest >> L::MARK_AT != 0 {
            if head[0].load(Acquire) & PASSED == 0 {
                return Found::NOTHING;
            }
            return self.lookup_further(sought, at, touch);
        }
        let meta = rest ^ sought.mark;
        let slot = (meta >> SLOT_AT) as usize % SLOTS;
        if self.layout.matches(self.part(keys, slot), sought.key) {
            let last_touch = &head[SLOTS + slot];
            let stamp = last_touch.load(Acquire);
            if head[slot].load(Acquire) == meta
                && meta & CODE != 0
                && !at.is_past(stamp, self.lifetime)
            {
                let code = (meta & CODE) as u32;
                let stamp = self.touch(last_touch, stamp, sought.hash, at, touch);
                return Found { code, stamp };
            }
        }
        self.lookup_further(sought, at, touch)
    }

    /// Finds the entry of a key wherever it is and whatever happens to it.
    #[cold]
    #[inline(never)]
    fn lookup_further(&self, sought: Sought<L::Key<'_>>, at: Moment, touch: Touch) -> Found {
        loop {
            let Some(place) = self.search(sought) else {
                return Found::NOTHING;
            };
            let slot = place.slot % SLOTS;
            let (meta, last_touch) = (&place.head[slot], &place.head[SLOTS + slot]);
            let stamp = last_touch.load(Acquire);
            // If it is the same entry still, then key and stamp were read of this one.
            if (meta.load(Acquire) ^ place.meta) & IDENTITY != 0 {
                continue;
            }
            if self.has_expired(place.meta, stamp, at) {
                // It may be a free slot's stamp, or that of an entry on its way out.
                let stamp = stamp.max(1);
                return Found { code: 0, stamp };
            }
            let code = (place.meta & CODE) as u32;
            let stamp = self.touch(last_touch, stamp, sought.hash, at, touch);
            return Found { code, stamp };
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "a call costs a tenth of a hit")]
    fn touch(
        &self,
        last_touch: &AtomicU64,
        stamp: u64,
        hash: u64,
        at: Moment,
        touch: Touch,
    ) -> u64 {
        if touch == Touch::Leave {
            return stamp;
        }
        self.clock.touch(last_touch, stamp, hash, at)
    }

    /// The group that a key belongs into, and the one if that is full.
    #[inline]
    pub(super) fn homes(&self, sought: Sought<L::Key<'_>>) -> [usize; 2] {
        let path = self.path(sought.hash);
        [path.group, self.further(path).group]
    }

    /// Finds the place of a key, whether its entry has expired or not.
    pub(super) fn find(&self, sought: Sought<L::Key<'_>>) -> Option<Slot> {
        let place = self.search(sought)?;
        Some(Slot(place.group * SLOTS + place.slot))
    }

    /// Puts an entry into the first free slot. There must be one, and no entry of the key.
    pub(super) fn insert(&self, sought: Sought<L::Key<'_>>, code: u32, at: Moment) -> Slot {
        let mut path = self.path(sought.hash);
        loop {
            let group = self.group(path.group);
            let free = free_slots(group.head);
            if free != 0 {
                let index = free.trailing_zeros() as usize % SLOTS;
                self.fill(&group, index, sought, code, at);
                return Slot(path.group * SLOTS + index);
            }
            count_passed(group.head, u64::wrapping_add);
            path = self.further(path);
        }
    }

    /// Frees the slot of an entry. `buffer` is for its key.
    pub(super) fn vacate(&self, slot: Slot, buffer: &mut Vec<u8>) {
        let group = self.group(slot.group());
        let word = &group.head[slot.index()];
        let meta = word.load(Acquire);
        self.layout
            .read(self.part(group.keys, slot.index()), buffer);
        let hash = self.layout.hash(self.layout.key(meta, buffer));
        let next = meta & PASSED | self.layout.next_version(meta);
        word.store(next, Release);
        group.head[SLOTS + slot.index()].store(0, Release);
        let mut path = self.path(hash);
        while path.group != slot.group() {
            count_passed(self.group(path.group).head, u64::wrapping_sub);
            path = self.further(path);
        }
    }

    #[inline]
    fn fill(
        &self,
        group: &Group<'_>,
        slot: usize,
        sought: Sought<L::Key<'_>>,
        code: u32,
        at: Moment,
    ) {
        self.layout.write(self.part(group.keys, slot), sought.key);
        group.head[SLOTS + slot].store(self.clock.advance(at), Release);
        let below = !(u64::MAX << L::MARK_AT);
        let new = sought.mark | (slot as u64) << SLOT_AT | u64::from(code);
        change_word(&group.head[slot], |meta| meta & below | new);
        self.inserts.store(self.inserts() + 1, Release);
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
        self.group(slot.group()).head[SLOTS + slot.index()].load(Acquire)
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
        let group = self.group(slot.group());
        let (meta, stamp) = loop {
            let meta = self.meta(slot);
            if meta & CODE == 0 {
                return None;
            }
            self.layout
                .read(self.part(group.keys, slot.index()), buffer);
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

    /// Finds the slot of a key. A wide key may have been read of two entries: the slot is
    /// the key's only if the meta word is still the same afterwards.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "a call costs a tenth of a hit")]
    fn search(&self, sought: Sought<L::Key<'_>>) -> Option<Place<'_>> {
        let mut path = self.path(sought.hash);
        // The number of groups bounds the walk should all have passed something on.
        let mut left = self.groups;
        loop {
            let Group { head, keys } = self.group(path.group);
            for (slot, meta) in metas(head).into_iter().enumerate() {
                if (meta ^ sought.mark) >> L::MARK_AT == 0
                    && meta & CODE != 0
                    && self.layout.matches(self.part(keys, slot), sought.key)
                {
                    return Some(Place {
                        head,
                        group: path.group,
                        slot,
                        meta,
                    });
                }
            }
            if head[0].load(Acquire) & PASSED == 0 || left == 0 {
                return None;
            }
            left -= 1;
            path = self.further(path);
        }
    }

    #[inline]
    fn first(&self, hash: u64) -> usize {
        self.spread(hash)
    }

    /// The way of a key through the groups begins here.
    #[inline]
    fn path(&self, hash: u64) -> Path {
        Path {
            group: self.first(hash),
            other: Some(hash.rotate_left(32)),
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

    /// Maps a hash to the groups, evenly.
    #[inline]
    fn spread(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.groups as u128) >> 64) as u32 as usize
    }

    #[inline]
    fn has_expired(&self, meta: u64, stamp: u64, at: Moment) -> bool {
        at.is_past(stamp, self.lifetime) && meta & IN_USE == 0
    }

    #[inline]
    fn meta(&self, slot: Slot) -> u64 {
        self.group(slot.group()).head[slot.index()].load(Acquire)
    }

    #[inline]
    fn change_meta(&self, slot: Slot, change: impl Fn(u64) -> u64) {
        change_word(&self.group(slot.group()).head[slot.index()], change);
    }

    #[inline]
    fn set_stamp(&self, slot: Slot, stamp: u64) {
        self.group(slot.group()).head[SLOTS + slot.index()].store(stamp, Release);
    }

    #[inline]
    fn group(&self, index: usize) -> Group<'_> {
        let count = HEAD + SLOTS * self.layout.key_words();
        let words = self.words.block(index as u32, count as u32);
        match words.split_first_chunk() {
            Some((head, keys)) => Group { head, keys },
            None => unreachable!("a group has a head"),
        }
    }

    /// The words of one slot's key.
    #[inline]
    fn part<'w>(&self, keys: &'w [AtomicU64], slot: usize) -> &'w [AtomicU64] {
        let count = self.layout.key_words();
        &keys[slot * count..][..count]
    }
}

fn count_passed(head: &[AtomicU64; HEAD], count: impl Fn(u64, u64) -> u64) {
    change_word(&head[0], |meta| {
        if meta & PASSED == PASSED {
            meta
        } else {
            count(meta, ONE_PASSED)
        }
    });
}

#[inline]
fn change_word(word: &AtomicU64, change: impl Fn(u64) -> u64) {
    word.store(change(word.load(Acquire)), Release);
}

/// A bit for each slot, the first one the lowest.
#[inline]
fn free_slots(head: &[AtomicU64; HEAD]) -> u32 {
    let metas = metas(head).into_iter().rev();
    metas.fold(0, |bits, meta| bits << 1 | u32::from(meta & CODE == 0))
}

#[inline]
fn metas(head: &[AtomicU64; HEAD]) -> [u64; SLOTS] {
    std::array::from_fn(|slot| head[slot].load(Acquire))
}

/// What is left of the meta word with this mark without it; more than fits below a mark
/// if there is none. It looks at all four words, because a branch at the right one could
/// not be predicted.
#[inline]
fn nearest(head: &[AtomicU64; HEAD], mark: u64) -> u64 {
    let [a, b, c, d] = metas(head).map(|meta| meta ^ mark);
    a.min(b).min(c.min(d))
}
