//! Promise: stick rules look up and store what HAProxy's do, in its order.

use std::sync::Arc;
use std::time::Duration;

use stickroute::{
    AdminState, Backend, BackendBuilder, Condition, CookiePolicy, Failure, Fetch, Key, KeyType,
    Now, Problem, Reason, Redispatch, Retry, RetryPolicy, Selection, Server, ServerNaming,
    SimpleRequest, SimpleResponse, StickRule, StickTable,
};

fn at(milliseconds: u64) -> Now {
    let mono = Duration::from_millis(milliseconds);
    Now::new(mono, Duration::from_secs(1_800_000_000))
}

fn table(size: u64) -> Arc<StickTable> {
    let builder = StickTable::builder(KeyType::String(32)).size(size);
    Arc::new(builder.expire(Duration::from_secs(30)).build().unwrap())
}

fn backend() -> BackendBuilder {
    let servers = (1..=3).map(|n| Server::new(format!("s{n}"), format!("10.0.0.{n}:80")));
    Backend::builder("be").servers(servers)
}

fn get(headers: &[(&str, &str)]) -> SimpleRequest {
    headers
        .iter()
        .fold(SimpleRequest::new("GET", "/"), |request, (name, value)| {
            request.header(*name, *value)
        })
}

fn select(backend: &Backend, headers: &[(&str, &str)]) -> Selection {
    backend.select(&get(headers), at(0)).unwrap()
}

/// A whole request, answered; the server and the reason.
fn served(backend: &Backend, headers: &[(&str, &str)]) -> (String, Reason) {
    let mut selection = select(backend, headers);
    let response = SimpleResponse::new(200);
    let _ = backend.respond(&mut selection, &response, at(0));
    (selection.server().name().to_owned(), selection.reason())
}

fn server_of(table: &StickTable, key: &str) -> Option<u32> {
    let entry = table.peek(&Key::string(key.as_bytes()), at(0))?;
    Some(entry.server_id())
}

#[test]
fn a_key_is_stored_when_the_server_answers_and_not_before() {
    let table = table(10);
    let backend = backend()
        .stick_table(Arc::clone(&table))
        .stick(StickRule::on(Fetch::header("id")))
        .build()
        .unwrap();
    let mut selection = select(&backend, &[("id", "a")]);
    assert_eq!((table.len(), table.used()), (0, 1), "room is taken at once");
    let interim = SimpleResponse::new(103);
    let _ = backend.respond(&mut selection, &interim, at(0));
    assert_eq!(server_of(&table, "a"), None);
    let _ = backend.respond(&mut selection, &SimpleResponse::new(404), at(0));
    assert_eq!(server_of(&table, "a"), Some(1));
    drop(select(&backend, &[("id", "b")]));
    assert_eq!((table.len(), table.used()), (1, 1), "no answer, no entry");
    assert_eq!(
        served(&backend, &[("id", "a")]),
        ("s1".into(), Reason::StickTable)
    );
    assert_eq!(served(&backend, &[]).1, Reason::Balance, "no key, no rule");
}

#[test]
fn a_tcp_connection_is_stored_once_it_is_established() {
    let table = table(10);
    let backend = backend()
        .stick_table(Arc::clone(&table))
        .stick(StickRule::store_request(Fetch::header("id")))
        .build()
        .unwrap();
    let mut selection = select(&backend, &[("id", "a")]);
    backend.connected(&mut selection, at(0));
    assert_eq!(server_of(&table, "a"), Some(1));
}

// Observed on HAProxy 2.6.12 in TCP mode: the entry is there while the server is silent.
#[test]
fn a_connection_stores_what_response_rules_know_of_it() {
    let table = table(10);
    let backend = backend()
        .stick_table(Arc::clone(&table))
        .stick(StickRule::store_response(Fetch::response_header("id")))
        .stick(StickRule::store_response(Fetch::src()))
        .build()
        .unwrap();
    let client = SimpleRequest::default().source("192.0.2.1".parse().unwrap());
    let mut selection = backend.select(&client, at(0)).unwrap();
    backend.connected(&mut selection, at(0));
    assert_eq!(server_of(&table, "192.0.2.1"), Some(1));

    let late = SimpleResponse::new(200).header("id", "a");
    let _ = backend.respond(&mut selection, &late, at(0));
    assert_eq!(server_of(&table, "a"), None, "only the first call stores");
}

#[test]
fn of_two_rules_that_store_in_one_table_the_first_with_a_key_decides() {
    let table = table(10);
    let backend = backend()
        .stick_table(Arc::clone(&table))
        .stick(StickRule::on(Fetch::header("a")))
        .stick(StickRule::on(Fetch::header("b")))
        .build()
        .unwrap();
    assert_eq!(served(&backend, &[("b", "2")]).0, "s1");
    let both = served(&backend, &[("a", "1"), ("b", "2")]);
    assert_eq!(
        both,
        ("s2".into(), Reason::Balance),
        "b is not even looked up"
    );
    assert_eq!(server_of(&table, "1"), Some(2));
    assert_eq!(server_of(&table, "2"), Some(1));
}

#[test]
fn a_key_learned_from_a_response_is_found_in_later_requests() {
    let table = table(10);
    let backend = backend()
        .stick_table(Arc::clone(&table))
        .stick(StickRule::matching(Fetch::header("session")))
        .stick(
            StickRule::store_response(Fetch::response_header("session"))
                .when_response(|response| response.status() == 200),
        )
        .build()
        .unwrap();
    for (status, learned) in [(500, None), (200, Some(2))] {
        let mut selection = select(&backend, &[]);
        let response = SimpleResponse::new(status).header("Session", "x1");
        let _ = backend.respond(&mut selection, &response, at(0));
        assert_eq!(server_of(&table, "x1"), learned);
    }
    assert_eq!(
        served(&backend, &[("session", "x1")]),
        ("s2".into(), Reason::StickTable)
    );
}

#[test]
fn a_cookie_wins_and_the_table_is_rewritten_with_its_server() {
    let table = table(10);
    let servers = (1..=2)
        .map(|n| Server::new(format!("s{n}"), format!("10.0.0.{n}:80")).cookie(format!("c{n}")));
    let backend: Backend = Backend::builder("be")
        .servers(servers)
        .cookie(CookiePolicy::insert("SRV"))
        .stick_table(Arc::clone(&table))
        .stick(StickRule::on(Fetch::header("id")))
        .build()
        .unwrap();
    assert_eq!(served(&backend, &[("id", "a")]).0, "s1");
    let by_cookie = served(&backend, &[("id", "a"), ("cookie", "SRV=c2")]);
    assert_eq!(by_cookie, ("s2".into(), Reason::Cookie));
    assert_eq!(server_of(&table, "a"), Some(2));
    // A client placed by the table gets no cookie.
    let mut selection = select(&backend, &[("id", "a")]);
    let edits = backend.respond(&mut selection, &SimpleResponse::new(200), at(0));
    assert_eq!(
        (selection.reason(), edits.set_cookie()),
        (Reason::StickTable, None)
    );
}

#[test]
fn drained_servers_keep_their_keys_and_stopped_ones_do_not() {
    let table = table(10);
    let rules = || {
        backend()
            .stick_table(Arc::clone(&table))
            .stick(StickRule::on(Fetch::header("id")))
    };
    let backend = rules().build().unwrap();
    assert_eq!(served(&backend, &[("id", "a")]).0, "s1");
    backend.set_admin_state("s1", AdminState::Drain).unwrap();
    assert_eq!(served(&backend, &[("id", "a")]).1, Reason::StickTable);
    backend
        .set_admin_state("s1", AdminState::Maintenance)
        .unwrap();
    assert_eq!(
        served(&backend, &[("id", "a")]),
        ("s2".into(), Reason::Balance)
    );
    backend.set_admin_state("s1", AdminState::Ready).unwrap();
    assert_eq!(
        served(&backend, &[("id", "a")]).0,
        "s2",
        "it was moved for good"
    );
    let insists = rules().persist().build().unwrap();
    insists
        .set_admin_state("s2", AdminState::Maintenance)
        .unwrap();
    assert_eq!(
        served(&insists, &[("id", "a")]),
        ("s2".into(), Reason::StickTable)
    );
}

#[test]
fn a_redispatch_moves_the_key_to_the_server_that_answers() {
    let table = table(10);
    let backend = backend()
        .stick_table(Arc::clone(&table))
        .stick(StickRule::on(Fetch::header("id")))
        .retry(RetryPolicy::new(1).redispatch(Redispatch::Interval(1)))
        .build()
        .unwrap();
    assert_eq!(served(&backend, &[("id", "a")]).0, "s1");
    let request = get(&[("id", "a")]);
    let selection = backend.select(&request, at(0)).unwrap();
    let retry = backend.redispatch(selection, &request, Failure::Refused, at(0));
    let Retry::Other { mut selection, .. } = retry else {
        panic!("{retry:?}");
    };
    assert_eq!(server_of(&table, "a"), Some(1));
    let _ = backend.respond(&mut selection, &SimpleResponse::new(200), at(0));
    assert_eq!(server_of(&table, "a"), Some(selection.server().id().get()));
    assert_ne!(selection.server().name(), "s1");
}

#[test]
fn a_shared_table_means_servers_by_name_then_by_id() {
    let table = table(10);
    let rule = || StickRule::on(Fetch::header("id")).table(Arc::clone(&table));
    let first = backend().stick(rule()).build().unwrap();
    assert_eq!(served(&first, &[("id", "a")]).0, "s1");
    let other_order: Backend = Backend::builder("other")
        .server(Server::new("x", "10.1.0.1:80"))
        .server(Server::new("s1", "10.1.0.2:80"))
        .stick(rule())
        .build()
        .unwrap();
    assert_eq!(served(&other_order, &[("id", "a")]).0, "s1");
    let other_names: Backend = Backend::builder("another")
        .server(Server::new("y1", "10.2.0.1:80"))
        .server(Server::new("y2", "10.2.0.2:80"))
        .stick(StickRule::matching(Fetch::header("id")).table(Arc::clone(&table)))
        .build()
        .unwrap();
    assert_eq!(
        served(&other_names, &[("id", "a")]).0,
        "y2",
        "s1 has id 2 by now"
    );
}

#[test]
fn a_table_can_follow_addresses_instead_of_names() {
    let builder = StickTable::builder(KeyType::String(32)).size(10);
    let table = builder.servers_named_by(ServerNaming::Address).build();
    let table = Arc::new(table.unwrap());
    let backend = backend()
        .stick_table(Arc::clone(&table))
        .stick(StickRule::on(Fetch::header("id")))
        .build()
        .unwrap();
    assert_eq!(served(&backend, &[("id", "a")]).0, "s1");
    let entry = table.peek(&Key::string(b"a"), at(0)).unwrap();
    assert_eq!(entry.server_key(), Some("10.0.0.1:80"));
    backend
        .update(|change| {
            change.set_address("s1", "10.0.0.2:80")?;
            change.set_address("s2", "10.0.0.1:80")
        })
        .unwrap();
    assert_eq!(
        served(&backend, &[("id", "a")]).0,
        "s2",
        "the process moved"
    );
}

#[test]
fn a_server_can_be_kept_out_of_the_table() {
    let table = table(10);
    let backend: Backend = Backend::builder("be")
        .server(Server::new("s1", "10.0.0.1:80").non_stick())
        .stick_table(Arc::clone(&table))
        .stick(StickRule::on(Fetch::header("id")))
        .build()
        .unwrap();
    assert_eq!(served(&backend, &[("id", "a")]).0, "s1");
    assert_eq!((table.len(), table.used()), (0, 0));
}

#[test]
fn at_most_eight_keys_a_request_are_remembered() {
    let tables: Vec<_> = (0..10).map(|_| table(10)).collect();
    let rules = tables
        .iter()
        .map(|table| StickRule::on(Fetch::header("id")).table(Arc::clone(table)));
    let backend = rules
        .fold(backend(), BackendBuilder::stick)
        .build()
        .unwrap();
    assert_eq!(served(&backend, &[("id", "a")]).0, "s1");
    let stored = tables.iter().filter(|table| table.len() == 1).count();
    assert_eq!(stored, 8);
}

#[test]
fn rules_that_cannot_work_are_refused() {
    let header = || Fetch::header("id");
    let refused = |rule| {
        let error = backend().stick_table(ip_table()).stick(rule).build();
        error.unwrap_err().problems().to_vec()
    };
    let none = backend()
        .stick(StickRule::on(header()))
        .build()
        .unwrap_err();
    assert!(matches!(none.problems(), [Problem::NoStickTable { .. }]));
    let early = refused(StickRule::on(Fetch::response_header("id")));
    assert!(matches!(early[..], [Problem::StickKeyMoment { .. }]));
    let late = refused(StickRule::store_response(header()));
    assert!(matches!(late[..], [Problem::StickKeyMoment { .. }]));
    let typed = refused(StickRule::on(Fetch::method()));
    assert!(matches!(typed[..], [Problem::StickKeyType { .. }]));
    let question = StickRule::on(Fetch::src()).when_response(|_| true);
    assert!(matches!(
        refused(question)[..],
        [Problem::StickCondition { .. }]
    ));
    let get = Condition::when(|request| request.method() == b"GET");
    let gone = StickRule::store_response(Fetch::response_header("id")).when(get);
    assert!(matches!(
        refused(gone)[..],
        [Problem::StickCondition { .. }]
    ));
}

fn ip_table() -> Arc<StickTable> {
    Arc::new(StickTable::builder(KeyType::Ip).size(10).build().unwrap())
}

// Observed on HAProxy 2.6.12, with `stick on cook(SRV)` and `balance hdr(cookie)`.
#[test]
fn rules_behind_the_cookie_see_it_as_the_server_will() {
    let (hidden, bare) = (table(10), table(10));
    let indirect = backend()
        .cookie(CookiePolicy::insert("SRV").indirect())
        .stick_table(Arc::clone(&hidden))
        .stick(StickRule::on(Fetch::cookie("SRV")))
        .stick(StickRule::on(Fetch::cookie("lang")))
        .build()
        .unwrap();
    served(&indirect, &[("Cookie", "SRV=s2; lang=en")]);
    assert_eq!(server_of(&hidden, "s2"), None);
    assert_eq!(server_of(&hidden, "en"), Some(1));

    let named = Server::new("s4", "10.0.0.4:80").cookie("c4");
    let prefix = backend()
        .server(named)
        .cookie(CookiePolicy::prefix("sid"))
        .use_server(
            "s2",
            Condition::when(|request| {
                let mut is_whole = false;
                request.visit_headers("cookie", &mut |value| {
                    is_whole = value == b"sid=c4~two";
                    std::ops::ControlFlow::Continue(())
                });
                is_whole
            }),
        )
        .stick_table(Arc::clone(&bare))
        .stick(StickRule::on(Fetch::cookie("sid")))
        .build()
        .unwrap();
    served(&prefix, &[("Cookie", "sid=c4~one")]);
    assert_eq!(server_of(&bare, "one"), Some(4));
    served(&prefix, &[("Cookie", "sid=c4~two")]);
    assert_eq!(server_of(&bare, "two"), Some(2), "before the cookie");
}

#[test]
fn rules_of_the_proxy_stand_between_what_is_learned_and_the_cookies() {
    let table = table(10);
    let backend = backend()
        .cookie(CookiePolicy::insert("SRV"))
        .server(Server::new("s4", "10.0.0.4:80").cookie("c4"))
        .use_server("s4", Condition::always())
        .stick_table(Arc::clone(&table))
        .stick(StickRule::store_response(Fetch::response_header("id")))
        .build()
        .unwrap();
    let mut selection = select(&backend, &[]);
    let sent = |id, cookie| {
        let response = SimpleResponse::new(200).header("id", id);
        response.header("Set-Cookie", cookie)
    };
    backend.answered(&mut selection, &SimpleResponse::new(103), at(0));
    backend.answered(&mut selection, &sent("theirs", "SRV=own"), at(0));
    assert_eq!(selection.response_cookie().letter(), 'N');
    let edits = backend.respond(&mut selection, &sent("changed", "other=1"), at(0));
    assert_eq!(edits.set_cookie_fields(), &[], "the rules left another one");
    assert_eq!(server_of(&table, "theirs"), Some(4));
    assert_eq!(server_of(&table, "changed"), None);
}
