//! What the tests that start whole programs share: examples, ports, processes.

pub(crate) mod configuration;
pub(crate) mod pages;
pub(crate) mod reuse;
pub(crate) mod tunnel;
pub(crate) mod wire;

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::thread::sleep;
use std::time::Duration;

use tokio::net::TcpSocket;

/// Builds an example, unless it is up to date, and tells where it is.
pub(crate) fn example(name: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--message-format=json", "--example", name]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.output().expect("cargo starts");
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "example {name} does not build:\n{problem}"
    );
    let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let mut executable = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == name;
        message["executable"]
            .as_str()
            .filter(|_| is_it)
            .map(PathBuf::from)
    });
    executable.next_back().expect("cargo names the executable")
}

/// A program that ends with this value.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// What it printed first.
    pub(crate) lines: Vec<String>,
}

impl Running {
    /// Starts a program and reads the first lines it prints, so many.
    pub(crate) fn start(command: &mut Command, lines: usize) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let output = child.stdout.take().expect("its output is a pipe");
        let lines = BufReader::new(output).lines().take(lines);
        let lines = lines.map(|line| line.expect("it prints text")).collect();
        Self { child, lines }
    }

    /// The address in the line that begins so.
    pub(crate) fn address(&self, prefix: &str) -> SocketAddr {
        let mut lines = self.lines.iter();
        lines
            .find_map(|line| line.strip_prefix(prefix)?.parse().ok())
            .unwrap_or_else(|| panic!("no address behind {prefix:?} in {:?}", self.lines))
    }

    /// The process.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects from a loopback address. The standard library cannot choose one, tokio can.
pub(crate) fn connect_from(source: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let stream = socket.connect(to).await?.into_std()?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    })
}

/// A loopback address nobody listens on.
///
/// Below the ports that outgoing connections get, from 32,768 on Linux and from 16,000 in
/// some sandboxes: one of those could otherwise take the port of a server that is down for
/// a moment, or connect to itself.
pub(crate) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (std::process::id() % 40) as u16 * 100;
    loop {
        let port = first + NEXT.fetch_add(1, Relaxed) % 2_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Asks again and again until it holds; false after five seconds.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    (0..500).any(|_| {
        let held = holds();
        if !held {
            sleep(Duration::from_millis(10));
        }
        held
    })
}
