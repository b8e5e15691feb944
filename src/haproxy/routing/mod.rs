//! A configuration put into service: its frontends, backends and stick tables.

mod backend;
mod builder;
mod check;
mod frontend;
mod tables;

use std::fmt;
use std::sync::Arc;

pub use builder::RoutingBuilder;
pub use check::BackendCheck;
pub use frontend::Frontend;

use super::config::{ConditionWords, Configuration, ConfigurationError};
use super::{AclCondition, Format, FormatError, LogFormat, Mode, ProxyId, Runtime, ServerData};
use crate::{Backend, Now, StickTable};

/// What a configuration says about routing, ready to run.
///
/// Stick tables are built once and shared by all backends whose rules name them. `P` is
/// the payload of servers, see [`Server::payload`](crate::Server::payload).
///
/// Everything around it is left to the proxy: connections, timeouts, [checks](Self::check),
/// rules on messages (`http-request` and the like, see [`Proxy::rules`](super::Proxy::rules)).
///
/// ```
/// use stickroute::haproxy::Configuration;
/// use stickroute::{Now, SimpleRequest};
///
/// let text = "
/// frontend web
///     mode http
///     use_backend img if { path_beg /img/ }
///     default_backend app
/// backend img
///     mode http
///     server i1 10.0.1.1:80
/// backend app
///     mode http
///     stick-table type ip size 100k expire 30m
///     stick on src
///     server s1 10.0.0.1:80
///     server s2 10.0.0.2:80
/// ";
/// let routing = Configuration::parse("app.cfg", text)?.build()?;
///
/// let request = SimpleRequest::new("GET", "/cart").source("192.0.2.1".parse()?);
/// let name = routing.frontend("web").and_then(|web| web.route(&request));
/// let backend = name.and_then(|name| routing.backend(name)).expect("it has servers");
/// let selection = backend.select(&request, Now::system())?;
/// assert_eq!(selection.server().name(), "s1");
///
/// let answer = routing.runtime(Now::system()).answer(b"show table", Now::system());
/// assert_eq!(answer.text(), "# table: app, type: ip, size:102400, used:1\n\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Routing<P: Send + Sync + 'static = ()> {
    frontends: Vec<Frontend>,
    backends: Vec<NamedBackend<P>>,
    tables: Vec<NamedTable>,
}

struct NamedBackend<P: Send + Sync + 'static> {
    name: String,
    id: ProxyId,
    /// `None` without servers.
    backend: Option<Arc<Backend<P>>>,
    /// `None` if none of them is checked.
    check: Option<BackendCheck>,
}

struct NamedTable {
    name: String,
    table: Arc<StickTable>,
    data: ServerData,
}

impl Configuration {
    /// Builds everything the configuration says about routing. Replication (`peers` of a
    /// table), saved states (`load-server-state-from-file`) and connections kept for a
    /// client (`option prefer-last-server`) are left to the proxy, like all that is no
    /// routing.
    ///
    /// # Errors
    /// What decides about servers and this version of the library cannot follow (`track`,
    /// checks by other protocols than HTTP), and what cannot be built, a table too large for
    /// the memory for example; each with its place.
    pub fn build(&self) -> Result<Routing, ConfigurationError> {
        self.routing().build()
    }

    /// As [`build`](Self::build), with payloads for servers and other settings.
    pub fn routing(&self) -> RoutingBuilder<'_> {
        RoutingBuilder::new(self)
    }
}

impl<P: Send + Sync + 'static> Routing<P> {
    /// Where clients come in: `frontend` and `listen` sections, in order.
    pub fn frontends(&self) -> &[Frontend] {
        &self.frontends
    }

    /// The `frontend` or `listen` section of a name.
    pub fn frontend(&self, name: &str) -> Option<&Frontend> {
        let mut frontends = self.frontends.iter();
        frontends.find(|frontend| frontend.name() == name)
    }

    /// `backend` and `listen` sections in order; `None` for those without servers.
    pub fn backends(&self) -> impl Iterator<Item = (&str, Option<&Arc<Backend<P>>>)> {
        let backends = self.backends.iter();
        backends.map(|backend| (backend.name.as_str(), backend.backend.as_ref()))
    }

    /// The `backend` or `listen` section of a name, if it has servers.
    pub fn backend(&self, name: &str) -> Option<&Arc<Backend<P>>> {
        let mut backends = self.backends();
        backends.find(|(known, _)| *known == name)?.1
    }

    /// How the servers of a backend are checked, those that
    /// [are](crate::FarmServer::is_checked); `None` if none is. HAProxy: `option httpchk`,
    /// `http-check`, `timeout check`.
    ///
    /// ```
    /// use stickroute::haproxy::Configuration;
    /// use stickroute::health::CheckWish;
    /// use stickroute::{Now, OperationalState};
    ///
    /// let text = "
    /// backend app
    ///     mode http
    ///     option httpchk GET /health
    ///     http-check expect string ready
    ///     server s1 10.0.0.1:80 check inter 5s fall 1
    /// ";
    /// let routing = Configuration::parse("app.cfg", text)?.build()?;
    /// let (app, check) = (routing.backend("app"), routing.check("app"));
    /// let (app, check) = app.zip(check).ok_or("s1 is checked")?;
    /// for server in app.farm().servers() {
    ///     let Some(pause) = server.next_check() else {
    ///         continue; // not checked, or not now
    ///     };
    ///     assert_eq!(pause.as_secs(), 5);
    ///     let mut run = check.sequence().start(server.health().state());
    ///     let report = loop {
    ///         match run.next() {
    ///             CheckWish::Connect(to) => drop(to.address(&server.check_address())), // yours
    ///             CheckWish::Send(bytes) => assert_eq!(bytes, b"GET /health HTTP/1.0\r\n\r\n"),
    ///             CheckWish::Read => {
    ///                 run.received(b"HTTP/1.0 200 OK\r\n\r\nnot yet");
    ///                 run.ended();
    ///             }
    ///             CheckWish::Done(report) => break report,
    ///         }
    ///     };
    ///     let change = app.report_check(server.id(), report.status(), Now::system())?;
    ///     assert_eq!(change, Some(OperationalState::Stopped));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(&self, backend: &str) -> Option<&BackendCheck> {
        let mut backends = self.backends.iter();
        backends.find(|known| known.name == backend)?.check.as_ref()
    }

    /// Stick tables in order; those of `peers` sections are named `SECTION/TABLE`.
    pub fn tables(&self) -> impl Iterator<Item = (&str, &Arc<StickTable>)> {
        let tables = self.tables.iter();
        tables.map(|table| (table.name.as_str(), &table.table))
    }

    /// The stick table of a name.
    pub fn table(&self, name: &str) -> Option<&Arc<StickTable>> {
        self.tables().find(|(known, _)| *known == name)?.1.into()
    }

    /// A condition of the section of this name, with its stick tables: for rules that the
    /// proxy around follows itself, `http-request` and the like.
    ///
    /// ```
    /// use std::net::Ipv4Addr;
    /// use stickroute::haproxy::Configuration;
    /// use stickroute::{Key, Now, SimpleRequest};
    ///
    /// let text = "
    /// frontend web
    ///     mode http
    ///     http-request deny if { src,in_table(abusers) }
    ///     default_backend app
    /// backend abusers
    ///     stick-table type ip size 100k expire 1h
    /// backend app
    ///     mode http
    ///     server s1 10.0.0.1:80
    /// ";
    /// let configuration = Configuration::parse("app.cfg", text)?;
    /// let routing = configuration.build()?;
    /// let web = &configuration.proxies[0];
    /// let words = web.rules[0].condition.as_ref().ok_or("there is one")?;
    /// let deny = routing.condition(&web.name.value, words);
    ///
    /// let client = Ipv4Addr::new(192, 0, 2, 7);
    /// let request = SimpleRequest::new("GET", "/").source(client.into());
    /// assert!(!deny.on_request(&request));
    /// let abusers = routing.table("abusers").ok_or("it is there")?;
    /// let _ = abusers.insert(&Key::from(client), Now::system())?;
    /// assert!(deny.on_request(&request));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Tables have no clock: call [`StickTable::maintain`] now and then.
    pub fn condition(&self, section: &str, words: &ConditionWords) -> AclCondition {
        words.with_tables(&self.finder(section))
    }

    /// Reads a format of the section of this name, with its stick tables: for arguments of
    /// rules that the proxy around follows itself.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn format(&self, section: &str, text: impl AsRef<[u8]>) -> Result<Format, FormatError> {
        Format::with_tables(text.as_ref(), &self.finder(section))
    }

    /// Reads a log format of the section of this name, with its stick tables. HAProxy:
    /// `log-format`.
    ///
    /// # Errors
    /// As those of [`LogFormat::parse`].
    pub fn log_format(
        &self,
        section: &str,
        text: impl AsRef<[u8]>,
        mode: Mode,
    ) -> Result<LogFormat, FormatError> {
        LogFormat::with_tables(text.as_ref(), mode, &self.finder(section))
    }

    /// Reads the argument of a rule, in which the variables of logs may stand, too, with
    /// the stick tables of the section of this name.
    ///
    /// # Errors
    /// As those of [`LogFormat::argument`].
    pub fn argument(
        &self,
        section: &str,
        text: impl AsRef<[u8]>,
        mode: Mode,
    ) -> Result<LogFormat, FormatError> {
        LogFormat::argument_with_tables(text.as_ref(), mode, &self.finder(section))
    }

    fn finder<'r>(&'r self, own: &'r str) -> impl Fn(Option<&str>) -> Option<Arc<StickTable>> + 'r {
        move |name| self.table(name.unwrap_or(own)).cloned()
    }

    /// The runtime commands about all of it, with the numbers that HAProxy gives to
    /// sections. `started` is when the proxy began to run.
    pub fn runtime(&self, started: Now) -> Runtime<'_, P> {
        let mut runtime = Runtime::new(started);
        for NamedBackend {
            name, id, backend, ..
        } in &self.backends
        {
            runtime = match backend {
                Some(backend) => runtime.backend(*id, backend),
                None => runtime.empty_backend(*id, name),
            };
        }
        for NamedTable { name, table, data } in &self.tables {
            runtime = runtime.table(name, table, *data);
        }
        runtime
    }
}

impl<P: Send + Sync + 'static> fmt::Debug for Routing<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backends: Vec<_> = self.backends().map(|(name, _)| name).collect();
        let tables: Vec<_> = self.tables().map(|(name, _)| name).collect();
        f.debug_struct("Routing")
            .field("frontends", &self.frontends)
            .field("backends", &backends)
            .field("tables", &tables)
            .finish()
    }
}
