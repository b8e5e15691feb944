//! Removes expired entries from stick tables, a little at a time, and lets slow starts go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stickroute::haproxy::Routing;
use stickroute::{Farm, Now, OperationalState, ServerId, Status};
use tokio::time;

use crate::server::orders;
use crate::service::site::Site;

/// How often it is done.
const PERIOD: Duration = Duration::from_millis(200);

/// How many slots of each table are looked at, which takes some microseconds.
const BUDGET: usize = 4_096;

/// Keeps tables and backends until the program ends.
pub(crate) async fn run(site: Arc<Site>) {
    let mut period = time::interval(PERIOD);
    let mut starting = Starting::default();
    loop {
        period.tick().await;
        keep(&site.routing, Now::system());
        starting.follow(&site);
    }
}

/// Servers in their slow start, by the names of their backends: nobody else notices when that
/// ends.
#[derive(Debug, Default)]
struct Starting(BTreeMap<String, Vec<(ServerId, Status)>>);

impl Starting {
    /// Ends the sessions that are to end when it does.
    fn follow(&mut self, site: &Site) {
        for (name, back) in &site.backs {
            let Some(backend) = &back.backend else {
                continue;
            };
            let farm = backend.farm();
            for (id, before) in self.0.remove(name).unwrap_or_default() {
                let server = farm.servers().iter().find(|server| server.id() == id);
                if let Some(server) = server {
                    orders::after_slow_start(back, &farm, server, before);
                }
            }
            let starting: Vec<_> = starting(&farm).collect();
            if !starting.is_empty() {
                self.0.insert(name.clone(), starting);
            }
        }
    }
}

fn starting(farm: &Farm) -> impl Iterator<Item = (ServerId, Status)> {
    let states = farm
        .servers()
        .iter()
        .map(|server| (server.id(), server.status()));
    states.filter(|(_, status)| status.operational() == OperationalState::Starting)
}

fn keep<P: Send + Sync>(routing: &Routing<P>, now: Now) {
    for (_, table) in routing.tables() {
        table.maintain(now, BUDGET);
    }
    // Requests look themselves; those that wait do not.
    for backend in routing.backends().filter_map(|(_, backend)| backend) {
        backend.maintain(now);
    }
}

#[cfg(test)]
mod tests {
    use stickroute::haproxy::Configuration;

    use super::*;

    #[test]
    fn what_has_expired_leaves() {
        let text = "backend t\n stick-table type ip size 100 expire 5s\n";
        let routing = Configuration::parse("t.cfg", text)
            .unwrap()
            .build()
            .unwrap();
        let at = |seconds| Now::new(Duration::from_secs(seconds), Duration::from_secs(seconds));
        let runtime = routing.runtime(at(0));
        let _ = runtime.answer(b"set table t key 10.0.0.1", at(1));
        let _ = runtime.answer(b"set table t key 10.0.0.2", at(4));
        let table = routing.table("t").unwrap();
        for (seconds, left) in [(5, 2), (7, 1), (10, 0)] {
            keep(&routing, at(seconds));
            assert_eq!(table.len(), left, "after {seconds} s");
        }
    }
}
