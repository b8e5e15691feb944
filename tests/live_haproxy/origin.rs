//! Servers behind both proxies: each tells what it received and answers as it is told.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::hex;

/// Names the server that answers.
pub(crate) const SERVER: &str = "x-server";
/// The `Cookie` field lines the server received, each behind a dot and in hexadecimal.
pub(crate) const SEEN: &str = "x-seen";
/// What the server is to answer: a status line and field lines, in hexadecimal, or
/// [`HANG_UP`].
pub(crate) const ANSWER: &str = "x-answer";
/// The server is to close the connection instead of answering.
pub(crate) const HANG_UP: &str = "hang-up";
/// The number of the [gate](open_gate) at which the server waits between the head of its
/// answer and the body, `0` for none.
pub(crate) const GATE: &str = "x-gate";

/// The numbers of the gates that are open.
static OPEN: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
static OPENED: Condvar = Condvar::new();

/// Lets the answers behind a gate pass. Numbers are used once in a process.
pub(crate) fn open_gate(number: u64) {
    OPEN.lock().expect("nobody panics there").insert(number);
    OPENED.notify_all();
}

fn wait_at_gate(number: u64) {
    let open = OPEN.lock().expect("nobody panics there");
    let is_shut = |open: &mut BTreeSet<u64>| number > 0 && !open.contains(&number);
    // Long enough for the slowest of machines to send all it has between.
    let passed = OPENED.wait_timeout_while(open, Duration::from_secs(600), is_shut);
    drop(passed);
}

/// A server with a fixed address, which can refuse connections for a while.
pub(crate) struct Origin {
    name: String,
    address: SocketAddr,
    serving: Option<Serving>,
}

struct Serving {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Origin {
    pub(crate) fn start(name: &str, address: SocketAddr) -> Self {
        let mut origin = Self {
            name: name.into(),
            address,
            serving: None,
        };
        origin.listen();
        origin
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections, if it does not already.
    pub(crate) fn listen(&mut self) {
        if self.serving.is_some() {
            return;
        }
        let listener = TcpListener::bind(self.address).expect("the port is kept free");
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, name) = (Arc::clone(&stop), self.name.clone());
        let thread = thread::spawn(move || serve(&listener, &name, &stopped));
        self.serving = Some(Serving { stop, thread });
    }

    /// Refuses connections from now on.
    pub(crate) fn refuse(&mut self) {
        let Some(Serving { stop, thread }) = self.serving.take() else {
            return;
        };
        stop.store(true, Relaxed);
        // Wakes the thread, which then closes its socket and ends.
        let _ = TcpStream::connect(self.address);
        thread.join().expect("an origin server does not panic");
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.refuse();
    }
}

fn serve(listener: &TcpListener, name: &str, stop: &AtomicBool) {
    for stream in listener.incoming() {
        if stop.load(Relaxed) {
            return;
        }
        let name = name.to_owned();
        // A connection that breaks is the proxies' affair.
        thread::spawn(move || stream.and_then(|stream| answer(&stream, &name)));
    }
}

fn answer(mut stream: &TcpStream, name: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut reader = BufReader::new(stream);
    let lines = head(&mut reader)?;
    let field = |name: &'static str| fields(&lines, name).next();
    read_body(&mut reader, &field)?;
    let order = field(ANSWER).unwrap_or_default();
    if order == HANG_UP.as_bytes() {
        return Ok(());
    }
    let seen: Vec<String> = fields(&lines, "cookie")
        .map(|value| format!(".{}", hex::encode(value)))
        .collect();
    let mut response = hex::decode(order);
    let seen = seen.concat();
    let own = format!("{SERVER}: {name}\r\n{SEEN}: {seen}\r\nConnection: close\r\n\r\n");
    response.extend_from_slice(own.as_bytes());
    let gate = field(GATE).map_or(0, number);
    if gate > 0 {
        stream.write_all(&response)?;
        wait_at_gate(gate);
        return stream.write_all(b"ok\n");
    }
    if !lines[0].starts_with(b"HEAD ") {
        response.extend_from_slice(body_of(&response));
    }
    stream.write_all(&response)
}

/// What the answer's `Content-Length` announces, which is three bytes or nothing.
fn body_of(head: &[u8]) -> &'static [u8] {
    let announced = b"Content-Length: 3\r\n";
    if head.windows(announced.len()).any(|part| part == announced) {
        b"ok\n"
    } else {
        b""
    }
}

/// The lines up to the empty one, without their ends.
fn head(reader: &mut impl BufRead) -> io::Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        let Some(line) = line.strip_suffix(b"\r\n").filter(|line| !line.is_empty()) else {
            return match lines.len() {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(lines),
            };
        };
        lines.push(line.to_vec());
    }
}

/// Values of a field, exactly as they stand behind the colon and one space.
fn fields<'a>(lines: &'a [Vec<u8>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    lines[1..].iter().filter_map(move |line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = &line[colon + 1..];
        let is_it = line[..colon].eq_ignore_ascii_case(name.as_bytes());
        is_it.then(|| value.strip_prefix(b" ").unwrap_or(value))
    })
}

/// Reads the body away, so that closing the connection resets nothing.
fn read_body<'a>(
    reader: &mut impl BufRead,
    field: &impl Fn(&'static str) -> Option<&'a [u8]>,
) -> io::Result<()> {
    if field("transfer-encoding").is_some() {
        let mut last = Vec::new();
        while !last.ends_with(b"0\r\n\r\n") {
            if reader.read_until(b'\n', &mut last)? == 0 {
                break;
            }
        }
        return Ok(());
    }
    let length = field("content-length").map_or(0, number);
    io::copy(&mut reader.take(length), &mut io::sink()).map(drop)
}

fn number(digits: &[u8]) -> u64 {
    String::from_utf8_lossy(digits).trim().parse().unwrap_or(0)
}
