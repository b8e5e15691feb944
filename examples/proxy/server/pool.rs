//! Connections to one server, kept alive between requests.
//!
//! A pool is the payload of its server, so the library hands it over with each
//! selection, and a server that leaves the backend takes its connections with it.
//!
//! A server may close an idle connection at any moment, and a proxy may find that out
//! only when it has sent a request there. So idle connections are for requests that may
//! be sent twice; see `forward.rs`.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use stickroute::haproxy::Family;
use stickroute::{Address, Failure, ServerHandle};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time;

use crate::client::stream::Stream;
use crate::client::wire::LONGEST_HEAD;
use crate::http::replay::Recorded;

/// The body of a request: streamed from the client, or a copy of that.
pub(crate) type RequestBody = Either<Recorded, Full<Bytes>>;

/// A connection that can take a request.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
    pub(crate) ends: ServerEnds,
    /// It has taken requests before.
    is_reused: bool,
}

/// Where the proxy connected from, and to; `None` for a Unix socket.
pub(crate) type ServerEnds = Option<(SocketAddr, SocketAddr)>;

impl Connection {
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> hyper::Result<Response<Incoming>> {
        self.sender.send_request(request).await
    }

    fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }
}

/// More idle connections than this are closed.
const MOST_IDLE: usize = 64;

/// Idle connections to one server, or those of one client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Idle>>>);

#[derive(Debug)]
struct Idle {
    /// Where it leads: an operator may move a server.
    address: Address,
    connection: Connection,
}

/// Which requests go over connections that other clients have used. HAProxy: `http-reuse`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reuse {
    Never,
    /// All but the first of a client; the default.
    #[default]
    Safe,
    /// The first, too, if the connection has proven that the server keeps it.
    Aggressive,
    Always,
}

impl Reuse {
    /// An idle connection to a server, for a request of the client whose own pool this is.
    pub(crate) fn idle(
        self,
        server: &ServerHandle<Pool>,
        own: &Pool,
        is_first: bool,
    ) -> Option<Connection> {
        let (pool, address) = (server.payload(), server.address());
        match self {
            Self::Never => own.idle(address, false),
            Self::Safe if is_first => None,
            Self::Aggressive => pool.idle(address, is_first),
            Self::Safe | Self::Always => pool.idle(address, false),
        }
    }

    /// Keeps a connection for other requests.
    pub(crate) fn keep(self, server: &ServerHandle<Pool>, own: &Pool, connection: Connection) {
        let pool = match self {
            Self::Never => own,
            _ => server.payload(),
        };
        pool.keep(server.address().clone(), connection);
    }
}

impl Pool {
    /// The connection last used, if the server has not closed it. Those that turn out to be
    /// closed, or to lead to another address than this, are taken away.
    fn idle(&self, address: &Address, only_proven: bool) -> Option<Connection> {
        let mut idle = self.lock();
        for place in (0..idle.len()).rev() {
            if only_proven && !idle[place].connection.is_reused {
                continue;
            }
            let mut found = idle.remove(place);
            if found.address == *address && found.connection.is_ready() {
                found.connection.is_reused = true;
                return Some(found.connection);
            }
        }
        None
    }

    /// Takes a connection back once the response has been read from it; one that is
    /// broken off before is closed.
    fn keep(&self, address: Address, mut connection: Connection) {
        if connection.is_ready() {
            // The response came in one piece.
            return self.put(Idle {
                address,
                connection,
            });
        }
        let pool = self.clone();
        tokio::spawn(async move {
            if connection.sender.ready().await.is_ok() {
                pool.put(Idle {
                    address,
                    connection,
                });
            }
        });
    }

    fn put(&self, kept: Idle) {
        let mut idle = self.lock();
        if idle.len() == MOST_IDLE {
            idle.retain(|idle| idle.connection.is_ready());
        }
        if idle.len() < MOST_IDLE {
            idle.push(kept);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection to a server and starts to speak HTTP/1.1; `None` waits for ever.
pub(crate) async fn open(
    address: &Address,
    family: Family,
    limit: Option<Duration>,
) -> Result<Connection, Failure> {
    let (stream, ends) = connect(address, family, limit).await?;
    let sender = speak(stream).await.map_err(|_| Failure::Refused)?;
    let is_reused = false;
    Ok(Connection {
        sender,
        ends,
        is_reused,
    })
}

/// Opens a connection to a server.
pub(crate) async fn connect(
    address: &Address,
    family: Family,
    limit: Option<Duration>,
) -> Result<(Box<dyn Stream>, ServerEnds), Failure> {
    let connecting = stream(address, family);
    let connected = match limit {
        Some(limit) => time::timeout(limit, connecting).await,
        None => Ok(connecting.await),
    };
    match connected {
        Ok(connected) => connected.map_err(|_| Failure::Refused),
        Err(_) => Err(Failure::TimedOut),
    }
}

pub(crate) async fn stream(
    address: &Address,
    family: Family,
) -> io::Result<(Box<dyn Stream>, ServerEnds)> {
    let stream = match address {
        Address::Ip(socket) => TcpStream::connect(socket).await?,
        Address::Host(name, port) => {
            let found = lookup_host((&**name, *port)).await?;
            let found: Vec<_> = found.filter(|found| family.has(found.ip())).collect();
            TcpStream::connect(&found[..]).await?
        }
        Address::Unix(path) => return Ok((Box::new(UnixStream::connect(path).await?), None)),
        // Another kind of address, not known here.
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    stream.set_nodelay(true)?;
    let ends = (stream.local_addr()?, stream.peer_addr()?);
    Ok((Box::new(stream), Some(ends)))
}

async fn speak(stream: Box<dyn Stream>) -> hyper::Result<SendRequest<RequestBody>> {
    let mut builder = http1::Builder::new();
    builder
        .max_header_size(LONGEST_HEAD)
        .allow_obsolete_multiline_headers_in_responses(true);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    // It ends when the server closes it, when nobody holds the sender any more, or when it
    // becomes a tunnel.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}
