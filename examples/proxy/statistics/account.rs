//! What one request, or one connection in mode tcp, adds to the numbers: of its frontend,
//! and, as far as it came, of its backend and its server.

use hyper::StatusCode;
use stickroute::haproxy::{Cause, Phase};
use stickroute::{Admission, Failure, Now, Reason, Retry, Selection, ServerHandle};

use super::counters::{Count, Counters};
use crate::http::answer::Answer;
use crate::log::Ending;
use crate::server::exchange::Outcome;
use crate::server::pool::Pool;
use crate::service::site::{Back, Front};

/// What there is to be counted of one that has ended.
#[derive(Debug)]
pub(crate) struct Account<'e> {
    pub(crate) front: &'e Front,
    pub(crate) back: Option<&'e Back>,
    pub(crate) outcome: &'e Outcome,
    pub(crate) is_http: bool,
    /// What the client is answered.
    pub(crate) status: Option<StatusCode>,
    /// What the server has answered.
    pub(crate) answered: Option<StatusCode>,
    pub(crate) blame: Option<Blame>,
    /// No server could be tried.
    pub(crate) is_unserved: bool,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// When it ended.
    pub(crate) at: Now,
}

/// As what the statistics count it, if not as one that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// A rule denied it.
    Denied,
    /// A rule or the page of statistics answered.
    Intercepted,
    /// No PROXY header has announced the client: it is not counted at all.
    Unannounced,
    /// The request did not end, or was none.
    BadRequest,
    /// The response was none, or late.
    BadResponse,
    ClientLeft,
    ServerLeft,
    /// It was silent in the middle of a response, or the session was ended there.
    ServerSilent,
}

impl Blame {
    /// Of what the proxy answers by itself.
    pub(crate) fn of(answer: &Answer) -> Option<Self> {
        match answer {
            Answer::Denied(_) => Some(Self::Denied),
            Answer::Nothing | Answer::AskAgain | Answer::Page(_, (Cause::Client, _)) => {
                Some(Self::ClientLeft)
            }
            Answer::Page(_, (Cause::Local, _))
            | Answer::Made(_, (Cause::Local, _))
            | Answer::Silence((Cause::Local, _)) => Some(Self::Intercepted),
            Answer::Page(StatusCode::BAD_REQUEST | StatusCode::REQUEST_TIMEOUT, _) => {
                Some(Self::BadRequest)
            }
            Answer::Page(_, (_, Phase::Headers)) => Some(Self::BadResponse),
            Answer::Page(..) | Answer::Made(..) | Answer::Silence(_) => None,
        }
    }

    /// Of what broke off by itself.
    pub(crate) fn of_ending((cause, phase): Ending) -> Option<Self> {
        match (cause, phase) {
            // HAProxy: whoever leaves before there is a connection is nobody's fault.
            (Cause::Client, Phase::Queue | Phase::Connect) => None,
            (Cause::Client, _) | (Cause::ClientTimeout, Phase::Data) => Some(Self::ClientLeft),
            (Cause::Server, Phase::Data) => Some(Self::ServerLeft),
            (Cause::ServerTimeout | Cause::Down | Cause::Up | Cause::Killed, Phase::Data) => {
                Some(Self::ServerSilent)
            }
            _ => None,
        }
    }
}

impl Account<'_> {
    /// Adds it all up, once.
    pub(crate) fn settle(&self) {
        if self.blame == Some(Blame::Unannounced) {
            return;
        }
        self.settle_front(&self.front.counters);
        match (self.back, self.front.own_back()) {
            (Some(back), _) => self.settle_back(back),
            // HAProxy: both halves of a `listen` section count the bytes.
            (None, Some(own)) => self.add_bytes(&own.numbers.counters),
            (None, None) => {}
        }
    }

    fn settle_front(&self, counters: &Counters) {
        self.add_to(counters);
        if self.is_http {
            add_response(counters, self.status);
        }
        match self.blame {
            Some(Blame::BadRequest) => counters.add(Count::RequestErrors, 1),
            Some(Blame::Intercepted) => counters.add(Count::Intercepted, 1),
            _ => {}
        }
    }

    fn settle_back(&self, back: &Back) {
        let numbers = &back.numbers;
        self.add_to(&numbers.counters);
        if self.is_http {
            add_response(&numbers.counters, self.status);
        }
        self.add_ending(&numbers.counters);
        if self.is_unserved {
            numbers.counters.add(Count::ConnectionErrors, 1);
        }
        let Outcome::Selected(selection) = self.outcome else {
            return;
        };
        numbers.counters.count_reason(selection.reason());
        count_choice(&numbers.counters, selection.reason());
        if let Some(server) = numbers.servers.get(selection.server().name()) {
            let counters = &server.counters;
            // This one still has its slot: the most at a time are seen by the first of
            // them that ends.
            counters.raise(Count::Most, u64::from(selection.server().in_flight()));
            count_choice(counters, selection.reason());
            self.add_to(counters);
            if self.answered.is_some() {
                add_response(counters, self.answered);
            }
            self.add_ending(counters);
        }
    }

    /// What is counted everywhere.
    fn add_to(&self, counters: &Counters) {
        self.add_bytes(counters);
        if self.blame == Some(Blame::Denied) {
            let is_response = self.answered.is_some();
            let count = [Count::DeniedRequests, Count::DeniedResponses];
            counters.add(count[usize::from(is_response)], 1);
        }
        counters.touch(self.at);
    }

    fn add_bytes(&self, counters: &Counters) {
        counters.add(Count::BytesIn, self.bytes_in);
        counters.add(Count::BytesOut, self.bytes_out);
    }

    /// What is counted of backends and servers.
    fn add_ending(&self, counters: &Counters) {
        counters.add(Count::Sessions, 1);
        let counts: &[Count] = match self.blame {
            Some(Blame::BadResponse) => &[Count::ResponseErrors],
            // HAProxy: both are counted.
            Some(Blame::ServerLeft) => &[Count::ServerAborts, Count::ResponseErrors],
            Some(Blame::ServerSilent) => &[Count::ServerAborts],
            Some(Blame::ClientLeft) => &[Count::ClientAborts],
            _ => &[],
        };
        for count in counts {
            counters.add(*count, 1);
        }
    }
}

/// One that has failed, as it was when it began.
#[derive(Debug)]
pub(crate) struct Attempt {
    server: ServerHandle<Pool>,
    reason: Reason,
    in_flight: u32,
    failure: Failure,
}

impl Attempt {
    pub(crate) fn new(selection: &Selection<Pool>, failure: Failure) -> Self {
        let server = selection.server();
        Self {
            server: server.clone(),
            reason: selection.reason(),
            in_flight: server.in_flight(),
            failure,
        }
    }

    /// Counts what becomes of it.
    pub(crate) fn settle(&self, back: &Back, retry: &Retry<Pool, Admission<Pool>>) {
        let is_connection = matches!(self.failure, Failure::Refused | Failure::TimedOut);
        let count = match retry {
            Retry::Same { .. } => Some(Count::Retries),
            Retry::Other { .. } => Some(Count::Redispatches),
            Retry::GiveUp(_) => is_connection.then_some(Count::ConnectionErrors),
        };
        let is_over = !matches!(retry, Retry::Same { .. });
        let server = back.numbers.servers.get(self.server.name());
        let server = server.map(|numbers| &numbers.counters);
        for counters in [&back.numbers.counters].into_iter().chain(server) {
            if let Some(count) = count {
                counters.add(count, 1);
            }
            if is_over {
                count_choice(counters, self.reason);
            }
        }
        if let Some(counters) = server {
            counters.add(Count::Sessions, 1);
            counters.raise(Count::Most, self.in_flight.into());
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
}

/// Counts a request, and what became of it. HAProxy: at a server those without an answer are
/// none.
pub(crate) fn add_response(counters: &Counters, status: Option<StatusCode>) {
    counters.add(Count::Requests, 1);
    counters.count_response(status);
}

/// The algorithm has chosen a server, or not.
fn count_choice(counters: &Counters, reason: Reason) {
    if matches!(reason, Reason::Balance | Reason::Redispatch) {
        counters.add(Count::Balanced, 1);
    }
}

/// Keeps the most that waited at a time.
pub(crate) fn note_queues(back: &Back) {
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
