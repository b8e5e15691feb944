//! Servers behind both proxies, which fail as they are told, and what they received.
//!
//! A request names itself in [`STEP`] and may say in [`DO`] how it is to be answered. One
//! without a name is a health check.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::message::{Head, Reader};

/// Names the server that answers.
pub(super) const SERVER: &str = "x-server";
/// Names the request.
pub(super) const STEP: &str = "x-step";
/// What the server is to do, words with `|` between them: `status=500`, `size=3000`,
/// `chunked`, `open` (the answer ends with the connection), `silent` and field lines.
pub(super) const DO: &str = "x-do";

/// How a server does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Manner {
    #[default]
    Fine,
    /// It refuses connections.
    Killed,
    /// It takes its time.
    Slow,
    /// It answers with this status.
    Answers(u16),
    /// It closes the connection when it has read a request.
    Closes,
    /// In the middle of the head of its answer.
    ClosesInHead,
    /// In the middle of the body of its answer.
    ClosesInBody,
}

/// What a server received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) server: String,
    /// Its method and target: the example proxy says HTTP/1.1 to all servers.
    pub(super) line: String,
    /// In lower case and by name.
    pub(super) fields: Vec<(String, String)>,
    /// The length of the body and a sum of it.
    pub(super) body: (usize, u64),
}

/// What all servers received, by the names of the requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Received(Arc<Mutex<BTreeMap<String, Vec<Seen>>>>);

impl Received {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Seen>>> {
        self.0.lock().expect("nobody panics there")
    }

    /// All that came of a request, in the order of the attempts.
    pub(super) fn take(&self, step: &str) -> Vec<Seen> {
        self.lock().remove(step).unwrap_or_default()
    }
}

/// A server with an address of its own.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<Listening>,
}

#[derive(Debug)]
struct Listening {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    manner: Mutex<Manner>,
    received: Received,
    /// Connections that are open.
    open: Mutex<Vec<TcpStream>>,
}

impl Server {
    pub(super) fn start(name: &str, address: SocketAddr, received: &Received) -> Self {
        let mut server = Self {
            address,
            shared: Arc::new(Shared {
                name: name.to_owned(),
                manner: Mutex::default(),
                received: received.clone(),
                open: Mutex::default(),
            }),
            listening: None,
        };
        server.behave(Manner::Fine);
        server
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn manner(&self) -> Manner {
        *self.shared.manner.lock().expect("nobody panics there")
    }

    /// From now on. Connections that are open are closed, as by a program that starts anew.
    pub(super) fn behave(&mut self, manner: Manner) {
        *self.shared.manner.lock().expect("nobody panics there") = manner;
        if manner == Manner::Killed {
            self.stop();
        } else if self.listening.is_none() {
            self.listen();
        }
        let open = std::mem::take(&mut *self.shared.open.lock().expect("nobody panics there"));
        for stream in open {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn listen(&mut self) {
        let listener = TcpListener::bind(self.address).expect("the port is kept free");
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, shared) = (Arc::clone(&stop), Arc::clone(&self.shared));
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Relaxed) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A connection that breaks is the proxies' affair.
                thread::spawn(move || shared.serve(stream));
            }
        });
        self.listening = Some(Listening { stop, thread });
    }

    fn stop(&mut self) {
        let Some(Listening { stop, thread }) = self.listening.take() else {
            return;
        };
        stop.store(true, Relaxed);
        // Wakes the thread, which then closes its socket and ends.
        let _ = TcpStream::connect(self.address);
        thread.join().expect("a server does not panic");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.behave(Manner::Killed);
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        stream.set_nodelay(true)?;
        let copy = stream.try_clone()?;
        self.open.lock().expect("nobody panics there").push(copy);
        let mut reader = Reader::new(stream);
        if reader.peek()? == Some(3) {
            return self.desk(&mut reader);
        }
        while let Some(head) = reader.head()? {
            if !self.answer(&mut reader, &head)? {
                break;
            }
        }
        // The other end may be closed.
        let _ = reader.stream().shutdown(Shutdown::Both);
        Ok(())
    }

    /// A terminal server, which says its name.
    fn desk(&self, reader: &mut Reader) -> io::Result<()> {
        let name = format!("{}\n", self.name);
        reader.stream().write_all(name.as_bytes())?;
        reader.stream().shutdown(Shutdown::Write)?;
        reader.stream().read_to_end(&mut Vec::new()).map(drop)
    }

    /// Answers a request and says whether the connection is kept.
    fn answer(&self, reader: &mut Reader, head: &Head) -> io::Result<bool> {
        let order = Order::of(head.field(DO).unwrap_or_default());
        if head.field("expect").is_some() {
            let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
            reader.stream().write_all(interim)?;
        }
        let body = reader.body(head, false)?;
        self.note(head, &body.bytes);
        let manner = *self.manner.lock().expect("nobody panics there");
        match manner {
            Manner::Slow => thread::sleep(Duration::from_millis(40)),
            Manner::Closes => return Ok(false),
            _ => {}
        }
        if order.is_silent {
            while reader.more()? > 0 {}
            return Ok(false);
        }
        if let Some(protocol) = head.field("upgrade") {
            return self.upgraded(reader, protocol).map(|()| false);
        }
        let (bytes, keeps) = self.response(head, &order, manner);
        reader.stream().write_all(&bytes)?;
        Ok(keeps)
    }

    fn note(&self, head: &Head, body: &[u8]) {
        let Some(step) = head.field(STEP) else {
            return;
        };
        let mut fields = head.fields.clone();
        fields.retain(|(name, _)| name != STEP);
        fields.sort_by(|left, right| left.0.cmp(&right.0));
        let sum = |sum: u64, byte: &u8| sum.wrapping_mul(31).wrapping_add(u64::from(*byte));
        let seen = Seen {
            server: self.name.clone(),
            line: asked(head),
            fields,
            body: (body.len(), body.iter().fold(0, sum)),
        };
        let mut received = self.received.lock();
        received.entry(step.to_owned()).or_default().push(seen);
    }

    fn upgraded(&self, reader: &mut Reader, protocol: &str) -> io::Result<()> {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\
             {SERVER}: {}\r\n\r\n",
            self.name
        );
        reader.stream().write_all(head.as_bytes())?;
        loop {
            let heard = reader.take();
            reader.stream().write_all(&heard)?;
            if reader.more()? == 0 {
                return reader.stream().shutdown(Shutdown::Both);
            }
        }
    }

    /// The bytes of an answer, and whether the connection is kept behind it.
    fn response(&self, head: &Head, order: &Order<'_>, manner: Manner) -> (Vec<u8>, bool) {
        let status = match manner {
            Manner::Answers(status) => status,
            _ => order.status,
        };
        let keeps = head.keeps_alive() && !order.is_open && manner != Manner::ClosesInBody;
        let mut text = format!(
            "HTTP/1.1 {status} {}\r\n{SERVER}: {}\r\n",
            reason(status),
            self.name
        );
        for line in &order.lines {
            text.extend([line, "\r\n"]);
        }
        if !keeps {
            text.push_str("Connection: close\r\n");
        }
        let mut body = format!("{} hears {}\n", self.name, asked(head)).into_bytes();
        body.resize(body.len() + order.size, b'x');
        if order.is_chunked {
            text.push_str("Transfer-Encoding: chunked\r\n");
            body = in_chunks(&body);
        } else if !order.is_open {
            let length = body.len().to_string();
            text.extend(["Content-Length: ", &length, "\r\n"]);
        }
        if manner == Manner::ClosesInHead {
            return (text.into_bytes(), false);
        }
        text.push_str("\r\n");
        if head.line.starts_with("HEAD ") || matches!(status, 204 | 304) {
            body.clear();
        }
        if manner == Manner::ClosesInBody {
            body.truncate(body.len() / 2);
        }
        ([text.into_bytes(), body].concat(), keeps)
    }
}

/// The usual one: the example proxy has no other.
fn reason(status: u16) -> &'static str {
    let status = http::StatusCode::from_u16(status).ok();
    let reason = status.and_then(|status| status.canonical_reason());
    reason.expect("a known status")
}

/// The first line without its version.
fn asked(head: &Head) -> String {
    let line = head.line.rsplit_once(' ');
    line.map_or("", |(asked, _)| asked).to_owned()
}

/// In two chunks.
fn in_chunks(body: &[u8]) -> Vec<u8> {
    let (first, second) = body.split_at(body.len() / 2);
    let mut bytes = Vec::new();
    for part in [first, second].into_iter().filter(|part| !part.is_empty()) {
        bytes.extend(format!("{:x}\r\n", part.len()).bytes());
        bytes.extend_from_slice(part);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// What the client wants.
struct Order<'h> {
    status: u16,
    size: usize,
    is_chunked: bool,
    is_open: bool,
    is_silent: bool,
    lines: Vec<&'h str>,
}

impl<'h> Order<'h> {
    fn of(text: &'h str) -> Self {
        let mut order = Self {
            status: 200,
            size: 0,
            is_chunked: false,
            is_open: false,
            is_silent: false,
            lines: Vec::new(),
        };
        for word in text
            .split('|')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            let number = |text: &str| text.parse().expect("a number");
            match (word, word.split_once('=')) {
                ("chunked", _) => order.is_chunked = true,
                ("open", _) => order.is_open = true,
                ("silent", _) => order.is_silent = true,
                (_, Some(("status", text))) => order.status = number(text) as u16,
                (_, Some(("size", text))) => order.size = number(text),
                _ => order.lines.push(word),
            }
        }
        order
    }
}
