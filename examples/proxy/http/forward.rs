//! The life of one request, from the backend it is for to the response. At each step the
//! library is asked, and the rest is plumbing.
//!
//! | step | what the library is asked |
//! |---|---|
//! | `select` | which server, and whether there is a slot: [`Backend::admit`] |
//! | `outgoing` | what the server gets to see of cookies: [`Selection::request_edits`] |
//! | `connect`, `send` | nothing; a connection that fails leads to `redispatch` |
//! | `may_retry` | whether this failure or status may be retried: [`Backend::may_retry`] |
//! | `redispatch` | where the request goes next: [`Backend::redispatch_or_wait`] |
//! | `respond` | what is learned from the response ([`Backend::answered`]), and what becomes of its cookies ([`Backend::respond`]) |

use std::sync::Arc;

use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::http::response;
use hyper::{HeaderMap, Request, Response, StatusCode};
use stickroute::haproxy::{Cause, Phase};
use stickroute::{Backend, Failure, HttpRequest, HttpResponse, Now, Selection, SentBack};
use tokio::time;

use crate::client::stream::Ends;
use crate::client::under_way::Departure;
use crate::client::wire::Refusal;
use crate::http::answer::{self, Answer};
use crate::http::body::{self, Patient, Pulse};
use crate::http::headers;
use crate::http::interim::Interim;
use crate::http::reception::Received;
use crate::http::replay::{self, Recorded};
use crate::http::tunnel::Tunnel;
use crate::log::Story;
use crate::server::observe;
use crate::server::orders::{self, Order};
use crate::server::pool::{self, Connection, Pool, RequestBody};
use crate::server::queue::{self, Admitted, NoServer};
use crate::service::site::{Back, Farm};
use crate::statistics::account;

/// One request on its way.
struct Way<'w, 'r> {
    request: &'w mut Received<'r>,
    back: &'w Back,
    backend: &'w Backend<Pool>,
    /// Of the client, while it sends the body.
    pulse: Pulse,
    interim: Interim,
}

/// Has a server answer a request.
pub(crate) async fn forward(
    request: &mut Received<'_>,
    farm: &Farm,
    body: Incoming,
) -> Result<Response<Patient>, Answer> {
    let mut way = Way {
        request,
        back: &farm.back,
        backend: &farm.backend,
        pulse: Pulse::default(),
        interim: Interim::default(),
    };
    if let Err(answer) = way.select().await {
        way.request.spill(body).await;
        return Err(answer);
    }
    let response = way.obtain(body).await?;
    way.receive(response).await
}

impl Way<'_, '_> {
    /// Asks for a server, and waits for a slot there if all are taken.
    async fn select(&mut self) -> Result<(), Answer> {
        let admitted = self.backend.admit(&self.view(), Now::system());
        let place = queue::place(&admitted, self.back, self.backend);
        let limit = self.back.timeouts.queue;
        let waiting = queue::wait(admitted, limit, |sent_back| self.readmit(sent_back));
        let client = self.request.client;
        let Ok(selected) = client.unless_left(self.back.aborts, waiting).await else {
            self.request.exchange.leave_queue(place);
            return Err(Answer::Nothing);
        };
        self.request.exchange.waited(place, &selected);
        Ok(self.request.exchange.settle(selected)?)
    }

    /// The server it waited for has left.
    fn readmit(&self, sent_back: SentBack) -> Admitted {
        let now = Now::system();
        self.backend.readmit(sent_back, &self.view(), now)
    }

    /// Has the request answered, and what there is to be said before.
    async fn obtain(&mut self, body: Incoming) -> Result<Response<Incoming>, Answer> {
        let body = self.recorded(body);
        let obtained = self.attempt(body.clone()).await;
        if obtained.is_err() {
            // It is counted.
            self.request.at_once = 0;
            self.request.spill(body).await;
        }
        // An answer of the proxy's own comes behind them, too.
        self.request.client.under_way.interim_sent().await;
        obtained
    }

    /// Sends the request until there is a response to be passed on, or nothing is tried
    /// any more.
    async fn attempt(&mut self, copy: Recorded) -> Result<Response<Incoming>, Answer> {
        let mut body = Either::Left(copy.clone());
        loop {
            let sent = self.send(body).await;
            if let Some(failure) = met(&sent)
                && self.may_retry(failure)
                && let Some(whole) = copy.whole().await
            {
                self.redispatch(failure).await?;
                body = Either::Right(whole);
            } else {
                return sent.map_err(|lost| self.told(lost));
            }
        }
    }

    /// Whether it may be sent again. Checks are told of what was met, either way.
    fn may_retry(&self, failure: Failure) -> bool {
        let Ok(selection) = self.selection() else {
            return false;
        };
        self.observe(selection, Some(failure));
        // Behind an interim response there is no other server's to be had.
        !self.interim.has_come() && self.backend.may_retry(selection, failure)
    }

    /// Sends the request once, on an idle connection if it may be sent twice: the server may
    /// have closed that just now, and then a new one takes the request.
    async fn send(&mut self, body: RequestBody) -> Sent {
        let is_repeatable = headers::is_repeatable(&self.request.parts.method, &body);
        let may_be_lost = is_repeatable || self.may_be_lost(&body)?;
        let mut idle = if may_be_lost { self.idle()? } else { None };
        if let Some(idle) = idle.take_if(|_| is_repeatable) {
            let copy = self.outgoing(Either::Right(Full::default()))?;
            if let Ok(response) = self.send_on(idle, copy).await? {
                return response.ok_or_else(Lost::late)?;
            }
        }
        let request = self.outgoing(body)?;
        let connection = match idle {
            Some(idle) => idle,
            None => self.connected().await?,
        };
        match self.send_on(connection, request).await? {
            Ok(response) => response.ok_or_else(Lost::late)?,
            Err(error) => Err(self.lost(&error)),
        }
    }

    /// Connects, unless the client leaves before.
    async fn connected(&mut self) -> Result<Connection, Answer> {
        let (client, aborts) = (self.request.client, self.back.aborts);
        let connected = client.unless_left(aborts, self.connect()).await;
        connected.unwrap_or_else(|_| {
            self.request.exchange.give_up();
            Err(self.request.nothing((Cause::Client, Phase::Connect)))
        })
    }

    /// Connects to the selected server or, while that fails, to the one the library
    /// names next. Nothing of the request has been sent yet.
    async fn connect(&mut self) -> Result<Connection, Answer> {
        loop {
            let server = self.selection()?.server();
            let (address, family) = (server.address().clone(), self.back.family(server.name()));
            let opened = pool::open(&address, family, self.back.timeouts.connect);
            let orders = self.request.exchange.orders();
            let opened = orders::unless_ordered(orders, opened).await;
            match opened.map_err(answer::ended_early)? {
                Ok(connection) => {
                    self.observe(self.selection()?, None);
                    return Ok(connection);
                }
                Err(failure) => {
                    self.observe(self.selection()?, Some(failure));
                    self.redispatch(failure).await?;
                }
            }
        }
    }

    /// Asks what to do after a failure, and pauses as long as the answer says.
    async fn redispatch(&mut self, failure: Failure) -> Result<(), Answer> {
        let (failed, attempt) = self.request.exchange.fail(failure)?;
        let (view, now) = (self.view(), Now::system());
        let retry = self.backend.redispatch_or_wait(failed, &view, failure, now);
        attempt.settle(self.back, &retry);
        let limit = self.back.timeouts.queue;
        let next = queue::retry(retry, limit, |sent_back| self.readmit(sent_back));
        let (selected, pause) = next.await;
        self.request.exchange.settle(selected)?;
        time::sleep(pause).await;
        Ok(())
    }

    /// Takes what the server has answered, as far as it concerns this connection only.
    async fn receive(
        &mut self,
        mut response: Response<Incoming>,
    ) -> Result<Response<Patient>, Answer> {
        self.request.tunnel = Tunnel::agreed(self.request, self.back, &mut response)?;
        let (mut parts, body) = response.into_parts();
        let exchange = &mut self.request.exchange;
        let body = Patient::new(body, self.back.timeouts.server);
        let mut body = body.counted(&exchange.story.from_server, &parts.headers);
        let broken = |_| answer::bad_answer(Cause::Proxy);
        body.peek().await.map_err(broken)?;
        exchange.answered(&parts);
        self.respond(&mut parts)?;
        Ok(Response::from_parts(parts, body))
    }

    /// Lets stick tables learn from the response, and edits its cookies. Rules stand
    /// between: they see what the server has set, and the cookies what rules have left.
    fn respond(&mut self, parts: &mut response::Parts) -> Result<(), Answer> {
        let selection = self.request.exchange.selected()?;
        let view = HttpResponse::from_parts(parts);
        self.backend.answered(selection, &view, Now::system());
        headers::incoming(parts, self.request.upgrade.as_ref());
        self.request.exchange.story.stripped(parts);
        let front = self.request.front;
        let other = front.other_rules(self.back);
        for rules in other.into_iter().chain([&*front.rules]) {
            let exchange = &self.request.exchange;
            rules.filters.on_response(&|| exchange.record(), parts)?;
        }
        let selection = self.request.exchange.selected()?;
        let view = HttpResponse::from_parts(parts);
        let edits = self.backend.respond(selection, &view, Now::system());
        edits.apply(&mut parts.headers);
        Ok(())
    }
}

/// What routing sees of a request.
pub(crate) fn view(parts: &Parts, ends: Ends) -> HttpRequest<'_> {
    let mut view = HttpRequest::from_parts(parts, ends.source.map(|source| source.ip()));
    if let Some(source) = ends.source {
        view = view.source_port(source.port());
    }
    match ends.destination {
        Some(destination) => view.destination(destination),
        None => view,
    }
}

/// The plumbing.
impl Way<'_, '_> {
    fn view(&self) -> HttpRequest<'_> {
        view(&self.request.parts, self.request.ends)
    }

    fn selection(&self) -> Result<&Selection<Pool>, NoServer> {
        self.request.exchange.selection().ok_or(NoServer)
    }

    /// Has the server judged by what was met there, `None` for a connection.
    fn observe(&self, selection: &Selection<Pool>, met: Option<Failure>) {
        observe::observe(self.back, self.backend, selection.server(), met);
    }

    /// The body of the client, of which a copy is kept if it may have to be sent again.
    fn recorded(&self, body: Incoming) -> Recorded {
        // HAProxy: a client that stalls makes the server late, if that can be late.
        let limit = self.request.front.client;
        let limit = limit.filter(|_| self.back.timeouts.server.is_none());
        let body = Patient::new(body, limit).felt(&self.pulse);
        let tally = &self.request.exchange.story.from_client;
        let body = body.counted(tally, &self.request.parts.headers);
        Recorded::new(body, self.backend.retries_responses())
    }

    /// The request as the server gets it, its cookies edited.
    fn outgoing(&self, body: RequestBody) -> Result<Request<RequestBody>, NoServer> {
        let edits = self.selection()?.request_edits(&self.view());
        let upgrade = self.request.upgrade.as_ref();
        let parts = &self.request.parts;
        let mut request = headers::outgoing(parts, body, &edits, upgrade);
        if !self.keeps() && upgrade.is_none() {
            headers::close_after(&mut request);
        }
        let under_way = &self.request.client.under_way;
        let counts = self.counts()?;
        self.interim
            .pass(&mut request, parts.version, under_way, counts);
        Ok(request)
    }

    /// Counts an interim response.
    fn counts(&self) -> Result<impl Fn(StatusCode, &HeaderMap) + use<>, NoServer> {
        let tally = self.request.exchange.story.from_server.clone();
        let numbers = Arc::clone(&self.back.numbers);
        let server = self.selection()?.server().name().to_owned();
        Ok(move |status, headers: &HeaderMap| {
            Story::interim(&tally, status, headers);
            if let Some(numbers) = numbers.servers.get(&server) {
                account::add_response(&numbers.counters, Some(status));
            }
        })
    }

    /// Whether a connection to a server is kept for further requests.
    fn keeps(&self) -> bool {
        self.back.keeps_alive && !self.request.front.closes_servers
    }

    /// Whether the configuration has it sent once more if its connection breaks off, although
    /// the server may not do the same then.
    fn may_be_lost(&self, body: &RequestBody) -> Result<bool, NoServer> {
        let failure = Failure::EmptyResponse;
        let may_retry = self.backend.may_retry(self.selection()?, failure);
        Ok(may_retry && replay::is_short(body))
    }

    fn idle(&self) -> Result<Option<Connection>, NoServer> {
        let (server, own) = (self.selection()?.server(), &self.request.client.own);
        let idle = || self.back.reuse.idle(server, own, self.request.is_first);
        Ok(self.keeps().then(idle).flatten())
    }

    /// `None` is that the server does not answer in time.
    ///
    /// # Errors
    /// It was ordered to end.
    async fn send_on(
        &mut self,
        mut connection: Connection,
        request: Request<RequestBody>,
    ) -> Result<hyper::Result<Option<Sent>>, Answer> {
        self.request.exchange.story.connected(connection.ends);
        self.request.at_once = 0;
        self.pulse.beat();
        let sent = connection.send(request);
        let sent = body::within(self.back.timeouts.server, &self.pulse, sent);
        let sent = orders::unless_ordered(self.request.exchange.orders(), sent);
        let client = self.request.client;
        let sent = match client.unless_left(self.back.aborts, sent).await {
            Ok(sent) => sent.map_err(|order| self.ended(order))?.transpose(),
            Err(departure) => return Err(self.left(departure)),
        };
        let response = match sent {
            Ok(Some(response)) => response,
            Ok(None) => return Ok(Ok(None)),
            Err(error) => return Ok(Err(error)),
        };
        if !headers::are_sound(response.headers()) {
            return Ok(Ok(Some(Err(Lost::junk()))));
        }
        if let (true, Ok(selection)) = (self.keeps(), self.selection()) {
            let (server, own) = (selection.server(), &self.request.client.own);
            self.back.reuse.keep(server, own, connection);
        }
        Ok(Ok(Some(Ok(response))))
    }

    /// What the client gets. One that has had answers on this connection takes its end for
    /// that of a server that has closed in between, and asks again by itself.
    fn told(&self, lost: Lost) -> Answer {
        match lost.failure {
            Some(Failure::EmptyResponse) if !self.request.is_first => Answer::AskAgain,
            _ => lost.answer,
        }
    }

    /// The session was ordered to end before there was a response. HAProxy: a client that is
    /// still sending is told nothing.
    fn ended(&self, order: Order) -> Answer {
        if self.pulse.is_over() {
            answer::bad_answer(order.cause())
        } else {
            answer::ended_early(order)
        }
    }

    /// There is no response; that may be the client's own fault.
    fn lost(&mut self, error: &hyper::Error) -> Lost {
        match self.fault() {
            Some(answer) => answer.into(),
            None => Lost::to(error),
        }
    }

    /// What the client gets that has left while the server was asked.
    fn left(&mut self, departure: Departure) -> Answer {
        match departure {
            Departure::Reset => self.request.nothing((Cause::Client, Phase::Data)),
            Departure::HalfClosed => self.fault().unwrap_or(answer::client_left()),
        }
    }

    /// What the client gets if it is its own fault that there is no response.
    fn fault(&mut self) -> Option<Answer> {
        match self.request.client.under_way.refusal() {
            Some(Refusal::Cut) => Some(Answer::Nothing),
            Some(_) => Some(answer::bad_request()),
            None if self.pulse.has_stopped() => {
                Some(self.request.nothing((Cause::ClientTimeout, Phase::Data)))
            }
            None => None,
        }
    }
}

/// A response, or none.
type Sent = Result<Response<Incoming>, Lost>;

/// What was met at the server, as far as something may be tried after it.
fn met(sent: &Sent) -> Option<Failure> {
    match sent {
        Ok(response) => Some(Failure::Status(response.status().as_u16())),
        Err(lost) => lost.failure,
    }
}

/// What became of a request that was sent in vain, or not at all.
struct Lost {
    /// `None` if nothing is to be tried any more.
    failure: Option<Failure>,
    /// What the client is told if it is not sent again.
    answer: Answer,
}

impl Lost {
    fn late() -> Self {
        Self {
            failure: Some(Failure::ResponseTimeout),
            answer: answer::server_is_late(),
        }
    }

    fn junk() -> Self {
        Self {
            failure: Some(Failure::JunkResponse),
            answer: answer::bad_answer(Cause::Proxy),
        }
    }

    fn to(error: &hyper::Error) -> Self {
        if error.is_parse() {
            return Self::junk();
        }
        Self {
            failure: Some(Failure::EmptyResponse),
            answer: answer::bad_answer(Cause::Server),
        }
    }
}

impl<A: Into<Answer>> From<A> for Lost {
    fn from(answer: A) -> Self {
        Self {
            failure: None,
            answer: answer.into(),
        }
    }
}
