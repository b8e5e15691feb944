//! A backend: a farm of servers and the policy that routes requests to them.

mod admit;
mod assemble;
mod builder;
mod check;
mod drain;
mod forwarded;
mod rdp;
mod respond;
#[cfg(feature = "haproxy")]
mod restore;
mod retry;
mod retry_on;
mod retry_policy;
mod rules;
mod select;
mod slow_start;
mod snapshot;
mod stick;
mod taken;
mod update;

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

pub use builder::BackendBuilder;
use rdp::RdpPersistence;
#[cfg(feature = "haproxy")]
pub(crate) use restore::Past;
pub use retry::Retry;
pub use retry_on::{Failure, RetryOn, RetryOnError};
pub use retry_policy::{Redispatch, RetryPolicy};
use rules::{Lookup, PersistRule, UseServerRule};
use slow_start::Steps;
use snapshot::Snapshot;
use stick::StickPolicy;
pub use update::{ServerKey, Update};

use crate::cookie::CookiePolicy;
use crate::error::ConfigWarning;
use crate::server::{Farm, FarmServer, LoadWatcher};
use crate::snapshot::SnapshotCell;

/// A farm of servers with its policy; the thing that routes.
///
/// Built with [`Backend::builder`], shared as it is or in an `Arc`: every method takes
/// `&self`, from any number of threads. Requests never wait for changes: each one sees
/// the servers, states and hashes of one moment, and changes publish the next.
///
/// ```
/// use stickroute::{Backend, CookiePolicy, Now, Server, SimpleRequest, SimpleResponse};
///
/// let backend = Backend::builder("app")
///     .server(Server::new("app1", "10.0.0.1:8080").cookie("a1"))
///     .server(Server::new("app2", "10.0.0.2:8080").cookie("a2"))
///     .cookie(CookiePolicy::insert("SRV").indirect().nocache())
///     .build()?;
///
/// // A first request is balanced, and the response tells the client its server.
/// let request = SimpleRequest::new("GET", "/");
/// let mut selection = backend.select(&request, Now::system())?;
/// let edits = backend.respond(&mut selection, &SimpleResponse::new(200), Now::system());
/// assert_eq!(edits.set_cookie(), Some(&b"SRV=a1; path=/"[..]));
///
/// // A later request comes back to it.
/// let request = SimpleRequest::new("GET", "/").header("Cookie", "SRV=a2");
/// let selection = backend.select(&request, Now::system())?;
/// assert_eq!(selection.server().name(), "app2");
/// assert_eq!(selection.to_string(), "app2 by cookie (VN)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Backend<P: Send + Sync + 'static = ()> {
    name: Box<str>,
    policy: Policy,
    current: SnapshotCell<Snapshot<P>>,
    /// Held by whoever prepares the next snapshot, so that no change is lost.
    writer: Mutex<()>,
    watcher: Option<Arc<dyn LoadWatcher>>,
    /// Of slow starts.
    steps: Steps,
    warnings: Vec<ConfigWarning>,
}

/// What is configured of a backend beside its servers.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) cookie: Option<Arc<CookiePolicy>>,
    pub(crate) trust_rules: Vec<PersistRule>,
    pub(crate) use_server_rules: Vec<UseServerRule>,
    pub(crate) stick: StickPolicy,
    pub(crate) rdp: Option<RdpPersistence>,
    pub(crate) lookups: Vec<Lookup>,
    pub(crate) persist: bool,
    pub(crate) retry: RetryPolicy,
    /// Whether anything but a cookie can name a server, or mistrust one.
    has_rules: bool,
}

impl Policy {
    /// The same policy, having looked for rules once so that no request has to.
    fn checked_for_rules(self) -> Self {
        let has_rules = !(self.trust_rules.is_empty()
            && self.use_server_rules.is_empty()
            && self.stick.is_empty()
            && self.rdp.is_none()
            && self.lookups.is_empty());
        Self { has_rules, ..self }
    }

    /// Whether those who wait for a server that leaves are balanced again.
    fn sends_back(&self) -> bool {
        !self.persist && self.retry.redispatches()
    }
}

impl<P: Send + Sync + 'static> Backend<P> {
    /// Starts to describe a backend.
    pub fn builder(name: impl Into<Box<str>>) -> BackendBuilder<P> {
        BackendBuilder::new(name.into())
    }

    /// Name of the backend.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was odd in the configuration when it was built, though it works.
    pub fn warnings(&self) -> &[ConfigWarning] {
        &self.warnings
    }

    /// What is odd about the servers there are now, after changes: two that have come to the
    /// same dynamic cookie, for example. It looks at every server.
    pub fn current_warnings(&self) -> Vec<ConfigWarning> {
        self.current
            .read(|snapshot| assemble::warnings(&snapshot.members))
    }

    /// All servers with their states at this moment.
    pub fn farm(&self) -> Farm {
        self.current.read(|snapshot| snapshot.farm.clone())
    }

    /// Requests that [wait](Self::admit) at this very moment for whichever server has a slot
    /// first; those that wait for one server are told by [`FarmServer::queued`]. HAProxy:
    /// `qcur` of the backend, `queue(BACKEND)` less those of the servers.
    pub fn queued(&self) -> u32 {
        self.current.read(|snapshot| snapshot.line.waiting())
    }

    /// One server with its state at this moment, by name or id.
    pub fn server<'k>(&self, key: impl Into<ServerKey<'k>>) -> Option<FarmServer> {
        let key = key.into();
        self.current.read(|snapshot| {
            let mut servers = snapshot.farm.servers().iter();
            servers.find(|server| key.names(server)).cloned()
        })
    }
}

impl<P: Send + Sync + 'static> fmt::Debug for Backend<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("name", &self.name)
            .field("policy", &self.policy)
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}
