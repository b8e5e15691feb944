//! Promise: a server is replaced in one step; what belongs to its place stays, what belongs
//! to the server goes with it.

use std::net::Ipv4Addr;

use stickroute::{
    AdminState, Admission, Backend, Condition, ConsistentHash, DrainEnd, FarmServer, FirstFree,
    HashInput, LeastConnections, Now, Problem, Reason, RoundRobin, Selector, Server, ServerId,
    SimpleRequest, Turn, UpdateError, Weight,
};

fn server(n: u8) -> Server {
    Server::new(format!("s{n}"), format!("10.0.0.{n}:80"))
}

fn backend(selector: impl Selector + 'static) -> Backend {
    Backend::builder("be")
        .servers((1..=3).map(server))
        .balance(selector)
        .use_server("s3", Condition::when(|it| it.target() == b"/third"))
        .build()
        .unwrap()
}

fn replace(backend: &Backend, name: &str, by: Server) -> Result<ServerId, UpdateError> {
    backend.update(|change| change.replace(name, by))
}

/// The id of the server of a request from here.
fn id(backend: &Backend, n: u32) -> u32 {
    let request = SimpleRequest::new("GET", "/").source(Ipv4Addr::from_bits(n).into());
    let selection = backend.select(&request, Now::system()).unwrap();
    selection.server().id().get()
}

#[test]
fn the_place_and_the_id_stay_and_the_rest_begins_anew() {
    let backend = backend(RoundRobin::new());
    backend.set_admin_state("s2", AdminState::Drain).unwrap();
    let by = Server::new("new", "10.9.9.9:80").weight(7).backup();
    assert_eq!(replace(&backend, "s2", by).unwrap().get(), 2);
    let farm = backend.farm();
    let names = farm.servers().iter().map(FarmServer::name);
    assert_eq!(names.collect::<Vec<_>>(), ["s1", "new", "s3"]);
    let new = &farm.servers()[1];
    assert_eq!(new.status().admin(), AdminState::Ready);
    assert_eq!((new.configured_weight().get(), new.is_backup()), (7, true));
    assert_eq!(new.address().to_string(), "10.9.9.9:80");
    assert!(!new.has_own_id(), "it was numbered and still is");
    assert!(backend.server("s2").is_none());
}

#[test]
fn an_id_of_its_own_replaces_the_id_too() {
    let backend = backend(RoundRobin::new());
    assert_eq!(replace(&backend, "s2", server(9).id(70)).unwrap().get(), 70);
    let new = backend.server("s9").unwrap();
    assert!(new.has_own_id());
    // Both are kept when that server is replaced in its turn, and 2 is free.
    let ids = backend.update(|change| {
        let again = change.replace("s9", server(8))?;
        Ok([again, change.add(server(4))?].map(ServerId::get))
    });
    assert_eq!(ids, Ok([70, 2]));
    assert!(backend.server("s8").unwrap().has_own_id());
}

#[test]
fn sessions_go_on_and_are_counted_apart() {
    let backend = backend(FirstFree::new());
    let request = SimpleRequest::default();
    let old = backend.select(&request, Now::system()).unwrap();
    backend.set_admin_state("s1", AdminState::Drain).unwrap();
    let drained = backend.drained("s1").unwrap();
    replace(&backend, "s1", server(1)).unwrap();
    let in_flight = || backend.server("s1").unwrap().in_flight();
    assert_eq!((in_flight(), old.server().in_flight()), (0, 1));
    let new = backend.select(&request, Now::system()).unwrap();
    assert_eq!((in_flight(), drained.end()), (1, None));
    drop(old);
    assert_eq!((in_flight(), drained.end()), (1, Some(DrainEnd::Empty)));
    drop(new);
    assert_eq!(in_flight(), 0);
}

#[test]
fn those_who_wait_for_the_server_before_are_sent_back() {
    let backend: Backend = Backend::builder("be")
        .server(server(1).max_connections(1))
        .use_server("s1", Condition::always())
        .build()
        .unwrap();
    let (request, now) = (SimpleRequest::default(), Now::system());
    let _held = backend.select(&request, now).unwrap();
    let Ok(Admission::Waits(waiting)) = backend.admit(&request, now) else {
        panic!("the slot is taken");
    };
    replace(&backend, "s1", server(1).max_connections(1)).unwrap();
    let Ok(Turn::SentBack(back)) = waiting.try_take() else {
        panic!("its server has left");
    };
    let Ok(Admission::Served(selection)) = backend.readmit(back, &request, now) else {
        panic!("the new server is idle");
    };
    assert_eq!(selection.server().in_flight(), 1);
}

#[test]
fn a_rule_that_names_the_server_goes_on_with_the_new_one() {
    let backend = backend(RoundRobin::new());
    let refused = replace(&backend, "s3", server(9).id(9));
    assert!(matches!(refused, Err(UpdateError::InUse { server }) if server == "s3"));
    replace(&backend, "s3", server(9)).unwrap();
    let request = SimpleRequest::new("GET", "/third");
    let selection = backend.select(&request, Now::system()).unwrap();
    assert_eq!(selection.reason(), Reason::UseServer);
    assert_eq!(selection.server().name(), "s9");
}

#[test]
fn a_refused_replacement_changes_nothing_even_if_the_change_goes_on() {
    let backend = backend(RoundRobin::new());
    let added = backend.update(|change| {
        for (by, expected) in [
            (server(1), "two servers are named \"s1\""),
            (server(9).id(3), "both have id 3"),
            (server(9).weight(257), "expected 0 to 256"),
        ] {
            let error = change.replace("s2", by).unwrap_err();
            assert!(matches!(error, UpdateError::Invalid(_)));
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(change.replace("s9", server(9)).is_err());
        // Name and id of `s2` are still taken.
        let name = change.add(server(2)).unwrap_err();
        let name_is_taken = UpdateError::Invalid(Problem::DuplicateName { name: "s2".into() });
        assert_eq!(name, name_is_taken);
        change.add(server(4))
    });
    assert_eq!(added.unwrap().get(), 4);
    assert_eq!(backend.server("s2").unwrap().id().get(), 2);
}

/// Another server under the same id: nobody moves, nobody loses its turn.
#[test]
fn turns_and_keys_stay_with_the_place() {
    for picks in 0..8 {
        let [plain, changed] = [(); 2].map(|()| {
            let backend = backend(RoundRobin::new());
            backend.set_weight("s2", Weight::new(3).unwrap()).unwrap();
            for n in 0..picks {
                id(&backend, n);
            }
            backend
        });
        replace(&changed, "s2", server(9).weight(3)).unwrap();
        for n in 0..20 {
            assert_eq!(id(&changed, n), id(&plain, n), "after {picks}");
        }
    }
    let by_source = || backend(ConsistentHash::new(HashInput::source()));
    let (plain, changed) = (by_source(), by_source());
    replace(&changed, "s2", server(9)).unwrap();
    for n in 0..500 {
        assert_eq!(id(&changed, n), id(&plain, n));
    }
}

/// It is new to the order of loads, behind those that are as idle.
#[test]
fn the_least_loaded_order_begins_anew_with_the_server() {
    let backend = backend(LeastConnections::new());
    let request = SimpleRequest::default();
    let held: Vec<_> = (0..2)
        .map(|_| backend.select(&request, Now::system()).unwrap())
        .collect();
    replace(&backend, "s1", server(1)).unwrap();
    // `s1` had a session and has none.
    let next = [(); 2].map(|()| backend.select(&request, Now::system()).unwrap());
    let names = next.each_ref().map(|selection| selection.server().name());
    assert_eq!(names, ["s3", "s1"]);
    drop((held, next));
    for server in backend.farm().servers() {
        assert_eq!(server.in_flight(), 0);
    }
}
