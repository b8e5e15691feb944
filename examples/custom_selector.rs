//! A balancing algorithm of one's own: the least busy server of the proxy's own zone,
//! and another zone's only when this one is full.
//!
//! ```text
//! cargo run --example custom_selector
//! ```
//!
//! The zone of a server is configured beside it, as its payload. The algorithm sees a
//! farm, not payloads, so it is given the zones by name and looks them up once per
//! change of the farm, in [`Selector::adapt`], rather than once per request.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;

use stickroute::{
    AdminState, Backend, Choice, Farm, FarmServer, Now, Selection, Selector, SelectorError, Server,
    SimpleRequest,
};

/// Prefers the servers of one zone, and among equals the least busy.
#[derive(Clone, Debug)]
struct NearestLeastBusy {
    home: &'static str,
    /// Zone of each server by name.
    zones: HashMap<String, &'static str>,
    /// Whether the server at this position of the farm is in the home zone.
    is_near: Vec<bool>,
}

impl NearestLeastBusy {
    fn new(home: &'static str, zones: HashMap<String, &'static str>) -> Self {
        Self {
            home,
            zones,
            is_near: Vec::new(),
        }
    }

    fn zone_of(&self, server: &FarmServer) -> Result<&'static str, SelectorError> {
        let zone = self.zones.get(server.name()).copied();
        zone.ok_or_else(|| SelectorError::Other(format!("{} has no zone", server.name())))
    }
}

impl Selector for NearestLeastBusy {
    fn pick(&self, choice: &Choice<'_>) -> Option<usize> {
        let free = choice
            .farm()
            .candidates()
            .filter(|(_, server)| !server.is_saturated());
        // The smallest of these decides: not the one that has just failed, then near,
        // then idle, then the first in order of configuration.
        free.map(|(index, _)| index).min_by_key(|&index| {
            let failed = choice.avoid() == Some(index);
            let busy = choice.farm().servers()[index].in_flight();
            (failed, !self.is_near[index], busy)
        })
    }

    fn adapt(&self, farm: &Farm) -> Result<Option<Arc<dyn Selector>>, SelectorError> {
        let mut adapted = self.clone();
        adapted.is_near = farm
            .servers()
            .iter()
            .map(|server| Ok(self.zone_of(server)? == self.home))
            .collect::<Result<_, SelectorError>>()?;
        Ok(Some(Arc::new(adapted)))
    }
}

/// A server with its zone as payload, and room for two sessions.
fn server(name: &'static str, zone: &'static str) -> Server<&'static str> {
    let address = format!("{name}.{zone}.internal:8080");
    Server::new(name, address).max_connections(2).payload(zone)
}

fn main() -> Result<(), Box<dyn Error>> {
    let zones = [("app1", "paris"), ("app2", "oslo"), ("app3", "oslo")];
    let named = zones.iter().map(|&(name, zone)| (name.to_owned(), zone));
    let backend = Backend::builder("app")
        .servers(zones.map(|(name, zone)| server(name, zone)))
        .balance(NearestLeastBusy::new("oslo", named.collect()))
        .build()?;

    println!("Four sessions fill the home zone, the least busy server first:");
    let mut sessions = open(&backend, 4)?;
    assert_eq!(names(&sessions), ["app2", "app3", "app2", "app3"]);

    println!("The fifth has to go abroad:");
    let abroad = open(&backend, 1)?;
    assert_eq!(names(&abroad), ["app1"]);

    println!("A session on app3 ends, so the next one stays at home:");
    drop(sessions.pop());
    sessions.extend(open(&backend, 1)?);
    assert_eq!(sessions[3].server().name(), "app3");

    println!("All sessions end and app2 is drained; new ones keep to app3:");
    drop((sessions, abroad));
    backend.set_admin_state("app2", AdminState::Drain)?;
    assert_eq!(names(&open(&backend, 2)?), ["app3", "app3"]);

    println!("A server without a zone is refused, and nothing changes:");
    let stranger = Server::new("app4", "10.0.0.4:8080").payload("?");
    let refusal = backend.update(|change| change.add(stranger)).unwrap_err();
    println!("  {refusal}");
    assert_eq!(backend.farm().servers().len(), 3);
    Ok(())
}

/// Opens some sessions and prints where they go.
fn open<P: Copy + std::fmt::Display + Send + Sync>(
    backend: &Backend<P>,
    count: usize,
) -> Result<Vec<Selection<P>>, Box<dyn Error>> {
    let mut sessions = Vec::new();
    for _ in 0..count {
        let session = backend.select(&SimpleRequest::new("GET", "/"), Now::system())?;
        let server = session.server();
        println!("  {} in {}", server.name(), server.payload());
        sessions.push(session);
    }
    Ok(sessions)
}

fn names<P>(sessions: &[Selection<P>]) -> Vec<&str> {
    sessions.iter().map(|s| s.server().name()).collect()
}
