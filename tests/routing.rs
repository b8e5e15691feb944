//! Promise: a configuration put into service routes as its lines say, and what it cannot
//! do is refused with its place.

use std::time::Duration;

use stickroute::haproxy::{Configuration, ConfigurationReader, Routing};
use stickroute::{
    Condition, DataKind, Fetch, Key, Now, Reason, SimpleRequest, SimpleResponse, StickRule,
};

const DEFAULTS: &str =
    "defaults\n mode http\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n";

fn routing(sections: &str) -> Routing {
    configuration(sections).build().unwrap()
}

fn configuration(sections: &str) -> Configuration {
    Configuration::parse("f", format!("{DEFAULTS}{sections}")).unwrap()
}

/// The only error, when it is read or built.
fn refusal(sections: &str) -> String {
    let read = Configuration::parse("f", format!("{DEFAULTS}{sections}"));
    let error = read.and_then(|read| read.build()).expect_err(sections);
    let errors: Vec<_> = error.errors().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.into_iter().next().unwrap()
}

fn get(target: &str, source: &str) -> SimpleRequest {
    SimpleRequest::new("GET", target).source(source.parse().unwrap())
}

/// Sends a request through a frontend and answers it: the server and the reason.
fn send(routing: &Routing, frontend: &str, request: &SimpleRequest) -> (String, Reason) {
    let name = routing.frontend(frontend).unwrap().route(request).unwrap();
    let backend = routing.backend(name).unwrap();
    let mut selection = backend.select(request, Now::system()).unwrap();
    let response = SimpleResponse::new(200).header("X-Sess", selection.server().name());
    let _ = backend.respond(&mut selection, &response, Now::system());
    (selection.server().name().to_owned(), selection.reason())
}

fn server(routing: &Routing, request: &SimpleRequest) -> String {
    send(routing, "fe", request).0
}

/// Backends of one server each, named like them.
fn sections(names: &[&str]) -> String {
    let section = |name: &&str| format!("backend {name}\n server {name} 10.0.0.1:80\n");
    names.iter().map(section).collect()
}

const TWO_SERVERS: &str = " server s1 10.0.0.1:80\n server s2 10.0.0.2:80\n";

#[test]
fn conditions_and_formats_choose_the_backend() {
    let front = "frontend fe\n bind :80\n acl img path_beg /img\n \
        use_backend img if img !METH_POST\n \
        use_backend be-%[hdr(x-shard)] if { hdr(x-shard) -m found }\n \
        use_backend late unless { path_len lt 9 }\n acl img path_end .png\n \
        default_backend app\n";
    let backends = sections(&["img", "app", "be-2", "late"]);
    let routing = routing(&format!("{front}{backends}"));
    let get = |target| get(target, "192.0.2.1");
    assert_eq!(server(&routing, &get("/img/a")), "img");
    // Later lines of an ACL count for the rules before them, too.
    assert_eq!(server(&routing, &get("/a.png")), "img");
    assert_eq!(server(&routing, &get("/")), "app");
    assert_eq!(server(&routing, &get("/quite/long")), "late");
    assert_eq!(
        server(&routing, &get("/quite/long").header("X-Shard", "2")),
        "be-2"
    );
    // The rule held, so those behind it are not tried.
    assert_eq!(
        server(&routing, &get("/quite/long").header("X-Shard", "3")),
        "app"
    );
}

#[test]
fn a_listen_section_is_its_own_backend_and_circles_end() {
    let circle = "listen a\n bind :80\n use_backend b if { path /b }\n server a 10.0.0.1:80\n\
        listen b\n bind :81\n default_backend a\n server b 10.0.0.2:80\n";
    let routing = routing(circle);
    for (frontend, target, expected) in [("a", "/", "a"), ("a", "/b", "b"), ("b", "/", "a")] {
        let (server, _) = send(&routing, frontend, &get(target, "192.0.2.1"));
        assert_eq!(server, expected, "{frontend} {target}");
    }
    let own = "listen a\n bind :80\n default_backend a\n server a 10.0.0.1:80\n";
    assert!(refusal(own).contains("leads back to its own section"));
}

#[test]
fn a_request_in_mode_http_has_no_backend_in_mode_tcp() {
    let front = "frontend fe\n bind :80\n use_backend %[path,field(2,/)]\n default_backend web\n";
    let tcp = "backend raw\n mode tcp\n server s 10.0.0.1:80\n";
    let routing = routing(&format!("{front}{tcp}{}", sections(&["web"])));
    let route = |target| {
        let frontend = routing.frontend("fe").unwrap();
        frontend.route(&get(target, "192.0.2.1")).map(str::to_owned)
    };
    assert_eq!(route("/web").as_deref(), Some("web"));
    assert_eq!(route("/nobody").as_deref(), Some("web"));
    assert_eq!(route("/raw"), None);
}

#[test]
fn stick_rules_learn_in_the_tables_of_the_configuration() {
    let routing = routing(&format!(
        "peers p\n peer a 127.0.0.1:1024\n table t type string len 8 size 10\n\
         frontend fe\n bind :80\n default_backend be\n\
         backend be\n stick match url_param(s) table p/t\n \
         stick store-response res.hdr(x-sess) table p/t if {{ status 200 }}\n \
         stick on src if {{ path_beg /src }}\n stick-table type ip size 2 expire 5s\n{TWO_SERVERS}"
    ));
    assert_eq!(
        send(&routing, "fe", &get("/", "192.0.2.1")),
        ("s1".into(), Reason::Balance)
    );
    // Learned from the response, then found by the parameter.
    assert_eq!(
        send(&routing, "fe", &get("/?s=s1", "192.0.2.1")),
        ("s1".into(), Reason::StickTable)
    );
    assert_eq!(
        send(&routing, "fe", &get("/src", "192.0.2.2")),
        ("s2".into(), Reason::Balance)
    );
    assert_eq!(
        send(&routing, "fe", &get("/src", "192.0.2.2")),
        ("s2".into(), Reason::StickTable)
    );
    let names: Vec<_> = routing
        .tables()
        .map(|(name, table)| (name, table.len()))
        .collect();
    assert_eq!(names, [("p/t", 2), ("be", 1)]);
    let answer = routing
        .runtime(Now::system())
        .answer(b"show table p/t", Now::system());
    let lines: Vec<_> = answer.text().lines().collect();
    assert_eq!(lines[0], "# table: p/t, type: string, size:10, used:2");
    assert!(lines[1].contains("key=s1 ") && lines[1].ends_with("server_id=1 server_key=s1"));
}

#[test]
fn what_is_stored_at_the_response_may_depend_on_the_connection() {
    let routing = routing(&format!(
        "frontend fe\n bind :80\n default_backend be\n\
         backend be\n stick-table type ip size 9\n acl inside src 10.0.0.0/8\n \
         stick store-response src if inside {{ status 200 }} !METH_POST\n{TWO_SERVERS}"
    ));
    let post = SimpleRequest::new("POST", "/").source("10.0.0.2".parse().unwrap());
    for request in [get("/", "10.0.0.1"), get("/", "192.0.2.1"), post] {
        send(&routing, "fe", &request);
    }
    let entries = routing.table("be").unwrap().entries(Now::system());
    let keys: Vec<_> = entries.iter().map(|entry| entry.key.to_string()).collect();
    assert_eq!(keys, ["10.0.0.1"]);
}

#[test]
fn a_table_is_shared_by_all_whose_rules_name_it() {
    let routing = routing(&format!(
        "frontend fe\n bind :80\n use_backend b2 if {{ path_beg /b }}\n default_backend b1\n\
         backend b1\n stick-table type ip size 10\n stick on src\n{TWO_SERVERS}\
         backend b2\n stick on src table b1\n{TWO_SERVERS}"
    ));
    let (first, other) = (get("/", "192.0.2.1"), get("/", "192.0.2.2"));
    assert_eq!(server(&routing, &first), "s1");
    assert_eq!(server(&routing, &other), "s2");
    let moved = send(&routing, "fe", &get("/b", "192.0.2.2"));
    assert_eq!(moved, ("s2".into(), Reason::StickTable));
    assert_eq!(routing.tables().count(), 1);
}

#[test]
fn use_server_and_persist_rules_take_their_conditions() {
    let routing = routing(
        "frontend fe\n bind :80\n default_backend be\n\
         backend be\n cookie C insert\n use-server s2 if { path /two }\n \
         ignore-persist if { path_beg /static }\n force-persist if { path_beg /adm }\n \
         server s1 10.0.0.1:80 cookie c1\n server s2 10.0.0.2:80 cookie c2\n \
         server s3 10.0.0.3:80 cookie c3 disabled\n",
    );
    let with = |target, cookie| get(target, "192.0.2.1").header("Cookie", format!("C={cookie}"));
    assert_eq!(
        send(&routing, "fe", &with("/two", "c1")),
        ("s2".into(), Reason::UseServer)
    );
    assert_eq!(
        send(&routing, "fe", &with("/", "c2")),
        ("s2".into(), Reason::Cookie)
    );
    assert_eq!(
        send(&routing, "fe", &with("/static", "c2")).1,
        Reason::Balance
    );
    assert_eq!(send(&routing, "fe", &with("/", "c3")).1, Reason::Balance);
    assert_eq!(
        send(&routing, "fe", &with("/adm", "c3")),
        ("s3".into(), Reason::Cookie)
    );
}

#[test]
fn servers_that_are_not_to_stick_are_not_learned() {
    let routing = routing(
        "frontend fe\n bind :80\n default_backend be\n\
         backend be\n stick-table type ip size 10\n stick on src\n \
         server s1 10.0.0.1:80 non-stick\n server s2 10.0.0.2:80\n",
    );
    let request = get("/", "192.0.2.1");
    let picked: Vec<_> = (0..3).map(|_| send(&routing, "fe", &request)).collect();
    assert_eq!(picked[0], ("s1".into(), Reason::Balance));
    assert_eq!(picked[1], ("s2".into(), Reason::Balance));
    assert_eq!(picked[2], ("s2".into(), Reason::StickTable));
}

#[test]
fn payloads_and_adjustments_are_the_callers() {
    let configuration = configuration(&format!(
        "frontend fe\n bind :80\n default_backend be\nbackend be\n \
         stick-table type string len 8 size 9\n{TWO_SERVERS}"
    ));
    let routing = configuration
        .routing()
        .payload(|proxy, line| format!("{}/{}", proxy.name.value, line.name))
        .adjust(|_, builder| {
            let body = Fetch::custom("body", |request| Some(request.payload().into()));
            let rule = StickRule::on(body).when(Condition::when(|it| it.method() == b"POST"));
            builder.stick(rule)
        })
        .build()
        .unwrap();
    let backend = routing.backend("be").unwrap();
    let post = |body: &str| SimpleRequest::new("POST", "/").payload(body.to_owned());
    let mut servers = Vec::new();
    for body in ["a", "b", "a", "b"] {
        let mut selection = backend.select(&post(body), Now::system()).unwrap();
        let _ = backend.respond(&mut selection, &SimpleResponse::new(200), Now::system());
        servers.push(selection.server().payload().clone());
    }
    assert_eq!(servers, ["be/s1", "be/s2", "be/s1", "be/s2"]);
}

#[test]
fn sections_have_the_numbers_that_haproxy_gives_them() {
    let sections = "frontend fe\nbackend one\n id 2\n server s 10.0.0.1:80\n\
        backend two\n server s 10.0.0.1:80\nbackend none\n";
    let numbers = |configuration: Configuration| -> Vec<String> {
        let routing = configuration.build().unwrap();
        let answer = routing
            .runtime(Now::system())
            .answer(b"show servers state", Now::system());
        let lines = answer
            .text()
            .lines()
            .skip(2)
            .filter(|line| !line.is_empty());
        lines
            .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
            .collect()
    };
    assert_eq!(numbers(configuration(sections)), ["2 one", "3 two"]);
    let socket = format!("global\n stats socket /tmp/s\n{DEFAULTS}{sections}");
    let read = ConfigurationReader::new().file("f", socket).read().unwrap();
    assert_eq!(numbers(read), ["2 one", "4 two"]);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let backend = |lines: &str| format!("backend be\n{lines}\n server s1 10.0.0.1:80\n");
    for (lines, expected) in [
        (
            " stick on src if a\n stick-table type ip size 1",
            "f:7:18: 'a': there is no ACL \"a\"",
        ),
        (
            " stick on src if { pth / }\n stick-table type ip size 1",
            "f:7:20: 'pth': there is no fetch \"pth\"",
        ),
        (
            " stick-table type ip size 4g",
            "f:7:27: '4g': expected size N",
        ),
        (
            " stick-table type ip size 0",
            "f:7:27: '0': expected size N",
        ),
        (
            " stick-table type ip",
            "f:7:21: 'end of line': expected size N",
        ),
        (
            " stick-table size 1k",
            "f:7:21: 'end of line': expected type ip",
        ),
        (
            " stick-table type ip size 1k expire 25d",
            "f:7:37: '25d': expected a length of time",
        ),
        (
            " stick-table type ipv4 size 1k",
            "f:7:19: 'ipv4': expected ip",
        ),
        (
            " stick-table type string len 0 size 1k",
            "f:7:30: '0': expected a whole number from 1",
        ),
        (
            " stick-table type ip size 1k store gpc0,foo",
            "f:7:41: 'foo': expected one of",
        ),
        (
            " stick-table type ip size 1k store gpc0()",
            "f:7:36: 'gpc0()': expected nothing behind it",
        ),
        (
            " stick-table type ip size 1k store conn_rate(5",
            "f:7:36: 'conn_rate(5': expected a )",
        ),
        (
            " stick-table type ip size 1k recv-only",
            "f:7:30: 'recv-only': not supported",
        ),
        (
            " stick on res.hdr(x)",
            "f:7:11: 'res.hdr(x)': is in the response",
        ),
        (
            " stick store-response path",
            "f:7:23: 'path': is in the request",
        ),
        (
            " stick on hdr(x),lowr",
            "f:7:18: 'hdr(x),lowr': there is no converter",
        ),
        (
            " stick on hdr(x) ,lower",
            "f:7:18: ',lower': there is no converter",
        ),
        (
            " stick on src table be",
            "f:7:21: 'be': there is no stick table",
        ),
        (" stick-table type string size 3g", "f:7:2: 'stick-table':"),
        (
            " stick-table type ip size 1\n stick on base32+src",
            "f:8:11: 'base32+src': gives binary, which is no key of a table of type ip",
        ),
        (
            " use-server s1 if { path_reg ^/(?=a) }",
            "f:7:32: '^/(?=a)': in the pattern",
        ),
        (
            " acl a sc0_conn_cur gt 1",
            "f:7:8: 'sc0_conn_cur': the fetch",
        ),
    ] {
        let found = refusal(&backend(lines));
        assert!(found.starts_with(expected), "{lines}:\n{found}");
    }
    let format = "frontend fe\n bind :80\n use_backend b-%ci\nbackend b\n server s 10.0.0.1:80\n";
    let found = refusal(format);
    let expected = "f:8:14: 'b-%ci': character 3: the variables of log formats";
    assert!(found.starts_with(expected), "{found}");
}

#[test]
fn conditions_that_never_hold_are_warned_about() {
    let configuration = configuration(
        "backend be\n use-server s1 if { status 200 }\n stick-table type ip size 1\n \
         stick store-response src if { path / }\n server s1 10.0.0.1:80\n",
    );
    let found: Vec<_> = configuration
        .findings()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("f:7:16: 'if': asks about the response"),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("f:9:27: 'if': asks about the request"),
        "{found:?}"
    );
    assert!(configuration.build().is_ok());
}

/// A table with counters, one in a `peers` section, and three backends.
const COUNTED: &str = "peers p\n peer a 127.0.0.1:1024\n table known type ip size 10\n\
    backend counters\n stick-table type ip size 10 expire 10s store gpc0,gpt0,http_req_rate(10s)\n";

fn address(source: &str) -> Key<'static> {
    Key::from(source.parse::<std::net::Ipv4Addr>().unwrap())
}

#[test]
fn rules_of_frontends_read_tables_of_other_sections() {
    let routing = routing(&format!(
        "frontend fe\n bind :80\n acl abuser src_get_gpc0(counters) ge 3\n \
         use_backend jail if abuser\n \
         use_backend old if {{ src,in_table(p/known) }} !{{ src,table_gpt0(counters) 1 }}\n \
         use_backend tag-%[src_get_gpt0(counters)] if {{ src,in_table(counters) }}\n \
         default_backend new\n{COUNTED}{}",
        sections(&["jail", "old", "new", "tag-1"])
    ));
    let (client, key) = (get("/", "192.0.2.1"), address("192.0.2.1"));
    let now = Now::system();
    let counters = routing.table("counters").unwrap();
    assert_eq!(server(&routing, &client), "new");
    let _ = routing.table("p/known").unwrap().insert(&key, now).unwrap();
    assert_eq!(server(&routing, &client), "old");
    let _ = counters.insert(&key, now).unwrap();
    assert!(counters.set_data(&key, DataKind::Tag0, 0, 1, now));
    assert_eq!(server(&routing, &client), "tag-1");
    assert!(counters.set_data(&key, DataKind::Counter0, 0, 3, now));
    assert_eq!(server(&routing, &client), "jail");
    assert_eq!(server(&routing, &get("/", "192.0.2.2")), "new");
    // Reading has refreshed nothing.
    let later = Now::new(now.mono() + Duration::from_secs(10), now.wall());
    let _ = counters.maintain(later, 0);
    assert_eq!(server(&routing, &client), "old");
}

#[test]
fn rules_of_backends_read_tables_their_own_too() {
    let routing = routing(&format!(
        "frontend fe\n bind :80\n default_backend be\n{COUNTED}\
         backend be\n stick-table type ip size 10\n \
         use-server s2 if {{ src_http_req_rate(counters) gt 1 }}\n \
         use-server s2 unless {{ src,in_table }} || {{ path / }}\n \
         stick on src if {{ src,in_table(counters) }}\n{TWO_SERVERS}"
    ));
    let (client, key) = (get("/", "192.0.2.1"), address("192.0.2.1"));
    let now = Now::system();
    let own = routing.table("be").unwrap();
    let reason = |request: &SimpleRequest| send(&routing, "fe", request).1;
    assert_eq!(reason(&client), Reason::Balance);
    assert_eq!(own.len(), 0, "the client is not in the other table");
    let x = get("/x", "192.0.2.1");
    assert_eq!(reason(&x), Reason::UseServer);
    let held = routing.table("counters").unwrap().hold(&key, now).unwrap();
    assert_eq!(reason(&client), Reason::Balance);
    assert_eq!(reason(&client), Reason::StickTable);
    assert_eq!(reason(&x), Reason::StickTable, "it is in the backend's own");
    assert!(held.add_data(DataKind::RequestRate, 0, 2, now));
    assert_eq!(
        send(&routing, "fe", &client),
        ("s2".into(), Reason::UseServer)
    );
}

#[test]
fn a_value_in_a_table_may_be_the_key_of_another() {
    let routing = routing(&format!(
        "frontend fe\n bind :80\n default_backend be\n{COUNTED}\
         backend be\n stick-table type integer size 10\n \
         stick on src table_gpt0(counters)\n{TWO_SERVERS}"
    ));
    let counters = routing.table("counters").unwrap();
    let sources = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    for source in &sources[..2] {
        let _ = counters.insert(&address(source), Now::system()).unwrap();
        assert!(counters.set_data(&address(source), DataKind::Tag0, 0, 7, Now::system()));
    }
    let picked = sources.map(|source| send(&routing, "fe", &get("/", source)));
    assert_eq!(picked[0], ("s1".into(), Reason::Balance));
    assert_eq!(picked[1], ("s1".into(), Reason::StickTable));
    assert_eq!(picked[2], ("s2".into(), Reason::Balance));
    let own = routing.table("be").unwrap();
    assert!(
        [0, 7]
            .map(Key::from)
            .iter()
            .all(|key| own.peek(key, Now::system()).is_some())
    );
}

#[test]
fn conditions_and_formats_of_other_rules_are_given_their_tables() {
    let configuration = configuration(&format!(
        "frontend fe\n bind :80\n acl busy src_get_gpc0 gt 1\n stick-table type ip size 1 store gpc0\n \
         http-request deny if busy\n http-request deny unless {{ src,in_table(counters) }}\n{COUNTED}"
    ));
    let routing = configuration.build().unwrap();
    let rules = &configuration.proxies[0].rules;
    let words = |rule: usize| rules[rule].condition.as_ref().unwrap();
    let busy = routing.condition("fe", words(0));
    let unknown = routing.condition("fe", words(1));
    let format = routing
        .format("fe", "%[src_get_gpc0]/%[src,in_table(counters)]")
        .unwrap();
    let (client, key) = (get("/", "192.0.2.1"), address("192.0.2.1"));
    assert!(!busy.on_request(&client) && unknown.on_request(&client));
    assert_eq!(format.on_request(&client), b"0/0");
    for (name, value) in [("fe", 2), ("counters", 0)] {
        let table = routing.table(name).unwrap();
        let _ = table.insert(&key, Now::system()).unwrap();
        assert!(table.set_data(&key, DataKind::Counter0, 0, value, Now::system()));
    }
    assert!(busy.on_request(&client) && !unknown.on_request(&client));
    assert_eq!(format.on_request(&client), b"2/1");
    assert!(
        !words(0).condition().on_request(&client),
        "it knows no tables"
    );
    for (text, expected) in [
        (
            "a%[src_conn_cnt(nosuch)]",
            "character 17: there is no stick table \"nosuch\"",
        ),
        ("a%[pth]", "character 4: there is no fetch \"pth\""),
    ] {
        let error = routing.format("fe", text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn tables_that_are_not_there_are_told_with_their_place() {
    let front = |line: &str| format!("{COUNTED}frontend fe\n bind :80\n{line}\n");
    for (line, expected) in [
        (
            " acl a src,in_table(counter)",
            "f:13:21: 'counter': there is no stick table of this name; did you mean 'counters'?",
        ),
        (
            " http-request deny if { src_conn_cnt gt 1 }",
            "f:13:25: 'fe': there is no stick table of this name",
        ),
        (
            " use_backend counters if TRUE { src_get_gpc(1,p/knwn) gt 0 }",
            "f:13:47: 'p/knwn': there is no stick table of this name; did you mean 'p/known'?",
        ),
        (
            " use_backend %[src_conn_cnt(none)]",
            "f:13:14: '%[src_conn_cnt(none)]': character 16: there is no stick table \"none\"",
        ),
    ] {
        let found = refusal(&front(line));
        assert!(found.starts_with(expected), "{line}:\n{found}");
    }
    let back = format!("{COUNTED}backend be\n stick on src, table_gpc0(none) table counters\n");
    let found = refusal(&back);
    assert!(
        found.starts_with("f:12:27: 'none': there is no stick table"),
        "{found}"
    );
}

#[test]
fn what_a_table_does_not_store_is_warned_about() {
    let read = |lines: &str| {
        let array = "backend array\n stick-table type ip size 1 store gpc(2)\n";
        let configuration = configuration(&format!("{COUNTED}{array}backend be\n{lines}"));
        let findings = configuration.findings().iter();
        findings.map(ToString::to_string).collect::<Vec<_>>()
    };
    let found = read(" use-server s if { src_conn_cur(counters) gt 1 }\n server s 10.0.0.1:80\n");
    assert_eq!(found.len(), 1, "{found:?}");
    let expected = "f:14:33: 'counters': the table does not store what \"src_conn_cur\" reads";
    assert!(found[0].starts_with(expected), "{found:?}");
    for (expression, warnings) in [
        ("src_get_gpc0(counters)", 0),
        ("src,in_table(counters)", 0),
        ("src,table_server_id(counters)", 0),
        ("src_kbytes_in(counters)", 1),
        ("src_get_gpc1(array)", 0),
        ("src_get_gpc(1,array)", 0),
        ("src_get_gpc(2,array)", 1),
        ("src_get_gpc(0,counters)", 1),
        ("src_gpc1_rate(array)", 1),
    ] {
        let found = read(&format!(
            " acl a {expression} -m found\n server s 10.0.0.1:80\n"
        ));
        assert_eq!(found.len(), warnings, "{expression}: {found:?}");
    }
}

// Observed on HAProxy 2.6.12, with the same entries.
#[test]
fn values_of_tables_are_those_of_haproxy() {
    let table = |name: &str, line: &str| format!("backend {name}\n stick-table type {line}\n");
    let tables = [
        table(
            "t",
            "ip size 10 store gpc0,conn_cnt,bytes_in_cnt,bytes_out_cnt",
        ),
        table("empty", "ip size 10 store gpc0"),
        table("arr", "ip size 10 store gpc(3),gpt(2),gpc_rate(3,10s)"),
        table("str", "string size 10 store gpc0"),
        table("int", "integer size 10 store gpc0"),
        table("v6", "ipv6 size 10 store gpc0"),
    ];
    let front = "frontend fe\n bind :80\n stick-table type ip size 5 store gpc0\n";
    let routing = routing(&format!("{front}{}", tables.concat()));
    let client = address("127.0.0.1");
    let mapped = Key::from("::ffff:127.0.0.1".parse::<std::net::Ipv6Addr>().unwrap());
    for (table, key, kind, element, value) in [
        ("fe", &client, DataKind::Counter0, 0, 1),
        ("t", &client, DataKind::Counter0, 0, 2),
        ("t", &client, DataKind::BytesInCount, 0, 5_000),
        ("t", &client, DataKind::BytesOutCount, 0, 1_023),
        ("arr", &client, DataKind::Counters, 0, 1),
        ("arr", &client, DataKind::Counters, 1, 2),
        ("arr", &client, DataKind::Tags, 0, 7),
        ("arr", &client, DataKind::Tags, 1, 8),
        ("arr", &client, DataKind::CounterRates, 0, 1),
        ("arr", &client, DataKind::CounterRates, 1, 2),
        ("str", &Key::string(b"127.0.0.1"), DataKind::Counter0, 0, 3),
        ("str", &Key::string(b"GET"), DataKind::Counter0, 0, 3),
        ("int", &Key::from(2_130_706_433), DataKind::Counter0, 0, 3),
        ("int", &Key::from(1), DataKind::Counter0, 0, 3),
        ("v6", &mapped, DataKind::Counter0, 0, 3),
    ] {
        let table = routing.table(table).unwrap();
        let _ = table.insert(key, Now::system()).unwrap();
        assert!(table.set_data(key, kind, element, value, Now::system()));
    }
    let request = get("/", "127.0.0.1");
    for (expression, expected) in VALUES {
        let format = routing.format("fe", format!("%[{expression}]")).unwrap();
        let found = String::from_utf8(format.on_request(&request)).unwrap();
        assert_eq!(&found, expected, "{expression}");
    }
}

/// Expressions and their texts, empty where there is no value.
const VALUES: &[(&str, &str)] = &[
    ("src_get_gpc0", "1"),
    ("src_get_gpc0()", "1"),
    ("src_get_gpc0(fe)", "1"),
    ("src_get_gpc0(t)", "2"),
    ("src,table_gpc0(t),add(1)", "3"),
    ("src_get_gpc1(t)", ""),
    ("src_get_gpt0(t)", ""),
    ("src_sess_cnt(t)", ""),
    ("src,table_sess_cnt(t)", ""),
    ("src_get_gpc0(empty)", "0"),
    ("src_conn_cnt(empty)", "0"),
    ("src_kbytes_in(t)", "4"),
    ("src,table_kbytes_in(t)", "4"),
    ("src_kbytes_out(t)", "0"),
    ("src,in_table(t)", "1"),
    ("src,in_table(t),not", "0"),
    ("src,in_table(empty)", "0"),
    ("src,table_trackers(t)", "1"),
    ("ipv4(9.9.9.9),table_trackers(t)", "0"),
    ("str(abc),in_table(t)", ""),
    ("str(abc),table_gpc0(t)", ""),
    ("str(127.0.0.1),in_table(t)", "1"),
    ("str(127.0.0.1),table_gpc0(t)", "2"),
    ("int(2130706433),in_table(t)", "1"),
    ("bin(7f000001),in_table(t)", ""),
    ("ipv6(::1),in_table(t)", ""),
    ("ipv6(::ffff:127.0.0.1),in_table(t)", "1"),
    ("hdr(none),in_table(t)", ""),
    ("method,in_table(str)", "1"),
    ("str(),in_table(str)", "0"),
    ("str(),table_gpc0(str)", "0"),
    ("bool(1),in_table(int)", "1"),
    ("bool(1),table_gpc0(int)", "3"),
    ("src_get_gpc0(str)", "3"),
    ("src_get_gpc0(int)", "3"),
    ("src_get_gpc0(v6)", "3"),
    ("src,table_gpc0(arr)", "1"),
    ("src,table_gpc1(arr)", "2"),
    ("src_get_gpc1(arr)", "2"),
    ("src,table_gpc(1,arr)", "2"),
    ("src,table_gpc(3,arr)", ""),
    ("src_get_gpc(1,arr)", "2"),
    ("src_get_gpt0(arr)", "7"),
    ("src_get_gpt(1,arr)", "8"),
    ("src_gpc1_rate(arr)", "2"),
    ("src,table_gpc0_rate(arr)", "1"),
    ("src_gpc_rate(1,arr)", "2"),
    ("src_get_gpc(0,t)", ""),
    ("src,table_gpc(9,empty)", "0"),
];
