//! `show servers state`, the text that HAProxy reads back as its state file, and
//! `show servers conn`.

use super::{NumberedBackend, Outcome, ProxyId, Runtime, word};
use crate::server::CheckTarget;
use crate::{Address, AdminState, Backend, Farm, FarmServer, Key, Now, OperationalState};

/// The version of the format, and its columns.
const HEADER: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state \
    srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result \
    srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn \
    srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n";

/// The columns of `show servers conn` with one thread.
const CONNECTIONS: &str = "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max \
    need_est unsafe_nb safe_nb idle_lim idle_cur idle_per_thr[1]\n";

impl<P: Send + Sync + 'static> Runtime<'_, P> {
    pub(super) fn show_servers_state(&self, words: &[&[u8]], now: Now) -> Outcome {
        let started = self.started.mono();
        self.list_servers(HEADER, words, |known, server| {
            let since = server.changed().unwrap_or(started);
            let seconds = now.mono().as_secs().saturating_sub(since.as_secs());
            format!(
                "{} {} {}",
                known.id.get(),
                known.name,
                row(server, known.id, seconds)
            )
        })
    }

    pub(super) fn show_servers_conn(&self, words: &[&[u8]]) -> Outcome {
        self.list_servers(CONNECTIONS, words, connections)
    }

    /// A line about each server, of all backends or of the one that is named.
    fn list_servers(
        &self,
        header: &str,
        words: &[&[u8]],
        line: impl Fn(&NumberedBackend<'_, P>, &FarmServer) -> String,
    ) -> Outcome {
        let named = match word(words, 0) {
            b"" => None,
            name => Some(self.find_backend(name).ok_or("Can't find backend.")?),
        };
        let mut text = String::from(header);
        for known in named.map_or(&self.backends[..], std::slice::from_ref) {
            let farm = known.backend.map(Backend::farm);
            for server in farm.iter().flat_map(Farm::servers) {
                text.push_str(&line(known, server));
                text.push('\n');
            }
        }
        Ok(text)
    }
}

/// What is known of connections: how many sessions are under way. The rest is as of a
/// server whose connections are not kept.
fn connections<P: Send + Sync + 'static>(
    known: &NumberedBackend<'_, P>,
    server: &FarmServer,
) -> String {
    let (address, _, port) = place(server.address());
    let used = server.in_flight();
    format!(
        "{}/{} {}/{} {address} {port} - 5000 {used} {used} {used} 0 0 -1 0 0",
        known.name,
        server.name(),
        known.id.get(),
        server.id(),
    )
}

/// The row of a server from its id on. What stands as 0 or `-` is about agents, name
/// resolution and TLS; agents get what the configuration says of checks.
fn row(server: &FarmServer, proxy: ProxyId, seconds: u64) -> String {
    let (address, name, port) = place(server.address());
    let status = server.status();
    let bk_forced = u8::from(matches!(proxy, ProxyId::Given(_)));
    let (check_status, check_result) = server.last_check().columns();
    let target = server.history.target();
    let agent = server.history.first_target();
    let ip = |target: CheckTarget| {
        let ip = target.ip.map(Key::from);
        ip.map_or("-".into(), |ip| ip.to_string())
    };
    format!(
        "{} {} {address} {} {} {} {} {seconds} {check_status} {check_result} {} {} 0 {bk_forced} {} \
         {name} {port} - 0 {} {} {} {}",
        server.id(),
        server.name(),
        operational(status.operational()),
        administrative(server),
        status.weight(),
        server.configured_weight(),
        server.health().health(),
        server.history.check_state(),
        u8::from(server.has_own_id()),
        target.port,
        ip(target),
        ip(agent),
        agent.port,
    )
}

/// IP address, host name and port, as far as there are any.
fn place(address: &Address) -> (String, &str, u16) {
    match address {
        Address::Ip(socket) => (Key::from(socket.ip()).to_string(), "-", socket.port()),
        Address::Host(name, port) => ("-".into(), name, *port),
        Address::Unix(_) => ("-".into(), "-", 0),
    }
}

const fn operational(state: OperationalState) -> u8 {
    match state {
        OperationalState::Stopped => 0,
        OperationalState::Starting => 1,
        OperationalState::Running => 2,
        OperationalState::Stopping => 3,
    }
}

/// 1 maintenance, 4 maintenance in the configuration, 8 drain.
fn administrative(server: &FarmServer) -> u8 {
    let ordered = match server.status().admin() {
        AdminState::Ready => 0,
        AdminState::Maintenance => 1,
        AdminState::Drain => 8,
    };
    ordered
        + if server.is_configured_disabled() {
            4
        } else {
            0
        }
}
