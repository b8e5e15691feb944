//! Sessions that end because a server goes down or comes up.

use super::{FarmServer, OperationalState, Status};

/// What a server's changes of state mean for sessions that are under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marked {
    /// HAProxy: `on-marked-down shutdown-sessions`.
    pub(crate) down_ends_own: bool,
    /// HAProxy: `on-marked-up shutdown-backup-sessions`.
    pub(crate) up_ends_backups: bool,
}

/// Whose sessions are to be ended because a server has changed its state; see
/// [`FarmServer::sessions_to_end`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionsToEnd {
    /// Those of the server itself, which is down. HAProxy logs them with a `D`.
    Own,
    /// Those of all backup servers of its backend, since it is up. HAProxy logs them with a
    /// `U`.
    OfBackups,
}

impl FarmServer {
    /// Whose sessions are to be ended after a change of the server's state from `before`, by a
    /// check, an error or an operator; `None` as long as it does not ask for that.
    ///
    /// Its own are when it goes down, in maintenance or by its health, if it was
    /// [built so](crate::Server::end_sessions_when_down). Those of the backup servers are when it
    /// begins to start or run, and once more at the end of a
    /// [slow start](crate::Server::slow_start), if it was
    /// [built so](crate::Server::end_backup_sessions_when_up), is no backup itself and has a
    /// weight. To drain a server, or to stop it gently, ends nothing. HAProxy: `on-marked-down`,
    /// `on-marked-up`.
    ///
    /// To end sessions is up to the caller. Requests that wait for a server that goes down need
    /// nothing: they are [sent back](crate::Turn::SentBack).
    ///
    /// ```
    /// use stickroute::{AdminState, Backend, Server, SessionsToEnd};
    ///
    /// # let backend: Backend = Backend::builder("app")
    /// #     .server(Server::new("app1", "10.0.0.1:80").end_sessions_when_down())
    /// #     .build()?;
    /// let before = backend.farm().servers()[0].status();
    /// backend.set_admin_state("app1", AdminState::Maintenance)?;
    /// let ended = backend.farm().servers()[0].sessions_to_end(before);
    /// assert_eq!(ended, Some(SessionsToEnd::Own));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sessions_to_end(&self, before: Status) -> Option<SessionsToEnd> {
        use OperationalState::{Running, Starting, Stopped, Stopping};
        if self.status.operational == before.operational {
            return None;
        }
        let marked = self.spec.marked;
        match self.status.operational {
            Stopped => marked.down_ends_own.then_some(SessionsToEnd::Own),
            Starting | Running => {
                let counts = !self.is_backup() && self.effective_weight() > 0;
                (marked.up_ends_backups && counts).then_some(SessionsToEnd::OfBackups)
            }
            Stopping => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AdminState, Backend, Server};
    use AdminState::{Drain, Maintenance, Ready};
    use OperationalState::{Running, Starting, Stopped, Stopping};

    fn backend(server: Server) -> Backend {
        let server = server
            .end_sessions_when_down()
            .end_backup_sessions_when_up();
        let spare = Server::new("spare", "127.0.0.1:2").backup();
        Backend::builder("b")
            .server(server)
            .server(spare)
            .build()
            .unwrap()
    }

    fn server() -> Server {
        Server::new("s", "127.0.0.1:1")
    }

    /// What ends when the server goes from one pair of states to another.
    fn ended(
        backend: &Backend,
        from: (AdminState, OperationalState),
        to: (AdminState, OperationalState),
    ) -> Option<SessionsToEnd> {
        let set = |(admin, health)| {
            backend.set_admin_state("s", admin).unwrap();
            backend.set_operational_state("s", health).unwrap();
        };
        set(from);
        let before = backend.farm().servers()[0].status();
        set(to);
        backend.farm().servers()[0].sessions_to_end(before)
    }

    // Observed on HAProxy 2.6.12, all of them.
    #[test]
    fn every_way_down_ends_its_own_sessions() {
        let backend = backend(server());
        for from in [(Ready, Running), (Ready, Stopping), (Drain, Running)] {
            for to in [(Maintenance, Stopped), (Ready, Stopped), (Drain, Stopped)] {
                let own = Some(SessionsToEnd::Own);
                assert_eq!(ended(&backend, from, to), own, "{from:?} to {to:?}");
            }
        }
        for down in [(Ready, Stopped), (Drain, Stopped), (Maintenance, Stopped)] {
            assert_eq!(ended(&backend, down, (Maintenance, Stopped)), None);
        }
    }

    #[test]
    fn to_drain_or_to_stop_gently_ends_nothing() {
        let backend = backend(server());
        for to in [(Drain, Running), (Ready, Stopping), (Drain, Stopping)] {
            assert_eq!(ended(&backend, (Ready, Running), to), None, "{to:?}");
        }
    }

    #[test]
    fn every_way_up_ends_the_sessions_of_backups() {
        let backend = backend(server());
        let of_backups = Some(SessionsToEnd::OfBackups);
        for (from, to) in [
            ((Ready, Stopped), (Ready, Running)),
            ((Ready, Stopping), (Ready, Running)),
            ((Maintenance, Stopped), (Ready, Running)),
            ((Maintenance, Stopped), (Drain, Running)),
            ((Ready, Stopped), (Ready, Starting)),
            ((Ready, Starting), (Ready, Running)),
        ] {
            let ended = ended(&backend, from, to);
            assert_eq!(ended, of_backups, "{from:?} to {to:?}");
        }
        assert_eq!(ended(&backend, (Drain, Running), (Ready, Running)), None);
    }

    #[test]
    fn backups_and_servers_without_weight_end_nothing_when_they_come_up() {
        for server in [server().backup(), server().weight(0)] {
            let ended = ended(&backend(server), (Ready, Stopped), (Ready, Running));
            assert_eq!(ended, None);
        }
    }

    #[test]
    fn nothing_ends_unless_the_server_asks_for_it() {
        let backend = Backend::builder("b").server(server()).build().unwrap();
        let (up, down) = ((Ready, Running), (Ready, Stopped));
        assert_eq!(ended(&backend, up, down), None);
        assert_eq!(ended(&backend, down, up), None);
    }
}
