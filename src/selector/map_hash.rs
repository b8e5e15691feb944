//! HAProxy's map-based hashes: the hash of the request, modulo the number of slots.

use std::sync::Arc;

use super::hash_input::{HashInput, Hashing};
use super::map::{Cursor, SlotMap};
use super::{Choice, Selector};
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
        Ok(Some(Arc::new(Self {
            hashing: self.hashing.clone(),
            map: SlotMap::new(farm),
            cursor: Arc::clone(&self.cursor),
        })))
    }

    fn weight_scale(&self) -> WeightScale {
        WeightScale::Static
    }

    fn is_hash(&self) -> bool {
        true
    }
}
