//! Tells of servers that come and go, whoever made them: operators on the standard error,
//! and whoever reads the log of the backend. The words are HAProxy's.

use std::sync::Arc;

use stickroute::haproxy::LogLevel;
use stickroute::{AdminState, Farm, FarmServer, OperationalState};

use crate::log::Log;
use crate::log::standard::STDERR;
use crate::server::orders;
use crate::service::site::{Back, Site};

/// A server before something may happen to it.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    server: FarmServer,
    queued: u32,
}

impl Before {
    pub(crate) fn of(server: &FarmServer) -> Self {
        Self {
            server: server.clone(),
            queued: server.queued(),
        }
    }

    /// Tells what has become of it in this farm, and ends the sessions that are to end then;
    /// `why` is about its health.
    pub(crate) fn tell(&self, back: &Back, farm: &Farm, why: &str) {
        let id = self.server.id();
        let Some(server) = farm.servers().iter().find(|server| server.id() == id) else {
            return;
        };
        let change = Change {
            before: self,
            server,
            farm,
            why,
        };
        let kind = if server.is_backup() { "Backup " } else { "" };
        for (level, text) in change.texts() {
            let text = format!("{kind}Server {}/{} {text}", back.name, server.name());
            say(back, level, "WARNING", &text);
        }
        if change.leaves_nobody() {
            let section = if back.is_listen { "proxy" } else { "backend" };
            let text = format!("{section} {} has no server available!", back.name);
            say(back, LogLevel::Emergency, "ALERT", &text);
        }
        orders::after_change(back, farm, server, self.server.status());
    }
}

fn say(back: &Back, level: LogLevel, severity: &str, text: &str) {
    STDERR.write(format!("[{severity}] {text}\n").as_bytes());
    if let Log::Lines(log) = &back.log {
        log.say(level, text);
    }
}

/// All servers before an operator does something.
#[derive(Debug)]
pub(crate) struct Standing(Vec<(Arc<Back>, Vec<Before>)>);

impl Standing {
    pub(crate) fn of(site: &Site) -> Self {
        let backs = site.backs.values();
        Self(
            backs
                .map(|back| (Arc::clone(back), standing(back)))
                .collect(),
        )
    }

    /// Tells what the operator has done since it was told last.
    pub(crate) fn tell(&mut self) {
        for (back, before) in &mut self.0 {
            let Some(backend) = &back.backend else {
                continue;
            };
            let farm = backend.farm();
            let pairs = before.iter().zip(farm.servers());
            // Positions stay, unless the operator adds or removes servers.
            let changed = pairs.filter(|(before, server)| {
                before.server.id() == server.id() && before.server.status() != server.status()
            });
            changed.for_each(|(before, _)| before.tell(back, &farm, ", changed from CLI"));
            *before = standing(back);
        }
    }
}

fn standing(back: &Back) -> Vec<Before> {
    let farm = back.backend.as_ref().map(|backend| backend.farm());
    farm.map_or_else(Vec::new, |farm| {
        farm.servers().iter().map(Before::of).collect()
    })
}

/// What has become of one server.
struct Change<'c> {
    before: &'c Before,
    server: &'c FarmServer,
    farm: &'c Farm,
    why: &'c str,
}

impl Change<'_> {
    /// What is told after the name of the server.
    fn texts(&self) -> Vec<(LogLevel, String)> {
        let was = self.before.server.status().admin();
        let is = self.server.status().admin();
        let told = if was == is {
            self.of_health()
        } else {
            Some(self.of_admin(was, is))
        };
        // A new weight changes nothing about it, and is told so.
        let remains = is == AdminState::Drain && was != AdminState::Ready;
        let remains = remains && (told.is_some() || self.is_reweighted());
        let remains = remains.then(|| notice("remains in forced drain mode.".to_owned()));
        told.into_iter().chain(remains).collect()
    }

    /// An operator's wish; it is urgent if it takes away a server that was of use.
    fn of_admin(&self, was: AdminState, is: AdminState) -> (LogLevel, String) {
        let (health, tail) = if is_stopped(self.server) {
            ("DOWN", self.without_it())
        } else {
            ("UP", self.with_it())
        };
        match (was, is) {
            (_, AdminState::Maintenance) if is_stopped(&self.before.server) => {
                notice("was DOWN and now enters maintenance.".to_owned())
            }
            (_, AdminState::Maintenance) => {
                let text = format!("is going DOWN for maintenance. {}", self.without_it());
                (self.loss(), text)
            }
            (AdminState::Maintenance, AdminState::Drain) => {
                notice(format!("is {health}/DRAIN (leaving forced maintenance)."))
            }
            (AdminState::Maintenance, AdminState::Ready) => {
                notice(format!("is {health}/READY (leaving forced maintenance)."))
            }
            (_, AdminState::Drain) => notice(format!("enters drain state. {tail}")),
            (_, AdminState::Ready) => notice(format!("is {health} (leaving forced drain).")),
        }
    }

    /// None if it is as well as before, or nobody asks, as in maintenance.
    fn of_health(&self) -> Option<(LogLevel, String)> {
        use OperationalState::{Running, Starting, Stopped, Stopping};
        let was = self.before.server.status().operational();
        let is = self.server.status().operational();
        if was == is {
            return None;
        }
        let (why, with_it) = (self.why, self.with_it());
        match is {
            Stopped => Some((self.loss(), format!("is DOWN{why}. {}", self.without_it()))),
            Stopping => Some(notice(format!("is stopping{why}. {with_it}"))),
            // A slow start has ended.
            Starting | Running if matches!(was, Starting | Running) => None,
            Starting | Running => Some(notice(format!("is UP{why}. {with_it}"))),
        }
    }

    /// Urgent, unless the server was leaving already.
    fn loss(&self) -> LogLevel {
        use OperationalState::{Running, Starting};
        let was = self.before.server.status();
        match (was.admin(), was.operational()) {
            (AdminState::Ready, Starting | Running) => LogLevel::Alert,
            _ => LogLevel::Notice,
        }
    }

    fn is_reweighted(&self) -> bool {
        self.server.status().weight() != self.before.server.status().weight()
    }

    fn leaves_nobody(&self) -> bool {
        let is_usable = self.farm.servers().iter().any(FarmServer::is_usable);
        self.before.server.is_usable() && !is_usable
    }

    fn with_it(&self) -> String {
        let (moved, queued) = (self.moved(), self.server.queued());
        let servers = self.servers("online");
        format!("{servers} {moved} sessions requeued, {queued} total in queue.")
    }

    fn without_it(&self) -> String {
        let (moved, queued) = (self.moved(), self.server.queued());
        let (servers, sessions) = (self.servers("left"), self.server.in_flight());
        format!(
            "{servers} {sessions} sessions active, {moved} requeued, {queued} remaining in queue."
        )
    }

    /// Requests that waited for this server, and do not any more.
    fn moved(&self) -> u32 {
        self.before.queued.saturating_sub(self.server.queued())
    }

    fn servers(&self, word: &str) -> String {
        let (active, backups) = (
            self.farm.usable(false).count(),
            self.farm.usable(true).count(),
        );
        let mut text = format!("{active} active and {backups} backup servers {word}.");
        if active == 0 && backups > 0 {
            text.push_str(" Running on backup.");
        }
        text
    }
}

fn is_stopped(server: &FarmServer) -> bool {
    server.status().operational() == OperationalState::Stopped
}

fn notice(text: String) -> (LogLevel, String) {
    (LogLevel::Notice, text)
}

#[cfg(test)]
mod tests {
    use stickroute::{Backend, BackendBuilder, Server};

    use super::*;

    fn backend() -> Backend {
        let servers = [
            Server::new("a", "127.0.0.1:1"),
            Server::new("b", "127.0.0.1:2").backup(),
        ];
        let builder = servers
            .into_iter()
            .fold(Backend::builder("app"), BackendBuilder::server);
        builder.build().expect("it is a backend")
    }

    /// What is told of the first server when this happens to it.
    fn told(backend: &Backend, happens: impl FnOnce(&Backend)) -> (Vec<(LogLevel, String)>, bool) {
        let before = Before::of(&backend.farm().servers()[0]);
        happens(backend);
        let farm = backend.farm();
        let change = Change {
            before: &before,
            server: &farm.servers()[0],
            farm: &farm,
            why: ", changed from CLI",
        };
        (change.texts(), change.leaves_nobody())
    }

    fn order(state: AdminState) -> impl FnOnce(&Backend) {
        move |backend| backend.set_admin_state("a", state).expect("it is there")
    }

    #[test]
    fn losses_are_urgent() {
        let (texts, leaves_nobody) = told(&backend(), order(AdminState::Maintenance));
        let text = "is going DOWN for maintenance. 0 active and 1 backup servers left. Running on \
                    backup. 0 sessions active, 0 requeued, 0 remaining in queue.";
        assert_eq!(texts, [(LogLevel::Alert, text.to_owned())]);
        assert!(!leaves_nobody, "the backup serves");
    }

    #[test]
    fn a_drained_server_is_told_to_be_so_whatever_its_health() {
        let backend = backend();
        let (texts, _) = told(&backend, order(AdminState::Drain));
        assert!(texts[0].1.starts_with("enters drain state. 0 active"));
        let (texts, _) = told(&backend, |backend| {
            let down = OperationalState::Stopped;
            backend
                .set_operational_state("a", down)
                .expect("it is there");
        });
        assert!(texts[0].1.starts_with("is DOWN, changed from CLI. "));
        assert_eq!(texts[1], notice("remains in forced drain mode.".to_owned()));
    }

    #[test]
    fn nobody_left_is_told_once() {
        let backend = backend();
        backend
            .set_admin_state("b", AdminState::Maintenance)
            .expect("it is there");
        assert!(told(&backend, order(AdminState::Drain)).1);
        assert!(!told(&backend, order(AdminState::Maintenance)).1);
    }
}
