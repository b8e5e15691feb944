//! Promise: everyone gets its share, and the quick orders are the plain ones.

use proptest::collection::vec;
use proptest::prelude::*;

use super::map::{Cursor, SlotMap, fill};
use super::naive::{self, RoundRobinTwin};
use super::window::{WeightChangeRule, Window};
use crate::server::{ServerId, WeightScale, farm_of};

fn numbered(weights: &[u32]) -> Vec<(ServerId, u32)> {
    (1..)
        .map(|id| ServerId::new(id).unwrap())
        .zip(weights.iter().copied())
        .collect()
}

fn counts(servers: usize, picks: impl Iterator<Item = usize>) -> Vec<u32> {
    picks.fold(vec![0; servers], |mut counts, index| {
        counts[index] += 1;
        counts
    })
}

fn effective(weights: &[u32]) -> Vec<u32> {
    let unit = WeightScale::DYNAMIC_UNIT;
    weights.iter().map(|weight| weight * unit).collect()
}

/// How often each was picked in as many picks as the weights add up to.
fn shares(window: &mut Window, weights: &[u32]) -> Vec<u32> {
    let picks = 0..weights.iter().sum();
    counts(
        weights.len(),
        picks.map(|_| window.next(None, |_| false).unwrap()),
    )
}

/// Weights as HAProxy has them, 0 now and then.
fn weight() -> impl Strategy<Value = u32> {
    prop_oneof![1 => Just(0), 3 => 1..=4_u32, 3 => 1..=256_u32]
}

fn dynamic_weights() -> impl Strategy<Value = Vec<u32>> {
    vec(
        weight().prop_map(|weight| weight * WeightScale::DYNAMIC_UNIT),
        1..12,
    )
}

#[derive(Clone, Debug)]
enum Step {
    Pick { avoid: Option<usize> },
    SetWeight { server: usize, weight: u32 },
    SetSaturated { server: usize, saturated: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let server = 0..12_usize;
    prop_oneof![
        8 => Just(Step::Pick { avoid: None }),
        2 => server.clone().prop_map(|avoid| Step::Pick { avoid: Some(avoid) }),
        1 => (server.clone(), weight())
            .prop_map(|(server, weight)| Step::SetWeight { server, weight }),
        1 => (server, any::<bool>())
            .prop_map(|(server, saturated)| Step::SetSaturated { server, saturated }),
    ]
}

fn rule() -> impl Strategy<Value = WeightChangeRule> {
    prop_oneof![
        Just(WeightChangeRule::KeepPlace),
        Just(WeightChangeRule::Rejoin)
    ]
}

proptest! {
    // HAProxy's windows are not always exact: see the recorded one below.
    #[test]
    fn round_robin_gives_each_server_its_share_of_every_window_within_one(
        weights in vec(weight(), 1..10),
        windows in 1..4_u32,
    ) {
        let mut window = Window::start(&numbered(&effective(&weights)));
        let mut last = vec![0; weights.len()];
        for _ in 0..windows {
            last = shares(&mut window, &weights);
            for (count, &weight) in last.iter().zip(&weights) {
                prop_assert!(count.abs_diff(weight) <= 1, "{:?} for {:?}", last, weights);
            }
        }
        prop_assert_eq!(last.iter().sum::<u32>(), weights.iter().sum::<u32>());
    }

    #[test]
    fn round_robin_gives_equal_servers_equal_shares(
        servers in 1..40_usize,
        weight in 1..=256_u32,
        rounds in 1..20_u32,
    ) {
        let weights = vec![weight; servers];
        let mut window = Window::start(&numbered(&effective(&weights)));
        for _ in 0..rounds {
            let picked = (0..servers).map(|_| window.next(None, |_| false).unwrap());
            prop_assert_eq!(counts(servers, picked), vec![1; servers]);
        }
    }

    #[test]
    fn round_robin_is_its_plain_twin(
        mut weights in dynamic_weights(),
        rule in rule(),
        steps in vec(step(), 0..400),
    ) {
        let mut window = Window::start(&numbered(&weights));
        let mut twin = RoundRobinTwin::start(&weights);
        let mut full = vec![false; weights.len()];
        for step in steps {
            match step {
                Step::Pick { avoid } => {
                    let picked = window.next(avoid, |index| full[index]);
                    prop_assert_eq!(picked, twin.next(avoid, &full));
                    prop_assert!(picked.is_none_or(|index| !full[index]));
                }
                Step::SetWeight { server, weight } if server < weights.len() => {
                    weights[server] = weight * 16;
                    window = window.adapted(&numbered(&weights), rule);
                    twin.set_weight(server, weight * 16, rule);
                }
                Step::SetSaturated { server, saturated } if server < full.len() => {
                    full[server] = saturated;
                }
                _ => {}
            }
        }
    }

    #[test]
    fn round_robin_avoids_a_server_while_there_is_another(
        weights in dynamic_weights(),
        avoid in 0..12_usize,
        full in vec(any::<bool>(), 12),
    ) {
        let mut window = Window::start(&numbered(&weights));
        for _ in 0..50 {
            let free = |index: &usize| weights[*index] > 0 && !full[*index];
            let others = (0..weights.len()).filter(free).any(|index| index != avoid);
            let picked = window.next(Some(avoid), |index| full[index]);
            if others {
                prop_assert!(picked.is_some_and(|index| index != avoid && !full[index]));
            } else {
                let left = (0..weights.len()).find(free);
                prop_assert_eq!(picked, left);
            }
        }
    }

    #[test]
    fn round_robin_follows_servers_that_change_places(
        weights in vec(1..=256_u32, 2..10),
        before in 0..200_usize,
        shift in 1..9_usize,
    ) {
        let mut servers = numbered(&weights);
        let mut window = Window::start(&servers);
        let mut twin = RoundRobinTwin::start(&weights);
        for _ in 0..before {
            prop_assert_eq!(window.next(None, |_| false), twin.next(None, &vec![false; weights.len()]));
        }
        let shift = shift % weights.len();
        servers.rotate_left(shift);
        let mut window = window.adapted(&servers, WeightChangeRule::default());
        for _ in 0..200 {
            let picked = window.next(None, |_| false).unwrap();
            let expected = twin.next(None, &vec![false; weights.len()]).unwrap();
            prop_assert_eq!((picked + shift) % weights.len(), expected);
        }
    }

    #[test]
    fn servers_that_come_and_go_are_servers_that_turn_usable_and_unusable(
        weights in vec(1..=256_u32, 8),
        present in 1..8_usize,
        changes in vec((0..40_usize, 0..8_usize, any::<bool>()), 1..20),
    ) {
        let weights = effective(&weights);
        let everyone = numbered(&weights);
        let mut here: Vec<usize> = (0..present).collect();
        let mut known = present;
        let mut window = Window::start(&everyone[..present]);
        let mut twin = RoundRobinTwin::start(&[&weights[..present], &vec![0; 8 - present]].concat());
        for (picks, place, comes) in changes {
            for _ in 0..picks {
                let picked = window.next(None, |_| false).map(|index| here[index]);
                prop_assert_eq!(picked, twin.next(None, &[false; 8]));
            }
            if comes && known < 8 {
                here.insert(place.min(here.len()), known);
                twin.set_weight(known, weights[known], WeightChangeRule::default());
                known += 1;
            } else if !comes && place < here.len() {
                twin.set_weight(here.remove(place), 0, WeightChangeRule::default());
            }
            let now: Vec<_> = here.iter().map(|&server| everyone[server]).collect();
            window = window.adapted(&now, WeightChangeRule::default());
        }
    }

    #[test]
    fn the_quick_map_is_the_plain_one(weights in vec(1..=256_u32, 1..12)) {
        let length = weights.iter().sum();
        prop_assert_eq!(&*fill(&weights, length), naive::map(&weights, length));
    }

    #[test]
    fn the_quick_map_is_the_plain_one_for_small_weights(weights in vec(1..=6_u32, 1..40)) {
        let length = weights.iter().sum();
        prop_assert_eq!(&*fill(&weights, length), naive::map(&weights, length));
    }

    #[test]
    fn the_quick_map_is_the_plain_one_when_one_backup_is_elected(
        weights in vec(1..=20_u32, 1..12),
    ) {
        prop_assert_eq!(&*fill(&weights, weights[0]), naive::map(&weights, weights[0]));
    }

    #[test]
    fn a_map_gives_each_server_its_share(weights in vec(weight(), 1..12)) {
        let farm: Vec<(u32, bool)> = weights.iter().map(|&weight| (weight, false)).collect();
        let farm = farm_of(&farm, WeightScale::Static, false);
        let map = SlotMap::new(&farm, u32::MAX).unwrap();
        let cursor = Cursor::default();
        let picks = farm.serving().total_weight;
        let picked = (0..picks).map(|_| map.walk(&cursor, None, |_| false).unwrap());
        let counts = counts(weights.len(), picked);
        let expected: Vec<u32> = farm.servers().iter().map(crate::FarmServer::effective_weight).collect();
        prop_assert_eq!(counts, expected);
    }

    #[test]
    fn the_walk_through_a_map_is_its_plain_twin(
        farms in vec(vec((0..=5_u32, any::<bool>()), 12), 1..4),
        picks in vec((proptest::option::of(0..12_usize), vec(any::<bool>(), 12)), 1..60),
    ) {
        let cursor = Cursor::default();
        let mut i = 0;
        for farm in farms {
            let farm = farm_of(&farm, WeightScale::Static, false);
            let map = SlotMap::new(&farm, u32::MAX).unwrap();
            let slots: Vec<u32> = (0..farm.serving().total_weight)
                .map(|slot| map.by_hash(slot).unwrap() as u32)
                .collect();
            if slots.is_empty() {
                prop_assert_eq!(map.walk(&cursor, None, |_| false), None);
                continue;
            }
            for (avoid, full) in &picks {
                let picked = map.walk(&cursor, *avoid, |index| full[index]);
                prop_assert_eq!(picked, naive::walk(&slots, &mut i, *avoid, full));
            }
        }
    }
}

// Counted on HAProxy 2.6.12.
#[test]
fn the_first_window_of_a_round_robin_may_be_one_off() {
    let weights = [72, 199, 204];
    let mut window = Window::start(&numbered(&effective(&weights)));
    assert_eq!(shares(&mut window, &weights), [71, 199, 205]);
    assert_eq!(shares(&mut window, &weights), weights);
    assert_eq!(shares(&mut window, &weights), weights);
}

// Recorded on HAProxy 2.6.12.
#[test]
fn a_map_for_one_backup_may_hold_another() {
    let farm = farm_of(
        &[(2, true), (3, true), (5, true)],
        WeightScale::Static,
        false,
    );
    let map = SlotMap::new(&farm, u32::MAX).unwrap();
    assert_eq!((map.by_hash(0), map.by_hash(1)), (Some(2), Some(2)));
}
