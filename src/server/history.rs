//! What is known of a server beside its state: since when, what its checks have found, and
//! whether and where it is checked.

use std::net::IpAddr;
use std::time::Duration;

use super::{Address, AdminState, OperationalState, Status};
#[cfg(feature = "haproxy")]
use crate::backend::Past;
use crate::health::{CheckResult, CheckStatus, HealthCounter, HealthPolicy, OnErrors};

/// The past of one server, as far as `show servers state` tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History {
    /// What the configuration wants of the server.
    first: AdminState,
    changed: Option<Duration>,
    health: HealthCounter,
    last: CheckStatus,
    checks: Checks,
    target: CheckTarget,
    /// The configured one.
    #[cfg_attr(
        not(feature = "haproxy"),
        allow(dead_code, reason = "only shown there")
    )]
    first_target: CheckTarget,
}

/// Whether there are checks.
#[derive(Clone, Copy, Debug)]
struct Checks {
    /// They are configured. HAProxy: `check`.
    configured: bool,
    /// The operator wants them. HAProxy: `enable health`.
    enabled: bool,
    /// Maintenance keeps them from being made.
    paused: bool,
}

/// Where a server is checked instead of its own address. HAProxy: `addr`, `port`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CheckTarget {
    pub(crate) ip: Option<IpAddr>,
    /// 0 is its own.
    pub(crate) port: u16,
}

impl CheckTarget {
    /// The address that stands for one of a server.
    pub(crate) fn of(self, own: &Address) -> Address {
        let port = match self.port {
            0 => own.port().unwrap_or(0),
            port => port,
        };
        match (self.ip.filter(|ip| !ip.is_unspecified()), own) {
            (Some(ip), _) => Address::Ip((ip, port).into()),
            (None, Address::Ip(own)) => Address::Ip((own.ip(), port).into()),
            (None, Address::Host(name, _)) => Address::Host(name.clone(), port),
            (None, Address::Unix(_)) => own.clone(),
        }
    }
}

impl History {
    /// Of a server that starts in this state.
    pub(crate) fn starting_in(
        status: Status,
        policy: HealthPolicy,
        is_checked: bool,
        target: CheckTarget,
    ) -> Self {
        let mut health = HealthCounter::new(policy);
        health.start(status.operational != OperationalState::Stopped);
        Self {
            first: status.admin,
            changed: None,
            health,
            last: CheckStatus::Initial,
            checks: Checks {
                configured: is_checked,
                enabled: is_checked,
                paused: status.admin == AdminState::Maintenance,
            },
            target,
            first_target: target,
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

    pub(crate) fn health(self) -> HealthCounter {
        self.health
    }

    pub(crate) fn last(self) -> CheckStatus {
        self.last
    }

    pub(crate) fn is_checked(self) -> bool {
        self.checks.configured
    }

    /// Whether checks are to be made now.
    pub(crate) fn checks_now(self) -> bool {
        self.checks.enabled && !self.checks.paused
    }

    /// HAProxy's `srv_check_state`, but for whether a check is on its way.
    #[cfg(feature = "haproxy")]
    pub(crate) fn check_state(self) -> u8 {
        let Checks {
            configured,
            enabled,
            paused,
        } = self.checks;
        2 * u8::from(configured) + 4 * u8::from(enabled) + 8 * u8::from(paused)
    }

    pub(crate) fn target(self) -> CheckTarget {
        self.target
    }

    /// Where the configuration has it checked.
    #[cfg(feature = "haproxy")]
    pub(crate) fn first_target(self) -> CheckTarget {
        self.first_target
    }

    pub(crate) fn target_mut(&mut self) -> &mut CheckTarget {
        &mut self.target
    }

    /// Notes that the operator wants checks, or does not.
    pub(crate) fn enable_checks(&mut self, enabled: bool) {
        self.checks.enabled = enabled && self.checks.configured;
    }

    /// Notes an order of the operator. A server that is down does not change once more
    /// by entering maintenance.
    pub(crate) fn after_order(&mut self, before: Status, after: Status, at: Option<Duration>) {
        let is_maintained = |status: Status| status.admin == AdminState::Maintenance;
        let enters = !is_maintained(before) && is_maintained(after);
        let leaves = is_maintained(before) && !is_maintained(after);
        let was_stopped = before.operational == OperationalState::Stopped;
        if enters {
            self.health.start(false);
            self.checks.paused |= self.checks.enabled;
        }
        if leaves && self.checks.configured {
            self.health.start(true);
            self.checks.paused = false;
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
        self.health.set(report);
        if before != after {
            self.changed = at;
        }
    }

    /// Counts a check, unless the server is in maintenance.
    pub(crate) fn after_check(
        &mut self,
        status: CheckStatus,
        now: Status,
    ) -> Option<OperationalState> {
        let result = status.result()?;
        self.last = status;
        if now.admin == AdminState::Maintenance {
            return None;
        }
        let changed = self.health.report(result);
        // It may have been up all the same, before a restart.
        let is_down = result == CheckResult::Failed && self.health.health() == 0;
        changed.or(is_down.then_some(OperationalState::Stopped))
    }

    /// Counts errors of sessions, if the server is checked.
    pub(crate) fn after_errors(&mut self, reaction: OnErrors) -> Option<OperationalState> {
        if !self.checks_now() || reaction == OnErrors::CheckSoon {
            return None;
        }
        self.last = CheckStatus::Analyzed;
        self.health.report_errors(reaction)
    }

    /// Whether both tell the same about checks.
    pub(crate) fn is_same(self, other: Self) -> bool {
        (self.health, self.last) == (other.health, other.last)
    }

    /// Notes when the state has changed.
    pub(crate) fn after_change(&mut self, at: Option<Duration>) {
        self.changed = at;
    }

    /// Notes what is known from before a restart.
    #[cfg(feature = "haproxy")]
    pub(crate) fn after_restart(&mut self, past: Past, now: Status) {
        self.changed = Some(past.changed);
        self.last = past.last_check;
        self.checks.enabled &= !past.checks_are_off;
        match past.reported {
            OperationalState::Starting => self.health.warm_up(),
            OperationalState::Stopping => self.health.start(true),
            other => self.health.set(other),
        }
        let is_maintained = now.admin == AdminState::Maintenance;
        if is_maintained && !self.starts_disabled() {
            self.health.start(false);
        }
        if self.checks.configured {
            self.checks.paused = is_maintained;
        }
    }
}
