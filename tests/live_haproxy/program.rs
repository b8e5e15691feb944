//! HAProxy or `examples/proxy -f`, run with a configuration and asked as clients and
//! operators ask.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::client::{self, Answer};
use crate::support::configuration::{self, Folder, ask};
use crate::support::{self, Running};

/// A program that runs. Its stats socket is `stats.sock` in its folder.
pub(crate) struct Program {
    /// Where its frontends listen.
    listen: Vec<SocketAddr>,
    socket: PathBuf,
    running: Running,
}

impl Program {
    pub(crate) fn ours(
        text: &str,
        folder: &Folder,
        arguments: &[&str],
        listen: Vec<SocketAddr>,
    ) -> Self {
        let running = configuration::run(text, folder, arguments);
        Self::new(text, folder, listen, running)
    }

    pub(crate) fn haproxy(
        text: &str,
        folder: &Folder,
        arguments: &[&str],
        listen: Vec<SocketAddr>,
    ) -> Self {
        let file = folder.file("haproxy.cfg");
        fs::write(&file, text).expect("the folder can be written to");
        let mut command = Command::new("haproxy");
        command.arg("-db").args(arguments).arg("-f").arg(&file);
        let running = Running::start(command.stderr(Stdio::null()), 0);
        Self::new(text, folder, listen, running)
    }

    fn new(text: &str, folder: &Folder, listen: Vec<SocketAddr>, running: Running) -> Self {
        let socket = folder.file("stats.sock");
        let is_up = || {
            let mut all = listen.iter();
            UnixStream::connect(&socket).is_ok()
                && all.all(|listen| TcpStream::connect(listen).is_ok())
        };
        assert!(support::eventually(is_up), "it does not run: {text}");
        Self {
            listen,
            socket,
            running,
        }
    }

    /// The number of the process.
    pub(crate) fn process(&mut self) -> u32 {
        self.running.child().id()
    }

    /// Where a frontend listens.
    pub(crate) fn address(&self, frontend: usize) -> SocketAddr {
        self.listen[frontend]
    }

    /// Sends a request to a frontend. A connection that breaks off is an empty answer.
    pub(crate) fn send(&self, frontend: usize, request: &[u8]) -> Answer {
        let begun = client::begin(self.listen[frontend], Ipv4Addr::LOCALHOST, request);
        let ended = begun.and_then(|(_, pending)| pending.finish());
        ended.unwrap_or_default()
    }

    /// Sends requests over one connection; see [`client::converse`].
    pub(crate) fn converse(&self, frontend: usize, requests: &[Vec<u8>]) -> Vec<Answer> {
        client::converse(self.listen[frontend], requests).unwrap_or_default()
    }

    /// Gives a command.
    pub(crate) fn ask(&self, line: &str) -> String {
        ask(&self.socket, line)
    }

    /// A table, without pointers and times.
    pub(crate) fn table(&self, name: &str) -> String {
        Shown::of(&self.ask(&format!("show table {name}"))).text
    }
}

/// Answers of the proxies themselves have texts of their own.
pub(crate) fn is_same(expected: &Answer, found: &Answer) -> bool {
    match expected.server {
        Some(_) => found == expected,
        None => (found.status, &found.server) == (expected.status, &None),
    }
}

/// What `show table` answers, in parts that can be compared.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Without pointers and times.
    pub(crate) text: String,
    /// The milliseconds each entry has left.
    pub(crate) left: Vec<i64>,
}

impl Shown {
    pub(crate) fn of(answer: &str) -> Self {
        let mut left = Vec::new();
        let mut plain = |line: &str| {
            let words = line.split(' ').filter_map(|word| {
                if let Some(time) = word.strip_prefix("exp=") {
                    left.push(time.parse().expect("a time is a number"));
                    return None;
                }
                Some(if word.starts_with("0x") {
                    "pointer"
                } else {
                    word
                })
            });
            words.collect::<Vec<_>>().join(" ") + "\n"
        };
        let text = answer.lines().map(&mut plain).collect();
        Self { text, left }
    }
}
