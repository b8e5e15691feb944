//! Promise: who may serve what, cell by cell, as HAProxy does it.
//!
//! One server named by the client's cookie, beside one that is always up. For every
//! state of the first, with and without `option persist`, `force-persist` and
//! `option redispatch`: who serves a client with the cookie, what the cookie's state
//! is, and who serves a client without one.

use stickroute::ClientCookie::{self, Down, Invalid, Valid};
use stickroute::{
    AdminState, Backend, BackendBuilder, Condition, CookiePolicy, Now, OperationalState, Reason,
    Redispatch, RetryPolicy, Selection, Server, SimpleRequest, Weight,
};

type Change = fn(&Backend);

/// A state, how to get there, and whether persisted and new sessions are served.
const STATES: [(&str, Change, bool, bool); 12] = [
    ("up", |_| (), true, true),
    (
        "starting",
        |b| health(b, OperationalState::Starting),
        true,
        true,
    ),
    ("weight 0", |b| weight(b, 0), true, false),
    ("drain", |b| admin(b, AdminState::Drain), true, false),
    (
        "stopping",
        |b| health(b, OperationalState::Stopping),
        true,
        false,
    ),
    (
        "down",
        |b| health(b, OperationalState::Stopped),
        false,
        false,
    ),
    (
        "maintenance",
        |b| admin(b, AdminState::Maintenance),
        false,
        false,
    ),
    (
        "drain while stopping",
        |b| {
            health(b, OperationalState::Stopping);
            admin(b, AdminState::Drain);
        },
        true,
        false,
    ),
    (
        "drain while down",
        |b| {
            health(b, OperationalState::Stopped);
            admin(b, AdminState::Drain);
        },
        false,
        false,
    ),
    (
        "weight 0 while down",
        |b| {
            weight(b, 0);
            health(b, OperationalState::Stopped);
        },
        false,
        false,
    ),
    (
        "ready after maintenance while down",
        |b| {
            health(b, OperationalState::Stopped);
            admin(b, AdminState::Maintenance);
            admin(b, AdminState::Ready);
        },
        true,
        true,
    ),
    (
        "drain after maintenance while down",
        |b| {
            health(b, OperationalState::Stopped);
            admin(b, AdminState::Maintenance);
            admin(b, AdminState::Drain);
        },
        true,
        false,
    ),
];

fn health(backend: &Backend, state: OperationalState) {
    backend.set_operational_state("s1", state).unwrap();
}

fn admin(backend: &Backend, state: AdminState) {
    backend.set_admin_state("s1", state).unwrap();
}

fn weight(backend: &Backend, weight: u32) {
    backend
        .set_weight("s1", Weight::new(weight).unwrap())
        .unwrap();
}

fn backend() -> BackendBuilder {
    Backend::builder("be")
        .server(Server::new("s1", "10.0.0.1:80").cookie("c1"))
        .server(Server::new("s2", "10.0.0.2:80").cookie("c2"))
        .cookie(CookiePolicy::insert("SRV"))
}

fn select(backend: &Backend, cookie: &str) -> Selection {
    let request = SimpleRequest::new("GET", "/").header("Cookie", cookie);
    backend.select(&request, Now::system()).unwrap()
}

/// Four requests without persistence reach `s1` if and only if it is in the rotation.
fn serves_new(backend: &Backend) -> bool {
    let servers = (0..4).map(|_| select(backend, "").server().name().to_owned());
    let names: Vec<_> = servers.collect();
    names.iter().any(|name| name == "s1")
}

#[test]
fn without_options_and_with_redispatch() {
    let redispatch = RetryPolicy::new(3).redispatch(Redispatch::LAST_RETRY);
    for (state, change, persisted, new) in STATES {
        for builder in [backend(), backend().retry(redispatch)] {
            let backend = builder.build().unwrap();
            change(&backend);
            let selection = select(&backend, "SRV=c1");
            let expected = if persisted {
                ("s1", Valid, Reason::Cookie)
            } else {
                ("s2", Down, Reason::Balance)
            };
            assert_eq!(summary(&selection), expected, "{state}");
            assert_eq!(serves_new(&backend), new, "{state}");
        }
    }
}

#[test]
fn with_persist_and_force_persist_the_named_server_is_used_even_when_down() {
    let persist = || backend().persist();
    let force = || backend().force_persist(Condition::always());
    for (state, change, persisted, new) in STATES {
        for builder in [persist(), force()] {
            let backend = builder.build().unwrap();
            change(&backend);
            let cookie = if persisted { Valid } else { Down };
            let selection = select(&backend, "SRV=c1");
            assert_eq!(
                summary(&selection),
                ("s1", cookie, Reason::Cookie),
                "{state}"
            );
            assert_eq!(serves_new(&backend), new, "{state}");
        }
    }
}

#[test]
fn use_server_and_lookups_follow_the_same_rule() {
    for (state, change, persisted, _) in STATES {
        let rule = backend().use_server("s1", Condition::always());
        let rule = rule.build().unwrap();
        let id = rule.server("s1").unwrap().id();
        let lookup = backend().lookup(move |_| Some(id)).build().unwrap();
        for (backend, reason) in [(&rule, Reason::UseServer), (&lookup, Reason::Lookup)] {
            change(backend);
            let selection = select(backend, "");
            let by_rule = (selection.server().name(), selection.reason()) == ("s1", reason);
            assert_eq!(by_rule, persisted, "{state}");
        }
    }
}

#[test]
fn backups_and_servers_without_identifier() {
    let backend: Backend = Backend::builder("be")
        .server(Server::new("s1", "10.0.0.1:80"))
        .server(Server::new("spare", "10.0.0.2:80").cookie("cb").backup())
        .cookie(CookiePolicy::insert("SRV"))
        .build()
        .unwrap();
    let named = select(&backend, "SRV=cb");
    assert_eq!(summary(&named), ("spare", Valid, Reason::Cookie));
    for cookie in ["SRV=", "SRV=nobody", "SRV=s1"] {
        let unknown = select(&backend, cookie);
        assert_eq!(summary(&unknown), ("s1", Invalid, Reason::Balance));
    }
}

#[test]
fn when_everything_is_drained_only_known_clients_are_served() {
    let backend = backend().build().unwrap();
    for server in ["s1", "s2"] {
        backend.set_admin_state(server, AdminState::Drain).unwrap();
    }
    assert_eq!(select(&backend, "SRV=c1").server().name(), "s1");
    let stranger = SimpleRequest::new("GET", "/");
    let error = backend.select(&stranger, Now::system()).unwrap_err();
    assert_eq!(error.refusal(), &stickroute::Refusal::NoServer);
}

fn summary(selection: &Selection) -> (&str, ClientCookie, Reason) {
    (
        selection.server().name(),
        selection.client_cookie(),
        selection.reason(),
    )
}
