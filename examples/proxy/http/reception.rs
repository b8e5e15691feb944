//! The reception of a request: the rules of its frontend and its backend, and what the client
//! is told in the end. What lies between is in `forward.rs`.

use std::fmt;
use std::sync::Arc;

use http_body_util::{Either, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::{Method, Version};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use stickroute::haproxy::{Cause, Phase};

use crate::client::Client;
use crate::client::stream::Ends;
use crate::client::wire::Refusal;
use crate::configuration::rules::Rules;
use crate::http::answer::{self, Answer};
use crate::http::body::{self, Patient};
use crate::http::forward::{self, view};
use crate::http::forwardfor;
use crate::http::headers;
use crate::http::streamed::{Body, Streamed};
use crate::http::tunnel::Tunnel;
use crate::log::Ending;
use crate::server::exchange::Exchange;
use crate::service::site::{Farm, Front, Route};

/// A request that has been received.
pub(crate) struct Received<'a> {
    pub(crate) front: &'a Front,
    pub(crate) client: &'a Client,
    /// As rules see the client.
    pub(crate) ends: Ends,
    /// It is the first request of its connection.
    pub(crate) is_first: bool,
    /// So many bytes of a body that nobody has looked at yet have come together with it.
    pub(crate) at_once: usize,
    /// Its body is not read to its end.
    is_unread: bool,
    /// What the client wants to speak instead of HTTP.
    pub(crate) upgrade: Option<HeaderValue>,
    /// What the server has agreed to speak instead.
    pub(crate) tunnel: Option<Tunnel>,
    /// As the rules have left it: what routing looks at, from the first to the last time.
    pub(crate) parts: Parts,
    pub(crate) exchange: Exchange,
}

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
    let (parts, body) = request.into_parts();
    let mut received = Received::new(&front, &client, parts);
    let response = received.answer(body).await?;
    Ok(received.end(response, upgraded))
}

impl<'a> Received<'a> {
    fn new(front: &'a Arc<Front>, client: &'a Client, mut parts: Parts) -> Self {
        let (counted, told) = client.under_way.begin();
        if told.expects {
            let value = HeaderValue::from_static("100-continue");
            parts.headers.insert(header::EXPECT, value);
        }
        Self {
            front,
            ends: client.ends,
            client,
            is_first: told.is_first,
            at_once: told.at_once,
            is_unread: false,
            upgrade: headers::upgrade(&parts),
            tunnel: None,
            exchange: Exchange::new(front, client, &parts, (counted, told)),
            parts,
        }
    }

    /// The response, or what the client gets instead.
    async fn answer(&mut self, body: Incoming) -> Result<Made, ClientLeft> {
        let mut response = match self.pass_on(body).await {
            Ok(response) => response.map(Either::Left),
            Err(answer) => {
                self.exchange.story.from_client.add(self.at_once);
                self.exchange.refused(&answer);
                self.made(answer)?.map(Either::Right)
            }
        };
        let back = self.exchange.back();
        let other = back.and_then(|back| self.front.other_rules(back));
        for rules in other.into_iter().chain([&*self.front.rules]) {
            let record = || self.exchange.record();
            rules.filters.after_response(&record, &mut response);
        }
        if self.is_unread || (!self.front.keeps_alive && self.tunnel.is_none()) {
            headers::close(&mut response);
            if self.parts.version == Version::HTTP_10 {
                // hyper would say that it is kept, besides.
                *response.version_mut() = Version::HTTP_10;
            }
        }
        if matches!(response.body(), Either::Left(_)) {
            self.exchange.begins(&response);
        }
        Ok(response)
    }

    /// Finds out which backend it is for, and has that answer it.
    async fn pass_on(&mut self, mut body: Incoming) -> Result<Response<Patient>, Answer> {
        if self.parts.method == Method::CONNECT && self.parts.version == Version::HTTP_2 {
            let ending = (Cause::Proxy, Phase::Request);
            return Err(Answer::Page(StatusCode::NOT_IMPLEMENTED, ending));
        }
        self.monitor()?;
        headers::remove_listed(&mut self.parts.headers);
        match self.route(&mut body).await {
            Ok(_) if self.client.under_way.refusal() == Some(Refusal::Cut) => {
                Err(self.nothing((Cause::Client, Phase::Request)))
            }
            Ok(farm) => forward::forward(self, &farm, body).await,
            Err(answer) => {
                let redirects_body = answer.redirects() && !body.is_end_stream();
                self.spill(body).await;
                // As in HAProxy, however much of the body has come.
                self.is_unread |= redirects_body;
                Err(answer)
            }
        }
    }

    /// Nobody wants the body. If there is much of it, the connection ends with the answer.
    pub(crate) async fn spill(&mut self, body: impl hyper::body::Body + Unpin) {
        self.is_unread = !body::spill(body).await;
    }

    /// Answers who only asks whether the proxy is there, before any rule and without a line
    /// in the log.
    fn monitor(&mut self) -> Result<(), Answer> {
        let Some(monitor) = &self.front.monitor else {
            return Ok(());
        };
        let target = self.parts.uri.path_and_query();
        if target.is_none_or(|target| target.as_str().as_bytes() != monitor) {
            return Ok(());
        }
        self.exchange.keep_quiet();
        Err(Answer::Page(StatusCode::OK, answer::LOCAL))
    }

    /// Follows the rules of the frontend, finds the backend, and follows its rules.
    async fn route(&mut self, body: &mut Incoming) -> Result<Farm, Answer> {
        let front = self.front;
        self.follow(&front.rules)?;
        self.exchange.identify(&mut self.parts.headers);
        self.statistics(&front.rules, body).await?;
        let back = front.route(&view(&self.parts, self.ends));
        let back = back.ok_or_else(answer::no_server)?;
        self.exchange.enter(&back);
        if let Some(rules) = front.other_rules(&back) {
            self.follow(rules)?;
            self.statistics(rules, body).await?;
        }
        let options = [&front.rules, &back.rules].map(|rules| &rules.filters.forwardfor);
        forwardfor::add(options, self.ends, &mut self.parts.headers);
        Farm::of(back).ok_or_else(answer::no_server)
    }

    fn follow(&mut self, rules: &Rules) -> Result<(), Answer> {
        let record = || self.exchange.record();
        rules
            .filters
            .on_request(&record, &mut self.ends, &mut self.parts)
    }

    /// The page of statistics of a section is an answer, as those of rules are.
    async fn statistics(&mut self, rules: &Rules, body: &mut Incoming) -> Result<(), Answer> {
        let (Some(page), Route::Rules(site)) = (&rules.page, &self.front.route) else {
            return Ok(());
        };
        let answer = page.answer(site, &self.parts, self.ends, body).await;
        let Some(answer) = answer else { return Ok(()) };
        let is_told = matches!(&answer, Answer::Made(made, _) if !made.status().is_client_error());
        self.exchange.story.by_applet("<STATS>", is_told);
        Err(answer)
    }

    /// Nobody is there to be answered.
    pub(crate) fn nothing(&mut self, ending: Ending) -> Answer {
        self.exchange.story.ending = Some(ending);
        Answer::Nothing
    }

    /// What the client gets instead of a response of a server. The pages of the backend come
    /// before those of the frontend.
    fn made(&self, answer: Answer) -> Result<Response<Full<Bytes>>, ClientLeft> {
        let status = match answer {
            Answer::Page(status, _) => status,
            Answer::Made(made, _) => return Ok(*made),
            Answer::Denied(answer) => return self.made(*answer),
            Answer::Silence(_) | Answer::Nothing | Answer::AskAgain => return Err(ClientLeft),
        };
        let back = self.exchange.back().map(|back| &back.rules.pages);
        let pages = back.filter(|pages| pages.has(status));
        let pages = pages.unwrap_or(&self.front.rules.pages);
        let record = self.exchange.record();
        let made = pages.answer(status, &record, &view(&self.parts, self.ends));
        let mut made = made.ok_or(ClientLeft)?;
        // What is left of a request that nobody has read would be taken for another one.
        let is_fault = matches!(status.as_u16(), 400 | 408);
        if is_fault && self.client.under_way.refusal().is_some() {
            headers::close(&mut made);
        }
        Ok(made)
    }

    /// The exchange ends with the last byte of the response, or with the tunnel behind it.
    fn end(self, response: Made, upgraded: OnUpgrade) -> Response<Body> {
        let mut exchange = self.exchange;
        exchange.status = Some(response.status());
        if let Some(tunnel) = self.tunnel {
            self.client.under_way.open_tunnel();
            return tunnel.open(response, upgraded, exchange, self.client.guest.clone());
        }
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
}
