//! One server's health.

use std::time::Duration;

use super::{CheckResult, HealthPolicy, OnErrors};
use crate::server::OperationalState;

/// The health of one server: results go in, changes of its state come out.
///
/// ```
/// use stickroute::OperationalState::{Running, Stopped};
/// use stickroute::health::CheckResult::{Failed, Passed};
/// use stickroute::health::{HealthCounter, HealthPolicy};
///
/// let mut health = HealthCounter::new(HealthPolicy::new()); // rise 2, fall 3
/// assert_eq!((health.state(), health.health()), (Running, 2));
/// assert_eq!(health.report(Failed), Some(Stopped)); // the first check of all
/// assert_eq!(health.report(Passed), None);
/// assert_eq!(health.report(Passed), Some(Running));
/// assert_eq!(health.report(Failed), None);
/// assert_eq!(health.health(), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCounter {
    policy: HealthPolicy,
    health: u32,
    leaving: bool,
}

impl HealthCounter {
    /// A server that is taken to be up until its first check.
    pub const fn new(policy: HealthPolicy) -> Self {
        Self {
            policy,
            health: policy.least(),
            leaving: false,
        }
    }

    /// Counts a result; gives the state if it is another one now.
    pub fn report(&mut self, result: CheckResult) -> Option<OperationalState> {
        let before = self.state();
        match result {
            CheckResult::Passed => self.pass(false),
            CheckResult::Conditional => self.pass(true),
            CheckResult::Failed => self.fail(),
        }
        Some(self.state()).filter(|now| *now != before)
    }

    fn pass(&mut self, leaving: bool) {
        if !self.is_up() {
            self.health += 1;
        }
        if self.is_up() {
            self.health = self.policy.full();
            self.leaving = leaving;
        }
    }

    fn fail(&mut self) {
        if self.health > self.policy.least() {
            self.health -= 1;
        } else {
            self.set(OperationalState::Stopped);
        }
    }

    /// Counts that sessions have met too many errors, while the server is up; gives the state
    /// if it is another one now.
    pub fn report_errors(&mut self, reaction: OnErrors) -> Option<OperationalState> {
        let least = self.policy.least();
        if !self.is_up() || reaction == OnErrors::CheckSoon {
            return None;
        }
        self.health = match reaction {
            OnErrors::SuddenDeath => self.health.min(least.saturating_add(1)),
            OnErrors::MarkDown => least,
            _ => self.health,
        };
        self.report(CheckResult::Failed)
    }

    /// Makes it so whatever was counted: all checks have passed, or failed. HAProxy:
    /// `set server ... health`.
    pub fn set(&mut self, state: OperationalState) {
        self.health = match state {
            OperationalState::Stopped => 0,
            _ => self.policy.full(),
        };
        self.leaving = state == OperationalState::Stopping;
    }

    /// Up, down, or up and leaving.
    pub const fn state(&self) -> OperationalState {
        match (self.is_up(), self.leaving) {
            (false, _) => OperationalState::Stopped,
            (true, true) => OperationalState::Stopping,
            (true, false) => OperationalState::Running,
        }
    }

    /// How good it is, 0 to `rise + fall - 1`. HAProxy: `srv_check_health`.
    pub const fn health(&self) -> u32 {
        self.health
    }

    /// How results count.
    pub const fn policy(&self) -> HealthPolicy {
        self.policy
    }

    /// The time from the last check to the next.
    pub fn next_interval(&self) -> Duration {
        self.policy.wait(self.health)
    }

    const fn is_up(&self) -> bool {
        self.health >= self.policy.least()
    }

    /// A server that has just come up, or is down.
    pub(crate) fn start(&mut self, is_up: bool) {
        self.health = if is_up { self.policy.least() } else { 0 };
        self.leaving = false;
    }

    /// Of a server that was warming up before a restart.
    #[cfg(feature = "haproxy")]
    pub(crate) fn warm_up(&mut self) {
        self.health = 1;
        self.leaving = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CheckResult::{Conditional, Failed, Passed};

    /// Health after each result: P passed, F failed, C conditional, as 404 is
    /// with `disable-on-404` from a server that is up; `-` when it leaves.
    fn counted(policy: HealthPolicy, results: &str) -> String {
        let mut counter = HealthCounter::new(policy);
        let after = results.chars().map(|letter| {
            let before = counter.state();
            let change = counter.report(match letter {
                'P' => Passed,
                'C' => Conditional,
                _ => Failed,
            });
            assert_eq!(change.is_some(), before != counter.state());
            let mark = match counter.state() {
                OperationalState::Stopping => "-",
                OperationalState::Stopped => "!",
                _ => "",
            };
            format!("{}{mark}", counter.health())
        });
        after.collect::<Vec<_>>().join(" ")
    }

    // All of HAProxy 2.6.12, which got the same answers to its checks.
    #[test]
    fn results_count_as_in_haproxy() {
        for (rise, fall, results, expected) in [
            (
                2,
                3,
                "PPFPFFPFFFFPFPPPP",
                "4 4 3 4 3 2 4 3 2 0! 0! 1! 0! 1! 4 4 4",
            ),
            (3, 2, "PFPFFPPFPPPF", "4 3 4 3 0! 1! 2! 0! 1! 2! 4 3"),
            (1, 1, "PFPF", "1 0! 1 0!"),
            (2, 3, "FPP", "0! 1! 4"),
            (
                2,
                3,
                "PCCPFCCFFFFFFFPPC",
                "4 4- 4- 4 3 4- 4- 3- 2- 0! 0! 0! 0! 0! 1! 4 4-",
            ),
            (2, 3, "CPCFFFFPP", "4- 4 4- 3- 2- 0! 0! 1! 4"),
            (2, 3, "FPFPPP", "0! 1! 0! 1! 4 4"),
            (2, 3, "FCCCF", "0! 1! 4- 4- 3-"),
        ] {
            let policy = HealthPolicy::new().rise(rise).fall(fall);
            assert_eq!(
                counted(policy, results),
                expected,
                "{rise} {fall} {results}"
            );
        }
    }

    // All of HAProxy 2.6.12.
    #[test]
    fn errors_of_sessions_count_as_in_haproxy() {
        for (reaction, expected) in [
            (OnErrors::CheckSoon, [4, 4, 4]),
            (OnErrors::FailCheck, [3, 2, 0]),
            (OnErrors::SuddenDeath, [2, 0, 0]),
            (OnErrors::MarkDown, [0, 0, 0]),
        ] {
            let mut counter = HealthCounter::new(HealthPolicy::new());
            counter.report(Passed);
            let after = expected.map(|_| {
                counter.report_errors(reaction);
                counter.health()
            });
            assert_eq!(after, expected, "{reaction:?}");
        }
    }

    // Measured beside HAProxy 2.6.12, with lengths that can be told apart.
    #[test]
    fn transitions_are_watched_closely() {
        let policy = HealthPolicy::new().interval(Duration::from_secs(10));
        let all = policy
            .fast_interval(Duration::from_secs(2))
            .down_interval(Duration::from_secs(5));
        let mut counter = HealthCounter::new(all);
        let waits = [
            Passed, Failed, Passed, Failed, Failed, Failed, Failed, Passed, Passed,
        ]
        .map(|result| {
            counter.report(result);
            counter.next_interval().as_secs()
        });
        assert_eq!(waits, [10, 2, 10, 2, 2, 5, 5, 2, 10]);
        for health in 0..=4 {
            assert_eq!(policy.wait(health), Duration::from_secs(10));
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let policy = HealthPolicy::new().rise(u32::MAX).fall(u32::MAX);
        let mut counter = HealthCounter::new(policy);
        assert_eq!(counter.report(Passed), None);
        assert_eq!(counter.report(Failed), Some(OperationalState::Stopped));
        assert_eq!(HealthCounter::new(policy.rise(0).fall(0)).health(), 1);
    }
}
