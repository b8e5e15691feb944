//! Promise: a server that comes up is warmed up as HAProxy does it, by nothing but the
//! times that requests bring along. What is said to be observed was observed on HAProxy
//! 2.6.12.

use std::net::Ipv4Addr;
use std::time::Duration;

use CheckStatus::{Answered, Leaving, WrongStatus};
use OperationalState::{Running, Starting, Stopped, Stopping};
use stickroute::health::{CheckStatus, HealthPolicy};
use stickroute::{
    Address, AdminState, Admission, Backend, BackendBuilder, ConsistentHash, CookiePolicy, Failure,
    HashInput, Now, OperationalState, Redispatch, Retry, RetryPolicy, RoundRobin, Selector, Server,
    SimpleRequest, StaticRoundRobin,
};

fn at(millis: u64) -> Now {
    Now::new(Duration::from_millis(millis), Duration::from_millis(millis))
}

fn server(name: &str) -> Server {
    let address: Address = "127.0.0.1:1".parse().unwrap();
    Server::new(name, address).weight(100).cookie(name)
}

fn slow(name: &str, seconds: u64) -> Server {
    server(name).slow_start(Duration::from_secs(seconds))
}

/// `s1` is slow to start, `s2` is not.
fn describe(selector: impl Selector + 'static, s1: Server) -> BackendBuilder {
    Backend::builder("b")
        .servers([s1, server("s2")])
        .cookie(CookiePolicy::insert("SRV"))
        .balance(selector)
}

fn backend(seconds: u64) -> Backend {
    let builder = describe(RoundRobin::new(), slow("s1", seconds));
    builder.build().unwrap()
}

fn report(backend: &Backend, state: OperationalState, millis: u64) {
    let changed = backend.update(|change| {
        let change = change.at(at(millis));
        change.set_operational_state("s1", state)
    });
    changed.unwrap();
}

fn order(backend: &Backend, state: AdminState, millis: u64) {
    let changed = backend.update(|change| change.at(at(millis)).set_admin_state("s1", state));
    changed.unwrap();
}

/// The state of `s1` and its weight, 100 when it is warm, as HAProxy reports it.
fn seen(backend: &Backend) -> (OperationalState, u32) {
    let server = backend.server("s1").unwrap();
    (
        server.status().operational(),
        server.effective_weight().div_ceil(16),
    )
}

fn seen_at(backend: &Backend, millis: u64) -> (OperationalState, u32) {
    backend.maintain(at(millis));
    seen(backend)
}

fn selected(backend: &Backend, millis: u64) -> String {
    let selection = backend.select(&SimpleRequest::new("GET", "/"), at(millis));
    selection.unwrap().server().name().to_owned()
}

/// How many of 160 requests at this time go to `s1`.
fn share(backend: &Backend, millis: u64) -> usize {
    let picks = (0..160).map(|_| selected(backend, millis));
    picks.filter(|name| name == "s1").count()
}

#[test]
fn requests_alone_warm_a_server_up() {
    let backend = backend(4);
    assert_eq!(seen(&backend), (Running, 100));
    report(&backend, Stopped, 500);
    report(&backend, Running, 1_000);
    // 1, 5, 9 and 13 sixteenths of the weight beside a whole one.
    let shares = [1_000, 2_000, 3_000, 4_999].map(|millis| share(&backend, millis));
    for (share, expected) in shares.into_iter().zip([9, 38, 57, 71]) {
        assert!(share.abs_diff(expected) <= 1, "{shares:?}");
    }
    assert_eq!(seen(&backend), (Starting, 82));
    assert_eq!(share(&backend, 5_000), 80);
    assert_eq!(seen(&backend), (Running, 100));
}

#[test]
fn a_long_pause_makes_no_difference() {
    let [lazy, eager] = [(); 2].map(|()| backend(10));
    for backend in [&lazy, &eager] {
        report(backend, Stopped, 0);
        report(backend, Running, 300);
    }
    for millis in (300..8_000).step_by(50) {
        eager.maintain(at(millis));
    }
    assert_eq!(seen_at(&lazy, 8_000), seen_at(&eager, 8_000));
    assert_eq!(seen_at(&lazy, 99_000), (Running, 100));
}

#[test]
fn without_the_time_of_the_change_it_begins_with_the_next_request() {
    let backend = backend(4);
    backend.set_operational_state("s1", Stopped).unwrap();
    backend.set_operational_state("s1", Running).unwrap();
    assert_eq!(seen(&backend), (Starting, 7));
    selected(&backend, 70_000);
    assert_eq!(seen(&backend), (Starting, 7));
    selected(&backend, 71_000);
    assert_eq!(seen(&backend), (Starting, 32));
}

#[test]
fn upkeep_says_when_there_is_more_to_do() {
    let backend = backend(4);
    assert_eq!(backend.maintain(at(0)), None);
    order(&backend, AdminState::Maintenance, 100);
    assert_eq!(backend.maintain(at(200)), None);
    order(&backend, AdminState::Ready, 300);
    assert_eq!(backend.maintain(at(300)), Some(Duration::from_secs(1)));
    assert_eq!(
        backend.maintain(at(1_000)),
        Some(Duration::from_millis(300))
    );
    assert_eq!(backend.maintain(at(5_000)), None);
}

#[test]
fn a_time_read_before_the_last_step_takes_nothing_back() {
    let backend = backend(4);
    report(&backend, Stopped, 0);
    report(&backend, Running, 1_000);
    for (millis, weight) in [(999, 7), (3_000, 57), (2_999, 57), (0, 57), (4_000, 82)] {
        assert_eq!(seen_at(&backend, millis), (Starting, weight));
    }
}

// Observed.
#[test]
fn what_happens_meanwhile_lets_it_begin_anew_or_changes_nothing() {
    let backend = backend(4);
    report(&backend, Stopped, 0);
    report(&backend, Running, 1_000);
    assert_eq!(seen_at(&backend, 2_000), (Starting, 32));
    report(&backend, Running, 2_500);
    assert_eq!(seen_at(&backend, 3_000), (Starting, 57));
    report(&backend, Stopping, 3_100);
    assert_eq!(seen(&backend).0, Stopping);
    report(&backend, Running, 3_200);
    assert_eq!(seen_at(&backend, 3_200), (Starting, 7));
    order(&backend, AdminState::Drain, 4_300);
    order(&backend, AdminState::Ready, 4_400);
    assert_eq!(seen_at(&backend, 4_400), (Starting, 7));
    backend
        .set_weight("s1", stickroute::Weight::new(50).unwrap())
        .unwrap();
    assert_eq!(seen_at(&backend, 6_400), (Starting, 29));
    report(&backend, Stopped, 6_500);
    assert_eq!(backend.maintain(at(60_000)), None);
    assert_eq!(seen(&backend).0, Stopped);
}

// Observed.
#[test]
fn a_server_that_its_checks_find_up_is_warmed_up() {
    let policy = HealthPolicy::new().rise(2).fall(1);
    let s1 = slow("s1", 4).health(policy).checked();
    let backend = describe(RoundRobin::new(), s1).build().unwrap();
    let check = |status, millis| backend.report_check("s1", status, at(millis)).unwrap();
    assert_eq!(check(Answered, 100), None);
    assert_eq!(seen(&backend), (Running, 100));
    assert_eq!(check(WrongStatus, 200), Some(Stopped));
    assert_eq!(check(Answered, 900), None);
    assert_eq!(check(Answered, 1_000), Some(Starting));
    assert_eq!(share(&backend, 1_000), 9);
    assert_eq!(check(Answered, 2_000), None);
    assert_eq!(seen_at(&backend, 2_000), (Starting, 32));
    assert_eq!(check(Leaving, 2_100), Some(Stopping));
    assert_eq!(check(Answered, 2_200), Some(Starting));
    assert_eq!(seen_at(&backend, 5_200), (Starting, 82));
    assert_eq!(seen_at(&backend, 6_200), (Running, 100));
    assert_eq!(check(Answered, 6_300), None);
    assert_eq!(seen(&backend), (Running, 100));
}

// Observed.
#[test]
fn a_server_whose_checks_find_it_up_in_drain_begins_anew_after_it() {
    let s1 = slow("s1", 4).health(HealthPolicy::new().rise(1)).checked();
    let backend = describe(RoundRobin::new(), s1).build().unwrap();
    let check = |status, millis| backend.report_check("s1", status, at(millis)).unwrap();
    check(WrongStatus, 100);
    order(&backend, AdminState::Drain, 200);
    assert_eq!(check(Answered, 300), Some(Starting));
    assert_eq!(seen_at(&backend, 1_300), (Starting, 32));
    order(&backend, AdminState::Ready, 1_400);
    assert_eq!(seen_at(&backend, 1_400), (Starting, 7));
    assert_eq!(seen_at(&backend, 2_400), (Starting, 32));
}

// Observed.
#[test]
fn the_state_changes_once_more_when_the_server_is_warm() {
    let backend = backend(4);
    let changed = || backend.server("s1").unwrap().changed();
    report(&backend, Stopped, 0);
    report(&backend, Running, 1_000);
    backend.maintain(at(4_000));
    assert_eq!(changed(), Some(Duration::from_secs(1)));
    backend.maintain(at(9_000));
    assert_eq!(changed(), Some(Duration::from_secs(5)));
}

// Observed.
#[test]
fn a_server_that_is_up_and_drains_stays_warm() {
    let backend = backend(4);
    order(&backend, AdminState::Drain, 100);
    order(&backend, AdminState::Ready, 200);
    assert_eq!(seen(&backend), (Running, 100));
}

// Observed.
#[test]
fn weights_of_static_algorithms_stay_as_they_are() {
    let builder = describe(StaticRoundRobin::new(), slow("s1", 4));
    let backend = builder.build().unwrap();
    report(&backend, Stopped, 0);
    report(&backend, Running, 1_000);
    let weight = || backend.server("s1").unwrap().effective_weight();
    assert_eq!((seen_at(&backend, 1_500).0, weight()), (Starting, 1));
    assert_eq!((seen_at(&backend, 5_000).0, weight()), (Running, 1));
}

#[test]
fn a_server_in_the_place_of_another_is_not_trusted_at_once() {
    let backend = backend(4);
    assert_eq!(seen(&backend), (Running, 100));
    let replaced = backend.update(|change| change.at(at(1_000)).replace("s1", slow("s1", 4)));
    replaced.unwrap();
    assert_eq!(seen(&backend), (Starting, 7));
    assert_eq!(seen_at(&backend, 4_000), (Starting, 82));
}

#[test]
fn a_server_added_while_requests_run_is_not_trusted_at_once() {
    let backend: Backend = Backend::builder("b").server(server("s2")).build().unwrap();
    let added = backend.update(|change| change.at(at(1_000)).add(slow("s1", 4)));
    added.unwrap();
    assert_eq!(seen(&backend), (Starting, 7));
    assert_eq!(seen_at(&backend, 4_000), (Starting, 82));
}

#[test]
fn requests_that_wait_are_served_as_limits_grow() {
    let s1 = slow("s1", 4).max_connections(10);
    let backend: Backend = Backend::builder("b").server(s1).build().unwrap();
    report(&backend, Stopped, 0);
    report(&backend, Running, 1_000);
    let request = SimpleRequest::new("GET", "/");
    let mut kept = Vec::new();
    let mut waiting = Vec::new();
    for _ in 0..10 {
        match backend.admit(&request, at(1_000)).unwrap() {
            Admission::Served(selection) => kept.push(selection),
            Admission::Waits(place) => waiting.push(place),
        }
    }
    // 1, and then 25, 50, 75 and 100 percent of ten.
    let counts = [1_000, 2_000, 3_000, 4_000, 5_000].map(|millis| {
        backend.maintain(at(millis));
        backend.server("s1").unwrap().in_flight()
    });
    assert_eq!(counts, [1, 2, 5, 7, 10]);
    assert_eq!((kept.len(), waiting.len()), (1, 9));
}

#[test]
fn a_failure_while_it_starts_moves_a_request() {
    for (seconds, moves) in [(4, true), (0, false)] {
        let retry = RetryPolicy::new(3).redispatch(Redispatch::LAST_RETRY);
        let builder = describe(RoundRobin::new(), slow("s1", seconds)).retry(retry);
        let backend = builder.build().unwrap();
        report(&backend, Stopped, 0);
        report(&backend, Running, 1_000);
        let request = SimpleRequest::new("GET", "/").header("Cookie", "SRV=s1");
        let selection = backend.select(&request, at(1_500)).unwrap();
        let retry = backend.redispatch(selection, &request, Failure::Refused, at(1_600));
        assert_eq!(matches!(retry, Retry::Other { .. }), moves);
    }
}

#[test]
fn a_request_within_a_change_does_not_wait_for_it() {
    let backend = backend(4);
    report(&backend, Stopped, 0);
    report(&backend, Running, 1_000);
    let name = backend.update(|change| {
        change.set_weight("s2", stickroute::Weight::ZERO)?;
        Ok(selected(&backend, 9_000))
    });
    assert!(name.is_ok());
    assert_eq!(seen_at(&backend, 9_000), (Running, 100));
}

#[test]
fn a_ring_grows_with_the_weight() {
    let selector = ConsistentHash::new(HashInput::source());
    let backend = describe(selector, slow("s1", 10)).build().unwrap();
    report(&backend, Stopped, 0);
    report(&backend, Running, 1_000);
    let on_s1 = |millis: u64| {
        let of = |n: u32| SimpleRequest::new("GET", "/").source(Ipv4Addr::from_bits(n).into());
        let clients = (0..400).map(|n| of(n * 2_654_435));
        let selected = clients.map(|request| backend.select(&request, at(millis)).unwrap());
        let named: Vec<_> = selected.map(|it| it.server().name() == "s1").collect();
        named
    };
    let mut before = on_s1(1_000);
    for second in 2..=11 {
        let after = on_s1(second * 1_000);
        let left = before.iter().zip(&after).filter(|(was, is)| **was && !**is);
        assert_eq!(left.count(), 0, "a client left the server that grew");
        before = after;
    }
    let warm = before.iter().filter(|&&is| is).count();
    assert!((150..250).contains(&warm), "{warm}");
}
