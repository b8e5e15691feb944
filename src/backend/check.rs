//! Reports of health checks, and whether and where they are made.

use std::net::IpAddr;
use std::time::Duration;

use super::Backend;
use super::assemble::DraftServer;
use super::update::{ServerKey, Update};
use crate::error::UpdateError;
use crate::health::{CheckStatus, OnErrors};
use crate::server::OperationalState;
use crate::time::Now;

impl<P: Send + Sync + 'static> Backend<P> {
    /// Counts what a check of a server has found; gives its state if that has changed.
    ///
    /// A server that comes up does so by way of its
    /// [slow start](crate::Server::slow_start), as one that is reported running.
    ///
    /// A result like those before changes nothing and costs no more than a look. During
    /// maintenance it does not count; that checks are [switched off](Update::set_checks) is
    /// no obstacle, for one may still be under way. See [`health`](crate::health) for how
    /// results count.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn report_check<'k>(
        &self,
        server: impl Into<ServerKey<'k>>,
        status: CheckStatus,
        now: Now,
    ) -> Result<Option<OperationalState>, UpdateError> {
        let key = server.into();
        let is_old_news = self.current.read(|snapshot| {
            let mut servers = snapshot.farm.servers().iter();
            let known = servers.find(|server| key.names(server));
            known.is_some_and(|server| {
                let mut history = server.history;
                let change = history.after_check(status, server.status);
                let after = change.map_or(server.status, |it| server.status.with_operational(it));
                after == server.status && history.is_same(server.history)
            })
        });
        if is_old_news {
            return Ok(None);
        }
        self.update(|change| change.at(now).report_check(key, status))
    }
}

impl<P: Send + Sync + 'static> Backend<P> {
    /// Counts that sessions of a server have met too many errors, as an
    /// [`ErrorObserver`](crate::health::ErrorObserver) tells; gives its state if it is another
    /// one now. Without effect on a server that is not checked now, or is down. HAProxy:
    /// `on-error`.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn report_errors<'k>(
        &self,
        server: impl Into<ServerKey<'k>>,
        reaction: OnErrors,
        now: Now,
    ) -> Result<Option<OperationalState>, UpdateError> {
        self.update(|change| change.at(now).report_errors(server, reaction))
    }
}

impl<P> DraftServer<P> {
    /// Takes the state that was found out, and tells it if that is a change.
    fn become_as_healthy(
        &mut self,
        state: OperationalState,
        at: Option<Duration>,
    ) -> Option<OperationalState> {
        let before = self.status;
        self.turn(before.with_operational(state), at);
        if self.status == before {
            return None;
        }
        self.history.after_change(at);
        Some(self.status.operational())
    }
}

impl<P: Send + Sync + 'static> Update<'_, P> {
    /// Counts what a check has found; see [`Backend::report_check`].
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`].
    pub fn report_check<'k>(
        &mut self,
        server: impl Into<ServerKey<'k>>,
        status: CheckStatus,
    ) -> Result<Option<OperationalState>, UpdateError> {
        let at = self.time();
        let server = self.find(server.into())?;
        let state = server.history.after_check(status, server.status);
        Ok(state.and_then(|state| server.become_as_healthy(state, at)))
    }

    /// Counts that sessions of a server have met too many errors; see
    /// [`Backend::report_errors`].
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`].
    pub fn report_errors<'k>(
        &mut self,
        server: impl Into<ServerKey<'k>>,
        reaction: OnErrors,
    ) -> Result<Option<OperationalState>, UpdateError> {
        let at = self.time();
        let server = self.find(server.into())?;
        let state = server.history.after_errors(reaction);
        Ok(state.and_then(|state| server.become_as_healthy(state, at)))
    }

    /// Switches the checks of a server on or off; without effect on one that is not
    /// [checked](crate::Server::checked). HAProxy: `enable health`, `disable health`.
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`].
    pub fn set_checks<'k>(
        &mut self,
        server: impl Into<ServerKey<'k>>,
        enabled: bool,
    ) -> Result<(), UpdateError> {
        self.find(server.into())?.history.enable_checks(enabled);
        Ok(())
    }

    /// Checks a server at this port, 0 for its own. HAProxy: `set server ... check-port`.
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`].
    pub fn set_check_port<'k>(
        &mut self,
        server: impl Into<ServerKey<'k>>,
        port: u16,
    ) -> Result<(), UpdateError> {
        self.find(server.into())?.history.target_mut().port = port;
        Ok(())
    }

    /// Checks a server at this address; the unspecified ones are its own. HAProxy:
    /// `set server ... check-addr`.
    ///
    /// # Errors
    /// [`UpdateError::UnknownServer`].
    pub fn set_check_ip<'k>(
        &mut self,
        server: impl Into<ServerKey<'k>>,
        ip: IpAddr,
    ) -> Result<(), UpdateError> {
        self.find(server.into())?.history.target_mut().ip = Some(ip);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::HealthPolicy;
    use crate::{AdminState, Backend, Server};
    use CheckStatus::{Answered, Leaving, WrongStatus};
    use OperationalState::{Running, Stopped, Stopping};

    fn backend() -> Backend {
        let policy = HealthPolicy::new().fast_interval(Duration::from_millis(500));
        let server = Server::new("s", "127.0.0.1:80").health(policy).checked();
        Backend::builder("b").server(server).build().unwrap()
    }

    fn at(seconds: u64) -> Now {
        Now::new(Duration::from_secs(seconds), Duration::ZERO)
    }

    fn report(backend: &Backend, status: CheckStatus) -> Option<OperationalState> {
        backend.report_check("s", status, at(7)).unwrap()
    }

    #[test]
    fn reports_take_a_server_down_and_bring_it_back() {
        let backend = backend();
        assert_eq!(report(&backend, WrongStatus), Some(Stopped));
        let farm = backend.farm();
        let server = &farm.servers()[0];
        assert_eq!(server.status().operational(), Stopped);
        assert_eq!(server.changed(), Some(Duration::from_secs(7)));
        assert_eq!(server.last_check(), WrongStatus);
        assert_eq!(report(&backend, Answered), None);
        assert_eq!(backend.farm().servers()[0].health().health(), 1);
        assert_eq!(report(&backend, Answered), Some(Running));
        assert_eq!(report(&backend, Leaving), Some(Stopping));
        assert_eq!(report(&backend, Answered), Some(Running));
    }

    #[test]
    fn errors_of_sessions_take_a_checked_server_down() {
        let backend = backend();
        let errors = |reaction| backend.report_errors("s", reaction, at(9)).unwrap();
        report(&backend, Answered);
        assert_eq!(errors(OnErrors::CheckSoon), None);
        assert_eq!(backend.farm().servers()[0].last_check(), Answered);
        assert_eq!(errors(OnErrors::SuddenDeath), None);
        assert_eq!(backend.farm().servers()[0].health().health(), 2);
        assert_eq!(
            backend.farm().servers()[0].last_check(),
            CheckStatus::Analyzed
        );
        assert_eq!(errors(OnErrors::MarkDown), Some(Stopped));
        assert_eq!(
            backend.farm().servers()[0].changed(),
            Some(Duration::from_secs(9))
        );
        assert_eq!(errors(OnErrors::MarkDown), None);
        let unchecked: Backend = Backend::builder("b")
            .server(Server::new("s", "127.0.0.1:80"))
            .build()
            .unwrap();
        assert_eq!(
            unchecked.report_errors("s", OnErrors::MarkDown, at(9)),
            Ok(None)
        );
    }

    #[test]
    fn old_news_publish_nothing() {
        let backend = backend();
        let version = || backend.current.read(|snapshot| snapshot.version);
        report(&backend, Answered);
        let first = version();
        report(&backend, Answered);
        assert_eq!(version(), first);
        report(&backend, WrongStatus);
        assert_eq!(version(), first + 1);
        report(&backend, WrongStatus);
        report(&backend, WrongStatus);
        report(&backend, WrongStatus);
        let down = version();
        report(&backend, WrongStatus);
        assert_eq!(version(), down);
    }

    #[test]
    fn nothing_is_checked_in_maintenance_and_by_order() {
        let backend = backend();
        let next = || backend.farm().servers()[0].next_check();
        let slow = Some(Duration::from_secs(2));
        report(&backend, Answered);
        assert_eq!(next(), slow);
        backend
            .set_admin_state("s", AdminState::Maintenance)
            .unwrap();
        assert_eq!(next(), None);
        assert_eq!(report(&backend, Answered), None);
        backend.set_admin_state("s", AdminState::Ready).unwrap();
        assert_eq!(backend.farm().servers()[0].health().health(), 2);
        assert_eq!(next(), Some(Duration::from_millis(500)));
        backend
            .update(|change| change.set_checks("s", false))
            .unwrap();
        assert_eq!(next(), None);
        assert_eq!(report(&backend, WrongStatus), Some(Stopped));
        backend
            .update(|change| change.set_checks("s", true))
            .unwrap();
        assert_eq!(next(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn checks_go_to_another_place_if_they_are_told_one() {
        let backend = backend();
        let place = || backend.farm().servers()[0].check_address().to_string();
        assert_eq!(place(), "127.0.0.1:80");
        let order = |ip: &str, port| {
            let ip = ip.parse().unwrap();
            backend
                .update(|change| {
                    change.set_check_ip("s", ip)?;
                    change.set_check_port("s", port)
                })
                .unwrap();
        };
        order("::1", 0);
        assert_eq!(place(), "[::1]:80");
        order("0.0.0.0", 8080);
        assert_eq!(place(), "127.0.0.1:8080");
    }
}
