//! Accepts clients, speaks HTTP/1.1 and clear-text HTTP/2 with them, and stops
//! gracefully.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use stickroute::haproxy::Mode;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time;

use crate::forward;
use crate::inspect::{Inspection, Verdict};
use crate::proxy_protocol;
use crate::site::Front;
use crate::sockets::Listener;
use crate::statistics::counters::{Count, Visit};
use crate::stream::{Ends, PatientStream, Stream, UnderWay};
use crate::tcp::{self, View};

/// How long requests under way may take after the order to stop.
const GRACE: Duration = Duration::from_secs(10);

/// One socket of a frontend.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) listener: Listener,
    pub(crate) front: Arc<Front>,
    /// Clients begin with a PROXY header. HAProxy: `accept-proxy`.
    pub(crate) accepts_proxy: bool,
    /// Connections at a time, beside the frontend's own limit: those of the line, and
    /// those of the whole program.
    pub(crate) rooms: Vec<Arc<Semaphore>>,
}

/// Serves clients until an interrupt or a termination signal, then lets the requests
/// under way end.
pub(crate) async fn serve(doors: Vec<Door>) -> io::Result<()> {
    let mut stop = Stop::new()?;
    let clients = Arc::new(GracefulShutdown::new());
    let doors = doors.into_iter();
    let open: Vec<_> = doors
        .map(|door| tokio::spawn(accept(door, Arc::clone(&clients))))
        .collect();
    stop.asked().await;
    for door in open {
        door.abort();
        // It ends by being aborted, and closes its socket.
        let _ = door.await;
    }
    let ended = async {
        // The doors had the others.
        if let Some(clients) = Arc::into_inner(clients) {
            clients.shutdown().await;
        }
    };
    tokio::select! {
        () = ended => {}
        () = time::sleep(GRACE) => {}
        () = stop.asked() => {}
    }
    Ok(())
}

/// Lets clients in, one after the other, as long as there is room.
async fn accept(door: Door, clients: Arc<GracefulShutdown>) {
    let rooms: Vec<_> = [&door.front.room].into_iter().chain(&door.rooms).collect();
    loop {
        let Ok((stream, ends)) = door.listener.accept().await else {
            // Out of file descriptors, most likely: some will come back.
            time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut places = Vec::new();
        for room in &rooms {
            // Nobody closes them.
            places.extend(Arc::clone(room).acquire_owned().await);
        }
        let front = Arc::clone(&door.front);
        let accepts_proxy = door.accepts_proxy;
        let watcher = clients.watcher();
        tokio::spawn(async move {
            let _places = places;
            greet(front, stream, ends, accepts_proxy, watcher).await;
        });
    }
}

/// Serves one client.
async fn greet(
    front: Arc<Front>,
    mut stream: Box<dyn Stream>,
    mut ends: Ends,
    accepts_proxy: bool,
    watcher: Watcher,
) {
    front.counters.add(Count::Connections, 1);
    if !is_welcome(&front.rules.connection, ends) {
        return front.counters.add(Count::DeniedConnections, 1);
    }
    let _visit = Visit::begin(&front.counters);
    if accepts_proxy {
        let header = proxy_protocol::read(&mut stream, ends);
        let header = match front.client {
            Some(limit) => time::timeout(limit, header).await,
            None => Ok(header.await),
        };
        let Ok(Ok(told)) = header else { return };
        ends = told;
    }
    if !is_welcome(&front.rules.session, ends) {
        return front.counters.add(Count::DeniedSessions, 1);
    }
    match front.mode {
        Mode::Http => http(front, stream, ends, watcher).await,
        Mode::Tcp => {
            // It is waited for, and not told.
            let _watcher = watcher;
            tcp::handle(front, ends, stream).await;
        }
    }
}

fn is_welcome(rules: &Inspection, ends: Ends) -> bool {
    let view = View { ends, payload: b"" };
    rules.verdict(|condition| condition.on_request(&view)) == Verdict::Accept
}

async fn http(front: Arc<Front>, stream: Box<dyn Stream>, ends: Ends, watcher: Watcher) {
    let under_way = UnderWay::default();
    let stream = PatientStream::new(stream, front.patience, under_way.clone());
    let service = service_fn(move |request| {
        forward::handle(Arc::clone(&front), ends, under_way.clone(), request)
    });
    let builder = builder();
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    // A client that breaks off is in the log, if it has asked for anything.
    let _ = watcher.watch(connection).await;
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The stream has timers of its own, which know how long which client may take.
    builder
        .http1()
        .timer(TokioTimer::new())
        // A client that has said all it has to say still gets its answer.
        .half_close(true)
        .header_read_timeout(None);
    builder.http2().timer(TokioTimer::new());
    builder
}

/// The order to stop: ctrl-c or SIGTERM.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
