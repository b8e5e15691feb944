//! What the tests that start whole programs share: examples, ports, processes.

pub(crate) mod configuration;
pub(crate) mod faulty;
pub(crate) mod pages;
pub(crate) mod reuse;
pub(crate) mod tunnel;
pub(crate) mod wire;

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
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
    /// Kept open, so that what it prints later does not fail.
    _output: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a program and reads the first lines it prints, so many.
    pub(crate) fn start(command: &mut Command, lines: usize) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let output = child.stdout.take().expect("its output is a pipe");
        let mut output = BufReader::new(output);
        let lines = output.by_ref().lines().take(lines);
        let lines = lines.map(|line| line.expect("it prints text")).collect();
        Self {
            child,
            lines,
            _output: output,
        }
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

/// A loopback address nobody listens on, and that no other test is given.
///
/// Below the ports that outgoing connections get, from 32,768 on Linux and from 16,000 in
/// some sandboxes: one of those could otherwise take the port of a server that is down for
/// a moment, or connect to itself.
pub(crate) fn free_address() -> SocketAddr {
    static PORTS: Mutex<Ports> = Mutex::new(Ports {
        blocks: Vec::new(),
        given: 0,
    });
    let mut ports = PORTS.lock().expect("nobody panics there");
    loop {
        let address = loopback(ports.next());
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// The ports this process may give to its tests: blocks of a hundred, which other
/// processes leave alone as long as the first port of a block is bound, for UDP.
struct Ports {
    blocks: Vec<UdpSocket>,
    given: usize,
}

impl Ports {
    const BLOCK: u16 = 100;

    /// Each once, as long as there is another block to be had.
    fn next(&mut self) -> u16 {
        let block = self.given / usize::from(Self::BLOCK);
        if block >= self.blocks.len() {
            let mut firsts = (10_000..16_000).step_by(Self::BLOCK.into());
            let free = |port| UdpSocket::bind(loopback(port)).ok();
            match firsts.find_map(free) {
                Some(claim) => self.blocks.push(claim),
                None => self.given = 0,
            }
        }
        let block = &self.blocks[self.given / usize::from(Self::BLOCK)];
        let first = block.local_addr().expect("it is bound").port();
        let port = first + (self.given % usize::from(Self::BLOCK)) as u16;
        self.given += 1;
        port
    }
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// Asks again and again until it holds; false after half a minute, which is long enough
/// for a machine that has much else to do.
pub(crate) fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    (0..3_000).any(|_| {
        let held = holds();
        if !held {
            sleep(Duration::from_millis(10));
        }
        held
    })
}
