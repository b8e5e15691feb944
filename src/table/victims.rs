//! Which entry goes when the table is full: the least recently touched, or nearly.

use super::layout::{Layout, SLOTS};
use super::slots::{Slot, Slots};

/// Up to this size, the victim is exactly the least recently touched entry.
pub(super) const EXACT: usize = 4_096;

/// Finds victims. Nothing is kept in order while entries are touched: the order is worked
/// out here, from the stamps, for many victims at once.
#[derive(Debug)]
pub(super) enum Victims {
    /// Looks at all entries, and lines up the oldest eighth of them.
    Exact(Queue),
    /// Goes round the table and takes whatever is as old as the oldest quarter.
    Sweep(Box<Sweep>),
}

impl Victims {
    pub(super) fn of_size(size: usize) -> Self {
        if size <= EXACT {
            Self::Exact(Queue::default())
        } else {
            Self::Sweep(Box::default())
        }
    }

    /// The next victim, an entry that nobody holds; `None` when all are held. If both
    /// groups of the new entry's key are full, or the first is, it is one of theirs if it
    /// can be.
    #[inline]
    pub(super) fn next<L: Layout>(&mut self, slots: &Slots<L>, groups: [usize; 2]) -> Option<Slot> {
        match self {
            Self::Exact(queue) => queue.next(slots),
            Self::Sweep(sweep) => {
                sweep.look_ahead(slots);
                let local = sweep.of_full(slots, groups);
                local.or_else(|| sweep.next(slots))
            }
        }
    }

    /// Learns that nobody holds an entry any longer.
    pub(super) fn released(&mut self, stamp: u64, slot: Slot) {
        if let Self::Exact(queue) = self {
            queue.insert(stamp, slot);
        }
    }
}

/// The oldest entries with their stamps, the oldest last.
///
/// Stamps only rise, so who is not in here is younger than all who are; and who was
/// touched since has another stamp than the one noted here.
#[derive(Debug, Default)]
pub(super) struct Queue {
    oldest: Vec<(u64, Slot)>,
}

impl Queue {
    fn next<L: Layout>(&mut self, slots: &Slots<L>) -> Option<Slot> {
        self.pop(slots).or_else(|| {
            self.refill(slots);
            self.pop(slots)
        })
    }

    fn pop<L: Layout>(&mut self, slots: &Slots<L>) -> Option<Slot> {
        while let Some((stamp, slot)) = self.oldest.pop() {
            if slots.stamp(slot) == stamp && slots.is_idle(slot) {
                return Some(slot);
            }
        }
        None
    }

    fn refill<L: Layout>(&mut self, slots: &Slots<L>) {
        let all = (0..slots.groups() * SLOTS).map(Slot);
        let idle = all.filter(|&slot| slots.is_idle(slot));
        self.oldest
            .extend(idle.map(|slot| (slots.stamp(slot), slot)));
        let keep = self.oldest.len() / 8 + 1;
        if keep < self.oldest.len() {
            self.oldest.select_nth_unstable(keep);
            self.oldest.truncate(keep);
        }
        self.oldest.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Lines up an entry that was held when the queue was filled.
    fn insert(&mut self, stamp: u64, slot: Slot) {
        let entry = (stamp, slot);
        let younger_than_all = self.oldest.first().is_none_or(|youngest| *youngest < entry);
        if younger_than_all {
            return;
        }
        let place = self.oldest.binary_search_by(|other| entry.cmp(other));
        if let Err(place) = place {
            self.oldest.insert(place, entry);
        }
    }
}

/// A hand that goes round the groups.
#[derive(Debug)]
pub(super) struct Sweep {
    hand: usize,
    /// Entries with this stamp or an older one may go.
    threshold: u64,
    /// And with this one or an older one, if that saves the new entry a detour.
    local_threshold: u64,
    /// Victims to find until the thresholds are thought over.
    due: usize,
    /// Where the next sample begins.
    offset: usize,
    /// Victims found ahead of need.
    found: [Slot; AHEAD + SLOTS],
    count: usize,
}

/// Victims to find ahead.
const AHEAD: usize = 28;
/// Groups that the hand passes, at most, to find some.
const PATIENCE: usize = 128;
/// Groups in a sample of stamps.
const SAMPLE: usize = 128;
/// The oldest of so many entries may go.
const SHARE: usize = 4;
/// The same for local victims. It must be far enough from two that no sample, however
/// unlucky, takes an entry of the younger half for one of these.
const LOCAL_SHARE: usize = 3;

impl Default for Sweep {
    fn default() -> Self {
        Self {
            hand: 0,
            threshold: 0,
            local_threshold: 0,
            due: 0,
            offset: 0,
            found: [Slot(0); AHEAD + SLOTS],
            count: 0,
        }
    }
}

impl Sweep {
    /// Thinks the thresholds over now and then. What is old enough once stays so until it
    /// is touched, but there will be less and less of it.
    #[inline]
    fn look_ahead<L: Layout>(&mut self, slots: &Slots<L>) {
        match self.due.checked_sub(1) {
            Some(due) => self.due = due,
            None => self.think(slots),
        }
    }

    /// The oldest entry of the first of these groups, or else of the second, if they are
    /// full and it is old enough. Then no entry is passed on from there, and searches stay
    /// short however full the table is.
    #[inline]
    fn of_full<L: Layout>(&self, slots: &Slots<L>, groups: [usize; 2]) -> Option<Slot> {
        for group in groups {
            let stamps = slots.stamps(group);
            let [a, b, c, d] = stamps;
            let oldest = a.min(b).min(c.min(d));
            // A free slot has stamp 0.
            if oldest == 0 {
                return None;
            }
            let index = stamps.iter().position(|&stamp| stamp == oldest)?;
            let slot = Slot(group * SLOTS + index);
            if oldest <= self.local_threshold && slots.is_idle(slot) {
                return Some(slot);
            }
        }
        None
    }

    #[inline]
    fn next<L: Layout>(&mut self, slots: &Slots<L>) -> Option<Slot> {
        let mut passed = 0;
        loop {
            while let Some(last) = self.count.checked_sub(1) {
                self.count = last;
                let slot = self.found[last];
                // It may have been touched or held since, or be gone.
                if slots.stamp(slot) <= self.threshold && slots.is_idle(slot) {
                    return Some(slot);
                }
            }
            if passed > slots.groups() {
                return oldest_idle(slots);
            }
            passed += self.advance(slots);
        }
    }

    /// Moves the hand until it has found some victims; says by how many groups.
    #[inline(never)]
    fn advance<L: Layout>(&mut self, slots: &Slots<L>) -> usize {
        for passed in 1..=PATIENCE {
            // Free slots have stamp 0, which becomes the greatest. There is no branch,
            // because it could not be predicted.
            for (index, stamp) in slots.stamps(self.hand).into_iter().enumerate() {
                self.found[self.count] = Slot(self.hand * SLOTS + index);
                self.count += usize::from(stamp.wrapping_sub(1) < self.threshold);
            }
            self.hand += 1;
            if self.hand == slots.groups() {
                self.hand = 0;
            }
            if self.count >= AHEAD {
                return passed;
            }
        }
        // So few are old enough only if much was touched since the threshold was set.
        self.think(slots);
        PATIENCE
    }

    /// Sets the thresholds to the stamps that about a quarter and a third of the idle
    /// entries have or are older than, judged by a sample of groups at even distances. Keys
    /// are strewn over groups by their hashes, so any choice of groups is a fair one.
    #[cold]
    #[inline(never)]
    fn think<L: Layout>(&mut self, slots: &Slots<L>) {
        self.due = slots.groups() / 4;
        let step = (slots.groups() / SAMPLE).max(1);
        self.offset = self.offset.wrapping_add(1);
        let sampled = (self.offset % step..slots.groups()).step_by(step);
        let mut stamps = [0; (2 * SAMPLE + 2) * SLOTS];
        let mut count = 0;
        for slot in sampled.flat_map(|group| (group * SLOTS..).take(SLOTS).map(Slot)) {
            if slots.is_idle(slot) && count < stamps.len() {
                stamps[count] = slots.stamp(slot);
                count += 1;
            }
        }
        if count > 0 {
            let (older, threshold, _) = stamps[..count].select_nth_unstable(count / LOCAL_SHARE);
            self.local_threshold = *threshold;
            let nth = (count / SHARE).min(older.len().saturating_sub(1));
            self.threshold = match older {
                [] => *threshold,
                _ => *older.select_nth_unstable(nth).1,
            };
        }
    }
}

/// When nearly all entries are held, no sample tells what the others are like.
#[cold]
fn oldest_idle<L: Layout>(slots: &Slots<L>) -> Option<Slot> {
    let all = (0..slots.groups() * SLOTS).map(Slot);
    let idle = all.filter(|&slot| slots.is_idle(slot));
    idle.min_by_key(|&slot| slots.stamp(slot))
}
