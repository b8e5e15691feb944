//! A connection of a client or of a server that does what a row says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use rustix::net::sockopt;

use super::row::Step;
use crate::support::wire;

/// Longer than any row lasts.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// What has come and has not been taken.
    pub(super) heard: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).expect("it can be set");
        stream.set_nodelay(true).expect("it can be set");
        let heard = Vec::new();
        Self { stream, heard }
    }

    pub(super) fn port(&self) -> u16 {
        self.stream.local_addr().expect("it has an address").port()
    }

    /// Whether there was more.
    pub(super) fn more(&mut self) -> bool {
        let mut bytes = [0; 8192];
        let count = self.stream.read(&mut bytes).unwrap_or(0);
        self.heard.extend_from_slice(&bytes[..count]);
        count > 0
    }

    pub(super) fn hear_all(&mut self) {
        while self.more() {}
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        // Who is refused may find that out before all is sent.
        let _ = self.stream.write_all(bytes);
    }

    /// Does one thing, and tells whether it is still open.
    pub(super) fn act(&mut self, step: &Step) -> bool {
        match step {
            Step::Send(bytes) => self.send(bytes),
            Step::Slowly(pause, bytes) => {
                for byte in bytes {
                    self.send(&[*byte]);
                    thread::sleep(*pause);
                }
            }
            Step::Wait(time) => thread::sleep(*time),
            Step::Until(bytes) => while wire::find(&self.heard, bytes).is_none() && self.more() {},
            Step::Hear => self.hear_all(),
            Step::CloseHalf => drop(self.stream.shutdown(Shutdown::Write)),
            Step::Close => return false,
            Step::Reset => {
                let at_once = Some(Duration::ZERO);
                sockopt::set_socket_linger(&self.stream, at_once).expect("it can be set");
                return false;
            }
            Step::First(_) | Step::Early => {}
        }
        true
    }
}
