//! From the files of `-f` to frontends and backends.

pub(crate) mod fault;
pub(crate) mod honour;
pub(crate) mod network;
pub(crate) mod rule_words;
pub(crate) mod rules;
pub(crate) mod setup;
pub(crate) mod told;
pub(crate) mod words;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::sync::Arc;

use stickroute::haproxy::{
    Bind, Configuration, ConfigurationError, ConfigurationReader, Finding, Location, Proxy,
    Routing, Severity, Timeout,
};
use tokio::sync::Semaphore;

use crate::client::stream::Patience;
use crate::command_line::flags::Files;
use crate::command_line::voice::Voice;
use crate::configuration::fault::Fault;
use crate::configuration::rules::Rules;
use crate::configuration::words::Section;
use crate::log::{Lines, Log};
use crate::server::pool::{Pool, Reuse};
use crate::service::site::{Back, BackTimeouts, Front, Route, Site};
use crate::statistics::ledger::Ledger;

/// A configuration that has been read, told about, and built.
pub(crate) struct Loaded {
    pub(crate) configuration: Configuration,
    pub(crate) site: Arc<Site>,
    /// Frontends, each with its `bind` lines.
    pub(crate) fronts: Vec<(Arc<Front>, Vec<Bind>)>,
    /// Whether something about it is odd.
    pub(crate) has_warnings: bool,
}

/// It was refused, and why has been told.
#[derive(Debug)]
pub(crate) struct Refused;

/// Reads the files, says what is wrong or odd, and builds it all.
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
    let logs = logs(&configuration, built, &mut errors);
    let routing = tell(routing, &errors, files.voice)?;
    let warnings = told::warnings(&configuration);
    for fault in &warnings {
        files.voice.warning(fault);
    }
    let mut findings = configuration.findings().iter();
    let is_odd = findings.any(|finding| finding.severity() == Severity::Warning);
    let has_warnings = is_odd || !warnings.is_empty();
    let ledger = Ledger::new(&configuration);
    let backs = proxies.iter().filter(|(proxy, _)| proxy.kind.is_backend());
    let backs = backs.map(|(proxy, rules)| {
        let name = proxy.name.value.clone();
        let back = back(proxy, rules, (&routing, &ledger), log_of(&logs, proxy));
        (name, Arc::new(back))
    });
    let backs: BTreeMap<_, _> = backs.collect();
    let site = Arc::new(Site {
        routing,
        backs,
        ledger,
    });
    let fronts = proxies.iter().filter(|(proxy, _)| proxy.kind.is_frontend());
    let fronts = fronts.map(|(proxy, rules)| {
        let front = front(proxy, rules, &site, log_of(&logs, proxy));
        (Arc::new(front), proxy.frontend.binds.clone())
    });
    let fronts = fronts.collect();
    Ok(Loaded {
        configuration,
        site,
        fronts,
        has_warnings,
    })
}

/// A frontend and a backend of one name, which is not a `listen` section, are two.
fn log_of(logs: &BTreeMap<String, Log>, proxy: &Proxy) -> Log {
    let log = logs.get(&place_of(proxy));
    log.cloned().unwrap_or(Log::Plain)
}

fn place_of(proxy: &Proxy) -> String {
    proxy.name.location.to_string()
}

/// How each section tells of its requests and servers.
fn logs(
    configuration: &Configuration,
    routing: Option<&Routing<Pool>>,
    errors: &mut Vec<Fault>,
) -> BTreeMap<String, Log> {
    let told = sections(configuration).map(|proxy| {
        let name = proxy.name.value.as_str();
        let section = Section { name, routing };
        let lines = Lines::of(configuration, proxy, section, errors);
        (place_of(proxy), Log::Lines(Arc::new(lines)))
    });
    told.collect()
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
    for path in all_files(files)? {
        let text = fs::read(&path).map_err(|error| refuse(files, &path, &error))?;
        reader = reader.file(path, text);
    }
    let read = reader.read();
    let findings = read.as_ref();
    let findings = findings.map_or_else(ConfigurationError::findings, Configuration::findings);
    for finding in findings {
        match finding.severity() {
            Severity::Notice => files.voice.notice(finding),
            Severity::Warning => files.voice.warning(finding),
            Severity::Error => files.voice.alert(finding),
        }
    }
    read.map_err(|_| Refused)
}

fn refuse(files: &Files, path: &str, error: &dyn Display) -> Refused {
    files.voice.alert(format_args!("{path}: {error}"));
    Refused
}

/// A folder stands for the files `*.cfg` in it, by name, without the hidden ones.
fn all_files(files: &Files) -> Result<Vec<String>, Refused> {
    let mut all = Vec::new();
    for path in &files.paths {
        let found = if Path::new(path).is_dir() {
            configurations(path).map_err(|error| refuse(files, path, &error))?
        } else {
            vec![path.clone()]
        };
        if found.is_empty() {
            return Err(refuse(files, path, &"no file *.cfg in this folder"));
        }
        all.extend(found);
    }
    Ok(all)
}

fn configurations(folder: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_meant = path.extension().is_some_and(|end| end == "cfg");
        let name = path.file_name().unwrap_or_default();
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        if is_meant && !is_hidden && path.is_file() {
            found.extend(path.to_str().map(str::to_owned));
        }
    }
    found.sort();
    Ok(found)
}

/// Says everything that keeps the configuration from being run, by place.
fn tell(
    routing: Result<Routing<Pool>, ConfigurationError>,
    faults: &[Fault],
    voice: Voice,
) -> Result<Routing<Pool>, Refused> {
    let of_fault = |fault: &Fault| (fault.location.clone(), fault.to_string());
    let mut all: Vec<(Location, String)> = faults.iter().map(of_fault).collect();
    if let Err(error) = &routing {
        let of_finding = |finding: &Finding| (finding.location().clone(), finding.to_string());
        all.extend(error.findings().iter().map(of_finding));
    }
    all.sort();
    for (_, text) in &all {
        voice.alert(text);
    }
    routing.ok().filter(|_| all.is_empty()).ok_or(Refused)
}

fn front(proxy: &Proxy, rules: &Arc<Rules>, site: &Arc<Site>, log: Log) -> Front {
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
        closes_servers: closes_servers(proxy),
        route: Route::Rules(Arc::clone(site)),
        log,
    }
}

fn closes_servers(proxy: &Proxy) -> bool {
    proxy.is_on("httpclose") || proxy.is_on("http-server-close")
}

/// So many at a time; 0 is no limit.
pub(crate) fn room(limit: u32) -> Arc<Semaphore> {
    let limit = match limit {
        0 => Semaphore::MAX_PERMITS,
        limit => limit as usize,
    };
    Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)))
}

fn back(
    proxy: &Proxy,
    rules: &Arc<Rules>,
    (routing, ledger): (&Routing<Pool>, &Ledger),
    log: Log,
) -> Back {
    let connect = proxy.timeout(Timeout::Connect);
    let reuse = proxy.backend.http_reuse.as_ref();
    Back {
        name: proxy.name.value.clone(),
        mode: proxy.mode,
        is_listen: proxy.kind.is_frontend(),
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
        log,
        has_cookie: proxy.backend.cookie.is_some(),
        keeps_alive: !closes_servers(proxy),
        reuse: match reuse.and_then(|word| word.as_str()) {
            Some("never") => Reuse::Never,
            Some("aggressive") => Reuse::Aggressive,
            Some("always") => Reuse::Always,
            _ => Reuse::Safe,
        },
    }
}
