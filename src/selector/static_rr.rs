//! HAProxy's `balance static-rr`: in turn through a map of slots.

use std::sync::Arc;

use super::map::{Cursor, SlotMap};
use super::{Choice, Selector};
use crate::error::SelectorError;
use crate::server::{Farm, WeightScale};

/// Serves the servers in turn through a fixed map, each as often as its weight says.
///
/// At run time a weight can only become 0 or what is configured. A pick takes no lock, and the
/// map takes 4 bytes for each unit of weight after division by the greatest common
/// divisor. The order is HAProxy's, server by server. HAProxy: `balance static-rr`.
///
/// Among backups of which one alone should serve, others may be chosen if their
/// weight is not 1, as in HAProxy.
#[derive(Debug, Default)]
pub struct StaticRoundRobin {
    map: SlotMap,
    cursor: Arc<Cursor>,
}

impl StaticRoundRobin {
    /// Static round robin as in HAProxy.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Selector for StaticRoundRobin {
    fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
        self.map.walk(&self.cursor, choice.avoid(), |index| {
            choice.is_saturated(index)
        })
    }

    fn adapt(&self, farm: &Farm) -> Result<Option<Arc<dyn Selector>>, SelectorError> {
        Ok(Some(Arc::new(Self {
            map: SlotMap::new(farm),
            cursor: Arc::clone(&self.cursor),
        })))
    }

    fn weight_scale(&self) -> WeightScale {
        WeightScale::Static
    }
}
