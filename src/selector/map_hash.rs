//! HAProxy's map-based hashes: the hash of the request, modulo the number of slots.

use std::sync::Arc;

use super::map::{Cursor, SlotMap};
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
}

impl MapHash {
    /// A hash of `input` by [`HashFunction::Sdbm`] without avalanche.
    pub fn new(input: impl Into<HashInput>) -> Self {
        Self {
            hashing: Hashing::new(input.into()),
            map: SlotMap::default(),
            cursor: Arc::default(),
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
        let map = self.map.adapted(farm);
        Ok(map.map(|map| -> Arc<dyn Selector> {
            Arc::new(Self {
                hashing: self.hashing.clone(),
                map,
                cursor: Arc::clone(&self.cursor),
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
