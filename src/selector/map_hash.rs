//! HAProxy's map-based hashes: the hash of the request, modulo the number of slots.

use std::sync::Arc;

use super::map::{Cursor, DEFAULT_MAX_SLOTS, SlotMap};
use super::{Choice, HashInput, Hashing, Selector};
use crate::error::SelectorError;
use crate::hash::HashFunction;
use crate::server::{Farm, WeightScale};

/// Sends requests with the same key to the same server, through a map of slots.
///
/// The quickest and evenest of the hashes, and the least stable one: when a server
/// comes or goes nearly every key moves. Where that matters take a consistent hash.
/// Whether the server has room is not looked at, and a retry lands on the same server
/// again. At run time a weight can only become 0 or what is configured. HAProxy:
/// `hash-type map-based`, its default, with `balance source`, `uri`, `url_param` or
/// `hdr`.
///
/// A request without the key is served by a round robin through the same map. Among
/// backups of which one alone should serve, others may be chosen if their weight is
/// not 1, as in HAProxy.
///
/// ```
/// use stickroute::hash::HashFunction;
/// use stickroute::{HashInput, MapHash};
///
/// // balance hdr(x-user)
/// // hash-type map-based crc32 avalanche
/// let by_user = MapHash::new(HashInput::header("x-user"))
///     .function(HashFunction::Crc32)
///     .avalanche(true);
/// # let _ = by_user;
/// ```
#[derive(Debug)]
pub struct MapHash {
    hashing: Hashing,
    map: SlotMap,
    cursor: Arc<Cursor>,
    max_slots: u32,
}

impl MapHash {
    /// The limit on the slots of the map unless another is set: 2²⁴, 64 MB.
    pub const DEFAULT_MAX_SLOTS: u32 = DEFAULT_MAX_SLOTS;

    /// A hash of `input` by [`HashFunction::Sdbm`] without avalanche.
    pub fn new(input: impl Into<HashInput>) -> Self {
        Self {
            hashing: Hashing::new(input.into()),
            map: SlotMap::default(),
            cursor: Arc::default(),
            max_slots: DEFAULT_MAX_SLOTS,
        }
    }

    /// Sets the hash function, which [`HashInput::source`] ignores; default
    /// [`HashFunction::Sdbm`].
    #[must_use]
    pub fn function(mut self, function: HashFunction) -> Self {
        self.hashing = self.hashing.function(function);
        self
    }

    /// Sets whether the hash is mixed by [`full_hash`](crate::hash::full_hash)
    /// before use; default false.
    #[must_use]
    pub fn avalanche(mut self, avalanche: bool) -> Self {
        self.hashing = self.hashing.avalanche(avalanche);
        self
    }

    /// Limits the slots of the map, 4 bytes of memory each and as much again while it is
    /// built; default [`DEFAULT_MAX_SLOTS`](Self::DEFAULT_MAX_SLOTS).
    ///
    /// There is one for each unit of weight of the servers that serve, after division by the
    /// greatest common divisor of all weights. Adapting to a farm fails with more, before
    /// memory is taken for them.
    #[must_use]
    pub fn max_slots(mut self, slots: u32) -> Self {
        self.max_slots = slots;
        self
    }
}

impl Selector for MapHash {
    fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
        let count = choice.farm().serving().count;
        match self.hashing.of(choice.request(), count) {
            Some(hash) => self.map.by_hash(hash),
            None => self.map.walk(&self.cursor, choice.avoid(), |index| {
                choice.is_saturated(index)
            }),
        }
    }

    fn adapt(&self, farm: &Farm) -> Result<Option<Arc<dyn Selector>>, SelectorError> {
        let map = self.map.adapted(farm, self.max_slots)?;
        Ok(map.map(|map| -> Arc<dyn Selector> {
            Arc::new(Self {
                hashing: self.hashing.clone(),
                map,
                cursor: Arc::clone(&self.cursor),
                max_slots: self.max_slots,
            })
        }))
    }

    fn weight_scale(&self) -> WeightScale {
        WeightScale::Static
    }

    fn is_hash(&self) -> bool {
        true
    }

    fn lines_up(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::farm_of;
    use crate::{Now, SimpleRequest};

    fn pick(selector: &dyn Selector, farm: &Farm, key: &str, avoid: usize) -> Option<usize> {
        let request = SimpleRequest::default().header("x-key", key);
        let choice = Choice::new(farm, &request, Now::system());
        selector.pick(&choice.avoiding(Some(avoid)))
    }

    #[test]
    fn a_key_keeps_its_server_even_when_that_is_to_be_avoided() {
        let farm = farm_of(&[(1, false); 3], WeightScale::Static, false);
        let hash = MapHash::new(HashInput::header("x-key"));
        let hash = hash.adapt(&farm).unwrap().unwrap();
        let server = usize::from(b'a') % 3;
        assert_eq!(pick(&*hash, &farm, "a", server), Some(server));
    }

    #[test]
    fn without_a_key_the_servers_take_turns_and_one_is_avoided() {
        let farm = farm_of(&[(1, false); 3], WeightScale::Static, false);
        let hash = MapHash::new(HashInput::header("x-key"));
        let hash = hash.adapt(&farm).unwrap().unwrap();
        let picks = [0; 4].map(|avoid| pick(&*hash, &farm, "", avoid).unwrap());
        assert_eq!(picks, [1, 2, 1, 2]);
    }

    #[test]
    fn with_one_server_a_missing_key_does_not_move_the_turn() {
        let one = farm_of(&[(1, false)], WeightScale::Static, false);
        let three = farm_of(&[(1, false); 3], WeightScale::Static, false);
        let hash = MapHash::new(HashInput::header("x-key"));
        let alone = hash.adapt(&one).unwrap().unwrap();
        assert_eq!(pick(&*alone, &one, "", 9), Some(0));
        let grown = alone.adapt(&three).unwrap().unwrap();
        assert_eq!(pick(&*grown, &three, "", 9), Some(0));
    }
}
