//! One request from its first byte to the last of the response: it holds the slot on
//! the server, and feeds the log and the statistics at its end, however it ends.

mod record;
pub(crate) mod telling;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::response;
use stickroute::haproxy::{Cause, Mode, Phase};
use stickroute::{Failure, Now, SelectError, Selection};

use crate::client::Client;
use crate::client::stream::Ends;
use crate::client::under_way::{Counted, UnderWay};
use crate::client::wire::Told;
use crate::http::answer::Answer;
use crate::log::standard::STDERR;
use crate::log::{Asked, Ending, Lines, Log, Place, Story, Tried};
use crate::server::orders::{Listening, Order};
use crate::server::pool::Pool;
use crate::server::queue::{NoServer, NoTurn};
use crate::service::site::{Back, Front};
use crate::statistics::account::{Account, Attempt, Blame};

/// A request under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    front: Arc<Front>,
    client: Ends,
    request: String,
    /// Where it is balanced, once that is known.
    back: Option<Arc<Back>>,
    outcome: Outcome,
    /// Orders to the sessions of its server.
    orders: Option<Listening>,
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
    pub(crate) story: Box<Story>,
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
        (counted, told): (Counted, Told),
    ) -> Self {
        let beginning = client.under_way.beginning();
        let client = client.ends;
        let story = Story::of_request(beginning, client, parts, told.version);
        let mut exchange = Self::begin(front, client, story);
        exchange.otherwise = "client left";
        exchange.counted = Some(counted);
        match &front.log {
            Log::Plain => exchange.request = format!("{} {}", parts.method, parts.uri),
            Log::Lines(log) => {
                exchange.story.request = log.captures.of_request(&parts.headers);
                exchange.story.response = log.captures.of_none();
                exchange.tell(Lines::begin);
            }
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
            orders: None,
            status: None,
            otherwise: "closed",
            counted: None,
            number: REQUESTS.fetch_add(1, Relaxed),
            answered: None,
            blame: None,
            story: Box::new(story),
            is_unread: false,
            is_told: false,
        }
    }

    /// It is balanced in this backend.
    pub(crate) fn enter(&mut self, back: &Arc<Back>) {
        back.numbers.counters.enter();
        self.back = Some(Arc::clone(back));
    }

    /// Where it is balanced, once that is known.
    pub(crate) fn back(&self) -> Option<&Back> {
        self.back.as_deref()
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
        self.blame = match ending {
            // HAProxy: whoever leaves before there is a connection is nobody's fault.
            Some((Cause::Client, Phase::Queue | Phase::Connect)) => None,
            _ => Blame::of(answer),
        };
        // Of an end that is no answer nothing is told.
        self.is_told |= matches!(answer, Answer::AskAgain);
    }

    /// The rest of the response is not written.
    pub(crate) fn break_off(mut self, cause: Cause) {
        let ending = &mut self.story.ending;
        *ending = ending.or(Some((cause, Phase::Data)));
    }

    /// What is under way on its connection, if that knows when something is written.
    pub(crate) fn under_way(&self) -> Option<UnderWay> {
        let asked = self.story.asked.as_ref();
        let is_second = asked.is_some_and(Asked::is_second);
        let counted = self.counted.as_ref().filter(|_| !is_second);
        counted.map(Counted::under_way)
    }

    /// The server has answered what cannot go on.
    pub(crate) fn was_junk(&mut self, status: StatusCode) {
        self.answered = Some(status);
    }

    /// The client has left while it waited in a queue.
    pub(crate) fn leave_queue(&mut self, place: Place) {
        self.story.place = place;
        self.story.timers.queue = Some(self.story.lap());
        self.story.ending = Some((Cause::Client, Phase::Queue));
    }

    /// The server is not tried any more, as nobody waits for it.
    pub(crate) fn give_up(&mut self) {
        let outcome = mem::replace(&mut self.outcome, Outcome::Unrouted);
        if let Outcome::Selected(selection) = outcome {
            self.tries(&selection);
        }
    }

    fn tries(&mut self, selection: &Selection<Pool>) {
        self.story.tried = Some(Tried {
            server: selection.server().name().to_owned(),
            retries: selection.retries(),
            redispatched: selection.is_redispatched(),
        });
    }

    /// It has waited for a server, at this place of the queue.
    pub(crate) fn waited(&mut self, place: Place, selected: &Result<Selection<Pool>, NoTurn>) {
        self.story.place = place;
        self.story.timers.queue = self.story.waited(selected);
    }

    /// It has a server, or there is none for it.
    pub(crate) fn settle(
        &mut self,
        decided: Result<Selection<Pool>, NoTurn>,
    ) -> Result<(), NoServer> {
        match decided {
            Ok(selection) => {
                self.orders = self.orders_of(&selection);
                self.outcome = Outcome::Selected(selection);
                Ok(())
            }
            Err(NoTurn { error, is_late }) => {
                self.story.was_late = is_late;
                self.outcome = Outcome::NoServer(error);
                Err(NoServer)
            }
        }
    }

    fn orders_of(&self, selection: &Selection<Pool>) -> Option<Listening> {
        let servers = &self.back.as_ref()?.numbers.servers;
        let numbers = servers.get(selection.server().name())?;
        Some(Listening::to(&numbers.orders))
    }

    /// Orders to the sessions of its server, from the moment it has that.
    pub(crate) fn orders(&self) -> Option<Listening> {
        self.orders.clone()
    }

    /// It ends because it was ordered to.
    pub(crate) fn ordered(&mut self, order: Order) {
        self.story.ending = Some((order.cause(), Phase::Done));
    }

    /// The server it has, if it has one.
    pub(crate) fn selection(&self) -> Option<&Selection<Pool>> {
        match &self.outcome {
            Outcome::Selected(selection) => Some(selection),
            Outcome::Unrouted | Outcome::NoServer(_) => None,
        }
    }

    /// The same, to be told of the response.
    pub(crate) fn selected(&mut self) -> Result<&mut Selection<Pool>, NoServer> {
        match &mut self.outcome {
            Outcome::Selected(selection) => Ok(selection),
            Outcome::Unrouted | Outcome::NoServer(_) => Err(NoServer),
        }
    }

    /// The server it had, which has failed; it may be the last.
    pub(crate) fn fail(
        &mut self,
        failure: Failure,
    ) -> Result<(Selection<Pool>, Attempt), NoServer> {
        let outcome = mem::replace(&mut self.outcome, Outcome::Unrouted);
        let Outcome::Selected(selection) = outcome else {
            return Err(NoServer);
        };
        self.tries(&selection);
        // What it was before is that of an attempt which is not told of.
        self.story.timers.connect = None;
        let attempt = Attempt::new(&selection, failure);
        Ok((selection, attempt))
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
        let unserved = [
            Some((Cause::Server, Phase::Connect)),
            Some((Cause::ServerTimeout, Phase::Queue)),
        ];
        Account {
            front: &self.front,
            back: self.back.as_deref(),
            outcome: &self.outcome,
            is_http: self.front.mode == Mode::Http,
            status: self.status,
            answered: self.answered,
            blame: self.blame.or_else(by_ending),
            is_unserved: unserved.contains(&story.ending) && story.tried.is_none(),
            bytes_in: story.from_client.bytes(),
            bytes_out: story.from_server.bytes(),
            at: Now::system(),
        }
    }

    fn taken(&self) -> std::time::Duration {
        let now = Now::system().mono();
        now.saturating_sub(self.story.begun.mono())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.close();
        self.account().settle();
        match self.front.log {
            Log::Plain => STDERR.write(format!("{self}\n").as_bytes()),
            Log::Lines(_) => {
                let (is_unread, is_empty) = (self.is_unread, self.story.is_empty());
                self.tell(|log, record| log.end(record, is_unread, is_empty));
            }
        }
        // Whoever finds nobody here finds no slot taken.
        self.outcome = Outcome::Unrouted;
        if let Some(back) = &self.back {
            back.numbers.counters.leave();
        }
    }
}
