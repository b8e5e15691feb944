//! From a section to a backend.

use std::sync::Arc;
use std::time::Duration;

use super::Configuration;
use super::balance::text;
use super::finding::{Finding, FindingKind};
use super::location::Word;
use super::proxy::{Proxy, Timeout};
use super::server::ServerLine;
use crate::haproxy::balance::consistent;
use crate::haproxy::selector;
use crate::{
    AdminState, Backend, BackendBuilder, ConsistentHash, PreserveAffinity, Redispatch, RetryPolicy,
    RingPlacement, Selector, Server,
};

use super::finding::ConfigurationError;

impl Configuration {
    /// Describes the backend of a `backend` or `listen` section: servers, cookie, dynamic
    /// cookie key, balancing, retries, redispatch, `persist`, `allbackups`.
    ///
    /// What serves the proxy around a backend is left to it: timeouts, health checks,
    /// options of connections, rules on messages.
    ///
    /// # Errors
    /// What decides about servers and this version of the library cannot follow: stick
    /// rules and conditions, queues, slow start, tracking, algorithms that are missing;
    /// and a name that no such section has.
    ///
    /// ```
    /// use stickroute::haproxy::Configuration;
    ///
    /// let text = "
    /// backend app
    ///     mode http
    ///     cookie SRV insert indirect nocache
    ///     server s1 10.0.0.1:80 cookie a
    ///     server s2 10.0.0.2:80 cookie b
    /// ";
    /// let configuration = Configuration::parse("app.cfg", text)?;
    /// let backend = configuration.backend("app")?.build()?;
    /// assert_eq!(backend.farm().servers().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backend(&self, name: &str) -> Result<BackendBuilder, BackendError> {
        let mut backends = self.backends();
        let proxy = backends.find(|proxy| proxy.name.value == name);
        let proxy = proxy.ok_or_else(|| BackendError::NoSection { name: name.into() })?;
        let mut findings = Vec::new();
        not_yet(proxy, &mut findings);
        let servers: Vec<_> = proxy
            .backend
            .servers
            .iter()
            .filter_map(|server| describe(server, &mut findings))
            .collect();
        let selector = balance(proxy).map_err(|finding| findings.push(finding));
        match selector {
            Ok(selector) if findings.is_empty() => Ok(builder(proxy, servers, selector)),
            _ => {
                findings.sort_by(|a, b| a.location.cmp(&b.location));
                Err(BackendError::NotSupported(ConfigurationError { findings }))
            }
        }
    }
}

/// Why a section makes no backend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendError {
    /// No `backend` or `listen` section has this name.
    NoSection {
        /// The name.
        name: String,
    },
    /// Lines that this version of the library cannot follow.
    NotSupported(ConfigurationError),
}

impl std::fmt::Display for BackendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSection { name } => {
                write!(
                    f,
                    "{name:?}; expected the name of a backend or listen section"
                )
            }
            Self::NotSupported(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BackendError {}

fn builder(proxy: &Proxy, servers: Vec<Server>, selector: Arc<dyn Selector>) -> BackendBuilder {
    let settings = &proxy.backend;
    let mut builder = Backend::builder(proxy.name.value.as_str())
        .servers(servers)
        .balance_shared(selector)
        .retry(retry(proxy));
    if let Some(cookie) = &settings.cookie {
        builder = builder.cookie(cookie.value.clone());
    }
    if let Some(key) = &settings.dynamic_cookie_key {
        builder = builder.dynamic_cookie_key(key.bytes());
    }
    if proxy.is_on("persist") {
        builder = builder.persist();
    }
    if proxy.is_on("allbackups") {
        builder = builder.all_backups();
    }
    builder
}

fn retry(proxy: &Proxy) -> RetryPolicy {
    const LONGEST_PAUSE: Duration = Duration::from_secs(1);
    let settings = &proxy.backend;
    let retries = settings.retries.as_ref().map_or(3, |retries| retries.value);
    let pause = proxy
        .timeout(Timeout::Connect)
        .map_or(LONGEST_PAUSE, |connect| connect.min(LONGEST_PAUSE));
    let redispatch = settings.redispatch.as_ref();
    let redispatch = redispatch.map_or(Redispatch::Off, |n| Redispatch::Interval(n.value));
    RetryPolicy::new(retries)
        .pause(pause)
        .redispatch(redispatch)
}

fn describe(server: &ServerLine, findings: &mut Vec<Finding>) -> Option<Server> {
    let settings = &server.settings;
    let Some(address) = server.address.value.to_address() else {
        let word = Word {
            bytes: server.address.value.to_string().into_bytes(),
            location: server.address.location.clone(),
        };
        let message = "not supported yet; expected an address with a port of its own";
        findings.push(Finding::error(FindingKind::NotSupported, &word, message));
        return None;
    };
    let mut described = Server::new(server.name.text(), address)
        .weight(settings.weight.unwrap_or(1))
        .max_connections(settings.maxconn);
    if let Some(id) = &settings.id {
        described = described.id(id.value);
    }
    if let Some(cookie) = &settings.cookie {
        described = described.cookie(cookie.bytes());
    }
    if let Some(guid) = &settings.guid {
        described = described.guid(guid.text());
    }
    if settings.backup {
        described = described.backup();
    }
    if settings.disabled {
        described = described.admin_state(AdminState::Maintenance);
    }
    Some(described)
}

/// Everything that would decide about servers, and does not yet.
fn not_yet(proxy: &Proxy, findings: &mut Vec<Finding>) {
    let settings = &proxy.backend;
    let mut tell = |word: &Word, what: &str| {
        let message = format!("not supported yet in a backend: {what}");
        findings.push(Finding::error(FindingKind::NotSupported, word, message));
    };
    for rule in &settings.stick_rules {
        tell(rule.expression.first().expect("it has one"), "stick rules");
    }
    for rule in &settings.persist_rules {
        tell(&rule.condition.keyword, "conditions");
    }
    for rule in &settings.use_server {
        tell(&rule.target, "use-server rules");
    }
    if let Some(word) = &settings.persist_rdp_cookie {
        tell(word, "persistence by RDP cookies");
    }
    if let Some(words) = &settings.retry_on {
        let other = words.value.iter().find(|word| !word.is("conn-failure"));
        if let Some(word) = other {
            tell(word, "retries for this cause");
        }
    }
    for server in &settings.servers {
        let settings = &server.settings;
        let parts = [
            (settings.minconn > 0, "minconn"),
            (settings.maxqueue > 0, "maxqueue"),
            (!settings.slowstart.is_zero(), "slowstart"),
            (settings.non_stick, "non-stick"),
            (settings.track.is_some(), "track"),
            (settings.options.contains_key("redir"), "redir"),
        ];
        for (_, what) in parts.into_iter().filter(|(is_set, _)| *is_set) {
            tell(&server.name, what);
        }
    }
}

fn balance(proxy: &Proxy) -> Result<Arc<dyn Selector>, Finding> {
    let settings = &proxy.backend;
    let words = settings
        .balance
        .as_ref()
        .map_or(&[][..], |line| &line.value);
    let hash_type = settings.hash_type.as_ref().map(|line| text(&line.value));
    let refuse = |error: &dyn std::fmt::Display| {
        let place = words.first().cloned().unwrap_or_else(|| proxy.place());
        Finding::error(FindingKind::NotSupported, &place, error.to_string())
    };
    let line = text(words);
    let hash = consistent(&line, hash_type.as_deref()).map_err(|error| refuse(&error))?;
    if let Some(hash) = hash {
        return Ok(Arc::new(tuned(proxy, hash)?));
    }
    selector(&line, hash_type.as_deref()).map_err(|error| refuse(&error))
}

/// The ring with the settings of other lines.
fn tuned(proxy: &Proxy, mut hash: ConsistentHash) -> Result<ConsistentHash, Finding> {
    let settings = &proxy.backend;
    if let Some(factor) = &settings.hash_balance_factor {
        hash = hash.balance_factor(factor.value);
    }
    if settings
        .hash_preserve_affinity
        .as_ref()
        .is_some_and(|word| word.is("maxconn"))
    {
        hash = hash.preserve_affinity(PreserveAffinity::MaxConnections);
    }
    let mut keys = settings.servers.iter().map(|server| {
        let key = server.settings.hash_key.as_ref();
        (key.map_or("id", Word::text), server)
    });
    let first = keys.next().map_or("id", |(key, _)| key);
    if let Some((_, server)) = keys.find(|(key, _)| *key != first) {
        let message = "not supported yet: servers of one backend with different hash-key";
        return Err(Finding::error(
            FindingKind::NotSupported,
            &server.name,
            message,
        ));
    }
    Ok(hash.key(match first {
        "id32" => RingPlacement::Id32,
        "guid" => RingPlacement::Guid,
        "addr" => RingPlacement::Address,
        "addr-port" => RingPlacement::AddressPort,
        _ => RingPlacement::Id,
    }))
}
