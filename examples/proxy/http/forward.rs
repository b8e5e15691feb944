//! The life of one request.
//!
//! The library is asked three times: for a server ([`Backend::select`]), for what to do
//! when it cannot be reached or fails ([`Backend::redispatch`]), and for what becomes of the
//! cookies in the response ([`Backend::respond`]). The rest is plumbing.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::{Method, Version, response};
use hyper::{Request, Response, StatusCode};
use stickroute::haproxy::{Cause, Phase};
use stickroute::{Backend, Failure, HttpRequest, HttpResponse, Now, RequestEdits, Selection};
use tokio::time;

use crate::client::Client;
use crate::client::stream::Ends;
use crate::client::wire::Refusal;
use crate::configuration::rules::Rules;
use crate::http::answer::{self, Answer};
use crate::http::body::{self, Patient, Pulse};
use crate::http::forwardfor;
use crate::http::headers;
use crate::http::replay::Recorded;
use crate::http::tunnel::Tunnel;
use crate::log::Place;
use crate::server::exchange::{Exchange, Outcome, Streamed};
use crate::server::observe;
use crate::server::pool::{self, Connection, Pool, RequestBody, Reuse};
use crate::server::queue::{self, NoTurn};
use crate::service::site::{Back, Front, Route};
use crate::statistics::account;
use crate::tcp::relay::Side;

pub(crate) type Body = Either<Streamed, Full<Bytes>>;

/// A response of which nobody has taken the exchange yet.
type Made = Response<Either<Patient, Full<Bytes>>>;

/// The client has gone: there is nobody to answer.
#[derive(Debug)]
pub(crate) struct ClientLeft;

impl fmt::Display for ClientLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has left")
    }
}

impl std::error::Error for ClientLeft {}

/// Answers one request.
pub(crate) async fn handle(
    front: Arc<Front>,
    client: Client,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, ClientLeft> {
    let upgraded = hyper::upgrade::on(&mut request);
    let (mut parts, body) = request.into_parts();
    let (counted, told) = client.under_way.begin();
    if told.expects {
        let value = HeaderValue::from_static("100-continue");
        parts.headers.insert(header::EXPECT, value);
    }
    let mut way = Way {
        front: &front,
        back: None,
        ends: client.ends,
        client: &client,
        is_first: told.is_first,
        is_reused: false,
        upgrade: headers::upgrade(&parts),
        tunnel: None,
        exchange: Exchange::new(&front, &client, &parts, counted),
        parts,
    };
    let response = way.respond_with_rules(body).await?;
    let Way {
        tunnel, exchange, ..
    } = way;
    let Some(tunnel) = tunnel else {
        return Ok(end(response, exchange));
    };
    client.under_way.open_tunnel();
    Ok(tunnel.open(response, upgraded, exchange, client))
}

/// The exchange ends with the last byte of the response.
fn end(response: Made, mut exchange: Exchange) -> Response<Body> {
    exchange.status = Some(response.status());
    let (parts, body) = response.into_parts();
    let body = match body {
        Either::Left(body) => Either::Left(Streamed::new(body, exchange)),
        Either::Right(text) => {
            exchange.story.made(&parts, &text);
            Either::Right(text)
        }
    };
    Response::from_parts(parts, body)
}

/// A response, or none.
type Sent = Result<Response<Incoming>, Lost>;

/// What became of a request that was sent in vain.
struct Lost {
    failure: Failure,
    /// What the client is told if it is not sent again.
    answer: Answer,
}

impl Lost {
    fn late() -> Self {
        Self {
            failure: Failure::ResponseTimeout,
            answer: answer::server_is_late(),
        }
    }

    fn to(error: &hyper::Error) -> Self {
        let (failure, cause) = if error.is_parse() {
            (Failure::JunkResponse, Cause::Proxy)
        } else {
            (Failure::EmptyResponse, Cause::Server)
        };
        Self {
            failure,
            answer: answer::bad_answer(cause),
        }
    }
}

/// One request on its way.
struct Way<'a> {
    front: &'a Front,
    back: Option<Arc<Back>>,
    /// As rules see the client.
    ends: Ends,
    client: &'a Client,
    /// It is the first request of its connection.
    is_first: bool,
    /// The connection to the server has had requests before.
    is_reused: bool,
    /// What the client wants to speak instead of HTTP.
    upgrade: Option<HeaderValue>,
    /// What the server has agreed to speak instead.
    tunnel: Option<Tunnel>,
    /// As the rules have left it: what routing looks at, from the first to the last time.
    parts: Parts,
    exchange: Exchange,
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

impl Way<'_> {
    /// The response, or what the client gets instead.
    async fn respond_with_rules(&mut self, body: Incoming) -> Result<Made, ClientLeft> {
        let mut response = match self.forward(body).await {
            Ok((parts, body)) => Response::from_parts(parts, Either::Left(body)),
            Err(answer) => {
                self.exchange.refused(&answer);
                self.made(answer)?.map(Either::Right)
            }
        };
        let front = self.front;
        let other = self
            .back
            .as_deref()
            .and_then(|back| front.other_rules(back));
        let record = self.exchange.record();
        for rules in other.into_iter().chain([&*front.rules]) {
            rules.filters.after_response(&record, &mut response);
        }
        if !front.keeps_alive && self.tunnel.is_none() {
            headers::close(&mut response);
        }
        Ok(response)
    }

    async fn forward(&mut self, mut body: Incoming) -> Result<(response::Parts, Patient), Answer> {
        if self.parts.method == Method::CONNECT && self.parts.version == Version::HTTP_2 {
            let ending = (Cause::Proxy, Phase::Request);
            return Err(Answer::Page(StatusCode::NOT_IMPLEMENTED, ending));
        }
        headers::remove_listed(&mut self.parts.headers);
        let (back, backend) = self.route(&mut body).await?;
        self.select(&back, &backend).await?;
        let mut response = self.obtain(&back, &backend, body).await?;
        self.client.under_way.interim_sent().await;
        self.tunnel = self.agreed(&back, &mut response)?;
        let (mut parts, body) = response.into_parts();
        let body = Patient::new(body, back.timeouts.server, Pulse::default());
        let mut body = body.counted(&self.exchange.story.from_server);
        let broken = |_| answer::bad_answer(Cause::Proxy);
        body.peek().await.map_err(broken)?;
        self.exchange.answered(&parts);
        self.respond(&back, &backend, &mut parts)?;
        Ok((parts, body))
    }

    fn view(&self) -> HttpRequest<'_> {
        view(&self.parts, self.ends)
    }

    /// What the client gets instead of a response of a server. The pages of the backend come
    /// before those of the frontend.
    fn made(&self, answer: Answer) -> Result<Response<Full<Bytes>>, ClientLeft> {
        let status = match answer {
            Answer::Page(status, _) => status,
            Answer::Made(made, _) => return Ok(*made),
            Answer::Denied(answer) => return self.made(*answer),
            Answer::Nothing => return Err(ClientLeft),
        };
        let back = self.back.as_ref().map(|back| &back.rules.pages);
        let pages = back.filter(|pages| pages.has(status));
        let pages = pages.unwrap_or(&self.front.rules.pages);
        let record = self.exchange.record();
        let made = pages.answer(status, &record, &self.view());
        let mut made = made.ok_or(ClientLeft)?;
        // What is left of a request that nobody has read would be taken for another one.
        let is_fault = matches!(status.as_u16(), 400 | 408);
        if is_fault && self.client.under_way.refusal().is_some() {
            headers::close(&mut made);
        }
        Ok(made)
    }

    /// Lets responses before the response through, which hyper would drop.
    fn pass_interim(&self, request: &mut Request<RequestBody>) {
        if self.parts.version != Version::HTTP_11 {
            return;
        }
        let under_way = self.client.under_way.clone();
        hyper::ext::on_informational(request, move |interim| {
            under_way.send_interim(&headers::interim(interim.status(), interim.headers()));
        });
    }

    /// The tunnel that a response opens, if it does. One that nobody has asked for is no
    /// valid answer.
    fn agreed(
        &self,
        back: &Arc<Back>,
        response: &mut Response<Incoming>,
    ) -> Result<Option<Tunnel>, Answer> {
        let is_connected = self.parts.method == Method::CONNECT && response.status().is_success();
        let is_switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_switched && self.upgrade.is_none() {
            return Err(answer::bad_answer(Cause::Proxy));
        }
        let is_tunnel = is_connected || is_switched;
        Ok(is_tunnel.then(|| Tunnel {
            server: hyper::upgrade::on(response),
            sides: [
                Side::new(self.front.client, self.front.client_fin),
                Side::new(back.timeouts.server, back.timeouts.server_fin),
            ],
            limit: back.timeouts.tunnel,
        }))
    }

    /// Follows the rules of the frontend, finds the backend, and follows its rules.
    async fn route(
        &mut self,
        body: &mut Incoming,
    ) -> Result<(Arc<Back>, Arc<Backend<Pool>>), Answer> {
        let front = self.front;
        let filters = &front.rules.filters;
        filters.on_request(&self.exchange.record(), &mut self.ends, &mut self.parts)?;
        self.exchange.identify(&mut self.parts.headers);
        self.statistics(&front.rules, body).await?;
        let back = front.route(&self.view()).ok_or_else(answer::no_server)?;
        self.exchange.enter(&back);
        self.back = Some(Arc::clone(&back));
        if let Some(rules) = front.other_rules(&back) {
            let filters = &rules.filters;
            filters.on_request(&self.exchange.record(), &mut self.ends, &mut self.parts)?;
            self.statistics(rules, body).await?;
        }
        let options = [&front.rules, &back.rules].map(|rules| &rules.filters.forwardfor);
        forwardfor::add(options, self.ends, &mut self.parts.headers);
        let backend = back.backend.clone().ok_or_else(answer::no_server)?;
        Ok((back, backend))
    }

    /// The page of statistics of a section is an answer, as those of rules are.
    async fn statistics(&self, rules: &Rules, body: &mut Incoming) -> Result<(), Answer> {
        let (Some(page), Route::Rules(site)) = (&rules.page, &self.front.route) else {
            return Ok(());
        };
        let answer = page.answer(site, &self.parts, self.ends, body).await;
        answer.map_or(Ok(()), Err)
    }

    async fn select(&mut self, back: &Back, backend: &Backend<Pool>) -> Result<(), Answer> {
        let admitted = backend.admit(&self.view(), Now::system());
        let readmit = |sent_back| backend.readmit(sent_back, &self.view(), Now::system());
        let mut place = Place::default();
        let waits = |waiting: &_| {
            place = Place::of(waiting, backend);
            account::note_queues(back);
        };
        let selected = queue::wait(admitted, back.timeouts.queue, readmit, waits).await;
        let story = &mut self.exchange.story;
        story.place = place;
        story.timers.queue = story.waited(&selected);
        self.settle(selected)
    }

    /// Notes what was decided.
    fn settle(&mut self, decided: Result<Selection<Pool>, NoTurn>) -> Result<(), Answer> {
        match decided {
            Ok(selection) => {
                self.exchange.outcome = Outcome::Selected(selection);
                Ok(())
            }
            Err(refused) => {
                self.exchange.refuse(refused);
                Err(answer::no_server())
            }
        }
    }

    fn selection(&mut self) -> Result<&mut Selection<Pool>, Answer> {
        match &mut self.exchange.outcome {
            Outcome::Selected(selection) => Ok(selection),
            Outcome::Unrouted | Outcome::NoServer(_) => Err(answer::no_server()),
        }
    }

    fn edits(&self) -> Result<RequestEdits, Answer> {
        match &self.exchange.outcome {
            Outcome::Selected(selection) => Ok(selection.request_edits(&self.view())),
            Outcome::Unrouted | Outcome::NoServer(_) => Err(answer::no_server()),
        }
    }

    /// Sends the request until there is a response to be passed on, or nothing is tried
    /// any more.
    async fn obtain(
        &mut self,
        back: &Arc<Back>,
        backend: &Backend<Pool>,
        body: Incoming,
    ) -> Result<Response<Incoming>, Answer> {
        let pulse = Pulse::default();
        let body = Patient::new(body, self.front.client, pulse.clone());
        let body = body.counted(&self.exchange.story.from_client);
        let body = Recorded::new(body, backend.retries_responses());
        let copy = body.copy();
        let mut body = Either::Left(body);
        loop {
            let request = self.outgoing(back, body)?;
            let sent = self.send(back, backend, request, &pulse).await?;
            let failure = match &sent {
                Ok(response) => Failure::Status(response.status().as_u16()),
                Err(lost) => lost.failure,
            };
            let selection = self.selection()?;
            observe::observe(back, backend, selection.server(), Some(failure));
            let may_retry = backend.may_retry(selection, failure);
            let Some(whole) = copy.whole().filter(|_| may_retry) else {
                return sent.map_err(|lost| lost.answer);
            };
            let pause = self.redispatch(back, backend, failure).await?;
            time::sleep(pause).await;
            body = Either::Right(whole);
        }
    }

    fn outgoing(&self, back: &Back, body: RequestBody) -> Result<Request<RequestBody>, Answer> {
        let upgrade = self.upgrade.as_ref();
        let mut request = headers::outgoing(&self.parts, body, &self.edits()?, upgrade);
        if !self.keeps(back) && upgrade.is_none() {
            headers::close_after(&mut request);
        }
        self.pass_interim(&mut request);
        Ok(request)
    }

    /// Sends the request once, on an idle connection if it may be sent twice: the server may
    /// have closed that just now, and then a new one takes the request.
    async fn send(
        &mut self,
        back: &Arc<Back>,
        backend: &Backend<Pool>,
        request: Request<RequestBody>,
        pulse: &Pulse,
    ) -> Result<Sent, Answer> {
        let limit = back.timeouts.server;
        if let Some(copy) = headers::copy_if_repeatable(&request)
            && let Some(mut idle) = self.idle(back)?
        {
            pulse.beat();
            self.exchange.story.connected(idle.ends);
            let sent = body::within(limit, pulse, idle.send(copy)).await;
            match sent {
                None => return Ok(Err(Lost::late())),
                Some(Ok(response)) => return self.received(back, idle, response).map(Ok),
                Some(Err(_)) => {}
            }
        }
        let mut connection = self.connect(back, backend).await?;
        self.is_reused = false;
        self.exchange.story.connected(connection.ends);
        pulse.beat();
        let sent = body::within(limit, pulse, connection.send(request)).await;
        match sent {
            None => Ok(Err(Lost::late())),
            Some(Ok(response)) => self.received(back, connection, response).map(Ok),
            Some(Err(error)) => match self.fault(pulse) {
                Some(answer) => Err(answer),
                None => Ok(Err(Lost::to(&error))),
            },
        }
    }

    /// What the client gets if it is its own fault that there is no response.
    fn fault(&self, pulse: &Pulse) -> Option<Answer> {
        match self.client.under_way.refusal() {
            Some(Refusal::Cut) => Some(Answer::Nothing),
            Some(_) => Some(answer::bad_request()),
            None => pulse.has_stopped().then(answer::client_is_late),
        }
    }

    fn received(
        &mut self,
        back: &Back,
        connection: Connection,
        response: Response<Incoming>,
    ) -> Result<Response<Incoming>, Answer> {
        if self.keeps(back) {
            let (own, is_reused) = (self.client.own.clone(), self.is_reused);
            let server = self.selection()?.server();
            let pool = match back.reuse {
                Reuse::Never => &own,
                _ => server.payload(),
            };
            pool.keep(server.address().clone(), connection, is_reused);
        }
        Ok(response)
    }

    /// Whether a connection to a server is kept for further requests.
    fn keeps(&self, back: &Back) -> bool {
        back.keeps_alive && !self.front.closes_servers
    }

    fn idle(&mut self, back: &Back) -> Result<Option<Connection>, Answer> {
        if !self.keeps(back) {
            return Ok(None);
        }
        let (own, is_first) = (self.client.own.clone(), self.is_first);
        let server = self.selection()?.server();
        let (pool, address) = (server.payload(), server.address());
        let found = match back.reuse {
            Reuse::Never => own.idle(address, false),
            Reuse::Safe if is_first => None,
            Reuse::Aggressive => pool.idle(address, is_first),
            Reuse::Safe | Reuse::Always => pool.idle(address, false),
        };
        self.is_reused = found.is_some();
        Ok(found)
    }

    /// Connects to the selected server or, while that fails, to the one the library
    /// names next. Nothing of the request has been sent yet.
    async fn connect(
        &mut self,
        back: &Arc<Back>,
        backend: &Backend<Pool>,
    ) -> Result<Connection, Answer> {
        loop {
            let address = self.selection()?.server().address().clone();
            match pool::open(&address, back.timeouts.connect).await {
                Ok(connection) => {
                    observe::observe(back, backend, self.selection()?.server(), None);
                    return Ok(connection);
                }
                Err(failure) => {
                    let server = self.selection()?.server();
                    observe::observe(back, backend, server, Some(failure));
                    let pause = self.redispatch(back, backend, failure).await?;
                    time::sleep(pause).await;
                }
            }
        }
    }

    /// Selects anew after a failure; returns how long to wait before the next attempt.
    async fn redispatch(
        &mut self,
        back: &Back,
        backend: &Backend<Pool>,
        failure: Failure,
    ) -> Result<Duration, Answer> {
        let outcome = mem::replace(&mut self.exchange.outcome, Outcome::Unrouted);
        let Outcome::Selected(selection) = outcome else {
            return Err(answer::no_server());
        };
        let attempt = self.exchange.has_failed(&selection, failure);
        let now = Now::system();
        let retry = backend.redispatch_or_wait(selection, &self.view(), failure, now);
        self.exchange.retries(&attempt, &retry);
        let readmit = |sent_back| backend.readmit(sent_back, &self.view(), Now::system());
        let next = queue::retry(retry, back.timeouts.queue, readmit).await;
        let pause = next.as_ref().map_or(Duration::ZERO, |(_, pause)| *pause);
        self.settle(next.map(|(selection, _)| selection))?;
        Ok(pause)
    }

    fn respond(
        &mut self,
        back: &Back,
        backend: &Backend<Pool>,
        parts: &mut response::Parts,
    ) -> Result<(), Answer> {
        let view = HttpResponse::from_parts(parts);
        // Rules stand between what is learned from the server and what becomes of cookies.
        backend.answered(self.selection()?, &view, Now::system());
        let protocol = parts.headers.get(header::UPGRADE).cloned();
        headers::remove_listed(&mut parts.headers);
        headers::remove_hop_by_hop(&mut parts.headers);
        if parts.status == StatusCode::SWITCHING_PROTOCOLS
            && let Some(protocol) = protocol.or_else(|| self.upgrade.clone())
        {
            headers::add_upgrade(&mut parts.headers, protocol);
        }
        parts.version = Version::HTTP_11;
        if let Some(rules) = self.front.other_rules(back) {
            rules.filters.on_response(&self.exchange.record(), parts)?;
        }
        let record = self.exchange.record();
        self.front.rules.filters.on_response(&record, parts)?;
        let view = HttpResponse::from_parts(parts);
        let edits = backend.respond(self.selection()?, &view, Now::system());
        edits.apply(&mut parts.headers);
        Ok(())
    }
}
