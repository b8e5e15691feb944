//! The life of one request.
//!
//! The library is asked three times: for a server ([`Backend::select`]), for what to do
//! when it cannot be reached ([`Backend::redispatch`]), and for what becomes of the
//! cookies in the response ([`Backend::respond`]). The rest is plumbing.

use std::convert::Infallible;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::http::{Version, response};
use hyper::{Request, Response};
use stickroute::{
    Backend, Failure, HttpRequest, HttpResponse, Now, RequestEdits, SelectError, Selection,
};
use tokio::time;

use crate::answer::{self, Answer};
use crate::body::{self, Patient, Pulse};
use crate::exchange::{Exchange, Outcome, Streamed};
use crate::forwardfor;
use crate::headers;
use crate::pool::{self, Connection, Pool, RequestBody};
use crate::queue;
use crate::rules::Rules;
use crate::site::{Back, Front, Route};
use crate::statistics::tally::{Attempt, Tally};
use crate::stream::{Ends, UnderWay};

type Body = Either<Streamed, Full<Bytes>>;

/// Answers one request.
pub(crate) async fn handle(
    front: Arc<Front>,
    ends: Ends,
    under_way: UnderWay,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let mut exchange = Exchange::new(ends, &parts, under_way.begin());
    exchange.tally = Tally::http(&front.counters, &parts);
    let mut way = Way {
        front: &front,
        back: None,
        ends,
        parts,
        exchange,
    };
    let answer = way.forward(body).await;
    let Way { back, exchange, .. } = way;
    let mut response = match answer {
        Ok((parts, body)) => Response::from_parts(parts, Either::Left(body)),
        Err(answer) => (*answer).map(Either::Right),
    };
    let other = back.as_deref().and_then(|back| front.other_rules(back));
    for rules in other.into_iter().chain([&*front.rules]) {
        rules.filters.after_response(&mut response);
    }
    if !front.keeps_alive {
        headers::close(&mut response);
    }
    Ok(end(response, exchange))
}

/// The exchange ends with the last byte of the response.
fn end(response: Response<Either<Patient, Full<Bytes>>>, mut exchange: Exchange) -> Response<Body> {
    exchange.status = Some(response.status());
    exchange.tally.answer(&response);
    response.map(|body| match body {
        Either::Left(body) => Either::Left(Streamed::new(body, exchange)),
        Either::Right(text) => Either::Right(text),
    })
}

/// One request on its way.
struct Way<'a> {
    front: &'a Front,
    back: Option<Arc<Back>>,
    ends: Ends,
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
    async fn forward(&mut self, mut body: Incoming) -> Result<(response::Parts, Patient), Answer> {
        if let Some((status, text)) = headers::unsupported(&self.parts) {
            return Err(answer::text(status, text));
        }
        headers::remove_listed(&mut self.parts.headers);
        let (back, backend) = self.route(&mut body).await?;
        self.select(&back, &backend).await?;
        let edits = self.edits()?;
        let pulse = self.exchange.tally.up.clone();
        let body = Patient::new(body, self.front.client, pulse.clone());
        let request = headers::outgoing(&self.parts, body, &edits);
        let response = self.send(&back, &backend, request, &pulse).await?;
        let (mut parts, body) = response.into_parts();
        self.respond(&back, &backend, &mut parts)?;
        let pulse = self.exchange.tally.down.clone();
        Ok((parts, Patient::new(body, back.timeouts.server, pulse)))
    }

    fn view(&self) -> HttpRequest<'_> {
        view(&self.parts, self.ends)
    }

    /// Follows the rules of the frontend, finds the backend, and follows its rules.
    async fn route(
        &mut self,
        body: &mut Incoming,
    ) -> Result<(Arc<Back>, Arc<Backend<Pool>>), Answer> {
        let front = self.front;
        front.rules.filters.on_request(self.ends, &mut self.parts)?;
        self.statistics(&front.rules, body).await?;
        let back = front.route(&self.view()).ok_or_else(answer::no_server)?;
        self.exchange.backend.clone_from(&back.name);
        self.exchange.tally.reach(&back);
        self.back = Some(Arc::clone(&back));
        if let Some(rules) = front.other_rules(&back) {
            rules.filters.on_request(self.ends, &mut self.parts)?;
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
        self.exchange.tally.wait(&admitted);
        let readmit = |sent_back| backend.readmit(sent_back, &self.view(), Now::system());
        let selected = queue::wait(admitted, back.timeouts.queue, readmit).await;
        self.settle(selected)
    }

    /// Notes what was decided.
    fn settle(&mut self, decided: Result<Selection<Pool>, SelectError>) -> Result<(), Answer> {
        match decided {
            Ok(selection) => {
                self.exchange.outcome = Outcome::Selected(selection);
                Ok(())
            }
            Err(error) => {
                self.exchange.outcome = Outcome::NoServer(error);
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

    /// Sends the request, on an idle connection if it may be sent twice: the server may
    /// have closed that just now, and then a new one takes the request.
    async fn send(
        &mut self,
        back: &Arc<Back>,
        backend: &Backend<Pool>,
        request: Request<RequestBody>,
        pulse: &Pulse,
    ) -> Result<Response<Incoming>, Answer> {
        let limit = back.timeouts.server;
        if let Some(copy) = headers::copy_if_repeatable(&request)
            && let Some(mut idle) = self.idle()?
        {
            pulse.beat();
            let sent = body::within(limit, pulse, idle.send_request(copy)).await;
            if let Ok(response) = sent.ok_or_else(answer::server_is_late)? {
                return self.received(back, idle, response);
            }
        }
        let mut connection = self.connect(back, backend).await?;
        pulse.beat();
        let sent = body::within(limit, pulse, connection.send_request(request)).await;
        let response = match sent.ok_or_else(answer::server_is_late)? {
            Ok(response) => response,
            Err(_) if pulse.has_stopped() => return Err(answer::client_is_late()),
            Err(_) if pulse.has_broken() => return Err(answer::client_left()),
            Err(_) => return Err(answer::bad_answer()),
        };
        self.received(back, connection, response)
    }

    fn received(
        &mut self,
        back: &Back,
        connection: Connection,
        response: Response<Incoming>,
    ) -> Result<Response<Incoming>, Answer> {
        if back.keeps_alive {
            let server = self.selection()?.server();
            server.payload().keep(server.address().clone(), connection);
        }
        Ok(response)
    }

    fn idle(&mut self) -> Result<Option<Connection>, Answer> {
        let server = self.selection()?.server();
        Ok(server.payload().idle(server.address()))
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
                Ok(connection) => return Ok(connection),
                Err(failure) => {
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
        let now = Now::system();
        let attempt = Attempt::of(&selection);
        let retry = backend.redispatch_or_wait(selection, &self.view(), failure, now);
        self.exchange.tally.failed(&attempt, &retry);
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
        self.exchange.tally.answered = Some(parts.status);
        let view = HttpResponse::from_parts(parts);
        // Rules stand between what is learned from the server and what becomes of cookies.
        backend.answered(self.selection()?, &view, Now::system());
        headers::remove_listed(&mut parts.headers);
        headers::remove_hop_by_hop(&mut parts.headers);
        parts.version = Version::HTTP_11;
        if let Some(rules) = self.front.other_rules(back) {
            rules.filters.on_response(parts)?;
        }
        self.front.rules.filters.on_response(parts)?;
        let view = HttpResponse::from_parts(parts);
        let edits = backend.respond(self.selection()?, &view, Now::system());
        edits.apply(&mut parts.headers);
        Ok(())
    }
}
