//! A walk around the circle that meets every node once.

use std::iter::FusedIterator;

use super::ConsistentHashRing;

/// The nodes of a ring in the order of their first points, from the point nearest to
/// a hash upwards; see [`ConsistentHashRing::walk`].
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    ring: &'a ConsistentHashRing,
    rank: usize,
    left: usize,
    seen: Seen,
}

impl<'a> Walk<'a> {
    pub(super) fn new(ring: &'a ConsistentHashRing, rank: usize) -> Self {
        Self {
            ring,
            rank,
            left: ring.nodes.placed(),
            seen: Seen::of(ring.nodes.numbers().len()),
        }
    }

    /// The slot of the next node not met so far, and the rank of the point where it is met.
    pub(crate) fn next_slot(&mut self) -> Option<(u32, usize)> {
        self.left = self.left.checked_sub(1)?;
        let points = self.ring.circle.points();
        loop {
            let rank = self.rank;
            let slot = points[rank].slot;
            self.rank = if rank + 1 == points.len() {
                0
            } else {
                rank + 1
            };
            if self.seen.insert(slot) {
                return Some((slot, rank));
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (slot, _) = self.next_slot()?;
        Some(self.ring.nodes.number(slot))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Walk<'_> {}
impl FusedIterator for Walk<'_> {}

/// Slots met so far.
#[derive(Clone, Debug)]
enum Seen {
    /// One bit a slot, for rings of up to 256 slots.
    Small([u64; 4]),
    /// The first few slots met in a larger ring of so many slots.
    Few {
        slots: usize,
        met: [u32; 16],
        len: usize,
    },
    /// One bit a slot, allocated once a walk in a larger ring turns out a long one.
    Large(Vec<u64>),
}

impl Seen {
    fn of(slots: usize) -> Self {
        if slots <= 256 {
            return Self::Small([0; 4]);
        }
        Self::Few {
            slots,
            met: [0; 16],
            len: 0,
        }
    }

    /// Adds a slot; false if it was met before.
    fn insert(&mut self, slot: u32) -> bool {
        match self {
            Self::Small(bits) => set_bit(bits, slot),
            Self::Large(bits) => set_bit(bits, slot),
            Self::Few { met, len, .. } if met[..*len].contains(&slot) => false,
            Self::Few { met, len, .. } if *len < met.len() => {
                met[*len] = slot;
                *len += 1;
                true
            }
            Self::Few { slots, met, .. } => {
                let mut bits = vec![0; slots.div_ceil(64)];
                for &slot in met.iter() {
                    set_bit(&mut bits, slot);
                }
                set_bit(&mut bits, slot);
                *self = Self::Large(bits);
                true
            }
        }
    }
}

/// Sets a bit; false if it was set before.
fn set_bit(bits: &mut [u64], slot: u32) -> bool {
    let word = &mut bits[slot as usize / 64];
    let before = *word;
    *word |= 1 << (slot % 64);
    *word != before
}
