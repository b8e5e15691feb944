//! Promise: who takes a server out of service is told when its last session is gone, once,
//! without a runtime, and never too early.

use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use stickroute::{
    AdminState, Admission, Backend, CookiePolicy, DrainEnd, Drained, Fetch, Key, KeyType, Now,
    OperationalState, Redispatch, RetryPolicy, Selection, Server, ServerKey, SimpleRequest,
    StickRule, StickTable, Turn, UpdateError, Weight,
};

fn server(name: &str, slots: u32) -> Server {
    Server::new(name, "127.0.0.1:1")
        .cookie(name)
        .max_connections(slots)
}

/// Two servers with room for two sessions each.
fn backend() -> Backend {
    Backend::builder("b")
        .servers([server("s1", 2), server("s2", 2)])
        .cookie(CookiePolicy::insert("SRV"))
        .retry(RetryPolicy::default().redispatch(Redispatch::LAST_RETRY))
        .build()
        .unwrap()
}

fn bound_to(name: &str) -> SimpleRequest {
    SimpleRequest::new("GET", "/").header("Cookie", format!("SRV={name}"))
}

fn session(backend: &Backend, name: &str) -> Selection {
    let selection = backend.select(&bound_to(name), Now::system()).unwrap();
    assert_eq!(selection.server().name(), name);
    selection
}

/// `s1`, which takes no new sessions any more.
fn drain(backend: &Backend) -> Drained {
    backend.set_admin_state("s1", AdminState::Drain).unwrap();
    backend.drained("s1").unwrap()
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn poll(drained: &mut Drained, woken: &Arc<Woken>) -> Poll<DrainEnd> {
    let waker = Waker::from(Arc::clone(woken));
    Pin::new(drained).poll(&mut Context::from_waker(&waker))
}

#[test]
fn it_ends_with_the_last_session_and_not_before() {
    let backend = backend();
    let sessions = [session(&backend, "s1"), session(&backend, "s1")];
    let other = session(&backend, "s2");
    let drained = drain(&backend);
    for (session, left) in sessions.into_iter().zip([2, 1]) {
        assert_eq!((drained.load().in_flight(), drained.end()), (left, None));
        drop(session);
    }
    assert_eq!(drained.end(), Some(DrainEnd::Empty));
    // What it was stays what it was, though a bound client comes back.
    let _late = session(&backend, "s1");
    assert_eq!(drained.end(), Some(DrainEnd::Empty));
    assert_eq!(backend.drained("s1").unwrap().end(), None);
    drop(other);
}

#[test]
fn an_idle_server_is_empty_at_once_and_an_unknown_one_is_told() {
    let backend = backend();
    assert_eq!(drain(&backend).end(), Some(DrainEnd::Empty));
    let unknown = backend.drained("s9").unwrap_err();
    assert_eq!(unknown.to_string(), "no server \"s9\" in this backend");
    assert!(
        matches!(backend.remove("s9"), Err(UpdateError::UnknownServer { found }) if found == "s9")
    );
}

#[test]
fn a_future_is_woken_once_and_stays_ready() {
    let backend = backend();
    let held = session(&backend, "s1");
    let mut drained = drain(&backend);
    let [first, last] = [Arc::new(Woken::default()), Arc::new(Woken::default())];
    assert!(poll(&mut drained, &first).is_pending());
    assert!(poll(&mut drained, &last).is_pending());
    drop(held);
    let woken = [first, last].map(|woken| woken.0.load(SeqCst));
    assert_eq!(woken, [0, 1], "the waker of the last poll counts");
    let nobody = Arc::default();
    for _ in 0..2 {
        assert_eq!(poll(&mut drained, &nobody), Poll::Ready(DrainEnd::Empty));
    }
}

#[test]
fn a_server_that_takes_new_sessions_is_not_waited_for() {
    use AdminState::{Drain, Maintenance, Ready};
    use OperationalState::{Running, Stopped, Stopping};

    let backend = backend();
    let _held = session(&backend, "s1");
    assert_eq!(
        backend.drained("s1").unwrap().end(),
        Some(DrainEnd::InService)
    );
    // Every way out of service, and back.
    let set = |admin, health, weight: u32| {
        let change = backend.update(|change| {
            change.set_admin_state("s1", admin)?;
            change.set_operational_state("s1", health)?;
            change.set_weight("s1", Weight::new(weight).unwrap())
        });
        change.unwrap();
    };
    for (admin, health, weight) in [
        (Drain, Running, 1),
        (Maintenance, Running, 1),
        (Ready, Stopped, 1),
        (Ready, Stopping, 1),
        (Ready, Running, 0),
    ] {
        set(admin, health, weight);
        let drained = backend.drained("s1").unwrap();
        assert_eq!(drained.end(), None, "{admin:?} {health:?} {weight}");
        // A change of another server is none of this one.
        backend.set_weight("s2", Weight::MAX).unwrap();
        assert_eq!(drained.end(), None);
        set(Ready, Running, 1);
        assert_eq!(drained.end(), Some(DrainEnd::InService));
    }
}

#[test]
fn whoever_waits_for_the_server_is_waited_for() {
    let backend = backend();
    let held = [session(&backend, "s1"), session(&backend, "s1")];
    // Lined up while it is drained, so that only removal would send it back.
    backend.set_admin_state("s1", AdminState::Drain).unwrap();
    let admission = backend.admit(&bound_to("s1"), Now::system());
    let Ok(Admission::Waits(waiting)) = admission else {
        panic!("both slots are taken: {admission:?}");
    };
    let drained = backend.drained("s1").unwrap();
    drop(held);
    let Ok(Turn::Served(selection)) = waiting.try_take() else {
        panic!("there are slots");
    };
    assert_eq!(drained.end(), None);
    drop(selection);
    assert_eq!(drained.end(), Some(DrainEnd::Empty));
}

#[test]
fn a_removed_server_is_empty_when_its_last_session_ends() {
    let backend = backend();
    let sessions = [session(&backend, "s1"), session(&backend, "s1")];
    let admission = backend.admit(&bound_to("s1"), Now::system());
    let Ok(Admission::Waits(waiting)) = admission else {
        panic!("both slots are taken: {admission:?}");
    };
    let before = drain(&backend);
    let removed = backend.remove("s1").unwrap();
    assert!(matches!(waiting.try_take(), Ok(Turn::SentBack(_))));
    // Another server of the same name and id is not meant.
    backend
        .update(|change| change.add(server("s1", 2)))
        .unwrap();
    let _other = session(&backend, "s1");
    for session in sessions {
        assert_eq!((before.end(), removed.end()), (None, None));
        drop(session);
    }
    let ends = [before.end(), removed.end()];
    assert_eq!(ends, [Some(DrainEnd::Empty); 2]);
}

#[test]
fn it_outlives_its_backend() {
    let backend = backend();
    let held = session(&backend, "s1");
    let drained = drain(&backend);
    drop(backend);
    assert_eq!(drained.end(), None);
    drop(held);
    assert_eq!(drained.end(), Some(DrainEnd::Empty));
}

#[test]
fn who_waits_no_longer_is_not_woken_and_keeps_nobody_from_being_told() {
    let backend = backend();
    let held = session(&backend, "s1");
    let woken = Arc::new(Woken::default());
    let mut drained = [(); 3].map(|()| drain(&backend));
    for one in &mut drained {
        assert!(poll(one, &woken).is_pending());
    }
    let [first, second, third] = drained;
    drop((first, third));
    drop(held);
    assert_eq!(second.end(), Some(DrainEnd::Empty));
    assert_eq!(woken.0.load(SeqCst), 1);
}

/// The waker of whoever waits may use the backend, even change it.
#[test]
fn no_lock_is_held_while_somebody_is_woken() {
    struct Remover(Backend);
    impl Wake for Remover {
        fn wake(self: Arc<Self>) {
            let removed = self.0.remove("s1").unwrap();
            assert_eq!(removed.end(), Some(DrainEnd::Empty));
        }
    }
    let remover = Arc::new(Remover(backend()));
    let held = session(&remover.0, "s1");
    let mut drained = drain(&remover.0);
    let waker = Waker::from(Arc::clone(&remover));
    let polled = Pin::new(&mut drained).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    drop(held);
    assert!(remover.0.server("s1").is_none());
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on(mut drained: Drained) -> DrainEnd {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match Pin::new(&mut drained).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(end) => return end,
            Poll::Pending => thread::park(),
        }
    }
}

/// Sessions end on one thread while another waits for the server again and again; a missed
/// end would hang it.
#[test]
fn no_end_is_missed_between_threads() {
    let backend = Arc::new(backend());
    backend.set_admin_state("s1", AdminState::Drain).unwrap();
    let traffic = {
        let backend = Arc::clone(&backend);
        thread::spawn(move || {
            for _ in 0..5_000 {
                drop(session(&backend, "s1"));
            }
        })
    };
    while !traffic.is_finished() {
        let drained = backend.drained("s1").unwrap();
        assert_eq!(block_on(drained), DrainEnd::Empty);
    }
    traffic.join().unwrap();
    let s1 = backend.server("s1").unwrap();
    assert_eq!((s1.in_flight(), s1.queued()), (0, 0));
}

#[test]
fn entries_that_lead_to_a_server_are_counted() {
    let table = StickTable::builder(KeyType::Ip)
        .size(100)
        .expire(Duration::from_secs(10));
    let table = Arc::new(table.build().unwrap());
    let backend = Backend::builder("b")
        .servers([server("s1", 0), server("s2", 0)])
        .stick_table(Arc::clone(&table))
        .stick(StickRule::on(Fetch::src()))
        .build()
        .unwrap();
    let at = |seconds| Now::new(Duration::from_secs(seconds), Duration::ZERO);
    let key = |n| Key::from(Ipv4Addr::new(10, 0, 0, n));
    let s1 = table.server(1, Some("s1")).unwrap();
    // Another name for the same server: found by its id, the name being nobody's.
    let by_id = table.server(1, Some("gone")).unwrap();
    let s2 = table.server(2, Some("s2")).unwrap();
    for (n, server) in [(1, s1), (2, s1), (3, by_id), (4, s2)] {
        let _ = table.set(&key(n), server, at(0)).unwrap();
    }
    let _ = table.insert(&key(5), at(0)).unwrap();
    let counts = |now| [s1, by_id, s2].map(|server| table.entries_of(server, now));
    assert_eq!(counts(at(1)), [2, 1, 1]);
    assert_eq!(backend.stick_entries("s1", at(1)), Ok(3));
    assert_eq!(backend.stick_entries("s2", at(1)), Ok(1));
    assert!(backend.stick_entries("s3", at(1)).is_err());
    assert_eq!(counts(at(11)), [0; 3], "they have expired");
    assert_eq!(backend.stick_entries("s1", at(11)), Ok(0));
}

/// Two threads select while servers are removed one after the other: once one is told to be
/// empty nobody has it, nor gets it.
#[test]
fn nobody_gets_a_removed_server_once_it_is_empty() {
    const SERVERS: usize = 1_000;
    let gone: Arc<[AtomicBool]> = (0..=SERVERS).map(|_| AtomicBool::new(false)).collect();
    for slots in [0, 100] {
        gone.iter().for_each(|it| it.store(false, SeqCst));
        let server = |n: usize| server(&format!("s{n}"), slots).payload(n);
        let backend = Backend::builder("b").servers([server(0), server(SERVERS)]);
        let backend = Arc::new(backend.build().unwrap());
        let clients = [(); 2].map(|()| {
            let (backend, gone) = (Arc::clone(&backend), Arc::clone(&gone));
            thread::spawn(move || {
                let request = SimpleRequest::default();
                while !gone[SERVERS - 1].load(SeqCst) {
                    let selection = backend.select(&request, Now::system()).unwrap();
                    let server = *selection.server().payload();
                    assert!(!gone[server].load(SeqCst), "{server} was told to be empty");
                }
            })
        });
        for n in 0..SERVERS {
            if n > 0 {
                backend.update(|change| change.add(server(n))).unwrap();
            }
            let removed = backend.remove(ServerKey::Name(&format!("s{n}"))).unwrap();
            while removed.end().is_none() {
                thread::yield_now();
            }
            gone[n].store(true, SeqCst);
        }
        for client in clients {
            client.join().unwrap();
        }
    }
}
