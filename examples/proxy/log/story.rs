//! What a line will say about one request or connection, noted while it is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::http::{Version, response};
use hyper::{Response, StatusCode};
use stickroute::haproxy::{Cause, LogTimers, Phase};
use stickroute::{Backend, Now, Request, Selection, SimpleRequest, Waiting};

use super::Captured;
use crate::client::stream::Ends;
use crate::client::under_way::Beginning;
use crate::server::pool::{Pool, ServerEnds};
use crate::server::queue::NoTurn;

/// One story.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) asked: Option<Asked>,
    /// Bytes have come that are no request.
    was_heard: bool,
    /// When the connection was accepted, or the request before ended.
    pub(crate) begun: Now,
    /// When something last happened that is timed.
    last: Now,
    pub(crate) timers: LogTimers,
    pub(crate) from_server: Tally,
    pub(crate) from_client: Tally,
    pub(crate) request: Captured,
    pub(crate) response: Captured,
    pub(crate) unique_id: Vec<u8>,
    /// The server that was tried last, if that failed.
    pub(crate) tried: Option<Tried>,
    pub(crate) place: Place,
    /// Its turn in a queue did not come in time.
    pub(crate) was_late: bool,
    /// The bytes of the head of the response before rules and cookies change it.
    head: usize,
    /// The end of its chunks counts as soon as it is told of.
    is_chunked: bool,
    /// How it has ended; `None` is well.
    pub(crate) ending: Option<Ending>,
    /// Where the proxy connected from, and to.
    pub(crate) server_ends: ServerEnds,
}

/// How many there were in a queue when a request came to it, this one included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    pub(crate) of_server: u32,
    pub(crate) of_backend: u32,
}

impl Place {
    pub(crate) fn of(waiting: &Waiting<Pool>, backend: &Backend<Pool>) -> Self {
        match waiting.server() {
            Some(server) => Self {
                of_server: server.queued(),
                of_backend: 0,
            },
            None => Self {
                of_server: 0,
                of_backend: backend.queued(),
            },
        }
    }
}

/// A server that could not be reached.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) server: String,
    pub(crate) retries: u32,
    pub(crate) redispatched: bool,
}

/// Who ended it, and where.
pub(crate) type Ending = (Cause, Phase);

/// Bytes that have passed by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<AtomicU64>);

impl Tally {
    pub(crate) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Relaxed);
    }

    /// The head of a response.
    pub(crate) fn add_head(&self, status: StatusCode, headers: &HeaderMap) {
        self.add(size_of_response(status, headers));
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Story {
    /// Of a connection in mode tcp that has just been accepted.
    pub(crate) fn of_connection() -> Self {
        let now = Now::system();
        Self {
            asked: None,
            was_heard: false,
            begun: now,
            last: now,
            timers: LogTimers::default(),
            from_server: Tally::default(),
            from_client: Tally::default(),
            request: Captured::default(),
            response: Captured::default(),
            unique_id: Vec::new(),
            tried: None,
            place: Place::default(),
            was_late: false,
            head: 0,
            is_chunked: false,
            ending: None,
            server_ends: None,
        }
    }

    /// Of a request whose head cannot be read.
    pub(crate) fn of_unread(beginning: Beginning) -> Self {
        let mut story = Self::of_connection();
        story.begun = beginning.begun;
        story.was_heard = beginning.heard.is_some();
        story
    }

    /// Whether the client has sent nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.asked.is_none() && !self.was_heard && self.from_client.bytes() == 0
    }

    /// Of a request whose head has just been read.
    pub(crate) fn of_request(beginning: Beginning, ends: Ends, parts: &Parts) -> Self {
        let mut story = Self::of_connection();
        let Beginning { begun, heard } = beginning;
        let heard = heard.unwrap_or(begun);
        story.begun = begun;
        story.timers.idle = since(begun, heard);
        story.timers.request = Some(since(heard, story.last));
        let asked = Asked::new(ends, parts);
        let target = asked.request.target().len();
        let words = [parts.method.as_str(), asked.version];
        story.from_client.add(size(&words, &parts.headers) + target);
        story.asked = Some(asked);
        story
    }

    /// The time since the last call, or since the head of the request was there.
    pub(crate) fn lap(&mut self) -> Duration {
        let now = Now::system();
        let lap = since(self.last, now);
        self.last = now;
        lap
    }

    /// It has waited for a server; how long, if that has led to anything.
    pub(crate) fn waited(
        &mut self,
        selected: &Result<Selection<Pool>, NoTurn>,
    ) -> Option<Duration> {
        let waited = self.lap();
        let counts = match selected {
            Ok(_) => true,
            Err(refused) => refused.is_late,
        };
        counts.then_some(waited)
    }

    /// There is a connection to the server.
    pub(crate) fn connected(&mut self, ends: ServerEnds) {
        self.server_ends = ends;
        self.timers.connect = Some(self.lap());
    }

    /// The head of the server's response is there.
    pub(crate) fn answer(&mut self, parts: &response::Parts) {
        self.timers.response = Some(self.lap());
        let head = size_of_response(parts.status, &parts.headers);
        self.from_server.add(head);
        self.is_chunked = parts.headers.contains_key(header::TRANSFER_ENCODING);
    }

    /// What is of the server's connection has been taken from the head of its response.
    pub(crate) fn stripped(&mut self, parts: &response::Parts) {
        self.head = size_of_response(parts.status, &parts.headers);
    }

    /// How many bytes the head of the response has become longer since then.
    pub(crate) fn growth<B>(&self, response: &Response<B>) -> i64 {
        let head = size_of_response(response.status(), response.headers());
        head as i64 - self.head as i64 + i64::from(self.is_chunked)
    }

    /// The proxy answers by itself.
    pub(crate) fn made(&mut self, parts: &response::Parts, body: &Full<Bytes>) {
        let head = size_of_response(parts.status, &parts.headers);
        self.from_server.add(head);
        let length = body.size_hint().exact().unwrap_or_default();
        self.from_server
            .add(usize::try_from(length).unwrap_or(usize::MAX));
    }
}

fn since(earlier: Now, later: Now) -> Duration {
    later.mono().saturating_sub(earlier.mono())
}

fn size_of_response(status: StatusCode, headers: &HeaderMap) -> usize {
    let reason = status.canonical_reason().unwrap_or_default();
    size(&["HTTP/1.1", status.as_str(), reason], headers)
}

/// How HAProxy counts a head: the words of its first line and 20 bytes, names and values
/// of fields, and one byte for the end.
fn size(words: &[&str], headers: &HeaderMap) -> usize {
    let words: usize = words.iter().map(|word| word.len()).sum();
    let fields = headers.iter().map(|(name, value)| {
        if *name == header::CONNECTION {
            size_of_connection(value.as_bytes())
        } else {
            name.as_str().len() + value.len()
        }
    });
    20 + words + fields.sum::<usize>() + 1
}

/// Without what is about this connection alone; a field that says nothing else is none.
fn size_of_connection(value: &[u8]) -> usize {
    let is_kept = |word: &&[u8]| {
        let left_out: [&[u8]; 3] = [b"", b"close", b"keep-alive"];
        !left_out.iter().any(|out| word.eq_ignore_ascii_case(out))
    };
    let words = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let lengths: Vec<_> = words.filter(is_kept).map(<[u8]>::len).collect();
    if lengths.is_empty() {
        return 0;
    }
    let name = header::CONNECTION.as_str().len();
    name + lengths.iter().sum::<usize>() + (lengths.len() - 1) * ", ".len()
}

/// The request as it came, without its headers.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: SimpleRequest,
    pub(crate) version: &'static str,
}

impl Asked {
    fn new(ends: Ends, parts: &Parts) -> Self {
        let target = match (parts.uri.authority(), parts.uri.path_and_query()) {
            // As nearly all are.
            (None, Some(path)) => path.as_str().to_owned(),
            _ => parts.uri.to_string(),
        };
        Self {
            request: ends.describe(SimpleRequest::new(parts.method.as_str(), target)),
            version: match parts.version {
                Version::HTTP_09 => "HTTP/0.9",
                Version::HTTP_10 => "HTTP/1.0",
                Version::HTTP_2 => "HTTP/2.0",
                _ => "HTTP/1.1",
            },
        }
    }
}
