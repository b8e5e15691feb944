//! The two rings of a farm, active and backup servers, and the choice of a server on
//! them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::bounded::{BoundedLoad, Limits};
use super::group::GroupRing;
use crate::error::SelectorError;
use crate::ring::{ConsistentHashRing, RingKey, RingPlacement};
use crate::selector::Choice;
use crate::server::{Address, Farm, FarmServer, Group, LoadWatcher};

impl RingPlacement {
    /// The key of a server that may have asked for another placement.
    pub(super) fn key(self, server: &FarmServer) -> RingKey {
        let id = server.id().get();
        let placement = server.spec.placement.unwrap_or(self);
        let key = match (placement, server.address()) {
            (Self::Id32, _) => Some(RingKey::id32(id)),
            (Self::Guid, _) => server.guid().map(RingKey::guid),
            (Self::Address, Address::Ip(socket)) => Some(RingKey::address(socket.ip())),
            (Self::AddressPort, Address::Ip(socket)) => Some(RingKey::address_port(*socket)),
            _ => None,
        };
        key.unwrap_or(RingKey::id(id))
    }
}

/// When a request leaves the server its hash belongs to. HAProxy 3.x:
/// `hash-preserve-affinity`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PreserveAffinity {
    /// Not because the server is saturated. HAProxy: `always`.
    #[default]
    Always,
    /// When every slot of the server is taken; it stays with the server of the highest
    /// point where that is so of all. HAProxy: `maxconn`.
    MaxConnections,
    /// When every slot of the server and all room in its queue is taken, if it has
    /// [`max_queue`](crate::Server::max_queue) and so an end; else it stays as with
    /// [`MaxConnections`](Self::MaxConnections) if that is so of all. HAProxy: `maxqueue`.
    MaxQueue,
}

/// The rings of a farm, and the rules by which a server is left out.
#[derive(Debug, Default)]
pub(in crate::selector) struct Rings {
    placement: RingPlacement,
    preserve: PreserveAffinity,
    bounded: Option<BoundedLoad>,
    active: GroupRing,
    backup: GroupRing,
    crossing: Option<Crossing>,
}

/// Whether the walk of requests without a key is in the ring of the backups, if it crosses
/// from ring to ring as in HAProxy.
#[derive(Clone, Debug, Default)]
struct Crossing(Arc<AtomicBool>);

impl Rings {
    pub(in crate::selector) fn crossing(mut self) -> Self {
        self.crossing = Some(Crossing::default());
        self
    }

    pub(in crate::selector) fn with_placement(mut self, placement: RingPlacement) -> Self {
        self.placement = placement;
        self
    }

    pub(in crate::selector) fn with_preserve_affinity(
        mut self,
        preserve: PreserveAffinity,
    ) -> Self {
        self.preserve = preserve;
        self
    }

    pub(in crate::selector) fn with_balance_factor(mut self, percent: u32) -> Self {
        self.bounded = (percent > 0).then(|| BoundedLoad::new(percent));
        self
    }

    pub(in crate::selector) fn with_max_points(mut self, points: u32) -> Self {
        let empty = || GroupRing::new(ConsistentHashRing::with_max_points(points));
        (self.active, self.backup) = (empty(), empty());
        self
    }

    pub(in crate::selector) fn load_watcher(&self) -> Option<Arc<dyn LoadWatcher>> {
        self.bounded.as_ref().map(BoundedLoad::watcher)
    }

    /// The rings of a farm that has changed. Only points of servers that changed move.
    pub(in crate::selector) fn adapted(&self, farm: &Farm) -> Result<Self, SelectorError> {
        let bounded = self.bounded.as_ref();
        Ok(Self {
            placement: self.placement,
            preserve: self.preserve,
            bounded: bounded.map(|bounded| bounded.adapted(farm)).transpose()?,
            active: self.active.adapted(farm, self.placement, false)?,
            backup: self.backup.adapted(farm, self.placement, true)?,
            crossing: self.crossing.clone(),
        })
    }

    /// The server a hash belongs to.
    pub(in crate::selector) fn find(&self, choice: &Choice<'_>, hash: u32) -> Option<usize> {
        match choice.farm().serving().group {
            Group::Nobody => None,
            Group::ElectedBackup(elected) => Some(elected),
            Group::Active => self.find_in(&self.active, choice, hash),
            Group::Backups => self.find_in(&self.backup, choice, hash),
        }
    }

    /// The server whose turn it is, for a request that has no hash.
    pub(in crate::selector) fn next(&self, choice: &Choice<'_>) -> Option<usize> {
        match choice.farm().serving().group {
            Group::Nobody => None,
            Group::ElectedBackup(elected) => Some(elected),
            Group::Active => self.next_in(choice, &self.active, &self.backup, false),
            Group::Backups => self.next_in(choice, &self.backup, &self.active, true),
        }
    }

    /// The next in the ring that serves; one that crosses goes to the end of the other
    /// first, if it was there.
    fn next_in(
        &self,
        choice: &Choice<'_>,
        serving: &GroupRing,
        other: &GroupRing,
        is_backup: bool,
    ) -> Option<usize> {
        if let Some(Crossing(in_backups)) = &self.crossing
            && in_backups.load(Relaxed) != is_backup
        {
            let rest = other.rest(choice);
            if rest.is_some() {
                return rest;
            }
            in_backups.store(is_backup, Relaxed);
            serving.restart();
        }
        serving.next(choice)
    }

    fn find_in(&self, ring: &GroupRing, choice: &Choice<'_>, hash: u32) -> Option<usize> {
        let limits = self.bounded.as_ref().map(|it| it.limits(choice.farm()));
        ring.find(hash, |index| {
            choice.avoid() != Some(index) && self.has_room(choice, limits, index)
        })
    }

    fn has_room(&self, choice: &Choice<'_>, limits: Option<Limits<'_>>, index: usize) -> bool {
        let Some(server) = choice.farm().servers().get(index) else {
            return false;
        };
        let spills = match self.preserve {
            PreserveAffinity::Always => false,
            PreserveAffinity::MaxConnections => server.is_saturated(),
            PreserveAffinity::MaxQueue => server.max_queue().is_some() && server.is_crowded(),
        };
        !spills && limits.is_none_or(|limits| limits.allow(server, index))
    }
}
