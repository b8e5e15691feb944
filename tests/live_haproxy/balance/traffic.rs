//! Random requests, and what happens between them.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use stickroute::SimpleRequest;

use super::configuration::Plan;
use crate::generator::Random;
use crate::{hex, origin};

/// A request, as bytes for HAProxy and as what the library is asked.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    pub(super) view: SimpleRequest,
}

const PORT: u16 = 1_000;

impl Request {
    /// One that is held open at a gate, unless that is 0.
    pub(super) fn new(random: &mut Random, plan: &Plan, gate: u64) -> Self {
        let source = source(random);
        let is_usual = plan.is_keyed || random.percent(80);
        let (first, view, mut fields) = if plan.is_tcp {
            (rdp(random, is_usual), SimpleRequest::default(), Vec::new())
        } else {
            http(random, is_usual)
        };
        let answer = hex::encode(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n");
        fields.push((origin::ANSWER, answer));
        if gate > 0 {
            fields.push((origin::GATE, gate.to_string()));
        }
        fields.push(("Connection", "close".into()));
        let mut view = view;
        let mut payload = first;
        for (name, value) in fields {
            payload.extend(format!("{name}: {value}\r\n").bytes());
            view = view.header(name, value);
        }
        payload.extend(b"\r\n");
        let destination = destination(source);
        let family = if source.is_ipv4() { 4 } else { 6 };
        let (ip, port) = (destination.ip(), destination.port());
        let mut bytes = format!("PROXY TCP{family} {source} {ip} {PORT} {port}\r\n").into_bytes();
        bytes.extend(&payload);
        let view = view.source(source).source_port(PORT);
        let view = view.destination(destination).payload(payload);
        Self { bytes, view }
    }
}

fn source(random: &mut Random) -> IpAddr {
    let word = |random: &mut Random| random.below(1 << 16) as u16;
    let few = Ipv4Addr::new(198, 51, 100, random.below(12) as u8);
    let (high, low) = (word(random), word(random));
    match random.below(8) {
        0 => few.into(),
        1 => few.to_ipv6_mapped().into(),
        2 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, low % 9).into(),
        3 => Ipv6Addr::new(0x2001, high, low, 7, word(random), 0, high, word(random)).into(),
        _ => Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)).into(),
    }
}

fn destination(source: IpAddr) -> SocketAddr {
    if source.is_ipv4() {
        (Ipv4Addr::LOCALHOST, 80).into()
    } else {
        (Ipv6Addr::LOCALHOST, 80).into()
    }
}

/// The first packet of a client, up to the end of its first line; the rest looks like a
/// request of HTTP, for the server.
fn rdp(random: &mut Random, is_usual: bool) -> Vec<u8> {
    let user = random.below(40);
    let cookie = if is_usual {
        let name = random.one_of(&["mstshash", "mstshash", "MSTSHASH"]);
        format!("Cookie: {name}=user{user}")
    } else {
        let others = ["Hello", "Cookie: other=x", "Cookie: mstshash=", "Cookie:"];
        random.one_of(&others).into()
    };
    // Both know their user by one of two names.
    let cookie = if random.percent(30) {
        cookie.replace("mstshash", "id")
    } else {
        cookie
    };
    let mut bytes = vec![3, 0, 0, 44, 39, 0xe0, 0, 0, 0, 0, 0];
    bytes.extend(format!("{cookie}\r\n").bytes());
    bytes
}

type Fields = Vec<(&'static str, String)>;

fn http(random: &mut Random, is_usual: bool) -> (Vec<u8>, SimpleRequest, Fields) {
    let host = host(random);
    let method = random.one_of(&["GET", "GET", "GET", "DELETE", "OPTIONS"]);
    let mut target = target(random);
    if is_usual {
        // The parameter of either name, before the fragments of the others.
        let mark = if target.contains('?') { "&" } else { "?" };
        let (u, user) = (random.below(30), random.below(30));
        let _ = write!(target, "{mark}u={u}&user=u{user}");
    }
    if random.percent(10) {
        target = format!("http://{host}{target}");
    } else if method == "OPTIONS" && !is_usual {
        target = "*".into();
    }
    let mut fields = vec![("Host", host)];
    for name in ["x-a", "X-B"] {
        let lines = random.one_of(&[0, 0, 1, 1, 2]);
        for _ in 0..lines.max(usize::from(is_usual)) {
            fields.push((name, values(random, is_usual)));
        }
    }
    if is_usual || random.percent(50) {
        fields.push(("Cookie", format!("sid={}; SRV=a", random.below(50))));
    }
    fields.push(("x-n", random.below(500).to_string()));
    fields.push(("x-ip", format!("10.0.{}.1", random.below(99))));
    let first = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    (first, SimpleRequest::new(method, target), fields)
}

fn host(random: &mut Random) -> String {
    let number = random.below(20);
    match random.below(9) {
        0 => "h".into(),
        1 => format!("10.0.0.{number}"),
        2 => format!("shop{number}.net:8080"),
        3 => format!("a{number}.b.co.uk"),
        4 => format!("eu{number}."),
        5 => format!("x{number}..com"),
        6 => format!(".com{number}"),
        _ => format!("www.example{number}.com"),
    }
}

fn target(random: &mut Random) -> String {
    const PARTS: &[&str] = &[
        "/",
        "a",
        "b",
        "img",
        "/x%41y",
        ";p=1",
        "+",
        "//",
        ".",
        "..",
        "A",
        "~",
        "/index.html",
        "one-rather-long-name-of-a-folder-or-a-file",
    ];
    const QUERIES: &[&str] = &[
        "",
        "",
        "",
        "?",
        "?u",
        "?u=",
        "?U=5",
        "?x=1&y=2",
        "?a/b/c?d",
        "?u=a;user=b",
        "?uu=1",
        "?x&&u=7",
        "?&",
        "?user",
        "?n=5",
    ];
    let mut target = String::from("/");
    for _ in 0..random.below(8) {
        target += random.one_of(PARTS);
    }
    target + random.one_of(QUERIES)
}

/// A value of a field, or a list of them; a usual one has something in front.
fn values(random: &mut Random, is_usual: bool) -> String {
    const VALUES: &[&str] = &[
        "",
        " ",
        "a.b",
        "b",
        "C",
        "a b",
        "\"q\"",
        "www.shop.org",
        "7",
        ".",
    ];
    let mut value = if is_usual {
        format!("k{}", random.below(200))
    } else {
        random.one_of(VALUES).into()
    };
    while random.percent(20) {
        value += random.one_of(&[",", ", ", " ,", ".", "\t,"]);
        value += random.one_of(VALUES);
    }
    value
}

/// What operators order, all at once.
pub(super) fn orders(random: &mut Random, servers: usize) -> Vec<String> {
    let number = |random: &mut Random| 1 + random.below(servers);
    if random.percent(8) {
        // Many, so that backups get to serve.
        let word = random.one_of(&["state maint", "health down", "state drain", "weight 0"]);
        let spared = random.below(4);
        let some = (1..=servers).filter(|_| random.below(4) >= spared);
        return some
            .map(|to| format!("set server app/s{to} {word}"))
            .collect();
    }
    if random.percent(10) {
        let word = random.one_of(&["state ready", "health up", "weight 100%"]);
        return everybody(servers, word);
    }
    let count = 1 + random.below(1 + servers / 5);
    (0..count)
        .map(|_| {
            let server = number(random);
            order(random, server)
        })
        .collect()
}

/// Orders after which somebody serves, in most cases.
pub(super) fn recovery(random: &mut Random, servers: usize) -> Vec<String> {
    let words = ["weight 100%", "health up", "state ready"];
    let words = words.into_iter().filter(|_| random.percent(90));
    words.flat_map(|word| everybody(servers, word)).collect()
}

fn everybody(servers: usize, word: &str) -> Vec<String> {
    (1..=servers)
        .map(|to| format!("set server app/s{to} {word}"))
        .collect()
}

fn order(random: &mut Random, number: usize) -> String {
    let server = format!("app/s{number}");
    let weight = match random.below(10) {
        0 => random
            .one_of(&["257", "-1", "x", "", "5x", "12%%", "1000000", "-5%"])
            .into(),
        1..4 => format!("{}%", random.one_of(&[0, 1, 33, 50, 100, 150, 1000])),
        4 | 5 => random.one_of(&[0, 1, 2, 16, 255, 256]).to_string(),
        _ => random.below(257).to_string(),
    };
    match random.below(20) {
        0 | 1 => format!("set server {server} state maint"),
        2 => format!("set server {server} state drain"),
        3..7 => format!("set server {server} state ready"),
        7 => format!("set server {server} health down"),
        8 => format!("set server {server} health stopping"),
        9 | 10 => format!("set server {server} health up"),
        11 => format!("disable server {server}"),
        12 => format!("enable server {server}"),
        13 => format!("get weight {server}"),
        14 => random
            .one_of(&[
                "set server app/nobody state ready",
                "set server app/s1 state none",
                "set server app/s1 health",
                "set weight app/s1",
                "set server other/s1 weight 5",
                "set server app/s1 agent up",
            ])
            .into(),
        15 | 16 => format!("set weight {server} {weight}"),
        _ => format!("set server {server} weight {weight}"),
    }
}
