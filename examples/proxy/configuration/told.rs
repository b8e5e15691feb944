//! What a configuration may say that this program leaves undone: it is told in warnings,
//! and does not keep the configuration from being run.

use stickroute::haproxy::{Bind, Configuration, Location, Proxy, ServerLine, Timeout};

use crate::configuration::fault::Fault;
use crate::configuration::honour::{UNNOTICED, enabled};

/// Everything that is told.
pub(crate) fn warnings(configuration: &Configuration) -> Vec<Fault> {
    let mut faults = Vec::new();
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

/// What saves time or memory in HAProxy and does neither here, or is about something that
/// never happens here.
fn details(configuration: &Configuration) -> Vec<(&Location, &'static str)> {
    let mut found = Vec::new();
    for bind in &configuration.global.stats_sockets {
        found.extend(of_bind(bind));
    }
    for proxy in enabled(configuration) {
        found.extend(proxy.frontend.binds.iter().flat_map(of_bind));
        found.extend(proxy.backend.servers.iter().flat_map(of_server));
        of_proxy(proxy, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn of_bind(bind: &Bind) -> impl Iterator<Item = (&Location, &'static str)> {
    let names = UNNOTICED.iter();
    let names = names.filter(|name| bind.options.contains_key(*name));
    names.map(|name| (&bind.addresses.location, *name))
}

/// Options of servers about their pools, sockets and logs.
fn of_server(server: &ServerLine) -> impl Iterator<Item = (&Location, &'static str)> {
    const NAMES: [&str; 15] = [
        "agent-addr",
        "agent-inter",
        "agent-port",
        "agent-send",
        "check-proto",
        "check-send-proxy",
        "check-via-socks4",
        "init-addr",
        "log-proto",
        "max-reuse",
        "pool-low-conn",
        "pool-max-conn",
        "pool-purge-delay",
        "tcp-ut",
        "tfo",
    ];
    let options = &server.settings.options;
    let names = NAMES.iter().filter(|name| options.contains_key(*name));
    let agent = server.settings.agent_check.then_some(&"agent-check");
    let names = names.chain(agent);
    names.map(|name| (server.name.location(), *name))
}

fn of_proxy<'c>(proxy: &'c Proxy, found: &mut Vec<(&'c Location, &'static str)>) {
    const NAMES: [&str; 2] = ["http-pretend-keepalive", "idle-close-on-response"];
    for name in NAMES.iter().filter(|name| proxy.is_on(name)) {
        found.push((&proxy.switches[name].location, *name));
    }
    // Nobody is kept waiting: the action of this name is refused.
    let tarpit = proxy.timeouts.get(&Timeout::Tarpit);
    found.extend(tarpit.map(|timeout| (&timeout.location, "timeout tarpit")));
}
