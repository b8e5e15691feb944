//! One request from its first byte to the last of the response: it holds the slot on
//! the server, and logs one line at its end, however it ends.

use std::fmt;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::StatusCode;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::http::request::Parts;
use stickroute::{Now, SelectError, Selection};

use crate::body::{BoxError, Patient};
use crate::pool::Pool;
use crate::statistics::tally::{Cause, Tally};
use crate::stream::{Counted, Ends};

/// A request under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    client: Ends,
    request: String,
    started: Now,
    /// The name of the backend, where there are several.
    pub(crate) backend: String,
    pub(crate) outcome: Outcome,
    /// What it adds to the statistics.
    pub(crate) tally: Tally,
    /// What the client is answered with, `None` as long as nothing is known.
    pub(crate) status: Option<StatusCode>,
    /// How it has ended if there was no status.
    otherwise: &'static str,
    /// It is one of the requests of its connection that are under way.
    counted: Option<Counted>,
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

impl Exchange {
    /// Begins with a request.
    pub(crate) fn new(client: Ends, parts: &Parts, counted: Counted) -> Self {
        let mut exchange = Self::tcp(client, format!("{} {}", parts.method, parts.uri));
        exchange.otherwise = "client left";
        exchange.counted = Some(counted);
        exchange
    }

    /// Begins with a connection to a frontend in mode tcp.
    pub(crate) fn tcp(client: Ends, request: String) -> Self {
        Self {
            client,
            request,
            started: Now::system(),
            backend: String::new(),
            outcome: Outcome::Unrouted,
            tally: Tally::default(),
            status: None,
            otherwise: "closed",
            counted: None,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.tally.end(&self.outcome, self.status);
        // A log that cannot be written must not take requests down.
        let _ = writeln!(std::io::stderr(), "{self}");
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = Now::system().mono().saturating_sub(self.started.mono());
        write!(f, "{} {}: ", self.client, self.request)?;
        if !self.backend.is_empty() {
            write!(f, "{}/", self.backend)?;
        }
        write!(f, "{}, ", self.outcome)?;
        match self.status {
            Some(status) => write!(f, "status {}", status.as_u16())?,
            None => f.write_str(self.otherwise)?,
        }
        write!(f, ", {} ms", taken.as_millis())
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
    fn breaks_off(&mut self, cause: Cause) {
        if let Some(exchange) = &mut self.exchange {
            exchange.tally.cause.get_or_insert(cause);
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        // Nobody asks for the end of a body whose length has come.
        if !self.body.is_end_stream() {
            self.breaks_off(Cause::ClientLeft);
        }
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
        if matches!(frame, Some(Err(_))) {
            self.breaks_off(Cause::ServerLeft);
        }
        if !matches!(frame, Some(Ok(_))) {
            self.exchange = None;
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
