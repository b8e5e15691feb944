//! From a section to a backend.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::tables::Tables;
use crate::fetch::FindTable;
use crate::haproxy::Format;
use crate::haproxy::acl::SplitCondition;
use crate::haproxy::balance::{Tunable, tunable};
use crate::haproxy::config::{
    ConditionWords, ConditionalRule, Configuration, Finding, FindingKind, Located, Proxy,
    ServerLine, ServerSettings, StickLine, Timeout, Word, text,
};
use crate::hash::xxh64;
use crate::message::Request;
use crate::{
    AdminState, Backend, BackendBuilder, Condition, ConsistentHash, Moment, PreserveAffinity,
    Redispatch, RetryPolicy, RingPlacement, Selector, Server, StickAction, StickRule,
};

/// What the caller, and no line, says of all selectors.
#[derive(Clone, Copy)]
pub(super) struct Tuning {
    pub(super) seed: u64,
    pub(super) max_points: u32,
    pub(super) max_slots: u32,
}

/// Describes the backend of a section: servers, cookie, dynamic cookie key, stick rules,
/// conditions, balancing, limits and queues, retries, redispatch, `persist`, `allbackups`.
pub(super) fn describe<P: Send + Sync + 'static>(
    configuration: &Configuration,
    proxy: &Proxy,
    tables: &Tables,
    tuning: Tuning,
    payload: &mut dyn FnMut(&Proxy, &ServerLine) -> P,
) -> Result<BackendBuilder<P>, Vec<Finding>> {
    let mut findings = Vec::new();
    not_yet(proxy, &mut findings);
    let servers: Vec<_> = proxy
        .backend
        .servers
        .iter()
        .filter_map(|line| match server(line) {
            Ok(server) => Some(server.payload(payload(proxy, line))),
            Err(finding) => {
                findings.push(finding);
                None
            }
        })
        .collect();
    let full = fullconn(configuration, proxy).map_err(|finding| findings.push(finding));
    match balance(proxy, tuning) {
        Ok(selector) if findings.is_empty() => {
            let builder = settings(proxy, servers, selector);
            let builder = builder.full_connections(full.unwrap_or(0));
            rules(proxy, tables, builder).map_err(|finding| vec![finding])
        }
        Ok(_) => Err(findings),
        Err(finding) => {
            findings.push(finding);
            Err(findings)
        }
    }
}

fn settings<P: Send + Sync + 'static>(
    proxy: &Proxy,
    servers: Vec<Server<P>>,
    selector: Arc<dyn Selector>,
) -> BackendBuilder<P> {
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
    if let Some(name) = &settings.persist_rdp_cookie {
        builder = builder.persist_rdp_cookie(name.value.as_str());
    }
    if proxy.is_on("persist") {
        builder = builder.persist();
    }
    if proxy.is_on("allbackups") {
        builder = builder.all_backups();
    }
    builder
}

/// Everything with a condition, in the order of the lines of each kind.
fn rules<P: Send + Sync + 'static>(
    proxy: &Proxy,
    tables: &Tables,
    mut builder: BackendBuilder<P>,
) -> Result<BackendBuilder<P>, Finding> {
    let settings = &proxy.backend;
    let find = tables.finder(&proxy.name.value);
    for line in &settings.persist_rules {
        let condition = condition(Some(&line.condition), &find);
        builder = if line.force {
            builder.force_persist(condition)
        } else {
            builder.ignore_persist(condition)
        };
    }
    for rule in &settings.use_server {
        builder = use_server(rule, &find, builder)?;
    }
    if let Some(table) = tables.find(&proxy.name.value) {
        builder = builder.stick_table(Arc::clone(table));
    }
    for line in &settings.stick_rules {
        builder = builder.stick(stick_rule(proxy, line, tables));
    }
    Ok(builder)
}

/// Another server for each request, if the name is a format.
fn use_server<P: Send + Sync + 'static>(
    rule: &ConditionalRule,
    find: &FindTable<'_>,
    builder: BackendBuilder<P>,
) -> Result<BackendBuilder<P>, Finding> {
    let condition = condition(rule.condition.as_ref(), find);
    if !rule.is_dynamic() {
        return Ok(builder.use_server(rule.target.text(), condition));
    }
    let refuse = |message: String| Finding::error(FindingKind::NotSupported, &rule.target, message);
    let format = Format::with_tables(rule.target.bytes(), find);
    let format = format.map_err(|error| refuse(error.to_string()))?;
    if !format.is_available(Moment::Request) {
        return Err(refuse("expected samples of the request".to_owned()));
    }
    let name = move |request: &dyn Request| format.on_request(request);
    Ok(builder.use_server_named(name, condition))
}

fn condition(words: Option<&ConditionWords>, find: &FindTable<'_>) -> Condition {
    words.map_or_else(Condition::always, |words| words.with_tables(find).into())
}

fn stick_rule(proxy: &Proxy, line: &StickLine, tables: &Tables) -> StickRule {
    let find = tables.finder(&proxy.name.value);
    let mut key = line.expression.clone();
    key.bind(&find);
    let mut rule = match line.kind {
        StickAction::On => StickRule::on(key),
        StickAction::Match => StickRule::matching(key),
        StickAction::StoreRequest => StickRule::store_request(key),
        StickAction::StoreResponse => StickRule::store_response(key),
    };
    // A table that could not be built has been told of.
    if let Some(table) = tables.find(line.table_name(proxy)) {
        rule = rule.table(Arc::clone(table));
    }
    let Some(words) = &line.condition else {
        return rule;
    };
    if line.kind != StickAction::StoreResponse {
        return rule.when(condition(Some(words), &find));
    }
    let split = SplitCondition::of(&words.with_tables(&find));
    // A line has at most 64 words, so there are not as many questions.
    let condition = Arc::new(split.unwrap_or_default());
    let asking = Arc::clone(&condition);
    rule.when_exchange(
        move |request| asking.ask(request),
        move |answers, response| condition.holds(answers, response),
    )
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
    let retry_on = settings.retry_on.as_ref().map(|causes| causes.value);
    RetryPolicy::new(retries)
        .pause(pause)
        .retry_on(retry_on.unwrap_or_default())
        .redispatch(redispatch)
}

fn server(line: &ServerLine) -> Result<Server, Finding> {
    let settings = &line.settings;
    let Some(address) = line.address.value.to_address() else {
        let word = Word {
            bytes: line.address.value.to_string().into_bytes(),
            location: line.address.location.clone(),
        };
        let message = "not supported yet; expected an address with a port of its own";
        return Err(Finding::error(FindingKind::NotSupported, &word, message));
    };
    let mut described = Server::new(line.name.text(), address)
        .weight(settings.weight.unwrap_or(1))
        .max_connections(settings.maxconn)
        .min_connections(settings.minconn)
        .max_queue(settings.maxqueue)
        .slow_start(settings.slowstart);
    if let Some(id) = &settings.id {
        described = described.id(id.value);
    }
    if let Some(cookie) = &settings.cookie {
        described = described.cookie(cookie.bytes());
    }
    if let Some(guid) = &settings.guid {
        described = described.guid(guid.text());
    }
    if let Some(word) = &settings.hash_key {
        described = described.hash_key(placement(word));
    }
    if settings.backup {
        described = described.backup();
    }
    if settings.non_stick {
        described = described.non_stick();
    }
    if settings.ends_sessions_when_down {
        described = described.end_sessions_when_down();
    }
    if settings.ends_backup_sessions_when_up {
        described = described.end_backup_sessions_when_up();
    }
    if settings.disabled {
        described = described.admin_state(AdminState::Maintenance);
    }
    checked(described, settings)
}

/// With what the line says about its checks.
fn checked(described: Server, settings: &ServerSettings) -> Result<Server, Finding> {
    let mut described = described.health(settings.health());
    if settings.check {
        described = described.checked();
    }
    if let Some(port) = settings.check_port {
        described = described.check_port(port);
    }
    if let Some(word) = &settings.check_addr {
        described = described.check_ip(check_ip(word)?);
    }
    Ok(described)
}

fn check_ip(word: &Word) -> Result<IpAddr, Finding> {
    word.text().parse().map_err(|_| {
        let message = "not supported; expected an IP address";
        Finding::error(FindingKind::NotSupported, word, message)
    })
}

/// When the servers reach their `maxconn`: at a tenth of what the frontends before the
/// backend let in, rounded up, unless `fullconn` says it. 0 if no server asks.
fn fullconn(configuration: &Configuration, proxy: &Proxy) -> Result<u32, Finding> {
    let mut servers = proxy.backend.servers.iter();
    let Some(server) = servers.find(|server| server.settings.minconn > 0) else {
        return Ok(0);
    };
    if let Some(full) = given(proxy.backend.fullconn.as_ref()) {
        return Ok(full);
    }
    let global = given(configuration.global.maxconn.as_ref());
    let mut sum: u64 = 0;
    for frontend in configuration
        .proxies
        .iter()
        .filter(|it| leads_to(it, proxy))
    {
        let Some(limit) = given(frontend.frontend.maxconn.as_ref()).or(global) else {
            let message = "minconn without fullconn; expected that, or maxconn in global or in \
                           each frontend before this backend";
            let kind = FindingKind::NotSupported;
            return Err(Finding::error(kind, &server.name, message));
        };
        sum += u64::from(limit);
    }
    Ok(u32::try_from(sum.div_ceil(10)).unwrap_or(u32::MAX))
}

/// A number that was given; 0 is as good as none.
fn given(number: Option<&Located<u32>>) -> Option<u32> {
    number.map(|it| it.value).filter(|&it| it > 0)
}

/// Whether a frontend names this backend; names made for each request do not count.
fn leads_to(frontend: &Proxy, backend: &Proxy) -> bool {
    let front = &frontend.frontend;
    let mut names = front.use_backend.iter().map(|rule| &rule.target);
    let name = backend.name.value.as_str();
    frontend.kind.is_frontend()
        && !frontend.disabled
        && (frontend.kind.is_backend() && frontend.name.value == name
            || front.default_backend.as_ref().is_some_and(|it| it.is(name))
            || names.any(|it| it.is(name)))
}

/// Everything that would decide about servers, and does not yet.
fn not_yet(proxy: &Proxy, findings: &mut Vec<Finding>) {
    let settings = &proxy.backend;
    let mut tell = |word: &Word, what: &str| {
        let message = format!("not supported yet in a backend: {what}");
        findings.push(Finding::error(FindingKind::NotSupported, word, message));
    };
    for server in &settings.servers {
        let settings = &server.settings;
        let parts = [
            (settings.track.is_some(), "track"),
            (settings.options.contains_key("redir"), "redir"),
        ];
        for (_, what) in parts.into_iter().filter(|(is_set, _)| *is_set) {
            tell(&server.name, what);
        }
    }
}

fn balance(proxy: &Proxy, tuning: Tuning) -> Result<Arc<dyn Selector>, Finding> {
    let settings = &proxy.backend;
    let words = settings
        .balance
        .as_ref()
        .map_or(&[][..], |line| &line.value);
    let hash_type = settings.hash_type.as_ref().map(|line| text(&line.value));
    let seed = xxh64(proxy.name.value.as_bytes(), tuning.seed);
    let selector = tunable(&text(words), hash_type.as_deref(), seed).map_err(|error| {
        let place = words.first().cloned().unwrap_or_else(|| proxy.place());
        Finding::error(FindingKind::NotSupported, &place, error.to_string())
    })?;
    Ok(match selector {
        Tunable::Ring(hash) => Arc::new(tuned(proxy, hash).max_points(tuning.max_points)),
        Tunable::Random(random) => {
            let random = random.max_points(tuning.max_points);
            Arc::new(random.balance_factor(factor(proxy)))
        }
        Tunable::Map(hash) => Arc::new(hash.max_slots(tuning.max_slots)),
        Tunable::Turns(turns) => Arc::new(turns.max_slots(tuning.max_slots)),
        Tunable::Nothing(selector) => selector,
    })
}

/// The ring with the settings of other lines.
fn tuned(proxy: &Proxy, hash: ConsistentHash) -> ConsistentHash {
    let affinity = proxy.backend.hash_preserve_affinity.as_ref();
    let preserve = match affinity.map(Word::text) {
        Some("maxconn") => PreserveAffinity::MaxConnections,
        Some("maxqueue") => PreserveAffinity::MaxQueue,
        _ => PreserveAffinity::Always,
    };
    hash.preserve_affinity(preserve)
        .balance_factor(factor(proxy))
}

fn factor(proxy: &Proxy) -> u32 {
    let factor = proxy.backend.hash_balance_factor.as_ref();
    factor.map_or(0, |factor| factor.value)
}

fn placement(word: &Word) -> RingPlacement {
    match word.text() {
        "id32" => RingPlacement::Id32,
        "guid" => RingPlacement::Guid,
        "addr" => RingPlacement::Address,
        "addr-port" => RingPlacement::AddressPort,
        _ => RingPlacement::Id,
    }
}
