//! One pass that makes a new circle of an old one and a plan.

use super::circle::{Circle, SPARE, Unfinished};
use super::points::{Point, Span, placed};

/// An old circle with some points taken away and others added.
///
/// What lies between two changes is copied as it is, so a change of one node among
/// many costs little more than the copy.
pub(super) struct Merge<'a> {
    old: &'a Circle,
    /// Ranks in the old circle of the points to be taken away, in order.
    gone: Vec<usize>,
    /// The points to be added, in order.
    new: Vec<Point>,
}

impl<'a> Merge<'a> {
    pub(super) fn new(old: &'a Circle, removed: &[Span], added: &[Span]) -> Self {
        Self {
            old,
            gone: ranks(old, &placed(removed, 0)),
            new: placed(added, SPARE),
        }
    }

    /// The new circle.
    pub(super) fn circle(self) -> Circle {
        let kept = self.old.len() - self.gone.len();
        if kept == 0 {
            return Unfinished::of(self.new).finish();
        }
        let mut circle = Unfinished::with_capacity(kept + self.new.len());
        let (mut from, mut gone) = (0, self.gone.as_slice());
        for &point in &self.new {
            // New points come after old ones of the same key.
            let to = self.old.first_above(point.key);
            gone = self.copy(&mut circle, from, to, gone);
            circle.push(point);
            from = to;
        }
        self.copy(&mut circle, from, self.old.len(), gone);
        circle.finish()
    }

    /// Where a cursor at `rank` of the old circle is in the new one: on the same
    /// point, or on the next one that was there and still is; none is left otherwise.
    pub(super) fn follow(&self, rank: usize) -> Option<usize> {
        let survivor = self.survivor(rank)?;
        let key = self.old.points()[survivor].key;
        let gone = self.gone.partition_point(|&gone| gone < survivor);
        let new = self.new.partition_point(|point| point.key < key);
        Some(survivor - gone + new)
    }

    /// Copies the old points of the ranks `from..to` but those gone; returns what is
    /// gone after `to`.
    fn copy<'g>(
        &self,
        circle: &mut Unfinished,
        mut from: usize,
        to: usize,
        mut gone: &'g [usize],
    ) -> &'g [usize] {
        let old = self.old.points();
        while let Some((&first, rest)) = gone.split_first().filter(|(first, _)| **first < to) {
            circle.extend(&old[from..first]);
            from = first + 1;
            gone = rest;
        }
        circle.extend(&old[from..to]);
        gone
    }

    fn survivor(&self, rank: usize) -> Option<usize> {
        let len = self.old.len();
        // One more than are gone is enough to find one that is not.
        (0..=self.gone.len().min(len.checked_sub(1)?))
            .map(|steps| (rank + steps) % len)
            .find(|rank| self.gone.binary_search(rank).is_err())
    }
}

/// The ranks of these points of `circle`, in order.
fn ranks(circle: &Circle, points: &[Point]) -> Vec<usize> {
    let mut ranks: Vec<_> = points
        .iter()
        .filter_map(|point| rank(circle, *point))
        .collect();
    // Points of one key came in the order of their slots, not of their ranks.
    ranks.sort_unstable();
    ranks
}

fn rank(circle: &Circle, point: Point) -> Option<usize> {
    let first = circle.first_from(point.key);
    let same = circle.points()[first..]
        .iter()
        .take_while(|other| other.key == point.key)
        .position(|other| other.slot == point.slot)?;
    Some(first + same)
}

#[cfg(test)]
mod tests {
    use crate::ring::{ConsistentHashRing, RingChange, RingKey};

    fn set(node: u32, points: u32) -> RingChange {
        RingChange::Set {
            node,
            key: RingKey::id(node),
            points,
        }
    }

    #[test]
    fn a_cursor_keeps_its_point_or_moves_up_to_the_next_that_is_left() {
        let ring = ConsistentHashRing::new();
        let ring = ring
            .with_changes(&[set(1, 9), set(2, 5), set(3, 9)])
            .unwrap();
        let before: Vec<_> = ring.points().collect();
        // Node 2 leaves, node 1 shrinks, node 3 is placed anew, node 4 joins.
        let changes = [
            RingChange::Remove { node: 2 },
            set(1, 4),
            set(3, 10),
            set(4, 9),
        ];
        let stays = |point: &&(u32, u32)| (0..4).any(|j| **point == (RingKey::id(1).point(j), 1));
        for cursor in 0..before.len() {
            let (after, moved) = ring.changed(&changes, Some(cursor)).unwrap();
            let expected = before[cursor..].iter().chain(&before).find(stays);
            assert_eq!(after.points().nth(moved.unwrap()).as_ref(), expected);
        }
    }

    #[test]
    fn a_cursor_is_lost_with_the_last_point() {
        let ring = ConsistentHashRing::new()
            .with_changes(&[set(1, 3)])
            .unwrap();
        for change in [RingChange::Remove { node: 1 }, set(1, 4)] {
            assert_eq!(ring.changed(&[change], Some(1)).unwrap().1, None);
        }
        assert_eq!(ring.changed(&[set(2, 4)], None).unwrap().1, None);
    }
}
