//! `examples/proxy -f` under test: the published configurations, on free ports.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::{Running, example, free_address};

/// A folder that goes away with this value.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("stickroute-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // What a process of the same number left would be taken for this one's.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("there is a place for temporary files");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it is small and harmless.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The path of a published configuration.
pub(crate) fn published(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/configs");
    folder.join(format!("{name}.cfg"))
}

/// The text of a published configuration, on free ports and with paths in the folder.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) text: String,
    /// What each port has become.
    ports: BTreeMap<u16, SocketAddr>,
    pub(crate) socket: PathBuf,
}

impl Moved {
    /// `servers` are in the places of ports 9001 and 9002.
    pub(crate) fn new(name: &str, folder: &Folder, servers: [SocketAddr; 2]) -> Self {
        let mut text = fs::read_to_string(published(name)).expect("it is published");
        let mut ports = BTreeMap::from([(9001, servers[0]), (9002, servers[1])]);
        for old in (8001..=8008).chain([10_001, 10_002]) {
            if text.contains(&format!(":{old}")) {
                ports.insert(old, free_address());
            }
        }
        for (old, new) in &ports {
            text = text.replace(&format!(":{old}"), &format!(":{}", new.port()));
        }
        let socket = folder.file("stats.sock");
        text = text.replace("/tmp/stickroute-05.sock", &socket.display().to_string());
        Self {
            text,
            ports,
            socket,
        }
    }

    /// Where the only frontend listens.
    pub(crate) fn listen(&self) -> SocketAddr {
        *self.ports.values().next().expect("it has a frontend")
    }
}

/// The program with a configuration, ready to serve.
pub(crate) fn run(text: &str, folder: &Folder, arguments: &[&str]) -> Running {
    static PROXY: OnceLock<PathBuf> = OnceLock::new();
    let file = folder.file("proxy.cfg");
    fs::write(&file, text).expect("the folder can be written to");
    let mut command = Command::new(PROXY.get_or_init(|| example("proxy")));
    command.args(arguments).arg("-f").arg(&file);
    command.stderr(Stdio::null());
    let sockets = text.lines().map(str::trim_start);
    let sockets =
        sockets.filter(|line| line.starts_with("bind") || line.starts_with("stats socket"));
    let lines = sockets.count() + 1;
    let running = Running::start(&mut command, lines);
    let last = running.lines.last().map(String::as_str);
    assert_eq!(last, Some("ready"), "{text}");
    running
}

/// Asks at a Unix socket.
pub(crate) fn ask(socket: &Path, line: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("it listens");
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    // It may have answered and gone already.
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
