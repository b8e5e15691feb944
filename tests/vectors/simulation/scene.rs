//! The steps of a recording, and what came of them.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::message::Message;
use super::session::Answered;
use super::{Simulation, Trouble, transcript};
use crate::report::{Comparison, Outcome};

/// Time that passes with each step.
const STEP: Duration = Duration::from_millis(4);
/// The recorder waited so long for a request that is held to reach its server.
const HOLD: Duration = Duration::from_millis(80);
/// Between the commands of one `sc` step.
const COMMAND: Duration = Duration::from_millis(3);

/// Plays a case, unless its configuration is refused.
pub(crate) fn play(case: &Value) -> Result<Outcome, Trouble> {
    let config = case["config"].as_str().expect("a configuration");
    let mut scene = Scene {
        simulation: Simulation::new(config)?,
        comparison: Comparison::default(),
    };
    for (number, step) in list(&case["steps"]).iter().enumerate() {
        let what = format!("step {number}, {}", step["do"]["op"]);
        if let Err(trouble) = scene.step(&what, &step["do"], &step["got"]) {
            return Ok(Outcome::Different(format!("{what}: {trouble}")));
        }
    }
    Ok(scene.comparison.outcome())
}

struct Scene {
    simulation: Simulation,
    comparison: Comparison,
}

impl Scene {
    fn step(&mut self, what: &str, step: &Value, got: &Value) -> Result<(), Trouble> {
        known(got)?;
        match text(&step["op"]) {
            "req" => self.exchange(what, Message::http(source(step), step), got)?,
            "tls" => {
                let session = step["sid"].as_str().unwrap_or_default();
                self.exchange(what, Message::tls(source(step), session), got)?;
            }
            "rdp" => {
                let message = Message::rdp(source(step), text(&step["cookie"]));
                self.exchange(what, message, got)?;
            }
            "keepalive" => self.keep_alive(what, step, got)?,
            "release" => {
                let answered = self.simulation.release(text(&step["id"]))?;
                self.compare(what, &answered, got);
            }
            "cli" => {
                let command = text(&step["cmd"]);
                let answer = self.simulation.command(command);
                transcript::compare(what, command, &answer, got, &mut self.comparison);
            }
            _ => self.event(step)?,
        }
        self.simulation.pass(STEP);
        Ok(())
    }

    fn exchange(&mut self, what: &str, message: Message, got: &Value) -> Result<(), Trouble> {
        let answered = self.simulation.exchange(message)?;
        self.compare(what, &answered, got);
        Ok(())
    }

    /// What has no result of its own.
    fn event(&mut self, step: &Value) -> Result<(), Trouble> {
        match text(&step["op"]) {
            "hold" => {
                let message = Message::http(source(step), step);
                let placed = self.simulation.begin(message)?;
                self.simulation.hold(text(&step["id"]), placed);
                self.simulation.pass(HOLD);
            }
            "backend" => {
                let listens = step["up"].as_bool().expect("up");
                self.simulation
                    .origins
                    .listen(text(&step["server"]), listens);
            }
            "wait" => {
                let milliseconds = step["ms"].as_u64().expect("ms");
                self.simulation.pass(Duration::from_millis(milliseconds));
            }
            "sc" => self.set_all(step),
            "save-state" => self.simulation.save_state(),
            "restart" => self.simulation.restart()?,
            other => return Err(format!("the simulation knows no {other}")),
        }
        Ok(())
    }

    /// `set table` for many keys.
    fn set_all(&mut self, step: &Value) {
        for key in list(&step["keys"]) {
            let (table, key, data) = (text(&step["table"]), text(key), text(&step["data"]));
            let command = format!("set table {table} key {key} data.{data}");
            let answer = self.simulation.command(&command);
            self.comparison.check(&command, &answer.trim_end(), &"");
            self.simulation.pass(COMMAND);
        }
    }

    /// Several requests on one connection.
    fn keep_alive(&mut self, what: &str, step: &Value, got: &Value) -> Result<(), Trouble> {
        let mut servers = Vec::new();
        for request in list(&step["reqs"]) {
            let message = Message::http(source(step), request);
            servers.push(Value::from(self.simulation.exchange(message)?.server));
        }
        self.comparison.check(
            &format!("{what}: servers"),
            &Value::from(servers),
            &got["servers"],
        );
        Ok(())
    }

    /// Of a connection that is no HTTP only the server was recorded.
    fn compare(&mut self, what: &str, answered: &Answered, got: &Value) {
        // A proxy of TCP says nothing itself.
        let is_silent = answered.server.is_none() && self.simulation.is_tcp();
        let spoken = (!is_silent).then_some(answered.status);
        let mut check = |field: &str, is: Value, expected: &Value| {
            self.comparison
                .check(&format!("{what}: {field}"), &is, expected);
        };
        check("server", answered.server.clone().into(), &got["server"]);
        if let Some(status) = got.get("status") {
            check("status", spoken.into(), status);
            let cookies = list(&got["set_cookie"]).to_vec().into();
            check("Set-Cookie", answered.set_cookie.clone().into(), &cookies);
        }
    }
}

/// That nothing was recorded that would not be compared.
fn known(got: &Value) -> Result<(), Trouble> {
    const KNOWN: [&str; 6] = ["exp_ms", "out", "server", "servers", "set_cookie", "status"];
    let mut names = got.as_object().into_iter().flatten().map(|(name, _)| name);
    match names.find(|name| !KNOWN.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(format!("nothing is compared with {name}")),
    }
}

fn source(step: &Value) -> IpAddr {
    text(&step["src"]).parse().expect("an address")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
