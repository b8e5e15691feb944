//! Random configurations.

use std::fmt::Write;
use std::net::SocketAddr;

use super::expressions::{self, Stage};
use crate::generator::Random;

/// A configuration without what is different in both programs: `LISTEN0` and the like,
/// `PEER` and `SOCKET`.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) text: String,
    /// In mode tcp, with nothing about HTTP.
    pub(super) is_tcp: bool,
    pub(super) frontends: usize,
    pub(super) farms: Vec<Farm>,
    pub(super) tables: Vec<Table>,
}

/// A backend.
#[derive(Debug)]
pub(super) struct Farm {
    pub(super) name: String,
    /// Names of its servers.
    pub(super) servers: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) stored: Vec<&'static str>,
}

/// The type of a table, with the length of its keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Ip,
    Ipv6,
    Integer,
    Text(Option<usize>),
    Binary(Option<usize>),
}

/// The most servers of a backend, and the most backends.
pub(super) const SERVERS: usize = 4;
pub(super) const FARMS: usize = 3;

impl Plan {
    /// Each server of each backend has an origin of its own.
    pub(super) fn new(random: &mut Random, origins: &[SocketAddr]) -> Self {
        let farms = (0..=random.below(FARMS)).map(|number| {
            let prefix = random.one_of(&["s", "s", "t"]);
            let servers = 1..=2 + random.below(SERVERS - 1);
            Farm {
                name: format!("b{number}"),
                servers: servers.map(|server| format!("{prefix}{server}")).collect(),
            }
        });
        let farms: Vec<Farm> = farms.collect();
        let is_tcp = random.percent(12);
        let mode = if is_tcp { "tcp" } else { "http" };
        let mut plan = Self {
            text: GLOBAL.replace("MODE", mode),
            is_tcp,
            frontends: 1 + random.below(2),
            farms,
            tables: Vec::new(),
        };
        let declarations = plan.declare_tables(random);
        for number in 0..plan.frontends {
            plan.frontend(random, number);
        }
        for (number, table) in declarations.iter().take(plan.farms.len()).enumerate() {
            plan.backend(random, number, table, origins);
        }
        if let Some(table) = declarations.get(plan.farms.len()) {
            let _ = write!(plan.text, "backend only\n{table}");
        }
        plan
    }

    /// Gives the `stick-table` line of each backend, and perhaps one for a section that
    /// has nothing else.
    fn declare_tables(&mut self, random: &mut Random) -> Vec<String> {
        let mut peers = String::new();
        for number in 0..random.one_of(&[0, 0, 1, 2]) {
            let (table, arguments) = table(random, format!("mates/t{number}"));
            let _ = writeln!(peers, "    table t{number} {arguments}");
            self.tables.push(table);
        }
        let is_shared = !peers.is_empty() || random.percent(30);
        if is_shared {
            let _ = write!(self.text, "peers mates\n    peer lb1 PEER\n{peers}");
        }
        let mut names: Vec<String> = self.farms.iter().map(|farm| farm.name.clone()).collect();
        if random.percent(30) {
            names.push("only".into());
        }
        let mut lines = Vec::new();
        for name in names {
            let (table, mut arguments) = table(random, name);
            if is_shared && random.percent(30) {
                arguments += " peers mates";
            }
            // The last one makes sure that there are tables at all.
            if table.name == "only" || self.tables.is_empty() || random.percent(75) {
                self.tables.push(table);
                lines.push(format!("    stick-table {arguments}\n"));
            } else {
                lines.push(String::new());
            }
        }
        lines
    }

    /// What a rule of mode http can ask about, unless this is mode tcp.
    fn stage(&self, is_response: bool) -> Stage {
        match is_response {
            _ if self.is_tcp => Stage::Connection,
            true => Stage::Response,
            false => Stage::Request,
        }
    }

    fn frontend(&mut self, random: &mut Random, number: usize) {
        let (acls, lines) = expressions::acls(random, self.stage(false));
        let _ = write!(
            self.text,
            "frontend f{number}\n    bind LISTEN{number} accept-proxy\n{lines}"
        );
        if !self.is_tcp {
            self.text += &rules(random, &acls);
        }
        for _ in 0..random.below(4) {
            let target = random.below(self.farms.len());
            let condition = expressions::condition(random, &acls, self.stage(false));
            let _ = writeln!(self.text, "    use_backend b{target}{condition}");
        }
        let target = random.below(self.farms.len());
        let _ = writeln!(self.text, "    default_backend b{target}");
    }

    fn backend(&mut self, random: &mut Random, number: usize, table: &str, origins: &[SocketAddr]) {
        let (acls, lines) = expressions::acls(random, self.stage(false));
        let mut text = format!("backend b{number}\n{lines}{table}");
        text += &settings(random, self.is_tcp);
        let persist_rules = random.one_of(&[0, 0, 1, 1, 2]);
        if !self.is_tcp && persist_rules == 0 {
            // Persist rules are asked before those on messages; see docs/differences.md.
            text += &rules(random, &acls);
        }
        for _ in 0..=random.below(5) {
            let own = (!table.is_empty()).then_some(number);
            text += &self.stick(random, own, &acls);
        }
        let farm = &self.farms[number];
        for _ in 0..persist_rules {
            let force = random.one_of(&["force", "ignore"]);
            let condition = expressions::condition(random, &acls, self.stage(false));
            let _ = writeln!(text, "    {force}-persist{condition}");
        }
        for _ in 0..random.one_of(&[0, 0, 1]) {
            let server = &farm.servers[random.below(farm.servers.len())];
            let condition = expressions::condition(random, &acls, self.stage(false));
            let _ = writeln!(text, "    use-server {server}{condition}");
        }
        text += &servers(random, farm, &origins[number * SERVERS..]);
        self.text += &text;
    }

    fn stick(&self, random: &mut Random, own: Option<usize>, acls: &[String]) -> String {
        let name = own.map(|number| format!("b{number}"));
        let own = self
            .tables
            .iter()
            .find(|table| Some(&table.name) == name.as_ref());
        let own = own.filter(|_| random.percent(70));
        let other = &self.tables[random.below(self.tables.len())];
        let table = own.unwrap_or(other);
        let place = match own {
            Some(_) => String::new(),
            None => format!(" table {}", table.name),
        };
        let kinds = [
            "on",
            "on",
            "on",
            "match",
            "match",
            "store-request",
            "store",
            "store-response",
            "store-response",
        ];
        let kind = random.one_of(&kinds);
        let stage = self.stage(kind == "store-response");
        let key = expressions::key(random, table.kind, stage);
        let condition = expressions::maybe(random, acls, stage);
        format!("    stick {kind} {key}{place}{condition}\n")
    }
}

const GLOBAL: &str = "\
global
    nbthread 1
    stats socket SOCKET level admin
defaults
    mode MODE
    timeout connect 100ms
    timeout client 60s
    timeout server 60s
";

/// A table and its arguments.
fn table(random: &mut Random, name: String) -> (Table, String) {
    let kind = match random.below(10) {
        0..3 => Kind::Ip,
        3 => Kind::Ipv6,
        4 => Kind::Integer,
        5..8 => Kind::Text(random.one_of(&[None, Some(1), Some(4), Some(8), Some(40)])),
        _ => Kind::Binary(random.one_of(&[None, Some(1), Some(4), Some(8), Some(20)])),
    };
    let mut stored = Vec::new();
    for data in ["gpc0", "gpt0", "conn_cnt", "gpc1", "bytes_in_cnt"] {
        if random.percent(12) {
            stored.push(data);
        }
    }
    let mut arguments = vec![
        format!("type {}", kind.words()),
        random.one_of(&["size 1k", "size 100k", "size 2000"]).into(),
    ];
    if random.percent(60) {
        arguments.push(
            random
                .one_of(&["expire 60s", "expire 30s", "expire 2m"])
                .into(),
        );
    }
    if random.percent(35) {
        arguments.push(
            random
                .one_of(&["srvkey addr", "srvkey addr", "srvkey name"])
                .into(),
        );
    }
    if !stored.is_empty() {
        arguments.push(format!("store {}", stored.join(",")));
    }
    if random.percent(10) {
        arguments.push("store http_req_rate(10s),server_id".into());
    }
    if random.percent(10) {
        arguments.push("nopurge".into());
    }
    (Table { name, kind, stored }, arguments.join(" "))
}

impl Kind {
    fn words(self) -> String {
        let (name, length) = match self {
            Self::Ip => ("ip", None),
            Self::Ipv6 => ("ipv6", None),
            Self::Integer => ("integer", None),
            Self::Text(length) => ("string", length),
            Self::Binary(length) => ("binary", length),
        };
        length.map_or(name.into(), |length| format!("{name} len {length}"))
    }
}

/// Rules on messages, which stick rules come before or after.
fn rules(random: &mut Random, acls: &[String]) -> String {
    const REQUEST: &[&str] = &[
        "set-header x-a %[path]",
        "add-header x-a %[src]",
        "add-header x-b b",
        "del-header x-b",
        "set-header x-ip 10.0.0.9",
        "set-header cookie SRV=c2",
        "del-header cookie",
        "deny",
        "return status 200",
    ];
    const RESPONSE: &[&str] = &[
        "set-header x-sess changed",
        "del-header x-sess",
        "add-header set-cookie sess=added",
        "deny",
    ];
    let mut text = String::new();
    for _ in 0..random.one_of(&[0, 0, 0, 1, 2]) {
        let is_response = random.percent(35);
        let (ruleset, actions, stage) = if is_response {
            ("http-response", RESPONSE, Stage::Response)
        } else {
            ("http-request", REQUEST, Stage::Request)
        };
        let action = random.one_of(actions);
        let mut condition = expressions::condition(random, acls, stage);
        // The example does not ask about the connection at the response.
        while is_response && condition.contains("src") {
            condition = expressions::condition(random, acls, stage);
        }
        // Rules that turn most requests away leave nothing to compare.
        let condition = match action {
            "deny" | "return status 200" => condition.replace("unless", "if"),
            _ => condition,
        };
        let _ = writeln!(text, "    {ruleset} {action}{condition}");
    }
    text
}

fn settings(random: &mut Random, is_tcp: bool) -> String {
    let balance = [
        "roundrobin",
        "roundrobin",
        "roundrobin",
        "source",
        "static-rr",
        "first",
        "leastconn",
        "hdr(x-a)",
        "uri",
        "url_param u",
        "hdr(cookie)",
    ];
    // The end of a connection may be noticed later than by its client.
    let balance = if is_tcp { &balance[..6] } else { &balance };
    let mut text = format!("    balance {}\n", random.one_of(balance));
    let mut line = |chance, lines: &[&str]| {
        if random.percent(chance) {
            let _ = writeln!(text, "    {}", random.one_of(lines));
        }
    };
    line(25, &["hash-type consistent", "hash-type map-based"]);
    line(40, &["retries 1", "retries 2", "retries 0"]);
    line(
        40,
        &[
            "option redispatch",
            "option redispatch",
            "option redispatch 1",
            "no option redispatch",
        ],
    );
    line(25, &["option persist"]);
    line(15, &["option allbackups"]);
    line(
        if is_tcp { 0 } else { 55 },
        &[
            "cookie SRV insert indirect nocache",
            "cookie SRV insert indirect nocache",
            "cookie SRV insert",
            "cookie SRV insert indirect preserve",
            "cookie SRV rewrite",
            "cookie sid prefix",
            "cookie SRV",
        ],
    );
    text
}

fn servers(random: &mut Random, farm: &Farm, origins: &[SocketAddr]) -> String {
    let mut text = String::new();
    let mut ids: Vec<u32> = vec![1, 2, 3, 4, 5, 10, 11, 77];
    for (number, (name, origin)) in farm.servers.iter().zip(origins).enumerate() {
        let _ = write!(text, "    server {name} {origin}");
        if random.percent(25) {
            let id = ids.swap_remove(random.below(ids.len()));
            let _ = write!(text, " id {id}");
        }
        if random.percent(40) {
            let _ = write!(text, " weight {}", random.one_of(&[0, 1, 2, 5, 100]));
        }
        if random.percent(70) {
            let value = random.one_of(&[number + 1, number + 1, number + 1, 1]);
            let _ = write!(text, " cookie c{value}");
        }
        for (chance, word) in [(20, " backup"), (8, " disabled"), (10, " non-stick")] {
            if random.percent(chance) {
                text += word;
            }
        }
        text.push('\n');
    }
    text
}
