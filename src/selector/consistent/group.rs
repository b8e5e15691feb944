//! The ring of one group of servers, and which position in the farm a node has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32};

use parking_lot::Mutex;

use crate::error::SelectorError;
use crate::ring::{ConsistentHashRing, RingChange, RingPlacement};
use crate::selector::Choice;
use crate::server::{Farm, FarmServer};

/// The ring of the active servers or of the backups of a farm.
///
/// Nodes are server ids, since positions in the farm shift when a server is added or
/// removed: those are looked up by slot, so that no point has to be renumbered.
#[derive(Debug)]
pub(super) struct GroupRing {
    turning: Arc<Turning>,
    /// Position in the farm of the server in each slot.
    positions: Box<[u32]>,
}

/// A ring and the cursor of the requests that have no key. Both are shared by the
/// selectors of one farm after another for as long as the ring stays the same.
#[derive(Debug)]
struct Turning {
    ring: ConsistentHashRing,
    cursor: Arc<Cursor>,
    /// The one that this is a changed copy of, until the first turn is taken here: turns are
    /// taken there until the change is published.
    before: Mutex<Option<Before>>,
    has_before: AtomicBool,
}

#[derive(Clone, Debug)]
struct Before {
    cursor: Arc<Cursor>,
    /// Where it was when it was copied.
    copied: Option<usize>,
    /// How many points its ring has.
    points: usize,
}

impl Default for GroupRing {
    fn default() -> Self {
        Self::new(ConsistentHashRing::new())
    }
}

impl GroupRing {
    pub(super) fn new(ring: ConsistentHashRing) -> Self {
        Self {
            turning: Arc::new(Turning::new(ring, None, None)),
            positions: Box::default(),
        }
    }

    /// The ring for a farm that has changed.
    pub(super) fn adapted(
        &self,
        farm: &Farm,
        placement: RingPlacement,
        backups: bool,
    ) -> Result<Self, SelectorError> {
        let wanted = wanted(farm, placement, backups);
        let turning = self.turning.adapted(&wanted)?;
        let positions: BTreeMap<u32, u32> = (0..)
            .zip(farm.servers())
            .map(|(position, server)| (server.id().get(), position))
            .collect();
        let position = |id| positions.get(id).copied().unwrap_or(u32::MAX);
        Ok(Self {
            positions: turning.ring.nodes_by_slot().iter().map(position).collect(),
            turning,
        })
    }

    /// The server of the nearest point, or of the next one upwards that is accepted, or
    /// of the highest point if none is.
    pub(super) fn find(&self, hash: u32, accept: impl Fn(usize) -> bool) -> Option<usize> {
        let ring = &self.turning.ring;
        let first = self.position(ring.lookup_slot(hash)?);
        if accept(first) {
            return Some(first);
        }
        let mut walk = ring.walk(hash);
        while let Some((slot, _)) = walk.next_slot() {
            let position = self.position(slot);
            if accept(position) {
                return Some(position);
            }
        }
        ring.highest_slot().map(|slot| self.position(slot))
    }

    /// The server of the point after the cursor, which moves there.
    ///
    /// Points of saturated servers are passed over, and so are those of the server to be
    /// avoided as long as there is another.
    pub(super) fn next(&self, choice: &Choice<'_>) -> Option<usize> {
        let Turning { ring, cursor, .. } = self.turning.caught_up();
        let mut walk = ring.walk_from(cursor.advance(ring.point_count())?);
        let mut avoided = None;
        while let Some((slot, rank)) = walk.next_slot() {
            let position = self.position(slot);
            let server = choice.farm().servers().get(position);
            if server.is_none_or(FarmServer::is_saturated) {
                continue;
            }
            if choice.avoid() != Some(position) {
                cursor.set(rank);
                return Some(position);
            }
            avoided = Some(position);
        }
        avoided
    }

    /// The server of a point between the cursor and the end of the ring, `None` if there is
    /// none or the ring has not been walked.
    pub(super) fn rest(&self, choice: &Choice<'_>) -> Option<usize> {
        let Turning { ring, cursor, .. } = self.turning.caught_up();
        let next = cursor.get()? + 1;
        if next >= ring.point_count() {
            return None;
        }
        let mut walk = ring.walk_from(next);
        while let Some((slot, rank)) = walk.next_slot().filter(|(_, rank)| *rank >= next) {
            let position = self.position(slot);
            let server = choice.farm().servers().get(position);
            let is_free = server.is_some_and(|server| !server.is_saturated());
            if is_free && choice.avoid() != Some(position) {
                cursor.set(rank);
                return Some(position);
            }
        }
        None
    }

    /// Lets the walk begin anew at the lowest point.
    pub(super) fn restart(&self) {
        self.turning.caught_up().cursor.clear();
    }

    fn position(&self, slot: u32) -> usize {
        self.positions[slot as usize] as usize
    }
}

impl Turning {
    /// The same where nothing has changed, however often the farm did elsewhere.
    fn adapted(self: &Arc<Self>, wanted: &[RingChange]) -> Result<Arc<Self>, SelectorError> {
        let changes = self.ring.differences(wanted);
        if changes.is_empty() {
            return Ok(Arc::clone(self));
        }
        let at = self.cursor.get();
        let (ring, cursor) = self.ring.changed(&changes, at)?;
        let before = self.before.lock().clone().unwrap_or_else(|| Before {
            cursor: Arc::clone(&self.cursor),
            copied: at,
            points: self.ring.point_count(),
        });
        Ok(Arc::new(Self::new(ring, cursor, Some(before))))
    }

    fn new(ring: ConsistentHashRing, cursor: Option<usize>, before: Option<Before>) -> Self {
        Self {
            ring,
            cursor: Arc::new(Cursor::at(cursor)),
            has_before: AtomicBool::new(before.is_some()),
            before: Mutex::new(before),
        }
    }

    /// Itself, with a cursor that has made up for the turns taken since it was made. It is
    /// asked for by requests that see it, so the change is published.
    fn caught_up(&self) -> &Self {
        if self.has_before.load(Acquire) {
            self.catch_up();
        }
        self
    }

    #[cold]
    fn catch_up(&self) {
        let mut before = self.before.lock();
        if let Some(before) = before.take() {
            let missed = before.points_passed();
            let points = self.ring.point_count();
            if let (1.., 1..) = (missed, points) {
                let next = self.cursor.get().map_or(0, |rank| rank + 1);
                self.cursor.set((next + missed - 1) % points);
            }
            self.has_before.store(false, Release);
        }
    }
}

impl Before {
    /// How many points the cursor has passed since it was copied, once around at most.
    fn points_passed(&self) -> usize {
        match (self.copied, self.cursor.get()) {
            (Some(copied), Some(now)) if now < copied => self.points - copied + now,
            (Some(copied), Some(now)) => now - copied,
            (None, Some(now)) => now + 1,
            (_, None) => 0,
        }
    }
}

/// What the nodes of the ring should be, in order of configuration.
fn wanted(farm: &Farm, placement: RingPlacement, backups: bool) -> Vec<RingChange> {
    farm.servers()
        .iter()
        .filter(|server| server.is_backup() == backups)
        .map(|server| RingChange::Set {
            node: server.id().get(),
            key: placement.key(server),
            points: if server.is_usable() {
                server.effective_weight()
            } else {
                0
            },
        })
        .collect()
}

/// The rank of the point used last, or none at the start.
///
/// Two requests at the same moment may be given the same point: a fair share is all
/// that the cursor is for, so nothing waits for it.
#[derive(Debug)]
struct Cursor(AtomicU32);

impl Cursor {
    const NONE: u32 = u32::MAX;

    fn at(rank: Option<usize>) -> Self {
        Self(AtomicU32::new(rank.map_or(Self::NONE, |rank| rank as u32)))
    }

    fn get(&self) -> Option<usize> {
        let rank = self.0.load(Relaxed);
        (rank != Self::NONE).then_some(rank as usize)
    }

    fn clear(&self) {
        self.0.store(Self::NONE, Relaxed);
    }

    fn set(&self, rank: usize) {
        self.0.store(rank as u32, Relaxed);
    }

    /// Moves to the next of so many points and returns it, none if there is none.
    fn advance(&self, points: usize) -> Option<usize> {
        let rank = self.get().map_or(0, |rank| rank + 1);
        let rank = if rank < points { rank } else { 0 };
        self.set(rank);
        (points > 0).then_some(rank)
    }
}
