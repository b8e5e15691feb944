//! Keeps servers, and kills one after the other.
//!
//!     keeper COUNT FIRST_PORT EVENTS STATS_SOCKET PERIOD_MS
//!
//! Starts `origin` so many times, as s1, s2 and so on, and prints `ready`. When the proxy
//! behind the stats socket has all of them up, it prints `up`; from then on one server is
//! killed each period, comes back half a period later, and is up again when the proxy says
//! so. All that is written to the events. A period of 0 kills nobody. However this ends, the
//! servers end with it.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use stickroute_load::now;

/// How often it is asked whether something has come true, and for how long.
const AGAIN: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(30);

struct Keeper {
    children: Vec<Child>,
    first_port: u16,
    events: File,
    stats: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, first_port, events, stats, period] = &arguments[..] else {
        return Err("expected COUNT FIRST_PORT EVENTS STATS_SOCKET PERIOD_MS".into());
    };
    let mut keeper = Keeper {
        children: Vec::new(),
        first_port: first_port.parse()?,
        events: File::create(events)?,
        stats: stats.into(),
    };
    let count: u16 = count.parse()?;
    for index in 0..count {
        let child = keeper.start(index)?;
        keeper.children.push(child);
    }
    println!("ready");
    for index in 0..count {
        keeper.wait_for(index)?;
    }
    println!("up");
    let period = Duration::from_millis(period.parse()?);
    if period.is_zero() {
        loop {
            thread::park();
        }
    }
    for index in (0..count).cycle() {
        let begun = Instant::now();
        sleep(period / 2);
        keeper.kill(index)?;
        sleep(period / 2);
        keeper.revive(index)?;
        keeper.wait_for(index)?;
        keeper.note("up", index)?;
        sleep(period.saturating_sub(begun.elapsed()));
    }
    Ok(())
}

impl Keeper {
    /// Starts one, and waits until it can be reached.
    fn start(&self, index: u16) -> Result<Child, Box<dyn Error>> {
        let program = std::env::current_exe()?.with_file_name("origin");
        let port = self.first_port + index;
        let is_open = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        if is_open() {
            return Err(format!("somebody else listens on port {port}").into());
        }
        let mut command = Command::new(program);
        command.args([name(index), port.to_string()]);
        let child = command.stdin(Stdio::piped()).spawn()?;
        wait(is_open)?;
        Ok(child)
    }

    /// It is noted before it happens, and what the proxy knows of it comes later.
    fn kill(&mut self, index: u16) -> io::Result<()> {
        self.note("down", index)?;
        let child = &mut self.children[usize::from(index)];
        child.kill()?;
        child.wait().map(drop)
    }

    fn revive(&mut self, index: u16) -> Result<(), Box<dyn Error>> {
        let child = self.start(index)?;
        self.children[usize::from(index)] = child;
        Ok(())
    }

    fn note(&mut self, what: &str, index: u16) -> io::Result<()> {
        // One write, so that no reader sees half a line.
        let line = format!("{} {what} {}\n", now(), name(index));
        self.events.write_all(line.as_bytes())
    }

    /// Until the proxy says that a server is up.
    fn wait_for(&self, index: u16) -> Result<(), Box<dyn Error>> {
        wait(|| self.is_up(&name(index)).unwrap_or(false))
    }

    fn is_up(&self, name: &str) -> io::Result<bool> {
        let mut stream = UnixStream::connect(&self.stats)?;
        stream.write_all(b"show servers state\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        // Number and name of the backend, those of the server, address, operational state.
        let lines = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let mut own = lines.filter(|words| words.get(3) == Some(&name));
        Ok(own.any(|words| words.get(5) == Some(&"2")))
    }
}

fn name(index: u16) -> String {
    format!("s{}", index + 1)
}

fn wait(holds: impl Fn() -> bool) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > PATIENCE {
            return Err("waited in vain".into());
        }
        sleep(AGAIN);
    }
    Ok(())
}
