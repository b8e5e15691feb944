//! What a `frontend`, `backend`, `listen` or `defaults` section says.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bind::Bind;
use super::location::{Located, Location, Word};
use super::log::LogSettings;
use super::pages::ErrorPage;
use super::rules::{ConditionWords, ConditionalRule, Rule};
use super::server::{ServerLine, ServerSettings};
use super::stats::StatsPage;
use super::table::TableLine;
use crate::RetryOn;
use crate::cookie::CookiePolicy;
use crate::fetch::Expression;
use crate::haproxy::expression::Reference;
use crate::stick::StickAction;

/// Which section a proxy was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyKind {
    /// `defaults`, from which the others inherit.
    Defaults,
    /// `frontend`: accepts clients.
    Frontend,
    /// `backend`: has servers.
    Backend,
    /// `listen`: both.
    Listen,
}

impl ProxyKind {
    /// The keyword of the section.
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Defaults => "defaults",
            Self::Frontend => "frontend",
            Self::Backend => "backend",
            Self::Listen => "listen",
        }
    }

    /// Whether clients come here.
    pub const fn is_frontend(self) -> bool {
        matches!(self, Self::Frontend | Self::Listen)
    }

    /// Whether requests are balanced here.
    pub const fn is_backend(self) -> bool {
        matches!(self, Self::Backend | Self::Listen)
    }
}

/// What is forwarded. HAProxy: `mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Bytes; the default.
    #[default]
    Tcp,
    /// HTTP messages.
    Http,
}

/// The lengths of time a proxy can have. HAProxy: `timeout NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// `check`: a health check.
    Check,
    /// `client`: silence of the client.
    Client,
    /// `client-fin`: silence of a client that is half closed.
    ClientFin,
    /// `connect`: a connection to a server.
    Connect,
    /// `http-keep-alive`: between two requests.
    HttpKeepAlive,
    /// `http-request`: the headers of a request.
    HttpRequest,
    /// `queue`: waiting for a slot.
    Queue,
    /// `server`: silence of the server.
    Server,
    /// `server-fin`: silence of a server that is half closed.
    ServerFin,
    /// `tarpit`: how long a client is kept waiting.
    Tarpit,
    /// `tunnel`: silence of both in a tunnel.
    Tunnel,
}

/// One section, with everything it inherits from its defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Proxy {
    /// Which section it is.
    pub kind: ProxyKind,
    /// Its name; empty for `defaults` without one. Where it has none, the place is that
    /// of the keyword.
    pub name: Located<String>,
    /// HAProxy: `disabled`; default: enabled.
    pub disabled: bool,
    /// HAProxy: `id N`, from 1.
    pub id: Option<Located<u32>>,
    /// HAProxy: `mode`; default TCP.
    pub mode: Mode,
    /// HAProxy: `timeout NAME T`; 0 is none.
    pub timeouts: BTreeMap<Timeout, Located<Duration>>,
    /// HAProxy: `acl NAME EXPRESSION...`, the name and the words behind it, in order.
    pub acls: Vec<Acl>,
    /// HAProxy: `http-request`, `http-response`, `tcp-request`, `tcp-response` and
    /// `redirect` rules, in order.
    pub rules: Vec<Rule>,
    /// HAProxy: `stick-table`.
    pub stick_table: Option<Located<TableLine>>,
    /// Options without arguments that are written, and whether `no` is before them.
    /// HAProxy: `option NAME`, `no option NAME`.
    pub switches: BTreeMap<&'static str, Located<bool>>,
    /// HAProxy: `option forwardfor`, the words behind it.
    pub forwardfor: Option<Located<Vec<Word>>>,
    /// HAProxy: `errorfile`, `errorfiles`, `errorloc`, `errorloc302`, `errorloc303` and
    /// `http-error`, in order.
    pub error_pages: Vec<ErrorPage>,
    /// HAProxy: `log`, `log-format`, `capture` and the like.
    pub logs: LogSettings,
    /// HAProxy: `stats`, all lines together; `None` if there are none.
    pub stats: Option<StatsPage>,
    /// Whether that is the page of the defaults.
    pub(super) stats_is_inherited: bool,
    /// What only those with clients have; empty in a backend.
    pub frontend: FrontendSettings,
    /// What only those with servers have; empty in a frontend.
    pub backend: BackendSettings,
}

impl Proxy {
    pub(super) fn new(kind: ProxyKind, name: Located<String>) -> Self {
        Self {
            kind,
            name,
            disabled: false,
            id: None,
            mode: Mode::default(),
            timeouts: BTreeMap::new(),
            acls: Vec::new(),
            rules: Vec::new(),
            stick_table: None,
            switches: BTreeMap::new(),
            forwardfor: None,
            error_pages: Vec::new(),
            logs: LogSettings::default(),
            stats: None,
            stats_is_inherited: false,
            frontend: FrontendSettings::default(),
            backend: BackendSettings::default(),
        }
    }

    /// A section that inherits everything but the name.
    pub(super) fn inheriting(&self, kind: ProxyKind, name: Located<String>) -> Self {
        let mut proxy = Self {
            kind,
            name,
            stats_is_inherited: true,
            ..self.clone()
        };
        // Or a default backend would lead back to itself.
        if kind == ProxyKind::Backend {
            proxy.frontend = FrontendSettings::default();
        }
        proxy
    }

    /// Whether an option without arguments is on; default off.
    pub fn is_on(&self, option: &str) -> bool {
        self.switches.get(option).is_some_and(|state| state.value)
    }

    /// The length of a timeout, `None` if it is not written or 0. Some stand in for others:
    /// see [`effective_timeout`](Self::effective_timeout).
    pub fn timeout(&self, timeout: Timeout) -> Option<Duration> {
        let found = self.timeouts.get(&timeout)?.value;
        (!found.is_zero()).then_some(found)
    }

    /// The length of a timeout or of the one that stands in for it where it is not written or
    /// 0; `None` is no limit. HAProxy: `http-keep-alive` is `http-request`, which is `client`;
    /// `queue` and `tarpit` are `connect`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use stickroute::haproxy::{Configuration, Timeout};
    ///
    /// let text = "listen web\n timeout client 20s\n timeout connect 3s\n";
    /// let configuration = Configuration::parse("proxy.cfg", text)?;
    /// let web = &configuration.proxies[0];
    /// let keep_alive = web.effective_timeout(Timeout::HttpKeepAlive);
    /// assert_eq!(keep_alive, Some(Duration::from_secs(20)));
    /// let queue = web.effective_timeout(Timeout::Queue);
    /// assert_eq!(queue, Some(Duration::from_secs(3)));
    /// assert_eq!(web.effective_timeout(Timeout::Tunnel), None);
    /// # Ok::<(), stickroute::haproxy::ConfigurationError>(())
    /// ```
    pub fn effective_timeout(&self, timeout: Timeout) -> Option<Duration> {
        let stand_in = match timeout {
            Timeout::HttpKeepAlive => Timeout::HttpRequest,
            Timeout::HttpRequest => Timeout::Client,
            Timeout::Queue | Timeout::Tarpit => Timeout::Connect,
            _ => return self.timeout(timeout),
        };
        let own = self.timeout(timeout);
        own.or_else(|| self.effective_timeout(stand_in))
    }

    /// How messages name it: `backend 'be'`.
    pub(super) fn title(&self) -> String {
        format!("{} '{}'", self.kind.keyword(), self.name.value)
    }

    /// Where messages about the whole of it point to.
    pub(in crate::haproxy) fn place(&self) -> Word {
        Word {
            bytes: self.name.value.clone().into_bytes(),
            location: self.name.location.clone(),
        }
    }
}

/// HAProxy: `acl NAME EXPRESSION...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// The name; several lines may share one.
    pub name: Word,
    /// The sample, the flags and the patterns.
    pub expression: Vec<Word>,
}

/// What a section says of its clients.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FrontendSettings {
    /// HAProxy: `bind`, in order.
    pub binds: Vec<Bind>,
    /// HAProxy: `default_backend`.
    pub default_backend: Option<Word>,
    /// HAProxy: `use_backend NAME [if|unless ...]`, in order; a name may be a format
    /// with `%[...]` in it.
    pub use_backend: Vec<ConditionalRule>,
    /// HAProxy: `maxconn`.
    pub maxconn: Option<Located<u32>>,
    /// HAProxy: `monitor-uri`: the target of requests that only ask whether the proxy is
    /// there. `None` in mode tcp.
    pub monitor_uri: Option<Word>,
}

/// What a section says of its servers.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BackendSettings {
    /// HAProxy: `server`, in order, each with what `default-server` said before it.
    pub servers: Vec<ServerLine>,
    /// HAProxy: `default-server`, all lines together.
    pub default_server: ServerSettings,
    /// HAProxy: `balance`, the words behind the keyword; default `roundrobin`.
    pub balance: Option<Located<Vec<Word>>>,
    /// HAProxy: `hash-type`, the words behind the keyword; default `map-based`.
    pub hash_type: Option<Located<Vec<Word>>>,
    /// HAProxy: `hash-balance-factor`, 0 for none or above 100.
    pub hash_balance_factor: Option<Located<u32>>,
    /// HAProxy 3.x: `hash-preserve-affinity`, `always`, `maxconn` or `maxqueue`.
    pub hash_preserve_affinity: Option<Word>,
    /// HAProxy: `cookie`.
    pub cookie: Option<Located<CookiePolicy>>,
    /// HAProxy: `dynamic-cookie-key`.
    pub dynamic_cookie_key: Option<Word>,
    /// HAProxy: `retries`; default 3.
    pub retries: Option<Located<u32>>,
    /// HAProxy: `option redispatch [N]`, −1 without a number; `None` is off.
    pub redispatch: Option<Located<i32>>,
    /// HAProxy: `retry-on`; default `conn-failure`.
    pub retry_on: Option<Located<RetryOn>>,
    /// HAProxy: `force-persist` and `ignore-persist`, in order.
    pub persist_rules: Vec<PersistLine>,
    /// HAProxy: `use-server NAME if|unless ...`, in order.
    pub use_server: Vec<ConditionalRule>,
    /// HAProxy: `stick on|match|store-request|store-response ...`, in order.
    pub stick_rules: Vec<StickLine>,
    /// HAProxy: `persist rdp-cookie[(NAME)]`, the name; by default `msts`.
    pub persist_rdp_cookie: Option<Located<String>>,
    /// HAProxy: `option httpchk`, `option tcp-check` and the like: which, and its words.
    pub check: Option<CheckLine>,
    /// HAProxy: `http-check` and `tcp-check`, the words of each line, keyword included.
    pub check_rules: Vec<Vec<Word>>,
    /// HAProxy: `fullconn`.
    pub fullconn: Option<Located<u32>>,
    /// HAProxy: `http-reuse`.
    pub http_reuse: Option<Word>,
    /// HAProxy: `load-server-state-from-file`.
    pub load_server_state: Option<Word>,
    /// HAProxy: `server-state-file-name`; default the name of the backend.
    pub server_state_file_name: Option<Word>,
}

/// HAProxy: `force-persist` or `ignore-persist`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PersistLine {
    /// True for `force-persist`.
    pub force: bool,
    /// When it applies.
    pub condition: ConditionWords,
}

/// HAProxy: `stick KIND EXPRESSION [table NAME] [if|unless ...]`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StickLine {
    /// Where the line is.
    pub location: Location,
    /// Which half.
    pub kind: StickAction,
    /// The words of the expression.
    pub words: Vec<Word>,
    /// What the words mean. Stick tables are not found by it.
    pub expression: Expression,
    /// The tables it reads.
    pub(super) reads: Reads,
    /// The table; `None` is the backend's own.
    pub table: Option<Word>,
    /// When it applies; `None` is always.
    pub condition: Option<ConditionWords>,
}

/// Tables that are read, and where their names are.
pub(super) type Reads = Vec<(Word, Reference)>;

impl StickLine {
    /// The table it is about, in this section.
    pub(in crate::haproxy) fn table_name<'c>(&'c self, proxy: &'c Proxy) -> &'c str {
        let own = proxy.name.value.as_str();
        self.table.as_ref().map_or(own, Word::text)
    }
}

/// HAProxy: `option httpchk ...` and its kin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckLine {
    /// The option, `httpchk` for example.
    pub kind: Word,
    /// The words behind it.
    pub arguments: Vec<Word>,
}
