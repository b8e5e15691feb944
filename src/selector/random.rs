//! HAProxy's `balance random`: the least loaded of a few servers drawn at random.

use std::sync::Arc;

use super::consistent::rings::Rings;
use super::{Choice, Selector};
use crate::error::SelectorError;
use crate::ring::RingPlacement;
use crate::rng::Draws;
use crate::server::{Farm, FarmServer, LoadWatcher};

/// Draws a few servers at random, by weight, and chooses the least loaded of them.
///
/// Two draws, the default, already keep loads close to each other, and unlike an exact order
/// they need no lock and send no flood to a server that has just come back. Each draw is a
/// point on the [ring](crate::ring) of a consistent hash. If the server chosen is saturated
/// the request is refused, even if others have room. HAProxy: `balance random(N)`.
///
/// The library takes no randomness from the operating system: the same seed gives the same
/// sequence of draws. Give each process a seed of its own, so that several proxies before
/// the same servers do not draw in step.
///
/// ```
/// use stickroute::Random;
///
/// # let seed = 17;
/// // balance random(3)
/// let best_of_three = Random::seeded(seed).draws(3);
/// # let _ = best_of_three;
/// ```
#[derive(Debug)]
pub struct Random {
    source: Draws,
    draws: u32,
    rings: Rings,
}

impl Random {
    /// Two draws a pick, out of a sequence that this number determines.
    ///
    /// The sequence is that of `SplitMix64`, which is fast and even, and which anyone can tell who
    /// knows the seed.
    pub fn seeded(seed: u64) -> Self {
        Self::with(Draws::seeded(seed))
    }

    /// Two draws a pick, each of them 32 random bits from `draw`.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// use stickroute::Random;
    ///
    /// let state = AtomicU32::new(1);
    /// let draw = move || state.fetch_add(0x9e37_79b9, Relaxed);
    /// let by_own_draws = Random::from_fn(draw);
    /// # let _ = by_own_draws;
    /// ```
    pub fn from_fn(draw: impl Fn() -> u32 + Send + Sync + 'static) -> Self {
        Self::with(Draws::given(draw))
    }

    fn with(source: Draws) -> Self {
        Self {
            source,
            draws: 2,
            rings: Rings::default(),
        }
    }

    /// Sets how many servers are drawn for each pick, default 2; 0 counts as 1.
    ///
    /// HAProxy: the number in `random(N)`, from 1.
    #[must_use]
    pub fn draws(mut self, draws: u32) -> Self {
        self.draws = draws;
        self
    }

    /// Leaves out servers with more than this share of all sessions, as
    /// [`ConsistentHash::balance_factor`](crate::ConsistentHash::balance_factor) does;
    /// default 0, no limit. HAProxy: `hash-balance-factor`.
    ///
    /// Adapting to a farm fails with a factor from 1 to 100.
    #[must_use]
    pub fn balance_factor(mut self, percent: u32) -> Self {
        self.rings = self.rings.with_balance_factor(percent);
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

impl Selector for Random {
    fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
        let draw = || self.rings.find(choice, self.source.draw());
        let mut chosen = draw()?;
        for _ in 1..self.draws {
            let drawn = draw()?;
            if !is_busier(choice, drawn, chosen) {
                chosen = drawn;
            }
        }
        (!choice.is_saturated(chosen)).then_some(chosen)
    }

    fn adapt(&self, farm: &Farm) -> Result<Option<Arc<dyn Selector>>, SelectorError> {
        Ok(Some(Arc::new(Self {
            source: self.source.clone(),
            draws: self.draws,
            rings: self.rings.adapted(farm)?,
        })))
    }

    fn load_watcher(&self) -> Option<Arc<dyn LoadWatcher>> {
        self.rings.load_watcher()
    }

    fn lines_up(&self) -> bool {
        false
    }

    fn passes_over_room(&self) -> bool {
        true
    }
}

/// Whether the server at `a` has more sessions for its weight than that at `b`.
fn is_busier(choice: &Choice<'_>, a: usize, b: usize) -> bool {
    let servers = choice.farm().servers();
    let (Some(a), Some(b)) = (servers.get(a), servers.get(b)) else {
        return false;
    };
    let load = |of: &FarmServer, other: &FarmServer| {
        u64::from(of.in_flight()) * u64::from(other.effective_weight())
    };
    load(a, b) > load(b, a)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;
    use crate::{Backend, Failure, Now, Redispatch, Retry, RetryPolicy, Selection, Server};
    use crate::{ConsistentHashRing, RingKey, SelectorError, SimpleRequest, server};

    fn backend(selector: Random, servers: &[(u32, u32)]) -> Backend {
        let servers = servers.iter().enumerate().map(|(n, &(weight, limit))| {
            Server::new(format!("s{}", n + 1), "127.0.0.1:1")
                .weight(weight)
                .max_connections(limit)
        });
        Backend::builder("b")
            .servers(servers)
            .balance(selector)
            .retry(RetryPolicy::new(9).redispatch(Redispatch::Interval(1)))
            .build()
            .unwrap()
    }

    fn select(backend: &Backend) -> Option<Selection> {
        backend
            .select(&SimpleRequest::default(), Now::system())
            .ok()
    }

    /// How many of so many sessions each server got, all of which last.
    fn held<const N: usize>(backend: &Backend, sessions: usize) -> [u32; N] {
        let open: Vec<_> = (0..sessions).map(|_| select(backend).unwrap()).collect();
        let farm = backend.farm();
        assert_eq!(open.len(), sessions);
        std::array::from_fn(|index| farm.servers()[index].in_flight())
    }

    /// Draws that hit the first point of each of these servers in turn.
    fn aimed_at(ids: &'static [u32]) -> impl Fn() -> u32 + Send + Sync {
        let draws = AtomicU32::new(0);
        move || {
            let draw = draws.fetch_add(1, Relaxed) as usize;
            crate::hash::full_hash(ids[draw % ids.len()] * 4096)
        }
    }

    fn names(backend: &Backend, count: usize) -> Vec<String> {
        let selections: Vec<_> = (0..count).map(|_| select(backend).unwrap()).collect();
        let names = selections.iter().map(|it| it.server().name().to_owned());
        names.collect()
    }

    #[test]
    fn a_draw_is_looked_up_on_the_ring_as_it_is() {
        let selector = Random::from_fn(aimed_at(&[3, 1, 2, 2])).draws(1);
        let backend = backend(selector, &[(1, 0), (5, 0), (2, 0)]);
        assert_eq!(names(&backend, 4), ["s3", "s1", "s2", "s2"]);
    }

    #[test]
    fn the_least_loaded_of_the_drawn_is_chosen_and_the_last_among_equals() {
        let selector = Random::from_fn(aimed_at(&[1, 2]));
        let backend = backend(selector, &[(1, 0), (2, 0)]);
        // Sessions by weight before each pick: 0 0, 0 ½, 1 ½, 1 1.
        assert_eq!(names(&backend, 4), ["s2", "s1", "s2", "s2"]);
    }

    #[test]
    fn a_saturated_choice_is_refused_even_if_others_have_room() {
        let selector = Random::from_fn(aimed_at(&[1])).draws(1);
        let backend = backend(selector, &[(1, 1), (1, 0)]);
        let first = select(&backend);
        assert!(first.is_some_and(|_first| select(&backend).is_none()));
    }

    #[test]
    fn every_server_gets_its_share_by_weight() {
        let backend = backend(Random::seeded(1).draws(1), &[(1, 0), (3, 0), (6, 0)]);
        let [a, b, c] = held(&backend, 10_000);
        // The points of a server cover about its share of the ring: within a third of it.
        assert!((670..=1_330).contains(&a), "{a}");
        assert!((2_000..=4_000).contains(&b), "{b}");
        assert!((4_000..=8_000).contains(&c), "{c}");
    }

    #[test]
    fn two_draws_keep_sessions_closer_to_the_weights_than_one() {
        let spread = |draws: u32| {
            let backend = backend(Random::seeded(1).draws(draws), &[(1, 0); 8]);
            let sessions = held::<8>(&backend, 4_000);
            sessions.iter().max().unwrap() - sessions.iter().min().unwrap()
        };
        assert!(
            spread(2) < 20 && spread(1) > 100,
            "{} {}",
            spread(2),
            spread(1)
        );
        assert_eq!(spread(0), spread(1));
    }

    #[test]
    fn a_balance_factor_bounds_every_server() {
        let selector = || Random::seeded(1).draws(1).balance_factor(101);
        let sessions = held::<3>(&backend(selector(), &[(1, 0), (3, 0), (6, 0)]), 100);
        let limits = [11, 31, 61];
        assert!(
            sessions.iter().zip(limits).all(|(&n, limit)| n <= limit),
            "{sessions:?}"
        );
        let farm = server::farm_of(&[(1, false)], server::WeightScale::Dynamic, false);
        let refused = selector().balance_factor(100).adapt(&farm);
        assert!(refused.is_err_and(|it| it == SelectorError::BalanceFactor { found: 100 }));
    }

    #[test]
    fn a_failed_server_is_not_drawn_while_there_is_another() {
        let backend = backend(Random::from_fn(aimed_at(&[1])), &[(1, 0), (1, 0)]);
        let request = SimpleRequest::default();
        let mut selection = select(&backend).unwrap();
        for expected in ["s2", "s1", "s2"] {
            let retry = backend.redispatch(selection, &request, Failure::Refused, Now::system());
            let Retry::Other {
                selection: next, ..
            } = retry
            else {
                panic!("{retry:?}");
            };
            assert_eq!(next.server().name(), expected);
            selection = next;
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_picks() {
        let picks = |seed| names(&backend(Random::seeded(seed), &[(1, 0); 4]), 50);
        assert_eq!(picks(7), picks(7));
        assert_ne!(picks(7), picks(8));
    }

    #[test]
    fn points_lie_where_the_key_puts_them() {
        let farm = server::farm_of(
            &[(1, false), (1, false)],
            server::WeightScale::Dynamic,
            false,
        );
        let mut ring = ConsistentHashRing::new();
        for id in [1, 2] {
            ring.set(id, RingKey::id32(id), 16).unwrap();
        }
        for hash in (0..64).map(|n: u32| n << 26) {
            let selector = Random::from_fn(move || hash).key(RingPlacement::Id32);
            let adapted = selector.adapt(&farm).unwrap().unwrap();
            let request = SimpleRequest::default();
            let picked = adapted.pick(&Choice::new(&farm, &request, Now::system()));
            assert_eq!(picked.map(|index| index as u32 + 1), ring.lookup(hash));
        }
    }

    #[test]
    fn too_many_points_are_refused() {
        let farm = server::farm_of(&[(2, false)], server::WeightScale::Dynamic, false);
        assert!(Random::seeded(0).max_points(31).adapt(&farm).is_err());
        assert!(Random::seeded(0).max_points(32).adapt(&farm).is_ok());
    }
}
