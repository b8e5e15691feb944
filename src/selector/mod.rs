//! How a server is chosen when no persistence decides.

#[cfg(test)]
mod by_load;
mod consistent;
mod first_free;
mod hash_input;
mod hash_key;
mod least_connections;
mod map;
mod map_hash;
#[cfg(test)]
mod naive;
mod random;
mod ranking;
mod round_robin;
mod static_rr;
mod sticky;
#[cfg(test)]
mod weighted_shares;
mod window;

use std::fmt;
use std::sync::Arc;

pub use consistent::{ConsistentHash, PreserveAffinity};
pub use first_free::FirstFree;
pub(crate) use hash_input::Hashing;
pub use hash_input::{HashInput, HeaderInput, UriInput};
pub use least_connections::LeastConnections;
pub use map_hash::MapHash;
pub use random::Random;
pub use round_robin::RoundRobin;
pub use static_rr::StaticRoundRobin;
pub use sticky::Sticky;
pub use window::WeightChangeRule;

use crate::error::SelectorError;
use crate::message::Request;
use crate::server::{Farm, FarmServer, LoadWatcher, WeightScale};
use crate::time::Now;

/// One choice to be made: the request, the farm, and whom to avoid.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    farm: &'a Farm,
    request: &'a dyn Request,
    avoid: Option<usize>,
    now: Now,
}

impl<'a> Choice<'a> {
    /// A first choice for `request` among the servers of `farm`.
    pub fn new(farm: &'a Farm, request: &'a dyn Request, now: Now) -> Self {
        Self {
            farm,
            request,
            avoid: None,
            now,
        }
    }

    /// The same choice after a failure on the server at this position.
    #[must_use]
    pub fn avoiding(mut self, server: Option<usize>) -> Self {
        self.avoid = server;
        self
    }

    /// The servers and their states.
    pub fn farm(&self) -> &'a Farm {
        self.farm
    }

    /// The request to find a server for.
    pub fn request(&self) -> &'a dyn Request {
        self.request
    }

    /// Position of the server of the attempt just failed: to be chosen only when
    /// there is no other.
    pub fn avoid(&self) -> Option<usize> {
        self.avoid
    }

    /// When the choice is made.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Whether the server at a position has neither a slot nor room in its queue; a
    /// position that is not in the farm never has room.
    pub(crate) fn is_crowded(&self, index: usize) -> bool {
        let server = self.farm.servers().get(index);
        server.is_none_or(FarmServer::is_crowded)
    }

    /// Whether the server at a position has no free slot; a position that is
    /// not in the farm never has room.
    pub(crate) fn is_saturated(&self, index: usize) -> bool {
        self.farm
            .servers()
            .get(index)
            .is_none_or(FarmServer::is_saturated)
    }
}

impl fmt::Debug for Choice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice")
            .field("farm", &self.farm)
            .field("avoid", &self.avoid)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// A balancing algorithm: round robin, a hash, or one of your own.
///
/// A backend keeps its selector in the snapshot beside the [`Farm`] it was
/// [adapted](Self::adapt) to, so a position in the one is always a position in the
/// other, however often servers change meanwhile. Everything is `&self`: an
/// algorithm that remembers where it was keeps a small lock or an atomic of its own.
///
/// Only [`pick`](Self::pick) has to be written. See `examples/custom_selector.rs`.
///
/// ```
/// use stickroute::{Choice, Selector};
///
/// /// Always the first configured server that is usable and has room.
/// #[derive(Debug)]
/// struct InOrder;
///
/// impl Selector for InOrder {
///     fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
///         let free = |&(index, server): &(usize, &stickroute::FarmServer)| {
///             !server.is_saturated() && Some(index) != choice.avoid()
///         };
///         choice
///             .farm()
///             .candidates()
///             .find(free)
///             .map(|(index, _)| index)
///     }
/// }
/// ```
pub trait Selector: fmt::Debug + Send + Sync {
    /// Picks a server by its position in [`Farm::servers`], or `None` when all are
    /// saturated.
    ///
    /// Called only when somebody serves (see [`Farm::serving`]). A position that is
    /// not in the farm, or that of a server which takes no new sessions, is told as an
    /// error of the selection ([`Refusal::Selector`](crate::Refusal::Selector),
    /// [`Refusal::UnusableServer`](crate::Refusal::UnusableServer)) and takes no slot.
    fn pick(&self, choice: &Choice<'_>) -> Option<usize>;

    /// The selector for a farm that has just changed, `None` to go on with this one.
    ///
    /// Called once when the backend is built and after every change of a server's
    /// state, weight or presence, one call at a time, before the changed farm is
    /// published. Requests that began earlier go on with the old selector and the
    /// old farm. The default keeps the selector, which is right for one that looks
    /// at the farm afresh on each pick.
    ///
    /// # Errors
    /// When the farm asks for more than the selector will give, too many points on
    /// a ring for example. The change is then refused and nothing has happened.
    fn adapt(&self, farm: &Farm) -> Result<Option<Arc<dyn Selector>>, SelectorError> {
        let _ = farm;
        Ok(None)
    }

    /// The scale effective weights are computed on; default [`WeightScale::Dynamic`].
    fn weight_scale(&self) -> WeightScale {
        WeightScale::Dynamic
    }

    /// Whether the same request is always given the same server, as hashes do;
    /// default false.
    ///
    /// A failed request that is balanced this way is not moved at every failure, as
    /// others are, but only as [`Redispatch`](crate::Redispatch) says.
    fn is_hash(&self) -> bool {
        false
    }

    /// Whether new requests line up behind those that wait for whichever server has a slot
    /// first, even if there is room for them by now; default true.
    ///
    /// HAProxy asks before `roundrobin`, `static-rr` and `first`, and no other algorithm.
    fn lines_up(&self) -> bool {
        true
    }

    /// Whether [`pick`](Self::pick) may answer `None` although some server has room, as
    /// HAProxy's `random` does; default false.
    ///
    /// A request that comes to wait for any server takes whatever room there is, unless this
    /// says that it had been passed over.
    fn passes_over_room(&self) -> bool {
        false
    }

    /// Who is to be told of sessions that start and end, if anybody; default nobody.
    ///
    /// Asked once, when the backend is built: [adapted](Self::adapt) selectors share
    /// the watcher of the first.
    fn load_watcher(&self) -> Option<Arc<dyn LoadWatcher>> {
        None
    }
}
