//! Checks across lines and sections, made when everything has been read.

use std::collections::HashMap;

use super::finding::{Finding, FindingKind};
use super::location::Word;
use super::pages::{self, HttpErrors};
use super::peers::Peers;
use super::proxy::{Mode, Proxy, Timeout};
use super::stats::StatsPage;
use super::targets::{self, TableUse};

/// Checks everything, and leaves out what has no effect.
pub(super) fn all(
    proxies: &mut [Proxy],
    peers: &[Peers],
    reads: &[TableUse],
    local_peer: Option<&str>,
    findings: &mut Vec<Finding>,
) {
    unique_names(proxies, peers, findings);
    targets::check(proxies, peers, reads, findings);
    for proxy in proxies.iter_mut() {
        unique_servers(proxy, findings);
        modes(proxy, findings);
        findings.extend(proxy.stats.as_ref().and_then(StatsPage::check));
        if !proxy.disabled {
            doubts(proxy, findings);
        }
        leave_out(proxy);
    }
    for section in peers {
        unique_peers(section, findings);
        local(section, local_peer, findings);
    }
}

/// Checks the sections of error pages, and those who name them.
pub(super) fn pages(proxies: &[Proxy], sections: &[HttpErrors], findings: &mut Vec<Finding>) {
    let mut names = Names::default();
    for section in sections {
        let name = Word {
            bytes: section.name.value.clone().into_bytes(),
            location: section.name.location.clone(),
        };
        names.is_taken(&name, "http-errors section", findings);
    }
    pages::check(proxies, sections, findings);
}

/// Frontends and backends may share a name; two of a kind may not.
fn unique_names(proxies: &[Proxy], peers: &[Peers], findings: &mut Vec<Finding>) {
    let mut fronts = Names::default();
    let mut backs = Names::default();
    let mut ids = Names::default();
    for proxy in proxies {
        let name = proxy.place();
        let front = proxy.kind.is_frontend() && fronts.is_taken(&name, "section", findings);
        if proxy.kind.is_backend() && !front {
            backs.is_taken(&name, "section", findings);
        }
        if let Some(id) = &proxy.id {
            let word = Word {
                bytes: id.value.to_string().into_bytes(),
                location: id.location.clone(),
            };
            ids.is_taken(&word, "section with this id", findings);
        }
    }
    let mut sections = Names::default();
    for section in peers {
        let name = Word {
            bytes: section.name.value.clone().into_bytes(),
            location: section.name.location.clone(),
        };
        sections.is_taken(&name, "peers section", findings);
    }
}

/// Names that have been seen, and where.
#[derive(Default)]
struct Names(HashMap<Vec<u8>, Word>);

impl Names {
    /// Tells of a name that is there already.
    fn is_taken(&mut self, name: &Word, what: &str, findings: &mut Vec<Finding>) -> bool {
        if let Some(first) = self.0.get(&name.bytes) {
            let message = format!(
                "another {what} is at {}; expected a unique one",
                first.location
            );
            findings.push(Finding::error(FindingKind::Conflict, name, message));
            return true;
        }
        self.0.insert(name.bytes.clone(), name.clone());
        false
    }
}

fn unique_servers(proxy: &Proxy, findings: &mut Vec<Finding>) {
    let (mut names, mut ids) = (Names::default(), Names::default());
    for server in &proxy.backend.servers {
        names.is_taken(&server.name, "server of this name", findings);
        if let Some(id) = &server.settings.id {
            let word = Word {
                bytes: id.value.to_string().into_bytes(),
                location: id.location.clone(),
            };
            ids.is_taken(&word, "server with this id", findings);
        }
    }
}

fn unique_peers(section: &Peers, findings: &mut Vec<Finding>) {
    let (mut names, mut tables) = (Names::default(), Names::default());
    for peer in &section.peers {
        names.is_taken(&peer.name, "peer of this name", findings);
    }
    for table in &section.tables {
        tables.is_taken(&table.name, "table of this name", findings);
    }
}

fn local(section: &Peers, local: Option<&str>, findings: &mut Vec<Finding>) {
    let Some(local) = local else { return };
    if section.disabled || section.peers.iter().any(|peer| peer.name.is(local)) {
        return;
    }
    let word = Word {
        bytes: section.name.value.clone().into_bytes(),
        location: section.name.location.clone(),
    };
    let message =
        format!("the section is not used: no peer in it is named '{local}', as the local one is");
    findings.push(Finding::warning(FindingKind::Doubtful, &word, message));
}

/// What TCP mode has no use for.
fn modes(proxy: &mut Proxy, findings: &mut Vec<Finding>) {
    if proxy.mode == Mode::Http || proxy.disabled {
        return;
    }
    let title = proxy.title();
    let mut warn = |word: &Word, what: &str| {
        let message = format!("{what}: {title} is not in mode http");
        findings.push(Finding::warning(FindingKind::Misplaced, word, message));
    };
    if let Some(rule) = proxy.rules.iter().find(|rule| rule.ruleset.is_http()) {
        warn(&rule.action, "rules on HTTP messages have no effect");
    }
    proxy.rules.retain(|rule| !rule.ruleset.is_http());
    if let Some(page) = proxy.stats.take() {
        warn(&page.place, "a page of statistics has no effect");
    }
    if let Some(target) = proxy.frontend.monitor_uri.take() {
        warn(&target, "monitor-uri has no effect");
    }
    if !proxy.kind.is_backend() {
        return;
    }
    if let Some(cookie) = proxy.backend.cookie.take() {
        let location = cookie.location;
        warn(
            &Word {
                bytes: b"cookie".to_vec(),
                location,
            },
            "has no effect",
        );
    }
    let needs_http = |words: &Vec<Word>| {
        let name = words.first().map_or("", Word::text);
        name == "uri" || name == "url_param" || name.starts_with("hdr(")
    };
    if let Some(balance) = proxy
        .backend
        .balance
        .take_if(|balance| needs_http(&balance.value))
    {
        warn(&balance.value[0], "roundrobin is used instead");
    }
}

/// What is accepted and probably not meant.
fn doubts(proxy: &Proxy, findings: &mut Vec<Finding>) {
    let place = proxy.place();
    if proxy.kind.is_frontend() && proxy.frontend.binds.is_empty() {
        let message = format!(
            "{} has no bind line, so no client comes to it",
            proxy.title()
        );
        findings.push(Finding::warning(FindingKind::Doubtful, &place, message));
    }
    let missing = missing_timeouts(proxy);
    if !missing.is_empty() {
        let message = format!(
            "{} has no timeout {}; expected all of them",
            proxy.title(),
            missing.join(", ")
        );
        findings.push(Finding::warning(FindingKind::Doubtful, &place, message));
    }
    let backend = &proxy.backend;
    let check = backend.check.as_ref().map_or("", |check| check.kind.text());
    let option = |keyword: &Word| {
        if keyword.is("http-check") {
            "httpchk"
        } else {
            "tcp-check"
        }
    };
    let unused = backend
        .check_rules
        .iter()
        .find(|words| check != option(&words[0]));
    if let (true, Some(words)) = (proxy.kind.is_backend(), unused) {
        let message = format!("has no effect without option {}", option(&words[0]));
        findings.push(Finding::warning(FindingKind::Doubtful, &words[0], message));
    }
}

fn missing_timeouts(proxy: &Proxy) -> Vec<&'static str> {
    let has_servers = proxy.kind.is_backend() && !proxy.backend.servers.is_empty();
    let needed = [
        (Timeout::Client, "client", proxy.kind.is_frontend()),
        (Timeout::Connect, "connect", has_servers),
        (Timeout::Server, "server", has_servers),
    ];
    needed
        .into_iter()
        .filter(|(timeout, _, is_needed)| *is_needed && proxy.timeout(*timeout).is_none())
        .map(|(_, name, _)| name)
        .collect()
}

/// What was warned about as without effect, or belongs to the other side.
fn leave_out(proxy: &mut Proxy) {
    if !proxy.kind.is_backend() {
        proxy.backend = super::proxy::BackendSettings::default();
    }
    if !proxy.kind.is_frontend() {
        proxy.frontend = super::proxy::FrontendSettings::default();
    }
}
