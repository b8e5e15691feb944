//! The two proxies: how each is told the same configuration.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::client::STATE;
use crate::origin::Origin;
use crate::scenario::Scenario;
use crate::support::{self, Running};

/// How long both wait for a connection, and before a retry, in milliseconds.
const CONNECT_TIMEOUT: u32 = 60;

/// A proxy that runs.
pub(crate) struct Side {
    pub(crate) listen: SocketAddr,
    pub(crate) control: SocketAddr,
    /// What it logs; nothing for HAProxy, which tells in its answers.
    log: Receiver<String>,
    _program: Running,
}

impl Side {
    /// Cookie states and retries of the last request, as the log tells them: ours is
    /// `... (DI), retries 2, redispatched, status 200 ...`.
    pub(crate) fn logged_state(&self) -> String {
        let Ok(line) = self.log.recv_timeout(Duration::from_secs(60)) else {
            return "not logged".into();
        };
        let behind = |mark: &str, end: char| {
            let rest = line.split_once(mark).unwrap_or_default().1;
            rest.split(end).next().unwrap_or_default().to_owned()
        };
        let moved = if line.contains(", redispatched,") {
            "+"
        } else {
            ""
        };
        format!("{}/{moved}{}", behind("(", ')'), behind("retries ", ','))
    }
}

/// Fails with a hint when HAProxy is not installed.
pub(crate) fn version() -> String {
    let output = Command::new("haproxy").arg("-v").output();
    let output = output.unwrap_or_else(|error| {
        panic!(
            "this test runs a real HAProxy, and `haproxy` does not start ({error}); \
             install it, on Debian with `apt-get install haproxy`"
        )
    });
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().unwrap_or_default().to_owned()
}

/// Starts HAProxy.
pub(crate) fn haproxy(scenario: &Scenario, origins: &[Origin], folder: &Path) -> Side {
    start(folder, |listen, control| {
        configuration(scenario, origins, listen, control)
    })
}

/// Starts HAProxy with the configuration for its two addresses.
pub(crate) fn start(
    folder: &Path,
    configuration: impl FnOnce(SocketAddr, SocketAddr) -> String,
) -> Side {
    let (listen, control) = (support::free_address(), support::free_address());
    let file = write(folder, &configuration(listen, control));
    let mut command = Command::new("haproxy");
    command
        .arg("-db")
        .arg("-f")
        .arg(&file)
        .stderr(Stdio::null());
    let mut program = Running::start(&mut command, 0);
    let is_up = support::eventually(|| {
        TcpStream::connect(control).is_ok() && TcpStream::connect(listen).is_ok()
    });
    let ended = program.child().try_wait().expect("its state can be asked");
    assert!(
        is_up && ended.is_none(),
        "haproxy -f {} does not run",
        file.display()
    );
    Side {
        listen,
        control,
        log: mpsc::channel().1,
        _program: program,
    }
}

fn write(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join("haproxy.cfg");
    fs::write(&file, text).expect("the folder can be written to");
    file
}

fn configuration(
    scenario: &Scenario,
    origins: &[Origin],
    listen: SocketAddr,
    control: SocketAddr,
) -> String {
    let mut text = format!(
        "global\n  nbthread 1\n  stats socket ipv4@{control} level admin\n\
         defaults\n  mode http\n  timeout client 10m\n  timeout server 10m\n  \
         timeout connect {CONNECT_TIMEOUT}ms\n\
         frontend web\n  bind {listen}\n  default_backend app\n\
         backend app\n  http-after-response set-header {STATE} \"%tsc/%rc\"\n"
    );
    let mut line = |words: String| writeln!(text, "  {words}").expect("a string takes it");
    line(format!("balance {}", scenario.balance));
    line(format!("retries {}", scenario.retries));
    if let Some(words) = scenario.hash_type {
        line(format!("hash-type {words}"));
    }
    if let Some(words) = scenario.cookie {
        line(format!("cookie {words}"));
    }
    if let Some(key) = scenario.dynamic_cookie_key {
        line(format!("dynamic-cookie-key '{key}'"));
    }
    if let Some(interval) = scenario.redispatch {
        line(format!("option redispatch {interval}"));
    }
    if scenario.persist {
        line("option persist".into());
    }
    if scenario.allbackups {
        line("option allbackups".into());
    }
    for server in servers(scenario, origins) {
        line(format!("server {server}"));
    }
    text
}

fn servers(scenario: &Scenario, origins: &[Origin]) -> impl Iterator<Item = String> {
    let described = origins.iter().zip(scenario.servers);
    described.map(|(origin, words)| format!("{} {} {words}", origin.name(), origin.address()))
}

/// Starts the example.
pub(crate) fn stickroute(scenario: &Scenario, origins: &[Origin], program: &Path) -> Side {
    let mut command = Command::new(program);
    command.stderr(Stdio::piped());
    command.args(["--admin", "127.0.0.1:0", "--balance", scenario.balance]);
    command.arg("--retries").arg(scenario.retries.to_string());
    command
        .arg("--connect-timeout")
        .arg(CONNECT_TIMEOUT.to_string());
    let texts = [
        ("--hash-type", scenario.hash_type),
        ("--cookie", scenario.cookie),
        ("--dynamic-cookie-key", scenario.dynamic_cookie_key),
    ];
    for (option, text) in texts {
        command.args(text.map(|text| [option, text]).into_iter().flatten());
    }
    if let Some(interval) = scenario.redispatch {
        command.arg("--redispatch").arg(interval.to_string());
    }
    if scenario.persist {
        command.arg("--persist");
    }
    if scenario.allbackups {
        command.arg("--allbackups");
    }
    for server in servers(scenario, origins) {
        command.arg("--server").arg(server);
    }
    let mut program = Running::start(&mut command, 2);
    Side {
        listen: program.address("http://"),
        control: program.address("control "),
        log: log_of(program.child()),
        _program: program,
    }
}

/// Its log lines, without the warnings it begins with.
fn log_of(child: &mut Child) -> Receiver<String> {
    let log = child.stderr.take().expect("its log is a pipe");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(log).lines().map_while(Result::ok);
        for line in lines.filter(|line| !line.starts_with("proxy: ")) {
            // When nobody listens any more the pipe is still to be emptied.
            let _ = sender.send(line);
        }
    });
    receiver
}
