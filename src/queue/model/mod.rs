//! A slot is given back at the moment somebody begins to wait, in all interleavings:
//! `RUSTFLAGS="--cfg crossbeam_loom" cargo test --release --lib queue::model`.

mod drain;
mod slots;

use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use super::ticket::Ending;
use super::{Comer, Entry, Line, Priority, Seated, Spot};
use crate::handle::{Lease, ServerHandle};
use crate::server::{
    Address, AdminState, Limits, Marked, ServerId, ServerLoad, Spec, Status, Weight,
};

type Server = Arc<ServerHandle<()>>;

/// A line, and servers of one slot each.
fn servers(count: u32) -> (Arc<Line<()>>, Vec<Server>) {
    let line = Arc::new(Line::new(None, false));
    let servers: Vec<_> = (1..=count).map(|id| server(&line, id)).collect();
    let seated = servers.iter().map(|member| Seated {
        member,
        status: Status::default(),
        serves_all: true,
    });
    line.adapt(1, seated).wake();
    (line, servers)
}

fn server(line: &Arc<Line<()>>, id: u32) -> Server {
    let id = ServerId::new(id).unwrap();
    let spec = Spec {
        id,
        has_own_id: false,
        name: "s".into(),
        address: Address::Unix("/s".into()),
        weight: Weight::default(),
        guid: None,
        placement: None,
        backup: false,
        limits: Limits::new(1, 0, 0),
        slow_start: None,
        non_stick: false,
        marked: Marked::default(),
    };
    Arc::new(ServerHandle {
        spec: Arc::new(spec),
        load: Arc::new(ServerLoad::new(id, None, None)),
        payload: Arc::new(()),
        line: Arc::clone(line),
        own_cookie: None,
        cookie: None,
        stick: Box::default(),
        policy: None,
    })
}

/// The same server with another number of slots.
fn resized(server: &Server, slots: u32) -> Server {
    let mut changed = ServerHandle::clone(server);
    changed.spec = Arc::new(Spec {
        limits: Limits::new(slots, 0, 0),
        ..Spec::clone(&server.spec)
    });
    Arc::new(changed)
}

const COMER: Comer = Comer {
    priority: Priority::DEFAULT,
    arrival: Duration::ZERO,
    is_forced: false,
};

fn join(line: &Arc<Line<()>>, server: &Server) -> Entry<()> {
    let free = Lease::take(server).map(Entry::Served);
    free.unwrap_or_else(|| line.join(1, server, COMER))
}

fn join_all(line: &Arc<Line<()>>, servers: &[Server]) -> Entry<()> {
    let free = servers.iter().find_map(Lease::take).map(Entry::Served);
    free.unwrap_or_else(|| {
        let (entry, called) = line.join_all(1, COMER, false);
        called.wake();
        entry
    })
}

fn change(line: &Line<()>, version: u64, member: &Server, admin: AdminState) {
    let seated = Seated {
        member,
        status: Status::default().with_admin(admin),
        serves_all: admin == AdminState::Ready,
    };
    line.adapt(version, [seated].into_iter()).wake();
}

/// The slot of somebody who has come when all others have gone.
fn slot(entry: Entry<()>) -> Lease<()> {
    match entry {
        Entry::Served(lease) => lease,
        Entry::Waits(spot) => served(&spot).expect("a free slot is not waited for"),
        Entry::Full | Entry::Stale => panic!("there is room, and the farm is the same"),
    }
}

fn served(spot: &Spot<()>) -> Option<Lease<()>> {
    match spot.take()? {
        Ending::Served(lease) => Some(lease),
        Ending::SentBack => None,
    }
}

fn assert_empty(line: &Line<()>, servers: &[Server]) {
    assert_eq!(line.waiting(), 0);
    for server in servers {
        assert_eq!((server.load.in_flight(), server.load.queued()), (0, 0));
        assert!(Lease::take(server).is_some());
    }
}

#[test]
fn the_queue_of_a_server_never_misses_its_last_slot() {
    loom::model(|| {
        let (line, servers) = servers(1);
        let held = Lease::take(&servers[0]).unwrap();
        let other = thread::spawn(move || drop(held));
        let entry = join(&line, &servers[0]);
        other.join().unwrap();
        drop(slot(entry));
        assert_empty(&line, &servers);
    });
}

#[test]
fn the_common_queue_never_misses_the_last_slot_of_any_server() {
    loom::model(|| {
        let (line, servers) = servers(2);
        let held = [&servers[0], &servers[1]].map(|server| Lease::take(server).unwrap());
        let others = held.map(|held| thread::spawn(move || drop(held)));
        let entry = join_all(&line, &servers);
        for other in others {
            other.join().unwrap();
        }
        drop(slot(entry));
        assert_empty(&line, &servers);
    });
}

/// One waits for the server, one for any, and the slot goes from hand to hand.
#[test]
fn both_queues_are_served_and_nothing_is_left() {
    loom::model(|| {
        let (line, servers) = servers(1);
        let held = Lease::take(&servers[0]).unwrap();
        let other = {
            let (line, server) = (Arc::clone(&line), Arc::clone(&servers[0]));
            thread::spawn(move || join(&line, &server))
        };
        drop(held);
        let mine = join_all(&line, &servers);
        let mut entries = vec![other.join().unwrap(), mine];
        // Whoever has a slot goes first, or both would wait for ever.
        entries.sort_by_key(|entry| matches!(entry, Entry::Waits(_)));
        let second = entries.pop().unwrap();
        drop(slot(entries.pop().unwrap()));
        drop(slot(second));
        assert_empty(&line, &servers);
    });
}

/// Somebody gives up while the slot is handed to it: the next one gets it.
#[test]
fn a_slot_for_somebody_who_has_gone_goes_to_the_next() {
    loom::model(|| {
        let (line, servers) = servers(1);
        let held = Lease::take(&servers[0]).unwrap();
        let first = join(&line, &servers[0]);
        let second = join_all(&line, &servers);
        let other = thread::spawn(move || drop(first));
        drop(held);
        other.join().unwrap();
        drop(slot(second));
        assert_empty(&line, &servers);
    });
}
