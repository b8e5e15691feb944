//! Removes expired entries from stick tables, a little at a time, and lets slow starts go on.

use std::sync::Arc;
use std::time::Duration;

use stickroute::Now;
use stickroute::haproxy::Routing;
use tokio::time;

use crate::service::site::Site;

/// How often it is done.
const PERIOD: Duration = Duration::from_millis(200);

/// How many slots of each table are looked at, which takes some microseconds.
const BUDGET: usize = 4_096;

/// Keeps tables and backends until the program ends.
pub(crate) async fn run(site: Arc<Site>) {
    let mut period = time::interval(PERIOD);
    loop {
        period.tick().await;
        keep(&site.routing, Now::system());
    }
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
