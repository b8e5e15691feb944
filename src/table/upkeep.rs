//! Removing what has expired, a little at a time.

use super::clock::Moment;
use super::layout::{Layout, SLOTS};
use super::slots::{Slot, Slots};

/// What one call of [`maintain`](crate::StickTable::maintain) has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// Expired entries that were removed.
    pub removed: usize,
    /// Whether nothing else has expired by now, but for entries that somebody holds.
    pub finished: bool,
}

/// Goes round the groups, and rests when nothing can have expired yet.
#[derive(Debug, Default)]
pub(super) struct Collector {
    hand: usize,
    /// The oldest stamp left behind in this round.
    oldest: u64,
    /// No entry of the table is older, but for those that somebody holds.
    bound: u64,
}

impl Collector {
    /// Whether nothing can have expired.
    pub(super) fn is_idle<L: Layout>(&self, slots: &Slots<L>, at: Moment) -> bool {
        !at.is_past(self.bound, slots.lifetime())
    }

    /// The expired entries of the next group.
    pub(super) fn next<L: Layout>(
        &mut self,
        slots: &Slots<L>,
        at: Moment,
    ) -> impl Iterator<Item = Slot> + use<L> {
        if self.hand == 0 {
            // Whatever is made or touched behind the hand will be younger than this.
            self.oldest = at.start();
        }
        let greatest = at.minus(slots.lifetime());
        let mut expired = [None; SLOTS];
        for (index, stamp) in slots.stamps(self.hand).into_iter().enumerate() {
            let slot = Slot(self.hand * SLOTS + index);
            if stamp == 0 || !slots.is_idle(slot) {
                continue;
            }
            if stamp <= greatest {
                expired[index] = Some(slot);
            } else {
                self.oldest = self.oldest.min(stamp);
            }
        }
        self.hand += 1;
        if self.hand == slots.groups() {
            self.hand = 0;
            self.bound = self.oldest;
        }
        expired.into_iter().flatten()
    }

    /// Learns that an old entry may have become free to go, perhaps behind the hand.
    pub(super) fn wake(&mut self) {
        (self.bound, self.oldest) = (0, 0);
    }
}
