//! Bounded load: no server takes more than so many percent of its fair share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::error::SelectorError;
use crate::server::{Farm, FarmServer, LoadWatcher, ServerId, ServerLoad};

/// HAProxy's `hash-balance-factor`.
///
/// All slots the farm may use, `percent` of the sessions there would be with one more,
/// are dealt out by weight. What the division leaves over goes to the servers one after
/// the other, for which each has an *offset*: the sum of the weights before it, or 0 if it
/// was not usable then.
#[derive(Debug)]
pub(super) struct BoundedLoad {
    percent: u32,
    sessions: Arc<Sessions>,
    /// Computed when a server is first seen and, as in HAProxy, never again.
    offsets: BTreeMap<ServerId, u32>,
    /// The same by position in the farm.
    by_position: Box<[u32]>,
}

impl BoundedLoad {
    pub(super) fn new(percent: u32) -> Self {
        Self {
            percent,
            sessions: Arc::default(),
            offsets: BTreeMap::new(),
            by_position: Box::default(),
        }
    }

    pub(super) fn watcher(&self) -> Arc<dyn LoadWatcher> {
        let sessions: Arc<Sessions> = Arc::clone(&self.sessions);
        sessions
    }

    pub(super) fn adapted(&self, farm: &Farm) -> Result<Self, SelectorError> {
        if self.percent <= 100 {
            return Err(SelectorError::BalanceFactor {
                found: self.percent,
            });
        }
        let offsets = || farm.servers().iter().zip(offsets(farm));
        let offset = |(server, now): (&FarmServer, u32)| {
            let known = self.offsets.get(&server.id()).copied();
            known.unwrap_or(now)
        };
        Ok(Self {
            percent: self.percent,
            sessions: Arc::clone(&self.sessions),
            offsets: offsets().map(|it| (it.0.id(), offset(it))).collect(),
            by_position: offsets().map(offset).collect(),
        })
    }

    /// The limits for one more session. Numbers wrap at 32 bits as HAProxy's do.
    pub(super) fn limits(&self, farm: &Farm) -> Limits<'_> {
        let sessions = self.sessions.0.load(Relaxed).wrapping_add(1);
        let slots = sessions.wrapping_mul(self.percent).wrapping_add(99) / 100;
        let weight = farm.serving().total_weight.max(1);
        Limits {
            offsets: &self.by_position,
            weight,
            each: slots / weight,
            over: slots % weight,
        }
    }
}

/// How many sessions each server may have at this moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits<'a> {
    offsets: &'a [u32],
    weight: u32,
    /// Slots for each unit of weight.
    each: u32,
    /// Slots left over.
    over: u32,
}

impl Limits<'_> {
    pub(super) fn allow(&self, server: &FarmServer, position: usize) -> bool {
        let offset = self.offsets.get(position).copied().unwrap_or(0);
        server.in_flight() < self.slots(server.effective_weight(), offset)
    }

    fn slots(&self, weight: u32, offset: u32) -> u32 {
        let over_until = |weight: u32| weight.wrapping_mul(self.over) / self.weight;
        let over = over_until(offset.wrapping_add(weight)).wrapping_sub(over_until(offset));
        weight.wrapping_mul(self.each).wrapping_add(over).max(1)
    }
}

/// The sum of the weights of the usable servers of the same kind before each of them; 0
/// for the others, which is what they keep in HAProxy when they become usable.
fn offsets(farm: &Farm) -> impl Iterator<Item = u32> + '_ {
    let mut sums = [0_u32; 2];
    farm.servers().iter().map(move |server| {
        if !server.is_usable() {
            return 0;
        }
        let sum = &mut sums[usize::from(server.is_backup())];
        let before = *sum;
        *sum = sum.wrapping_add(server.effective_weight());
        before
    })
}

/// Sessions of all servers together.
#[derive(Debug, Default)]
struct Sessions(AtomicU32);

impl LoadWatcher for Sessions {
    fn taken(&self, _: &ServerLoad) {
        self.0.fetch_add(1, Relaxed);
    }

    fn given_back(&self, _: &ServerLoad) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{AdminState, WeightScale, farm_of, with_status};

    #[test]
    fn a_server_that_does_not_serve_at_first_keeps_the_offset_zero() {
        let ready = farm_of(&[(1, false); 4], WeightScale::Dynamic, false);
        let status = ready.servers()[1].status();
        let first = with_status(&ready, 1, status.with_admin(AdminState::Drain));
        let bounded = BoundedLoad::new(150).adapted(&first).unwrap();
        assert_eq!(*bounded.by_position, [0, 0, 16, 32]);
        let later = bounded.adapted(&ready).unwrap();
        assert_eq!(later.by_position, bounded.by_position);
    }
}
