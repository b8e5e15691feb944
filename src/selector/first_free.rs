//! HAProxy's `balance first`: the first server that has a slot left.

use std::sync::Arc;

use super::{Choice, Selector};
use crate::error::SelectorError;
use crate::server::{Farm, Group};

/// Chooses the server with the lowest id that has a slot left.
///
/// It fills one server after the other, so that the last of them can be switched off when
/// there is little to do; without [limits](crate::Server::max_connections) the first takes
/// everything. Ids count, not the order of configuration, and weights do not, except that a
/// server of weight 0 takes no part. After a failure the next one is tried; at the next
/// failure the first again, since only the server of the last attempt is avoided.
/// HAProxy: `balance first`.
///
/// A pick takes no lock and looks at the servers up to the one it finds.
///
/// ```
/// use stickroute::{Backend, FirstFree, Now, Server, SimpleRequest};
///
/// let backend: Backend = Backend::builder("render")
///     .server(Server::new("big", "10.0.0.1:80").max_connections(1))
///     .server(Server::new("spare", "10.0.0.2:80").max_connections(8))
///     .balance(FirstFree::new())
///     .build()?;
///
/// let request = SimpleRequest::default();
/// let first = backend.select(&request, Now::system())?;
/// let second = backend.select(&request, Now::system())?;
/// assert_eq!([first.server().name(), second.server().name()], ["big", "spare"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct FirstFree {
    /// Positions of those who serve, by ascending id.
    by_id: Box<[usize]>,
}

impl FirstFree {
    /// The first free server as in HAProxy.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Selector for FirstFree {
    fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
        // Alone and the last resort: HAProxy looks at nothing else here.
        if let Group::ElectedBackup(index) = choice.farm().serving().group {
            return Some(index);
        }
        let mut free = self.by_id.iter().filter(|&&it| !choice.is_saturated(it));
        let first = free.next()?;
        if choice.avoid() != Some(*first) {
            return Some(*first);
        }
        Some(*free.next().unwrap_or(first))
    }

    fn adapt(&self, farm: &Farm) -> Result<Option<Arc<dyn Selector>>, SelectorError> {
        let mut by_id: Box<[_]> = farm.candidates().map(|(index, _)| index).collect();
        by_id.sort_unstable_by_key(|&index| farm.servers()[index].id());
        Ok(Some(Arc::new(Self { by_id })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{WeightScale, farm_of};
    use crate::{Backend, Now, Selection, Server, SimpleRequest};

    fn pick(selector: &dyn Selector, farm: &Farm, avoid: Option<usize>) -> Option<usize> {
        let request = SimpleRequest::default();
        let choice = Choice::new(farm, &request, Now::system());
        selector.pick(&choice.avoiding(avoid))
    }

    fn adapted(farm: &Farm) -> Arc<dyn Selector> {
        FirstFree::new().adapt(farm).unwrap().unwrap()
    }

    #[test]
    fn ids_decide_and_full_servers_are_passed_over() {
        let server = |name: &str, id| Server::new(name, "127.0.0.1:1").id(id).max_connections(2);
        let backend: Backend = Backend::builder("b")
            .servers([server("c", 30), server("a", 7), server("b", 9)])
            .balance(FirstFree::new())
            .build()
            .unwrap();
        let select = || backend.select(&SimpleRequest::default(), Now::system());
        let mut open: Vec<Selection> = (0..6).map(|_| select().unwrap()).collect();
        let names: Vec<_> = open.iter().map(|it| it.server().name()).collect();
        assert_eq!(names, ["a", "a", "b", "b", "c", "c"]);
        assert!(select().is_err());
        drop(open.remove(2));
        assert_eq!(select().unwrap().server().name(), "b");
    }

    #[test]
    fn after_a_failure_the_next_is_tried_and_then_the_first_again() {
        let farm = farm_of(
            &[(1, false), (0, false), (9, false)],
            WeightScale::Dynamic,
            false,
        );
        let selector = adapted(&farm);
        assert_eq!(pick(&*selector, &farm, Some(0)), Some(2));
        assert_eq!(pick(&*selector, &farm, Some(2)), Some(0));
        let alone = farm_of(&[(1, false)], WeightScale::Dynamic, false);
        assert_eq!(pick(&*adapted(&alone), &alone, Some(0)), Some(0));
    }

    #[test]
    fn an_elected_backup_is_taken_even_when_it_is_to_be_avoided() {
        let servers = [(0, false), (1, true), (1, true)];
        for (all, expected) in [(false, 1), (true, 2)] {
            let farm = farm_of(&servers, WeightScale::Dynamic, all);
            assert_eq!(pick(&*adapted(&farm), &farm, Some(1)), Some(expected));
        }
    }

    #[test]
    fn a_farm_it_was_not_adapted_to_panics_nowhere() {
        let (small, large) = (
            farm_of(&[(1, false)], WeightScale::Dynamic, false),
            farm_of(&[(1, false); 3], WeightScale::Dynamic, false),
        );
        assert_eq!(pick(&*adapted(&large), &small, Some(0)), Some(0));
        assert_eq!(pick(&FirstFree::new(), &small, None), None);
    }
}
