//! HAProxy's `hash-type consistent`: a hash of the request finds its server on a ring.

mod bounded;
mod group;
pub(super) mod rings;

use std::sync::Arc;

use super::{Choice, HashInput, Hashing, Selector};
use crate::error::SelectorError;
use crate::hash::HashFunction;
use crate::ring::RingPlacement;
use crate::server::{Farm, LoadWatcher};

pub use rings::PreserveAffinity;
use rings::Rings;

/// Balances by a consistent hash: the same request goes to the same server, and when
/// servers come and go only the requests of those servers move.
///
/// HAProxy: `hash-type consistent`, with `balance source`, `uri`, `url_param`, `hdr` or
/// `hash`. Active and backup servers have a [ring](crate::ring) each, with 16 points a
/// unit of weight.
///
/// A saturated server is chosen all the same unless
/// [`balance_factor`](Self::balance_factor) or
/// [`preserve_affinity`](Self::preserve_affinity) say otherwise. A request that lacks the
/// key is given the server of the next point of the ring, in turn with all others that
/// lack it. After a failure the next *other* server up the ring is chosen. The backup
/// server that serves alone, without `option allbackups`, is chosen whatever happened.
///
/// ```
/// use stickroute::{ConsistentHash, HashInput};
/// use stickroute::hash::HashFunction;
///
/// // balance source, hash-type consistent
/// let by_client = ConsistentHash::new(HashInput::source());
///
/// // balance hdr(x-user), hash-type consistent wt6 avalanche, hash-balance-factor 150
/// let by_user = ConsistentHash::new(HashInput::header("x-user"))
///     .function(HashFunction::Wt6)
///     .avalanche(true)
///     .balance_factor(150);
/// # let _ = (by_client, by_user);
/// ```
#[derive(Debug)]
pub struct ConsistentHash {
    hashing: Hashing,
    avalanche_is_set: bool,
    rings: Rings,
}

impl ConsistentHash {
    /// Hashes `input` with [`HashFunction::Sdbm`] and an avalanche.
    pub fn new(input: impl Into<HashInput>) -> Self {
        Self {
            hashing: Hashing::new(input.into()).avalanche(true),
            avalanche_is_set: false,
            rings: Rings::default(),
        }
    }

    /// Hashes with this function, *without* an avalanche unless
    /// [`avalanche`](Self::avalanche) asks for one.
    ///
    /// So naming the default function is not the same as naming none, in HAProxy too:
    /// `hash-type consistent sdbm` differs from `hash-type consistent`.
    #[must_use]
    pub fn function(mut self, function: HashFunction) -> Self {
        self.hashing = self.hashing.function(function);
        if !self.avalanche_is_set {
            self.hashing = self.hashing.avalanche(false);
        }
        self
    }

    /// Whether the hash is [mixed](crate::hash::full_hash) once more; default yes, or no
    /// once a [`function`](Self::function) is named. HAProxy: `avalanche`.
    #[must_use]
    pub fn avalanche(mut self, avalanche: bool) -> Self {
        self.hashing = self.hashing.avalanche(avalanche);
        self.avalanche_is_set = true;
        self
    }

    /// What the points of servers are computed from that do not
    /// [say it themselves](crate::Server::hash_key); default [`RingPlacement::Id`].
    /// HAProxy 3.x: `hash-key`.
    #[must_use]
    pub fn key(mut self, placement: RingPlacement) -> Self {
        self.rings = self.rings.with_placement(placement);
        self
    }

    /// Leaves out servers with more than this share of all sessions, in percent of their
    /// fair share by weight; default 0, no limit. HAProxy: `hash-balance-factor`.
    ///
    /// Adapting to a farm fails with a factor from 1 to 100.
    #[must_use]
    pub fn balance_factor(mut self, percent: u32) -> Self {
        self.rings = self.rings.with_balance_factor(percent);
        self
    }

    /// When a saturated server is left out; default [`PreserveAffinity::Always`].
    /// HAProxy 3.x: `hash-preserve-affinity`.
    #[must_use]
    pub fn preserve_affinity(mut self, preserve: PreserveAffinity) -> Self {
        self.rings = self.rings.with_preserve_affinity(preserve);
        self
    }

    /// Lets requests without a key walk on through the ring of the group that served before,
    /// to its end, when another group serves: they go to backups although active servers are
    /// usable. Default: they stay in the ring of the group that serves.
    ///
    /// HAProxy 2.6 and 3.5 walk so, which is plainly not what anybody wants: this is for
    /// those who compare with it, pick by pick.
    #[must_use]
    pub fn cross_rings(mut self) -> Self {
        self.rings = self.rings.crossing();
        self
    }

    /// Limits the points of each of the two rings; default
    /// [`ConsistentHashRing::DEFAULT_MAX_POINTS`](crate::ConsistentHashRing::DEFAULT_MAX_POINTS).
    ///
    /// Adapting to a farm fails with more, before memory is taken for them.
    #[must_use]
    pub fn max_points(mut self, points: u32) -> Self {
        self.rings = self.rings.with_max_points(points);
        self
    }
}

impl Selector for ConsistentHash {
    fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
        let count = choice.farm().serving().count;
        match self.hashing.of(choice.request(), count) {
            Some(hash) => self.rings.find(choice, hash),
            None => self.rings.next(choice),
        }
    }

    fn adapt(&self, farm: &Farm) -> Result<Option<Arc<dyn Selector>>, SelectorError> {
        Ok(Some(Arc::new(Self {
            hashing: self.hashing.clone(),
            avalanche_is_set: self.avalanche_is_set,
            rings: self.rings.adapted(farm)?,
        })))
    }

    fn is_hash(&self) -> bool {
        true
    }

    fn load_watcher(&self) -> Option<Arc<dyn LoadWatcher>> {
        self.rings.load_watcher()
    }

    fn lines_up(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::message::SimpleRequest;
    use crate::server::{AdminState, WeightScale, farm_of, with_status};
    use crate::time::Now;

    fn adapted(selector: &dyn Selector, farm: &Farm) -> Arc<dyn Selector> {
        selector.adapt(farm).unwrap().unwrap()
    }

    fn pick(selector: &dyn Selector, farm: &Farm, request: &SimpleRequest) -> usize {
        let now = Now::new(Duration::ZERO, Duration::ZERO);
        selector.pick(&Choice::new(farm, request, now)).unwrap()
    }

    /// Positions chosen for so many requests without the key.
    fn keyless(selector: &dyn Selector, farm: &Farm, requests: usize) -> Vec<usize> {
        let request = SimpleRequest::default();
        let picks = (0..requests).map(|_| pick(selector, farm, &request));
        picks.collect()
    }

    fn in_state(farm: &Farm, index: usize, admin: AdminState) -> Farm {
        let status = farm.servers()[index].status();
        with_status(farm, index, status.with_admin(admin))
    }

    fn by_header() -> ConsistentHash {
        ConsistentHash::new(HashInput::header("x-key"))
    }

    #[test]
    fn a_balance_factor_is_refused_up_to_100() {
        let farm = farm_of(&[(1, false)], WeightScale::Dynamic, false);
        for (percent, accepted) in [(0, true), (1, false), (100, false), (101, true)] {
            let found = by_header().balance_factor(percent).adapt(&farm);
            let refused = SelectorError::BalanceFactor { found: percent };
            assert_eq!(found.is_ok(), accepted, "{percent}");
            assert!(accepted || found.is_err_and(|error| error == refused));
        }
    }

    #[test]
    fn too_many_points_are_refused() {
        let farm = farm_of(&[(4, false), (3, false)], WeightScale::Dynamic, false);
        let refused = by_header().max_points(111).adapt(&farm);
        assert!(matches!(
            refused,
            Err(SelectorError::TooManyPoints {
                points: 112,
                limit: 111,
                ..
            })
        ));
        assert!(by_header().max_points(112).adapt(&farm).is_ok());
    }

    /// HAProxy goes on through the ring of the backups to its end, recorded as
    /// `b-cons-fallback-crossring`.
    #[test]
    fn requests_without_a_key_stay_in_the_group_that_serves() {
        let servers = [(1, false), (2, false), (1, true), (2, true)];
        let farm = farm_of(&servers, WeightScale::Dynamic, true);
        let both = adapted(&by_header(), &farm);
        assert!(keyless(&*both, &farm, 30).iter().all(|&it| it < 2));

        let one = in_state(&farm, 0, AdminState::Drain);
        let none = in_state(&one, 1, AdminState::Drain);
        let backups = adapted(&*adapted(&*both, &one), &none);
        assert!(keyless(&*backups, &none, 30).iter().all(|&it| it >= 2));

        let back = adapted(&*backups, &one);
        assert!(keyless(&*back, &one, 30).iter().all(|&it| it == 1));
        let back = adapted(&*back, &farm);
        assert!(keyless(&*back, &farm, 48).iter().all(|&it| it < 2));
    }

    #[test]
    fn a_change_of_the_other_group_does_not_disturb_the_turn() {
        let servers = [(3, false), (2, false), (1, true)];
        let farm = farm_of(&servers, WeightScale::Dynamic, false);
        let undisturbed = keyless(&*adapted(&by_header(), &farm), &farm, 40);
        let selector = adapted(&by_header(), &farm);
        let mut picks = keyless(&*selector, &farm, 20);
        let changed = in_state(&farm, 2, AdminState::Drain);
        picks.extend(keyless(&*adapted(&*selector, &changed), &changed, 20));
        assert_eq!(picks, undisturbed);
    }

    #[test]
    fn turns_taken_while_a_change_is_made_are_not_taken_once_more() {
        let farm = farm_of(
            &[(3, false), (3, false), (1, false)],
            WeightScale::Dynamic,
            false,
        );
        let selector = adapted(&by_header(), &farm);
        let changed = in_state(&farm, 2, AdminState::Drain);
        // All before the change, or ten of them while it is made.
        let first = keyless(&*selector, &farm, 20);
        let after = adapted(&*adapted(&*selector, &changed), &farm);
        let expected = keyless(&*after, &farm, 20);
        let selector = adapted(&by_header(), &farm);
        let mut picks = keyless(&*selector, &farm, 10);
        let unseen = adapted(&*selector, &changed);
        let after = adapted(&*unseen, &farm);
        picks.extend(keyless(&*selector, &farm, 10));
        assert_eq!(picks, first);
        assert_eq!(keyless(&*after, &farm, 20), expected);
    }

    #[test]
    fn keys_stay_with_their_servers_when_positions_shift() {
        let farm = farm_of(&[(1, false); 4], WeightScale::Dynamic, false);
        let selector = adapted(&by_header(), &farm);
        let mut servers = farm.servers().to_vec();
        servers.remove(1);
        let fewer = Farm::new(servers, WeightScale::Dynamic, false);
        let after = adapted(&*selector, &fewer);
        for key in 0..500 {
            let request = SimpleRequest::default().header("X-Key", format!("key-{key}"));
            let id = |farm: &Farm, index: usize| farm.servers()[index].id().get();
            let before = id(&farm, pick(&*selector, &farm, &request));
            let now = id(&fewer, pick(&*after, &fewer, &request));
            assert!(before == now || before == 2, "key {key}: {before}, {now}");
        }
    }

    #[test]
    fn a_failed_server_is_avoided_while_there_is_another() {
        let farm = farm_of(&[(1, false), (1, false)], WeightScale::Dynamic, false);
        let now = Now::new(Duration::ZERO, Duration::ZERO);
        let selector = adapted(&by_header(), &farm);
        let keyed = SimpleRequest::default().header("X-Key", "k");
        for request in [&keyed, &SimpleRequest::default()] {
            let first = pick(&*selector, &farm, request);
            let choice = Choice::new(&farm, request, now).avoiding(Some(first));
            assert_eq!(selector.pick(&choice), Some(1 - first));
        }
        let alone = in_state(&farm, 1, AdminState::Drain);
        let selector = adapted(&*selector, &alone);
        let choice = Choice::new(&alone, &keyed, now).avoiding(Some(0));
        assert_eq!(selector.pick(&choice), Some(0));
    }

    #[test]
    fn a_farm_the_selector_was_not_adapted_to_is_no_reason_to_panic() {
        let farm = farm_of(&[(1, false); 3], WeightScale::Dynamic, false);
        let selector = adapted(&by_header(), &farm);
        let other = farm_of(&[(1, false)], WeightScale::Dynamic, false);
        let now = Now::new(Duration::ZERO, Duration::ZERO);
        for request in [
            SimpleRequest::default().header("X-Key", "k"),
            SimpleRequest::default(),
        ] {
            let _ = by_header().pick(&Choice::new(&farm, &request, now));
            let _ = selector.pick(&Choice::new(&other, &request, now));
        }
    }
}
