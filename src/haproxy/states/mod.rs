//! The text of `show servers state`, read back.

mod error;
mod line;

use std::collections::HashMap;
use std::time::Duration;

pub use error::{ServerStatesError, ServerStatesProblem};
use line::{Checks, Saved};

use crate::backend::Past;
use crate::server::{Address, AdminState, FarmServer, OperationalState};
use crate::{Backend, Now, UpdateError};

/// States of servers as they were before a restart: the text of `show servers state`,
/// version 1. HAProxy: `load-server-state-from-file`.
///
/// Saving the text and reading the file is the caller's business.
///
/// # What comes back
///
/// Servers are found by the names of backend and server, never by id; of several lines
/// about one server the first counts.
///
/// | what | when |
/// |---|---|
/// | drain | always, unless the configuration has the server `disabled` |
/// | maintenance that was ordered at run time | always |
/// | what health said | always; a server that was warming up runs |
/// | that a `disabled` server was put into service | always: it runs, whatever its health was |
/// | what the last check had found | always; how many of them had passed or failed is not known any more |
/// | that the operator wanted no more checks | always |
/// | the weight | if the configured weight is still the same |
/// | the port | always, even if the configuration names another one; 0 is no port |
/// | when the state changed last | as far back as the monotonic clock of [`Now`] goes |
///
/// Stick tables are empty after a restart, and nothing else is read: a line about a server
/// there is not does nothing, addresses and what is about agents are passed over.
///
/// ```
/// use stickroute::haproxy::{ProxyId, Runtime, ServerStates};
/// use stickroute::{AdminState, Backend, Now, Server};
///
/// # let build = || Backend::<()>::builder("app")
/// #     .server(Server::new("app1", "10.0.0.1:80"))
/// #     .build();
/// let before = build()?;
/// before.set_admin_state("app1", AdminState::Drain)?;
/// let now = Now::system();
/// let runtime = Runtime::new(now).backend(ProxyId::Counted(1), &before);
/// let file = runtime.answer(b"show servers state", now).into_text();
///
/// let after = build()?;
/// assert_eq!(ServerStates::parse(&file)?.apply(&after, now)?, 1);
/// assert_eq!(after.farm().servers()[0].status().admin(), AdminState::Drain);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ServerStates {
    backends: HashMap<String, HashMap<String, Saved>>,
}

impl ServerStates {
    /// Reads a text. Empty lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    /// [`ServerStatesError`] for the first line that is wrong; nothing is read then.
    /// HAProxy goes on without a server of which a value is wrong.
    pub fn parse(text: &str) -> Result<Self, ServerStatesError> {
        let mut lines = text.lines().enumerate();
        let version = lines.next().map_or("", |(_, line)| line.trim());
        if version != "1" {
            let found = version.to_owned();
            return Err(ServerStatesProblem::Version { found }.at(0));
        }
        let mut states = Self::default();
        for (index, line) in lines {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (backend, server, saved) = line::parse(line).map_err(|what| what.at(index))?;
            let servers = states.backends.entry(backend.to_owned()).or_default();
            servers.entry(server.to_owned()).or_insert(saved);
        }
        Ok(states)
    }

    /// Puts the servers of a backend back into the states they had, all in one step, and
    /// says how many they are. Do it before the first request.
    ///
    /// # Errors
    /// [`UpdateError::Selector`] when the selector refuses the changed farm, and
    /// [`UpdateError::UnknownServer`] when a server is removed at this very moment. Nothing
    /// has changed then.
    pub fn apply<P: Send + Sync + 'static>(
        &self,
        backend: &Backend<P>,
        now: Now,
    ) -> Result<usize, UpdateError> {
        let Some(saved) = self.backends.get(backend.name()) else {
            return Ok(0);
        };
        let farm = backend.farm();
        let servers = farm.servers().iter();
        let known: Vec<_> = servers
            .filter_map(|server| Some((server, saved.get(server.name())?)))
            .collect();
        backend.update(|change| {
            for (server, saved) in &known {
                if let Some(address) = moved(server.address(), saved.port) {
                    change.set_address(server.id(), address)?;
                }
                change.restore(server.id(), past(server, saved, now))?;
            }
            Ok(known.len())
        })
    }
}

/// The address at the saved port, if that is another one.
fn moved(address: &Address, port: u16) -> Option<Address> {
    if port == 0 || address.port() == Some(port) {
        return None;
    }
    match address {
        Address::Ip(socket) => Some(Address::Ip((socket.ip(), port).into())),
        Address::Host(name, _) => Some(Address::Host(name.clone(), port)),
        Address::Unix(_) => None,
    }
}

/// The state of a server, from what was saved and what is configured now.
fn past(server: &FarmServer, saved: &Saved, now: Now) -> Past {
    let (admin, operational) = if server.is_configured_disabled() {
        of_disabled(saved)
    } else {
        of_enabled(saved)
    };
    let operational = match (admin, operational) {
        (AdminState::Maintenance, _) => OperationalState::Stopped,
        (_, OperationalState::Starting) if server.slow_start().is_zero() => {
            OperationalState::Running
        }
        (_, other) => other,
    };
    // What was warming up begins anew, unless it drains or had been disabled.
    let begins_anew = operational == OperationalState::Starting
        && admin == AdminState::Ready
        && !server.is_configured_disabled();
    let since = if begins_anew {
        Duration::ZERO
    } else {
        saved.since
    };
    let configured = server.configured_weight();
    Past {
        admin,
        reported: saved.operational,
        operational,
        weight: if saved.configured_weight == configured {
            saved.weight
        } else {
            configured
        },
        last_check: saved.last_check,
        checks_are_off: saved.checks == Checks::Unwanted,
        changed: now.mono().saturating_sub(since),
    }
}

/// What the configuration wants stays, unless the operator wanted something else of the
/// same configuration.
fn of_disabled(saved: &Saved) -> (AdminState, OperationalState) {
    let admin = match (saved.configured_maintenance, saved.maintenance) {
        (true, false) if saved.drain => AdminState::Drain,
        (true, false) => AdminState::Ready,
        _ => AdminState::Maintenance,
    };
    (admin, OperationalState::Starting)
}

/// Maintenance that an earlier configuration asked for is over.
fn of_enabled(saved: &Saved) -> (AdminState, OperationalState) {
    let admin = match (saved.drain, saved.maintenance) {
        (true, _) => AdminState::Drain,
        (false, true) if !saved.configured_maintenance => AdminState::Maintenance,
        _ => AdminState::Ready,
    };
    (admin, saved.operational)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Server;
    use crate::haproxy::{ProxyId, Runtime};

    const HEADER: &str = "1\n# be_id be_name srv_id srv_name ...\n";

    /// A line about `be/s1`: states, weights, seconds and port.
    fn line(operational: u8, admin: u8, weights: &str, since: i64, port: u16) -> String {
        format!(
            "3 be 1 s1 127.0.1.1 {operational} {admin} {weights} {since} 1 0 4 0 0 0 0 - {port} - \
             0 0 - - 0\n"
        )
    }

    fn states(lines: &str) -> ServerStates {
        ServerStates::parse(&format!("{HEADER}{lines}")).unwrap()
    }

    fn backend(server: Server) -> Backend {
        Backend::builder("be").server(server).build().unwrap()
    }

    fn s1() -> Server {
        Server::new("s1", "127.0.1.1:18080")
    }

    fn at(seconds: u64) -> Now {
        Now::new(Duration::from_secs(seconds), Duration::from_secs(0))
    }

    /// Operational and administrative state, weight, configured weight, seconds, health
    /// and port, as `show servers state` has them after the line was applied.
    fn shown(server: Server, line: &str) -> String {
        let backend = backend(server);
        assert_eq!(states(line).apply(&backend, at(1000)), Ok(1));
        let runtime = Runtime::new(at(1000)).backend(ProxyId::Counted(3), &backend);
        let answer = runtime.answer(b"show servers state", at(1000)).into_text();
        let row: Vec<_> = answer.lines().nth(2).unwrap().split(' ').collect();
        [5, 6, 7, 8, 9, 12, 18].map(|column| row[column]).join(" ")
    }

    // All of HAProxy 2.6.12, which was given the same lines.
    #[test]
    fn states_come_back_as_in_haproxy() {
        for (operational, admin, expected) in [
            (2, 0, "2 0 1 1 100 4"),
            (0, 0, "0 0 1 1 100 0"),
            (1, 0, "2 0 1 1 100 1"),
            (3, 0, "3 0 1 1 100 2"),
            (0, 1, "0 1 1 1 100 0"),
            (2, 1, "0 1 1 1 100 0"),
            (3, 1, "0 1 1 1 100 0"),
            (0, 4, "0 0 1 1 100 0"),
            (2, 4, "2 0 1 1 100 4"),
            (0, 5, "0 0 1 1 100 0"),
            (2, 8, "2 8 1 1 100 4"),
            (0, 8, "0 8 1 1 100 0"),
            (3, 8, "3 8 1 1 100 2"),
            (2, 12, "2 8 1 1 100 4"),
            (2, 17, "0 1 1 1 100 0"),
            (2, 32, "2 0 1 1 100 4"),
        ] {
            let line = line(operational, admin, "1 1", 100, 18080);
            let expected = format!("{expected} 18080");
            assert_eq!(shown(s1(), &line), expected, "{operational} {admin}");
        }
    }

    #[test]
    fn states_of_disabled_servers_come_back_as_in_haproxy() {
        for (operational, admin, expected) in [
            (2, 0, "0 5 1 1 100 4"),
            (0, 4, "2 4 1 1 100 0"),
            (2, 4, "2 4 1 1 100 4"),
            (3, 4, "2 4 1 1 100 2"),
            (1, 4, "2 4 1 1 100 1"),
            (0, 1, "0 5 1 1 100 0"),
            (0, 5, "0 5 1 1 100 0"),
            (2, 8, "0 5 1 1 100 4"),
            (0, 12, "2 12 1 1 100 0"),
        ] {
            let line = line(operational, admin, "1 1", 100, 18080);
            let server = s1().admin_state(AdminState::Maintenance);
            let expected = format!("{expected} 18080");
            assert_eq!(shown(server, &line), expected, "{operational} {admin}");
        }
    }

    // All of HAProxy 2.6.12, with `slowstart 20s` and the weight as `show stat` shows it.
    #[test]
    fn slow_starts_go_on_or_begin_anew_as_in_haproxy() {
        for (is_disabled, operational, admin, expected) in [
            (false, 1, 0, "1 0 0, 7"),
            (false, 1, 5, "1 0 0, 7"),
            (false, 1, 8, "1 8 5, 32"),
            (false, 2, 0, "2 0 5, 100"),
            (false, 0, 0, "0 0 5, 100"),
            (true, 0, 4, "1 4 5, 32"),
            (true, 1, 4, "1 4 5, 32"),
            (true, 2, 12, "1 12 5, 32"),
            (true, 1, 0, "0 5 5, 100"),
        ] {
            let mut server = s1().weight(100).slow_start(Duration::from_secs(20));
            if is_disabled {
                server = server.admin_state(AdminState::Maintenance);
            }
            let backend = backend(server);
            let line = line(operational, admin, "100 100", 5, 18080);
            assert_eq!(states(&line).apply(&backend, at(1000)), Ok(1));
            let runtime = Runtime::new(at(1000)).backend(ProxyId::Counted(3), &backend);
            let answer = runtime.answer(b"show servers state", at(1000)).into_text();
            let row: Vec<_> = answer.lines().nth(2).unwrap().split(' ').collect();
            let weight = backend.farm().servers()[0].effective_weight().div_ceil(16);
            let found = format!("{} {} {}, {weight}", row[5], row[6], row[9]);
            assert_eq!(found, expected, "{is_disabled} {operational} {admin}");
        }
    }

    // All of HAProxy 2.6.12: `check` and these columns, then what it shows of them.
    #[test]
    fn what_checks_had_found_comes_back_as_in_haproxy() {
        for (is_checked, is_disabled, operational, saved, expected) in [
            (true, false, 2, "6 3 3 6", "6 3 4 6"),
            (true, false, 0, "8 2 1 6", "8 2 0 6"),
            (true, false, 0, "8 2 4 14", "8 2 0 6"),
            (true, false, 3, "16 4 3 6", "16 4 2 6"),
            (true, false, 2, "1 0 -1 6", "1 0 4 6"),
            (true, false, 2, "6 3 4 2", "6 3 4 2"),
            (true, false, 2, "6 3 4 11", "6 3 4 2"),
            (true, false, 2, "6 3 4 0", "6 3 4 6"),
            (true, true, 2, "6 3 4 6", "6 3 4 14"),
            (true, true, 0, "8 2 0 2", "8 2 0 10"),
            (false, false, 0, "8 2 0 6", "8 2 0 0"),
            (false, false, 2, "6 3 4 2", "6 3 4 0"),
        ] {
            let mut server = s1();
            if is_checked {
                server = server.checked();
            }
            if is_disabled {
                server = server.admin_state(AdminState::Maintenance);
            }
            let backend = backend(server);
            let line = line(operational, 0, "1 1", 100, 18080);
            let line = line.replace("1 0 4 0", saved);
            assert_eq!(states(&line).apply(&backend, at(1000)), Ok(1));
            let runtime = Runtime::new(at(1000)).backend(ProxyId::Counted(3), &backend);
            let answer = runtime.answer(b"show servers state", at(1000)).into_text();
            let row: Vec<_> = answer.lines().nth(2).unwrap().split(' ').collect();
            assert_eq!(row[10..14].join(" "), expected, "{operational} {saved}");
        }
    }

    #[test]
    fn a_weight_comes_back_if_the_configured_one_is_the_same() {
        for (weights, configured, expected) in [
            ("0 1", 1, "0 1"),
            ("5 10", 10, "5 10"),
            ("256 1", 1, "256 1"),
            ("5 10", 20, "20 20"),
            ("0 10", 20, "20 20"),
        ] {
            let line = line(2, 0, weights, 100, 18080);
            let expected = format!("2 0 {expected} 100 4 18080");
            assert_eq!(shown(s1().weight(configured), &line), expected);
        }
    }

    #[test]
    fn a_port_comes_back_but_no_port_does_not() {
        for (saved, expected) in [(19_000, "19000"), (0, "18080")] {
            let line = line(2, 0, "1 1", 100, saved);
            assert_eq!(shown(s1(), &line), format!("2 0 1 1 100 4 {expected}"));
        }
    }

    #[test]
    fn the_clock_of_the_time_since_may_not_go_back_so_far() {
        for (since, expected) in [(0, "0"), (-5, "0"), (5_000, "1000")] {
            let line = line(2, 0, "1 1", since, 18080);
            assert_eq!(shown(s1(), &line), format!("2 0 1 1 {expected} 4 18080"));
        }
    }

    #[test]
    fn servers_are_found_by_name_and_the_first_line_counts() {
        let backend = backend(s1().id(7));
        let down = line(0, 0, "1 1", 1, 18080);
        let others = [down.replace("be", "bx"), down.replace("s1", "s2")].concat();
        assert_eq!(states(&others).apply(&backend, at(1)), Ok(0));
        let twice = [down, line(2, 8, "1 1", 1, 18080)].concat();
        assert_eq!(states(&twice).apply(&backend, at(1)), Ok(1));
        let status = backend.farm().servers()[0].status();
        assert_eq!(status.operational(), OperationalState::Stopped);
        assert_eq!(status.admin(), AdminState::Ready);
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        let good = line(2, 0, "1 1", 1, 18080);
        let bad = |from: &str, to: &str| {
            let text = format!("{HEADER}{good}\n{}", good.replacen(from, to, 1));
            ServerStates::parse(&text).unwrap_err().to_string()
        };
        let admin = "expected 0 to 127 without both maintenance, 1, and drain, 8";
        for (column, from, to, value, expected) in [
            (
                "srv_op_state",
                " 2 0 1 1",
                " 4 0 1 1",
                "4",
                "expected 0 to 3",
            ),
            ("srv_admin_state", " 2 0 1 1", " 2 9 1 1", "9", admin),
            ("srv_admin_state", " 2 0 1 1", " 2 x 1 1", "x", admin),
            (
                "srv_uweight",
                " 2 0 1 1",
                " 2 0 257 1",
                "257",
                "expected 0 to 256",
            ),
            (
                "srv_iweight",
                " 2 0 1 1",
                " 2 0 1 x",
                "x",
                "expected 0 to 256",
            ),
            ("srv_port", "18080", "70000", "70000", "expected 0 to 65535"),
            (
                "srv_check_status",
                "1 0 4 0",
                "21 0 4 0",
                "21",
                "expected 0 to 20",
            ),
            (
                "srv_check_result",
                "1 0 4 0",
                "1 5 4 0",
                "5",
                "expected 0 to 4",
            ),
            (
                "srv_check_health",
                "1 0 4 0",
                "1 0 x 0",
                "x",
                "expected a number of checks",
            ),
            (
                "srv_check_state",
                "1 0 4 0",
                "1 0 4 32",
                "32",
                "expected 0 to 31",
            ),
        ] {
            let expected = format!("line 5: {column} is {value:?}; {expected}");
            assert_eq!(bad(from, to), expected);
        }
        let expected = "line 5: srv_time_since_last_change is \"x\"; expected a number of seconds";
        assert_eq!(bad(" 1 1 0 4", " x 1 0 4"), expected);
        let expected = "line 5: 19 columns; expected 20 or more";
        assert_eq!(bad(" - 18080 - 0 0 - - 0", " - 18080"), expected);
    }

    #[test]
    fn only_version_one_is_known() {
        for text in ["", "2\n", "\n1\n", "1x\n", "# be_id\n"] {
            let error = ServerStates::parse(text).unwrap_err();
            assert_eq!(error.line(), 1, "{text:?}");
            let problem = error.problem();
            assert!(matches!(problem, ServerStatesProblem::Version { .. }));
        }
        assert!(ServerStates::parse("1").is_ok());
    }
}
