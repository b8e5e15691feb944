//! What an operator asks about a server beside its state: since when, and what was
//! reported last.

use std::time::Duration;

use super::{AdminState, OperationalState, Status};

/// The past of one server, as far as `show servers state` tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History {
    /// What the configuration wants of the server.
    first: AdminState,
    changed: Option<Duration>,
    #[cfg_attr(
        not(feature = "haproxy"),
        allow(dead_code, reason = "only shown there")
    )]
    health: u8,
}

impl History {
    /// The counter of checks that passed, of a server that nobody reports about.
    const UNREPORTED: u8 = 2;
    /// The same after a report that it is up: as if all checks that are counted had passed.
    const UP: u8 = 4;
    /// The same after a report that it is down, or in maintenance.
    const DOWN: u8 = 0;
    /// The same of a server that was warming up before a restart.
    #[cfg(feature = "haproxy")]
    const WARMING_UP: u8 = 1;

    /// Of a server that starts in this state.
    pub(crate) fn starting_in(status: Status) -> Self {
        let is_up = status.operational != OperationalState::Stopped;
        Self {
            first: status.admin,
            changed: None,
            health: if is_up { Self::UNREPORTED } else { Self::DOWN },
        }
    }

    /// Whether the configuration has it in maintenance.
    pub(crate) fn starts_disabled(self) -> bool {
        self.first == AdminState::Maintenance
    }

    /// When the state changed last, if that is known.
    pub(crate) fn changed(self) -> Option<Duration> {
        self.changed
    }

    /// HAProxy's `srv_check_health`.
    #[cfg(feature = "haproxy")]
    pub(crate) fn health(self) -> u8 {
        self.health
    }

    /// Notes an order of the operator. A server that is down does not change once more
    /// by entering maintenance.
    pub(crate) fn after_order(&mut self, before: Status, after: Status, at: Option<Duration>) {
        let enters = before.admin != after.admin && after.admin == AdminState::Maintenance;
        let was_stopped = before.operational == OperationalState::Stopped;
        if enters {
            self.health = Self::DOWN;
        }
        if before != after && !(enters && was_stopped) {
            self.changed = at;
        }
    }

    /// Notes a report about health, even one that counts for nothing.
    pub(crate) fn after_report(
        &mut self,
        report: OperationalState,
        before: Status,
        after: Status,
        at: Option<Duration>,
    ) {
        self.health = match report {
            OperationalState::Stopped => Self::DOWN,
            _ => Self::UP,
        };
        if before != after {
            self.changed = at;
        }
    }

    /// Notes what is known from before a restart.
    #[cfg(feature = "haproxy")]
    pub(crate) fn after_restart(
        &mut self,
        reported: OperationalState,
        now: Status,
        changed: Duration,
    ) {
        self.changed = Some(changed);
        self.health = match reported {
            OperationalState::Stopped => Self::DOWN,
            OperationalState::Starting => Self::WARMING_UP,
            OperationalState::Running => Self::UP,
            OperationalState::Stopping => Self::UNREPORTED,
        };
        if now.admin == AdminState::Maintenance && !self.starts_disabled() {
            self.health = Self::DOWN;
        }
    }
}
