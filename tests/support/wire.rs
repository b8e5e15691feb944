//! Hostile bytes, what HAProxy 2.6.12 does with them, and what `examples/proxy` does where
//! that is something else, for a reason that docs/differences.md tells.
//!
//! `tests/examples` asks the example alone, `tests/live_haproxy` both.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// What a client sends, and what comes of it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) sent: Vec<u8>,
    pub(crate) then: Then,
    /// See [`outcome`].
    pub(crate) haproxy: &'static str,
    /// Where it is something else.
    ours: Option<&'static str>,
}

/// What the client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It asks once more, and then for the connection to be closed.
    AskAgain,
    Wait,
    CloseHalf,
    /// It waits, and has begun with a PROXY header.
    BeginWithProxy,
}

use Then::{AskAgain, BeginWithProxy, CloseHalf, Wait};

impl Row {
    fn parse(line: &'static str) -> Self {
        let words: Vec<_> = line.split(" |").map(str::trim).collect();
        let [name, sent, then, haproxy, ref ours @ ..] = words[..] else {
            panic!("four words or five: {line}");
        };
        Self {
            name,
            sent: bytes(sent),
            then: match then {
                "again" => AskAgain,
                "wait" => Wait,
                "half" => CloseHalf,
                "proxy" => BeginWithProxy,
                _ => panic!("no such word: {line}"),
            },
            haproxy,
            ours: ours.first().copied(),
        }
    }

    pub(crate) fn ours(&self) -> &'static str {
        self.ours.unwrap_or(self.haproxy)
    }

    /// What comes of it at `listen`, or at `proxied` if clients begin with a PROXY header
    /// there.
    pub(crate) fn play(&self, listen: SocketAddr, proxied: SocketAddr) -> String {
        let to = if self.then == BeginWithProxy {
            proxied
        } else {
            listen
        };
        let mut stream = TcpStream::connect(to).expect("it listens");
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).expect("it can be set");
        // It may be refused, and the connection closed, before all is written.
        let _ = stream.write_all(&self.sent);
        match self.then {
            AskAgain => {
                let _ = stream.write_all(LAST);
            }
            CloseHalf => {
                let _ = stream.shutdown(Shutdown::Write);
            }
            Wait | BeginWithProxy => {}
        }
        let mut received = Vec::new();
        // A connection that is reset has nothing more to say.
        let _ = stream.read_to_end(&mut received);
        outcome(&received, self.sent.starts_with(b"HEAD "))
    }
}

const LAST: &[u8] = b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// The configuration around a server, with frontends for `LISTEN` and `PROXIED`.
pub(crate) fn configuration(server: SocketAddr) -> String {
    format!(
        "defaults\n mode http\n timeout client 2s\n timeout connect 1s\n timeout server 1s\n \
         timeout http-request 1s\n timeout http-keep-alive 1s\n\
         frontend web\n bind LISTEN\n http-request deny if {{ path /deny }}\n \
         http-request deny deny_status 500 if {{ path /deny500 }}\n default_backend app\n\
         frontend proxied\n bind PROXIED accept-proxy\n default_backend app\n\
         backend app\n server s {server}\n"
    )
}

/// Plays all rows, some at a time, and returns those of which `expected` was something
/// else, with what was found.
pub(crate) fn failures(
    listen: SocketAddr,
    proxied: SocketAddr,
    expected: impl Fn(&Row) -> &'static str + Sync,
) -> Vec<String> {
    let rows = Mutex::new(rows());
    let found = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some(row) = rows.lock().expect("nobody panics").pop() else {
                return;
            };
            let outcome = row.play(listen, proxied);
            if outcome != expected(&row) {
                let text = format!("{}: {outcome:?} instead of {:?}", row.name, expected(&row));
                found.lock().expect("nobody panics").push(text);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(work);
        }
    });
    found.into_inner().expect("nobody panics")
}

/// The statuses that were received, each with its body if a server made it, `~` behind a
/// body that was cut off, and `+` at the end if the connection was good for another
/// request.
pub(crate) fn outcome(received: &[u8], is_head: bool) -> String {
    let mut words = Vec::new();
    let mut rest = received;
    while let Some(end) = find(rest, b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&rest[..end]).to_ascii_lowercase();
        rest = &rest[end + 4..];
        let status = head.get(9..12).unwrap_or_default().to_owned();
        let is_last = head.contains("x-last: ");
        let is_bare = status.starts_with('1') || status == "204" || status == "304";
        let (body, is_whole) = if is_bare || (is_head && !is_last) {
            (Vec::new(), true)
        } else {
            body(&head, &mut rest)
        };
        if is_last {
            words.push("+".to_owned());
            continue;
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        let body = if body.starts_with("<html>") {
            ""
        } else {
            &body
        };
        let cut = if is_whole { "" } else { "~" };
        let colon = if body.is_empty() { "" } else { ":" };
        words.push(format!("{status}{colon}{body}{cut}"));
    }
    words.join(" ")
}

pub(crate) fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let found = lines.find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

/// Takes a body, and tells whether it was all there.
pub(crate) fn body(head: &str, rest: &mut &[u8]) -> (Vec<u8>, bool) {
    if field(head, "transfer-encoding") == Some("chunked") {
        return chunks(rest);
    }
    let length = field(head, "content-length").and_then(|text| text.parse().ok());
    let length = length.unwrap_or(rest.len());
    let (body, left) = rest.split_at(length.min(rest.len()));
    *rest = left;
    (body.to_vec(), body.len() == length)
}

fn chunks(rest: &mut &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = find(rest, b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = usize::from_str_radix(&size, 16).unwrap_or(0);
        *rest = &rest[end + 2..];
        let part = &rest[..size.min(rest.len())];
        body.extend_from_slice(part);
        *rest = &rest[(size + 2).min(rest.len())..];
        if size == 0 {
            return (body, true);
        }
    }
    (body, false)
}

/// A server that answers with what it has received, or as its path says.
pub(crate) fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || Heard::new(stream).answer_all());
        }
    });
    address
}

struct Heard {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Heard {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            bytes: Vec::new(),
        }
    }

    fn more(&mut self) -> Option<()> {
        let mut bytes = [0; 8192];
        let count = self.stream.read(&mut bytes).ok().filter(|count| *count > 0);
        self.bytes.extend_from_slice(&bytes[..count?]);
        Some(())
    }

    fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.bytes, b"\r\n\r\n") {
                let rest = self.bytes.split_off(end + 4);
                let head = std::mem::replace(&mut self.bytes, rest);
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            self.more()?;
        }
    }

    fn body(&mut self, head: &str) -> Option<Vec<u8>> {
        let is_framed =
            field(head, "transfer-encoding").is_some() || field(head, "content-length").is_some();
        if !is_framed {
            return Some(Vec::new());
        }
        loop {
            let mut rest = &self.bytes[..];
            let (body, is_whole) = body(head, &mut rest);
            if is_whole {
                // Fields behind the last chunk, if any.
                let rest = find(rest, b"\r\n\r\n").map_or(rest, |end| &rest[end + 4..]);
                self.bytes = rest.to_vec();
                return Some(body);
            }
            self.more()?;
        }
    }

    fn answer_all(mut self) {
        while let Some(head) = self.head() {
            let path = head.split(' ').nth(1).unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            if name.starts_with("early") {
                let _ = self.stream.write_all(OK);
                return if name == "early" {
                    while self.more().is_some() {}
                };
            }
            if name == "never" {
                while self.more().is_some() {}
                return;
            }
            let Some(body) = self.body(&head) else { return };
            let answer = ANSWERS.iter().find(|(known, _)| *known == name);
            let own = own_answer(&head, &body, name == "last");
            let answer = answer.map_or(own, |(_, answer)| answer.to_vec());
            if self.stream.write_all(&answer).is_err() || name.starts_with("cut") {
                return;
            }
        }
    }
}

fn own_answer(head: &str, body: &[u8], is_last: bool) -> Vec<u8> {
    let mark = if is_last { "X-Last: yes\r\n" } else { "" };
    let mut words = head.split_whitespace();
    let echo = match (words.next(), words.next()) {
        (Some(method), Some(target)) if head.contains("x-src: ") => seen(method, target, head),
        _ => "ok".into(),
    };
    let text = match body {
        [] => echo.as_bytes(),
        body => body,
    };
    let length = text.len();
    let answer = format!("HTTP/1.1 200 OK\r\n{mark}Content-Length: {length}\r\n\r\n");
    let body = if head.starts_with("HEAD ") { b"" } else { text };
    [answer.as_bytes(), body].concat()
}

/// What `tests/support/pages.rs` wants to know.
fn seen(method: &str, target: &str, head: &str) -> String {
    let [host, source] = ["host", "x-src"].map(|name| field(head, name).unwrap_or("none"));
    format!("{method} {target} host: {host} x-src: {source}")
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What servers do wrong, and what is odd.
pub(crate) const ANSWERS: &[(&str, &[u8])] = &[
    ("204", b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc"),
    ("304", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n"),
    (
        "103",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ),
    ("100", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    (
        "two",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ),
    ("garbage", b"nonsense\r\n\r\n"),
    ("badchunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n"),
    (
        "clte",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    ("2cl", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
    ("2same", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
    ("bare-lf", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    ("colon", b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok"),
    ("nul", b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok"),
    ("fold", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok"),
    ("version-2", b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("600", b"HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("101", b"HTTP/1.1 101 Switching Protocols\r\n\r\nbytes"),
    ("cut-silent", b""),
    ("cut-head", b"HTTP/1.1 200 OK\r\nContent-"),
    ("cut-body", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok"),
    ("cut-chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok"),
];

/// The table, row by row.
pub(crate) fn rows() -> Vec<Row> {
    let lines = include_str!("wire.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(Row::parse).collect()
}

/// Undoes the escapes of the table.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (part, length): (Vec<u8>, usize) = if let Some(code) = rest.strip_prefix("\\x") {
            let code = u8::from_str_radix(&code[..2], 16).expect("two digits");
            (vec![code], 4)
        } else if rest.starts_with('{') {
            let end = rest.find('}').expect("a closing brace");
            let (part, count) = rest[1..end].rsplit_once('*').expect("a count");
            let count = count.parse().expect("the count is a number");
            (self::bytes(part).repeat(count), end + 1)
        } else {
            match &rest[..rest.len().min(2)] {
                "\\r" => (b"\r".into(), 2),
                "\\n" => (b"\n".into(), 2),
                "\\t" => (b"\t".into(), 2),
                "\\0" => (b"\0".into(), 2),
                "$H" => (b"\r\nHost: h\r\n".into(), 2),
                _ => (vec![first as u8], 1),
            }
        };
        bytes.extend(part);
        rest = &rest[length..];
    }
    bytes
}
