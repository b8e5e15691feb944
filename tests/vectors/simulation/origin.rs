//! The servers behind the proxy: `s1` to `s5`, at 127.0.1.1 to 127.0.1.5, port 18080.

use std::collections::BTreeSet;
use std::time::Duration;

use stickroute::Address;

use super::message::{Message, Protocol, Reply, latin1};
use crate::packets;

/// Which servers listen.
#[derive(Default)]
pub(super) struct Origins {
    stopped: BTreeSet<String>,
}

impl Origins {
    pub(super) fn listen(&mut self, name: &str, listens: bool) {
        if listens {
            self.stopped.remove(name);
        } else {
            self.stopped.insert(name.to_owned());
        }
    }

    /// The server that accepts connections at an address.
    pub(super) fn at(&self, address: &Address) -> Option<String> {
        let names = (1..=5).map(|n| (format!("127.0.1.{n}:18080"), format!("s{n}")));
        let mut names = names.filter(|(place, _)| *place == address.to_string());
        let (_, name) = names.next()?;
        (!self.stopped.contains(&name)).then_some(name)
    }
}

/// What a server does with a request.
pub(super) enum Served {
    /// It replies, after so long.
    Reply(Reply, Duration),
    /// It closes the connection without a reply.
    Closed,
}

/// The reply of a server, which request headers can ask for.
pub(super) fn serve(name: &str, message: &Message) -> Served {
    let aborts = message.header("x-abort");
    if aborts.iter().any(|which| which == "all" || which == name) {
        return Served::Closed;
    }
    let number = |header: &str| message.header(header).first()?.parse::<u16>().ok();
    let lines = message.header("x-resp");
    let headers = lines.iter().filter_map(|line| line.split_once(": "));
    let reply = Reply {
        status: number("x-status").unwrap_or(200),
        headers: headers
            .map(|(name, value)| (name.to_owned(), latin1(value)))
            .collect(),
        body: number("x-size").unwrap_or(0),
        payload: payload(name, &message.protocol),
    };
    let delay = number("x-delay").unwrap_or(0);
    Served::Reply(reply, Duration::from_millis(delay.into()))
}

/// A client without a session gets a new one, 32 bytes with the server's name.
fn payload(name: &str, protocol: &Protocol) -> Vec<u8> {
    match protocol {
        Protocol::Tls(session) if session.is_empty() => {
            let session = format!("{:.<32}", format!("{name}-session"));
            packets::server_hello(session.as_bytes())
        }
        Protocol::Tls(session) => packets::server_hello(session),
        Protocol::Http | Protocol::Rdp => Vec::new(),
    }
}
