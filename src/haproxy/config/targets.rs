//! Whether what one section names exists in another.

use std::collections::{HashMap, HashSet};

use super::finding::{Finding, FindingKind};
use super::location::{Located, Word};
use super::peers::Peers;
use super::proxy::{Mode, Proxy, StickLine};
use super::rules::fixed;
use super::store::StoredData;
use super::suggest::nearest;
use super::table::TableLine;
use crate::haproxy::expression::Reference;

/// A stick table that an expression reads.
pub(super) struct TableUse {
    /// The name, where it is written or left out.
    name: Word,
    reference: Reference,
}

impl TableUse {
    /// Read at `place` in the section `own`.
    pub(super) fn new(own: &str, place: Word, reference: Reference) -> Self {
        let name = reference.table.as_deref().unwrap_or(own);
        let name = Word {
            bytes: name.as_bytes().to_vec(),
            location: place.location,
        };
        Self { name, reference }
    }
}

/// How many names are compared with one that does not exist: none after many findings,
/// so that the work stays bounded.
fn hints(findings: &[Finding]) -> usize {
    if findings.len() < 1_000 { 100 } else { 0 }
}

/// What can be named.
struct Names<'c> {
    backends: HashMap<&'c str, &'c Proxy>,
    /// `BACKEND/SERVER` is looked for by backend first.
    servers: HashMap<&'c str, HashMap<&'c [u8], &'c super::server::ServerLine>>,
    tables: HashMap<String, &'c TableLine>,
    peers: HashSet<&'c str>,
}

/// Checks every name in every section that is not disabled.
pub(super) fn check(
    proxies: &[Proxy],
    peers: &[Peers],
    reads: &[TableUse],
    findings: &mut Vec<Finding>,
) {
    let names = Names::of(proxies, peers);
    for proxy in proxies.iter().filter(|proxy| !proxy.disabled) {
        backends(proxy, &names, findings);
        servers(proxy, &names, findings);
        tables(proxy, &names, findings);
    }
    for read in reads {
        let found = table_use(read, &names, hints(findings));
        findings.extend(found);
    }
}

/// What is wrong with a table that is read: it is not there, or does not store it.
fn table_use(read: &TableUse, names: &Names<'_>, hints: usize) -> Option<Finding> {
    let Some(table) = names.tables.get(read.name.text()) else {
        return Some(names.unknown_table(&read.name, hints));
    };
    let mut needed = read.reference.question.stored().peekable();
    needed.peek()?;
    let types = table.store.iter().filter_map(StoredData::data_type);
    let stores = |(kind, element)| {
        types
            .clone()
            .any(|data| data.kind() == kind && element < data.len())
    };
    if needed.any(stores) {
        return None;
    }
    let message = format!(
        "the table does not store what {:?} reads, so there is 0 or no value",
        read.reference.of
    );
    Some(Finding::warning(FindingKind::Doubtful, &read.name, message))
}

/// Every table by its name, in the order of their sections; those of `peers` sections
/// are named `SECTION/TABLE`.
pub(super) fn tables_of<'c>(
    proxies: &'c [Proxy],
    peers: &'c [Peers],
) -> impl Iterator<Item = (String, Located<&'c TableLine>)> {
    let own = proxies.iter().filter_map(|proxy| {
        let table = proxy.stick_table.as_ref()?;
        Some((proxy.name.value.clone(), table.as_ref()))
    });
    let shared = peers.iter().flat_map(|section| {
        section.tables.iter().map(|table| {
            let name = format!("{}/{}", section.name.value, table.name);
            (name, table.name.located(&table.table))
        })
    });
    own.chain(shared)
}

impl<'c> Names<'c> {
    fn of(proxies: &'c [Proxy], peers: &'c [Peers]) -> Self {
        let named = |proxy: &'c Proxy| (proxy.name.value.as_str(), proxy);
        let backends = proxies.iter().filter(|proxy| proxy.kind.is_backend());
        let servers = |proxy: &'c Proxy| {
            let servers = proxy.backend.servers.iter();
            let by_name = servers.map(|server| (server.name.bytes(), server));
            (proxy.name.value.as_str(), by_name.collect())
        };
        Self {
            backends: backends.clone().map(named).collect(),
            servers: backends.map(servers).collect(),
            tables: tables_of(proxies, peers)
                .map(|(name, table)| (name, table.value))
                .collect(),
            peers: peers
                .iter()
                .map(|section| section.name.value.as_str())
                .collect(),
        }
    }

    fn unknown_table(&self, name: &Word, hints: usize) -> Finding {
        let known = self.tables.keys().map(String::as_str).take(hints);
        unknown(name, "stick table", &known.collect::<Vec<_>>())
    }
}

fn backends(proxy: &Proxy, names: &Names<'_>, findings: &mut Vec<Finding>) {
    let front = &proxy.frontend;
    for target in front
        .default_backend
        .iter()
        .chain(fixed(&front.use_backend))
    {
        let found = backend(proxy, target, names, hints(findings));
        findings.extend(found);
    }
}

fn backend(proxy: &Proxy, target: &Word, names: &Names<'_>, hints: usize) -> Option<Finding> {
    let Some(backend) = names.backends.get(target.text()) else {
        let known: Vec<_> = names.backends.keys().copied().take(hints).collect();
        return Some(unknown(target, "backend or listen section", &known));
    };
    if std::ptr::eq(*backend, proxy) {
        let message = "leads back to its own section; expected another one";
        return Some(Finding::error(FindingKind::Target, target, message));
    }
    if proxy.mode == Mode::Http && backend.mode == Mode::Tcp {
        let message = format!(
            "{} is not in mode http, as {} is",
            backend.title(),
            proxy.title()
        );
        return Some(Finding::error(FindingKind::Conflict, target, message));
    }
    None
}

fn servers(proxy: &Proxy, names: &Names<'_>, findings: &mut Vec<Finding>) {
    let own = names.servers.get(proxy.name.value.as_str());
    let own = own.filter(|_| proxy.kind.is_backend());
    for target in fixed(&proxy.backend.use_server) {
        if own.is_none_or(|own| !own.contains_key(target.bytes())) {
            let servers = proxy.backend.servers.iter().take(hints(findings));
            let known: Vec<_> = servers.map(|server| server.name.text()).collect();
            findings.push(unknown(target, "server in this section", &known));
        }
    }
    for server in &proxy.backend.servers {
        let settings = &server.settings;
        if let Some(track) = &settings.track {
            findings.extend(tracked(proxy, track, settings.check, names));
        }
    }
}

/// A server whose health is that of another.
fn tracked(proxy: &Proxy, track: &Word, is_checked: bool, names: &Names<'_>) -> Option<Finding> {
    let refuse = |kind, message: &str| Some(Finding::error(kind, track, message));
    let (section, name) = match track.text().split_once('/') {
        Some((section, name)) => (section, name),
        None => (proxy.name.value.as_str(), track.text()),
    };
    let found = names
        .servers
        .get(section)
        .and_then(|servers| servers.get(name.as_bytes()));
    let Some(server) = found else {
        return refuse(
            FindingKind::Target,
            "no such server; expected SERVER or BACKEND/SERVER",
        );
    };
    if is_checked {
        return refuse(
            FindingKind::Conflict,
            "check and track exclude each other; expected one of them",
        );
    }
    let settings = &server.settings;
    let is_watched = settings.check || settings.agent_check || settings.track.is_some();
    if is_watched {
        return None;
    }
    refuse(
        FindingKind::Conflict,
        "that server has neither check nor agent-check, so there is nothing to track",
    )
}

fn tables(proxy: &Proxy, names: &Names<'_>, findings: &mut Vec<Finding>) {
    let section = proxy.stick_table.as_ref();
    let section = section.and_then(|table| table.value.peers.as_ref());
    if let Some(section) = section.filter(|section| !names.peers.contains(section.text())) {
        let known: Vec<_> = names.peers.iter().copied().take(hints(findings)).collect();
        findings.push(unknown(section, "peers section", &known));
    }
    if proxy.kind.is_backend() {
        for rule in &proxy.backend.stick_rules {
            let found = stick_rule(proxy, rule, names, hints(findings));
            findings.extend(found);
        }
    }
}

/// What is wrong with the table of a stick rule.
fn stick_rule(proxy: &Proxy, rule: &StickLine, names: &Names<'_>, hints: usize) -> Option<Finding> {
    let name = rule.table_name(proxy);
    let Some(table) = names.tables.get(name) else {
        let word = rule.table.clone().unwrap_or_else(|| Word {
            bytes: name.as_bytes().to_vec(),
            location: rule.location.clone(),
        });
        return Some(names.unknown_table(&word, hints));
    };
    let (found, expected) = (rule.expression.output(), table.key_type);
    if expected.accepts(found) {
        return None;
    }
    let message = format!("gives {found}, which is no key of a table of type {expected}");
    Some(Finding::error(
        FindingKind::Conflict,
        &rule.words[0],
        message,
    ))
}

fn unknown(word: &Word, what: &str, known: &[&str]) -> Finding {
    let hint = nearest(word.text(), known)
        .map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
    let message = format!("there is no {what} of this name{hint}");
    Finding::error(FindingKind::Target, word, message)
}
