//! The numbers of all sections of a configuration.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stickroute::haproxy::{Configuration, Located, Mode, Proxy, ProxyId};
use stickroute::health::{CheckReport, ErrorObserver, OnErrors};
use stickroute::{Failure, Now};
use tokio::sync::Notify;

use super::counters::Counters;
use super::secret::Secret;
use crate::server::orders::Orders;

#[derive(Debug)]
pub(crate) struct Ledger {
    /// In the order of the configuration, without those that are disabled.
    pub(crate) sections: Vec<Section>,
    pub(crate) started: Now,
    /// Connections at a time. HAProxy: `maxconn` of `global`.
    pub(crate) max_connections: Option<u32>,
    /// What the forms of the pages know and other sites do not.
    pub(crate) secret: Secret,
}

/// A `frontend`, `backend` or `listen` section.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) id: u32,
    pub(crate) mode: Mode,
    pub(crate) front: Option<FrontNumbers>,
    pub(crate) back: Option<Arc<BackNumbers>>,
}

#[derive(Debug, Default)]
pub(crate) struct FrontNumbers {
    pub(crate) counters: Arc<Counters>,
    pub(crate) limit: Option<u32>,
}

/// A backend's numbers, and what is configured of it and worth showing.
#[derive(Debug, Default)]
pub(crate) struct BackNumbers {
    pub(crate) counters: Counters,
    pub(crate) servers: BTreeMap<String, ServerNumbers>,
    /// The first word of `balance`, without what is in parentheses.
    pub(crate) algorithm: String,
    /// The name of the cookie.
    pub(crate) cookie: Option<String>,
    /// Whether it has stick rules.
    pub(crate) sticks: bool,
    /// HAProxy: `fullconn`.
    pub(crate) limit: Option<u32>,
}

#[derive(Debug, Default)]
pub(crate) struct ServerNumbers {
    pub(crate) counters: Counters,
    /// The value that stands for it in the cookie.
    pub(crate) cookie: Option<String>,
    /// What its last check has found, and how long that took.
    check: Mutex<Option<(CheckReport, Option<Duration>)>>,
    /// What counts the errors of its sessions.
    errors: Option<(Mutex<ErrorObserver>, OnErrors)>,
    /// It is to be checked soon.
    pub(crate) hurry: Notify,
    /// What its sessions are told.
    pub(crate) orders: Arc<Orders>,
}

impl ServerNumbers {
    pub(crate) fn checked(&self, report: CheckReport, taken: Option<Duration>) {
        *lock(&self.check) = Some((report, taken));
    }

    pub(crate) fn last_check(&self) -> Option<(CheckReport, Option<Duration>)> {
        lock(&self.check).clone()
    }

    /// Counts what a session has met, `None` for a connection; tells when it is too much, and
    /// what is to be done.
    pub(crate) fn met(&self, failure: Option<Failure>) -> Option<(CheckReport, OnErrors)> {
        let (observer, reaction) = self.errors.as_ref()?;
        let mut observer = lock(observer);
        let Some(failure) = failure else {
            observer.connected();
            return None;
        };
        Some((observer.met(failure)?, *reaction))
    }
}

/// Nothing under this lock can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    pub(crate) fn new(configuration: &Configuration) -> Self {
        let ids = configuration.proxy_ids();
        let sections = configuration.proxies.iter().zip(ids);
        let enabled = sections.filter(|(proxy, _)| !proxy.disabled);
        let limit = configuration.global.maxconn.as_ref();
        Self {
            sections: enabled
                .map(|(proxy, id)| section(proxy, id, limit))
                .collect(),
            started: Now::system(),
            max_connections: limit.map(|limit| limit.value),
            secret: Secret::new(),
        }
    }

    pub(crate) fn front(&self, name: &str) -> Option<&FrontNumbers> {
        let mut found = self.sections.iter().filter(|section| section.name == name);
        found.find_map(|section| section.front.as_ref())
    }

    pub(crate) fn back(&self, name: &str) -> Option<&Arc<BackNumbers>> {
        let mut found = self.sections.iter().filter(|section| section.name == name);
        found.find_map(|section| section.back.as_ref())
    }
}

impl BackNumbers {
    /// Whether a server is found by something in the request, and not by turns or load.
    pub(crate) fn is_hash(&self) -> bool {
        let names = ["source", "uri", "url_param", "hdr", "rdp-cookie", "hash"];
        names.contains(&self.algorithm.as_str())
    }
}

fn section(proxy: &Proxy, id: ProxyId, limit: Option<&Located<u32>>) -> Section {
    let own = proxy.frontend.maxconn.as_ref();
    let front = || FrontNumbers {
        counters: Arc::default(),
        // HAProxy: without one of its own it is that of the whole program.
        limit: own.or(limit).map(|limit| limit.value),
    };
    Section {
        name: proxy.name.value.clone(),
        id: id.get(),
        mode: proxy.mode,
        front: proxy.kind.is_frontend().then(front),
        back: proxy.kind.is_backend().then(|| Arc::new(back(proxy))),
    }
}

fn back(proxy: &Proxy) -> BackNumbers {
    let settings = &proxy.backend;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let words = settings.balance.as_ref();
    let word = words.and_then(|words| words.value.first()?.as_str());
    let algorithm = word.and_then(|word| word.split('(').next());
    let servers = settings.servers.iter().map(|server| {
        let errors = server.settings.errors();
        let numbers = ServerNumbers {
            counters: Counters::default(),
            check: Mutex::default(),
            errors: errors.map(|(observer, reaction)| (Mutex::new(observer), reaction)),
            hurry: Notify::new(),
            orders: Arc::default(),
            cookie: server
                .settings
                .cookie
                .as_ref()
                .map(|word| text(word.bytes())),
        };
        (text(server.name.bytes()), numbers)
    });
    BackNumbers {
        counters: Counters::default(),
        servers: servers.collect(),
        algorithm: algorithm.unwrap_or("roundrobin").to_owned(),
        cookie: settings
            .cookie
            .as_ref()
            .map(|policy| text(policy.value.name())),
        sticks: !settings.stick_rules.is_empty(),
        limit: settings.fullconn.as_ref().map(|limit| limit.value),
    }
}

/// The name of this machine, as far as the system tells it.
pub(crate) fn node() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname");
    name.unwrap_or_default().trim().to_owned()
}
