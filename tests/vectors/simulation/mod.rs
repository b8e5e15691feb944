//! A proxy around the library, with virtual time, a few servers and clients: enough of
//! one to play recordings of whole scenes.
//!
//! [`Scene`](scene::Scene) carries out the steps of a recording and compares what came of
//! them; the rest is what a proxy does and the library leaves to it.

mod checks;
mod clock;
mod counters;
mod message;
mod origin;
mod rules;
mod running;
mod scene;
mod session;
mod transcript;
mod waiting;

use std::rc::Rc;
use std::time::Duration;

use checks::Checks;
use clock::Clock;
use origin::Origins;
use running::Running;
pub(crate) use scene::play;
use waiting::Clients;

/// Why something cannot be simulated.
pub(crate) type Trouble = String;

/// Everything there is: time, servers, one proxy, and clients that wait for answers.
struct Simulation {
    clock: Rc<Clock>,
    origins: Origins,
    running: Running,
    checks: Checks,
    clients: Clients,
    config: String,
    /// What `save-state` wrote.
    state_file: String,
}

impl Simulation {
    fn new(config: &str) -> Result<Self, Trouble> {
        let clock = Rc::new(Clock::new());
        let running = Running::start(config, clock.now())?;
        Ok(Self {
            checks: running.checks(clock.mono()),
            clock,
            origins: Origins::default(),
            running,
            clients: Clients::default(),
            config: config.to_owned(),
            state_file: String::new(),
        })
    }

    /// Lets time pass, with what happens meanwhile.
    fn pass(&mut self, span: Duration) {
        let end = self.clock.mono().saturating_add(span);
        while let Some(due) = self.next_until(end) {
            self.clock.pass_to(due);
            self.checks.run(due, &self.origins);
            self.go_on_with_clients();
        }
        self.clock.pass_to(end);
        self.running.keep_up(self.clock.now());
    }

    /// When something happens by itself, if that is not after `end`.
    fn next_until(&self, end: Duration) -> Option<Duration> {
        let next = [self.checks.next_until(end), self.clients.next_until(end)];
        next.into_iter().flatten().min()
    }

    /// Carries out commands of an operator.
    fn command(&self, line: &str) -> String {
        let runtime = self.running.routing.runtime(self.running.started);
        let answer = runtime.answer(&message::latin1(line), self.clock.now());
        answer.into_text()
    }

    fn save_state(&mut self) {
        self.state_file = self.command("show servers state");
    }

    /// A new proxy in the place of the old one, whose connections are gone.
    fn restart(&mut self) -> Result<(), Trouble> {
        self.clients = Clients::default();
        self.running = Running::start(&self.config, self.clock.now())?;
        self.running
            .load_states(&self.state_file, self.clock.now())?;
        self.checks = self.running.checks(self.clock.mono());
        Ok(())
    }
}
