//! Promise: when all servers go while requests wait, everybody who waits is told, or waits on
//! as the options say until its caller gives up; nothing hangs that HAProxy would end. What is
//! said to be observed was observed on HAProxy 2.6.12, `timeout queue` being the only other end.

use std::time::Duration;

use stickroute::{
    AdminState, Admission, Backend, CookiePolicy, Now, OperationalState, Redispatch, Refusal,
    RetryPolicy, Selection, Server, SimpleRequest, Turn, UpdateError, Waiting,
};

fn now() -> Now {
    Now::new(Duration::ZERO, Duration::ZERO)
}

/// A client that comes back to `s1`, or a new one.
fn request(is_bound: bool) -> SimpleRequest {
    let request = SimpleRequest::new("GET", "/");
    if is_bound {
        request.header("Cookie", "SRV=s1")
    } else {
        request
    }
}

fn server() -> Server {
    Server::new("s1", "127.0.0.1:1")
        .cookie("s1")
        .max_connections(1)
}

/// What becomes of who waits for the server that leaves.
#[derive(Clone, Copy, Debug)]
enum Options {
    Neither,
    Redispatch,
    RedispatchAndPersist,
}

fn backend(options: Options) -> Backend {
    let builder = Backend::builder("b")
        .server(server())
        .cookie(CookiePolicy::insert("SRV"));
    let retry = RetryPolicy::default().redispatch(Redispatch::LAST_RETRY);
    let builder = match options {
        Options::Neither => builder,
        Options::Redispatch => builder.retry(retry),
        Options::RedispatchAndPersist => builder.retry(retry).persist(),
    };
    builder.build().unwrap()
}

fn waiting(backend: &Backend, is_bound: bool) -> Waiting {
    match backend.admit(&request(is_bound), now()) {
        Ok(Admission::Waits(waiting)) => waiting,
        other => panic!("the slot is taken: {other:?}"),
    }
}

/// One session on the only slot, one request that waits for that server, one for any.
fn crowd(backend: &Backend) -> (Selection, Waiting, Waiting) {
    let held = backend.select(&request(false), now()).unwrap();
    (held, waiting(backend, true), waiting(backend, false))
}

fn assert_idle(backend: &Backend) {
    assert_eq!(backend.queued(), 0);
    for server in backend.farm().servers() {
        assert_eq!((server.in_flight(), server.queued()), (0, 0), "{server:?}");
    }
}

/// Nobody is there for a new request, nor for one that was sent back.
fn assert_refused_at_once(backend: &Backend) {
    let error = backend.admit(&request(false), now()).unwrap_err();
    assert_eq!(error.refusal(), &Refusal::NoServer);
}

fn assert_sent_back_and_refused(backend: &Backend, waiting: Waiting) {
    let Ok(Turn::SentBack(back)) = waiting.try_take() else {
        panic!("its server has left");
    };
    let error = backend.readmit(back, &request(true), now()).unwrap_err();
    assert_eq!(error.refusal(), &Refusal::NoServer);
}

fn still(waiting: Waiting) -> Waiting {
    waiting.try_take().expect_err("it waits on")
}

type Leave = fn(&Backend) -> Result<(), UpdateError>;

const WAYS: [Leave; 4] = [
    |it| it.set_admin_state("s1", AdminState::Maintenance),
    |it| it.set_admin_state("s1", AdminState::Drain),
    |it| it.set_operational_state("s1", OperationalState::Stopped),
    |it| it.set_operational_state("s1", OperationalState::Stopping),
];

// Observed: 503 at once for who waits for the server, after `timeout queue` for who waits for
// any.
#[test]
fn with_redispatch_who_waits_for_the_server_is_refused_at_once() {
    for leave in WAYS {
        let backend = backend(Options::Redispatch);
        let (held, own, any) = crowd(&backend);
        leave(&backend).unwrap();
        assert_refused_at_once(&backend);
        assert_sent_back_and_refused(&backend, own);
        let any = still(any);
        // Not even the end of the session lets it go on: the server serves nobody new.
        drop(held);
        assert_eq!(still(any).give_up().refusal(), &Refusal::Saturated);
        assert_idle(&backend);
    }
}

// Observed: both wait for `timeout queue`.
#[test]
fn without_redispatch_or_with_persist_all_wait_on() {
    for options in [Options::Neither, Options::RedispatchAndPersist] {
        for leave in WAYS {
            let backend = backend(options);
            let (held, own, any) = crowd(&backend);
            leave(&backend).unwrap();
            assert_refused_at_once(&backend);
            for waiting in [own, any] {
                let waiting = still(waiting);
                assert_eq!(waiting.give_up().refusal(), &Refusal::Saturated);
            }
            drop(held);
            assert_idle(&backend);
        }
    }
}

#[test]
fn a_removal_sends_all_back_who_wait_for_the_server() {
    for options in [
        Options::Neither,
        Options::Redispatch,
        Options::RedispatchAndPersist,
    ] {
        let backend = backend(options);
        let (held, own, any) = crowd(&backend);
        drop(backend.remove("s1").unwrap());
        assert_refused_at_once(&backend);
        assert_sent_back_and_refused(&backend, own);
        drop(held);
        assert_eq!(still(any).give_up().refusal(), &Refusal::Saturated);
        assert_idle(&backend);
    }
}

#[test]
fn who_waits_for_any_goes_on_with_the_first_that_comes() {
    let comes: [Leave; 2] = [
        |it| it.set_admin_state("s1", AdminState::Ready),
        |it| {
            it.update(|change| {
                change.remove("s1")?;
                change.add(server()).map(drop)
            })
        },
    ];
    for come in comes {
        let backend = backend(Options::Redispatch);
        let (held, own, any) = crowd(&backend);
        drop(own);
        backend
            .set_admin_state("s1", AdminState::Maintenance)
            .unwrap();
        drop(held);
        let any = still(any);
        come(&backend).unwrap();
        let Ok(Turn::Served(selection)) = any.try_take() else {
            panic!("there is a server again");
        };
        drop(selection);
        assert_idle(&backend);
    }
}
