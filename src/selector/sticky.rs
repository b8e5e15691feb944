//! HAProxy's `balance sticky`: one server for all, until it is lost.

use std::sync::Arc;

use super::{Choice, Selector};
use crate::error::SelectorError;
use crate::server::{Farm, ServerId};

/// Chooses the same server for every request, for as long as that server is usable.
///
/// It begins with the first usable server in order of configuration. When that one is lost
/// the first usable one takes over, or else the first usable backup, and *keeps* the
/// requests when the lost one comes back; only from a backup they go on to any
/// server that is none. So a farm of two has one that works and one that stands by,
/// and changes sides as seldom as it can.
///
/// Weights do not matter, except that a server of weight 0 takes no part. Neither a
/// server without a free slot nor a failed connection is a reason to leave it: requests
/// wait for it, or are refused, and move when it is reported down. HAProxy 3.x:
/// `balance sticky`.
///
/// A pick takes no lock and looks at nothing.
///
/// ```
/// use stickroute::{Backend, Now, OperationalState, Server, SimpleRequest, Sticky};
///
/// let backend: Backend = Backend::builder("log")
///     .server(Server::new("one", "10.0.0.1:514"))
///     .server(Server::new("two", "10.0.0.2:514"))
///     .balance(Sticky::new())
///     .build()?;
///
/// let chosen = || {
///     let selection = backend.select(&SimpleRequest::default(), Now::system());
///     selection.map(|it| it.server().name().to_owned())
/// };
/// assert_eq!(chosen()?, "one");
/// backend.set_operational_state("one", OperationalState::Stopped)?;
/// assert_eq!(chosen()?, "two");
/// backend.set_operational_state("one", OperationalState::Running)?;
/// assert_eq!(chosen()?, "two");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Sticky {
    /// Who it is, and its position in the farm.
    current: Option<(ServerId, usize)>,
}

impl Sticky {
    /// Nobody yet: the first farm decides.
    pub fn new() -> Self {
        Self::default()
    }

    /// Position of the server that is kept in this farm, or that takes over.
    fn position(&self, farm: &Farm) -> Option<usize> {
        let first = |backups| farm.usable(backups).map(|(index, _)| index).next();
        let mut kept = farm.servers().iter();
        let kept = self
            .current
            .and_then(|(id, _)| kept.position(|server| server.id() == id && server.is_usable()));
        let is_active = |index: &usize| !farm.servers()[*index].is_backup();
        kept.filter(is_active)
            .or_else(|| first(false))
            .or(kept)
            .or_else(|| first(true))
    }
}

impl Selector for Sticky {
    fn pick(&self, _: &Choice<'_>) -> Option<usize> {
        self.current.map(|(_, position)| position)
    }

    fn adapt(&self, farm: &Farm) -> Result<Option<Arc<dyn Selector>>, SelectorError> {
        let position = self.position(farm);
        let current = position.map(|index| (farm.servers()[index].id(), index));
        Ok(Some(Arc::new(Self { current })))
    }

    fn lines_up(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AdminState, Backend, Failure, Now, OperationalState, Redispatch, Refusal, Retry,
        RetryPolicy, Server, SimpleRequest, Weight,
    };

    /// `a` and `b`, and the backups `c` and `d`.
    fn backend() -> Backend {
        let server = |name: &str| Server::new(name, "127.0.0.1:1");
        Backend::builder("b")
            .servers([server("a").weight(1), server("b").weight(200)])
            .servers([server("c").backup(), server("d").backup()])
            .balance(Sticky::new())
            .build()
            .unwrap()
    }

    fn chosen(backend: &Backend) -> String {
        let selection = backend.select(&SimpleRequest::default(), Now::system());
        selection.map_or_else(
            |error| error.to_string(),
            |it| it.server().name().to_owned(),
        )
    }

    fn down(backend: &Backend, server: &str) {
        let state = OperationalState::Stopped;
        backend.set_operational_state(server, state).unwrap();
    }

    fn up(backend: &Backend, server: &str) {
        let state = OperationalState::Running;
        backend.set_operational_state(server, state).unwrap();
    }

    #[test]
    fn who_comes_back_does_not_take_over() {
        let backend = backend();
        assert_eq!([(); 3].map(|()| chosen(&backend)), ["a"; 3]);
        down(&backend, "b");
        up(&backend, "b");
        assert_eq!(chosen(&backend), "a");
        down(&backend, "a");
        assert_eq!(chosen(&backend), "b");
        up(&backend, "a");
        assert_eq!(chosen(&backend), "b");
        backend.set_admin_state("b", AdminState::Drain).unwrap();
        assert_eq!(chosen(&backend), "a");
    }

    #[test]
    fn a_backup_is_kept_beside_backups_and_left_for_others() {
        let backend = backend();
        for server in ["a", "b", "c"] {
            down(&backend, server);
        }
        assert_eq!(chosen(&backend), "d");
        up(&backend, "c");
        assert_eq!(chosen(&backend), "d");
        up(&backend, "b");
        assert_eq!(chosen(&backend), "b");
    }

    #[test]
    fn whoever_comes_first_takes_over_from_nobody() {
        let backend = backend();
        for server in ["a", "b", "c", "d"] {
            down(&backend, server);
        }
        assert_eq!(chosen(&backend), "no server is available");
        up(&backend, "d");
        assert_eq!(chosen(&backend), "d");
    }

    #[test]
    fn the_server_is_known_by_its_id() {
        let backend = backend();
        backend.set_weight("a", Weight::ZERO).unwrap();
        assert_eq!(chosen(&backend), "b");
        backend.update(|change| change.remove("a")).unwrap();
        assert_eq!(chosen(&backend), "b");
        backend.update(|change| change.remove("b")).unwrap();
        assert_eq!(chosen(&backend), "c");
    }

    #[test]
    fn neither_a_full_server_nor_a_failure_moves_it() {
        let server = |name: &str| Server::new(name, "127.0.0.1:1").max_connections(1);
        let backend: Backend = Backend::builder("b")
            .servers([server("a"), server("b")])
            .balance(Sticky::new())
            .retry(RetryPolicy::new(3).redispatch(Redispatch::Interval(1)))
            .build()
            .unwrap();
        let (request, now) = (SimpleRequest::default(), Now::system());
        let selection = backend.select(&request, now).unwrap();
        let error = backend.select(&request, now).unwrap_err();
        assert_eq!(error.refusal(), &Refusal::Saturated);
        let retry = backend.redispatch(selection, &request, Failure::Refused, now);
        let Retry::Other { selection, .. } = retry else {
            panic!("it is balanced again: {retry:?}");
        };
        assert_eq!(selection.server().name(), "a");
    }

    #[test]
    fn without_a_farm_there_is_nobody() {
        let farm = backend().farm();
        let request = SimpleRequest::default();
        let choice = Choice::new(&farm, &request, Now::system());
        assert_eq!(Sticky::new().pick(&choice), None);
    }
}
