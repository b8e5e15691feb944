//! Promise: servers change while requests run; each request sees one consistent farm,
//! no slot is lost, and counters and states follow the server's id.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use stickroute::{
    AdminState, Backend, Condition, ConfigWarning, ConsistentHash, CookiePolicy, HashInput,
    MapHash, Now, OperationalState, Problem, Refusal, RoundRobin, Selector, Server, SimpleRequest,
    StaticRoundRobin, UpdateError, Weight,
};

fn backend_of(selector: impl Selector + 'static) -> Backend<&'static str> {
    Backend::builder("be")
        .server(Server::new("s1", "10.0.0.1:80").cookie("c1").payload("one"))
        .server(Server::new("s2", "10.0.0.2:80").cookie("c2").payload("two"))
        .cookie(CookiePolicy::insert("SRV"))
        .balance(selector)
        .build()
        .unwrap()
}

fn named(cookie: &str) -> SimpleRequest {
    SimpleRequest::new("GET", "/").header("cookie", format!("SRV={cookie}"))
}

fn in_flight(backend: &Backend<&'static str>, server: &str) -> u32 {
    backend.server(server).unwrap().in_flight()
}

#[test]
fn slots_are_given_back_on_drop_and_counted_across_changes() {
    let backend = backend_of(RoundRobin::new());
    let selection = backend.select(&named("c1"), Now::system()).unwrap();
    assert_eq!(in_flight(&backend, "s1"), 1);
    backend
        .update(|change| {
            change.set_address("s1", "10.9.9.9:81")?;
            change.set_weight("s1", Weight::MAX)?;
            change.add(Server::new("s3", "10.0.0.3:80").payload("three"))
        })
        .map(|id| assert_eq!(id.get(), 3))
        .unwrap();
    assert_eq!(in_flight(&backend, "s1"), 1, "the counter follows the id");
    assert_eq!(selection.server().address().to_string(), "10.0.0.1:80");
    let later = backend.select(&named("c1"), Now::system()).unwrap();
    assert_eq!(later.server().address().to_string(), "10.9.9.9:81");
    assert_eq!(*later.server().payload(), "one");
    assert_eq!(in_flight(&backend, "s1"), 2);
    drop((selection, later));
    assert_eq!(in_flight(&backend, "s1"), 0);
}

#[test]
fn states_follow_the_id_when_other_servers_come_and_go() {
    let backend = backend_of(RoundRobin::new());
    backend.set_admin_state("s2", AdminState::Drain).unwrap();
    backend
        .set_operational_state("s2", OperationalState::Stopping)
        .unwrap();
    let before = backend.server("s2").unwrap().status();
    backend
        .update(|change| {
            change.remove("s1")?;
            change.add(Server::new("s0", "10.0.0.9:80").payload("zero"))
        })
        .unwrap();
    assert_eq!(backend.server("s2").unwrap().status(), before);
    assert!(backend.server("s1").is_none());
}

#[test]
fn a_refused_change_changes_nothing() {
    let backend = backend_of(StaticRoundRobin::new());
    let before = format!("{:?}", backend.farm());
    let unknown = backend.set_weight("s9", Weight::ZERO);
    assert!(matches!(unknown, Err(UpdateError::UnknownServer { found }) if found == "s9"));
    let fixed = backend.set_weight("s1", Weight::MAX);
    assert!(matches!(fixed, Err(UpdateError::StaticWeight { .. })));
    let half_done = backend.update(|change| {
        change.remove("s1")?;
        change.add(Server::new("s2", "10.0.0.3:80").payload("again"))
    });
    assert!(matches!(
        half_done,
        Err(UpdateError::Invalid(Problem::DuplicateName { .. }))
    ));
    assert_eq!(format!("{:?}", backend.farm()), before);
}

#[test]
fn a_server_that_a_rule_names_cannot_be_removed() {
    let backend: Backend = Backend::builder("be")
        .server(Server::new("s1", "10.0.0.1:80"))
        .use_server(
            "s1",
            Condition::when(|request| request.target() == b"/admin"),
        )
        .build()
        .unwrap();
    let removed = backend.update(|change| change.remove("s1"));
    assert!(matches!(removed, Err(UpdateError::InUse { server }) if server == "s1"));
}

#[test]
fn all_servers_may_leave_and_others_come() {
    let backend = backend_of(ConsistentHash::new(HashInput::source()));
    backend
        .update(|change| {
            change.remove("s1")?;
            change.remove("s2")
        })
        .unwrap();
    let nobody = backend.select(&named("c1"), Now::system()).unwrap_err();
    assert_eq!(nobody.refusal(), &Refusal::NoServer);
    backend
        .update(|change| change.add(Server::new("s7", "10.0.0.7:80").payload("seven")))
        .unwrap();
    let selection = backend.select(&named("c1"), Now::system()).unwrap();
    assert_eq!(selection.server().name(), "s7");
}

#[test]
fn dynamic_cookies_follow_address_key_and_switch() {
    let backend: Backend = Backend::builder("be")
        .server(Server::new("s1", "10.0.0.1:80"))
        .server(Server::new("s2", "10.0.0.2:80").cookie("fixed"))
        .cookie(CookiePolicy::insert("SRV").dynamic())
        .dynamic_cookie_key("key")
        .build()
        .unwrap();
    let cookie = |server: &str| {
        let id = backend.server(server).unwrap().id();
        loop {
            let selection = backend
                .select(&SimpleRequest::new("GET", "/"), Now::system())
                .unwrap();
            if selection.server().id() == id {
                return selection.server().cookie().map(<[u8]>::to_vec);
            }
        }
    };
    let first = cookie("s1").unwrap();
    assert_eq!(first.len(), 16);
    backend
        .update(|change| change.set_address("s1", "10.0.0.1:81"))
        .unwrap();
    let second = cookie("s1").unwrap();
    backend
        .update(|change| change.set_dynamic_cookie_key("other"))
        .unwrap();
    let third = cookie("s1").unwrap();
    assert!(first != second && second != third);
    let old = SimpleRequest::new("GET", "/").header("cookie", [b"SRV=", &first[..]].concat());
    let selection = backend.select(&old, Now::system()).unwrap();
    assert_eq!(selection.client_cookie(), stickroute::ClientCookie::Invalid);
    backend
        .update(|change| {
            change.set_dynamic_cookies(false);
            Ok(())
        })
        .unwrap();
    assert_eq!(cookie("s1"), None);
    assert_eq!(cookie("s2").as_deref(), Some(&b"fixed"[..]));
}

#[test]
fn two_servers_that_come_to_the_same_dynamic_cookie_are_told() {
    let backend: Backend = Backend::builder("be")
        .server(Server::new("s1", "10.0.0.1:80"))
        .server(Server::new("s2", "10.0.0.2:80"))
        .cookie(CookiePolicy::insert("SRV").dynamic())
        .dynamic_cookie_key("key")
        .build()
        .unwrap();
    assert!(backend.current_warnings().is_empty());
    backend
        .update(|change| change.set_address("s2", "10.0.0.1:80"))
        .unwrap();
    let collision = ConfigWarning::DynamicCookieCollision {
        servers: ["s1".into(), "s2".into()],
    };
    assert_eq!(backend.current_warnings(), [collision]);
    assert!(backend.warnings().is_empty(), "that was when it was built");
}

/// Two threads select while a third adds, removes, drains and reweighs.
fn stress(selector: impl Selector + 'static) {
    let backend = Arc::new(backend_of(selector));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2_u8)
        .map(|reader| {
            let (backend, done) = (Arc::clone(&backend), Arc::clone(&done));
            thread::spawn(move || {
                let mut served = 0_u32;
                for n in (0..=u8::MAX).cycle() {
                    if done.load(Ordering::Acquire) && served > 1_000 {
                        return served;
                    }
                    let source = [10, reader, n, 1].into();
                    let request = SimpleRequest::new("GET", "/").source(source);
                    let selection = backend.select(&request, Now::system()).unwrap();
                    let expected = match selection.server().name() {
                        "s1" => "one",
                        "s2" => "two",
                        _ => "more",
                    };
                    assert_eq!(*selection.server().payload(), expected);
                    served += 1;
                    if n == u8::MAX {
                        thread::yield_now();
                    }
                }
                served
            })
        })
        .collect();
    for round in 0..200_u32 {
        change_everything(&backend, round);
    }
    done.store(true, Ordering::Release);
    for reader in readers {
        assert!(reader.join().unwrap() > 1_000);
    }
    for server in backend.farm().servers() {
        assert_eq!(server.in_flight(), 0, "{}", server.name());
    }
}

/// At every moment at least one server is usable.
fn change_everything(backend: &Backend<&'static str>, round: u32) {
    let name = format!("extra{round}");
    backend
        .update(|change| change.add(Server::new(name.as_str(), "10.1.0.1:80").payload("more")))
        .unwrap();
    backend
        .set_admin_state("s1", AdminState::Maintenance)
        .unwrap();
    backend.set_weight("s2", Weight::ZERO).unwrap();
    backend.set_admin_state("s1", AdminState::Ready).unwrap();
    backend.set_weight("s2", Weight::default()).unwrap();
    backend.update(|change| change.remove(&name)).unwrap();
}

#[test]
fn requests_run_while_the_farm_changes() {
    stress(RoundRobin::new());
    stress(StaticRoundRobin::new());
    stress(ConsistentHash::new(HashInput::source()));
    stress(MapHash::new(HashInput::source()));
}
