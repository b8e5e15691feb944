//! HAProxy's `balance static-rr`: in turn through a map of slots.

use std::sync::Arc;

use super::map::{Cursor, DEFAULT_MAX_SLOTS, SlotMap};
use super::{Choice, Selector};
use crate::error::SelectorError;
use crate::server::{Farm, WeightScale};

/// Serves the servers in turn through a fixed map, each as often as its weight says.
///
/// At run time a weight can only become 0 or what is configured. A pick takes no
/// lock; the map takes 4 bytes for each unit of weight, after division by the greatest
/// common divisor, and is built anew when a weight or who is usable changes. The order is HAProxy's, server
/// by server. HAProxy: `balance static-rr`.
///
/// Among backups of which one alone should serve, others may be chosen if their
/// weight is not 1, as in HAProxy.
#[derive(Debug)]
pub struct StaticRoundRobin {
    map: SlotMap,
    cursor: Arc<Cursor>,
    max_slots: u32,
}

impl StaticRoundRobin {
    /// The limit on the slots of the map unless another is set: 2²⁴, 64 MB.
    pub const DEFAULT_MAX_SLOTS: u32 = DEFAULT_MAX_SLOTS;

    /// Static round robin as in HAProxy.
    pub fn new() -> Self {
        Self {
            map: SlotMap::default(),
            cursor: Arc::default(),
            max_slots: DEFAULT_MAX_SLOTS,
        }
    }

    /// Limits the slots of the map, as [`MapHash::max_slots`](crate::MapHash::max_slots) does;
    /// default [`DEFAULT_MAX_SLOTS`](Self::DEFAULT_MAX_SLOTS).
    #[must_use]
    pub fn max_slots(mut self, slots: u32) -> Self {
        self.max_slots = slots;
        self
    }
}

impl Default for StaticRoundRobin {
    fn default() -> Self {
        Self::new()
    }
}

impl Selector for StaticRoundRobin {
    fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
        self.map.walk(&self.cursor, choice.avoid(), |index| {
            choice.is_saturated(index)
        })
    }

    fn adapt(&self, farm: &Farm) -> Result<Option<Arc<dyn Selector>>, SelectorError> {
        let map = self.map.adapted(farm, self.max_slots)?;
        Ok(map.map(|map| -> Arc<dyn Selector> {
            Arc::new(Self {
                map,
                cursor: Arc::clone(&self.cursor),
                max_slots: self.max_slots,
            })
        }))
    }

    fn weight_scale(&self) -> WeightScale {
        WeightScale::Static
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{farm_of, with_status};
    use crate::{AdminState, Now, SimpleRequest};

    fn pick(selector: &dyn Selector, farm: &Farm, avoid: Option<usize>) -> Option<usize> {
        let request = SimpleRequest::default();
        let choice = Choice::new(farm, &request, Now::system());
        selector.pick(&choice.avoiding(avoid))
    }

    #[test]
    fn the_walk_goes_on_where_it_was_after_a_change() {
        let farm = farm_of(&[(1, false); 3], WeightScale::Static, false);
        let drained = AdminState::Drain;
        let fewer = with_status(&farm, 0, farm.servers()[0].status().with_admin(drained));
        let first = StaticRoundRobin::new().adapt(&farm).unwrap().unwrap();
        assert_eq!(pick(&*first, &farm, None), Some(0));
        let second = first.adapt(&fewer).unwrap().unwrap();
        assert_eq!(pick(&*second, &fewer, None), Some(2));
        assert_eq!(pick(&*first, &farm, None), Some(2), "the old one shares it");
    }

    #[test]
    fn a_farm_with_the_same_weights_keeps_the_map() {
        let farm = farm_of(&[(1, false), (2, false)], WeightScale::Static, false);
        let selector = StaticRoundRobin::new().adapt(&farm).unwrap().unwrap();
        assert!(selector.adapt(&farm).unwrap().is_none());
    }

    #[test]
    fn an_avoided_server_is_the_last_resort() {
        let farm = farm_of(&[(1, false)], WeightScale::Static, false);
        let alone = StaticRoundRobin::new().adapt(&farm).unwrap().unwrap();
        assert_eq!(pick(&*alone, &farm, Some(0)), Some(0));
        assert_eq!(pick(&StaticRoundRobin::new(), &farm, None), None);
    }
}
