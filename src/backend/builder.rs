//! The description of a backend, and every check of it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::assemble::{self, Draft};
use super::rdp::RdpPersistence;
use super::rules::{Lookup, MakeName, Named, PersistRule, UseServerRule};
use super::slow_start::Steps;
use super::snapshot::DynamicCookies;
use super::stick;
use super::stick::StickPolicy;
use super::{Backend, Policy, RetryPolicy};
use crate::condition::Condition;
use crate::cookie::CookiePolicy;
use crate::error::{ConfigError, Problem};
use crate::message::Request;
use crate::queue::Line;
use crate::selection::Trust;
use crate::selector::{RoundRobin, Selector};
use crate::server::{Crowd, Server, ServerId};
use crate::snapshot::SnapshotCell;
use crate::stick::StickRule;
use crate::table::StickTable;

/// Describes a [`Backend`]; [`build`](Self::build) checks everything at once.
#[derive(Debug)]
#[must_use = "a description is nothing until it is built"]
pub struct BackendBuilder<P = ()> {
    name: Box<str>,
    servers: Vec<Server<P>>,
    cookie: Option<CookiePolicy>,
    dynamic_key: Option<Vec<u8>>,
    selector: Option<Arc<dyn Selector>>,
    trust_rules: Vec<PersistRule>,
    use_server_rules: Vec<UseServerRule<String>>,
    rdp: Option<RdpPersistence>,
    lookups: Vec<Lookup>,
    stick_table: Option<Arc<StickTable>>,
    stick_rules: Vec<StickRule>,
    persist: bool,
    retry: RetryPolicy,
    all_backups: bool,
    full_connections: u32,
}

impl<P: Send + Sync + 'static> BackendBuilder<P> {
    pub(super) fn new(name: Box<str>) -> Self {
        Self {
            name,
            servers: Vec::new(),
            cookie: None,
            dynamic_key: None,
            selector: None,
            trust_rules: Vec::new(),
            use_server_rules: Vec::new(),
            rdp: None,
            lookups: Vec::new(),
            stick_table: None,
            stick_rules: Vec::new(),
            persist: false,
            retry: RetryPolicy::default(),
            all_backups: false,
            full_connections: 0,
        }
    }

    /// Adds a server after those already there; the order matters for ids, ties and
    /// backups.
    pub fn server(mut self, server: Server<P>) -> Self {
        self.servers.push(server);
        self
    }

    /// Adds servers after those already there.
    pub fn servers(mut self, servers: impl IntoIterator<Item = Server<P>>) -> Self {
        self.servers.extend(servers);
        self
    }

    /// Persists by a cookie; default: no cookie is looked at. HAProxy: `cookie`.
    pub fn cookie(mut self, policy: impl Into<CookiePolicy>) -> Self {
        self.cookie = Some(policy.into());
        self
    }

    /// Sets the secret from which the identifiers of servers without one are computed,
    /// if the cookie policy is dynamic. HAProxy: `dynamic-cookie-key`.
    pub fn dynamic_cookie_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.dynamic_key = Some(key.into());
        self
    }

    /// Chooses how sessions without persistence are spread; default [`RoundRobin`].
    /// HAProxy: `balance`.
    pub fn balance(mut self, selector: impl Selector + 'static) -> Self {
        self.selector = Some(Arc::new(selector));
        self
    }

    /// As [`balance`](Self::balance), with a selector chosen at run time.
    ///
    /// Make one for each backend: backends that share one may share its turn and its
    /// count of sessions, too.
    pub fn balance_shared(mut self, selector: Arc<dyn Selector>) -> Self {
        self.selector = Some(selector);
        self
    }

    /// Lets persistence name servers that are down, too. HAProxy: `option persist`.
    pub fn persist(mut self) -> Self {
        self.persist = true;
        self
    }

    /// Requests that meet the condition go to the server their persistence names even
    /// when it is down, and never to another. The first of all `force_persist` and
    /// `ignore_persist` rules that holds decides. HAProxy: `force-persist`.
    pub fn force_persist(self, condition: Condition) -> Self {
        self.trust_rule(Trust::Forced, condition)
    }

    /// Requests that meet the condition are not persisted by cookie, and their responses
    /// set none. HAProxy: `ignore-persist`.
    pub fn ignore_persist(self, condition: Condition) -> Self {
        self.trust_rule(Trust::Ignored, condition)
    }

    fn trust_rule(mut self, trust: Trust, condition: Condition) -> Self {
        self.trust_rules.push(PersistRule { trust, condition });
        self
    }

    /// Requests that meet the condition go to this server if it is up. Rules are tried
    /// in order, before any cookie. HAProxy: `use-server`.
    pub fn use_server(mut self, name: impl Into<String>, condition: Condition) -> Self {
        let server = Named::Always(name.into());
        self.use_server_rules
            .push(UseServerRule { server, condition });
        self
    }

    /// Requests that meet the condition go to the server whose name `name` makes of them, if
    /// it is up; a name that no server has leaves the request to what comes behind all
    /// `use-server` rules. The name is looked for among all servers. HAProxy:
    /// `use-server %[...]`.
    pub fn use_server_named(
        mut self,
        name: impl Fn(&dyn Request) -> Vec<u8> + Send + Sync + 'static,
        condition: Condition,
    ) -> Self {
        let server = Named::Each(MakeName::new(name));
        self.use_server_rules
            .push(UseServerRule { server, condition });
        self
    }

    /// Persists connections by an RDP cookie of this name, in which terminal servers name
    /// themselves by IPv4 address and port; default: none is looked at.
    ///
    /// It is found in the [first bytes](crate::Request::payload) of a connection, and asked after
    /// `use-server` rules and before stick rules. HAProxy: `persist rdp-cookie(NAME)`, by
    /// default `msts`.
    pub fn persist_rdp_cookie(mut self, name: impl Into<Vec<u8>>) -> Self {
        self.rdp = Some(RdpPersistence::new(name));
        self
    }

    /// Gives the backend a stick table, which rules use that name no other. HAProxy:
    /// `stick-table`.
    pub fn stick_table(mut self, table: impl Into<Arc<StickTable>>) -> Self {
        self.stick_table = Some(table.into());
        self
    }

    /// Adds a stick rule after those already there. HAProxy: `stick`.
    pub fn stick(mut self, rule: StickRule) -> Self {
        self.stick_rules.push(rule);
        self
    }

    /// Asks a session table of your own, when neither a rule nor a cookie names a server.
    ///
    /// `find` answers with the server the request belongs to, `None` when it knows of none.
    /// A server that is down, or has left the backend, is not used. Lookups are asked in
    /// order and take the place of HAProxy's `stick match`.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::sync::{Arc, Mutex};
    /// use stickroute::{Backend, Now, Reason, Request, Server, ServerId, SimpleRequest};
    ///
    /// let sessions: Arc<Mutex<HashMap<Vec<u8>, ServerId>>> = Arc::default();
    /// let table = Arc::clone(&sessions);
    /// let backend: Backend = Backend::builder("mcp")
    ///     .server(Server::new("gpu1", "10.0.0.1:8080"))
    ///     .server(Server::new("gpu2", "10.0.0.2:8080"))
    ///     .lookup(move |request| table.lock().ok()?.get(request.target()).copied())
    ///     .build()?;
    ///
    /// let gpu2 = backend.server("gpu2").expect("just added").id();
    /// sessions.lock().unwrap().insert(b"/session/7".to_vec(), gpu2);
    /// let selection = backend.select(&SimpleRequest::new("GET", "/session/7"), Now::system())?;
    /// assert_eq!(selection.server().name(), "gpu2");
    /// assert_eq!(selection.reason(), Reason::Lookup);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn lookup(
        mut self,
        find: impl Fn(&dyn Request) -> Option<ServerId> + Send + Sync + 'static,
    ) -> Self {
        self.lookups.push(Lookup::new(find));
        self
    }

    /// Sets what happens when a connection fails; default: three retries on the same
    /// server. HAProxy: `retries`, `option redispatch`.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Uses all backups together when no other server is left, instead of the first
    /// alone. HAProxy: `option allbackups`.
    pub fn all_backups(mut self) -> Self {
        self.all_backups = true;
        self
    }

    /// Sets at how many sessions, those who wait included, the servers reach their
    /// [`max_connections`](Server::max_connections); default 0, always.
    ///
    /// It only matters to servers with [`min_connections`](Server::min_connections), whose
    /// limit is in proportion below it. HAProxy: `fullconn N`.
    pub fn full_connections(mut self, sessions: u32) -> Self {
        self.full_connections = sessions;
        self
    }

    /// Checks the whole description and builds the backend.
    ///
    /// # Errors
    /// [`ConfigError`] lists everything that is wrong: no server, names or ids given
    /// twice, ids, weights, addresses or identifiers out of range, a cookie policy that
    /// cannot work, a rule for an unknown server, a redispatch interval of
    /// −(retries + 1), more points of a ring or slots of a map than allowed.
    pub fn build(self) -> Result<Backend<P>, ConfigError> {
        let problems = self.problems();
        if !problems.is_empty() {
            return Err(ConfigError::new(&self.name, problems));
        }
        self.build_checked()
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.servers.is_empty() {
            problems.push(Problem::NoServer);
        }
        problems.extend(assemble::problems_of_servers(&self.servers));
        if let Some(policy) = &self.cookie {
            problems.extend(policy.problems().into_iter().map(Problem::Cookie));
        }
        if self.dynamic_key.as_ref().is_some_and(Vec::is_empty) {
            problems.push(Problem::DynamicCookieKey);
        }
        problems.extend(stick::problems(
            &self.stick_rules,
            self.stick_table.as_ref(),
        ));
        problems.extend(self.unknown_servers());
        problems.extend(self.retry.problem());
        problems
    }

    fn unknown_servers(&self) -> impl Iterator<Item = Problem> + '_ {
        let exists = |name: &str| self.servers.iter().any(|server| *server.name == *name);
        self.use_server_rules
            .iter()
            .filter_map(|rule| match &rule.server {
                Named::Always(name) => Some(name),
                Named::Each(_) => None,
            })
            .filter(move |name| !exists(name))
            .map(|name| Problem::UnknownServer {
                found: name.clone(),
            })
    }

    fn build_checked(self) -> Result<Backend<P>, ConfigError> {
        let refuse = |problem| ConfigError::new(&self.name, vec![problem]);
        let ids = assemble::number_servers(&self.servers);
        let use_server_rules = resolve(self.use_server_rules, &self.servers, &ids);
        let cookie = self.cookie.map(Arc::new);
        let dynamic = DynamicCookies {
            enabled: cookie.as_ref().is_some_and(|policy| policy.is_dynamic()),
            key: self.dynamic_key.map(Into::into),
        };
        let selector = self.selector.unwrap_or_else(|| Arc::new(RoundRobin::new()));
        let watcher = selector.load_watcher();
        let policy = Policy {
            cookie,
            trust_rules: self.trust_rules,
            use_server_rules,
            rdp: self.rdp,
            stick: StickPolicy::new(self.stick_rules, self.stick_table.as_ref()),
            lookups: self.lookups,
            persist: self.persist,
            retry: self.retry,
            has_rules: false,
        }
        .checked_for_rules();
        let crowd =
            (self.full_connections > 0).then(|| Arc::new(Crowd::new(self.full_connections)));
        let line = Arc::new(Line::new(crowd, policy.sends_back()));
        let mut draft = Draft::empty(dynamic, self.all_backups, line);
        for (server, id) in self.servers.into_iter().zip(ids) {
            draft
                .add(server, id, policy.cookie.as_ref(), watcher.as_ref())
                .map_err(refuse)?;
        }
        let snapshot = draft.assemble(&selector, &policy.stick).map_err(refuse)?;
        snapshot.adapt_line().wake();
        Ok(Backend {
            name: self.name.clone(),
            policy,
            warnings: assemble::warnings(&snapshot.members),
            steps: Steps::of(&snapshot.farm),
            current: SnapshotCell::new(snapshot),
            writer: Mutex::new(()),
            watcher,
        })
    }
}

fn resolve<P>(
    rules: Vec<UseServerRule<String>>,
    servers: &[Server<P>],
    ids: &[ServerId],
) -> Vec<UseServerRule> {
    let id_of = |name: &str| {
        let position = servers.iter().position(|server| *server.name == *name);
        position.map(|index| ids[index])
    };
    rules
        .into_iter()
        .filter_map(|UseServerRule { server, condition }| {
            let server = match server {
                Named::Always(name) => Named::Always(id_of(&name)?),
                Named::Each(name) => Named::Each(name),
            };
            Some(UseServerRule { server, condition })
        })
        .collect()
}
