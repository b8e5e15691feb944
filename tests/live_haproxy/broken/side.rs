//! One of the two proxies, with its servers and its log.

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::connection::Connection;
use super::origin::{self, Reached, short};
use super::row::{Row, Step};
use crate::program::Program;
use crate::support::configuration::Folder;
use crate::support::{eventually, free_address, wire};

/// The doors of the rows.
const CONFIGURATION: &str = r#"
global
  stats socket SOCKET level admin
  log LOG format raw local3
defaults
  mode http
  log global
  timeout connect 1s
  timeout client 2s
  timeout server 1500ms
  timeout http-request 1s
  timeout http-keep-alive 700ms
  timeout queue 700ms
  http-reuse never
  log-format "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %U %CC %CS %tsc %rc %sq/%bq %hr %hs %{+Q}r"
frontend web
  bind LISTEN
  capture request header X-A len 10
  capture response header X-B len 10
  capture cookie C len 8
  http-request deny if { path_end /deny }
  http-request deny deny_status 500 if { path_end /deny500 }
  stats uri /stats
  stats http-request deny if { hdr(x-a) no }
  use_backend dead if { path_end /dead }
  use_backend none if { path_end /none }
  default_backend app
frontend proxied
  bind LISTEN accept-proxy
  default_backend app
frontend impatient
  bind LISTEN
  timeout client 700ms
  default_backend app
frontend asked
  bind LISTEN
  stats uri /stats
  stats auth u:p
  default_backend app
frontend slow-server
  bind LISTEN
  timeout client 700ms
  default_backend slow
frontend no-server-timeout
  bind LISTEN
  timeout client 700ms
  default_backend endless
listen abort
  bind LISTEN
  option abortonclose
  server s SERVER
listen abort-dead
  bind LISTEN
  option abortonclose
  retries 2
  server s 127.0.0.1:1
frontend sticky
  bind LISTEN
  default_backend sticky
backend app
  server s SERVER
backend slow
  timeout server 4s
  server s SERVER
backend endless
  timeout server 0
  server s SERVER
backend sticky
  cookie SRV insert indirect
  server s SERVER cookie a
backend dead
  retries 1
  server s 127.0.0.1:1
backend none
"#;

/// Those that each row has of its own: there is one slot.
const ALONE: &[(&str, &str)] = &[
    ("queue", "http"),
    ("queue-abort", "http\n option abortonclose"),
    ("raw-queue", "tcp"),
    ("raw-queue-abort", "tcp\n option abortonclose"),
];

/// Those in mode tcp.
const RAW: &str = r#"
defaults raw
  mode tcp
  log global
  timeout connect 1s
  timeout client 1s
  timeout server 1500ms
  timeout queue 700ms
  log-format "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %U %ts %rc %sq/%bq"
listen raw
  bind LISTEN
  server s SERVER
listen raw-patient
  bind LISTEN
  timeout client 3s
  server s SERVER
listen raw-dead
  bind LISTEN
  retries 1
  server s 127.0.0.1:1
listen raw-dead-abort
  bind LISTEN
  option abortonclose
  retries 1
  server s 127.0.0.1:1
listen raw-proxied
  bind LISTEN accept-proxy
  server s SERVER
"#;

/// Columns of `show stat` that are compared.
const COUNTS: [&str; 15] = [
    "scur",
    "qcur",
    "stot",
    "dreq",
    "dresp",
    "ereq",
    "econ",
    "eresp",
    "wretr",
    "wredis",
    "req_tot",
    "cli_abrt",
    "srv_abrt",
    "conn_tot",
    "intercepted",
];

/// What came of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    answer: String,
    reached: Vec<String>,
    pub(super) log: Vec<String>,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            answer,
            reached,
            log,
        } = self;
        let answer = answer.replace(['\r', '\n'], "");
        write!(
            f,
            "{answer} | {} | {}",
            reached.join(" & "),
            log.join(" & ")
        )
    }
}

type Start = fn(&str, &Folder, &[&str], Vec<SocketAddr>) -> Program;
/// Of a door and the port of a client.
type Lines = Arc<Mutex<HashMap<(String, u16), Vec<String>>>>;

pub(super) struct Side {
    pub(super) program: Program,
    doors: Vec<String>,
    rows: Arc<Vec<Row>>,
    reached: Reached,
    log: Lines,
    _folder: Folder,
}

impl Side {
    pub(super) fn start(name: &str, rows: &Arc<Vec<Row>>, start: Start) -> Self {
        let folder = Folder::new(&format!("broken-{name}"));
        let (server, reached) = origin::start(Arc::clone(rows));
        let (at, log) = collect();
        let sections = |is_raw| {
            let rows = rows
                .iter()
                .enumerate()
                .filter(move |(_, row)| row.is_raw() == is_raw);
            let own = rows.filter_map(|(number, row)| {
                let (name, mode) = ALONE.iter().find(|(name, _)| row.door == *name)?;
                Some(format!(
                    "listen {name}-{number}\n bind LISTEN\n mode {mode}\n server s SERVER maxconn 1\n"
                ))
            });
            own.collect::<String>()
        };
        let mut text = [CONFIGURATION, &sections(false), RAW, &sections(true)].concat();
        text = text.replace("SERVER", &server.to_string());
        text = text.replace("LOG", &at.to_string());
        text = text.replace("SOCKET", &folder.file("stats.sock").display().to_string());
        let mut listen = Vec::new();
        while text.contains("LISTEN") {
            let address = free_address();
            text = text.replacen("LISTEN", &address.to_string(), 1);
            listen.push(address);
        }
        let sections = text.lines().filter_map(|line| {
            line.strip_prefix("frontend ")
                .or(line.strip_prefix("listen "))
        });
        let doors = sections.map(str::to_owned).collect();
        let program = start(&text, &folder, &[], listen);
        Self {
            program,
            doors,
            rows: Arc::clone(rows),
            reached,
            log,
            _folder: folder,
        }
    }

    fn door_name(&self, number: usize) -> String {
        let name = &self.rows[number].door;
        let own = format!("{name}-{number}");
        let mut doors = self.doors.iter();
        let found = doors.find(|door| *door == name || **door == own);
        found.unwrap_or_else(|| panic!("no door {name}")).clone()
    }

    fn door(&self, number: usize) -> SocketAddr {
        let name = self.door_name(number);
        let place = self.doors.iter().position(|door| *door == name);
        self.program.address(place.expect("it has been found"))
    }

    /// Plays a row; tells the answer and the port of the client.
    pub(super) fn play(&self, number: usize) -> (String, u16) {
        self.reached.forget(number);
        let row = &self.rows[number];
        let connect =
            || Connection::new(TcpStream::connect(self.door(number)).expect("it listens"));
        let mut first = None;
        if let Some(Step::First(bytes)) = row.client.first().map(|step| step.filled(number, 0)) {
            first.insert(connect()).send(&bytes);
            let has_slot = || !self.reached.of(number).is_empty();
            assert!(eventually(has_slot), "{}", row.name);
        }
        let mut client = connect();
        let port = client.port();
        // Another row may have had it, or who asked whether it runs.
        self.forget(number, port);
        let steps: Vec<_> = row
            .client
            .iter()
            .map(|step| step.filled(number, port))
            .collect();
        if steps.iter().all(|step| client.act(step)) {
            client.hear_all();
        } else if first.is_some() {
            // It has its slot for as long as it is seen that the other one has left.
            thread::sleep(Duration::from_millis(700));
        }
        let is_head = steps
            .iter()
            .any(|step| matches!(step, Step::Send(bytes) if bytes.starts_with(b"HEAD ")));
        let answer = if row.is_raw() {
            short(&client.heard)
        } else {
            let outcome = wire::outcome(&client.heard, is_head);
            if outcome.len() > 800 {
                short(&client.heard)
            } else {
                outcome
            }
        };
        (answer, port)
    }

    /// What has come of it so far.
    pub(super) fn seen(&self, number: usize, (answer, port): &(String, u16)) -> Seen {
        let log = self.log.lock().expect("nobody panics");
        let log = log.get(&(self.door_name(number), *port)).cloned();
        let log = log.unwrap_or_default();
        let mark = format!("/row{number:03}/");
        let unnumbered = |text: &str| text.replace(&mark, "/row/");
        let log = log.iter().map(|line| unnumbered(&normalised(line)));
        let mut log: Vec<_> = log.collect();
        let reached = self.reached.of(number);
        let mut reached: Vec<_> = reached.iter().map(|text| unnumbered(text)).collect();
        // Two connections are in no order.
        reached.sort();
        log.sort();
        Seen {
            answer: answer.clone(),
            reached,
            log,
        }
    }

    /// Whether nobody is there any more.
    pub(super) fn is_quiet(&self) -> bool {
        let counts = self.counts();
        let mut here = counts.iter().filter(|(key, _)| key.ends_with(" scur"));
        here.all(|(_, count)| *count == 0)
    }

    /// What is counted: of each frontend, backend and server.
    pub(super) fn counts(&self) -> Counts {
        let csv = self.program.ask("show stat");
        let mut lines = csv.lines();
        let header = lines.next().unwrap_or_default();
        let names: Vec<_> = header.trim_start_matches("# ").split(',').collect();
        let mut counts = BTreeMap::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let cells: Vec<_> = line.split(',').collect();
            for (name, cell) in names.iter().zip(&cells) {
                let is_count = COUNTS.contains(name) || name.starts_with("hrsp_");
                if is_count {
                    let key = format!("{}/{} {name}", cells[0], cells[1]);
                    counts.insert(key, cell.parse().unwrap_or(-1));
                }
            }
        }
        counts
    }

    pub(super) fn forget(&self, number: usize, port: u16) {
        let door = self.door_name(number);
        self.log
            .lock()
            .expect("nobody panics")
            .remove(&(door, port));
    }
}

pub(super) type Counts = BTreeMap<String, i64>;

/// By how much counts have grown.
pub(super) fn difference(before: &Counts, after: &Counts) -> Counts {
    let grown = after.iter().map(|(key, count)| {
        let count = count - before.get(key).copied().unwrap_or(0);
        (key.clone(), count)
    });
    grown.collect()
}

/// Takes log lines, by the ports of clients.
fn collect() -> (SocketAddr, Lines) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    let address = socket.local_addr().expect("it has an address");
    let lines = Lines::default();
    let told = Arc::clone(&lines);
    thread::spawn(move || {
        let mut line = vec![0; 65_536];
        while let Ok(length) = socket.recv(&mut line) {
            let line = String::from_utf8_lossy(&line[..length])
                .trim_end()
                .to_owned();
            if let Some(key) = key_of(&line) {
                told.lock()
                    .expect("nobody panics")
                    .entry(key)
                    .or_default()
                    .push(line);
            }
        }
    });
    (address, lines)
}

fn key_of(line: &str) -> Option<(String, u16)> {
    let mut words = line.split(' ');
    let port = words.next()?.rsplit_once(':')?.1.parse().ok()?;
    let door = words.nth(1)?.split('/').next()?;
    Some((door.to_owned(), port))
}

/// A line without ports, dates, times, and bytes of answers that the proxy makes itself.
fn normalised(line: &str) -> String {
    let mut words: Vec<String> = line.split(' ').map(squeezed).collect();
    if let Some(colon) = words[0].rfind(':') {
        words[0].truncate(colon);
    }
    words.remove(1);
    let times = words.get(3).cloned().unwrap_or_default();
    let times: Vec<_> = times.split('/').collect();
    let is_number = |time: &&str| time.parse::<i64>().is_ok();
    if times.len() < 2 || !times.iter().all(is_number) {
        // Why it is turned away at a door, in words of each one's own.
        words.truncate(2);
        return words.join(" ");
    }
    if words[1].contains("queue") && times.contains(&"-1") {
        // Whether a server that was never reached is named depends on who notices first.
        words[2] = words[2].replace("/<NOSRV>", "/s");
    }
    let is_unanswered = times.len() == 5 && times[3] == "-1" && words[5] != "0";
    let is_own = is_unanswered || line.contains("/<STATS> ");
    let is_large = words[5].len() > 6;
    let times = times
        .iter()
        .map(|time| if *time == "-1" { "-1" } else { "N" });
    words[3] = times.collect::<Vec<_>>().join("/");
    if is_own || is_large {
        words[5] = if is_own { "OWN" } else { "MANY" }.into();
    }
    words.join(" ")
}

/// Long words are cut somewhere.
fn squeezed(word: &str) -> String {
    if word.len() > 800 {
        word[..100].to_owned()
    } else {
        word.to_owned()
    }
}
