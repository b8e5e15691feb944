//! Random requests, and what happens between them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::configuration::{FARMS, Kind, Plan, SERVERS, Table};
use crate::generator::Random;
use crate::published::second_version;
use crate::{hex, origin};

/// What happens between two requests.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// An operator's command.
    Order(String),
    /// The origin of that number refuses connections from now on.
    Refuse(usize),
    /// It accepts them again.
    Listen(usize),
}

const VALUES: &[&str] = &[
    "a",
    "a",
    "b",
    "c",
    "A",
    "alpha",
    "ALPHA",
    "alpha:beta",
    "one-two.three",
    "10.0.0.1",
    "12",
    "-5",
    "4294967308",
    "7x",
    "0x1f",
    "",
    "a b",
    "a=b",
    "a\\b",
    "x%41y",
    "%zz",
    "\"q\"",
    "caf\u{e9}",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "abcdefghijklmnopqrstuvwxyz012345 and more than forty",
    "aaaa1111",
];

const ADDRESSES: &[&str] = &[
    "10.0.0.1",
    "10.0.0.2:8080",
    "192.0.2.7",
    "2001:db8::1",
    "[2001:db8::1]:443",
    "::ffff:10.0.0.1",
    "010.0.0.1",
    "nonsense",
    "10.0.0",
    "",
];

fn source(random: &mut Random) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, random.below(12) as u8)
}

fn source6(random: &mut Random) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, random.below(6) as u16)
}

/// Requests for one connection; before the first is a PROXY header.
pub(super) fn connection(random: &mut Random) -> Vec<Vec<u8>> {
    let mut header = proxy_header(random);
    let count = random.one_of(&[1, 1, 1, 1, 2, 3]);
    let requests = (1..=count).map(|number| {
        let request = request(random, number == 1, number == count);
        [std::mem::take(&mut header), request].concat()
    });
    requests.collect()
}

fn proxy_header(random: &mut Random) -> Vec<u8> {
    let (source, source6) = (source(random), source6(random));
    match random.below(9) {
        0 | 1 => format!("PROXY TCP6 {source6} 2001:db8::99 1000 80\r\n").into_bytes(),
        2 => format!("PROXY TCP6 ::ffff:{source} ::1 1000 80\r\n").into_bytes(),
        3 | 4 => second_version(source),
        _ => format!("PROXY TCP4 {source} 127.0.0.1 1000 80\r\n").into_bytes(),
    }
}

fn request(random: &mut Random, is_first: bool, is_last: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let method = random.one_of(&["GET", "GET", "GET", "POST", "DELETE"]);
    let target = target(random);
    bytes.extend(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n").bytes());
    if method == "POST" {
        bytes.extend(b"Content-Length: 0\r\n");
    }
    fields(random, "x-a", VALUES, &mut bytes);
    fields(random, "X-B", VALUES, &mut bytes);
    fields(random, "x-ip", ADDRESSES, &mut bytes);
    if random.percent(50) {
        bytes.extend(format!("x-n: {}\r\n", random.below(9)).bytes());
    }
    cookies(random, &mut bytes);
    // HAProxy answers a server's silence with its own, but for the first request.
    let answer = if is_first && random.percent(3) {
        origin::HANG_UP.to_owned()
    } else {
        answer(random)
    };
    bytes.extend(format!("{}: {answer}\r\n", origin::ANSWER).bytes());
    if is_last {
        bytes.extend(b"Connection: close\r\n");
    }
    bytes.extend(b"\r\n");
    bytes
}

fn target(random: &mut Random) -> String {
    let path = random.one_of(&["/", "/p1", "/p1/x", "/p2", "/P1", "/p%41", "/p1"]);
    let queries = [
        "",
        "",
        "?u=a",
        "?u=b",
        "?u=",
        "?u",
        "?x=1&u=a",
        "?u=a&u=b",
        "?u=x%41y",
        "?n=5&u=alpha",
        "?n=12",
        "?U=a",
        "?u=a;n=3",
        "?",
    ];
    format!("{path}{}", random.one_of(&queries))
}

/// Lines of a field: none, one or two, with one value or several.
fn fields(random: &mut Random, name: &str, values: &[&str], bytes: &mut Vec<u8>) {
    for _ in 0..random.one_of(&[0, 0, 1, 1, 1, 1, 1, 2]) {
        let mut value = random.one_of(values).to_owned();
        while random.percent(20) {
            value += random.one_of(&[",", ", ", " ,"]);
            value += random.one_of(values);
        }
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
}

fn cookies(random: &mut Random, bytes: &mut Vec<u8>) {
    if random.percent(45) {
        return;
    }
    let mut items = vec!["lang=en".to_owned()];
    for _ in 0..random.below(3) {
        let value = random.one_of(&["a", "b", "c1", "", "alpha", "\"q\"", "c2~a", "c1~b"]);
        items.push(format!("sid={value}"));
    }
    if random.percent(50) {
        let value = random.one_of(&["c1", "c2", "c3", "c4", "c9", ""]);
        items.push(format!("SRV={value}"));
    }
    let first = random.below(items.len());
    items.rotate_left(first);
    bytes.extend(format!("Cookie: {}\r\n", items.join("; ")).bytes());
}

/// What the origin is to answer.
fn answer(random: &mut Random) -> String {
    let status = random.one_of(&[200, 200, 200, 200, 302, 404, 500, 503]);
    let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: 3\r\n").into_bytes();
    let values = [
        "a",
        "b",
        "c1",
        "",
        "10.0.0.1",
        "198.51.100.3",
        "alpha:beta",
        "one, two",
        "12",
    ];
    for _ in 0..random.one_of(&[0, 0, 1, 1, 2]) {
        head.extend(format!("X-Sess: {}\r\n", random.one_of(&values)).bytes());
    }
    if random.percent(30) {
        head.extend(format!("x-number: {}\r\n", random.below(5)).bytes());
    }
    for name in ["sess", "SRV", "sid"] {
        if random.percent(20) {
            let value = random.one_of(&["a", "b", "own", ""]);
            head.extend(format!("Set-Cookie: {name}={value}; path=/\r\n").bytes());
        }
    }
    hex::encode(&head)
}

pub(super) fn event(random: &mut Random, plan: &Plan, origins: &[SocketAddr]) -> Event {
    match random.below(20) {
        0 | 1 => Event::Refuse(random.below(origins.len())),
        2..6 => Event::Listen(random.below(origins.len())),
        6..11 => Event::Order(about_table(random, plan)),
        _ => Event::Order(about_server(random, plan, origins)),
    }
}

fn about_server(random: &mut Random, plan: &Plan, addresses: &[SocketAddr]) -> String {
    let farm_number = random.below(plan.farms.len());
    let farm = &plan.farms[farm_number];
    let number = random.below(farm.servers.len());
    let server = format!("{}/{}", farm.name, farm.servers[number]);
    match random.below(16) {
        0 => format!("set server {server} state drain"),
        1 | 2 => format!("set server {server} state maint"),
        3..6 => format!("set server {server} state ready"),
        6 => format!(
            "set server {server} weight {}",
            random.one_of(&[0, 1, 3, 50])
        ),
        7 => format!(
            "set server {server} weight {}",
            random.one_of(&["0%", "50%", "100%"])
        ),
        8 => format!("set server {server} health down"),
        9 => format!("set server {server} health stopping"),
        10..12 => format!("set server {server} health up"),
        12 => format!("disable server {server}"),
        13 => format!("enable server {server}"),
        14 if random.percent(50) => {
            // One of its own two: an address of several servers may mean another of them
            // in HAProxy, see docs/differences.md.
            let own = farm_number * SERVERS + number;
            let address = addresses[own + random.one_of(&[0, FARMS * SERVERS])];
            let (ip, port) = (address.ip(), address.port());
            format!("set server {server} addr {ip} port {port}")
        }
        14 => format!("get weight {server}"),
        _ => format!("set weight {server} {}", random.below(9)),
    }
}

fn about_table(random: &mut Random, plan: &Plan) -> String {
    let table = &plan.tables[random.below(plan.tables.len())];
    let (name, key) = (&table.name, key(random, table));
    match random.below(12) {
        0..3 => format!("clear table {name} key {key}"),
        3..7 => {
            let id = random.one_of(&[0, 1, 2, 3, 4, 10, 77]);
            format!("set table {name} key {key} data.server_id {id}")
        }
        7 | 8 => {
            let data = table.stored.first().unwrap_or(&"gpc0");
            format!("set table {name} key {key} data.{data} {}", random.below(9))
        }
        9 => format!("show table {name} key {key}"),
        10 => format!("show table {name} data.server_id eq {}", random.below(4)),
        _ => format!("clear table {name} data.server_id eq {}", random.below(4)),
    }
}

fn key(random: &mut Random, table: &Table) -> String {
    match table.kind {
        Kind::Ip => source(random).to_string(),
        Kind::Ipv6 => source6(random).to_string(),
        Kind::Integer => random.below(300).to_string(),
        Kind::Text(_) | Kind::Binary(_) => {
            let key = random.one_of(VALUES);
            let key = if key.is_empty() { "200" } else { key };
            key.replace('\\', "\\\\").replace(' ', "\\ ")
        }
    }
}
