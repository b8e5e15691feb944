//! What tests of `examples/proxy -f` in service share.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use rustix::process::Pid;

use crate::client;
use crate::server::{latin1, page, serve};
use crate::support::configuration::Folder;
use crate::support::{Running, eventually, example};

pub(crate) const TIMEOUTS: &str = "\
defaults\n mode http\n timeout client 20s\n timeout connect 5s\n timeout server 20s\n";

/// A configuration before one server.
pub(crate) fn before(server: SocketAddr, lines: &str) -> String {
    format!("{TIMEOUTS}listen web\n server s {server}\n{lines}")
}

/// The program, which is built once.
pub(crate) fn proxy() -> &'static Path {
    static PROXY: OnceLock<PathBuf> = OnceLock::new();
    PROXY.get_or_init(|| example("proxy"))
}

/// The program with a file `x.cfg` of a folder and arguments, run to its end.
pub(crate) fn run_with(folder: &Folder, arguments: &[&str]) -> Output {
    let mut command = Command::new(proxy());
    command.current_dir(folder.file("")).args(arguments);
    client::run(&mut command)
}

pub(crate) fn pid(running: &mut Running) -> Pid {
    Pid::from_child(running.child())
}

/// Whether it ends by itself, and how.
pub(crate) fn ended(running: &mut Running) -> Option<ExitStatus> {
    let mut status = None;
    let child = running.child();
    eventually(|| {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status
}

pub(crate) fn is_running(running: &mut Running) -> bool {
    running.child().try_wait().unwrap().is_none()
}

pub(crate) const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";

/// A server that answers when it is told to, one request after the other.
pub(crate) struct Told {
    pub(crate) address: SocketAddr,
    came: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
}

impl Told {
    pub(crate) fn new() -> Self {
        let (comes, came) = mpsc::channel();
        let (go, gone) = mpsc::channel();
        let address = serve(move |_| {
            // A test that has ended neither asks nor tells.
            let _ = comes.send(());
            let _ = gone.recv();
            page("")
        });
        Self { address, came, go }
    }

    /// Waits for a request.
    pub(crate) fn wait(&self) {
        self.came.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    pub(crate) fn answer(&self) {
        self.go.send(()).unwrap();
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).unwrap();
    stream
}

/// Reads the answer of a server that shows a [`page`].
pub(crate) fn read_answer(stream: &mut impl Read) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b" bytes") {
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    latin1(&read)
}
