//! What clients come to and where their requests go: frontends and backends, made of the
//! command line or of a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stickroute::haproxy::{Family, Mode, Routing};
use stickroute::{Backend, Request};
use tokio::sync::Semaphore;

use crate::client::stream::Patience;
use crate::configuration::rules::Rules;
use crate::log::Log;
use crate::server::pool::{Pool, Reuse};
use crate::statistics::counters::Counters;
use crate::statistics::ledger::{BackNumbers, Ledger};

/// What clients come to.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) counters: Arc<Counters>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) patience: Patience,
    /// Silence of a client.
    pub(crate) client: Option<Duration>,
    /// Silence of a client that has said all it has to say.
    pub(crate) client_fin: Option<Duration>,
    /// Connections at a time; HAProxy: `maxconn`.
    pub(crate) room: Arc<Semaphore>,
    /// Whether connections of clients are kept for further requests.
    pub(crate) keeps_alive: bool,
    /// Whether those to servers are closed after each request of its clients.
    pub(crate) closes_servers: bool,
    /// The target of requests that only ask whether this program is there; HAProxy:
    /// `monitor-uri`.
    pub(crate) monitor: Option<Vec<u8>>,
    pub(crate) route: Route,
    pub(crate) log: Log,
}

/// Where requests of a frontend go.
#[derive(Debug)]
pub(crate) enum Route {
    /// All to the same backend.
    One(Arc<Back>),
    /// As the rules of the configuration say.
    Rules(Arc<Site>),
}

/// A configuration that can be served.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) routing: Routing<Pool>,
    pub(crate) backs: BTreeMap<String, Arc<Back>>,
    pub(crate) ledger: Ledger,
}

/// Where requests are balanced.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a line of a configuration"
)]
pub(crate) struct Back {
    /// Empty where there is but one.
    pub(crate) name: String,
    pub(crate) mode: Mode,
    /// Whether clients come there directly, in a `listen` section.
    pub(crate) is_listen: bool,
    /// `None` if it has no servers.
    pub(crate) backend: Option<Arc<Backend<Pool>>>,
    pub(crate) numbers: Arc<BackNumbers>,
    /// Those of a `listen` section are its frontend's, too.
    pub(crate) rules: Arc<Rules>,
    pub(crate) timeouts: BackTimeouts,
    /// What is told of its servers.
    pub(crate) log: Log,
    /// Of servers with names that stand for some addresses only.
    pub(crate) families: BTreeMap<String, Family>,
    /// Whether there is persistence by cookie.
    pub(crate) has_cookie: bool,
    /// Whether connections to servers are kept for further requests.
    pub(crate) keeps_alive: bool,
    /// Whether requests of clients that leave are given up. HAProxy: `option abortonclose`.
    pub(crate) aborts: bool,
    pub(crate) reuse: Reuse,
}

/// A backend with servers.
#[derive(Clone, Debug)]
pub(crate) struct Farm {
    pub(crate) back: Arc<Back>,
    pub(crate) backend: Arc<Backend<Pool>>,
}

impl Farm {
    /// `None` if it has no servers.
    pub(crate) fn of(back: Arc<Back>) -> Option<Self> {
        let backend = back.backend.clone()?;
        Some(Self { back, backend })
    }
}

/// How long servers are waited for; `None` is for ever.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BackTimeouts {
    pub(crate) connect: Option<Duration>,
    pub(crate) server: Option<Duration>,
    pub(crate) server_fin: Option<Duration>,
    pub(crate) tunnel: Option<Duration>,
    pub(crate) queue: Option<Duration>,
}

impl Front {
    /// One that sends everything to one backend, and is in no hurry.
    pub(crate) fn plain(back: Arc<Back>) -> Self {
        Self {
            name: String::new(),
            mode: Mode::Http,
            counters: Arc::default(),
            rules: Arc::clone(&back.rules),
            patience: Patience {
                head: Some(Duration::from_secs(30)),
                keep_alive: Some(Duration::from_secs(30)),
                write: None,
            },
            client: None,
            client_fin: None,
            monitor: None,
            room: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            keeps_alive: true,
            closes_servers: false,
            route: Route::One(back),
            log: Log::Plain,
        }
    }

    /// The backend for a request; `None` if nothing names one.
    pub(crate) fn route(&self, request: &dyn Request) -> Option<Arc<Back>> {
        match &self.route {
            Route::One(back) => Some(Arc::clone(back)),
            Route::Rules(site) => {
                let name = site.routing.frontend(&self.name)?.route(request)?;
                let back = site.backs.get(name)?;
                // This program makes no HTTP of a connection in mode tcp.
                (back.mode == self.mode).then(|| Arc::clone(back))
            }
        }
    }

    /// The other half of a `listen` section.
    pub(crate) fn own_back(&self) -> Option<&Back> {
        let Route::Rules(site) = &self.route else {
            return None;
        };
        let back = site.backs.get(&self.name)?;
        Arc::ptr_eq(&self.rules, &back.rules).then_some(&**back)
    }

    /// The rules of a backend, unless they are those of this frontend, too.
    pub(crate) fn other_rules<'b>(&self, back: &'b Back) -> Option<&'b Rules> {
        (!Arc::ptr_eq(&self.rules, &back.rules)).then_some(&*back.rules)
    }
}

impl Back {
    /// Which addresses the name of a server may stand for.
    pub(crate) fn family(&self, server: &str) -> Family {
        self.families.get(server).copied().unwrap_or_default()
    }

    /// One around a backend, without rules.
    pub(crate) fn plain(backend: Arc<Backend<Pool>>, connect: Duration) -> Self {
        Self {
            name: String::new(),
            mode: Mode::Http,
            is_listen: false,
            backend: Some(backend),
            numbers: Arc::default(),
            rules: Arc::default(),
            timeouts: BackTimeouts {
                connect: Some(connect),
                queue: Some(Duration::ZERO),
                ..BackTimeouts::default()
            },
            log: Log::Plain,
            families: BTreeMap::new(),
            has_cookie: true,
            keeps_alive: true,
            aborts: false,
            reuse: Reuse::Always,
        }
    }
}
