//! Promise: who waits for a slot is served in HAProxy's order, exactly once, and no slot is
//! lost. What is said to be observed was observed on HAProxy 2.6.12.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use stickroute::{
    AdminState, Admission, Backend, BackendBuilder, ClientCookie, Condition, ConsistentHash,
    CookiePolicy, Failure, Fetch, FirstFree, HashInput, KeyType, LeastConnections, MapHash, Now,
    OperationalState, Priority, Random, Reason, Redispatch, Refusal, Retry, RetryPolicy,
    RoundRobin, SelectError, Selection, Selector, Server, ServerHandle, SimpleRequest,
    SimpleResponse, StaticRoundRobin, StickRule, StickTable, Turn, Update, UpdateError, Waiting,
    Weight,
};

fn at(millis: u64) -> Now {
    Now::new(Duration::from_millis(millis), Duration::from_millis(millis))
}

fn server(name: &str, slots: u32) -> Server {
    Server::new(name, "127.0.0.1:1")
        .cookie(name)
        .max_connections(slots)
}

fn backend(servers: impl IntoIterator<Item = Server>) -> BackendBuilder {
    Backend::builder("b")
        .servers(servers)
        .cookie(CookiePolicy::insert("SRV").indirect())
}

fn redispatch() -> RetryPolicy {
    RetryPolicy::default().redispatch(Redispatch::LAST_RETRY)
}

/// A request of a client that comes back to this server, or of a new one.
fn request(cookie: &str) -> SimpleRequest {
    let request = SimpleRequest::new("GET", "/");
    match cookie {
        "" => request,
        cookie => request.header("Cookie", format!("SRV={cookie}")),
    }
}

fn admit(backend: &Backend, cookie: &str, millis: u64) -> Result<Admission, SelectError> {
    backend.admit(&request(cookie), at(millis))
}

fn served(backend: &Backend, cookie: &str) -> Selection {
    match admit(backend, cookie, 0) {
        Ok(Admission::Served(selection)) => selection,
        other => panic!("there is a slot: {other:?}"),
    }
}

fn waiting(backend: &Backend, cookie: &str, millis: u64) -> Waiting {
    match admit(backend, cookie, millis) {
        Ok(Admission::Waits(waiting)) => waiting,
        other => panic!("there is no slot: {other:?}"),
    }
}

fn name(server: &ServerHandle) -> &str {
    server.name()
}

fn refusal(backend: &Backend, cookie: &str) -> Refusal {
    let error = admit(backend, cookie, 0).expect_err("there is no room");
    error.refusal().clone()
}

/// The slot of a request whose turn it is.
fn turn(waiting: Waiting) -> Selection {
    match waiting.try_take() {
        Ok(Turn::Served(selection)) => selection,
        other => panic!("it is its turn: {other:?}"),
    }
}

fn still(waiting: Waiting) -> Waiting {
    waiting.try_take().expect_err("it is not its turn")
}

/// Gives slots back one by one, and says who gets the next each time.
fn order(held: Selection, mut waiting: Vec<(u32, Waiting)>) -> Vec<u32> {
    let (mut held, mut order) = (Some(held), Vec::new());
    while !waiting.is_empty() {
        drop(held.take());
        let mut rest = Vec::new();
        for (number, waiting) in waiting {
            match waiting.try_take() {
                Ok(Turn::Served(selection)) => {
                    assert!(held.replace(selection).is_none(), "one slot, two turns");
                    order.push(number);
                }
                Ok(Turn::SentBack(_)) => panic!("no server has left"),
                Err(waiting) => rest.push((number, waiting)),
            }
        }
        assert!(held.is_some(), "nobody was served after {order:?}");
        waiting = rest;
    }
    order
}

fn assert_idle(backend: &Backend) {
    assert_eq!(backend.queued(), 0);
    for server in backend.farm().servers() {
        assert_eq!((server.in_flight(), server.queued()), (0, 0), "{server:?}");
    }
}

#[test]
fn whoever_waits_may_cross_threads() {
    fn check<T: Send + Sync>() {}
    check::<Waiting>();
    check::<Turn>();
}

#[test]
fn both_queues_are_served_in_the_order_of_arrival() {
    let backend = backend([server("s1", 1)]).build().unwrap();
    let held = served(&backend, "");
    let cookies = ["", "s1", "", "s1", "s1", ""].into_iter().zip(1..);
    let waiting: Vec<_> = cookies
        .map(|(cookie, n)| (n, waiting(&backend, cookie, n.into())))
        .collect();
    assert_eq!(backend.queued(), 3);
    assert_eq!(backend.server("s1").unwrap().queued(), 3);
    let names = waiting.iter().map(|(_, it)| it.server().map(name));
    let s1 = Some("s1");
    assert_eq!(
        names.collect::<Vec<_>>(),
        [None, s1, None, s1, s1, None],
        "those with a cookie wait for their server"
    );
    assert_eq!(order(held, waiting), [1, 2, 3, 4, 5, 6]);
    assert_idle(&backend);
}

#[test]
fn among_equals_the_queue_of_the_server_comes_first() {
    let backend = backend([server("s1", 1)]).build().unwrap();
    let held = served(&backend, "");
    let cookies = ["", "s1", "", "s1"].into_iter().zip(1..);
    let waiting = cookies.map(|(cookie, n)| (n, waiting(&backend, cookie, 7)));
    let waiting = waiting.collect();
    assert_eq!(order(held, waiting), [2, 4, 1, 3]);
}

// Observed: `http-request set-priority-class` and `set-priority-offset`.
#[test]
fn the_lowest_class_comes_first_and_an_offset_moves_the_arrival() {
    let backend = backend([server("s1", 1)]).build().unwrap();
    let held = served(&backend, "");
    let plain = Priority::default();
    let priorities = [
        plain.class(5),
        plain,
        plain.class(-5),
        plain,
        plain.offset_millis(-1_000),
        plain,
    ];
    let admit = |(priority, n): (Priority, u32)| {
        let admission = backend.admit_with(&request(""), at(60 * u64::from(n)), priority);
        let Ok(Admission::Waits(waiting)) = admission else {
            panic!("{admission:?}");
        };
        (n, waiting)
    };
    let waiting = priorities.into_iter().zip(1..).map(admit).collect();
    assert_eq!(order(held, waiting), [3, 5, 2, 4, 6, 1]);
}

#[test]
fn newcomers_do_not_overtake_those_who_wait_for_a_server() {
    let backend = backend([server("s1", 1)]).build().unwrap();
    let held = served(&backend, "");
    let first = waiting(&backend, "s1", 1);
    drop(held);
    let select = |cookie| backend.select(&request(cookie), at(2));
    // The slot is the first one's already, taken or not.
    for cookie in ["", "s1"] {
        assert_eq!(select(cookie).unwrap_err().refusal(), &Refusal::Saturated);
    }
    drop(turn(first));
    drop(select("s1").unwrap());
    assert_idle(&backend);
}

#[test]
fn dropping_leaves_the_queue_and_hands_an_unused_slot_on() {
    for cookie in ["", "s1"] {
        let backend = backend([server("s1", 1)]).build().unwrap();
        let held = served(&backend, "");
        let [a, b, c, d] = [1, 2, 3, 4].map(|n| waiting(&backend, cookie, n));
        drop(b);
        drop(held);
        // The slot is handed to `a`, whose caller has just given up.
        drop(a);
        let d = still(d);
        drop(turn(c));
        drop(turn(d));
        assert_idle(&backend);
    }
}

// Observed with `balance source`: the third is refused at once, with a cookie or without.
#[test]
fn a_full_queue_refuses() {
    let limited = server("s1", 1).max_queue(1);
    for retry in [RetryPolicy::default(), redispatch()] {
        let builder = backend([limited.clone()]).retry(retry);
        let builder = builder.balance(MapHash::new(HashInput::uri()));
        let backend = builder.build().unwrap();
        let held = served(&backend, "");
        let waiting = waiting(&backend, "", 1);
        assert_eq!(waiting.server().unwrap().name(), "s1");
        let error = admit(&backend, "s1", 2).unwrap_err();
        assert_eq!(error.refusal(), &Refusal::Saturated);
        assert_eq!(error.client_cookie(), ClientCookie::Valid);
        assert_eq!(refusal(&backend, ""), Refusal::Saturated);
        drop(held);
        drop(turn(waiting));
        assert_idle(&backend);
    }
}

// Observed: `DI` and `+0`, whichever server serves in the end.
#[test]
fn a_persisted_request_is_balanced_when_its_queue_is_full() {
    let builder = backend([server("s1", 1).max_queue(1), server("s2", 1)]);
    let forced = |it: &dyn stickroute::Request| it.method() == b"POST";
    let builder = builder.force_persist(Condition::when(forced));
    let backend = builder.retry(redispatch()).build().unwrap();
    let (one, two) = (served(&backend, "s1"), waiting(&backend, "s1", 1));

    let Ok(Admission::Served(moved)) = admit(&backend, "s1", 2) else {
        panic!("the other server is free");
    };
    assert_eq!(moved.to_string(), "s2 by redispatch (DN)");
    assert!(moved.is_redispatched() && moved.retries() == 0);
    let post = SimpleRequest::new("POST", "/").header("Cookie", "SRV=s1");
    let error = backend.admit(&post, at(3)).unwrap_err();
    assert_eq!(error.refusal(), &Refusal::Saturated, "it insists on s1");

    let four = waiting(&backend, "s1", 4);
    assert!(four.server().is_none());
    drop(one);
    drop(turn(two));
    let four = turn(four);
    assert_eq!(four.to_string(), "s1 by redispatch (DN)");
    assert!(four.is_redispatched());
}

#[test]
fn without_redispatch_a_full_queue_refuses_persisted_requests() {
    let servers = [server("s1", 1).max_queue(1), server("s2", 1)];
    let backend = backend(servers).build().unwrap();
    let _one = (served(&backend, "s1"), waiting(&backend, "s1", 1));
    assert_eq!(refusal(&backend, "s1"), Refusal::Saturated);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Leave {
    Maintenance,
    Drain,
    Down,
    Stopping,
    WeightZero,
    Removed,
}

const WAYS: [Leave; 6] = [
    Leave::Maintenance,
    Leave::Drain,
    Leave::Down,
    Leave::Stopping,
    Leave::WeightZero,
    Leave::Removed,
];

fn leave(change: &mut Update<'_>, way: Leave) -> Result<(), UpdateError> {
    match way {
        Leave::Maintenance => change.set_admin_state("s1", AdminState::Maintenance),
        Leave::Drain => change.set_admin_state("s1", AdminState::Drain),
        Leave::Down => change.set_operational_state("s1", OperationalState::Stopped),
        Leave::Stopping => change.set_operational_state("s1", OperationalState::Stopping),
        Leave::WeightZero => change.set_weight("s1", Weight::ZERO),
        Leave::Removed => change.remove("s1"),
    }
}

// Observed, but for the removal, which HAProxy refuses while somebody waits.
#[test]
fn those_who_wait_for_a_server_that_leaves_are_sent_back_or_stay() {
    for (moves, persists) in [(false, false), (true, false), (false, true), (true, true)] {
        for way in WAYS {
            let mut builder = backend([server("s1", 1), server("s2", 1)]);
            let forced = |it: &dyn stickroute::Request| it.method() == b"POST";
            builder = builder.force_persist(Condition::when(forced));
            builder = if moves {
                builder.retry(redispatch())
            } else {
                builder
            };
            builder = if persists { builder.persist() } else { builder };
            let backend = builder.build().unwrap();
            let held = served(&backend, "s1");
            let common = waiting(&backend, "s1", 1);
            let post = SimpleRequest::new("POST", "/").header("Cookie", "SRV=s1");
            let Ok(Admission::Waits(forced)) = backend.admit(&post, at(2)) else {
                panic!("the slot is taken");
            };
            backend.update(|change| leave(change, way)).unwrap();

            let sends_back = moves && !persists && way != Leave::WeightZero;
            let sends_back = sends_back || way == Leave::Removed;
            let context = format!("{moves} {persists} {way:?}");
            if sends_back {
                assert_moves(&backend, common, &context);
            } else {
                // They are served as sessions end there, whatever its state.
                drop(held);
                assert_eq!(turn(common).server().name(), "s1", "{context}");
            }
            if way == Leave::Removed {
                assert_moves(&backend, forced, &context);
            } else {
                drop(forced);
            }
            assert_idle_but(&backend, &context);
        }
    }
}

/// Sent back, it is served by the other server, which sets its cookie anew.
fn assert_moves(backend: &Backend, waiting: Waiting, context: &str) {
    let Ok(Turn::SentBack(back)) = waiting.try_take() else {
        panic!("{context}: it waits for nobody");
    };
    let admission = backend.readmit(back, &request("s1"), at(3));
    let Ok(Admission::Served(moved)) = admission else {
        panic!("{context}: {admission:?}");
    };
    assert_eq!(moved.to_string(), "s2 by redispatch (DN)", "{context}");
    assert!(moved.is_redispatched(), "{context}");
}

fn assert_idle_but(backend: &Backend, context: &str) {
    for server in backend.farm().servers() {
        assert_eq!(server.queued(), 0, "{context}");
    }
}

// Observed: 4 waits in the common queue already when 3 is sent there.
#[test]
fn who_is_sent_back_lines_up_behind_those_who_wait_already() {
    let servers = [server("s1", 1), server("s2", 1)];
    let backend = backend(servers).retry(redispatch()).build().unwrap();
    let held = [served(&backend, "s1"), served(&backend, "s2")];
    let three = waiting(&backend, "s1", 3);
    let four = waiting(&backend, "", 4);
    backend
        .set_admin_state("s1", AdminState::Maintenance)
        .unwrap();
    let Ok(Turn::SentBack(back)) = three.try_take() else {
        panic!("its server has left");
    };
    let Ok(Admission::Waits(three)) = backend.readmit(back, &request("s1"), at(5)) else {
        panic!("the other server is busy");
    };
    let [_one, two] = held;
    drop(two);
    let (three, four) = (still(three), turn(four));
    drop(four);
    assert_eq!(turn(three).server().name(), "s2");
}

type Change = fn(&mut Update<'_>) -> Result<(), UpdateError>;

#[test]
fn those_who_wait_for_any_server_go_on_when_one_comes_back_or_grows() {
    let ready = |change: &mut Update<'_>| change.set_admin_state("s1", AdminState::Ready);
    let up =
        |change: &mut Update<'_>| change.set_operational_state("s1", OperationalState::Running);
    let weight = |change: &mut Update<'_>| change.set_weight("s1", Weight::default());
    let ways: [(Leave, Change); 5] = [
        (Leave::Maintenance, ready),
        (Leave::Drain, ready),
        (Leave::Down, up),
        (Leave::Stopping, up),
        (Leave::WeightZero, weight),
    ];
    for (way, back) in ways {
        let backend = backend([server("s1", 2), server("s2", 1)]).build().unwrap();
        backend.update(|change| leave(change, way)).unwrap();
        let _two = served(&backend, "");
        let [a, b, c, d] = [1, 2, 3, 4].map(|n| waiting(&backend, "", n));
        backend.update(back).unwrap();
        let open = [turn(a), turn(b)];
        let c = still(c);
        backend
            .update(|change| change.set_max_connections("s1", 3))
            .unwrap();
        let c = turn(c);
        assert_eq!(c.server().name(), "s1", "{way:?}");
        let d = still(d);
        backend
            .update(|change| change.add(server("s3", 1)))
            .unwrap();
        assert_eq!(turn(d).server().name(), "s3", "{way:?}");
        drop(open);
    }
}

// Observed: they wait on when the last server drains, while new requests are refused.
#[test]
fn nobody_is_served_by_a_server_that_takes_no_new_sessions() {
    let backend = backend([server("s1", 1)]).build().unwrap();
    let held = served(&backend, "");
    let waits = waiting(&backend, "", 1);
    backend.set_admin_state("s1", AdminState::Drain).unwrap();
    drop(held);
    let waits = still(waits);
    assert_eq!(refusal(&backend, ""), Refusal::NoServer);
    drop(served(&backend, "s1"));
    let waits = still(waits);
    backend.set_admin_state("s1", AdminState::Ready).unwrap();
    drop(turn(waits));
    assert_idle(&backend);
}

// Observed.
#[test]
fn a_backup_serves_all_only_while_it_may() {
    let servers = [server("s1", 1), server("s2", 1).backup()];
    let backend = backend(servers).build().unwrap();
    let one = served(&backend, "");
    let waits = waiting(&backend, "", 1);
    drop(served(&backend, "s2"));
    let waits = still(waits);
    backend.set_admin_state("s1", AdminState::Drain).unwrap();
    let waits = turn(waits);
    assert_eq!(waits.server().name(), "s2");
    drop((one, waits));
    assert_idle(&backend);
}

// Observed for each of these: the elected backup is chosen though it is full.
#[test]
fn where_a_request_waits_while_a_backup_serves_alone() {
    let selectors: [(Arc<dyn Selector>, Option<&str>); 6] = [
        (Arc::new(RoundRobin::new()), Some("s2")),
        (Arc::new(LeastConnections::new()), Some("s2")),
        (Arc::new(FirstFree::new()), Some("s2")),
        (Arc::new(MapHash::new(HashInput::source())), Some("s2")),
        (Arc::new(StaticRoundRobin::new()), None),
        (Arc::new(Random::seeded(1)), None),
    ];
    for (selector, expected) in selectors {
        let down = server("s1", 1).admin_state(AdminState::Maintenance);
        let servers = [down, server("s2", 1).backup(), server("s3", 1).backup()];
        let builder = backend(servers).balance_shared(selector);
        let backend = builder.build().unwrap();
        let held = served(&backend, "");
        let waits = waiting(&backend, "", 1);
        assert_eq!(waits.server().map(name), expected, "{backend:?}");
        // Who waits for the backup stays there; who waits for any goes to the active one.
        backend.set_admin_state("s1", AdminState::Ready).unwrap();
        if expected.is_some() {
            let waits = still(waits);
            drop(held);
            drop(turn(waits));
        } else {
            assert_eq!(turn(waits).server().name(), "s1");
        }
    }
}

/// Sessions and waiting requests of the only server, and those who wait for any.
fn counts(backend: &Backend) -> (u32, u32) {
    let server = backend.server("s1").unwrap();
    (server.in_flight(), server.queued() + backend.queued())
}

// Observed: what gets better about a server sends nobody back, though it is not all well.
#[test]
fn those_who_wait_for_a_drained_server_stay_when_its_health_comes_back() {
    let servers = [server("s1", 1), server("s2", 5)];
    let backend = backend(servers).retry(redispatch()).build().unwrap();
    let health = |to| backend.set_operational_state("s1", to).unwrap();
    health(OperationalState::Stopping);
    backend.set_admin_state("s1", AdminState::Drain).unwrap();
    let open = served(&backend, "s1");
    let waits = waiting(&backend, "s1", 1);
    health(OperationalState::Running);
    let waits = waits.try_take().expect_err("it stays");
    health(OperationalState::Stopping);
    assert!(matches!(waits.try_take(), Ok(Turn::SentBack(_))));
    drop(open);
    assert_idle(&backend);
}

// Observed: who lines up does not move its server in HAProxy's order; sessions that begin
// or end do.
#[test]
fn while_all_are_full_the_server_with_the_least_sessions_gets_all_who_come() {
    let servers = ["s1", "s2"].map(|name| server(name, 1).max_queue(3));
    let builder = backend(servers).balance(LeastConnections::new());
    let backend = builder.build().unwrap();
    let open = [served(&backend, ""), served(&backend, "")];
    let waits = [0; 5].map(|_| waiting(&backend, "", 1));
    let names = waits.each_ref().map(|it| it.server().map(name));
    let (first, second) = (Some("s1"), Some("s2"));
    assert_eq!(names, [first, first, first, second, second]);
    let [ended, still] = open;
    drop(ended);
    assert_eq!(waiting(&backend, "", 2).server().map(name), second);
    drop((still, waits));
    assert_idle(&backend);
}

// Observed: `minconn 1 maxconn 10` and `fullconn 20` with 12 requests, which end in the
// order they began in.
#[test]
fn a_limit_grows_and_shrinks_with_the_sessions_of_the_backend() {
    let server = server("s1", 10).min_connections(1);
    let builder = backend([server]).full_connections(20);
    let backend = builder.build().unwrap();
    let mut open = vec![served(&backend, "")];
    let mut waits: Vec<_> = (1..12).map(|n| waiting(&backend, "", n)).collect();
    assert_eq!(counts(&backend), (1, 11));
    let mut seen = Vec::new();
    while !open.is_empty() {
        drop(open.remove(0));
        let mut rest = Vec::new();
        for waiting in waits {
            match waiting.try_take() {
                Ok(Turn::Served(selection)) => open.push(selection),
                Ok(Turn::SentBack(_)) => panic!("no server has left"),
                Err(waiting) => rest.push(waiting),
            }
        }
        waits = rest;
        seen.push(counts(&backend));
    }
    let expected = [
        (6, 5),
        (5, 5),
        (5, 4),
        (4, 4),
        (4, 3),
        (3, 3),
        (3, 2),
        (2, 2),
        (2, 1),
        (1, 1),
        (1, 0),
        (0, 0),
    ];
    assert_eq!(seen, expected);
}

// Observed: who leaves a server's queue makes HAProxy look for the room there is by now,
// when it counts no more.
#[test]
fn a_limit_that_has_grown_is_used_when_somebody_gives_up() {
    let server = server("s1", 10).min_connections(1);
    let backend = backend([server]).full_connections(20).build().unwrap();
    let held = served(&backend, "");
    let mut waits: Vec<_> = (1..12).map(|n| waiting(&backend, "s1", n)).collect();
    assert_eq!(counts(&backend), (1, 11));
    drop(waits.pop());
    assert_eq!(counts(&backend), (5, 6));
    drop((held, waits));
    assert_idle(&backend);
}

// Observed: 8 requests to a server of `minconn 1 maxconn 10` with `fullconn 20`. Only some
// algorithms let newcomers have the room that has grown meanwhile.
#[test]
fn who_may_overtake_those_who_wait_for_any_server() {
    let selectors: [(Arc<dyn Selector>, u32); 6] = [
        (Arc::new(RoundRobin::new()), 1),
        (Arc::new(StaticRoundRobin::new()), 1),
        (Arc::new(FirstFree::new()), 1),
        (Arc::new(ConsistentHash::new(HashInput::source())), 1),
        (Arc::new(LeastConnections::new()), 4),
        (Arc::new(Random::seeded(1).draws(1)), 4),
    ];
    for (selector, expected) in selectors {
        let server = server("s1", 10).min_connections(1);
        let builder = backend([server]).full_connections(20);
        let builder = builder.balance_shared(selector);
        let backend = builder.build().unwrap();
        let source = SimpleRequest::new("GET", "/").source([192, 0, 2, 7].into());
        let admitted: Vec<_> = (0..8).map(|n| backend.admit(&source, at(n))).collect();
        assert_eq!(counts(&backend), (expected, 8 - expected), "{backend:?}");
        drop(admitted);
        assert_idle(&backend);
    }
}

// Observed.
#[test]
fn a_least_limit_alone_or_above_the_other_is_the_limit() {
    for (most, least, limit) in [(0, 1, 1), (2, 3, 3), (4, 4, 4), (4, 0, 4)] {
        let server = server("s1", most).min_connections(least);
        let backend = backend([server]).full_connections(100).build().unwrap();
        let open: Vec<_> = (0..limit).map(|_| served(&backend, "")).collect();
        let _waits = waiting(&backend, "", 1);
        assert_eq!(open.len() as u32, limit);
    }
}

// Observed: s1 is chosen though it is full only while there is room in its queue.
#[test]
fn least_connections_counts_those_who_wait_and_the_room_for_them() {
    let servers = [server("s1", 1).max_queue(1), server("s2", 1)];
    let builder = backend(servers).balance(LeastConnections::new());
    let backend = builder.build().unwrap();
    let open = [served(&backend, ""), served(&backend, "")];
    let waits = [2, 3, 4].map(|n| waiting(&backend, "", n));
    let names = waits.each_ref().map(|it| it.server().map(name));
    assert_eq!(names, [Some("s1"), None, None]);
    drop((open, waits));
    assert_idle(&backend);
}

#[test]
fn random_passes_over_room_but_never_waits_for_nobody() {
    // Every draw hits the first point of `s1`.
    let draw = || stickroute::hash::full_hash(4_096);
    let builder = backend([server("s1", 1), server("s2", 0)]);
    let builder = builder.balance(Random::from_fn(draw).draws(1));
    let backend = builder.build().unwrap();
    let held = served(&backend, "");
    let waits = waiting(&backend, "", 1);
    drop(held);
    assert_eq!(turn(waits).server().name(), "s1");
}

#[test]
fn a_redispatched_request_may_have_to_wait() {
    let retry = RetryPolicy::new(3).redispatch(Redispatch::Interval(1));
    let servers = [server("s1", 1), server("s2", 1)];
    let backend = backend(servers).retry(retry).build().unwrap();
    let (one, two) = (served(&backend, "s1"), served(&backend, "s2"));
    let [next, last] = [1, 2].map(|n| waiting(&backend, "", n));
    let retry = backend.redispatch_or_wait(one, &request("s1"), Failure::Refused, at(3));
    // Its slot has gone to the first who waited.
    let next = turn(next);
    let Retry::Other {
        selection: Admission::Waits(again),
        pause,
    } = retry
    else {
        panic!("the other server is busy: {retry:?}");
    };
    assert!(again.server().is_none() && pause == Duration::ZERO);
    drop(two);
    drop(turn(last));
    let again = turn(again);
    assert_eq!(again.to_string(), "s2 by redispatch (DN)");
    assert_eq!(again.retries(), 1);
    drop((again, next));

    let one = served(&backend, "s1");
    let retry = backend.redispatch_or_wait(one, &request("s1"), Failure::Refused, at(4));
    let Retry::Other {
        selection: Admission::Served(other),
        ..
    } = retry
    else {
        panic!("the other server is free: {retry:?}");
    };
    assert_eq!(other.server().name(), "s2");
    drop(other);
    assert_idle(&backend);
}

#[test]
fn a_request_that_waited_is_as_good_as_one_that_did_not() {
    let table = StickTable::builder(KeyType::Ip).size(10).build().unwrap();
    let table = Arc::new(table);
    let builder = backend([server("s1", 1), server("s2", 1)]);
    let backend = builder
        .stick_table(Arc::clone(&table))
        .stick(StickRule::on(Fetch::src()))
        .build()
        .unwrap();
    let first = served(&backend, "s1");
    let second = served(&backend, "s2");
    let new = SimpleRequest::new("GET", "/").source([192, 0, 2, 7].into());
    let Ok(Admission::Waits(waits)) = backend.admit(&new, at(1)) else {
        panic!("all slots are taken");
    };
    drop(second);
    let mut selection = turn(waits);
    assert_eq!(selection.reason(), Reason::Balance);
    let edits = backend.respond(&mut selection, &SimpleResponse::new(200), at(2));
    assert_eq!(edits.set_cookie(), Some(&b"SRV=s2; path=/"[..]));
    drop((first, selection));
    let again = backend.select(&new, at(3)).unwrap();
    assert_eq!(again.to_string(), "s2 by stick-table (NN)");
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn the_future_is_woken_once_and_then_stays_pending() {
    let backend = backend([server("s1", 1)]).build().unwrap();
    let held = served(&backend, "");
    let (mut waits, mut next) = (waiting(&backend, "", 1), waiting(&backend, "s1", 2));
    let [old, woken, other] = [(); 3].map(|()| Arc::new(Woken::default()));
    let poll = |waits: &mut Waiting, woken: &Arc<Woken>| {
        let waker = Waker::from(Arc::clone(woken));
        Pin::new(waits).poll(&mut Context::from_waker(&waker))
    };
    assert!(poll(&mut waits, &old).is_pending());
    assert!(poll(&mut waits, &woken).is_pending());
    assert!(poll(&mut next, &other).is_pending());
    drop(held);
    let counts = [&old, &woken, &other].map(|woken| woken.0.load(SeqCst));
    assert_eq!(counts, [0, 1, 0], "the last waker counts");
    let Poll::Ready(Turn::Served(selection)) = poll(&mut waits, &woken) else {
        panic!("it was woken");
    };
    assert!(poll(&mut waits, &woken).is_pending());
    drop(waits);
    assert_eq!(selection.server().in_flight(), 1);
    drop(selection);
    assert_eq!(other.0.load(SeqCst), 1);
    drop(next);
    assert_idle(&backend);
}

/// A waker may do anything, even change the backend.
#[test]
fn no_lock_is_held_while_somebody_is_woken() {
    struct Busy(Backend);
    impl Wake for Busy {
        fn wake(self: Arc<Self>) {
            drop(self.0.admit(&request(""), at(9)));
            self.0.set_weight("s1", Weight::MAX).unwrap();
        }
    }
    let backend = backend([server("s1", 1)]).build().unwrap();
    let busy = Arc::new(Busy(backend));
    let backend = &busy.0;
    let waker = Waker::from(Arc::clone(&busy));
    let mut context = Context::from_waker(&waker);
    let mut wait = || {
        let held = served(backend, "");
        let mut waits = waiting(backend, "s1", 1);
        assert!(Pin::new(&mut waits).poll(&mut context).is_pending());
        (held, waits)
    };
    let (held, waits) = wait();
    drop(held);
    drop(turn(waits));
    let (held, waits) = wait();
    let grow = |change: &mut Update<'_>| change.set_max_connections("s1", 2);
    backend.update(grow).unwrap();
    drop((turn(waits), held));
    assert_idle(backend);
}

/// Waits on its thread.
fn block_on(mut waiting: Waiting) -> Turn {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(turn) = Pin::new(&mut waiting).poll(&mut context) {
            return turn;
        }
        std::thread::park();
    }
}

/// One request as a proxy would handle it: some give up while they wait.
fn exchange(backend: &Backend, n: usize) -> bool {
    let request = request(["", "s1", "s2", ""][n % 4]);
    let mut admission = backend.admit(&request, at(n as u64));
    loop {
        match admission {
            Ok(Admission::Served(selection)) => {
                assert!(selection.server().in_flight() <= 2);
                if n.is_multiple_of(5) {
                    std::thread::yield_now();
                }
                return true;
            }
            Ok(Admission::Waits(waiting)) if n.is_multiple_of(7) => {
                drop(waiting);
                return false;
            }
            Ok(Admission::Waits(waiting)) => match block_on(waiting) {
                Turn::Served(selection) => admission = Ok(Admission::Served(selection)),
                Turn::SentBack(back) => {
                    admission = backend.readmit(back, &request, at(n as u64));
                }
            },
            Err(error) => {
                assert_eq!(error.refusal(), &Refusal::Saturated);
                return false;
            }
        }
    }
}

/// A slot that is lost, or a request that is forgotten, would leave a thread waiting.
#[test]
fn threads_are_all_served_and_leave_nothing_behind() {
    let selectors: [Arc<dyn Selector>; 4] = [
        Arc::new(RoundRobin::new()),
        Arc::new(LeastConnections::new()),
        Arc::new(Random::seeded(3)),
        Arc::new(MapHash::new(HashInput::source())),
    ];
    for selector in selectors {
        let servers = [
            server("s1", 1),
            server("s2", 2).max_queue(3),
            server("s3", 1),
        ];
        let builder = backend(servers).retry(redispatch());
        let backend = builder.balance_shared(selector).build().unwrap();
        let served = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (backend, served) = (&backend, &served);
                scope.spawn(move || {
                    for n in 0..2_000 {
                        served.fetch_add(exchange(backend, n + thread).into(), SeqCst);
                    }
                });
            }
            for turn in 0..200 {
                let states = [AdminState::Drain, AdminState::Ready];
                backend.set_admin_state("s1", states[turn % 2]).unwrap();
                std::thread::yield_now();
            }
        });
        assert!(served.load(SeqCst) > 10_000, "{served:?}");
        assert_idle(&backend);
    }
}
