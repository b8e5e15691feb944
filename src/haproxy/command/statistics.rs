//! What `show stat` and `show info` tell.

use std::fmt;
use std::time::Duration;

use crate::haproxy::Mode;
use crate::health::{CheckReport, HealthCounter};
use crate::{Address, Backend, FarmServer, Now, Status};

/// Where the runtime commands find the numbers that a proxy keeps about its traffic.
///
/// Hand it to [`Runtime::statistics`](super::Runtime::statistics).
pub trait Statistics: fmt::Debug + Sync {
    /// All rows in HAProxy's order: of each section the frontend, the servers, the backend.
    fn rows(&self, now: Now) -> Vec<StatRow>;

    /// What is known of the process.
    fn process(&self, now: Now) -> ProcessInfo;
}

/// One row of `show stat`: a frontend, a server or a backend.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StatRow {
    /// Name of the section. HAProxy: `pxname`.
    pub section: String,
    /// Number of the section. HAProxy: `iid`.
    pub section_id: u32,
    /// HAProxy: `mode`; a row in mode tcp has no responses.
    pub mode: Mode,
    /// What it is about.
    pub subject: StatSubject,
    /// What has been counted.
    pub counts: StatCounts,
}

impl StatRow {
    /// A row of a section, without counts.
    pub fn new(section: impl Into<String>, section_id: u32, mode: Mode, of: StatSubject) -> Self {
        Self {
            section: section.into(),
            section_id,
            mode,
            subject: of,
            counts: StatCounts::default(),
        }
    }
}

/// What a [`StatRow`] is about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StatSubject {
    /// Where clients come.
    Frontend {
        /// Most sessions at a time. HAProxy: `slim`.
        session_limit: Option<u32>,
    },
    /// Servers together.
    Backend(StatBackend),
    /// One server.
    Server(StatServer),
}

impl StatSubject {
    /// HAProxy's word for it in `svname`, or the name of the server.
    pub fn name(&self) -> &str {
        match self {
            Self::Frontend { .. } => "FRONTEND",
            Self::Backend(_) => "BACKEND",
            Self::Server(server) => &server.name,
        }
    }
}

/// The state of a backend.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StatBackend {
    /// Whether somebody can serve; one without servers is up, too. HAProxy: `status`.
    pub is_up: bool,
    /// Sum of the weights of those who serve. HAProxy: `weight`.
    pub weight: u32,
    /// Usable servers that are not backups. HAProxy: `act`.
    pub active: u32,
    /// Usable backups. HAProxy: `bck`.
    pub backups: u32,
    /// Requests that wait for any server or for one of them. HAProxy: `qcur`.
    pub queued: u32,
    /// Sessions from which on servers get all they can take. HAProxy: `slim`.
    pub session_limit: Option<u32>,
    /// Name of the cookie.
    pub cookie: Option<String>,
    /// How it balances. HAProxy: `algo`.
    pub algorithm: String,
    /// Seconds since the last session began or ended. HAProxy: `lastsess`.
    pub last_session: Option<u64>,
    /// How many servers run, and how many there are, where not all of them are listed.
    pub(super) running: Option<(usize, usize)>,
}

impl StatBackend {
    /// The state of a backend at this moment.
    pub fn of<P: Send + Sync + 'static>(backend: &Backend<P>) -> Self {
        let farm = backend.farm();
        let servers = farm.candidates();
        let weight = servers
            .map(|(_, server)| server.status().weight().get())
            .sum();
        let of_servers: u32 = farm.servers().iter().map(FarmServer::queued).sum();
        Self {
            is_up: weight > 0,
            weight,
            active: farm.usable(false).count() as u32,
            backups: farm.usable(true).count() as u32,
            queued: backend.queued().saturating_add(of_servers),
            ..Self::default()
        }
    }

    /// The state of a backend without servers.
    pub fn empty() -> Self {
        Self {
            is_up: true,
            ..Self::default()
        }
    }
}

/// The state of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StatServer {
    /// Its name.
    pub name: String,
    /// Its id. HAProxy: `sid`.
    pub id: u32,
    /// States and weight.
    pub status: Status,
    /// Whether its health is checked; if not, it is not said to be up.
    pub is_checked: bool,
    /// Whether it is a backup.
    pub is_backup: bool,
    /// Requests that wait for it. HAProxy: `qcur`.
    pub queued: u32,
    /// Most requests that may wait for it. HAProxy: `qlimit`.
    pub queue_limit: Option<u32>,
    /// Most sessions at a time. HAProxy: `slim`.
    pub session_limit: Option<u32>,
    /// Sessions at this moment. HAProxy: `scur`.
    pub in_flight: u32,
    /// Seconds since its state changed, or since the start. HAProxy: `lastchg`.
    pub last_change: u64,
    /// Where it is.
    pub address: Address,
    /// The value that stands for it in the cookie.
    pub cookie: Option<String>,
    /// Seconds since the last session began or ended. HAProxy: `lastsess`.
    pub last_session: Option<u64>,
    /// What its checks find; `None` if it is not checked.
    pub check: Option<StatCheck>,
}

/// What is shown of the checks of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatCheck {
    /// What the last one has found. HAProxy: `check_status`, `check_code`, `last_chk`.
    pub report: CheckReport,
    /// How long it took. HAProxy: `check_duration`.
    pub duration: Option<Duration>,
    /// How results count. HAProxy: `check_rise`, `check_fall`, `check_health`.
    pub health: HealthCounter,
}

impl StatServer {
    /// The state of a server at this moment; `started` is when the proxy began to run.
    pub fn of(server: &FarmServer, started: Now, now: Now) -> Self {
        let since = server.changed().unwrap_or(started.mono());
        Self {
            name: server.name().to_owned(),
            id: server.id().get(),
            status: server.status(),
            is_checked: server.is_checked(),
            is_backup: server.is_backup(),
            queued: server.queued(),
            queue_limit: server.max_queue(),
            session_limit: server.max_connections(),
            in_flight: server.in_flight(),
            last_change: now.mono().as_secs().saturating_sub(since.as_secs()),
            address: server.address().clone(),
            check: server.is_checked().then(|| StatCheck {
                report: server.last_check().into(),
                duration: None,
                health: server.health(),
            }),
            cookie: None,
            last_session: None,
        }
    }
}

/// What has been counted since the start; everything is 0 by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatCounts {
    /// Sessions at this moment. HAProxy: `scur`.
    pub current: u64,
    /// Most sessions at a time. HAProxy: `smax`.
    pub most: u64,
    /// Sessions; of a frontend connections, of a server attempts. HAProxy: `stot`.
    pub sessions: u64,
    /// Most requests that waited at a time. HAProxy: `qmax`.
    pub most_queued: u64,
    /// Bytes from clients. HAProxy: `bin`.
    pub bytes_in: u64,
    /// Bytes to clients. HAProxy: `bout`.
    pub bytes_out: u64,
    /// Requests that a rule denied. HAProxy: `dreq`.
    pub denied_requests: u64,
    /// Responses that a rule denied. HAProxy: `dresp`.
    pub denied_responses: u64,
    /// Connections that a rule denied. HAProxy: `dcon`.
    pub denied_connections: u64,
    /// Sessions that a rule denied. HAProxy: `dses`.
    pub denied_sessions: u64,
    /// Requests that were none. HAProxy: `ereq`.
    pub request_errors: u64,
    /// Requests given up since no connection could be made. HAProxy: `econ`.
    pub connection_errors: u64,
    /// Responses that were none. HAProxy: `eresp`.
    pub response_errors: u64,
    /// Connections tried once more. HAProxy: `wretr`.
    pub retries: u64,
    /// Requests given to another server. HAProxy: `wredis`.
    pub redispatches: u64,
    /// Times the algorithm chose. HAProxy: `lbtot`.
    pub balanced: u64,
    /// Responses of status 1xx to 5xx, and others. HAProxy: `hrsp_1xx` to `hrsp_other`.
    pub responses: [u64; 6],
    /// HTTP requests. HAProxy: `req_tot`.
    pub requests: u64,
    /// Transfers that the client broke off. HAProxy: `cli_abrt`.
    pub client_aborts: u64,
    /// Transfers that the server broke off. HAProxy: `srv_abrt`.
    pub server_aborts: u64,
    /// Connections of clients. HAProxy: `conn_tot`.
    pub connections: u64,
    /// Requests answered by the proxy itself. HAProxy: `intercepted`.
    pub intercepted: u64,
}

/// What `show info` tells of the process.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// Name of the program. HAProxy: `Name`.
    pub name: String,
    /// Its version. HAProxy: `Version`.
    pub version: String,
    /// HAProxy: `Nbthread`.
    pub threads: usize,
    /// HAProxy: `Pid`.
    pub pid: u32,
    /// Seconds since the start. HAProxy: `Uptime_sec`.
    pub uptime: u64,
    /// Most connections at a time; `None` is without limit. HAProxy: `Maxconn`.
    pub max_connections: Option<u32>,
    /// Connections at this moment. HAProxy: `CurrConns`.
    pub current_connections: u64,
    /// Connections since the start. HAProxy: `CumConns`.
    pub connections: u64,
    /// Requests since the start. HAProxy: `CumReq`.
    pub requests: u64,
    /// Name of the machine. HAProxy: `node`.
    pub node: String,
    /// Not told if it is empty. HAProxy: `description`.
    pub description: String,
}
