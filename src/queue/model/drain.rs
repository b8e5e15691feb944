//! The last session of a server ends at the moment somebody begins to wait for that.

use std::sync::Arc;

use loom::thread;

use super::{COMER, Server, change, servers};
use crate::handle::Lease;
use crate::queue::{DrainEnd, Drained, Entry, Line};
use crate::server::AdminState;

/// A line whose only server takes no new sessions.
fn drained_server() -> (Arc<Line<()>>, Server) {
    let (line, mut servers) = servers(1);
    let server = servers.remove(0);
    change(&line, 2, &server, AdminState::Drain);
    (line, server)
}

fn assert_empty_and_unwatched(drained: &Drained<()>, server: &Server) {
    assert_eq!(drained.end(), Some(DrainEnd::Empty));
    let lease = Lease::take(server).expect("nobody is there");
    assert!(!lease.load.give_back(), "nobody waits any more");
    std::mem::forget(lease);
}

#[test]
fn the_last_session_that_ends_is_never_missed() {
    loom::model(|| {
        let (line, server) = drained_server();
        let held = Lease::take(&server).unwrap();
        let other = thread::spawn(move || drop(held));
        let drained = line.watch(&server.load);
        other.join().unwrap();
        assert_empty_and_unwatched(&drained, &server);
    });
}

/// Two sessions end at once, and of two who wait one gives up.
#[test]
fn whoever_still_waits_is_told_of_the_end() {
    loom::model(|| {
        let (line, server) = drained_server();
        let first = line.watch(&server.load);
        assert_eq!(first.end(), Some(DrainEnd::Empty));
        let held = Lease::take(&server).unwrap();
        let (second, third) = (line.watch(&server.load), line.watch(&server.load));
        let others = [
            thread::spawn(move || drop(held)),
            thread::spawn(move || drop(third)),
        ];
        for other in others {
            other.join().unwrap();
        }
        assert_empty_and_unwatched(&second, &server);
    });
}

/// The only session ends, and somebody has waited for its slot and gives up.
#[test]
fn who_waits_for_the_slot_is_waited_for() {
    loom::model(|| {
        let (line, server) = drained_server();
        let held = Lease::take(&server).unwrap();
        let Entry::Waits(spot) = line.join(2, &server, COMER) else {
            panic!("the slot is taken");
        };
        let drained = line.watch(&server.load);
        let other = thread::spawn(move || drop(spot));
        drop(held);
        other.join().unwrap();
        assert_empty_and_unwatched(&drained, &server);
    });
}

/// Somebody begins to wait while the server is put back into service and its session ends.
#[test]
fn a_server_that_is_back_in_service_is_never_waited_for() {
    loom::model(|| {
        let (line, server) = drained_server();
        let held = Lease::take(&server).unwrap();
        let other = {
            let (line, server) = (Arc::clone(&line), Arc::clone(&server));
            thread::spawn(move || change(&line, 3, &server, AdminState::Ready))
        };
        let drained = line.watch(&server.load);
        other.join().unwrap();
        assert_eq!(drained.end(), Some(DrainEnd::InService));
        assert!(!held.load.give_back(), "nobody waits any more");
        std::mem::forget(held);
    });
}

/// The server is removed while its session ends.
#[test]
fn a_server_that_is_removed_is_waited_for() {
    loom::model(|| {
        let (line, server) = drained_server();
        let held = Lease::take(&server).unwrap();
        let drained = line.watch(&server.load);
        let other = thread::spawn(move || drop(held));
        line.adapt(3, std::iter::empty()).wake();
        other.join().unwrap();
        assert_eq!(drained.end(), Some(DrainEnd::Empty));
    });
}

/// A request that still sees the server comes while that is removed: once it is told to be
/// empty nobody has a slot, nor gets one.
#[test]
fn nobody_comes_to_a_removed_server_that_was_told_to_be_empty() {
    for slots in [0, 1] {
        loom::model(move || {
            let (line, server) = drained_server();
            let server = super::resized(&server, slots);
            let other = {
                let server = Arc::clone(&server);
                thread::spawn(move || Lease::take(&server))
            };
            line.adapt(3, std::iter::empty()).wake();
            let drained = line.watch(&server.load);
            let was_empty = drained.end().is_some();
            let lease = other.join().unwrap();
            assert!(!(was_empty && lease.is_some()), "it came too late");
            drop(lease);
            assert_eq!(drained.end(), Some(DrainEnd::Empty));
            assert!(Lease::take(&server).is_none(), "it has left");
            assert!(server.load.is_empty());
        });
    }
}
