//! Hundreds of clients at once, good ones and others, before servers that are no better:
//! nobody gets what is somebody else's, and nothing is left behind.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::connection::Connection;
use super::row::Step;
use crate::generator::Random;
use crate::program::Program;
use crate::support::configuration::Folder;
use crate::support::{eventually, free_address, wire};

const CONFIGURATION: &str = "\
global
  stats socket SOCKET level admin
defaults
  timeout connect 2s
  timeout client 10s
  timeout server 10s
  timeout http-request 2s
  timeout http-keep-alive 500ms
  timeout queue 20s
frontend web
  mode http
  bind LISTEN
  default_backend app
frontend proxied
  mode http
  bind LISTEN accept-proxy
  default_backend app
backend app
  mode http
  http-reuse always
  option abortonclose
  server s1 SERVER maxconn 8
  server s2 SERVER maxconn 8
listen raw
  mode tcp
  bind LISTEN
  server s SERVER maxconn 30
";

const CLIENTS: usize = 400;

/// A server that says what it was asked for, and more or less than that.
fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_all(stream));
        }
    });
    address
}

/// Until nobody asks any more, which is soon.
fn answer_all(mut stream: TcpStream) -> Option<()> {
    let limit = Some(Duration::from_millis(400));
    stream.set_read_timeout(limit).ok()?;
    let mut heard = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = wire::find(&heard, b"\r\n\r\n") {
                break end + 4;
            }
            more(&mut stream, &mut heard)?;
        };
        let rest = heard.split_off(end);
        let head = String::from_utf8_lossy(&heard).into_owned();
        heard = rest;
        let length =
            wire::field(&head, "content-length").map_or(0, |text| text.parse().unwrap_or(0));
        while heard.len() < length {
            more(&mut stream, &mut heard)?;
        }
        let body: Vec<u8> = heard.drain(..length).collect();
        let path = head.split(' ').nth(1)?;
        let text = format!("[[{path} {}]]", String::from_utf8_lossy(&body));
        let size = text.len();
        let answer = match path.split('/').nth(1)? {
            "cut" => format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
                size + 10
            ),
            "more" => format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{text}HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n[[evil]]"
            ),
            "junk" => format!("{text}\r\n\r\n"),
            "chunk" => format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size:x}\r\n{text}\r\nzz\r\n[[evil]]"
            ),
            "gone" => return None,
            "late" => {
                thread::sleep(Duration::from_millis(50));
                format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{text}")
            }
            _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{text}"),
        };
        stream.write_all(answer.as_bytes()).ok()?;
        if path.starts_with("/cut/") || path.starts_with("/junk/") {
            return None;
        }
    }
}

fn more(stream: &mut TcpStream, heard: &mut Vec<u8>) -> Option<()> {
    let mut bytes = [0; 4_096];
    let count = stream.read(&mut bytes).ok().filter(|count| *count > 0)?;
    heard.extend_from_slice(&bytes[..count]);
    Some(())
}

/// What clients do, and whether they are to be answered.
const MANNERS: &[(&[&str], bool)] = &[
    (&[r"> GET /ok$R/ HTTP/1.1$H\r\n", "again"], true),
    (
        &[
            r"> POST /ok$R/ HTTP/1.1$HContent-Length: 5\r\n\r\nhello",
            "again",
        ],
        true,
    ),
    (&[r"> GET /late$R/ HTTP/1.1$H\r\n", "again"], true),
    (
        &[
            r"> GET /late$R/ HTTP/1.1$H\r\nGET /ok$R/ HTTP/1.1$H\r\n",
            "again",
        ],
        true,
    ),
    (&[r"> GET /more$R/ HTTP/1.1$H\r\n", "again"], true),
    (&[r"> GET /cut$R/ HTTP/1.1$H\r\n"], true),
    (&[r"> GET /junk$R/ HTTP/1.1$H\r\n", "again"], false),
    (&[r"> GET /chunk$R/ HTTP/1.1$H\r\n"], false),
    (&[r"> GET /gone$R/ HTTP/1.1$H\r\n", "again"], false),
    (&[r"> GET /late$R/ HTTP/1.1$H\r\n", "reset"], false),
    (
        &[r"> GET /late$R/ HTTP/1.1$H\r\n", "wait 20", "close"],
        false,
    ),
    (&[r"> GET /late$R/ HTTP/1.1$H\r\n", "half"], false),
    (
        &[
            r"> POST /ok$R/ HTTP/1.1$HContent-Length: 50\r\n\r\nhel",
            "wait 30",
            "reset",
        ],
        false,
    ),
    (
        &[
            r"> POST /ok$R/ HTTP/1.1$HContent-Length: 50\r\n\r\nhel",
            "wait 30",
            "close",
        ],
        false,
    ),
    (
        &[
            r"> POST /ok$R/ HTTP/1.1$HContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /ok/evil HTTP/1.1$H\r\n",
        ],
        true,
    ),
    (
        &[
            r"> POST /ok$R/ HTTP/1.1$HTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "wait 20",
            r"> zz\r\n",
        ],
        false,
    ),
    (&[r"> GET /ok$R/ HTTP/1.1\r\nHost"], false),
    (&[r"> GET /o k$R/ HTTP/1.1$H\r\n", "again"], false),
    (&[r"> GET /ok$R/ HTTP/1.1$HX: {a*20000}\r\n\r\n"], false),
    (&["close"], false),
];

/// What a client of this number hears at a door, and what is wrong with that.
fn play(number: usize, manner: usize, to: SocketAddr, is_proxied: bool) -> Option<String> {
    let (lines, is_answered) = MANNERS[manner];
    let mut client = Connection::new(TcpStream::connect(to).expect("it listens"));
    if is_proxied {
        client.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    }
    let mut steps = lines.iter().map(|line| Step::parse(line).filled(number, 0));
    if steps.all(|step| client.act(&step)) {
        client.hear_all();
    }
    let heard = String::from_utf8_lossy(&client.heard);
    let own = format!("/row{number:03}/");
    let mut texts = heard.split("[[").skip(1).peekable();
    let is_wrong = is_answered && texts.peek().is_none() || texts.any(|text| !text.contains(&own));
    is_wrong.then(|| format!("{lines:?}: {heard}"))
}

/// Descriptors of a process.
fn descriptors(process: u32) -> usize {
    let all = fs::read_dir(format!("/proc/{process}/fd"));
    all.expect("it runs").count()
}

/// What there is at this moment, of connections and those who wait.
fn present(program: &Program) -> Vec<String> {
    let csv = program.ask("show stat");
    let rows = csv.lines().skip(1).filter(|line| !line.is_empty());
    let cells = rows.map(|line| {
        let cells: Vec<_> = line.split(',').collect();
        format!(
            "{}/{} qcur {} scur {}",
            cells[0], cells[1], cells[2], cells[4]
        )
    });
    let left = cells.filter(|text| {
        !text.ends_with("scur 0") || !(text.contains("qcur 0 ") || text.contains("qcur  "))
    });
    let info = program.ask("show info");
    let clients = info.lines().find(|line| line.starts_with("CurrConns: "));
    // Who asks may be one of them.
    let clients = clients.filter(|line| !["CurrConns: 0", "CurrConns: 1"].contains(line));
    left.chain(clients.map(str::to_owned)).collect()
}

#[test]
#[ignore = "beside the tests with a real HAProxy, as it takes a while"]
fn nothing_leaks_and_nothing_stays() {
    let _machine = super::machine();
    let folder = Folder::new("leak");
    let listen: Vec<_> = (0..3).map(|_| free_address()).collect();
    let mut text = CONFIGURATION.replace("SERVER", &serve().to_string());
    text = text.replace("SOCKET", &folder.file("stats.sock").display().to_string());
    for address in &listen {
        text = text.replacen("LISTEN", &address.to_string(), 1);
    }
    let mut program = Program::ours(&text, &folder, &[], listen.clone());
    let process = program.process();
    assert!(eventually(|| present(&program).is_empty()));
    let before = descriptors(process);
    for round in 0..2 {
        let mut random = Random(crate::seed() + round);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| (number, number % MANNERS.len(), random.below(8)))
            .collect();
        let wrong: Vec<String> = thread::scope(|scope| {
            let clients = clients.into_iter().map(|(number, manner, door)| {
                let door = [0, 0, 0, 0, 0, 1, 1, 2][door];
                let to = listen[door];
                scope.spawn(move || (door, play(number, manner, to, door == 1)))
            });
            let clients: Vec<_> = clients.collect();
            let heard = clients
                .into_iter()
                .map(|client| client.join().expect("nobody panics"));
            // In mode tcp everything goes through as it is.
            heard
                .filter_map(|(door, wrong)| wrong.filter(|_| door != 2))
                .collect()
        });
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let is_over = || present(&program).is_empty() && descriptors(process) <= before;
        let left = || (present(&program), descriptors(process), before);
        assert!(eventually(is_over), "{:?}", left());
    }
}
