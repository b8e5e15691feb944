//! What is told of servers that come and go.

use stickroute::haproxy::LogLevel;
use stickroute::{Backend, FarmServer, OperationalState};

use crate::log::Log;
use crate::server::pool::Pool;
use crate::service::site::Back;

/// A server that has come, is leaving or has gone.
pub(crate) struct Change<'c> {
    pub(crate) back: &'c Back,
    pub(crate) backend: &'c Backend<Pool>,
    pub(crate) server: &'c FarmServer,
    pub(crate) state: OperationalState,
}

impl Change<'_> {
    /// Tells it as HAProxy does; `requeued` are those who waited for the server and wait for
    /// another one now.
    pub(crate) fn tell(&self, why: &str, requeued: u32) {
        let (active, backup) = (self.usable(false), self.usable(true));
        let (level, word) = match self.state {
            OperationalState::Stopped => (LogLevel::Alert, "DOWN"),
            OperationalState::Stopping => (LogLevel::Notice, "stopping"),
            _ => (LogLevel::Notice, "UP"),
        };
        let kind = if self.server.is_backup() {
            "Backup "
        } else {
            ""
        };
        let mut text = format!(
            "{kind}Server {}/{} is {word}, reason: {why}. {active} active and {backup} backup \
             servers ",
            self.back.name,
            self.server.name(),
        );
        text.push_str(&self.queues(requeued));
        self.say(level, &text);
        let is_new = self.state != OperationalState::Running;
        if is_new && active + backup == 0 {
            let section = if self.back.is_listen {
                "proxy"
            } else {
                "backend"
            };
            let text = format!("{section} {} has no server available!", self.back.name);
            self.say(LogLevel::Emergency, &text);
        }
    }

    /// What becomes of sessions and of those who wait.
    fn queues(&self, requeued: u32) -> String {
        let farm = self.backend.farm();
        let queued: u32 = farm.servers().iter().map(FarmServer::queued).sum();
        if self.state == OperationalState::Stopped {
            let sessions = self.server.in_flight();
            return format!(
                "left. {sessions} sessions active, {requeued} requeued, {queued} remaining in \
                 queue."
            );
        }
        format!("online. {requeued} sessions requeued, {queued} total in queue.")
    }

    fn usable(&self, is_backup: bool) -> usize {
        let farm = self.backend.farm();
        let servers = farm.servers().iter();
        let usable = servers.filter(|server| server.is_usable());
        usable
            .filter(|server| server.is_backup() == is_backup)
            .count()
    }

    fn say(&self, level: LogLevel, text: &str) {
        eprintln!("[WARNING] {text}");
        if let Log::Lines(log) = &self.back.log {
            log.say(level, text);
        }
    }
}
