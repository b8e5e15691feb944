//! A proxy that has been started with a configuration.

use std::time::Duration;

use stickroute::Now;
use stickroute::haproxy::{Configuration, Routing, ServerStates};

use super::Trouble;
use super::checks::Checks;

pub(super) struct Running {
    pub(super) configuration: Configuration,
    pub(super) routing: Routing,
    pub(super) started: Now,
}

/// What the recorded configurations came behind: it makes the proxy that answers
/// commands the first one.
const GLOBAL: &str = "global\n    stats socket /run/haproxy.sock\n";

impl Running {
    pub(super) fn start(config: &str, now: Now) -> Result<Self, Trouble> {
        let text = format!("{GLOBAL}{config}");
        let configuration = Configuration::parse("CFG", text).map_err(|it| it.to_string())?;
        let routing = configuration.build().map_err(|it| it.to_string())?;
        Ok(Self {
            configuration,
            routing,
            started: now,
        })
    }

    pub(super) fn checks(&self, now: Duration) -> Checks {
        Checks::new(&self.routing, now)
    }

    /// Does what a timer does: removes what has expired.
    pub(super) fn keep_up(&self, now: Now) {
        for (_, table) in self.routing.tables() {
            let _ = table.maintain(now, usize::MAX);
        }
    }

    /// Reads the file of states into the backends that want it.
    pub(super) fn load_states(&self, file: &str, now: Now) -> Result<(), Trouble> {
        for proxy in self.configuration.backends() {
            let wanted = proxy.backend.load_server_state.as_ref();
            let backend = self.routing.backend(&proxy.name.value);
            if let (Some("global"), Some(backend)) = (wanted.and_then(|it| it.as_str()), backend) {
                let states = ServerStates::parse(file).map_err(|it| it.to_string())?;
                states.apply(backend, now).map_err(|it| it.to_string())?;
            }
        }
        Ok(())
    }
}
