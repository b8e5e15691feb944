//! Promise: a key moves only when it must, and lands where HAProxy puts it.
//!
//! The ring is run beside a naive twin that keeps its points in a plain list and looks
//! at all of them for every question.

use std::collections::BTreeMap;

use proptest::prelude::*;
use stickroute::{ConsistentHashRing, RingChange, RingError, RingKey};

/// The naive twin: one insertion or removal of one point after the other.
#[derive(Clone, Default)]
struct Twin {
    points: Vec<(u32, u32)>,
    nodes: BTreeMap<u32, (RingKey, u32, u32)>,
}

impl Twin {
    fn apply(&mut self, change: RingChange) {
        match change {
            RingChange::Set { node, key, points } => self.set(node, key, points),
            RingChange::Remove { node } => {
                self.shrink(node, 0);
                self.nodes.remove(&node);
            }
            _ => unreachable!("there are two kinds of changes"),
        }
    }

    fn set(&mut self, node: u32, key: RingKey, points: u32) {
        let (old_key, had, most) = *self.nodes.entry(node).or_insert((key, 0, 0));
        if old_key != key || points > most {
            self.shrink(node, 0);
        } else if points < had {
            self.shrink(node, points);
        }
        let has = self.nodes[&node].1;
        for j in has..points {
            let place = key.point(j);
            let after_equals = self.points.partition_point(|&(other, _)| other <= place);
            self.points.insert(after_equals, (place, node));
        }
        self.nodes.insert(node, (key, points, most.max(points)));
    }

    fn shrink(&mut self, node: u32, to: u32) {
        let Some((key, points, _)) = self.nodes.get_mut(&node) else {
            return;
        };
        for j in (to..*points).rev() {
            let point = (key.point(j), node);
            let at = self.points.iter().position(|&other| other == point);
            self.points.remove(at.expect("a point of the node"));
        }
        *points = to.min(*points);
    }

    /// Index of the nearest point, by the distances to the points on both sides.
    fn nearest(&self, h: u32) -> Option<usize> {
        let last = self.points.len().checked_sub(1)?;
        let next = (0..=last).find(|&i| self.points[i].0 >= h).unwrap_or(0);
        let before = if next == 0 { last } else { next - 1 };
        let below = h.wrapping_sub(self.points[before].0);
        let above = self.points[next].0.wrapping_sub(h);
        Some(if below <= above { before } else { next })
    }

    fn lookup(&self, h: u32) -> Option<u32> {
        self.nearest(h).map(|at| self.points[at].1)
    }

    fn walk(&self, h: u32) -> Vec<u32> {
        let start = self.nearest(h).unwrap_or(0);
        let mut met = Vec::new();
        for (_, node) in self.points[start..].iter().chain(&self.points[..start]) {
            if !met.contains(node) {
                met.push(*node);
            }
        }
        met
    }

    /// Hashes at which something may change: at points, between them, and far off.
    fn hashes(&self) -> impl Iterator<Item = u32> + '_ {
        let next = self.points.iter().cycle().skip(1);
        let around = self.points.iter().zip(next).flat_map(|(&(a, _), &(b, _))| {
            let middle = a.wrapping_add(b.wrapping_sub(a) / 2);
            [a, a.wrapping_sub(1), middle, middle.wrapping_add(1)]
        });
        around.chain([0, 1, 1 << 31, u32::MAX])
    }
}

/// Few nodes and keys close together, so that many points coincide.
fn change() -> impl Strategy<Value = RingChange> {
    let key = prop_oneof![
        (0..12_u32).prop_map(RingKey::seed),
        any::<u32>().prop_map(RingKey::seed),
        (1..6_u32).prop_map(RingKey::id),
    ];
    prop_oneof![
        6 => (0..7_u32, key, 0..24_u32)
            .prop_map(|(node, key, points)| RingChange::Set { node, key, points }),
        // The key a node is first given, so that weights change in place as well.
        6 => (0..7_u32, 0..24_u32).prop_map(|(node, points)| set(node, node / 2, points)),
        1 => (0..8_u32).prop_map(|node| RingChange::Remove { node }),
    ]
}

fn set(node: u32, seed: u32, points: u32) -> RingChange {
    RingChange::Set {
        node,
        key: RingKey::seed(seed),
        points,
    }
}

fn own_key(node: u32, points: u32) -> RingChange {
    RingChange::Set {
        node,
        key: RingKey::id(node),
        points,
    }
}

/// A ring of nodes 1, 2 ... that share no point.
fn ring_of(points: &[u32]) -> ConsistentHashRing {
    let changes: Vec<_> = (1..).zip(points).map(|(n, &p)| own_key(n, p)).collect();
    ConsistentHashRing::new().with_changes(&changes).unwrap()
}

fn moved(before: &ConsistentHashRing, after: &ConsistentHashRing) -> Vec<(u32, u32)> {
    (0..20_000_u32)
        .map(|i| i.wrapping_mul(0x9e37_79b1))
        .filter_map(|h| Some((before.lookup(h)?, after.lookup(h)?)))
        .filter(|(old, new)| old != new)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn batches_lookups_and_walks_agree_with_the_naive_twin(
        batches in prop::collection::vec(prop::collection::vec(change(), 0..6), 1..8)
    ) {
        let (mut ring, mut twin) = (ConsistentHashRing::new(), Twin::default());
        for batch in batches {
            ring.apply(&batch).unwrap();
            for &change in &batch {
                twin.apply(change);
            }
            prop_assert!(ring.points().eq(twin.points.iter().copied()));
            prop_assert_eq!(ring.highest(), twin.points.last().map(|&(_, node)| node));
            for h in twin.hashes() {
                prop_assert_eq!(ring.lookup(h), twin.lookup(h), "hash {}", h);
            }
            for h in twin.hashes().step_by(17) {
                prop_assert_eq!(ring.walk(h).collect::<Vec<_>>(), twin.walk(h), "hash {}", h);
            }
        }
    }

    #[test]
    fn changes_one_by_one_and_all_together_give_the_same_ring(
        changes in prop::collection::vec(change(), 0..30)
    ) {
        let together = ConsistentHashRing::new().with_changes(&changes).unwrap();
        let mut one_by_one = ConsistentHashRing::new();
        for change in &changes {
            one_by_one.apply(std::slice::from_ref(change)).unwrap();
        }
        prop_assert!(together.points().eq(one_by_one.points()));
        prop_assert!(together.nodes().eq(one_by_one.nodes()));
    }

    #[test]
    fn a_changed_ring_has_the_points_of_one_built_from_scratch(
        changes in prop::collection::vec(change(), 0..30)
    ) {
        let mut changed = ConsistentHashRing::new();
        let mut keys = BTreeMap::new();
        for change in &changes {
            changed.apply(std::slice::from_ref(change)).unwrap();
            if let RingChange::Set { node, key, .. } = *change {
                keys.insert(node, key);
            }
        }
        let fresh: Vec<_> = changed
            .nodes()
            .map(|(node, points)| RingChange::Set { node, key: keys[&node], points })
            .collect();
        let fresh = ConsistentHashRing::new().with_changes(&fresh).unwrap();
        let sorted = |ring: &ConsistentHashRing| {
            let mut points: Vec<_> = ring.points().collect();
            points.sort_unstable();
            points
        };
        prop_assert_eq!(sorted(&changed), sorted(&fresh));
    }

    #[test]
    fn a_node_that_leaves_and_comes_back_moves_nothing_else(
        points in prop::collection::vec(1..200_u32, 2..12), leaving in any::<prop::sample::Index>()
    ) {
        let leaving = leaving.index(points.len()) as u32 + 1;
        let before = ring_of(&points);
        let without = before.with_changes(&[RingChange::Remove { node: leaving }]).unwrap();
        for (old, _) in moved(&before, &without) {
            prop_assert_eq!(old, leaving);
        }
        let back = own_key(leaving, points[leaving as usize - 1]);
        let after = without.with_changes(&[back]).unwrap();
        prop_assert!(before.points().eq(after.points()));
    }

    #[test]
    fn keys_leave_a_lighter_node_and_join_a_heavier_one_and_no_other_moves(
        points in prop::collection::vec(1..200_u32, 2..8), now in 0..400_u32
    ) {
        let before = ring_of(&points);
        let after = before.with_changes(&[own_key(1, now)]).unwrap();
        for (old, new) in moved(&before, &after) {
            prop_assert_eq!(if now < points[0] { old } else { new }, 1);
        }
    }
}

#[test]
fn a_walk_of_a_large_ring_meets_every_node_once_and_ends() {
    let ring = ring_of(&[3; 700]);
    let mut met: Vec<u32> = ring.walk(12_345).collect();
    assert_eq!(ring.walk(12_345).len(), 700);
    assert_eq!(met.first().copied(), ring.lookup(12_345));
    met.sort_unstable();
    assert!(met.into_iter().eq(1..=700));
}

#[test]
fn nodes_without_points_are_known_but_never_met() {
    let mut ring = ring_of(&[16, 0, 16]);
    assert_eq!(ring.nodes().collect::<Vec<_>>(), [(1, 16), (2, 0), (3, 16)]);
    assert_eq!(ring.walk(0).len(), 2);
    assert!(ring.remove(2) && !ring.remove(2));
    assert_eq!(ring.walk(0).count(), 2);
}

#[test]
fn an_empty_ring_finds_nothing_and_its_walk_is_over() {
    let mut ring = ConsistentHashRing::new();
    assert_eq!(
        (ring.lookup(7), ring.highest(), ring.walk(7).next()),
        (None, None, None)
    );
    ring.set(1, RingKey::id(1), 16).unwrap();
    ring.set(1, RingKey::id(1), 0).unwrap();
    assert_eq!(
        (ring.lookup(7), ring.highest(), ring.walk(7).next()),
        (None, None, None)
    );
}

#[test]
fn too_many_points_are_refused_before_memory_is_taken_and_change_nothing() {
    let mut ring = ConsistentHashRing::with_max_points(100);
    ring.set(1, RingKey::id(1), 60).unwrap();
    let refused = ring.apply(&[own_key(2, u32::MAX), own_key(3, u32::MAX)]);
    let Err(RingError::TooManyPoints {
        points,
        limit,
        bytes,
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!((points, limit), (60 + 2 * u64::from(u32::MAX), 100));
    assert!(bytes > points * 8);
    assert_eq!(ring.nodes().collect::<Vec<_>>(), [(1, 60)]);
    // What counts is what there is in the end.
    ring.apply(&[own_key(2, 100), own_key(1, 0)]).unwrap();
}
