//! Connections to one server, kept alive between requests.
//!
//! A pool is the payload of its server, so the library hands it over with each
//! selection, and a server that leaves the backend takes its connections with it.
//!
//! A server may close an idle connection at any moment, and a proxy may find that out
//! only when it has sent a request there. So idle connections are for requests that may
//! be sent twice; see `forward.rs`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use stickroute::{Address, Failure};
use tokio::net::{TcpStream, UnixStream};
use tokio::time;

/// The body of a request: streamed from the client, or none.
pub(crate) type RequestBody = Either<Incoming, Empty<Bytes>>;

/// A connection that can take a request.
pub(crate) type Connection = SendRequest<RequestBody>;

/// More idle connections than this are closed.
const MOST_IDLE: usize = 64;

/// The idle connections to one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<Mutex<Vec<Connection>>>);

impl Pool {
    /// The connection last used, if the server has not closed it.
    pub(crate) fn idle(&self) -> Option<Connection> {
        let mut idle = self.lock();
        std::iter::from_fn(|| idle.pop()).find(SendRequest::is_ready)
    }

    /// Takes a connection back once the response has been read from it; one that is
    /// broken off before is closed.
    pub(crate) fn keep(&self, mut connection: Connection) {
        let pool = self.clone();
        tokio::spawn(async move {
            if connection.ready().await.is_ok() {
                pool.put(connection);
            }
        });
    }

    fn put(&self, connection: Connection) {
        let mut idle = self.lock();
        idle.retain(SendRequest::is_ready);
        if idle.len() < MOST_IDLE {
            idle.push(connection);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens a connection to a server.
pub(crate) async fn open(address: &Address, limit: Duration) -> Result<Connection, Failure> {
    match time::timeout(limit, connect(address)).await {
        Ok(connected) => connected.map_err(|_| Failure::Refused),
        Err(_) => Err(Failure::TimedOut),
    }
}

async fn connect(address: &Address) -> Result<Connection, Box<dyn std::error::Error>> {
    match address {
        Address::Ip(socket) => tcp(TcpStream::connect(socket).await?).await,
        Address::Host(name, port) => tcp(TcpStream::connect((&**name, *port)).await?).await,
        Address::Unix(path) => speak(UnixStream::connect(path).await?).await,
        _ => Err(format!("{address}: this kind of address is not known here").into()),
    }
}

async fn tcp(stream: TcpStream) -> Result<Connection, Box<dyn std::error::Error>> {
    stream.set_nodelay(true)?;
    speak(stream).await
}

/// Starts to speak HTTP/1.1.
async fn speak<S>(stream: S) -> Result<Connection, Box<dyn std::error::Error>>
where
    TokioIo<S>: Read + Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends when the server closes it or when nobody holds the sender any more.
    tokio::spawn(connection);
    Ok(sender)
}
