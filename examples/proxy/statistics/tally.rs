//! What one request adds to the numbers, at its end: of its frontend, and, as far as it
//! came, of its backend and its server.

use std::sync::Arc;

use http_body_util::Either;
use hyper::body::Body;
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use stickroute::{Admission, Now, Reason, Retry, Selection, ServerHandle};

use super::counters::{Count, Counters};
use crate::body::Pulse;
use crate::exchange::Outcome;
use crate::pool::Pool;
use crate::queue::Admitted;
use crate::site::Back;

/// Why the proxy gave the answer itself, or how a response ended too early. It travels as
/// an extension of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A rule denied it.
    Denied,
    /// A rule or the page of statistics answered.
    Intercepted,
    /// The request did not end.
    BadRequest,
    /// The response was none, or late.
    BadResponse,
    ClientLeft,
    ServerLeft,
}

/// One that may fail, as it was when it began.
#[derive(Debug)]
pub(crate) struct Attempt {
    server: ServerHandle<Pool>,
    reason: Reason,
    in_flight: u32,
}

impl Attempt {
    pub(crate) fn of(selection: &Selection<Pool>) -> Self {
        let server = selection.server();
        Self {
            server: server.clone(),
            reason: selection.reason(),
            in_flight: server.in_flight(),
        }
    }
}

/// The account of one request, or of one connection in mode tcp.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// `None` where nothing is counted.
    front: Option<Arc<Counters>>,
    back: Option<Arc<Back>>,
    is_http: bool,
    /// Counts what the client says behind the head.
    pub(crate) up: Pulse,
    /// Counts what it is told behind the head.
    pub(crate) down: Pulse,
    head_in: u64,
    head_out: u64,
    pub(crate) cause: Option<Cause>,
    /// What the server answered.
    pub(crate) answered: Option<StatusCode>,
}

impl Tally {
    pub(crate) fn http(front: &Arc<Counters>, parts: &Parts) -> Self {
        let target = parts.uri.path_and_query();
        let target = target.map_or(1, |target| target.as_str().len());
        let line = parts.method.as_str().len() + target;
        Self {
            front: Some(Arc::clone(front)),
            is_http: true,
            // As HTTP/1.1 writes it: two blanks, the version and the ends of lines.
            head_in: (line + "  HTTP/1.1\r\n".len() + length(&parts.headers)) as u64,
            ..Self::default()
        }
    }

    pub(crate) fn tcp(front: &Arc<Counters>) -> Self {
        Self {
            front: Some(Arc::clone(front)),
            ..Self::default()
        }
    }

    /// It has a backend.
    pub(crate) fn reach(&mut self, back: &Arc<Back>) {
        back.numbers.counters.enter();
        self.back = Some(Arc::clone(back));
    }

    /// If it has to wait for a slot, there may be more who wait than ever.
    pub(crate) fn wait(&self, admitted: &Admitted) {
        if let (Ok(Admission::Waits(_)), Some(back)) = (admitted, &self.back) {
            note_queues(back);
        }
    }

    /// What has become of an attempt on a server that could not be reached.
    pub(crate) fn failed(&self, attempt: &Attempt, retry: &Retry<Pool, Admission<Pool>>) {
        let Some(back) = &self.back else { return };
        let count = match retry {
            Retry::Same { .. } => Count::Retries,
            Retry::Other { .. } => Count::Redispatches,
            Retry::GiveUp(_) => Count::ConnectionErrors,
        };
        let server = back.numbers.servers.get(attempt.server.name());
        let server = server.map(|numbers| &numbers.counters);
        for counters in [&back.numbers.counters].into_iter().chain(server) {
            counters.add(count, 1);
            if count != Count::Retries {
                count_choice(counters, attempt.reason);
            }
        }
        if let Some(counters) = server {
            counters.add(Count::Sessions, 1);
            counters.raise(Count::Most, attempt.in_flight.into());
            counters.touch(Now::system());
        }
        if let Retry::Other {
            selection: Admission::Waits(_),
            ..
        } = retry
        {
            note_queues(back);
        }
    }

    /// What the client is answered.
    pub(crate) fn answer<A: Body, B: Body>(&mut self, response: &Response<Either<A, B>>) {
        let head = "HTTP/1.1 200 \r\n".len() + length(response.headers());
        self.head_out = head as u64;
        if let Either::Right(own) = response.body() {
            self.head_out += own.size_hint().lower();
            let cause = response.extensions().get::<Cause>();
            self.cause = self.cause.or(cause.copied());
        }
    }

    /// Adds it all up, once.
    pub(crate) fn end(&self, outcome: &Outcome, status: Option<StatusCode>) {
        let Some(front) = &self.front else { return };
        self.add_to(front, status);
        match self.cause {
            Some(Cause::BadRequest) => front.add(Count::RequestErrors, 1),
            Some(Cause::Intercepted) => front.add(Count::Intercepted, 1),
            _ => {}
        }
        let Some(back) = &self.back else { return };
        let numbers = &back.numbers;
        self.add_to(&numbers.counters, status);
        self.add_ending(&numbers.counters, status);
        numbers.counters.leave();
        if let Outcome::Selected(selection) = outcome {
            numbers.counters.count_reason(selection.reason());
            count_choice(&numbers.counters, selection.reason());
            if let Some(server) = numbers.servers.get(selection.server().name()) {
                let counters = &server.counters;
                // This one still has its slot: the most at a time are seen by the first
                // of them that ends.
                counters.raise(Count::Most, u64::from(selection.server().in_flight()));
                count_choice(counters, selection.reason());
                self.add_to(counters, self.answered);
                self.add_ending(counters, status);
            }
        }
    }

    /// What is counted everywhere.
    fn add_to(&self, counters: &Counters, status: Option<StatusCode>) {
        counters.add(Count::BytesIn, self.head_in + self.up.bytes());
        counters.add(Count::BytesOut, self.head_out + self.down.bytes());
        if self.cause == Some(Cause::Denied) {
            let is_response = self.answered.is_some();
            let count = [Count::DeniedRequests, Count::DeniedResponses];
            counters.add(count[usize::from(is_response)], 1);
        }
        if self.is_http {
            counters.add(Count::Requests, 1);
            if let Some(status) = status {
                counters.count_response(status);
            }
        }
        counters.touch(Now::system());
    }

    /// What is counted of backends and servers.
    fn add_ending(&self, counters: &Counters, status: Option<StatusCode>) {
        counters.add(Count::Sessions, 1);
        match self.cause {
            Some(Cause::BadResponse) => counters.add(Count::ResponseErrors, 1),
            Some(Cause::ServerLeft) => counters.add(Count::ServerAborts, 1),
            Some(Cause::ClientLeft) => counters.add(Count::ClientAborts, 1),
            // The client did not wait for an answer.
            None if self.is_http && status.is_none() => counters.add(Count::ClientAborts, 1),
            _ => {}
        }
    }
}

/// The algorithm has chosen a server, or not.
fn count_choice(counters: &Counters, reason: Reason) {
    if matches!(reason, Reason::Balance | Reason::Redispatch) {
        counters.add(Count::Balanced, 1);
    }
}

/// Keeps the most that waited at a time.
fn note_queues(back: &Back) {
    let Some(backend) = &back.backend else { return };
    let mut all = u64::from(backend.queued());
    for server in backend.farm().servers() {
        let queued = u64::from(server.queued());
        all += queued;
        if let Some(numbers) = back.numbers.servers.get(server.name()) {
            numbers.counters.raise(Count::MostQueued, queued);
        }
    }
    back.numbers.counters.raise(Count::MostQueued, all);
}

/// Bytes of all fields, and of the empty line behind them.
fn length(headers: &HeaderMap) -> usize {
    let fields = headers.iter();
    let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    fields.sum::<usize>() + "\r\n".len()
}
