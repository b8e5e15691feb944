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
    /// Goes round the table and takes whatever is as old as the oldest eighth.
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

    /// The next victim, an entry that nobody holds; `None` when all are held.
    pub(super) fn next<L: Layout>(&mut self, slots: &Slots<L>) -> Option<Slot> {
        match self {
            Self::Exact(queue) => queue.next(slots),
            Self::Sweep(sweep) => sweep.next(slots),
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
#[derive(Debug, Default)]
pub(super) struct Sweep {
    hand: usize,
    /// Entries with this stamp or an older one may go.
    threshold: u64,
    /// Victims found ahead of need.
    found: Vec<Slot>,
    /// Where the next sample begins.
    offset: usize,
}

/// Groups to look at, at most, before the threshold is thought over.
const PATIENCE: usize = 256;
/// Victims to find ahead.
const AHEAD: usize = 16;
/// Groups in a sample of stamps.
const SAMPLE: usize = 96;

impl Sweep {
    fn next<L: Layout>(&mut self, slots: &Slots<L>) -> Option<Slot> {
        // One round may find nothing because everything was touched since the threshold
        // was set; after a second one, everything is held.
        let mut patience = 2 * slots.groups() + 2 * PATIENCE;
        loop {
            while let Some(slot) = self.found.pop() {
                if slots.stamp(slot) <= self.threshold && slots.is_idle(slot) {
                    return Some(slot);
                }
            }
            patience = patience.checked_sub(self.advance(slots))?;
        }
    }

    /// Moves the hand until it has found some victims; says by how many groups.
    fn advance<L: Layout>(&mut self, slots: &Slots<L>) -> usize {
        for passed in 1..=PATIENCE {
            if self.hand == 0 {
                self.threshold = self.oldest_eighth(slots);
            }
            self.look(slots);
            self.hand = (self.hand + 1) % slots.groups();
            if self.found.len() >= AHEAD {
                return passed;
            }
        }
        if self.found.is_empty() {
            self.threshold = self.oldest_eighth(slots);
        }
        PATIENCE
    }

    fn look<L: Layout>(&mut self, slots: &Slots<L>) {
        for (slot, stamp) in slots.stamps(self.hand).into_iter().enumerate() {
            // Free slots have stamp 0, which becomes the greatest.
            if stamp.wrapping_sub(1) < self.threshold {
                self.found.push(Slot(self.hand * SLOTS + slot));
            }
        }
    }

    /// The stamp that about an eighth of the entries have or are older than, judged by a
    /// sample of groups at even distances. Keys are strewn over groups by their hashes,
    /// so any choice of groups is a fair one.
    fn oldest_eighth<L: Layout>(&mut self, slots: &Slots<L>) -> u64 {
        let step = (slots.groups() / SAMPLE).max(1);
        self.offset = self.offset.wrapping_add(1);
        let sampled = (self.offset % step..slots.groups()).step_by(step);
        let mut stamps = [0; (2 * SAMPLE + 2) * SLOTS];
        let mut count = 0;
        for stamp in sampled.flat_map(|group| slots.stamps(group)) {
            if stamp != 0 && count < stamps.len() {
                stamps[count] = stamp;
                count += 1;
            }
        }
        if count == 0 {
            return self.threshold;
        }
        *stamps[..count].select_nth_unstable(count / 8).1
    }
}
