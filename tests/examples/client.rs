//! The programs under test, and a client of theirs.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, ExitStatus, Output, Stdio};

use crate::server::{bytes, latin1};
use crate::support::{Running, example};

/// `examples/proxy` with a control port.
pub(crate) struct Proxy {
    pub(crate) program: Running,
}

impl Proxy {
    pub(crate) fn start(arguments: &[&str], lines: usize) -> Self {
        let mut command = Command::new(example("proxy"));
        command.args(["--admin", "127.0.0.1:0"]).args(arguments);
        command.stderr(Stdio::null());
        Self {
            program: Running::start(&mut command, lines),
        }
    }

    /// Before one server, `a`, with a cookie.
    pub(crate) fn before(server: SocketAddr) -> Self {
        let server = format!("a {server} cookie a");
        Self::start(&["--server", &server, "--cookie", "SRV insert"], 2)
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.program.address("http://")
    }

    /// Gives an order and returns the answer.
    pub(crate) fn order(&self, order: &str) -> String {
        let mut control = TcpStream::connect(self.program.address("control ")).unwrap();
        control.write_all(format!("{order}\n").as_bytes()).unwrap();
        // It may have answered and gone already.
        let _ = control.shutdown(Shutdown::Write);
        let mut answer = String::new();
        control.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sessions on the first server.
    pub(crate) fn in_flight(&self) -> String {
        let table = self.order("show servers conn");
        let row = table.lines().nth(1).unwrap_or_default();
        row.split_whitespace().nth(6).unwrap_or_default().to_owned()
    }

    pub(crate) fn signal(&mut self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.program.child().id());
        assert!(run(Command::new("sh").args(["-c", &kill])).status.success());
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> ExitStatus {
        self.program.child().wait().unwrap()
    }
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}

/// Sends a request and reads until the proxy closes the connection.
pub(crate) fn exchange(proxy: SocketAddr, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.write_all(&bytes(head)).unwrap();
    stream.write_all(b"Connection: close\r\n\r\n").unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    latin1(&answer)
}
