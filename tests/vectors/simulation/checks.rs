//! Health checks: a connection now and then.

use std::sync::Arc;
use std::time::Duration;

use stickroute::haproxy::Routing;
use stickroute::health::{CheckSequence, CheckStatus};
use stickroute::{Backend, FarmServer, Now, ServerId};

use super::origin::Origins;

/// All checks of a running proxy.
#[derive(Default)]
pub(super) struct Checks(Vec<Check>);

/// The checks of one server.
struct Check {
    backend: Arc<Backend>,
    server: ServerId,
    next: Duration,
}

impl Checks {
    /// Of all servers that want them, the first ones at once.
    pub(super) fn new(routing: &Routing, now: Duration) -> Self {
        let mut checks = Vec::new();
        for (name, backend) in routing.backends() {
            let (Some(backend), Some(check)) = (backend, routing.check(name)) else {
                continue;
            };
            let plain = CheckSequence::connection();
            assert_eq!(check.sequence(), &plain, "no other is recorded");
            let servers = backend.farm().servers().to_vec();
            let checked = servers.iter().filter(|server| server.is_checked());
            checks.extend(checked.map(|server| Check {
                backend: Arc::clone(backend),
                server: server.id(),
                next: now,
            }));
        }
        Self(checks)
    }

    /// When the next one is due, if that is not after `end`.
    pub(super) fn next_until(&self, end: Duration) -> Option<Duration> {
        let next = self.0.iter().map(|check| check.next).min();
        next.filter(|next| *next <= end)
    }

    /// Does those that are due.
    pub(super) fn run(&mut self, now: Duration, origins: &Origins) {
        for check in self.0.iter_mut().filter(|check| check.next <= now) {
            check.run(origins);
        }
    }
}

impl Check {
    fn run(&mut self, origins: &Origins) {
        let server = self.server();
        let status = match origins.at(&server.check_address()) {
            Some(_) => CheckStatus::Connected,
            None => CheckStatus::ConnectError,
        };
        let now = Now::new(self.next, self.next);
        let reported = self.backend.report_check(self.server, status, now);
        reported.expect("the selector takes any state");
        // Nobody in the recordings is in maintenance and checked.
        self.next += self.server().next_check().expect("it is checked");
    }

    fn server(&self) -> FarmServer {
        let farm = self.backend.farm();
        let mut servers = farm.servers().iter();
        let found = servers.find(|server| server.id() == self.server);
        found.expect("it is there").clone()
    }
}
