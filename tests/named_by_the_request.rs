//! Promise: a request that names its server, by a name made of it or by an RDP cookie, gets
//! that server wherever HAProxy would. All of it was observed on HAProxy 2.6.12.
#![cfg(feature = "haproxy")]

use stickroute::haproxy::{Configuration, Routing};
use stickroute::{AdminState, Backend, Now, OperationalState, Reason, Selection, SimpleRequest};

fn routing(lines: &str) -> Routing {
    let text = format!(
        "backend be\n balance first\n{lines}\n server s1 127.0.0.1:20211\n \
         server s2 127.0.0.1:20212\n server s3 127.0.0.1:20213\n"
    );
    Configuration::parse("f", text).unwrap().build().unwrap()
}

fn backend(routing: &Routing) -> &Backend {
    routing.backend("be").unwrap()
}

fn select(routing: &Routing, request: &SimpleRequest) -> Selection {
    backend(routing).select(request, Now::system()).unwrap()
}

fn name(selection: &Selection) -> &str {
    selection.server().name()
}

const NAMES: &str = " use-server %[hdr(x)] if { hdr(x) -m found }\n use-server s2 if { path /two }";

/// The server of a request with this path and this `X`.
fn named(routing: &Routing, path: &str, x: &str) -> String {
    let request = SimpleRequest::new("GET", path).header("X", x.to_owned());
    name(&select(routing, &request)).to_owned()
}

#[test]
fn a_made_name_is_that_of_a_server_or_ends_the_rules() {
    let routing = routing(NAMES);
    let without = SimpleRequest::new("GET", "/two");
    assert_eq!(name(&select(&routing, &without)), "s2");
    for (x, path, expected) in [
        ("s3", "/", "s3"),
        ("s3", "/two", "s3"),
        (" s3 ", "/two", "s3"),
        ("s3,s2", "/", "s2"),
        ("nope", "/two", "s1"),
        ("", "/two", "s1"),
        ("S3", "/two", "s1"),
        ("#3", "/two", "s1"),
        ("3", "/two", "s1"),
    ] {
        assert_eq!(named(&routing, path, x), expected, "{x:?} {path}");
    }
}

#[test]
fn a_made_name_of_a_server_that_is_down_leaves_it_to_the_next_rule() {
    let routing = routing(NAMES);
    let set = |state| backend(&routing).set_admin_state("s3", state).unwrap();
    set(AdminState::Maintenance);
    assert_eq!(named(&routing, "/two", "s3"), "s2");
    assert_eq!(named(&routing, "/", "s3"), "s1");
    set(AdminState::Drain);
    assert_eq!(named(&routing, "/two", "s3"), "s3");
}

#[test]
fn a_server_that_could_be_named_may_leave() {
    let routing = routing(NAMES);
    let backend = backend(&routing);
    backend.update(|change| change.remove("s3")).unwrap();
    assert_eq!(named(&routing, "/two", "s3"), "s1");
    assert!(backend.update(|change| change.remove("s2")).is_err());
}

#[test]
fn what_no_request_can_name_is_refused() {
    for (rule, expected) in [
        ("%[status] if TRUE", "expected samples of the request"),
        ("%[nothing] if TRUE", "there is no fetch"),
        ("%ci if TRUE", "%"),
    ] {
        let text = format!("backend be\n use-server {rule}\n server s1 10.0.0.1:80");
        let built = Configuration::parse("f", text).map(|it| it.build().map(drop));
        let error = match built {
            Ok(Ok(())) => panic!("{rule} is accepted"),
            Ok(Err(error)) | Err(error) => error.to_string(),
        };
        assert!(error.contains("f:2:13"), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

/// The first bytes of an RDP client with a cookie.
fn rdp(cookie: &str) -> SimpleRequest {
    let cookie = format!("Cookie: {cookie}\r\n");
    let length = 11 + cookie.len() as u8;
    let headers = [3, 0, 0, length, length - 5, 0xe0, 0, 0, 0, 0, 0];
    SimpleRequest::default().payload([&headers, cookie.as_bytes()].concat())
}

/// That of `s3`.
const TOKEN: &str = "16777343.62798.0000";

fn by_token(routing: &Routing, cookie: &str) -> (String, Reason) {
    let selection = select(routing, &rdp(&format!("{cookie}={TOKEN}")));
    (name(&selection).to_owned(), selection.reason())
}

#[test]
fn an_rdp_cookie_names_a_server_by_its_address() {
    let routing_default = routing(" persist rdp-cookie");
    let s3 = ("s3".to_owned(), Reason::RdpCookie);
    let s1 = ("s1".to_owned(), Reason::Balance);
    assert_eq!(by_token(&routing_default, "msts"), s3);
    assert_eq!(by_token(&routing_default, "MSTS"), s3);
    assert_eq!(by_token(&routing_default, "mstshash"), s1);
    let other = routing(" persist rdp-cookie(foo)");
    assert_eq!(by_token(&other, "foo"), s3);
    assert_eq!(by_token(&other, "msts"), s1);
    let nowhere = select(&routing_default, &rdp("msts=16777343.0.0000"));
    assert_eq!(nowhere.reason(), Reason::Balance);
    let http = select(&routing_default, &SimpleRequest::new("GET", "/"));
    assert_eq!(http.reason(), Reason::Balance);
}

#[test]
fn an_rdp_cookie_is_followed_as_far_as_the_server_is_up() {
    // The rule about persistence does not matter to it.
    for (lines, when_down) in [
        (" persist rdp-cookie", "s1"),
        (" persist rdp-cookie\n option persist", "s3"),
        (" persist rdp-cookie\n force-persist if TRUE", "s1"),
    ] {
        let routing = routing(lines);
        let backend = backend(&routing);
        backend.set_admin_state("s3", AdminState::Drain).unwrap();
        assert_eq!(by_token(&routing, "msts").0, "s3");
        backend.set_admin_state("s3", AdminState::Ready).unwrap();
        let down = OperationalState::Stopped;
        backend.set_operational_state("s3", down).unwrap();
        assert_eq!(by_token(&routing, "msts").0, when_down, "{lines}");
    }
    let ignoring = routing(" persist rdp-cookie\n ignore-persist if TRUE");
    assert_eq!(by_token(&ignoring, "msts").0, "s3");
}

#[test]
fn an_rdp_cookie_stands_between_rules_and_tables() {
    let ruled = routing(" persist rdp-cookie\n use-server s2 if TRUE");
    assert_eq!(by_token(&ruled, "msts").0, "s2");
    let lines = " persist rdp-cookie\n stick-table type string size 10\n \
                 stick on req.rdp_cookie(msts)";
    let stuck = routing(lines);
    let runtime = stuck.runtime(Now::system());
    let line = format!("set table be key {TOKEN} data.server_id 2");
    let _ = runtime.answer(line.as_bytes(), Now::system());
    let mut selection = select(&stuck, &rdp(&format!("msts={TOKEN}")));
    assert_eq!(name(&selection), "s3");
    backend(&stuck).connected(&mut selection, Now::system());
    let table = runtime.answer(b"show table be", Now::system()).into_text();
    assert!(table.contains("server_id=3 "), "{table}");
}

#[test]
fn wrong_words_of_persist_are_refused() {
    for words in [
        "rdp-cookie()",
        "rdp-cookie(",
        "rdp-cookiex",
        "rdp",
        "rdp-cookie(a)b",
        "",
    ] {
        let text = format!("backend be\n persist {words}\n server s1 10.0.0.1:80");
        let error = Configuration::parse("f", text).unwrap_err().to_string();
        assert!(error.contains("expected rdp-cookie"), "{error}");
    }
}
