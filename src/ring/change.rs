//! Changes of a ring: what they leave, take away and add, point by point.

use std::collections::BTreeMap;

use super::key::RingKey;
use super::points::Span;

/// One change of a [`ConsistentHashRing`](super::ConsistentHashRing), for a batch of
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RingChange {
    /// The node shall have so many points under this key; it is added if it is new.
    Set {
        /// The node.
        node: u32,
        /// What its points are computed from.
        key: RingKey,
        /// How many it has, 0 for none at the moment.
        points: u32,
    },
    /// The node is taken away and forgotten; nothing happens if it is not there.
    Remove {
        /// The node.
        node: u32,
    },
}

impl RingChange {
    pub(super) fn node(&self) -> u32 {
        match *self {
            Self::Set { node, .. } | Self::Remove { node } => node,
        }
    }
}

/// A node and the points it has.
#[derive(Clone, Copy, Debug)]
struct Node {
    key: RingKey,
    points: u32,
    /// The most it ever had: growing beyond it places all of them anew, as HAProxy
    /// does. That matters only to the order among equal keys.
    most: u32,
}

/// The nodes of a ring. Points name a node by its *slot*, which is small and, once
/// given up, used again.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    /// The caller's number of the node in each slot; apart from the rest because
    /// every lookup reads it.
    numbers: Vec<u32>,
    by_slot: Vec<Option<Node>>,
    slots: BTreeMap<u32, u32>,
    free: Vec<u32>,
    /// How many nodes have at least one point.
    placed: usize,
}

impl Nodes {
    pub(super) fn number(&self, slot: u32) -> u32 {
        self.numbers[slot as usize]
    }

    /// The caller's numbers by slot; those of free slots mean nothing.
    pub(super) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// How many nodes have at least one point.
    pub(super) fn placed(&self) -> usize {
        self.placed
    }

    /// Every node by number, with how many points it has.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.slots
            .iter()
            .map(|(&number, &slot)| (number, self.points(slot)))
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.slots.contains_key(&number)
    }

    /// Whether a change would change nothing.
    pub(super) fn have(&self, change: &RingChange) -> bool {
        let slot = self.slots.get(&change.node());
        let node = slot.and_then(|&slot| self.by_slot[slot as usize]);
        match (*change, node) {
            (RingChange::Set { key, points, .. }, Some(node)) => {
                (node.key, node.points) == (key, points)
            }
            (RingChange::Set { points, .. }, None) => points == 0,
            (RingChange::Remove { .. }, node) => node.is_none(),
        }
    }

    /// How many points each slot has.
    fn counts(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_slot
            .iter()
            .map(|node| node.map_or(0, |node| node.points))
    }

    fn points(&self, slot: u32) -> u32 {
        self.by_slot[slot as usize].map_or(0, |node| node.points)
    }

    fn add(&mut self, number: u32, key: RingKey) -> u32 {
        let node = Some(Node {
            key,
            points: 0,
            most: 0,
        });
        let slot = self.free.pop().unwrap_or(self.by_slot.len() as u32);
        if slot as usize == self.by_slot.len() {
            self.by_slot.push(node);
            self.numbers.push(number);
        } else {
            self.by_slot[slot as usize] = node;
            self.numbers[slot as usize] = number;
        }
        self.slots.insert(number, slot);
        slot
    }

    fn forget(&mut self, number: u32) {
        if let Some(slot) = self.slots.remove(&number) {
            self.by_slot[slot as usize] = None;
            self.free.push(slot);
        }
    }
}

/// What a batch of changes comes to.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) nodes: Nodes,
    /// Points to be taken away, under the keys they have.
    pub(super) removed: Vec<Span>,
    /// Points to be added, in this order.
    pub(super) added: Vec<Span>,
    /// Points there will be.
    pub(super) total: u64,
}

impl Plan {
    /// The plan of these changes, applied one after the other.
    pub(super) fn new(old: &Nodes, changes: &[RingChange]) -> Self {
        let mut draft = Draft {
            nodes: old.clone(),
            kept: old.counts().collect(),
            added: Vec::new(),
        };
        for &change in changes {
            draft.apply(change);
        }
        draft.finish(old)
    }
}

/// A plan while its changes come in.
struct Draft {
    nodes: Nodes,
    /// How many points of those a slot had at first are still untouched: 0 to this.
    kept: Vec<u32>,
    added: Vec<Span>,
}

impl Draft {
    fn apply(&mut self, change: RingChange) {
        match change {
            RingChange::Set { node, key, points } => self.set(node, key, points),
            RingChange::Remove { node } => {
                if let Some(&slot) = self.nodes.slots.get(&node) {
                    self.shrink(slot, 0);
                    self.nodes.forget(node);
                }
            }
        }
    }

    fn set(&mut self, number: u32, key: RingKey, points: u32) {
        let slot = match self.nodes.slots.get(&number) {
            Some(&slot) => slot,
            None => self.nodes.add(number, key),
        };
        self.kept.resize(self.nodes.by_slot.len(), 0);
        let Some(node) = self.nodes.by_slot[slot as usize] else {
            return;
        };
        if node.key != key || points > node.most {
            self.shrink(slot, 0);
        } else {
            self.shrink(slot, points);
        }
        self.grow(slot, key, points);
    }

    /// Takes points away until so many are left, the last ones first.
    fn shrink(&mut self, slot: u32, points: u32) {
        let Some(node) = &mut self.nodes.by_slot[slot as usize] else {
            return;
        };
        if points >= node.points {
            return;
        }
        let kept = &mut self.kept[slot as usize];
        if node.points > *kept {
            // Some were added by an earlier change of this batch.
            for span in self.added.iter_mut().filter(|span| span.slot == slot) {
                span.to = span.to.min(points);
            }
            self.added.retain(|span| span.from < span.to);
        }
        *kept = points.min(*kept);
        node.points = points;
    }

    /// Adds points after those that are there until there are so many.
    fn grow(&mut self, slot: u32, key: RingKey, points: u32) {
        let Some(node) = &mut self.nodes.by_slot[slot as usize] else {
            return;
        };
        if points > node.points {
            self.added.push(Span {
                slot,
                key,
                from: node.points,
                to: points,
            });
        }
        *node = Node {
            key,
            points,
            most: points.max(node.most),
        };
    }

    fn finish(mut self, old: &Nodes) -> Plan {
        let removed = (0..)
            .zip(&old.by_slot)
            .zip(&self.kept)
            .filter_map(|((slot, node), &from)| {
                let Node {
                    key, points: to, ..
                } = (*node)?;
                (from < to).then_some(Span {
                    slot,
                    key,
                    from,
                    to,
                })
            })
            .collect();
        let total = self.nodes.counts().map(u64::from).sum();
        self.nodes.placed = self.nodes.counts().filter(|&points| points > 0).count();
        Plan {
            nodes: self.nodes,
            removed,
            added: self.added,
            total,
        }
    }
}
