//! What a configuration may say that this program does not do. What would change what a
//! client gets is refused; the rest is told.

use stickroute::haproxy::{
    Bind, Configuration, Host, Location, Mode, Proxy, Rule, Ruleset, ServerLine, Timeout, Word,
};

use crate::fault::Fault;

/// Everything that is refused.
pub(crate) fn errors(configuration: &Configuration) -> Vec<Fault> {
    let mut faults = Vec::new();
    for proxy in enabled(configuration) {
        faults.extend(proxy.rules.iter().filter_map(|rule| rule_of(rule, proxy)));
        proxy_errors(proxy, &mut faults);
        for bind in &proxy.frontend.binds {
            bind_errors(bind, false, &mut faults);
        }
        for server in &proxy.backend.servers {
            faults.extend(server_errors(server));
        }
    }
    faults.extend(upgrades(configuration));
    let global = &configuration.global;
    for bind in &global.stats_sockets {
        bind_errors(bind, true, &mut faults);
    }
    if let Some(word) = &global.server_state_file {
        faults.push(Fault::new(
            word,
            "states of servers are not read by this program",
        ));
    }
    faults
}

/// Connections that would become HTTP only in the backend; `site.rs` has an eye on names
/// made for each of them.
fn upgrades(configuration: &Configuration) -> Vec<Fault> {
    let backends = || enabled(configuration).filter(|proxy| proxy.kind.is_backend());
    let is_http = |name: &Word| {
        let found = |proxy: &Proxy| name.as_str() == Some(&proxy.name.value);
        backends().any(|proxy| proxy.mode == Mode::Http && found(proxy))
    };
    let fronts = enabled(configuration).filter(|proxy| proxy.mode == Mode::Tcp);
    let targets = fronts.flat_map(|proxy| {
        let rules = proxy.frontend.use_backend.iter().map(|rule| &rule.target);
        rules.chain(&proxy.frontend.default_backend)
    });
    let refuse = |name: &Word| {
        let message = "a backend in mode http behind a frontend in mode tcp is not supported";
        Fault::new(name, message)
    };
    targets.filter(|name| is_http(name)).map(refuse).collect()
}

fn enabled(configuration: &Configuration) -> impl Iterator<Item = &Proxy> {
    let proxies = configuration.proxies.iter();
    proxies.filter(|proxy| !proxy.disabled)
}

/// Rules on connections; `filters.rs` has those on HTTP messages.
fn rule_of(rule: &Rule, proxy: &Proxy) -> Option<Fault> {
    let is_tcp = matches!(
        rule.ruleset,
        Ruleset::TcpRequestConnection
            | Ruleset::TcpRequestSession
            | Ruleset::TcpRequestContent
            | Ruleset::TcpResponseContent
    );
    let is_inspection = matches!(
        rule.ruleset,
        Ruleset::TcpRequestInspectDelay
            | Ruleset::TcpResponseInspectDelay
            | Ruleset::TcpRequestContent
            | Ruleset::TcpResponseContent
    );
    if is_inspection && proxy.mode == Mode::Http {
        let message = "not supported by this program in mode http; expected mode tcp";
        return Some(Fault::new(&rule.action, message));
    }
    let known = ["accept", "reject"];
    if is_tcp
        && !rule
            .action
            .as_str()
            .is_some_and(|name| known.contains(&name))
    {
        let message = "not supported by this program; expected accept or reject";
        return Some(Fault::new(&rule.action, message));
    }
    let extra = rule.arguments.first().filter(|_| is_tcp);
    extra.map(|word| Fault::new(word, "expected if, unless or nothing more"))
}

/// Options that change what clients or servers get.
const REFUSED: [&str; 11] = [
    "accept-invalid-http-request",
    "accept-invalid-http-response",
    "checkcache",
    "disable-h2-upgrade",
    "h1-case-adjust-bogus-client",
    "h1-case-adjust-bogus-server",
    "http-buffer-request",
    "http-ignore-probes",
    "http-restrict-req-hdr-names",
    "http-use-proxy-header",
    "prefer-last-server",
];

fn proxy_errors(proxy: &Proxy, faults: &mut Vec<Fault>) {
    for name in REFUSED.iter().filter(|name| proxy.is_on(name)) {
        let place = &proxy.switches[name].location;
        faults.push(Fault::at(
            place,
            *name,
            "this option is not supported by this program",
        ));
    }
    if let Some(word) = proxy.stats.first().and_then(|line| line.first()) {
        let message = "this program has no page of statistics; expected no stats line";
        faults.push(Fault::new(word, message));
    }
    if let Some(timeout) = proxy.timeouts.get(&Timeout::Tarpit) {
        let message = "tarpit is not supported by this program";
        faults.push(Fault::at(&timeout.location, "timeout", message));
    }
    let state = proxy.backend.load_server_state.as_ref();
    if let Some(word) = state.filter(|word| word.as_str() != Some("none")) {
        faults.push(Fault::new(
            word,
            "states of servers are not read by this program",
        ));
    }
}

/// What only costs or saves time.
const UNNOTICED: [&str; 10] = [
    "defer-accept",
    "expose-fd",
    "id",
    "mss",
    "nice",
    "shards",
    "tcp-ut",
    "tfo",
    "thread",
    "v4v6",
];

fn bind_errors(bind: &Bind, is_stats: bool, faults: &mut Vec<Fault>) {
    let place = &bind.addresses.location;
    for endpoint in &bind.addresses.value {
        if matches!(endpoint.host, Host::Abstract(_) | Host::Descriptor(_)) {
            let message = "not supported by this program; expected an IP address or a path";
            faults.push(Fault::at(place, endpoint.to_string(), message));
        }
    }
    let known = ["accept-proxy", "backlog", "maxconn", "mode", "name"];
    for (name, word) in &bind.options {
        let is_known = known.contains(name) || UNNOTICED.contains(name);
        let is_level = is_stats && *name == "level";
        let text = word.as_ref().and_then(|word| word.as_str());
        if is_level && text == Some("user") {
            let message = "this level is not supported by this program; expected operator or admin";
            faults.push(Fault::at(place, "level user", message));
        } else if !is_known && !is_level {
            let message = "this option is not supported by this program";
            faults.push(Fault::at(place, *name, message));
        }
    }
}

fn server_errors(server: &ServerLine) -> Option<Fault> {
    let options = &server.settings.options;
    let proto = options
        .get("proto")
        .and_then(|word| word.as_ref()?.as_str());
    let name = match proto {
        Some("h1") | None => ["send-proxy", "send-proxy-v2"]
            .into_iter()
            .find(|name| options.contains_key(name))?,
        Some(_) => "proto",
    };
    let message = format!("{name} is not supported by this program");
    Some(Fault::new(&server.name, message))
}

/// What is told and does not keep the configuration from being run.
pub(crate) fn warnings(configuration: &Configuration) -> Vec<Fault> {
    let mut faults = Vec::new();
    let checks = checks(configuration);
    if let Some((first, word)) = checks.first() {
        let lines: Vec<_> = checks.iter().map(|(place, _)| line(place)).collect();
        let message = format!(
            "health checks come later: servers are taken to be up; see {}",
            distinct(lines)
        );
        faults.push(Fault::at(first, *word, message));
    }
    for section in configuration.peers.iter().filter(|peers| !peers.disabled) {
        let message = "tables are not replicated to peers yet";
        let name = &section.name;
        faults.push(Fault::at(&name.location, &name.value, message));
    }
    let details = details(configuration);
    if let Some((first, word)) = details.first() {
        let told: Vec<_> = details
            .iter()
            .map(|(place, word)| format!("{word} at {}", line(place)))
            .collect();
        let message = format!("no effect in this program: {}", distinct(told));
        faults.push(Fault::at(first, *word, message));
    }
    faults
}

fn line(place: &Location) -> String {
    format!("{}:{}", place.file(), place.line())
}

fn distinct(mut texts: Vec<String>) -> String {
    // `default-server` repeats itself with every server, next to each other.
    texts.dedup();
    texts.join(", ")
}

/// Everything about health checks.
fn checks(configuration: &Configuration) -> Vec<(&Location, &'static str)> {
    let mut found = Vec::new();
    for proxy in enabled(configuration).filter(|proxy| proxy.kind.is_backend()) {
        let backend = &proxy.backend;
        if let Some(check) = &backend.check {
            found.push((check.kind.location(), "option"));
        }
        let rules = backend.check_rules.iter().filter_map(|words| words.first());
        found.extend(rules.map(|word| (word.location(), "check")));
        let servers = backend.servers.iter();
        let checked = servers.filter(|server| server.settings.check || server.settings.agent_check);
        found.extend(checked.map(|server| (server.name.location(), "check")));
        if let Some(timeout) = proxy.timeouts.get(&Timeout::Check) {
            found.push((&timeout.location, "timeout check"));
        }
    }
    found.sort();
    found
}

/// What saves time or memory in HAProxy and does neither here.
fn details(configuration: &Configuration) -> Vec<(&Location, &'static str)> {
    /// Options of servers about their pools, sockets and logs.
    const OF_SERVERS: [&str; 7] = [
        "init-addr",
        "log-proto",
        "max-reuse",
        "pool-low-conn",
        "pool-max-conn",
        "pool-purge-delay",
        "tcp-ut",
    ];
    const OF_PROXIES: [&str; 3] = [
        "abortonclose",
        "http-pretend-keepalive",
        "idle-close-on-response",
    ];
    let mut found = Vec::new();
    for proxy in enabled(configuration) {
        for name in OF_PROXIES.iter().filter(|name| proxy.is_on(name)) {
            found.push((&proxy.switches[name].location, *name));
        }
        let binds = proxy.frontend.binds.iter();
        for bind in binds.chain(&configuration.global.stats_sockets) {
            let options = UNNOTICED
                .iter()
                .filter(|name| bind.options.contains_key(*name));
            found.extend(options.map(|name| (&bind.addresses.location, *name)));
        }
        if let Some(fullconn) = &proxy.backend.fullconn {
            found.push((&fullconn.location, "fullconn"));
        }
        let reuse = proxy.backend.http_reuse.as_ref();
        let never_or_safe = |text: Option<&str>| matches!(text, Some("never" | "safe"));
        if let Some(word) = reuse.filter(|word| !never_or_safe(word.as_str())) {
            found.push((word.location(), "http-reuse"));
        }
        for server in &proxy.backend.servers {
            let options = &server.settings.options;
            let known = OF_SERVERS.iter().chain(&["tfo"]);
            let known = known.filter(|name| options.contains_key(*name));
            found.extend(known.map(|name| (server.name.location(), *name)));
        }
    }
    found.sort();
    found.dedup();
    found
}
