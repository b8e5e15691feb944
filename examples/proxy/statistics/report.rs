//! The rows of `show stat`: numbers of the proxy, and states that the library knows.

use std::thread;

use stickroute::haproxy::{ProcessInfo, StatBackend, StatRow, StatServer, StatSubject, Statistics};
use stickroute::{Backend, Farm, FarmServer, Now};

use super::counters::Count;
use super::ledger::{self, BackNumbers, Section};
use crate::service::site::Site;

impl Statistics for Site {
    fn rows(&self, now: Now) -> Vec<StatRow> {
        let sections = self.ledger.sections.iter();
        sections
            .flat_map(|section| rows_of(self, section, now))
            .collect()
    }

    fn process(&self, now: Now) -> ProcessInfo {
        let fronts = || {
            self.ledger
                .sections
                .iter()
                .filter_map(|section| section.front.as_ref())
        };
        let sum = |count| fronts().map(|front| front.counters.get(count)).sum();
        let started = self.ledger.started.mono();
        let mut process = ProcessInfo::default();
        process.name = "stickroute".into();
        process.version = env!("CARGO_PKG_VERSION").into();
        process.threads = thread::available_parallelism().map_or(1, usize::from);
        process.pid = std::process::id();
        process.uptime = now.mono().saturating_sub(started).as_secs();
        process.max_connections = self.ledger.max_connections;
        process.current_connections = sum(Count::Current);
        process.connections = sum(Count::Connections);
        process.requests = sum(Count::Requests);
        process.node = ledger::node();
        process
    }
}

/// The rows of one section: its frontend, its servers, its backend.
pub(super) fn rows_of(site: &Site, section: &Section, now: Now) -> Vec<StatRow> {
    let row = |subject| StatRow::new(&section.name, section.id, section.mode, subject);
    let mut rows = Vec::new();
    if let Some(front) = &section.front {
        let session_limit = front.limit;
        let mut row = row(StatSubject::Frontend { session_limit });
        row.counts = front.counters.snapshot();
        rows.push(row);
    }
    let Some(numbers) = &section.back else {
        return rows;
    };
    let backend = site.routing.backend(&section.name);
    let farm = backend.map(|backend| Backend::farm(backend));
    for server in farm.iter().flat_map(Farm::servers) {
        let mut row = row(StatSubject::Server(server_of(site, numbers, server, now)));
        if let Some(numbers) = numbers.servers.get(server.name()) {
            row.counts = numbers.counters.snapshot();
        }
        row.counts.current = server.in_flight().into();
        rows.push(row);
    }
    let mut state = backend.map_or_else(StatBackend::empty, |backend| StatBackend::of(backend));
    state.algorithm.clone_from(&numbers.algorithm);
    state.cookie.clone_from(&numbers.cookie);
    state.session_limit = numbers.limit;
    state.last_session = numbers.counters.since(now);
    let mut row = row(StatSubject::Backend(state));
    row.counts = numbers.counters.snapshot();
    rows.push(row);
    rows
}

fn server_of(site: &Site, numbers: &BackNumbers, server: &FarmServer, now: Now) -> StatServer {
    let mut state = StatServer::of(server, site.ledger.started, now);
    if let Some(numbers) = numbers.servers.get(server.name()) {
        state.cookie.clone_from(&numbers.cookie);
        state.last_session = numbers.counters.since(now);
        if let (Some(check), Some((report, taken))) = (&mut state.check, numbers.last_check()) {
            check.report = report;
            check.duration = taken;
        }
    }
    state
}
