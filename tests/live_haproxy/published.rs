//! The published configurations with stick rules: HAProxy and `examples/proxy -f` run the
//! same file, before the same servers, and get the same requests from the same addresses.
//!
//! Health checks are taken off, ports are moved, `accept-proxy` and a stats socket are
//! added. Compared are the answers and, now and then, the whole of the table, but for
//! pointers and times.

use std::net::{Ipv4Addr, SocketAddr};

use crate::generator::Random;
use crate::origin::Origin;
use crate::program::{Program, is_same};
use crate::seed;
use crate::support;
use crate::support::configuration::{Folder, Moved};

const REQUESTS: usize = 300;

/// What is special about a configuration.
struct Case {
    name: &'static str,
    /// The backend, which has the table, and its servers.
    backend: &'static str,
    servers: [&'static str; 2],
    /// Names of the cookie and of the header that requests may have.
    cookie: Option<&'static str>,
    header: Option<&'static str>,
}

#[test]
#[ignore = "runs a real HAProxy"]
fn connections_stick_by_address() {
    compare(&Case {
        name: "03-stick-on-src-tcp",
        backend: "servers",
        servers: ["s1", "s2"],
        cookie: None,
        header: None,
    });
}

#[test]
#[ignore = "runs a real HAProxy"]
fn requests_stick_by_address() {
    compare(&Case {
        name: "04-frontend-headers",
        backend: "servers",
        servers: ["server1", "server2"],
        cookie: None,
        header: None,
    });
}

#[test]
#[ignore = "runs a real HAProxy"]
fn requests_stick_by_cookie_and_address() {
    compare(&Case {
        name: "05-production-cookie-peers",
        backend: "be_app",
        servers: ["app1", "app2"],
        cookie: Some("SRVID"),
        header: None,
    });
}

#[test]
#[ignore = "runs a real HAProxy"]
fn requests_stick_by_header() {
    compare(&Case {
        name: "06-stick-on-header",
        backend: "be_app",
        servers: ["app1", "app2"],
        cookie: None,
        header: Some("x-tenant-id"),
    });
}

fn compare(case: &Case) {
    let seed = seed();
    println!("{}: STICKROUTE_LIVE_SEED={seed}", case.name);
    let mut random = Random(seed);
    let folders = ["theirs", "ours"].map(|side| Folder::new(&format!("{}-{side}", case.name)));
    let origins = ["one", "two"].map(|name| Origin::start(name, support::free_address()));
    let [theirs, ours] = &folders;
    let theirs = start(case, theirs, &origins, Program::haproxy);
    let ours = start(case, ours, &origins, Program::ours);
    let sides = [&theirs, &ours];
    let mut served = 0;
    for round in 0..REQUESTS {
        if random.percent(8) {
            let order = event(case, &mut random);
            println!("{order}");
            let [expected, found] = sides.map(|side| side.ask(&order));
            assert_eq!(found, expected, "{order}");
        }
        let request = request(case, &mut random);
        let [expected, found] = sides.map(|side| side.send(0, &request));
        assert!(
            is_same(&expected, &found),
            "request {round}: {}\nHAProxy: {expected:?}\nours: {found:?}\n{:?}",
            request.escape_ascii(),
            sides.map(|side| side.table(case.backend))
        );
        served += usize::from(expected.server.is_some());
        if round % 25 == 0 || round == REQUESTS - 1 {
            tables_are_the_same(case, sides);
        }
    }
    let entries = theirs.table(case.backend).lines().count();
    println!(
        "{}: {REQUESTS} requests, {served} served, {entries} lines of table",
        case.name
    );
    assert!(
        served > REQUESTS / 4 && entries > 10,
        "hardly anything was compared"
    );
}

/// The end of a session may be noticed a little later than its client does.
fn tables_are_the_same(case: &Case, sides: [&Program; 2]) {
    let mut tables = sides.map(|side| side.table(case.backend));
    let is_same = || {
        tables = sides.map(|side| side.table(case.backend));
        tables[0] == tables[1]
    };
    assert!(support::eventually(is_same), "{tables:#?}");
}

/// The peers of a file are never met, but HAProxy wants to be one of them.
fn start(
    case: &Case,
    folder: &Folder,
    origins: &[Origin; 2],
    start: fn(&str, &Folder, &[&str], Vec<SocketAddr>) -> Program,
) -> Program {
    let at = Moved::new(case.name, folder, origins.each_ref().map(Origin::address));
    start(&adapted(&at), folder, &["-L", "lb1"], vec![at.listen()])
}

/// What both are told instead.
fn adapted(at: &Moved) -> String {
    let mut adapted = format!(
        "global\n    nbthread 1\n    stats socket {} level admin\n",
        at.socket.display()
    );
    for line in at.text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["option", "httpchk", ..] | ["http-check", ..] | ["stats", "socket", ..] => {}
            ["bind", ..] => adapted.extend([line, " accept-proxy\n"]),
            _ => adapted.extend([&line.replace(" check", ""), "\n"]),
        }
    }
    adapted
}

/// Something that operators do.
fn event(case: &Case, random: &mut Random) -> String {
    let server = case.servers[random.below(2)];
    let server = format!("{}/{server}", case.backend);
    let key = match case.header {
        Some(_) => tenant(random),
        None => address(random).to_string(),
    };
    let key = key.replace(' ', "\\ ");
    match random.below(8) {
        0 => format!("set server {server} state drain"),
        1 => format!("set server {server} state maint"),
        2..6 => format!("set server {server} state ready"),
        6 => format!("clear table {} key {key}", case.backend),
        _ => {
            let id = random.below(3);
            format!("set table {} key {key} data.server_id {id}", case.backend)
        }
    }
}

fn address(random: &mut Random) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, random.below(24) as u8 + 1)
}

fn tenant(random: &mut Random) -> String {
    match random.below(24) {
        // Longer than the keys of the table.
        number @ 0..4 => format!("{}{number}", "x".repeat(62 + number)),
        number => format!("tenant {number}"),
    }
}

/// A PROXY header and a request.
fn request(case: &Case, random: &mut Random) -> Vec<u8> {
    let source = address(random);
    let mut bytes = match random.below(8) {
        // A table of IPv4 addresses has no place for this one.
        0 => format!("PROXY TCP6 2001:db8::{} ::1 1000 80\r\n", random.below(3)).into_bytes(),
        1 => format!("PROXY TCP6 ::ffff:{source} ::1 1000 80\r\n").into_bytes(),
        2 | 3 => second_version(source),
        _ => format!("PROXY TCP4 {source} 127.0.0.1 1000 80\r\n").into_bytes(),
    };
    bytes.extend(b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n");
    if let (Some(name), true) = (case.cookie, random.percent(30)) {
        let value = ["app1", "app2", "app3", ""][random.below(4)];
        bytes.extend(format!("Cookie: a=b; {name}={value}; c=d\r\n").bytes());
    }
    if let (Some(name), true) = (case.header, random.percent(90)) {
        bytes.extend(format!("{name}: {}\r\n", tenant(random)).bytes());
    }
    // What the origin is to answer, in hexadecimal.
    let answer = crate::hex::encode(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n");
    bytes.extend(format!("{}: {answer}\r\n\r\n", crate::origin::ANSWER).bytes());
    bytes
}

pub(crate) fn second_version(source: Ipv4Addr) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    bytes.extend(source.octets());
    bytes.extend([127, 0, 0, 1, 3, 232, 0, 80]);
    bytes
}
