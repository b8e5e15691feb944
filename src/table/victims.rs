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
    /// Takes what is as old as the oldest quarter, near the new entry if it can.
    Sweep(Sweep),
}

impl Victims {
    pub(super) fn of_size(size: usize) -> Self {
        if size <= EXACT {
            Self::Exact(Queue::default())
        } else {
            Self::Sweep(Sweep::default())
        }
    }

    /// The next victim, an entry that nobody holds; `None` when all are held. If it does
    /// not matter much, it is one in or beside this group.
    #[inline]
    pub(super) fn next<L: Layout>(&mut self, slots: &Slots<L>, group: usize) -> Option<Slot> {
        match self {
            Self::Exact(queue) => queue.next(slots),
            Self::Sweep(sweep) => sweep.next(slots, group),
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

/// A bound for the age of victims, and a hand that goes round the groups to find some.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Entries with this stamp or an older one may go.
    threshold: u64,
    /// Victims until the threshold is thought over.
    due: usize,
    hand: usize,
    /// Where the next sample begins.
    offset: usize,
}

/// Groups that the hand passes in vain before the threshold is thought over.
const PATIENCE: usize = 128;
/// Groups in a sample of stamps.
const SAMPLE: usize = 64;
/// The oldest of so many entries may go.
const SHARE: usize = 4;

impl Sweep {
    #[inline]
    fn next<L: Layout>(&mut self, slots: &Slots<L>, group: usize) -> Option<Slot> {
        if self.due == 0 {
            self.think(slots);
        }
        self.due -= 1;
        // What is old enough stays so until it is touched, and is good enough wherever it
        // is. The memory of these two groups is at hand.
        self.oldest(slots, group)
            .or_else(|| self.oldest(slots, group ^ 1))
            .or_else(|| self.go_round(slots))
    }

    /// The oldest entry of a group, if it is old enough and held by nobody.
    #[inline]
    fn oldest<L: Layout>(&self, slots: &Slots<L>, group: usize) -> Option<Slot> {
        if group >= slots.groups() {
            return None;
        }
        // Free slots have stamp 0, which becomes the greatest.
        let ages = slots.stamps(group).map(|stamp| stamp.wrapping_sub(1));
        let [a, b, c, d] = ages;
        let oldest = a.min(b).min(c.min(d));
        if oldest >= self.threshold {
            return None;
        }
        let index = ages.iter().position(|&age| age == oldest)?;
        let slot = Slot(group * SLOTS + index);
        slots.is_idle(slot).then_some(slot)
    }

    #[inline(never)]
    fn go_round<L: Layout>(&mut self, slots: &Slots<L>) -> Option<Slot> {
        for passed in 1..=slots.groups() {
            self.hand += 1;
            if self.hand >= slots.groups() {
                self.hand = 0;
            }
            if let Some(slot) = self.oldest(slots, self.hand) {
                return Some(slot);
            }
            if passed % PATIENCE == 0 {
                self.think(slots);
            }
        }
        // Nearly all entries are held. Nothing better can be had than the oldest idle one.
        let all = (0..slots.groups() * SLOTS).map(Slot);
        let idle = all.filter(|&slot| slots.is_idle(slot));
        idle.min_by_key(|&slot| slots.stamp(slot))
    }

    /// Sets the threshold to the stamp that about a quarter of the idle entries have or are
    /// older than, judged by a sample of groups at even distances. Keys are strewn over
    /// groups by their hashes, so any choice of groups is a fair one.
    #[cold]
    #[inline(never)]
    fn think<L: Layout>(&mut self, slots: &Slots<L>) {
        self.due = slots.groups() / 4 + 1;
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
            let share = count / SHARE;
            self.threshold = *stamps[..count].select_nth_unstable(share).1;
        }
    }
}
