//! States of servers from before a restart. HAProxy: `load-server-state-from-file`.

use std::fs;
use std::path::Path;

use stickroute::Now;
use stickroute::haproxy::{Configuration, Proxy, Routing, ServerStates, Word};

use crate::configuration::fault::Fault;
use crate::configuration::honour::enabled;
use crate::server::pool::Pool;

/// Puts servers back into the states they had; comes back with what could not be read.
pub(crate) fn load(configuration: &Configuration, routing: &Routing<Pool>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let base = configuration.global.server_state_base.as_ref();
    let mut read = |word: &Word, path: &str| {
        let path = match base {
            Some(base) => Path::new(&base.to_string()).join(path),
            None => path.into(),
        };
        let text = fs::read_to_string(&path).map_err(|error| error.to_string());
        let states = text.and_then(|text| {
            ServerStates::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
        });
        states
            .map_err(|error| faults.push(Fault::new(word, format!("states not read: {error}"))))
            .ok()
    };
    let file = configuration.global.server_state_file.as_ref();
    let everywhere = file.and_then(|file| read(file, &file.to_string()));
    let mut found = Vec::new();
    for proxy in enabled(configuration).filter(|proxy| proxy.kind.is_backend()) {
        let Some(word) = &proxy.backend.load_server_state else {
            continue;
        };
        let states = match word.as_str() {
            Some("global") => everywhere.clone(),
            Some("local") => read(word, &own_file(proxy)),
            _ => None,
        };
        found.extend(states.map(|states| (proxy, word, states)));
    }
    for (proxy, word, states) in found {
        let Some(backend) = routing.backend(&proxy.name.value) else {
            continue;
        };
        if let Err(error) = states.apply(backend, Now::system()) {
            faults.push(Fault::new(word, format!("states not restored: {error}")));
        }
    }
    faults
}

fn own_file(proxy: &Proxy) -> String {
    let name = proxy.backend.server_state_file_name.as_ref();
    name.map_or_else(|| proxy.name.value.clone(), ToString::to_string)
}
