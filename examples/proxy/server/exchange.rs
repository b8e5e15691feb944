//! One request from its first byte to the last of the response: it holds the slot on
//! the server, and feeds the log and the statistics at its end, however it ends.

use std::fmt;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::response;
use hyper::{Response, StatusCode};
use stickroute::haproxy::{Cause, LogRecord, Mode, Phase};
use stickroute::{Admission, Failure, Now, ResponseCookie, Retry, SelectError, Selection};

use crate::client::Client;
use crate::client::proxy_protocol;
use crate::client::stream::{Beginning, Counted, Ends};
use crate::http::answer::Answer;
use crate::http::body::{BoxError, Patient, Silence};
use crate::log::{Ending, Lines, Log, Story, Tried};
use crate::server::pool::Pool;
use crate::server::queue::NoTurn;
use crate::service::site::{Back, Front};
use crate::statistics::account::{Account, Attempt, Blame};
use crate::statistics::counters::{self, Count};

/// A request under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    front: Arc<Front>,
    client: Ends,
    request: String,
    /// Where it is balanced, once that is known.
    back: Option<Arc<Back>>,
    pub(crate) outcome: Outcome,
    /// What the client is answered with, `None` as long as nothing is known.
    pub(crate) status: Option<StatusCode>,
    /// How it has ended if there was no status.
    otherwise: &'static str,
    /// It is one of the requests of its connection that are under way.
    counted: Option<Counted>,
    /// How many requests there were before.
    number: u64,
    /// What the server has answered.
    answered: Option<StatusCode>,
    /// As what the statistics count it; `None` is what its end says.
    pub(crate) blame: Option<Blame>,
    pub(crate) story: Story,
    /// It could not be read.
    is_unread: bool,
    /// The line about it is written.
    is_told: bool,
}

/// How far the request has come.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Nowhere: refused before a server was looked for.
    Unrouted,
    /// It has a server, and holds a slot there.
    Selected(Selection<Pool>),
    /// There is no server for it.
    NoServer(SelectError),
}

static REQUESTS: AtomicU64 = AtomicU64::new(0);

impl Exchange {
    /// Begins with a request.
    pub(crate) fn new(
        front: &Arc<Front>,
        client: &Client,
        parts: &Parts,
        counted: Counted,
    ) -> Self {
        let beginning = client.under_way.beginning();
        let client = client.ends;
        let story = Story::of_request(beginning, client, parts);
        let mut exchange = Self::begin(front, client, story);
        exchange.request = format!("{} {}", parts.method, parts.uri);
        exchange.otherwise = "client left";
        exchange.counted = Some(counted);
        if let Log::Lines(log) = &front.log {
            exchange.story.request = log.captures.of_request(&parts.headers);
            exchange.story.response = log.captures.of_none();
            exchange.tell(Lines::begin);
        }
        exchange
    }

    /// Begins with a connection to a frontend in mode tcp.
    pub(crate) fn tcp(front: &Arc<Front>, client: Ends) -> Self {
        let mut exchange = Self::begin(front, client, Story::of_connection());
        exchange.request.clone_from(&front.name);
        exchange.tell(Lines::begin);
        exchange
    }

    fn begin(front: &Arc<Front>, client: Ends, story: Story) -> Self {
        Self {
            front: Arc::clone(front),
            client,
            request: String::new(),
            back: None,
            outcome: Outcome::Unrouted,
            status: None,
            otherwise: "closed",
            counted: None,
            number: REQUESTS.fetch_add(1, Relaxed),
            answered: None,
            blame: None,
            story,
            is_unread: false,
            is_told: false,
        }
    }

    /// It is balanced in this backend.
    pub(crate) fn enter(&mut self, back: &Arc<Back>) {
        back.numbers.counters.enter();
        self.back = Some(Arc::clone(back));
    }

    /// Gives the request its number, and has the server told, if the configuration says so.
    pub(crate) fn identify(&mut self, headers: &mut HeaderMap) {
        let front = Arc::clone(&self.front);
        let Log::Lines(log) = &front.log else { return };
        let Some(format) = &log.unique_id else { return };
        self.story.unique_id = format.text(&self.record());
        let name = log.unique_id_header.as_ref();
        let name = name.and_then(|word| HeaderName::from_bytes(word.bytes()).ok());
        let value = HeaderValue::from_bytes(&self.story.unique_id);
        if let (Some(name), Ok(value)) = (name, value) {
            // A map that is full of names takes no more.
            let _ = headers.try_append(name, value);
        }
    }

    /// The head of the server's response is there, as it came.
    pub(crate) fn answered(&mut self, parts: &response::Parts) {
        self.answered = Some(parts.status);
        self.story.answer(parts);
        if let Log::Lines(log) = &self.front.log {
            self.story.response = log.captures.of_response(&parts.headers);
        }
    }

    /// The proxy answers by itself.
    pub(crate) fn refused(&mut self, answer: &Answer) {
        let ending = self.story.ending.or_else(|| self.no_server());
        self.story.ending = ending.or(Some(answer.ending()));
        self.blame = Blame::of(answer);
    }

    /// There is no server for it.
    pub(crate) fn refuse(&mut self, refused: NoTurn) -> io::Error {
        let NoTurn { error, is_late } = refused;
        self.story.was_late = is_late;
        self.outcome = Outcome::NoServer(error);
        io::ErrorKind::NotConnected.into()
    }

    /// How it ended if there was no server for it.
    fn no_server(&self) -> Option<Ending> {
        let is_refused = matches!(self.outcome, Outcome::NoServer(_));
        let ending = if self.story.was_late {
            (Cause::ServerTimeout, Phase::Queue)
        } else {
            (Cause::Server, Phase::Connect)
        };
        is_refused.then_some(ending)
    }

    /// The selected server cannot be reached; it may be the last.
    pub(crate) fn has_failed(&mut self, selection: &Selection<Pool>, failure: Failure) -> Attempt {
        self.story.tried = Some(Tried {
            server: selection.server().name().to_owned(),
            retries: selection.retries(),
            redispatched: selection.is_redispatched(),
        });
        Attempt::new(selection, failure)
    }

    /// What is done about that.
    pub(crate) fn retries(&self, attempt: &Attempt, retry: &Retry<Pool, Admission<Pool>>) {
        if let Some(back) = &self.back {
            attempt.settle(back, retry);
        }
    }

    fn selection(&self) -> Option<&Selection<Pool>> {
        match &self.outcome {
            Outcome::Selected(selection) => Some(selection),
            Outcome::Unrouted | Outcome::NoServer(_) => None,
        }
    }

    /// Has the log told what there is to tell now, if it does not know yet.
    fn tell(&mut self, tell: impl FnOnce(&Lines, &LogRecord<'_>) -> bool) {
        let front = Arc::clone(&self.front);
        let Log::Lines(log) = &front.log else {
            return;
        };
        if self.is_told {
            return;
        }
        self.story.timers.total = self.taken();
        let mut record = self.record();
        record.is_unfinished = log.is_early();
        self.is_told = tell(log, &record);
    }

    /// The head of the response is as the client gets it.
    pub(crate) fn begins<B>(&mut self, response: &Response<B>) {
        self.status = Some(response.status());
        let more = self.story.growth(response);
        self.tell_early(|record| record.bytes_read = record.bytes_read.saturating_add_signed(more));
    }

    /// There is a connection to a server, in mode tcp.
    pub(crate) fn connected(&mut self) {
        self.tell_early(|_| {});
    }

    /// HAProxy counts bytes of clients later, and the session among those there are.
    fn tell_early(&mut self, change: impl FnOnce(&mut LogRecord<'_>)) {
        self.tell(|log, record| {
            let mut record = *record;
            record.bytes_uploaded = 0;
            record.backend_connections += 1;
            record.server_connections += 1;
            change(&mut record);
            log.answer(&record)
        });
    }

    /// Says how it has ended, if nobody has.
    fn close(&mut self) {
        let is_over = self.status.is_some() || self.story.ending.is_some();
        let is_served = self.story.asked.is_none() && self.selection().is_some();
        if is_over || is_served {
            return;
        }
        let phase = match &self.outcome {
            Outcome::Unrouted => Phase::Request,
            Outcome::Selected(_) if self.story.timers.connect.is_none() => Phase::Connect,
            Outcome::Selected(_) => Phase::Headers,
            Outcome::NoServer(_) => {
                self.story.ending = self.no_server();
                return;
            }
        };
        self.story.ending = Some((Cause::Client, phase));
    }

    /// What there is to be counted.
    fn account(&self) -> Account<'_> {
        let story = &self.story;
        let by_ending = || Blame::of_ending(story.ending?);
        Account {
            front: &self.front,
            back: self.back.as_deref(),
            outcome: &self.outcome,
            is_http: self.front.mode == Mode::Http,
            status: self.status,
            answered: self.answered,
            blame: self.blame.or_else(by_ending),
            bytes_in: story.from_client.bytes(),
            bytes_out: story.from_server.bytes(),
        }
    }

    fn taken(&self) -> std::time::Duration {
        let now = Now::system().mono();
        now.saturating_sub(self.story.begun.mono())
    }

    /// What there is to say.
    pub(crate) fn record(&self) -> LogRecord<'_> {
        let story = &self.story;
        let mut record = LogRecord::default();
        if let Some(asked) = &story.asked {
            record.request = Some(asked);
            record.version = asked.version;
        }
        record.status = self.status.map(|status| status.as_u16());
        record.client = self.client.source;
        record.frontend_address = self.client.destination;
        record.frontend = &self.front.name;
        record.begun = story.begun.wall();
        record.timers = story.timers;
        record.bytes_read = story.from_server.bytes();
        record.bytes_uploaded = story.from_client.bytes();
        record.request_cookie = story.request.cookie.as_deref();
        record.response_cookie = story.response.cookie.as_deref();
        record.request_captures = &story.request.headers;
        record.response_captures = &story.response.headers;
        record.unique_id = &story.unique_id;
        record.request_counter = self.number;
        record.process_id = std::process::id();
        record.frontend_connections = self.front.counters.get(Count::Current);
        record.connections = counters::clients();
        self.add_backend(&mut record);
        self.add_ending(&mut record);
        record
    }

    fn add_backend<'r>(&'r self, record: &mut LogRecord<'r>) {
        let Some(back) = &self.back else { return };
        record.backend = Some(&back.name);
        let sessions = back.numbers.counters.get(Count::Current);
        record.backend_connections = sessions.saturating_sub(1);
        if let Some(selection) = self.selection() {
            let server = selection.server();
            record.server = Some(server.name());
            record.server_connections = server.in_flight().saturating_sub(1).into();
            record.retries = selection.retries();
            record.redispatched = selection.is_redispatched();
        } else if let Some(tried) = &self.story.tried {
            record.server = Some(&tried.server);
            record.retries = tried.retries;
            record.redispatched = tried.redispatched;
        }
        record.server_queue = self.story.place.of_server.into();
        record.backend_queue = self.story.place.of_backend.into();
        if let Some((source, server)) = self.story.server_ends {
            record.backend_source = Some(source);
            record.server_address = Some(server);
        }
    }

    fn add_ending(&self, record: &mut LogRecord<'_>) {
        let (cause, phase) = self.story.ending.unwrap_or_default();
        record.termination.cause = cause;
        record.termination.phase = phase;
        let has_cookie = self.back.as_ref().is_some_and(|back| back.has_cookie);
        record.termination.cookies = match &self.outcome {
            _ if !has_cookie => None,
            Outcome::Selected(selection) => {
                Some((selection.client_cookie(), selection.response_cookie()))
            }
            Outcome::NoServer(error) => Some((error.client_cookie(), ResponseCookie::None)),
            Outcome::Unrouted => None,
        };
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.close();
        self.account().settle();
        match self.front.log {
            // A log that cannot be written must not take requests down.
            Log::Plain => drop(writeln!(std::io::stderr(), "{self}")),
            Log::Lines(_) => {
                let (is_unread, is_empty) = (self.is_unread, self.story.is_empty());
                self.tell(|log, record| log.end(record, is_unread, is_empty));
            }
        }
        if let Some(back) = &self.back {
            back.numbers.counters.leave();
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.client, self.request)?;
        if let Some(back) = self.back.as_ref().filter(|back| !back.name.is_empty()) {
            write!(f, "{}/", back.name)?;
        }
        write!(f, "{}, ", self.outcome)?;
        match self.status {
            Some(status) => write!(f, "status {}", status.as_u16())?,
            None => f.write_str(self.otherwise)?,
        }
        write!(f, ", {} ms", self.taken().as_millis())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unrouted => f.write_str("not routed"),
            Self::Selected(selection) => {
                write!(f, "{selection}, retries {}", selection.retries())?;
                let moved = selection.is_redispatched();
                f.write_str(if moved { ", redispatched" } else { "" })
            }
            Self::NoServer(error) => {
                write!(
                    f,
                    "no server ({}N), {error}",
                    error.client_cookie().letter()
                )
            }
        }
    }
}

/// Tells of a request that was refused before it could be read, and why.
pub(crate) fn unread(
    front: &Arc<Front>,
    (client, beginning): (Ends, Beginning),
    status: StatusCode,
    (cause, ending): (&'static str, Ending),
) {
    let mut exchange = Exchange::begin(front, client, Story::of_unread(beginning));
    exchange.request = format!("<BADREQ> ({cause})");
    exchange.is_unread = true;
    exchange.status = Some(status);
    exchange.story.ending = Some(ending);
    exchange.blame = Some(Blame::BadRequest);
}

/// Tells of a client that no PROXY header has announced.
pub(crate) fn unannounced(
    front: &Arc<Front>,
    (client, begun): (Ends, Now),
    door: &str,
    error: &io::Error,
) {
    let beginning = Beginning { begun, heard: None };
    let mut exchange = Exchange::begin(front, client, Story::of_unread(beginning));
    exchange.request = format!("<BADREQ> ({})", proxy_protocol::reason(error));
    exchange.story.ending = Some((Cause::Proxy, Phase::Request));
    exchange.blame = Some(Blame::Unannounced);
    let is_empty = error.kind() == io::ErrorKind::ConnectionAborted;
    exchange.tell(|log, record| {
        let mut record = *record;
        record.status = Some(0);
        log.turn_away(&record, door, proxy_protocol::reason(error), is_empty);
        true
    });
}

/// The body of a response on its way through; its end is the end of the exchange.
#[derive(Debug)]
pub(crate) struct Streamed {
    body: Patient,
    exchange: Option<Exchange>,
}

impl Streamed {
    /// Streams `body` and ends `exchange` with it.
    pub(crate) fn new(body: Patient, exchange: Exchange) -> Self {
        Self {
            body,
            exchange: Some(exchange),
        }
    }
}

impl Streamed {
    fn end(&mut self, ending: Option<Ending>) {
        if let Some(mut exchange) = self.exchange.take() {
            let story = &mut exchange.story;
            story.ending = story.ending.or(ending);
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        let is_whole = self.body.is_end_stream();
        self.end((!is_whole).then_some((Cause::Client, Phase::Data)));
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                let cause = if error.is::<Silence>() {
                    Cause::ServerTimeout
                } else {
                    Cause::Server
                };
                self.end(Some((cause, Phase::Data)));
            }
            None => self.end(None),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
