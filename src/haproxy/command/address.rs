//! `set server B/S addr`.

use std::net::{IpAddr, SocketAddr};

use super::backend::outcome;
use super::server::Target;
use super::{Outcome, Refusal, refused, shown, word};
use crate::{Address, Key};

/// Moves a server to the address, and perhaps port, that the words name.
pub(super) fn set<P: Send + Sync + 'static>(target: &Target<'_, P>, words: &[&[u8]]) -> Outcome {
    let text = word(words, 0);
    if text.is_empty() {
        return refused("set server <b>/<s> addr requires an address and optionally a port.");
    }
    let told = match change(target, text, words) {
        Ok((change, told)) => {
            apply(target, change)?;
            told
        }
        Err(refusal) => refusal.into_owned(),
    };
    Ok(told + " by 'stats socket command'")
}

/// The address to be, if it is another one.
type Change = Option<SocketAddr>;

/// What is to change, and what is to be told about it.
fn change<P: Send + Sync + 'static>(
    target: &Target<'_, P>,
    text: &[u8],
    words: &[&[u8]],
) -> Result<(Change, String), Refusal> {
    let Some(ip) = ip(text) else {
        return refused(format!("Invalid addr '{}'", shown(text)));
    };
    let &Address::Ip(current) = target.server.address() else {
        return refused(
            "Update for the current server address family is only supported through \
             configuration file",
        );
    };
    let mut told = if ip == current.ip() {
        "no need to change the addr".to_owned()
    } else {
        let before = Key::from(current.ip());
        format!("IP changed from '{before}' to '{}'", shown(text))
    };
    let mut port = current.port();
    if word(words, 1) == b"port" {
        let (next, about) = new_port(word(words, 2), port);
        port = next;
        told = told + ", " + &about;
    }
    let next = SocketAddr::new(ip, port);
    Ok(((next != current).then_some(next), told))
}

/// The port to be, and what is to be told about it. The port stays if there is anything
/// wrong with the word, and the address changes nevertheless.
fn new_port(word: &[u8], current: u16) -> (u16, String) {
    if matches!(word, [b'+' | b'-', ..]) {
        return (current, PORT_MAP.into());
    }
    let digits = std::str::from_utf8(word).ok();
    match digits.and_then(|digits| digits.parse().ok()) {
        None => {
            let about = format!("problem converting port '{}' to an int", shown(word));
            (current, about)
        }
        Some(port) if port == current => (port, "no need to change the port".into()),
        Some(port) => (port, format!("port changed from '{current}' to '{port}'")),
    }
}

const PORT_MAP: &str = "can't change <port> to port map because it is incompatible with current \
    health check port configuration (use 'port' statement from the 'server' directive.";

/// An IPv4 address, or an IPv6 address with or without brackets.
fn ip(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

fn apply<P: Send + Sync + 'static>(target: &Target<'_, P>, change: Change) -> Outcome {
    let server = target.server.id();
    match change {
        None => super::DONE,
        Some(address) => outcome(
            target
                .backend
                .update(|change| change.set_address(server, address)),
        ),
    }
}
