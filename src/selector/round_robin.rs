//! HAProxy's `balance roundrobin`: in turn, each as often as its weight says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::window::{WeightChangeRule, Window};
use super::{Choice, Selector};
use crate::error::SelectorError;
use crate::server::{Farm, FarmServer, Group, ServerId};

/// Serves the servers in turn, each as often as its weight says.
///
/// Weights may change at run time, and a server that comes back joins smoothly
/// instead of being flooded. A server that is passed over because it is saturated
/// or because it has just failed has had its turn. The order is HAProxy's, server
/// by server. HAProxy: `balance roundrobin`, its default up to 2.x.
///
/// Turns that are taken while a change is being made count: a server is not served twice
/// because of it, but for requests that have looked at the farm before the change and pick
/// after the first that has not, an instant of nanoseconds. (In HAProxy requests wait for
/// changes.)
///
/// One small lock is held for the length of a pick, about 20 ns with ten servers. With a
/// great many threads on one backend a hash or a random choice scales better.
#[derive(Debug, Default)]
pub struct RoundRobin {
    rule: WeightChangeRule,
    /// `None` until the first farm is seen.
    orders: Option<Orders>,
}

/// Backups wait in an order of their own, whoever serves meanwhile.
#[derive(Debug)]
struct Orders {
    active: Mutex<Order>,
    backups: Mutex<Order>,
}

/// The order of one kind of server, from one change of the farm to the next.
#[derive(Debug)]
struct Order {
    window: Window,
    /// How many turns were taken in it.
    turns: Arc<AtomicU64>,
    before: Option<Before>,
}

/// The order that this one is a changed copy of: turns are taken in it until the change is
/// published, and they are not to be taken once more.
#[derive(Clone, Debug)]
struct Before {
    turns: Arc<AtomicU64>,
    /// How many they were when it was copied.
    copied: u64,
}

/// More turns than anybody takes in that time are not made up for, lest the next request
/// wait for it.
const MOST_TURNS: u64 = 10_000;

impl Order {
    fn new(window: Window, before: Option<Before>) -> Self {
        Self {
            window,
            turns: Arc::default(),
            before,
        }
    }

    fn next(&mut self, avoid: Option<usize>, saturated: impl Fn(usize) -> bool) -> Option<usize> {
        if self.before.is_some() {
            self.catch_up();
        }
        // Nobody else writes it: this order is locked.
        self.turns.store(self.turns.load(Relaxed) + 1, Relaxed);
        self.window.next(avoid, saturated)
    }

    /// Once the first request is here the change is published, and nobody begins anything in
    /// the order before.
    #[cold]
    fn catch_up(&mut self) {
        let Some(before) = self.before.take() else {
            return;
        };
        let missed = before.turns.load(Relaxed).wrapping_sub(before.copied);
        for _ in 0..missed.min(MOST_TURNS) {
            self.window.next(None, |_| false);
        }
    }

    /// A copy, and what is to be known of the rest. It may not have been used at all.
    fn copy(&self) -> (Window, Before) {
        let before = match &self.before {
            Some(before) => before.clone(),
            None => Before {
                turns: Arc::clone(&self.turns),
                copied: self.turns.load(Relaxed),
            },
        };
        (self.window.clone(), before)
    }
}

impl RoundRobin {
    /// Round robin as in HAProxy 2.6.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets where a server goes on after a change of its weight; default
    /// [`WeightChangeRule::KeepPlace`].
    #[must_use]
    pub fn weight_change(mut self, rule: WeightChangeRule) -> Self {
        self.rule = rule;
        self
    }
}

impl Orders {
    fn start(farm: &Farm) -> Self {
        Self {
            active: Mutex::new(Order::new(Window::start(&weights(farm, false)), None)),
            backups: Mutex::new(Order::new(Window::start(&weights(farm, true)), None)),
        }
    }

    fn adapt(&self, farm: &Farm, rule: WeightChangeRule) -> Option<Self> {
        let (active, backups) = (weights(farm, false), weights(farm, true));
        // Copies, so that requests wait for the copying only and not for the rest.
        let (old_active, before_active) = self.active.lock().copy();
        let (old_backups, before_backups) = self.backups.lock().copy();
        if old_active.suits(&active) && old_backups.suits(&backups) {
            return None;
        }
        let order = |window: Window, before| Mutex::new(Order::new(window, Some(before)));
        Some(Self {
            active: order(old_active.adapted(&active, rule), before_active),
            backups: order(old_backups.adapted(&backups, rule), before_backups),
        })
    }
}

impl Selector for RoundRobin {
    fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
        let orders = self.orders.as_ref()?;
        let order = match choice.farm().serving().group {
            Group::Nobody => return None,
            Group::Active => &orders.active,
            // Alone and the last resort: HAProxy looks at nothing else here.
            Group::ElectedBackup(index) => return Some(index),
            Group::Backups => &orders.backups,
        };
        order
            .lock()
            .next(choice.avoid(), |index| choice.is_saturated(index))
    }

    fn adapt(&self, farm: &Farm) -> Result<Option<Arc<dyn Selector>>, SelectorError> {
        let orders = match &self.orders {
            None => Some(Orders::start(farm)),
            Some(orders) => orders.adapt(farm, self.rule),
        };
        Ok(orders.map(|orders| -> Arc<dyn Selector> {
            Arc::new(Self {
                rule: self.rule,
                orders: Some(orders),
            })
        }))
    }
}

/// The effective weights of one kind of server; 0 for the other kind and for those
/// that are not usable.
fn weights(farm: &Farm, backups: bool) -> Vec<(ServerId, u32)> {
    let weight = |server: &FarmServer| {
        if server.is_usable() && server.is_backup() == backups {
            server.effective_weight()
        } else {
            0
        }
    };
    farm.servers()
        .iter()
        .map(|server| (server.id(), weight(server)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{WeightScale, farm_of};
    use crate::{Now, SimpleRequest};

    fn pick(selector: &dyn Selector, farm: &Farm, avoid: Option<usize>) -> Option<usize> {
        let request = SimpleRequest::default();
        let choice = Choice::new(farm, &request, Now::system());
        selector.pick(&choice.avoiding(avoid))
    }

    fn dynamic(servers: &[(u32, bool)]) -> Farm {
        farm_of(servers, WeightScale::Dynamic, false)
    }

    #[test]
    fn the_heaviest_come_first_and_equals_in_order() {
        let farm = dynamic(&[(1, false), (3, false), (1, false), (3, false)]);
        let selector = RoundRobin::new().adapt(&farm).unwrap().unwrap();
        let picks = [(); 8].map(|()| pick(&*selector, &farm, None).unwrap());
        assert_eq!(picks, [1, 3, 1, 3, 0, 1, 3, 2]);
    }

    #[test]
    fn an_elected_backup_is_taken_even_when_it_is_to_be_avoided() {
        let farm = dynamic(&[(0, false), (1, true), (1, true)]);
        let selector = RoundRobin::new().adapt(&farm).unwrap().unwrap();
        for _ in 0..3 {
            assert_eq!(pick(&*selector, &farm, Some(1)), Some(1));
        }
    }

    #[test]
    fn a_farm_without_changes_keeps_the_selector() {
        let farm = dynamic(&[(1, false), (2, true)]);
        let selector = RoundRobin::new().adapt(&farm).unwrap().unwrap();
        assert!(selector.adapt(&farm).unwrap().is_none());
    }

    #[test]
    fn turns_taken_while_a_change_is_made_are_not_taken_once_more() {
        let weights = |weight| dynamic(&[(weight, false), (1, false), (1, false)]);
        let old = RoundRobin::new().adapt(&weights(1)).unwrap().unwrap();
        assert_eq!(pick(&*old, &weights(1), None), Some(0));
        // Two changes, the first of which nobody has seen before there was the second.
        let unseen = old.adapt(&dynamic(&[(1, false), (1, false), (2, false)]));
        let unseen = unseen.unwrap().unwrap();
        assert_eq!(pick(&*old, &weights(1), None), Some(1));
        let new = unseen.adapt(&dynamic(&[(1, false); 3])).unwrap().unwrap();
        assert_eq!(pick(&*old, &weights(1), None), Some(2));
        let picks = [(); 4].map(|()| pick(&*new, &weights(1), None).unwrap());
        assert_eq!(picks, [0, 1, 2, 0]);
        // Nobody waits for turns without end, and nothing is made up for twice.
        for _ in 0..3 * MOST_TURNS {
            pick(&*old, &weights(1), None);
        }
        assert_eq!(pick(&*new, &weights(1), None), Some(1));
    }

    /// It would take minutes if each server that changes were looked for in the queues.
    #[test]
    fn thousands_of_servers_change_at_once_in_linear_time() {
        let farm = |weight| dynamic(&vec![(weight, false); 30_000]);
        let mut selector = RoundRobin::new().adapt(&farm(1)).unwrap().unwrap();
        for weight in [2, 0, 3] {
            let farm = farm(weight);
            selector = selector.adapt(&farm).unwrap().unwrap();
            assert_eq!(pick(&*selector, &farm, None).is_some(), weight > 0);
        }
    }

    #[test]
    fn nobody_is_picked_before_the_first_farm_is_seen() {
        let farm = dynamic(&[(1, false)]);
        assert_eq!(pick(&RoundRobin::new(), &farm, None), None);
    }

    #[test]
    fn a_farm_it_was_not_adapted_to_panics_nowhere() {
        let (small, large) = (dynamic(&[(1, false)]), dynamic(&[(1, false); 3]));
        let selector = RoundRobin::new().adapt(&large).unwrap().unwrap();
        for _ in 0..3 {
            assert_eq!(pick(&*selector, &small, None), Some(0));
        }
    }
}
