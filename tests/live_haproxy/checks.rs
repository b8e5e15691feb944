//! What is told of health checks: `show stat` and the lines of the log about servers that
//! come and go, in HAProxy and in `examples/proxy -f`, which check the same servers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;

use crate::support::configuration::{self, Folder};
use crate::support::{self, Running};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: one, two\r\nX-A: three\r\n\r\nhi";
const GONE: &str = "HTTP/1.1 404 Not here\r\nContent-Length: 2\r\n\r\nhi";
const BAD: &str = "HTTP/1.1 500 Oh no\r\nContent-Length: 2\r\n\r\nhi";

/// What a section says of its checks behind `option httpchk`, and what its server answers to
/// everything: `!` is then the end of the connection, and an empty text silence.
const HTTP: &[(&str, &str)] = &[
    ("", OK),
    ("", BAD),
    ("", "HTTP/1.0 503\r\n\r\n!"),
    ("", "HTTP/1.0 200!"),
    ("", "nonsense\r\n\r\n!"),
    ("", "!"),
    ("", ""),
    ("disable-on-404", GONE),
    ("disable-on-404|expect status 404|expect string nope", GONE),
    ("expect string no", OK),
    ("expect ! string hi", OK),
    ("expect string x", "HTTP/1.0 204 OK\r\n\r\n!"),
    ("expect rstring ^h.$", OK),
    ("expect rstring ^i", OK),
    ("expect rstatus ^2..$", OK),
    ("expect ! rstatus 2", OK),
    ("expect status 200|expect string no", OK),
    ("expect status 200|comment cc|expect status 300", OK),
    ("expect status 201 comment cc", OK),
    ("expect hdr name X-A value two", OK),
    ("expect hdr name x-b", OK),
    ("expect ! fhdr name -m beg x- value -m reg e$", OK),
    ("expect ok-status L7OKC status 200", OK),
    ("expect ok-status L6OK status 200", OK),
    ("expect error-status L4CON status 201", OK),
    ("expect error-status L7OKC status 201", OK),
    ("expect tout-status L6TOUT status 200", ""),
    ("expect on-success fine status 200", OK),
    ("expect on-error bad comment cc status 201", OK),
    ("expect on-error bad status 200", "!"),
    (
        "connect linger|send meth GET|expect status 200|connect|send uri /b|expect status 300",
        OK,
    ),
    (
        "connect|send|expect ok-status L7OKC status 200|connect|send|expect status 200",
        OK,
    ),
    ("connect port 1", OK),
    ("connect send-proxy|send|expect rstring ^OPTIONS", OK),
];

/// The same behind `option tcp-check`.
const TCP: &[(&str, &str)] = &[
    ("", ""),
    ("connect", ""),
    ("connect port 1 comment here", ""),
    ("send PING|expect string +PONG", "+PONG\r\n"),
    ("send PING|expect string NO", "+PONG\r\n"),
    ("send PING|expect string NO", "+PONG\r\n!"),
    ("send PING|expect ! string NO comment cc", "NO"),
    ("send PING|expect string NO", "!"),
    ("comment dd|send a|expect rstring ^x", "y!"),
    ("comment dd|expect string x", ""),
    ("send-binary 50494e47|expect rbinary ^2B50", "+PONG"),
    ("send-binary 50494e47|expect ! rbinary ^2B50", "+PONG"),
    ("send-binary 50494e47|expect binary 2b51", "+PONG!"),
    ("send a|expect min-recv 1 string x", "y"),
    ("send a|expect on-success great string x", "x"),
    ("send a|expect on-error bad comment cc string x", "y!"),
    ("send a|expect ok-status L7OKC string x", "x"),
    ("send a|expect error-status L7STS string x", "!"),
    (
        "connect|send a|expect string x|connect|send b|expect string x",
        "x",
    ),
    ("connect send-proxy|send x|expect string TCP4", "PROXY"),
];

#[test]
#[ignore = "runs a real HAProxy"]
fn checks_are_told_as_in_haproxy() {
    let sections = sections();
    let [theirs, ours] = ["checks-theirs", "checks-ours"].map(|name| {
        let folder = Folder::new(name);
        let sink = UdpSocket::bind("127.0.0.1:0").expect("there is a port");
        let text = text(&sections, &folder, &sink);
        let running = if name.ends_with("ours") {
            configuration::run(&text, &folder, &[])
        } else {
            haproxy(&text, &folder)
        };
        let told = told(&folder, sections.len());
        drop(running);
        (told, logged(&sink))
    });
    for (number, section) in sections.iter().enumerate() {
        let name = format!("b{number}");
        assert_eq!(ours.0.get(&name), theirs.0.get(&name), "{section:?}");
        assert_eq!(ours.1.get(&name), theirs.1.get(&name), "{section:?}");
    }
    assert_eq!(theirs.0.len(), sections.len(), "not all were checked");
    assert!(theirs.1.len() > 25, "{:?}", theirs.1);
}

/// What a section says, and where its server is.
#[derive(Debug)]
struct Section {
    lines: String,
    server: SocketAddr,
}

fn sections() -> Vec<Section> {
    let http = HTTP.iter().map(|row| ("http", row));
    let tcp = TCP.iter().map(|row| ("tcp", row));
    let all = http.chain(tcp).map(|(kind, (rules, answer))| {
        let (option, prefix) = match kind {
            "http" => ("option httpchk", "http-check"),
            _ => ("option tcp-check", "tcp-check"),
        };
        let rules = rules.split('|').filter(|rule| !rule.is_empty());
        let mut lines = format!(" mode {kind}\n {option}\n");
        for rule in rules {
            let _ = writeln!(lines, " {prefix} {rule}");
        }
        let server = origin(answer);
        Section { lines, server }
    });
    all.collect()
}

/// A server that says the same to everything.
pub(crate) fn origin(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut bytes = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    // What it has got is a part of some answers.
                    let text = answer.strip_suffix('!').unwrap_or(answer);
                    let text = match text {
                        "PROXY" => bytes[..count].to_vec(),
                        text => text.as_bytes().to_vec(),
                    };
                    let _ = stream.write_all(&text);
                    if answer.ends_with('!') {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn text(sections: &[Section], folder: &Folder, sink: &UdpSocket) -> String {
    let log = sink.local_addr().expect("it is bound");
    let mut text = format!(
        "global\n nbthread 1\n log {log} format raw local0\n stats socket {}\n\
         defaults\n log global\n timeout connect 1s\n timeout client 9s\n timeout server 9s\n\
         listen web\n bind {}\n mode http\n",
        folder.file("s.sock").display(),
        support::free_address(),
    );
    for (number, Section { lines, server }) in sections.iter().enumerate() {
        let _ = write!(
            text,
            "backend b{number}\n{lines} server s {server} check inter 1s fall 1\n"
        );
    }
    text
}

pub(crate) fn haproxy(text: &str, folder: &Folder) -> Running {
    let file = folder.file("haproxy.cfg");
    fs::write(&file, text).expect("the folder can be written to");
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f"]).arg(&file);
    Running::start(command.stderr(Stdio::null()), 0)
}

/// What `show stat` says of each server when it has been checked and is not just now.
fn told(folder: &Folder, count: usize) -> BTreeMap<String, Vec<String>> {
    const COLUMNS: [&str; 10] = [
        "pxname",
        "status",
        "check_status",
        "check_code",
        "last_chk",
        "check_desc",
        "check_rise",
        "check_fall",
        "check_health",
        "mode",
    ];
    let socket = folder.file("s.sock");
    assert!(support::eventually(|| socket.exists()), "it does not run");
    let mut told = BTreeMap::new();
    support::eventually(|| {
        let answer = configuration::ask(&socket, "show stat -1 4 -1");
        for row in rows(&answer, &COLUMNS) {
            // A star is for a check under way.
            if row[2] != "INI" && !row[2].is_empty() && !row[2].starts_with('*') {
                told.insert(row[0].clone(), row);
            }
        }
        told.len() == count
    });
    told
}

/// Some columns of CSV without commas in cells.
pub(crate) fn rows(answer: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let mut lines = answer.trim_start_matches("# ").lines();
    let names: Vec<_> = lines.next().unwrap_or_default().split(',').collect();
    let row = |line: &str| {
        let cells: Vec<_> = line.split(',').collect();
        let cell = |name: &&str| {
            let column = names.iter().position(|it| it == name)?;
            cells.get(column).map(|cell| (*cell).to_owned())
        };
        columns.iter().map(cell).collect()
    };
    lines.filter_map(row).collect()
}

/// The lines about each section, without how long a check took.
pub(crate) fn logged(sink: &UdpSocket) -> BTreeMap<String, Vec<String>> {
    sink.set_nonblocking(true).expect("it can be set");
    let (mut lines, mut bytes) = (BTreeMap::<_, Vec<_>>::new(), [0; 4096]);
    while let Ok(count) = sink.recv(&mut bytes) {
        let line = String::from_utf8_lossy(&bytes[..count]);
        let (before, after) = line.split_once(", check duration: ").unwrap_or((&line, ""));
        let after = after.split_once("ms").map_or(after, |(_, after)| after);
        let mut words = line.split([' ', '/']);
        let name = words.find(|word| word.starts_with('b') && word.len() <= 3);
        if let Some(name) = name {
            let line = format!("{before}{after}").trim_end().to_owned();
            lines.entry(name.to_owned()).or_default().push(line);
        }
    }
    lines
}
