//! Health checks: a connection now and then.

use std::sync::Arc;
use std::time::Duration;

use stickroute::haproxy::{Configuration, Routing, ServerSettings};
use stickroute::{Backend, OperationalState};

use super::origin::Origins;

/// All checks of a running proxy.
#[derive(Default)]
pub(super) struct Checks(Vec<Check>);

/// The checks of one server.
struct Check {
    backend: Arc<Backend>,
    server: String,
    interval: Duration,
    /// So many results of a kind in a row change the state.
    fall: u32,
    rise: u32,
    is_passing: bool,
    in_a_row: u32,
    next: Duration,
}

impl Checks {
    /// Of all servers that want them, the first ones at once.
    pub(super) fn new(configuration: &Configuration, routing: &Routing, now: Duration) -> Self {
        let mut checks = Vec::new();
        for proxy in configuration.backends() {
            let Some(backend) = routing.backend(&proxy.name.value) else {
                continue;
            };
            let checked = proxy
                .backend
                .servers
                .iter()
                .filter(|line| line.settings.check);
            checks.extend(checked.map(|line| {
                let name = line.name.as_str().expect("a name").to_owned();
                Check::new(Arc::clone(backend), name, &line.settings, now)
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
    fn new(
        backend: Arc<Backend>,
        server: String,
        settings: &ServerSettings,
        now: Duration,
    ) -> Self {
        let option = |name: &str| settings.options.get(name)?.as_ref()?.as_str();
        let count = |name: &str, default| option(name).map_or(default, number);
        let interval = option("inter").map_or(Duration::from_secs(2), time);
        Self {
            backend,
            server,
            interval,
            fall: count("fall", 3),
            rise: count("rise", 2),
            is_passing: true,
            in_a_row: 0,
            next: now,
        }
    }

    fn run(&mut self, origins: &Origins) {
        self.next += self.interval;
        let server = self.backend.server(&self.server).expect("it is there");
        let passes = origins.at(server.address()).is_some();
        self.in_a_row = if passes == self.is_passing {
            self.in_a_row + 1
        } else {
            1
        };
        self.is_passing = passes;
        let is_stopped = server.status().operational() == OperationalState::Stopped;
        let state = match (passes, is_stopped) {
            (true, true) if self.in_a_row >= self.rise => OperationalState::Running,
            (false, false) if self.in_a_row >= self.fall => OperationalState::Stopped,
            _ => return,
        };
        let reported = self.backend.set_operational_state(server.id(), state);
        reported.expect("the selector takes any state");
    }
}

fn number(text: &str) -> u32 {
    text.parse().expect("a number")
}

/// A time as HAProxy writes it, in milliseconds without a unit.
pub(super) fn time(text: &str) -> Duration {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        other => panic!("unit {other:?}"),
    };
    Duration::from_millis(u64::from(number(digits)) * unit)
}
