//! Commands about checks: `enable health`, `set server B/S check-port`.

use std::net::IpAddr;

use super::backend::outcome;
use super::server::Target;
use super::{Outcome, Refusal, Runtime, number, refused, shown, word};

impl<P: Send + Sync + 'static> Runtime<'_, P> {
    pub(super) fn enable_health(&self, words: &[&[u8]]) -> Outcome {
        let target = self.target(words)?;
        if !target.server.is_checked() {
            return refused("Health check was not configured on this server, cannot enable.");
        }
        target.set_checks(true)
    }

    pub(super) fn disable_health(&self, words: &[&[u8]]) -> Outcome {
        self.target(words)?.set_checks(false)
    }
}

impl<P: Send + Sync + 'static> Target<'_, P> {
    fn set_checks(&self, enabled: bool) -> Outcome {
        let server = self.server.id();
        outcome(
            self.backend
                .update(|change| change.set_checks(server, enabled)),
        )
    }

    /// `check-port PORT`.
    pub(super) fn set_check_port(&self, word: &[u8]) -> Outcome {
        if word.is_empty() {
            return refused("set server <b>/<s> check-port requires a port.");
        }
        self.move_checks(None, Some(word))
    }

    /// `check-addr IP [port PORT]`.
    pub(super) fn set_check_address(&self, words: &[&[u8]]) -> Outcome {
        let text = word(words, 0);
        if text.is_empty() {
            return refused(
                "set server <b>/<s> check-addr requires an address and optionally a port.",
            );
        }
        let port = (word(words, 1) == b"port").then(|| word(words, 2));
        self.move_checks(Some(text), port)
    }

    fn move_checks(&self, ip: Option<&[u8]>, port: Option<&[u8]>) -> Outcome {
        if !self.server.is_checked() {
            return refused("health checks are not enabled on this server");
        }
        let ip = ip.map(address).transpose()?;
        let port = port.map(number_of_port).transpose()?;
        let server = self.server.id();
        outcome(self.backend.update(|change| {
            if let Some(ip) = ip {
                change.set_check_ip(server, ip)?;
            }
            port.map_or(Ok(()), |port| change.set_check_port(server, port))
        }))
    }
}

fn address(text: &[u8]) -> Result<IpAddr, Refusal> {
    let ip = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    ip.ok_or_else(|| format!("invalid addr '{}'", shown(text)).into())
}

fn number_of_port(word: &[u8]) -> Result<u16, Refusal> {
    let Some((number, b"")) = number::leading(word) else {
        return refused("provided port is not an integer");
    };
    let port = u16::try_from(number).ok();
    port.ok_or_else(|| "provided port is invalid".into())
}
