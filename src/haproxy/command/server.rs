//! Commands about one server.

use super::backend::outcome;
use super::{Outcome, Refusal, Runtime, address, number, refused, shown, word};
use crate::{AdminState, Backend, FarmServer, Now, OperationalState, Weight, WeightChange};

/// A server, and the backend it is in.
pub(super) struct Target<'a, P: Send + Sync + 'static> {
    pub(super) backend: &'a Backend<P>,
    pub(super) server: FarmServer,
}

impl<P: Send + Sync + 'static> Runtime<'_, P> {
    pub(super) fn set_server(&self, words: &[&[u8]], now: Now) -> Outcome {
        let target = self.target(words)?;
        let value = word(words, 2);
        match word(words, 1) {
            b"state" => target.set_state(admin_state(value)?, now),
            b"health" => target.set_health(health(value)?, now),
            b"weight" => target.set_weight(value),
            b"addr" => address::set(&target, &words[2..]),
            b"check-addr" => target.set_check_address(&words[2..]),
            b"check-port" => target.set_check_port(value),
            option => refused(without_support(option, value)),
        }
    }

    pub(super) fn enable_server(&self, words: &[&[u8]], now: Now) -> Outcome {
        self.target(words)?.set_state(AdminState::Ready, now)
    }

    pub(super) fn disable_server(&self, words: &[&[u8]], now: Now) -> Outcome {
        self.target(words)?.set_state(AdminState::Maintenance, now)
    }

    pub(super) fn set_weight(&self, words: &[&[u8]]) -> Outcome {
        self.target(words)?.set_weight(word(words, 1))
    }

    pub(super) fn get_weight(&self, words: &[&[u8]]) -> Outcome {
        let server = self.target(words)?.server;
        Ok(format!(
            "{} (initial {})",
            server.status().weight(),
            server.configured_weight()
        ))
    }

    /// The server of `BACKEND/SERVER`.
    pub(super) fn target(&self, words: &[&[u8]]) -> Result<Target<'_, P>, Refusal> {
        let text = word(words, 0);
        let slash = text.iter().position(|&byte| byte == b'/');
        let Some((backend, name)) = slash.map(|slash| (&text[..slash], &text[slash + 1..])) else {
            return refused("Require 'backend/server'.");
        };
        if backend.is_empty() || name.is_empty() {
            return refused("Require 'backend/server'.");
        }
        let Some(known) = self.find_backend(backend) else {
            return refused("No such backend.");
        };
        let found = known.backend.and_then(|backend| {
            let server = find_server(backend, name)?;
            Some(Target { backend, server })
        });
        found.ok_or("No such server.".into())
    }
}

fn find_server<P: Send + Sync + 'static>(backend: &Backend<P>, word: &[u8]) -> Option<FarmServer> {
    let id = number::id(word);
    let farm = backend.farm();
    let mut servers = farm.servers().iter();
    let found = servers.find(|server| match id {
        Some(id) => server.id().get() == id,
        None => server.name().as_bytes() == word,
    });
    found.cloned()
}

impl<P: Send + Sync + 'static> Target<'_, P> {
    fn set_state(&self, state: AdminState, now: Now) -> Outcome {
        let server = self.server.id();
        outcome(
            self.backend
                .update(|change| change.at(now).set_admin_state(server, state)),
        )
    }

    fn set_health(&self, state: OperationalState, now: Now) -> Outcome {
        let server = self.server.id();
        outcome(
            self.backend
                .update(|change| change.at(now).set_operational_state(server, state)),
        )
    }

    fn set_weight(&self, value: &[u8]) -> Outcome {
        let weight = weight(value)?;
        outcome(self.backend.set_weight(self.server.id(), weight))
    }
}

fn admin_state(word: &[u8]) -> Result<AdminState, Refusal> {
    match word {
        b"ready" => Ok(AdminState::Ready),
        b"drain" => Ok(AdminState::Drain),
        b"maint" => Ok(AdminState::Maintenance),
        _ => refused("'set server <srv> state' expects 'ready', 'drain' and 'maint'."),
    }
}

fn health(word: &[u8]) -> Result<OperationalState, Refusal> {
    match word {
        b"up" => Ok(OperationalState::Running),
        b"stopping" => Ok(OperationalState::Stopping),
        b"down" => Ok(OperationalState::Stopped),
        _ => refused("'set server <srv> health' expects 'up', 'stopping', or 'down'."),
    }
}

fn weight(word: &[u8]) -> Result<WeightChange, Refusal> {
    if word.is_empty() {
        return refused("Require <weight> or <weight%>.");
    }
    match number::leading(word) {
        None => refused("Empty weight string empty or preceded by garbage"),
        Some((percent, b"%")) => match u64::try_from(percent) {
            Ok(percent) => Ok(WeightChange::PercentOfConfigured(
                percent.min(u32::MAX.into()) as u32,
            )),
            Err(_) => refused("Relative weight must be positive."),
        },
        Some((weight, rest)) => absolute_weight(weight, rest),
    }
}

fn absolute_weight(number: i64, rest: &[u8]) -> Result<WeightChange, Refusal> {
    let weight = u32::try_from(number).ok().and_then(Weight::new);
    match weight {
        None => refused("Absolute weight can only be between 0 and 256 inclusive."),
        Some(_) if !rest.is_empty() => refused("Trailing garbage in weight string"),
        Some(weight) => Ok(weight.into()),
    }
}

/// What HAProxy says to the other options of `set server` if the server has no agent, no TLS and no name to resolve: nothing of that is the business of this library.
fn without_support(option: &[u8], value: &[u8]) -> Refusal {
    let wants_value = matches!(option, b"agent-addr" | b"agent-port" | b"fqdn");
    if value.is_empty() && wants_value {
        return format!(
            "set server <b>/<s> {} requires {}.",
            shown(option),
            value_of(option)
        )
        .into();
    }
    match option {
        b"agent" | b"agent-send" => "agent checks are not enabled on this server.",
        b"agent-addr" | b"agent-port" => "agent checks are not enabled on this server",
        b"fqdn" => "set server <b>/<s> fqdn failed because no resolution is configured.",
        b"ssl" => {
            "'set server <srv> ssl' cannot be set.  default-server should define ssl settings"
        }
        _ => USAGE,
    }
    .into()
}

fn value_of(option: &[u8]) -> &'static str {
    match option {
        b"agent-port" => "a port",
        b"fqdn" => "a FQDN",
        _ => "an address and optionally a port",
    }
}

const USAGE: &str = "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | \
    agent-send | check-addr | check-port | fqdn | health | ssl | state | weight";
