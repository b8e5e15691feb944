//! Three requests for a server that takes one at a time: one is served, one waits for its
//! turn, one waits too long.
//!
//! ```text
//! cargo run --example wait_for_a_slot
//! ```
//!
//! The library measures no time. The proxy gives each request a limit, HAProxy's
//! `timeout queue`, and answers 503 to those that have waited longer.

use std::error::Error;
use std::time::Duration;

use stickroute::{
    Admission, Backend, CookiePolicy, Now, Request, SelectError, Selection, Server, SimpleRequest,
    Turn,
};
use tokio::time::{sleep, timeout};

/// HAProxy: `timeout queue 300ms`.
const PATIENCE: Duration = Duration::from_millis(300);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let backend: Backend = Backend::builder("render")
        .server(
            Server::new("gpu1", "10.0.0.1:8080")
                .cookie("g1")
                .max_connections(1),
        )
        .cookie(CookiePolicy::insert("SRV").indirect())
        .build()?;

    let (first, second, third) = tokio::join!(
        exchange(&backend, "first", Duration::from_millis(100)),
        exchange(&backend, "second", Duration::from_millis(600)),
        exchange(&backend, "third", Duration::ZERO),
    );
    assert_eq!([first, second, third], [200, 200, 503]);
    assert_eq!(backend.queued(), 0, "who gives up leaves the queue");

    // The slot is free again, for somebody who comes later.
    assert_eq!(exchange(&backend, "late", Duration::ZERO).await, 200);
    Ok(())
}

/// One request from beginning to end; the server takes so long to answer it.
async fn exchange(backend: &Backend, name: &str, work: Duration) -> u16 {
    let request = SimpleRequest::new("GET", "/");
    match server_for(backend, name, &request).await {
        Ok(Some(selection)) => {
            println!("{name}: {selection}");
            // Here a proxy would connect, forward, and pass the response on.
            sleep(work).await;
            println!("{name}: done");
            200
        }
        Ok(None) => {
            println!("{name}: 503, waited too long");
            503
        }
        Err(error) => {
            println!("{name}: 503, {error}");
            503
        }
    }
}

/// The server of a request, `None` if it is not served in time.
async fn server_for(
    backend: &Backend,
    name: &str,
    request: &dyn Request,
) -> Result<Option<Selection>, SelectError> {
    let mut admission = backend.admit(request, Now::system())?;
    loop {
        let waiting = match admission {
            Admission::Served(selection) => return Ok(Some(selection)),
            Admission::Waits(waiting) => waiting,
        };
        match waiting.server() {
            Some(server) => println!("{name}: waits for {}", server.name()),
            None => println!("{name}: waits for any server"),
        }
        // Each queue is waited in for as long; when the time is up, dropping leaves it.
        admission = match timeout(PATIENCE, waiting).await {
            Ok(Turn::Served(selection)) => Admission::Served(selection),
            Ok(Turn::SentBack(back)) => backend.readmit(back, request, Now::system())?,
            Err(_) => return Ok(None),
        };
    }
}
