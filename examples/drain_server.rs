//! Takes a server out of service without breaking a session: drain it, be told when
//! nothing is under way on it any more, remove it.
//!
//! ```text
//! cargo run --example drain_server
//! ```
//!
//! Nothing here touches a network: requests are values, and a session lasts as long as
//! its [`Selection`].

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use stickroute::{
    AdminState, Backend, ClientCookie, CookiePolicy, DrainEnd, Now, Reason, Selection, Server,
    SimpleRequest,
};

fn main() -> Result<(), Box<dyn Error>> {
    let backend = backend()?;

    println!(
        "1. Two clients are bound to app2 by their cookies, and each has a request under way."
    );
    let mut sessions = vec![
        request(&backend, Some("a2"))?,
        request(&backend, Some("a2"))?,
    ];
    assert!(
        sessions
            .iter()
            .all(|session| session.reason() == Reason::Cookie)
    );
    assert_eq!(in_flight(&backend), Some(2));

    println!("2. app2 is drained.");
    backend.set_admin_state("app2", AdminState::Drain)?;
    show(&backend);

    println!("3. Six new clients come: none of them goes to app2.");
    for _ in 0..6 {
        let new = request(&backend, None)?;
        println!("   new client: {new}");
        assert_ne!(new.server().name(), "app2");
    }

    println!("4. A bound client comes back, and app2 still serves it.");
    let third = request(&backend, Some("a2"))?;
    println!("   bound client: {third}");
    assert_eq!(third.server().name(), "app2");
    sessions.push(third);

    remove_when_empty(&backend, sessions)
}

fn remove_when_empty(backend: &Backend, sessions: Vec<Selection>) -> Result<(), Box<dyn Error>> {
    println!("5. Its sessions end, one after the other, while the operator waits.");
    let drained = backend.drained("app2")?;
    assert_eq!(drained.load().in_flight(), 3);
    assert_eq!(drained.end(), None);
    let traffic = thread::spawn(move || {
        for session in sessions {
            drop(session);
            println!("   a session on app2 has ended");
        }
    });
    // A proxy with a runtime writes `drained.await`, within a timeout of its own.
    let end = block_on(drained);
    traffic.join().map_err(|_| "a session panicked")?;

    println!("6. Nothing is under way any more: app2 is removed.");
    // The other end: somebody has put it back into service meanwhile.
    assert_eq!(end, DrainEnd::Empty);
    let removed = backend.remove("app2")?;
    // Maintenance and removal keep bound clients away, so this time it is for good.
    assert_eq!(removed.end(), Some(DrainEnd::Empty));
    assert_eq!(in_flight(backend), None);
    show(backend);

    println!("7. A client that comes late finds its server gone and is given another.");
    let late = request(backend, Some("a2"))?;
    println!("   late client: {late}");
    assert_eq!(late.reason(), Reason::Balance);
    assert_eq!(late.client_cookie(), ClientCookie::Invalid);
    Ok(())
}

fn backend() -> Result<Backend, Box<dyn Error>> {
    let servers = (1..=3).map(|number| {
        Server::new(format!("app{number}"), format!("10.0.0.{number}:8080"))
            .cookie(format!("a{number}"))
    });
    let cookie = CookiePolicy::insert("SRV").indirect().nocache();
    Ok(Backend::builder("app")
        .servers(servers)
        .cookie(cookie)
        .build()?)
}

/// A request, with the cookie that names a server or without one.
fn request(backend: &Backend, cookie: Option<&str>) -> Result<Selection, Box<dyn Error>> {
    let mut request = SimpleRequest::new("GET", "/");
    if let Some(identifier) = cookie {
        request = request.header("Cookie", format!("SRV={identifier}"));
    }
    Ok(backend.select(&request, Now::system())?)
}

/// Sessions under way on app2, `None` when it is gone.
fn in_flight(backend: &Backend) -> Option<u32> {
    backend.server("app2").map(|server| server.in_flight())
}

fn show(backend: &Backend) {
    for server in backend.farm().servers() {
        let state = server.status().admin();
        println!(
            "   {}: {state:?}, in flight {}",
            server.name(),
            server.in_flight()
        );
    }
}

/// Sleeps until a future is ready, which is all a runtime does with a `Drained`.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let (mut future, waker) = (
        pin!(future),
        Waker::from(Arc::new(Unpark(thread::current()))),
    );
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
