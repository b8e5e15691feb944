//! What was an HTTP connection and is none any more: bytes both ways, after `101 Switching
//! Protocols` or a CONNECT.

use std::io;
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, split};

use crate::client::Client;
use crate::http::body::{Pulse, silence};
use crate::http::forward::Body;
use crate::log::Tally;
use crate::server::exchange::Exchange;
use crate::tcp::relay::{Side, pump};

/// A tunnel that the server has agreed to.
#[derive(Debug)]
pub(crate) struct Tunnel {
    pub(crate) server: OnUpgrade,
    /// How long the client and the server may be silent.
    pub(crate) sides: [Side; 2],
    /// The same for both, as long as neither is at its end. HAProxy: `timeout tunnel`.
    pub(crate) limit: Option<Duration>,
}

impl Tunnel {
    /// Goes on behind `response`. The exchange, and with it the slot of the server, ends
    /// with the tunnel.
    pub(crate) fn open<B>(
        self,
        response: Response<B>,
        client_side: OnUpgrade,
        mut exchange: Exchange,
        client: Client,
    ) -> Response<Body> {
        exchange.status = Some(response.status());
        let (up, down) = exchange.story.tallies();
        tokio::spawn(async move {
            // It is waited for in a graceful stop.
            let _guest = client.guest;
            let (client, server) = match tokio::try_join!(client_side, self.server) {
                Ok((client, server)) => (TokioIo::new(client), TokioIo::new(server)),
                // One of them has left before it began.
                Err(_) => return,
            };
            // A tunnel that breaks is as good as one that ends.
            let _ = relay(client, server, &self.sides, self.limit, [&up, &down]).await;
            drop(exchange);
        });
        response.map(|_| Either::Right(Full::default()))
    }
}

/// Carries bytes both ways until both are at their end, or nothing moves for too long.
async fn relay(
    client: impl AsyncRead + AsyncWrite,
    server: impl AsyncRead + AsyncWrite,
    [client_side, server_side]: &[Side; 2],
    limit: Option<Duration>,
    [up, down]: [&Tally; 2],
) -> io::Result<()> {
    let (mut from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    let pulse = Pulse::default();
    let up = pump(&mut from_client, &mut to_server, &pulse, client_side, up);
    let down = pump(&mut from_server, &mut to_client, &pulse, server_side, down);
    let limit = || {
        let is_open = client_side.is_open() && server_side.is_open();
        let tunnel = limit.filter(|_| is_open);
        tunnel.or_else(|| Side::shorter(client_side, server_side))
    };
    tokio::select! {
        ended = async { tokio::try_join!(up, down) } => ended.map(drop),
        () = silence(limit, &pulse) => Err(io::ErrorKind::TimedOut.into()),
    }
}
