//! Accepts clients, and speaks HTTP/1.1 and clear-text HTTP/2 with them.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use stickroute::Now;
use stickroute::haproxy::{Cause, Mode, Phase, Verdict};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::{task, time};

use crate::client::Client;
use crate::client::proxy_protocol;
use crate::client::stream::{Ends, PatientStream, Refuse, Stream};
use crate::client::under_way::{Silence, UnderWay};
use crate::client::wire::Refusal;
use crate::http::answer;
use crate::http::reception;
use crate::log::Ending;
use crate::server::exchange::telling;
use crate::server::pool::Pool;
use crate::service::graceful::{self, Guest};
use crate::service::site::Front;
use crate::service::sockets::Listener;
use crate::statistics::counters::{Count, Visit};
use crate::tcp::inspect::Inspection;
use crate::tcp::{self, View};

/// So many clients are let in after the order to stop, at each socket: others may come as
/// long as there are some.
const MOST_LAST: u32 = 1024;

/// One socket of a frontend.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) listener: Arc<Listener>,
    pub(crate) front: Arc<Front>,
    /// Clients begin with a PROXY header. HAProxy: `accept-proxy`.
    pub(crate) accepts_proxy: bool,
    /// What the log calls it.
    pub(crate) name: String,
    /// Connections at a time, beside the frontend's own limit: those of the line, and
    /// those of the whole program.
    pub(crate) rooms: Vec<Arc<Semaphore>>,
}

impl Door {
    /// Lets clients in, one after the other, as long as there is room, until an order to
    /// stop.
    pub(crate) async fn open(self, guest: Guest) {
        let mut told = guest.clone();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = told.told(graceful::Phase::Leaving) => break,
            };
            let Ok((stream, ends)) = accepted else {
                // Out of file descriptors, most likely: some will come back.
                time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            tokio::select! {
                _ = enter(&self, stream, ends, &guest) => {}
                () = told.told(graceful::Phase::Leaving) => break,
            }
        }
        let_in_the_last(&self, &guest).await;
    }
}

/// Who has been waiting at a socket would be sent away when it is closed, unless another
/// program has it, too.
async fn let_in_the_last(door: &Door, guest: &Guest) {
    if door.listener.is_shared() {
        return;
    }
    for _ in 0..MOST_LAST {
        tokio::select! {
            biased;
            accepted = door.listener.accept() => match accepted {
                Ok((stream, ends)) => drop(enter(door, stream, ends, guest)),
                Err(_) => return,
            },
            () = ready(()) => return,
        }
        // Otherwise the runtime would have the socket look empty after a while.
        task::yield_now().await;
    }
}

/// Serves one client as soon as there is room for it, which is told.
fn enter(door: &Door, stream: Box<dyn Stream>, ends: Ends, guest: &Guest) -> oneshot::Receiver<()> {
    let (entered, enters) = oneshot::channel();
    let front = Arc::clone(&door.front);
    let proxy = door.accepts_proxy.then(|| door.name.clone());
    let (rooms, guest) = (door.rooms.clone(), guest.clone());
    tokio::spawn(async move {
        let mut places = Vec::new();
        for room in [&front.room].into_iter().chain(&rooms) {
            // Nobody closes them.
            places.extend(Arc::clone(room).acquire_owned().await);
        }
        // Nobody may want to know any more.
        let _ = entered.send(());
        greet(front, stream, ends, proxy, guest).await;
    });
    enters
}

/// Serves one client. `proxy` is the name of a door where a proxy announces it.
async fn greet(
    front: Arc<Front>,
    mut stream: Box<dyn Stream>,
    mut ends: Ends,
    proxy: Option<String>,
    guest: Guest,
) {
    front.counters.add(Count::Connections, 1);
    if !is_welcome(&front.rules.connection, ends) {
        return front.counters.add(Count::DeniedConnections, 1);
    }
    let visit = Visit::begin(&front.counters);
    if let Some(door) = proxy {
        let begun = Now::system();
        let read = proxy_protocol::read(&mut stream, &mut ends, front.client).await;
        if let Err(fault) = read {
            return telling::unannounced(&front, (ends, begun), &door, fault);
        }
    }
    visit.is_known();
    if !is_welcome(&front.rules.session, ends) {
        return front.counters.add(Count::DeniedSessions, 1);
    }
    match front.mode {
        Mode::Http => http(front, stream, ends, guest).await,
        Mode::Tcp => {
            // It is waited for, and not told.
            let _guest = guest;
            tcp::handle(front, ends, stream).await;
        }
    }
}

fn is_welcome(rules: &Inspection, ends: Ends) -> bool {
    let view = View { ends, payload: b"" };
    rules.rules.on_request(&view) == Verdict::Accept
}

async fn http(front: Arc<Front>, stream: Box<dyn Stream>, ends: Ends, guest: Guest) {
    let client = Client {
        ends,
        under_way: UnderWay::new(),
        own: Pool::default(),
        guest: guest.clone(),
    };
    let under_way = client.under_way.clone();
    let refuse = refusals(&front, ends, under_way.clone());
    let shared = under_way.clone();
    let told = Arc::clone(&front);
    let stream = PatientStream::new(stream, front.patience, under_way, refuse);
    let begun = Arc::new(Notify::new());
    let has_begun = Arc::clone(&begun);
    let service = service_fn(move |request| {
        has_begun.notify_one();
        reception::handle(Arc::clone(&front), client.clone(), request)
    });
    let builder = builder();
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    // A client that breaks off is in the log, if it has asked for anything.
    let served = guest.serve(connection, &begun).await;
    let cause = match shared.silence() {
        Some(Silence::First) => LEFT,
        // The beginning of HTTP/2 may be all there is.
        Some(Silence::Second) if served.is_err() => ("malformed", (Cause::Proxy, Phase::Request)),
        _ => return,
    };
    let who = (ends, shared.beginning());
    telling::unread(&told, who, StatusCode::BAD_REQUEST, cause);
}

/// What clients are told whose requests cannot be read. HAProxy has its own pages here,
/// whatever the configuration says, unless that has an empty one.
fn refusals(front: &Arc<Front>, ends: Ends, under_way: UnderWay) -> Refuse {
    let front = Arc::clone(front);
    Box::new(move |refusal| {
        let who = (ends, under_way.beginning());
        let (status, cause) = reasons(refusal);
        telling::unread(&front, who, status, cause);
        if refusal == Refusal::Cut || front.rules.pages.is_silent(status) {
            return Vec::new();
        }
        answer::last_words(status)
    })
}

/// The status that goes with a refusal, and what the log says of it.
fn reasons(refusal: Refusal) -> (StatusCode, (&'static str, Ending)) {
    let proxy = (Cause::Proxy, Phase::Request);
    match refusal {
        Refusal::Malformed => (StatusCode::BAD_REQUEST, ("malformed", proxy)),
        Refusal::Encoded => (StatusCode::UNPROCESSABLE_ENTITY, ("encoded", proxy)),
        Refusal::Late => {
            let late = ("late", (Cause::ClientTimeout, Phase::Request));
            (StatusCode::REQUEST_TIMEOUT, late)
        }
        Refusal::Short | Refusal::Cut => (StatusCode::BAD_REQUEST, LEFT),
    }
}

/// A client that has gone before its request was whole.
const LEFT: (&str, Ending) = ("left", (Cause::Client, Phase::Request));

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The stream has timers of its own, which know how long which client may take.
    builder
        .http1()
        .timer(TokioTimer::new())
        // A server says when it has made what it sends; HAProxy adds nothing.
        .auto_date_header(false)
        // A client that has said all it has to say still gets its answer.
        .half_close(true)
        .header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .auto_date_header(false);
    builder
}
