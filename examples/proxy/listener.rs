//! Accepts clients, speaks HTTP/1.1 and clear-text HTTP/2 with them, and stops
//! gracefully.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time;

use crate::forward::{self, Proxy};

/// How long requests under way may take after the order to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Serves clients until an interrupt or a termination signal, then lets the requests
/// under way end.
pub(crate) async fn serve(listener: TcpListener, proxy: Arc<Proxy>) -> io::Result<()> {
    let mut stop = Stop::new()?;
    let clients = GracefulShutdown::new();
    let builder = builder();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => greet(&builder, &clients, &proxy, stream, client),
                // Out of file descriptors, most likely: some will come back.
                Err(_) => time::sleep(Duration::from_millis(50)).await,
            },
            () = stop.asked() => break,
        }
    }
    drop(listener);
    tokio::select! {
        () = clients.shutdown() => {}
        () = time::sleep(GRACE) => {}
        () = stop.asked() => {}
    }
    Ok(())
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    builder
}

fn greet(
    builder: &auto::Builder<TokioExecutor>,
    clients: &GracefulShutdown,
    proxy: &Arc<Proxy>,
    stream: TcpStream,
    client: SocketAddr,
) {
    // A proxy's small packets should not wait for each other; not vital if refused.
    let _ = stream.set_nodelay(true);
    let proxy = Arc::clone(proxy);
    let service = service_fn(move |request| forward::handle(Arc::clone(&proxy), client, request));
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::spawn(clients.watch(connection.into_owned()));
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
