//! What was an HTTP connection and is none any more: bytes both ways, after `101 Switching
//! Protocols` or a CONNECT.

use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use stickroute::haproxy::Cause;
use tokio::io::{AsyncRead, AsyncWrite, split};

use crate::http::answer::{self, Answer};
use crate::http::body::Pulse;
use crate::http::reception::Received;
use crate::http::streamed::Body;
use crate::server::exchange::Exchange;
use crate::server::orders;
use crate::service::graceful::Guest;
use crate::service::site::Back;
use crate::tcp::relay::{Sides, pump};

/// A tunnel that the server has agreed to.
#[derive(Debug)]
pub(crate) struct Tunnel {
    server: OnUpgrade,
    sides: Sides,
}

impl Tunnel {
    /// The tunnel that a response opens, if it does. One that nobody has asked for is no
    /// valid answer.
    pub(crate) fn agreed(
        request: &mut Received<'_>,
        back: &Back,
        response: &mut Response<Incoming>,
    ) -> Result<Option<Self>, Answer> {
        let asks = request.parts.method == Method::CONNECT;
        let is_connected = asks && response.status().is_success();
        let is_switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_switched && request.upgrade.is_none() {
            request.exchange.was_junk(response.status());
            return Err(answer::bad_answer(Cause::Proxy));
        }
        let is_tunnel = is_connected || is_switched;
        Ok(is_tunnel.then(|| Self {
            server: hyper::upgrade::on(response),
            sides: Sides::new(request.front, back, &request.exchange.story),
        }))
    }

    /// Goes on behind `response`. The exchange, and with it the slot of the server, ends
    /// with the tunnel.
    pub(crate) fn open<B>(
        self,
        response: Response<B>,
        client_side: OnUpgrade,
        mut exchange: Exchange,
        guest: Guest,
    ) -> Response<Body> {
        tokio::spawn(async move {
            // It is waited for in a graceful stop.
            let _guest = guest;
            let (client, server) = match tokio::try_join!(client_side, self.server) {
                Ok((client, server)) => (TokioIo::new(client), TokioIo::new(server)),
                // One of them has left before it began.
                Err(_) => return,
            };
            let relayed = relay(client, server, &self.sides);
            match orders::unless_ordered(exchange.orders(), relayed).await {
                Ok(Ok(())) => {}
                Ok(Err(cause)) => exchange.break_off(cause),
                Err(order) => exchange.ordered(order),
            }
        });
        response.map(|_| Either::Right(Full::default()))
    }
}

async fn relay(
    client: impl AsyncRead + AsyncWrite,
    server: impl AsyncRead + AsyncWrite,
    sides: &Sides,
) -> Result<(), Cause> {
    let (mut from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    let pulse = Pulse::default();
    let up = pump(&mut from_client, &mut to_server, &sides.client, &pulse);
    let down = pump(&mut from_server, &mut to_client, &sides.server, &pulse);
    let up = async {
        up.await
            .map_err(|torn| torn.by([Cause::Client, Cause::Server]))
    };
    let down = async {
        down.await
            .map_err(|torn| torn.by([Cause::Server, Cause::Client]))
    };
    sides.talk(up, down, &pulse).await
}
