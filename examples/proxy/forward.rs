//! The life of one request.
//!
//! The library is asked three times: for a server ([`Backend::select`]), for what to do
//! when it cannot be reached ([`Backend::redispatch`]), and for what becomes of the
//! cookies in the response ([`Backend::respond`]). The rest is plumbing.

use std::convert::Infallible;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::http::{Version, response};
use hyper::{Request, Response, StatusCode};
use stickroute::{
    Backend, Failure, HttpRequest, HttpResponse, Now, RequestEdits, Retry, SelectError, Selection,
};
use tokio::time;

use crate::exchange::{Exchange, Outcome, Streamed};
use crate::headers;
use crate::pool::{self, Connection, Pool, RequestBody};

type Body = Either<Streamed, Full<Bytes>>;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Proxy {
    backend: Arc<Backend<Pool>>,
    connect_timeout: Duration,
}

/// An answer the proxy makes itself.
type Refusal = (StatusCode, &'static str);

const NO_SERVER: Refusal = (StatusCode::SERVICE_UNAVAILABLE, "no server is available\n");
const BAD_ANSWER: Refusal = (StatusCode::BAD_GATEWAY, "the server gave no valid answer\n");

/// Answers one request.
pub(crate) async fn handle(
    proxy: Arc<Proxy>,
    client: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let mut way = Way {
        proxy: &proxy,
        client,
        parts: &parts,
        exchange: Exchange::new(client, &parts),
    };
    let answer = way.forward(body).await;
    let mut exchange = way.exchange;
    Ok(match answer {
        Ok((parts, body)) => {
            exchange.status = Some(parts.status);
            Response::from_parts(parts, Either::Left(Streamed::new(body, exchange)))
        }
        Err((status, text)) => {
            exchange.status = Some(status);
            let mut response = Response::new(Either::Right(Full::from(text)));
            *response.status_mut() = status;
            response
        }
    })
}

/// One request on its way.
struct Way<'a> {
    proxy: &'a Proxy,
    client: SocketAddr,
    /// As the client sent it: what routing looks at, from the first to the last time.
    parts: &'a Parts,
    exchange: Exchange,
}

impl Proxy {
    /// A proxy for one backend.
    pub(crate) fn new(backend: Arc<Backend<Pool>>, connect_timeout: Duration) -> Self {
        Self {
            backend,
            connect_timeout,
        }
    }
}

impl<'a> Way<'a> {
    async fn forward(&mut self, body: Incoming) -> Result<(response::Parts, Incoming), Refusal> {
        if let Some(refusal) = headers::unsupported(self.parts) {
            return Err(refusal);
        }
        self.select()?;
        let edits = self.edits()?;
        let request = headers::outgoing(self.parts, body, &edits);
        let response = self.send(request).await?;
        let (mut parts, body) = response.into_parts();
        self.respond(&mut parts)?;
        Ok((parts, body))
    }

    fn view(&self) -> HttpRequest<'a> {
        HttpRequest::from_parts(self.parts, Some(self.client.ip()))
    }

    fn edits(&mut self) -> Result<RequestEdits, Refusal> {
        let view = self.view();
        Ok(self.selection()?.request_edits(&view))
    }

    fn select(&mut self) -> Result<(), Refusal> {
        let selected = self.proxy.backend.select(&self.view(), Now::system());
        self.settle(selected)
    }

    /// Notes what was decided.
    fn settle(&mut self, decided: Result<Selection<Pool>, SelectError>) -> Result<(), Refusal> {
        match decided {
            Ok(selection) => {
                self.exchange.outcome = Outcome::Selected(selection);
                Ok(())
            }
            Err(error) => {
                self.exchange.outcome = Outcome::NoServer(error);
                Err(NO_SERVER)
            }
        }
    }

    fn selection(&mut self) -> Result<&mut Selection<Pool>, Refusal> {
        match &mut self.exchange.outcome {
            Outcome::Selected(selection) => Ok(selection),
            Outcome::Unrouted | Outcome::NoServer(_) => Err(NO_SERVER),
        }
    }

    /// Sends the request, on an idle connection if it may be sent twice: the server may
    /// have closed that just now, and then a new one takes the request.
    async fn send(&mut self, request: Request<RequestBody>) -> Result<Response<Incoming>, Refusal> {
        if let Some(copy) = headers::copy_if_repeatable(&request)
            && let Some(mut idle) = self.selection()?.server().payload().idle()
            && let Ok(response) = idle.send_request(copy).await
        {
            return self.received(idle, response);
        }
        let mut connection = self.connect().await?;
        let response = connection.send_request(request).await;
        self.received(connection, response.map_err(|_| BAD_ANSWER)?)
    }

    fn received(
        &mut self,
        connection: Connection,
        response: Response<Incoming>,
    ) -> Result<Response<Incoming>, Refusal> {
        self.selection()?.server().payload().keep(connection);
        Ok(response)
    }

    /// Connects to the selected server or, while that fails, to the one the library
    /// names next. Nothing of the request has been sent yet.
    async fn connect(&mut self) -> Result<Connection, Refusal> {
        let limit = self.proxy.connect_timeout;
        loop {
            let address = self.selection()?.server().address().clone();
            match pool::open(&address, limit).await {
                Ok(connection) => return Ok(connection),
                Err(failure) => {
                    let pause = self.redispatch(failure)?;
                    time::sleep(pause).await;
                }
            }
        }
    }

    /// Selects anew after a failure; returns how long to wait before the next attempt.
    fn redispatch(&mut self, failure: Failure) -> Result<Duration, Refusal> {
        let outcome = mem::replace(&mut self.exchange.outcome, Outcome::Unrouted);
        let Outcome::Selected(selection) = outcome else {
            return Err(NO_SERVER);
        };
        let backend = &self.proxy.backend;
        let retry = backend.redispatch(selection, &self.view(), failure, Now::system());
        let (decided, pause) = match retry {
            Retry::Same { selection, pause } | Retry::Other { selection, pause } => {
                (Ok(selection), pause)
            }
            Retry::GiveUp(error) => (Err(error), Duration::ZERO),
        };
        self.settle(decided).map(|()| pause)
    }

    fn respond(&mut self, parts: &mut response::Parts) -> Result<(), Refusal> {
        let backend = &self.proxy.backend;
        let view = HttpResponse::from_parts(parts);
        let edits = backend.respond(self.selection()?, &view, Now::system());
        headers::remove_hop_by_hop(&mut parts.headers);
        edits.apply(&mut parts.headers);
        parts.version = Version::HTTP_11;
        Ok(())
    }
}
