//! Consistent hashing: a key stays with its server while others come and go.
//!
//! [`ConsistentHashRing`] is HAProxy's `hash-type consistent` as a data structure of
//! its own. It needs no farm and knows no server: nodes are numbers of yours.
//!
//! # How it works
//!
//! **Placement.** A node owns as many points on a circle of 2³² as it has weight,
//! 16 a unit in HAProxy. Point `j` lies at `full_hash(key + j)`, see [`RingKey`]. The
//! function is a bijection, so points of different nodes coincide only where the
//! nodes' keys overlap; points of equal keys keep the order in which they were added.
//!
//! **Lookup.** A hash goes to the *nearest* point of the circle, above or below, and to
//! the one below where both are as near. (The first point clockwise, as in most
//! other rings, would send every second key elsewhere.)
//!
//! **Layout.** The points lie in one array, 8 bytes each, in order of their keys, and an
//! index over the top bits of a key takes another 1 to 2: at most 10 bytes a point. A
//! bucket of the index holds two to four points on average, so a lookup reads the bucket
//! and one or two cache lines of points, whatever the size of the ring. It compares
//! eight points at once instead of stopping at the right one, because a loop that always
//! runs to its end cannot be mispredicted. A crowded bucket, which takes keys chosen on
//! purpose, is searched by halves.
//!
//! **Change.** A change computes and sorts only the points that come and go, and merges
//! them into a copy of the array in one pass: a ring is never rebuilt, and a ring that
//! serves lookups is never touched. No key moves that need not: keys leave a node only
//! for points it lost, and join one only for points it gained. (Where points coincide,
//! a node that grows beyond what it ever had goes behind the others, as in HAProxy.)
//!
//! | operation | cost |
//! |---|---|
//! | [`lookup`](ConsistentHashRing::lookup) | O(1) on average, O(log points) at worst |
//! | [`walk`](ConsistentHashRing::walk), to the first few nodes | O(1) a node on average |
//! | [`walk`](ConsistentHashRing::walk), to the last node | O(points) |
//! | any change or batch of changes | O(points), mostly one `memcpy` |
//!
//! **What it is bad at.** Shares are only about even: among 100 nodes the largest is
//! 12 % above the mean with 160 points a node, and 5 % with 1600. Those take 16 kB a node,
//! where rendezvous hashing takes nothing, and a change copies all of them: put many
//! changes into one [`ConsistentHashRing::apply`].

mod change;
mod circle;
mod error;
mod key;
mod merge;
mod points;
mod walk;

use std::collections::BTreeSet;
use std::fmt;

pub use change::RingChange;
pub use error::RingError;
pub use key::{RingKey, RingPlacement};
pub use walk::Walk;

use change::{Nodes, Plan};
use circle::Circle;
use merge::Merge;

/// A consistent hash ring that places and finds exactly as HAProxy does.
///
/// Nodes are numbers of the caller's choice, server ids for example. See the
/// [module](self) for how it works and what it costs.
///
/// ```
/// use stickroute::{ConsistentHashRing, RingKey, hash};
///
/// let mut ring = ConsistentHashRing::new();
/// for id in 1..=3 {
///     ring.set(id, RingKey::id(id), 16 * 10)?;
/// }
/// let hash = hash::full_hash(hash::sdbm(b"/cart/17"));
/// let first = ring.lookup(hash);
///
/// // Where to go when the first is down: the others, each once.
/// let order: Vec<u32> = ring.walk(hash).collect();
/// assert_eq!((first, order.len()), (Some(order[0]), 3));
///
/// // What the removed node had goes to the others; nothing else moves.
/// ring.remove(order[0]);
/// assert_eq!(ring.lookup(hash).is_some_and(|node| node != order[0]), true);
/// # Ok::<(), stickroute::RingError>(())
/// ```
#[derive(Clone)]
pub struct ConsistentHashRing {
    circle: Circle,
    nodes: Nodes,
    max_points: u32,
}

impl ConsistentHashRing {
    /// The limit on the number of points unless another is set: 2²⁴, some 160 MB.
    pub const DEFAULT_MAX_POINTS: u32 = 1 << 24;

    /// A ring without nodes.
    pub fn new() -> Self {
        Self::with_max_points(Self::DEFAULT_MAX_POINTS)
    }

    /// A ring without nodes that takes so many points at most, 10 bytes of memory each.
    pub fn with_max_points(max_points: u32) -> Self {
        Self {
            circle: Circle::default(),
            nodes: Nodes::default(),
            max_points,
        }
    }

    /// Gives `node` this many points under `key`, whether it is new or there already.
    ///
    /// With more points than before the node takes over keys from the others, with
    /// fewer it gives keys up, with another key all its points move. 0 points keep
    /// the node known, as HAProxy knows a server that is down.
    ///
    /// # Errors
    /// When the ring would have more points than allowed; it is then as it was.
    pub fn set(&mut self, node: u32, key: RingKey, points: u32) -> Result<(), RingError> {
        self.apply(&[RingChange::Set { node, key, points }])
    }

    /// Takes `node` away; false if it is not there.
    pub fn remove(&mut self, node: u32) -> bool {
        // Fewer points than before are never too many.
        self.nodes.contains(node) && self.apply(&[RingChange::Remove { node }]).is_ok()
    }

    /// Applies changes in this order, in one pass over the ring.
    ///
    /// # Errors
    /// When the ring would have more points than allowed in the end; it is then as it was.
    pub fn apply(&mut self, changes: &[RingChange]) -> Result<(), RingError> {
        *self = self.with_changes(changes)?;
        Ok(())
    }

    /// A new ring with these changes applied, for readers to be switched over to.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use stickroute::{ConsistentHashRing, RingChange, RingKey};
    ///
    /// let add = |node| RingChange::Set { node, key: RingKey::id(node), points: 160 };
    /// let published = Arc::new(ConsistentHashRing::new().with_changes(&[add(1), add(2)])?);
    /// let next = Arc::new(published.with_changes(&[add(3), RingChange::Remove { node: 1 }])?);
    /// assert_eq!((published.point_count(), next.point_count()), (320, 320));
    /// # Ok::<(), stickroute::RingError>(())
    /// ```
    ///
    /// # Errors
    /// When the new ring would have more points than allowed in the end.
    pub fn with_changes(&self, changes: &[RingChange]) -> Result<Self, RingError> {
        Ok(self.changed(changes, None)?.0)
    }

    /// The node whose point is nearest to `hash`, `None` in an empty ring.
    ///
    /// The hash should be a good one over all 32 bits: [`crate::hash::full_hash`]
    /// makes one of a poor one.
    #[inline]
    pub fn lookup(&self, hash: u32) -> Option<u32> {
        let slot = self.lookup_slot(hash)?;
        Some(self.nodes.number(slot))
    }

    /// Every node once, in the order in which a search for a substitute meets them:
    /// first the node [found](Self::lookup), then upwards from its point.
    ///
    /// It ends by itself. Nothing is allocated for the first 16 nodes, and nothing at
    /// all in a ring that never had more than 256 nodes.
    pub fn walk(&self, hash: u32) -> Walk<'_> {
        let start = if self.is_empty() {
            0
        } else {
            self.circle.nearest(hash)
        };
        self.walk_from(start)
    }

    /// The node of the highest point, which HAProxy falls back on when it has
    /// rejected every node; `None` in an empty ring.
    pub fn highest(&self) -> Option<u32> {
        let slot = self.highest_slot()?;
        Some(self.nodes.number(slot))
    }

    /// Every node known with its number of points, in order of their numbers.
    pub fn nodes(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.nodes.iter()
    }

    /// Every point in order, as its place on the circle and its node.
    pub fn points(&self) -> impl ExactSizeIterator<Item = (u32, u32)> + '_ {
        self.circle
            .points()
            .iter()
            .map(|point| (point.key, self.nodes.number(point.slot)))
    }

    /// How many points there are.
    pub fn point_count(&self) -> usize {
        self.circle.len()
    }

    /// Whether there is no point at all.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.circle.len() == 0
    }

    /// A walk that begins at the point of this rank.
    pub(crate) fn walk_from(&self, rank: usize) -> Walk<'_> {
        Walk::new(self, rank)
    }

    /// The slot of the node that [`Self::lookup`] finds. Slots are small, and a node
    /// keeps its slot as long as it is known.
    #[inline]
    pub(crate) fn lookup_slot(&self, hash: u32) -> Option<u32> {
        (!self.is_empty()).then(|| self.circle.nearest_slot(hash))
    }

    /// The slot of the node of the highest point.
    pub(crate) fn highest_slot(&self) -> Option<u32> {
        self.circle.points().last().map(|point| point.slot)
    }

    /// The node in each slot; what a free slot holds means nothing.
    pub(crate) fn nodes_by_slot(&self) -> &[u32] {
        self.nodes.numbers()
    }

    /// The changes after which the ring has the nodes wanted and no others; what is as
    /// wanted already is left alone.
    pub(crate) fn differences(&self, wanted: &[RingChange]) -> Vec<RingChange> {
        let kept: BTreeSet<u32> = wanted.iter().map(RingChange::node).collect();
        let gone = self.nodes().filter(|(node, _)| !kept.contains(node));
        let removed = gone.map(|(node, _)| RingChange::Remove { node });
        let changed = wanted.iter().filter(|change| !self.nodes.have(change));
        removed.chain(changed.copied()).collect()
    }

    /// The ring with changes applied, and where a cursor at a rank of this ring is in
    /// that one: on the same point, or on the next that is still there.
    pub(crate) fn changed(
        &self,
        changes: &[RingChange],
        cursor: Option<usize>,
    ) -> Result<(Self, Option<usize>), RingError> {
        let plan = Plan::new(&self.nodes, changes);
        self.check(plan.total)?;
        let merge = Merge::new(&self.circle, &plan.removed, &plan.added);
        let cursor = cursor.and_then(|rank| merge.follow(rank));
        let ring = Self {
            circle: merge.circle(),
            nodes: plan.nodes,
            max_points: self.max_points,
        };
        Ok((ring, cursor))
    }

    fn check(&self, points: u64) -> Result<(), RingError> {
        let limit = self.max_points.into();
        if points <= limit {
            return Ok(());
        }
        Err(RingError::TooManyPoints {
            points,
            limit,
            bytes: Circle::bytes(points),
        })
    }
}

impl Default for ConsistentHashRing {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ConsistentHashRing {
    /// The nodes, not their points.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsistentHashRing")
            .field("nodes", &self.nodes().collect::<Vec<_>>())
            .field("max_points", &self.max_points)
            .finish_non_exhaustive()
    }
}
