//! What a configuration may say that this program does not do. What would change what a
//! client gets is refused, here; the rest is told, in `told.rs`.

use stickroute::haproxy::{Bind, Configuration, Mode, Proxy, Rule, Ruleset, ServerLine, Word};

use crate::configuration::fault::Fault;
use crate::service::owner::Owner;

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

pub(crate) fn enabled(configuration: &Configuration) -> impl Iterator<Item = &Proxy> {
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
}

/// What only costs or saves time.
pub(crate) const UNNOTICED: [&str; 10] = [
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
    // Operators come without a PROXY header, and stats maxconn says how many.
    let of_clients: &[&str] = if is_stats {
        &[]
    } else {
        &["accept-proxy", "maxconn"]
    };
    let of_sockets = &["backlog", "gid", "group", "mode", "name", "uid", "user"];
    let known = [of_sockets, of_clients].concat();
    if let Err(nobody) = Owner::of(bind) {
        let word = format!("{} {}", nobody.option, nobody.name);
        let message = format!("there is no such {} in {}", nobody.option, nobody.file);
        faults.push(Fault::at(place, word, message));
    }
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
