//! From the files of `-f` to frontends and backends.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use stickroute::haproxy::{
    Bind, Configuration, ConfigurationError, ConfigurationReader, Finding, Location, Proxy,
    Routing, Severity, Timeout,
};
use tokio::sync::Semaphore;

use crate::fault::Fault;
use crate::honour;
use crate::options::Files;
use crate::pool::Pool;
use crate::rules::Rules;
use crate::site::{Back, BackTimeouts, Front, Route, Site};
use crate::statistics::ledger::Ledger;
use crate::stream::Patience;
use crate::told;

/// A configuration that has been read, told about, and built.
pub(crate) struct Loaded {
    pub(crate) configuration: Configuration,
    pub(crate) site: Arc<Site>,
    /// Frontends, each with its `bind` lines.
    pub(crate) fronts: Vec<(Arc<Front>, Vec<Bind>)>,
}

/// It was refused, and why has been told.
#[derive(Debug)]
pub(crate) struct Refused;

/// Reads the files, says on stderr what is wrong or odd, and builds it all.
pub(crate) fn load(files: &Files) -> Result<Loaded, Refused> {
    let configuration = read(files)?;
    let mut errors = honour::errors(&configuration);
    let routing = configuration.routing().payload(|_, _| Pool::default());
    // Clients choose keys, and must not know where in a table they end up, nor which
    // server is drawn next.
    let routing = routing.seed(RandomState::new().hash_one("routing"));
    let routing = routing.build();
    let built = routing.as_ref().ok();
    let proxies: Vec<_> = sections(&configuration)
        .map(|proxy| (proxy, Arc::new(Rules::of(proxy, built, &mut errors))))
        .collect();
    let routing = tell(routing, &errors)?;
    for fault in told::warnings(&configuration) {
        eprintln!("[WARNING] {fault}");
    }
    let ledger = Ledger::new(&configuration);
    let backs = proxies.iter().filter(|(proxy, _)| proxy.kind.is_backend());
    let backs = backs.map(|(proxy, rules)| {
        let name = proxy.name.value.clone();
        (name, Arc::new(back(proxy, rules, &routing, &ledger)))
    });
    let backs: BTreeMap<_, _> = backs.collect();
    let site = Arc::new(Site {
        routing,
        backs,
        ledger,
    });
    let fronts = proxies.iter().filter(|(proxy, _)| proxy.kind.is_frontend());
    let fronts = fronts.map(|(proxy, rules)| {
        let front = front(proxy, rules, &site);
        (Arc::new(front), proxy.frontend.binds.clone())
    });
    let fronts = fronts.collect();
    Ok(Loaded {
        configuration,
        site,
        fronts,
    })
}

fn sections(configuration: &Configuration) -> impl Iterator<Item = &Proxy> {
    let proxies = configuration.proxies.iter();
    proxies.filter(|proxy| !proxy.disabled)
}

fn read(files: &Files) -> Result<Configuration, Refused> {
    let mut reader = ConfigurationReader::new().environment(|name| std::env::var(name).ok());
    if let Some(name) = &files.local_peer {
        reader = reader.local_peer(name);
    }
    for path in &files.paths {
        let text = fs::read(path).map_err(|error| {
            eprintln!("[ALERT] {path}: {error}");
            Refused
        })?;
        reader = reader.file(path, text);
    }
    let read = reader.read();
    let findings = read.as_ref();
    let findings = findings.map_or_else(ConfigurationError::findings, Configuration::findings);
    findings.iter().for_each(print);
    read.map_err(|_| Refused)
}

fn print(finding: &Finding) {
    let severity = match finding.severity() {
        Severity::Notice => "NOTICE",
        Severity::Warning => "WARNING",
        Severity::Error => "ALERT",
    };
    eprintln!("[{severity}] {finding}");
}

/// Says everything that keeps the configuration from being run, by place.
fn tell(
    routing: Result<Routing<Pool>, ConfigurationError>,
    faults: &[Fault],
) -> Result<Routing<Pool>, Refused> {
    let of_fault = |fault: &Fault| (fault.location.clone(), fault.to_string());
    let mut all: Vec<(Location, String)> = faults.iter().map(of_fault).collect();
    if let Err(error) = &routing {
        let of_finding = |finding: &Finding| (finding.location().clone(), finding.to_string());
        all.extend(error.findings().iter().map(of_finding));
    }
    all.sort();
    for (_, text) in &all {
        eprintln!("[ALERT] {text}");
    }
    routing.ok().filter(|_| all.is_empty()).ok_or(Refused)
}

fn front(proxy: &Proxy, rules: &Arc<Rules>, site: &Arc<Site>) -> Front {
    let client = proxy.timeout(Timeout::Client);
    let head = proxy.timeout(Timeout::HttpRequest).or(client);
    let maxconn = proxy
        .frontend
        .maxconn
        .as_ref()
        .map_or(0, |limit| limit.value);
    let numbers = site.ledger.front(&proxy.name.value);
    let counters = numbers.map(|numbers| Arc::clone(&numbers.counters));
    Front {
        name: proxy.name.value.clone(),
        mode: proxy.mode,
        counters: counters.unwrap_or_default(),
        rules: Arc::clone(rules),
        patience: Patience {
            head,
            keep_alive: proxy.timeout(Timeout::HttpKeepAlive).or(head),
            write: client,
        },
        client,
        client_fin: proxy.timeout(Timeout::ClientFin),
        room: room(maxconn),
        keeps_alive: !proxy.is_on("httpclose"),
        route: Route::Rules(Arc::clone(site)),
    }
}

/// So many at a time; 0 is no limit.
pub(crate) fn room(limit: u32) -> Arc<Semaphore> {
    let limit = match limit {
        0 => Semaphore::MAX_PERMITS,
        limit => limit as usize,
    };
    Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)))
}

fn back(proxy: &Proxy, rules: &Arc<Rules>, routing: &Routing<Pool>, ledger: &Ledger) -> Back {
    let connect = proxy.timeout(Timeout::Connect);
    let closes = proxy.is_on("httpclose") || proxy.is_on("http-server-close");
    let reuse = proxy.backend.http_reuse.as_ref();
    let never = reuse.is_some_and(|word| word.as_str() == Some("never"));
    Back {
        name: proxy.name.value.clone(),
        mode: proxy.mode,
        backend: routing.backend(&proxy.name.value).cloned(),
        numbers: ledger.back(&proxy.name.value).cloned().unwrap_or_default(),
        rules: Arc::clone(rules),
        timeouts: BackTimeouts {
            connect,
            server: proxy.timeout(Timeout::Server),
            server_fin: proxy.timeout(Timeout::ServerFin),
            tunnel: proxy.timeout(Timeout::Tunnel),
            queue: proxy.timeout(Timeout::Queue).or(connect),
        },
        keeps_alive: !closes && !never,
    }
}
