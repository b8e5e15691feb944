//! From the files of `-f` to frontends and backends: the library reads and builds what is
//! about routing, and what is left is read here.
//!
//! * `files.rs`: has the library read the files, and says what it finds;
//! * `honour.rs`: what keeps this program from running a configuration; `told.rs`: what it
//!   leaves undone and runs all the same; `fault.rs`: how both are told;
//! * `rules.rs`: the rules of one section; `rule_words.rs`: those on HTTP messages;
//! * `replies.rs`: answers that are written out in a configuration;
//! * `states.rs`: the states of servers from before a restart;
//! * `words.rs`, `network.rs`: the words of a rule, one after the other.

pub(crate) mod fault;
mod files;
pub(crate) mod honour;
pub(crate) mod network;
pub(crate) mod replies;
pub(crate) mod rule_words;
pub(crate) mod rules;
pub(crate) mod states;
pub(crate) mod told;
pub(crate) mod words;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use stickroute::haproxy::{
    Bind, Configuration, ConfigurationError, Family, Finding, Location, Proxy, Routing, Severity,
    Timeout,
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

/// An enabled section, and what is done there beside routing.
struct Part<'c> {
    proxy: &'c Proxy,
    rules: Arc<Rules>,
    log: Log,
}

/// Reads the files, says what is wrong or odd, and builds it all.
pub(crate) fn load(files: &Files) -> Result<Loaded, Refused> {
    let configuration = files::read(files)?;
    let (routing, parts) = build(&configuration, files.voice)?;
    let has_warnings = warn(&configuration, &routing, files.voice);
    let ledger = Ledger::new(&configuration);
    let backs = parts.iter().filter(|part| part.proxy.kind.is_backend());
    let backs = backs.map(|part| {
        let name = part.proxy.name.value.clone();
        (name, Arc::new(back(part, &routing, &ledger)))
    });
    let backs: BTreeMap<_, _> = backs.collect();
    let site = Arc::new(Site {
        routing,
        backs,
        ledger,
    });
    let fronts = parts.iter().filter(|part| part.proxy.kind.is_frontend());
    let fronts = fronts.map(|part| {
        let binds = part.proxy.frontend.binds.clone();
        (Arc::new(front(part, &site)), binds)
    });
    let fronts = fronts.collect();
    Ok(Loaded {
        configuration,
        site,
        fronts,
        has_warnings,
    })
}

/// Builds what decides about routing, and what is done beside.
fn build(
    configuration: &Configuration,
    voice: Voice,
) -> Result<(Routing<Pool>, Vec<Part<'_>>), Refused> {
    let mut errors = honour::errors(configuration);
    let routing = configuration.routing().payload(|_, _| Pool::default());
    // Clients choose keys, and must not know where in a table they end up, nor which
    // server is drawn next.
    let routing = routing.seed(RandomState::new().hash_one("routing"));
    let routing = routing.build();
    let built = routing.as_ref().ok();
    let pages = &configuration.http_errors[..];
    let enabled = configuration.proxies.iter().filter(|proxy| !proxy.disabled);
    let parts = enabled.map(|proxy| {
        let name = proxy.name.value.as_str();
        let section = Section {
            name,
            routing: built,
            errors: pages,
        };
        let lines = Lines::of(configuration, proxy, section, &mut errors);
        Part {
            proxy,
            rules: Arc::new(Rules::of((proxy, pages), built, &mut errors)),
            log: Log::Lines(Arc::new(lines)),
        }
    });
    let parts = parts.collect();
    Ok((tell(routing, &errors, voice)?, parts))
}

/// Puts servers back into the states they had. Whether something is odd; what this program
/// leaves undone is told.
fn warn(configuration: &Configuration, routing: &Routing<Pool>, voice: Voice) -> bool {
    let mut warnings = told::warnings(configuration);
    warnings.extend(states::load(configuration, routing));
    for fault in &warnings {
        voice.warning(fault);
    }
    let mut findings = configuration.findings().iter();
    let is_odd = findings.any(|finding| finding.severity() == Severity::Warning);
    is_odd || !warnings.is_empty()
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
    // What stands in `defaults` is found in every section that inherits it.
    all.dedup();
    for (_, text) in &all {
        voice.alert(text);
    }
    routing.ok().filter(|_| all.is_empty()).ok_or(Refused)
}

fn front(part: &Part<'_>, site: &Arc<Site>) -> Front {
    let proxy = part.proxy;
    let client = proxy.timeout(Timeout::Client);
    let maxconn = proxy
        .frontend
        .maxconn
        .as_ref()
        .map_or(0, |limit| limit.value);
    let numbers = site.ledger.front(&proxy.name.value);
    let monitor = proxy.frontend.monitor_uri.as_ref();
    let counters = numbers.map(|numbers| Arc::clone(&numbers.counters));
    Front {
        name: proxy.name.value.clone(),
        mode: proxy.mode,
        counters: counters.unwrap_or_default(),
        rules: Arc::clone(&part.rules),
        patience: Patience {
            head: proxy.effective_timeout(Timeout::HttpRequest),
            keep_alive: proxy.effective_timeout(Timeout::HttpKeepAlive),
            write: client,
        },
        client,
        client_fin: proxy.timeout(Timeout::ClientFin),
        room: room(maxconn),
        keeps_alive: !proxy.is_on("httpclose"),
        closes_servers: closes_servers(proxy),
        monitor: monitor.map(|word| word.bytes().to_vec()),
        route: Route::Rules(Arc::clone(site)),
        log: part.log.clone(),
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

fn back(part: &Part<'_>, routing: &Routing<Pool>, ledger: &Ledger) -> Back {
    let proxy = part.proxy;
    let reuse = proxy.backend.http_reuse.as_ref();
    Back {
        name: proxy.name.value.clone(),
        mode: proxy.mode,
        is_listen: proxy.kind.is_frontend(),
        backend: routing.backend(&proxy.name.value).cloned(),
        numbers: ledger.back(&proxy.name.value).cloned().unwrap_or_default(),
        rules: Arc::clone(&part.rules),
        timeouts: BackTimeouts {
            connect: proxy.timeout(Timeout::Connect),
            server: proxy.timeout(Timeout::Server),
            server_fin: proxy.timeout(Timeout::ServerFin),
            tunnel: proxy.timeout(Timeout::Tunnel),
            queue: proxy.effective_timeout(Timeout::Queue),
        },
        log: part.log.clone(),
        families: families(proxy),
        has_cookie: proxy.backend.cookie.is_some(),
        keeps_alive: !closes_servers(proxy),
        aborts: proxy.is_on("abortonclose"),
        reuse: match reuse.and_then(|word| word.as_str()) {
            Some("never") => Reuse::Never,
            Some("aggressive") => Reuse::Aggressive,
            Some("always") => Reuse::Always,
            _ => Reuse::Safe,
        },
    }
}

fn families(proxy: &Proxy) -> BTreeMap<String, Family> {
    let servers = proxy.backend.servers.iter();
    let servers = servers.map(|line| (line.name.to_string(), line.address.value.family));
    servers
        .filter(|(_, family)| *family != Family::Any)
        .collect()
}
