//! Connections to one server, kept alive between requests.
//!
//! A pool is the payload of its server, so the library hands it over with each
//! selection, and a server that leaves the backend takes its connections with it.
//!
//! A server may close an idle connection at any moment, and a proxy may find that out
//! only when it has sent a request there. So idle connections are for requests that may
//! be sent twice; see `forward.rs`.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use stickroute::{Address, Failure};
use tokio::net::{TcpStream, UnixStream};
use tokio::time;

use crate::replay::Recorded;
use crate::stream::Stream;

/// The body of a request: streamed from the client, or a copy of that.
pub(crate) type RequestBody = Either<Recorded, Full<Bytes>>;

/// A connection that can take a request.
pub(crate) type Connection = SendRequest<RequestBody>;

/// More idle connections than this are closed.
const MOST_IDLE: usize = 64;

/// The idle connections to one server, and where they lead: an operator may move it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<(Address, Connection)>>>);

impl Pool {
    /// The connection last used, if the server has not closed it; those to another address
    /// than this are closed.
    pub(crate) fn idle(&self, address: &Address) -> Option<Connection> {
        let mut idle = self.lock();
        let mut last = std::iter::from_fn(|| idle.pop());
        let found = last.find(|(to, connection)| to == address && connection.is_ready());
        found.map(|(_, connection)| connection)
    }

    /// Takes a connection back once the response has been read from it; one that is
    /// broken off before is closed.
    pub(crate) fn keep(&self, address: Address, mut connection: Connection) {
        let pool = self.clone();
        tokio::spawn(async move {
            if connection.ready().await.is_ok() {
                pool.put(address, connection);
            }
        });
    }

    fn put(&self, address: Address, connection: Connection) {
        let mut idle = self.lock();
        idle.retain(|(_, connection)| connection.is_ready());
        if idle.len() < MOST_IDLE {
            idle.push((address, connection));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Address, Connection)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection to a server and starts to speak HTTP/1.1; `None` waits for ever.
pub(crate) async fn open(
    address: &Address,
    limit: Option<Duration>,
) -> Result<Connection, Failure> {
    let stream = connect(address, limit).await?;
    speak(stream).await.map_err(|_| Failure::Refused)
}

/// Opens a connection to a server.
pub(crate) async fn connect(
    address: &Address,
    limit: Option<Duration>,
) -> Result<Box<dyn Stream>, Failure> {
    let connecting = stream(address);
    let connected = match limit {
        Some(limit) => time::timeout(limit, connecting).await,
        None => Ok(connecting.await),
    };
    match connected {
        Ok(connected) => connected.map_err(|_| Failure::Refused),
        Err(_) => Err(Failure::TimedOut),
    }
}

async fn stream(address: &Address) -> io::Result<Box<dyn Stream>> {
    let stream = match address {
        Address::Ip(socket) => TcpStream::connect(socket).await?,
        Address::Host(name, port) => TcpStream::connect((&**name, *port)).await?,
        Address::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
        // Another kind of address, not known here.
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

async fn speak(stream: Box<dyn Stream>) -> hyper::Result<Connection> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends when the server closes it or when nobody holds the sender any more.
    tokio::spawn(connection);
    Ok(sender)
}
