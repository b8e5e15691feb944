//! Health checks: asks every server that is to be checked how it is. What is asked, what the
//! answers mean, and when to ask again, the library knows.

mod ask;

use std::sync::Arc;
use std::time::Duration;

use stickroute::haproxy::BackendCheck;
use stickroute::health::CheckReport;
use stickroute::{Backend, FarmServer, Now, ServerId};
use tokio::time::{Instant, sleep, sleep_until};

use crate::server::changes::Before;
use crate::server::pool::Pool;
use crate::service::site::{Back, Site};
use crate::statistics::ledger::ServerNumbers;

/// How often it is looked whether a server is to be checked again that is not for now.
const IDLE: Duration = Duration::from_millis(200);

/// Starts a watch over every server of every backend whose servers are checked.
pub(crate) fn start(site: &Arc<Site>) {
    for back in site.backs.values() {
        let check = site.routing.check(&back.name);
        let (Some(backend), Some(check)) = (&back.backend, check) else {
            continue;
        };
        let farm = backend.farm();
        let count = farm.servers().len() as u32;
        for (index, server) in farm.servers().iter().enumerate() {
            let watch = Watch {
                back: Arc::clone(back),
                backend: Arc::clone(backend),
                check: check.clone(),
                server: server.id(),
            };
            // Not all at once: the first round is spread over one interval.
            let pause = server.next_check().unwrap_or_default() * index as u32 / count;
            tokio::spawn(watch.run(pause));
        }
    }
}

/// One server that is looked after.
struct Watch {
    back: Arc<Back>,
    backend: Arc<Backend<Pool>>,
    check: BackendCheck,
    server: ServerId,
}

impl Watch {
    async fn run(self, pause: Duration) {
        sleep(pause).await;
        // A server that has left is not looked after any more.
        while let Some(server) = self.backend.server(self.server) {
            if server.next_check().is_none() {
                sleep(IDLE).await;
                continue;
            }
            let begun = Instant::now();
            let family = self.back.family(server.name());
            let report = ask::ask(&self.check, &server, family).await;
            self.report(&server, report, begun.elapsed());
            let server = self.backend.server(self.server);
            self.wait(server, begun).await;
        }
    }

    /// Until it is time for the next check, or for one soon because sessions meet errors.
    async fn wait(&self, server: Option<FarmServer>, begun: Instant) {
        let pause = server.as_ref().and_then(FarmServer::next_check);
        let next = begun + pause.unwrap_or(IDLE);
        let numbers = server.as_ref().and_then(|server| self.numbers(server));
        let (Some(server), Some(numbers)) = (&server, numbers) else {
            return sleep_until(next).await;
        };
        tokio::select! {
            () = sleep_until(next) => {}
            () = numbers.hurry.notified() => {
                let soon = server.health().policy().hurried();
                let soon = soon.map_or(next, |soon| next.min(Instant::now() + soon));
                sleep_until(soon).await;
            }
        }
    }

    fn numbers(&self, server: &FarmServer) -> Option<&ServerNumbers> {
        self.back.numbers.servers.get(server.name())
    }

    fn report(&self, server: &FarmServer, report: CheckReport, taken: Duration) {
        let before = Before::of(server);
        let (status, now) = (report.status(), Now::system());
        let changed = self.backend.report_check(self.server, status, now);
        if let Ok(Some(_)) = changed {
            let millis = taken.as_millis();
            let why = format!(", reason: {report}, check duration: {millis}ms");
            before.tell(&self.back, &self.backend.farm(), &why);
        }
        if let Some(numbers) = self.numbers(server) {
            numbers.checked(report, Some(taken));
        }
    }
}
