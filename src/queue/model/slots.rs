//! Slots are taken, given back and handed on while the limit changes, or the server leaves.

use std::sync::Arc;

use loom::thread;

use super::{COMER, Server, assert_empty, change, join, resized, served, server, servers, slot};
use crate::handle::Lease;
use crate::queue::ticket::Ending;
use crate::queue::{Entry, Line, Spot};
use crate::server::AdminState;

/// One server with these slots, all of them taken.
fn full(slots: u32) -> (Arc<Line<()>>, Server, Vec<Lease<()>>) {
    let (line, mut servers) = servers(1);
    let server = resized(&servers.remove(0), slots);
    change(&line, 2, &server, AdminState::Ready);
    let held = (0..slots).map(|_| Lease::take(&server).unwrap());
    let held = held.collect();
    (line, server, held)
}

/// Lines up in the farm of that version, or in the next one where the server is `later`.
fn join_either(line: &Arc<Line<()>>, version: u64, server: &Server, later: &Server) -> Entry<()> {
    match line.join(version, server, COMER) {
        Entry::Stale => line.join(version + 1, later, COMER),
        entry => entry,
    }
}

#[test]
fn of_two_who_come_for_the_last_slot_one_gets_it() {
    loom::model(|| {
        let (line, servers) = servers(1);
        let other = {
            let server = Arc::clone(&servers[0]);
            thread::spawn(move || Lease::take(&server))
        };
        let mine = Lease::take(&servers[0]);
        let other = other.join().unwrap();
        assert_eq!(
            usize::from(mine.is_some()) + usize::from(other.is_some()),
            1
        );
        drop((mine, other));
        assert_empty(&line, &servers);
    });
}

/// Somebody who comes beside those who wait must not take the slot that is handed on.
#[test]
fn a_slot_that_is_handed_on_is_nobody_else_s() {
    loom::model(|| {
        let (line, servers) = servers(1);
        let held = Lease::take(&servers[0]).unwrap();
        let Entry::Waits(spot) = join(&line, &servers[0]) else {
            panic!("the slot is taken");
        };
        let other = {
            let server = Arc::clone(&servers[0]);
            thread::spawn(move || Lease::take(&server).is_none())
        };
        drop(held);
        let lease = served(&spot).expect("it was the first");
        assert!(other.join().unwrap(), "who waits comes first");
        assert_eq!(servers[0].load.in_flight(), 1);
        drop(lease);
        assert_empty(&line, &servers);
    });
}

#[test]
fn a_limit_that_grows_lets_who_comes_to_wait_go_on() {
    loom::model(|| {
        let (line, server, held) = full(1);
        let larger = resized(&server, 2);
        let other = {
            let (line, larger) = (Arc::clone(&line), Arc::clone(&larger));
            thread::spawn(move || change(&line, 3, &larger, AdminState::Ready))
        };
        let entry = join_either(&line, 2, &server, &larger);
        other.join().unwrap();
        let lease = slot(entry);
        assert_eq!(server.load.in_flight(), 2);
        drop((lease, held));
        assert_empty(&line, &[larger]);
    });
}

#[test]
fn a_limit_that_shrinks_is_kept_by_who_waits() {
    loom::model(|| {
        let (line, server, mut held) = full(2);
        let smaller = resized(&server, 1);
        let Entry::Waits(spot) = line.join(2, &server, COMER) else {
            panic!("both slots are taken");
        };
        let last = held.pop();
        let other = thread::spawn(move || drop(held));
        change(&line, 3, &smaller, AdminState::Ready);
        other.join().unwrap();
        // With the first slot if that was given back before the limit shrank, else with
        // the last.
        let early = served(&spot);
        assert!(server.load.in_flight() <= 2);
        drop(last);
        let lease = early.or_else(|| served(&spot)).expect("a slot is free");
        assert_eq!(server.load.in_flight(), 1);
        drop(lease);
        assert_empty(&line, &[smaller]);
    });
}

/// The server is removed while its slot is given back and somebody waits for it.
#[test]
fn who_waits_for_a_server_that_is_removed_has_its_slot_or_is_sent_back() {
    loom::model(|| {
        let (line, server, held) = full(1);
        let other = thread::spawn(move || drop(held));
        let entry = line.join(2, &server, COMER);
        line.adapt(3, std::iter::empty()).wake();
        other.join().unwrap();
        match entry {
            Entry::Served(lease) => drop(lease),
            Entry::Waits(spot) => drop(ending(&spot)),
            Entry::Full | Entry::Stale => panic!("the farm was the same"),
        }
        assert_eq!((server.load.in_flight(), server.load.queued()), (0, 0));
    });
}

/// The same while somebody comes: never into the queue of a server that has left.
#[test]
fn nobody_lines_up_at_a_server_that_was_removed() {
    loom::model(|| {
        let (line, server, held) = full(1);
        let other = {
            let line = Arc::clone(&line);
            thread::spawn(move || line.adapt(3, std::iter::empty()).wake())
        };
        let entry = line.join(2, &server, COMER);
        other.join().unwrap();
        match entry {
            Entry::Stale => {}
            Entry::Waits(spot) => assert!(matches!(ending(&spot), Ending::SentBack)),
            Entry::Served(_) | Entry::Full => panic!("the slot is taken"),
        }
        drop(held);
        assert_eq!((server.load.in_flight(), server.load.queued()), (0, 0));
    });
}

/// It goes into drain, which sends those who wait back, while its slot is given back.
#[test]
fn who_is_sent_back_leaves_no_slot_behind() {
    loom::model(|| {
        let line = Arc::new(Line::new(None, true));
        let server = server(&line, 1);
        change(&line, 1, &server, AdminState::Ready);
        let held = Lease::take(&server).unwrap();
        let Entry::Waits(spot) = line.join(1, &server, COMER) else {
            panic!("the slot is taken");
        };
        let other = thread::spawn(move || drop(held));
        change(&line, 2, &server, AdminState::Drain);
        other.join().unwrap();
        drop(ending(&spot));
        drop(spot);
        assert_empty(&line, &[server]);
    });
}

/// How the waiting of somebody ended, which has ended.
fn ending(spot: &Spot<()>) -> Ending<()> {
    spot.take().expect("there is nothing to wait for")
}
