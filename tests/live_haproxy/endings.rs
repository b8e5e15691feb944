//! Sessions that are ended because a server goes down, another comes up, or an operator wants
//! it: HAProxy and `examples/proxy -f` end the same ones, and tell the same of them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::iter;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::checks;
use crate::program::Program;
use crate::support::{self, configuration::Folder};

const CONFIGURATION: &str = "
global
  stats socket SOCKET level admin
  log LOG format raw local0
defaults
  mode http
  log global
  retries 1
  option redispatch
  timeout connect 60s
  timeout client 60s
  timeout server 60s
  timeout queue 60s
frontend web
  bind LISTEN0
  log-format \"%{+Q}r %b/%s %ST %B %ts %rc\"
  default_backend app
frontend raw
  bind LISTEN1
  mode tcp
  log-format \"tcp %b/%s %B %ts %rc\"
  default_backend bytes
backend app
  cookie SRV insert
  server a SERVER cookie a on-marked-down shutdown-sessions
  server b SERVER cookie b on-marked-up shutdown-backup-sessions
  server none SERVER cookie none weight 0 on-marked-up shutdown-backup-sessions
  server slow SERVER cookie slow on-marked-up shutdown-backup-sessions slowstart 1h
  server short SERVER cookie short on-marked-up shutdown-backup-sessions slowstart 8s
  server left SERVER cookie left
  server one SERVER cookie one maxconn 1 on-marked-down shutdown-sessions
  server spare SERVER cookie spare backup
  server other SERVER cookie other backup on-marked-up shutdown-backup-sessions
backend bytes
  mode tcp
  server t SERVER on-marked-down shutdown-sessions
";

/// The server of the sessions, what an operator says before they begin and then, and how many of
/// them that ends. Who is not ended by it is ended by `shutdown sessions`, which shows.
type Row = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    usize,
);

const ROWS: &[Row] = &[
    (
        "a",
        &[],
        &[
            "set server app/a state maint",
            "set server bytes/t state maint",
        ],
        6,
    ),
    (
        "a",
        &[],
        &[
            "set server app/a health down",
            "set server bytes/t health down",
        ],
        6,
    ),
    (
        "a",
        &[],
        &[
            "set server app/a state drain",
            "set server bytes/t state drain",
        ],
        0,
    ),
    ("a", &[], &["set server app/a health stopping"], 0),
    (
        "a",
        &["set server app/a state drain"],
        &["set server app/a state maint"],
        5,
    ),
    (
        "a",
        &["set server app/a state drain"],
        &["set server app/a health down"],
        5,
    ),
    (
        "left",
        &[],
        &[
            "set server app/left state maint",
            "shutdown sessions server app/none",
        ],
        0,
    ),
    (
        "spare",
        &["set server app/b health down"],
        &["set server app/b health up"],
        5,
    ),
    (
        "spare",
        &["set server app/b health stopping"],
        &["set server app/b health up"],
        5,
    ),
    (
        "spare",
        &["set server app/b state maint"],
        &["set server app/b state ready"],
        5,
    ),
    (
        "spare",
        &["set server app/b state maint"],
        &["set server app/b state drain"],
        5,
    ),
    (
        "spare",
        &["set server app/b state drain"],
        &["set server app/b state ready"],
        0,
    ),
    (
        "spare",
        &["set server app/none health down"],
        &["set server app/none health up"],
        0,
    ),
    (
        "spare",
        &["set server app/slow health down"],
        &["set server app/slow health up"],
        5,
    ),
    (
        "spare",
        &["set server app/other health down"],
        &["set server app/other health up"],
        0,
    ),
    (
        "b",
        &["set server app/slow health down"],
        &["set server app/slow health up"],
        0,
    ),
];

/// What sessions are doing when they are ended.
const PATHS: [&str; 5] = ["/head", "/length", "/chunks", "/tunnel", "/upload"];

#[test]
#[ignore = "runs a real HAProxy"]
fn both_end_the_same_sessions() {
    let folders = ["theirs", "ours"].map(|side| Folder::new(&format!("endings-{side}")));
    let theirs = Side::new(&folders[0], Program::haproxy);
    let ours = Side::new(&folders[1], Program::ours);
    for row in ROWS {
        let expected = theirs.play(row);
        assert_eq!(ours.play(row), expected, "{row:?}");
    }
    assert_eq!(ours.counted(), theirs.counted());
}

#[test]
#[ignore = "runs a real HAProxy"]
fn both_have_those_who_wait_go_elsewhere() {
    let folders = ["theirs", "ours"].map(|side| Folder::new(&format!("endings-queue-{side}")));
    let told = [
        Side::new(&folders[0], Program::haproxy).move_one(),
        Side::new(&folders[1], Program::ours).move_one(),
    ];
    assert_eq!(told[1], told[0]);
    assert!(told[0][0].contains("app/one 200 61 DD"), "{told:?}");
}

#[test]
#[ignore = "runs a real HAProxy"]
fn the_end_of_a_slow_start_ends_sessions_once_more() {
    let folders = ["theirs", "ours"].map(|side| Folder::new(&format!("endings-slow-{side}")));
    let told = [
        Side::new(&folders[0], Program::haproxy).start_slowly(),
        Side::new(&folders[1], Program::ours).start_slowly(),
    ];
    assert_eq!(told[1], told[0]);
    assert!(told[0][0].contains("app/spare 200 61 UD"), "{told:?}");
}

type Start = fn(&str, &Folder, &[&str], Vec<SocketAddr>) -> Program;

/// One of the two programs, with a server of its own.
struct Side {
    program: Program,
    log: UdpSocket,
    /// How many sessions have begun at the server.
    begun: Arc<AtomicUsize>,
}

impl Side {
    fn new(folder: &Folder, start: Start) -> Self {
        let begun = Arc::default();
        let server = server(&begun);
        let log = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let listen = vec![support::free_address(), support::free_address()];
        let text = CONFIGURATION
            .replace("SERVER", &server.to_string())
            .replace("LOG", &log.local_addr().unwrap().to_string())
            .replace("SOCKET", &folder.file("stats.sock").display().to_string())
            .replace("LISTEN0", &listen[0].to_string())
            .replace("LISTEN1", &listen[1].to_string());
        let program = start(&text, folder, &[], listen);
        log.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            program,
            log,
            begun,
        }
    }

    /// What is told of all sessions, and what their clients hear.
    fn play(&self, (server, before, then, ended): &Row) -> BTreeSet<String> {
        self.order(before);
        let begun = self.begun.load(SeqCst);
        let mut clients: Vec<_> = PATHS.iter().map(|path| self.open(path, server)).collect();
        clients.push(self.open("raw", ""));
        clients.iter_mut().for_each(Client::hear_beginning);
        let all = || self.begun.load(SeqCst) == begun + clients.len();
        assert!(support::eventually(all), "not all have come to {server}");
        self.order(then);
        let mut told = self.lines(*ended);
        let rest = format!("shutdown sessions server app/{server}");
        self.order(&[&rest, "shutdown sessions server bytes/t"]);
        told.extend(self.lines(clients.len() - ended));
        told.extend(clients.into_iter().map(Client::hear_end));
        self.order(&RESET);
        told.into_iter().collect()
    }

    /// What is told when a server with one session and one that waits is taken away.
    fn move_one(&self) -> Vec<String> {
        let mut first = self.open("/length", "one");
        first.hear_beginning();
        let mut second = self.open("/length", "one");
        let waits = || self.is_queued("1");
        assert!(support::eventually(waits), "nobody waits");
        self.order(&["set server app/one state maint"]);
        second.hear_beginning();
        let mut told = self.lines(1);
        told.push(first.hear_end());
        assert!(self.is_queued("0"));
        told
    }

    /// What is told of a session that comes to a backup server during a slow start.
    fn start_slowly(&self) -> Vec<String> {
        self.order(&[
            "set server app/short health down",
            "set server app/short health up",
        ]);
        let mut client = self.open("/length", "spare");
        client.hear_beginning();
        let mut told = self.lines(1);
        told.push(client.hear_end());
        told
    }

    fn is_queued(&self, count: &str) -> bool {
        let answer = self.program.ask("show stat app 4 -1");
        let rows = checks::rows(&answer, &["svname", "qcur"]);
        rows.contains(&vec!["one".to_owned(), count.to_owned()])
    }

    /// What the statistics say of the endings.
    fn counted(&self) -> Vec<Vec<String>> {
        let answer = self.program.ask("show stat app 6 -1");
        let columns = [
            "svname",
            "stot",
            "eresp",
            "srv_abrt",
            "hrsp_1xx",
            "hrsp_2xx",
            "hrsp_5xx",
            "hrsp_other",
        ];
        checks::rows(&answer, &columns)
    }

    fn order(&self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.program.ask(line).trim(), "", "{line}");
        }
    }

    fn open(&self, path: &'static str, server: &str) -> Client {
        let is_raw = path == "raw";
        let address = self.program.address(usize::from(is_raw));
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("{path} HTTP/1.1\r\nHost: h\r\nCookie: SRV={server}\r\n");
        let text = match path {
            "raw" => "raw".to_owned(),
            "/tunnel" => format!("GET {head}Connection: upgrade\r\nUpgrade: x\r\n\r\n"),
            "/upload" => format!("POST {head}Content-Length: 10\r\n\r\nabc"),
            _ => format!("GET {head}\r\n"),
        };
        stream.write_all(text.as_bytes()).unwrap();
        Client { path, stream }
    }

    /// The next lines of the log about sessions. Connections that were made to see whether it
    /// runs have no bytes, or no request.
    fn lines(&self, count: usize) -> Vec<String> {
        let mut bytes = [0; 4_096];
        let lines = iter::repeat_with(|| {
            let length = self.log.recv(&mut bytes).expect("all are told of");
            String::from_utf8_lossy(&bytes[..length])
                .trim_end()
                .to_owned()
        });
        let of_sessions = lines.filter(|line| {
            line.starts_with(['"', 't'])
                && !line.contains("<NOSRV>")
                && !line.contains(" bytes/t 0 ")
        });
        // Pages of the proxy's own have words of its own.
        let plain = |line: String| match line.split_once(" 502 ") {
            Some((before, after)) => format!("{before} 502 {}", after.split_once(' ').unwrap().1),
            None => line,
        };
        of_sessions.map(plain).take(count).collect()
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

const RESET: [&str; 7] = [
    "set server app/a health up",
    "set server app/a state ready",
    "set server app/left state ready",
    "set server app/b health up",
    "set server app/b state ready",
    "set server bytes/t health up",
    "set server bytes/t state ready",
];

/// One session, as its client sees it.
struct Client {
    path: &'static str,
    stream: TcpStream,
}

impl Client {
    /// Waits for what comes before the silence.
    fn hear_beginning(&mut self) {
        if !matches!(self.path, "/head" | "/upload") {
            let mut heard = Vec::new();
            while !heard.ends_with(b"0123456789") && !heard.ends_with(b"0123456789\r\n") {
                let mut byte = [0];
                self.stream.read_exact(&mut byte).expect("it has begun");
                heard.extend(byte);
            }
        }
    }

    /// What comes of it then: nothing, as a rule.
    fn hear_end(mut self) -> String {
        let mut heard = Vec::new();
        if self.path == "/head" {
            heard.resize("HTTP/1.1 502".len(), 0);
            self.stream.read_exact(&mut heard).expect("it is answered");
        } else {
            // A reset is an end as well.
            let _ = self.stream.read_to_end(&mut heard);
        }
        let text = String::from_utf8_lossy(&heard);
        format!("{}: {}", self.path, text.trim())
    }
}

/// A server that begins to do what the path says, and never ends it.
fn server(begun: &Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let begun = Arc::clone(begun);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let begun = Arc::clone(&begun);
            thread::spawn(move || serve(stream, &begun));
        }
    });
    address
}

fn serve(mut stream: TcpStream, begun: &AtomicUsize) {
    let mut seen = String::new();
    let is_whole = |seen: &str| match seen.split_once("\r\n\r\n") {
        Some((head, body)) => !head.contains("/upload") || body == "abc",
        None => seen == "raw",
    };
    while !is_whole(&seen) {
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes) {
            Ok(count @ 1..) => seen.push_str(&String::from_utf8_lossy(&bytes[..count])),
            _ => return,
        }
    }
    let answer = match seen.split(' ').nth(1) {
        None => "0123456789",
        Some("/length") => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789",
        Some("/chunks") => {
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"
        }
        Some("/tunnel") => {
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n0123456789"
        }
        Some(_) => "",
    };
    begun.fetch_add(1, SeqCst);
    let _ = stream.write_all(answer.as_bytes());
    // Until the proxy closes.
    let _ = stream.read_to_end(&mut Vec::new());
}
