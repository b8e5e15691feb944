//! HAProxy's `balance roundrobin`: in turn, each as often as its weight says.

use std::sync::Arc;

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
    active: Mutex<Window>,
    backups: Mutex<Window>,
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
            active: Mutex::new(Window::start(&weights(farm, false))),
            backups: Mutex::new(Window::start(&weights(farm, true))),
        }
    }

    fn adapt(&self, farm: &Farm, rule: WeightChangeRule) -> Option<Self> {
        let (active, backups) = (weights(farm, false), weights(farm, true));
        // Copies, so that requests wait for the copying only and not for the rest.
        let old_active = self.active.lock().clone();
        let old_backups = self.backups.lock().clone();
        if old_active.suits(&active) && old_backups.suits(&backups) {
            return None;
        }
        Some(Self {
            active: Mutex::new(old_active.adapted(&active, rule)),
            backups: Mutex::new(old_backups.adapted(&backups, rule)),
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
