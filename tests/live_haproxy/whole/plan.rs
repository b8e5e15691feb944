//! What is to be played: a configuration and, in lines that begin with `#:`, what its
//! clients, servers and operators do.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::support;
use crate::support::configuration::{Folder, published};

use super::servers::Manner;

/// Configurations of this check, one for each idea.
const OWN: &[(&str, &str)] = &[
    ("ages", include_str!("configs/ages.cfg")),
    ("checks-404", include_str!("configs/checks-404.cfg")),
    ("connections", include_str!("configs/connections.cfg")),
    ("dynamic", include_str!("configs/dynamic.cfg")),
    (
        "first-and-backup",
        include_str!("configs/first-and-backup.cfg"),
    ),
    ("hash-header", include_str!("configs/hash-header.cfg")),
    ("hash-uri", include_str!("configs/hash-uri.cfg")),
    (
        "indirect-postonly",
        include_str!("configs/indirect-postonly.cfg"),
    ),
    ("many-backends", include_str!("configs/many-backends.cfg")),
    ("no-redispatch", include_str!("configs/no-redispatch.cfg")),
    ("persist-rules", include_str!("configs/persist-rules.cfg")),
    ("prefix", include_str!("configs/prefix.cfg")),
    ("preserve", include_str!("configs/preserve.cfg")),
    ("redispatch", include_str!("configs/redispatch.cfg")),
    ("retry-on", include_str!("configs/retry-on.cfg")),
    ("rewrite", include_str!("configs/rewrite.cfg")),
    ("rules", include_str!("configs/rules.cfg")),
    ("stick-cookie", include_str!("configs/stick-cookie.cfg")),
    ("stick-counters", include_str!("configs/stick-counters.cfg")),
    ("stick-param", include_str!("configs/stick-param.cfg")),
    (
        "stick-two-farms",
        include_str!("configs/stick-two-farms.cfg"),
    ),
    ("tcp-desk", include_str!("configs/tcp-desk.cfg")),
    ("tcp-source", include_str!("configs/tcp-source.cfg")),
    ("use-server", include_str!("configs/use-server.cfg")),
];

/// The published ones, with what is to be said of them.
const PUBLISHED: &[(&str, &str)] = &[
    (
        "01-cookie-insert",
        "cookies SERVER_USED=s1 SERVER_USED=s2 SERVER_USED=s3\n\
         order set server servers/s1 state drain\norder set server servers/s1 state ready\n\
         order set server servers/s2 state maint\norder set server servers/s2 state ready",
    ),
    (
        "02-cookie-dynamic",
        "cookies SERVER_USED=0123456789abcdef\n\
         order set server servers/s1 state maint\norder set server servers/s1 state ready",
    ),
    (
        "03-stick-on-src-tcp",
        "order clear table servers\norder set server servers/s1 weight 3",
    ),
    (
        "04-frontend-headers",
        "field X-Forwarded-For: 192.0.2.7\nfield X-Forwarded-Port: 1\n\
         order clear table servers\norder set server servers/server1 state drain\n\
         order set server servers/server1 state ready",
    ),
    (
        "05-production-cookie-peers",
        "cookies SRVID=app1 SRVID=app2 SRVID=app3\n\
         order clear table be_app\norder set server be_app/app1 state drain\n\
         order set server be_app/app1 state ready",
    ),
    (
        "06-stick-on-header",
        "field X-Tenant-Id: a\nfield X-Tenant-Id: b\nfield x-tenant-id: c, d\n\
         field X-TENANT-ID: \norder clear table be_app key a\n\
         order set table be_app key b data.server_id 2",
    ),
    (
        "07-balance-source-consistent",
        "order set server be_app/app1 weight 50%\norder set server be_app/app1 weight 100%\n\
         order set server be_app/app2 state drain\norder set server be_app/app2 state ready",
    ),
    (
        "08-listen",
        "cookies SRVNAME=SA SRVNAME=SB SRVNAME=SC\nfield X-Forwarded-For: 192.0.2.7\n\
         order set server my_website_name/ServerA state drain\n\
         order set server my_website_name/ServerA state ready",
    ),
];

/// A configuration and what happens around it.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) name: String,
    /// With the ports that are written there.
    pub(super) text: String,
    /// Field lines that requests may have, cookies left out.
    pub(super) fields: Vec<String>,
    /// What stands in `Cookie` fields of clients that make them up.
    pub(super) cookies: Vec<String>,
    pub(super) targets: Vec<String>,
    pub(super) methods: Vec<String>,
    /// What servers may be told to do; see [`DO`](super::servers::DO).
    pub(super) answers: Vec<String>,
    /// Runtime commands.
    pub(super) orders: Vec<String>,
    pub(super) manners: Vec<Manner>,
    /// Its cookies tell the time.
    pub(super) is_timed: bool,
    /// Clients send requests in one piece: see `docs/differences.md` about bodies that come
    /// later.
    pub(super) is_whole: bool,
    /// Clients speak RDP.
    pub(super) is_desk: bool,
    /// So many clients wait at the same time.
    pub(super) crowd: usize,
}

impl Plan {
    /// All of them.
    pub(super) fn all() -> Vec<Self> {
        let published = PUBLISHED.iter().map(|(name, lines)| {
            let text = std::fs::read_to_string(published(name)).expect("it is published");
            let mut plan = Self::new(name, in_service(&text));
            plan.read(lines.lines());
            plan
        });
        let own = OWN.iter().map(|(name, text)| {
            let mut plan = Self::new(name, (*text).to_owned());
            plan.read(text.lines().filter_map(|line| line.strip_prefix("#: ")));
            plan
        });
        published.chain(own).collect()
    }

    fn new(name: &str, text: String) -> Self {
        Self {
            name: name.to_owned(),
            text,
            ..Self::default()
        }
    }

    fn read<'l>(&mut self, lines: impl Iterator<Item = &'l str>) {
        for line in lines {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let words = || rest.split(' ').map(str::to_owned);
            match word {
                "field" => self.fields.push(rest.to_owned()),
                "answer" => self.answers.push(rest.to_owned()),
                "order" => self.orders.push(rest.to_owned()),
                "cookies" => self.cookies.extend(words()),
                "targets" => self.targets.extend(words()),
                "methods" => self.methods.extend(words()),
                "manners" => self.manners.extend(rest.split(' ').map(manner)),
                "timed" => self.is_timed = true,
                "whole" => self.is_whole = true,
                "desk" => self.is_desk = true,
                "crowd" => self.crowd = rest.parse().expect("a number"),
                _ => panic!("{}: no such word: {line}", self.name),
            }
        }
        if self.targets.is_empty() {
            let targets = ["/", "/app/page?x=1", "/static/logo.png", "/a/b/c?id=7&y=2"];
            self.targets = targets.map(str::to_owned).into();
        }
        if self.methods.is_empty() {
            self.methods = [
                "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS",
            ]
            .map(str::to_owned)
            .into();
        }
        if self.manners.is_empty() {
            use Manner::{Answers, Closes, ClosesInBody, ClosesInHead, Killed, Slow};
            self.manners = vec![
                Killed,
                Slow,
                Answers(500),
                Closes,
                ClosesInHead,
                ClosesInBody,
            ];
        }
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.lines().map(str::trim)
    }

    fn ports(&self, prefix: &str) -> Vec<u16> {
        let mut ports: Vec<u16> = self
            .lines()
            .filter(|line| line.starts_with(prefix))
            .filter_map(|line| {
                let end = line.split_once(':')?.1;
                let digits = end.split(|char: char| !char.is_ascii_digit()).next()?;
                digits.parse().ok()
            })
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// Where its frontends listen.
    pub(super) fn listen(&self) -> Vec<u16> {
        self.ports("bind ")
    }

    /// Where its servers are.
    pub(super) fn servers(&self) -> Vec<u16> {
        self.ports("server ")
    }

    /// Every line with the section it is in.
    fn lines_of_sections(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut section = "";
        self.lines().filter_map(move |line| {
            let mut words = line.split_whitespace();
            match words.next()? {
                "backend" | "listen" | "frontend" => section = words.next().unwrap_or_default(),
                "defaults" | "global" | "peers" => section = "",
                _ => return Some((section, line)),
            }
            None
        })
    }

    fn has_line(&self, backend: &str, is_it: impl Fn(&str) -> bool) -> bool {
        let mut lines = self.lines_of_sections();
        lines.any(|(section, line)| (section == backend || section.is_empty()) && is_it(line))
    }

    /// Its stick tables.
    pub(super) fn tables(&self) -> Vec<String> {
        let lines = self.lines_of_sections();
        let tables = lines.filter(|(_, line)| line.starts_with("stick-table"));
        tables.map(|(section, _)| section.to_owned()).collect()
    }

    /// Whether a backend asks its servers over HTTP.
    pub(super) fn checks_by_http(&self, backend: &str) -> bool {
        self.has_line(backend, |line| line.starts_with("option httpchk"))
    }

    /// Whether a server is checked.
    pub(super) fn is_checked(&self, backend: &str, server: &str) -> bool {
        let place = format!("server {server} ");
        self.has_line(backend, |line| {
            let is_about = line.starts_with(&place) || line.starts_with("default-server ");
            is_about && line.split(' ').any(|word| word == "check")
        })
    }

    /// The text with what is only known now: ports, files and where to log.
    pub(super) fn moved(
        &self,
        ports: &BTreeMap<u16, SocketAddr>,
        log: SocketAddr,
        folder: &Folder,
    ) -> String {
        let mut text = format!(
            "global\n    nbthread 1\n    stats socket {} level admin\n    log {log} local0\n",
            folder.file("stats.sock").display()
        );
        for line in self.text.lines() {
            let words = line.trim();
            if words.starts_with("#:") || words.starts_with("stats socket") {
                continue;
            }
            text.extend([line, "\n"]);
        }
        with_ports(&text, |port| ports.get(&port).map(SocketAddr::port))
    }

    /// Free ports for what is not shared.
    pub(super) fn free_ports(&self) -> BTreeMap<u16, SocketAddr> {
        let peers = self.ports("peer ");
        let ports = self.listen().into_iter().chain(peers);
        ports.map(|port| (port, support::free_address())).collect()
    }
}

/// The text with other numbers behind colons.
pub(super) fn with_ports(text: &str, other: impl Fn(u16) -> Option<u16>) -> String {
    let mut parts = text.split(':');
    let mut moved = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|char: char| !char.is_ascii_digit());
        let (digits, rest) = part.split_at(end.unwrap_or(part.len()));
        let port = digits.parse().ok().and_then(&other);
        let digits = port.map_or(digits.to_owned(), |port| port.to_string());
        moved.extend([":", &digits, rest]);
    }
    moved
}

fn manner(word: &str) -> Manner {
    match word {
        "kill" => Manner::Killed,
        "slow" => Manner::Slow,
        "close" => Manner::Closes,
        "close-in-head" => Manner::ClosesInHead,
        "close-in-body" => Manner::ClosesInBody,
        status => Manner::Answers(status.parse().expect("a manner or a status")),
    }
}

/// Told to log, and to check more often than every two seconds.
fn in_service(text: &str) -> String {
    let mut told = String::new();
    let is_tcp = text.contains("mode tcp");
    for line in text.lines() {
        let often = " check inter 200ms fastinter 100ms downinter 100ms ";
        if line.trim_start().starts_with("server ") {
            told.push_str(&format!("{line} ").replace(" check ", often));
        } else {
            told.push_str(line);
        }
        told.push('\n');
        let section = line.split(' ').next().unwrap_or_default();
        if matches!(section, "frontend" | "listen") {
            let format = if is_tcp { "tcplog" } else { "httplog" };
            told.extend(["    log global\n    option ", format, "\n"]);
        }
        if matches!(section, "backend" | "listen") {
            told.push_str("    timeout check 20s\n");
        }
    }
    told
}
