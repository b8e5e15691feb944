//! Random configurations of one backend.

use std::fmt::Write;
use std::net::SocketAddr;

use crate::generator::Random;
use crate::sticky::{Kind, Stage, key};

/// A configuration, but for `LISTEN` and `CONTROL`.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) text: String,
    /// How many servers there are; they are called `s1`, `s2` and so on.
    pub(super) servers: usize,
    pub(super) is_tcp: bool,
    /// Whether all requests are to have what is hashed; see [`Plan::new`].
    pub(super) is_keyed: bool,
    /// How many sessions at most stay open while others come and go.
    pub(super) held: usize,
}

/// The most servers of a backend.
pub(super) const SERVERS: usize = 60;

const MOST_ID: usize = 0x7fff_ffff;

impl Plan {
    /// Of [`KINDS`] numbers in a row, all algorithms come up.
    pub(super) fn new(random: &mut Random, number: u64, origins: &[SocketAddr]) -> Self {
        let servers = match random.below(10) {
            0..3 => 1 + random.below(4),
            3..6 => 1 + random.below(15),
            _ => 1 + random.below(SERVERS),
        };
        let all_backups = random.percent(40);
        let hash_type = hash_type(random);
        let is_consistent = hash_type.contains("consistent");
        // HAProxy goes on through the ring of the backups when the others are back, see
        // docs/differences.md; only requests without a key come there.
        let is_keyed = is_consistent && all_backups;
        let balance = balance(random, number % KINDS, is_keyed);
        let is_tcp = balance.starts_with("rdp-cookie");
        let factor = factor(random);
        let looks_at_load = balance == "leastconn" || is_consistent && !factor.is_empty();
        let mut plan = Self {
            text: String::new(),
            servers,
            is_tcp,
            is_keyed,
            held: match random.below(10) {
                // The end of a connection may be noticed later than by its client.
                _ if is_tcp => 0,
                0 => 10,
                _ if !looks_at_load => 0,
                1..4 => 4,
                4..8 => 15,
                _ => 40,
            },
        };
        plan.head();
        let factor = if is_tcp { "" } else { &factor };
        let backups = if all_backups { "option allbackups" } else { "" };
        for line in [&format!("balance {balance}"), &hash_type, factor, backups] {
            plan.line(line);
        }
        plan.servers(random, origins);
        plan
    }

    fn head(&mut self) {
        let mode = if self.is_tcp { "tcp" } else { "http" };
        self.text = HEAD.replace("MODE", mode);
        if self.is_tcp {
            self.line("tcp-request inspect-delay 5s");
            self.line("tcp-request content accept if { req.len gt 0 }");
        }
        self.text += "backend app\n";
    }

    fn line(&mut self, words: &str) {
        if !words.is_empty() {
            let _ = writeln!(self.text, "    {words}");
        }
    }

    fn servers(&mut self, random: &mut Random, origins: &[SocketAddr]) {
        let (weights, ids) = (random.below(WEIGHTS), random.below(6));
        let backups = random.one_of(&[0, 0, 0, 0, 0, 20, 50, 100]);
        let disabled = random.one_of(&[0, 0, 5, 30]);
        let everybody = random.below(257);
        if weights == 1 {
            self.line(&format!("default-server weight {everybody}"));
        }
        for (number, origin) in (1..=self.servers).zip(origins) {
            let mut text = format!("server s{number} {origin}");
            if let Some(id) = id(random, ids, number) {
                let _ = write!(text, " id {id}");
            }
            if let Some(weight) = weight(random, weights) {
                let _ = write!(text, " weight {weight}");
            }
            for (chance, word) in [(backups, " backup"), (disabled, " disabled")] {
                if random.percent(chance) {
                    text += word;
                }
            }
            self.line(&text);
        }
    }
}

/// Without `http-no-delay` the head of an answer that is held open takes 200 ms.
const HEAD: &str = "\
global
    nbthread 1
    stats socket ipv4@CONTROL level admin
defaults
    mode MODE
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    option http-no-delay
frontend web
    bind LISTEN accept-proxy
    default_backend app
";

fn hash_type(random: &mut Random) -> String {
    let method = random.one_of(&["", "map-based", "consistent", "consistent", "consistent"]);
    if method.is_empty() {
        return String::new();
    }
    let function = random.one_of(&["", "", " sdbm", " djb2", " wt6", " crc32"]);
    let modifier = match random.below(30) {
        // Refused if it is in the place of the function.
        0 => " avalanche",
        _ if function.is_empty() => "",
        _ => random.one_of(&["", " avalanche"]),
    };
    format!("hash-type {method}{function}{modifier}")
}

fn factor(random: &mut Random) -> String {
    let factor = match random.below(20) {
        0..10 => return String::new(),
        // The last two are refused.
        10 => random.one_of(&[0, 65_535, 50, 100]),
        _ => random.one_of(&[101, 110, 125, 150, 200, 400]),
    };
    format!("hash-balance-factor {factor}")
}

/// The number of kinds of `balance` lines.
pub(super) const KINDS: u64 = 16;

fn balance(random: &mut Random, kind: u64, is_keyed: bool) -> String {
    match kind {
        0 | 1 => "roundrobin".into(),
        2 | 3 => "static-rr".into(),
        4 | 5 => "leastconn".into(),
        6 => "first".into(),
        7 => "source".into(),
        8 | 9 => uri(random),
        10 => format!("url_param {}", random.one_of(&["u", "u", "user"])),
        11 | 12 => {
            let name = random.one_of(&["x-a", "X-A", "Host", "host", "x-b", "cookie"]);
            let domain = random.one_of(&["", " use_domain_only"]);
            format!("hdr({name}){domain}")
        }
        13 => random.one_of(&["rdp-cookie", "rdp-cookie(id)"]).into(),
        _ if is_keyed => {
            let always = ["src", "path", "url", "base32+src", "src,ipmask(24,64)"];
            format!("hash {}", random.one_of(&always))
        }
        _ => format!("hash {}", key(random, Kind::Text(None), Stage::Request)),
    }
}

fn uri(random: &mut Random) -> String {
    let mut text = String::from("uri");
    for _ in 0..random.below(4) {
        let number = random.one_of(&[1, 1, 2, 3, 5, 12, 100]);
        let _ = match random.below(4) {
            0 => write!(text, " len {number}"),
            1 => write!(text, " depth {number}"),
            2 => write!(text, " whole"),
            _ => write!(text, " path-only"),
        };
    }
    text
}

/// The number of ways in which weights are given.
const WEIGHTS: usize = 7;

fn weight(random: &mut Random, way: usize) -> Option<usize> {
    match way {
        0 | 1 => None,
        2 => Some(random.below(257)),
        3 => Some(random.below(4)),
        4 => Some(12 * (1 + random.below(21))),
        5 => Some(random.one_of(&[1, 1, 1, 2, 100, 256])),
        _ => random.percent(50).then(|| random.below(257)),
    }
}

/// The id of a server, or none. Some are close to others modulo 2^20, which is all that
/// a ring takes of them.
fn id(random: &mut Random, way: usize, number: usize) -> Option<usize> {
    match way {
        0..2 => None,
        // Twice the same is refused, which is seldom worth it.
        2 => random
            .percent(20)
            .then(|| number + random.below(2) * SERVERS),
        3 => Some(SERVERS + 1 - number),
        4 => Some(number * 17 + (random.below(2) << 20)),
        _ => random
            .percent(60)
            .then(|| MOST_ID - random.below(1 << 30) / SERVERS * SERVERS - number),
    }
}
