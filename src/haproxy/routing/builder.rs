//! Builds tables first, then the backends whose rules name them, then the frontends.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::backend::Tuning;
use super::tables::Tables;
use super::{Frontend, NamedBackend, Routing, backend, check};
use crate::haproxy::config::{
    Configuration, ConfigurationError, Finding, FindingKind, Proxy, ServerLine,
};
use crate::haproxy::{Mode, ProxyId};
use crate::{Backend, BackendBuilder, ConsistentHashRing, MapHash, Problem};

/// Puts a [`Configuration`] into service; made by [`Configuration::routing`].
#[must_use = "nothing is built until build() is called"]
pub struct RoutingBuilder<'c, P: Send + Sync + 'static = ()> {
    configuration: &'c Configuration,
    payload: Box<Payload<'c, P>>,
    adjust: Box<Adjust<'c, P>>,
    tuning: Tuning,
}

type Payload<'c, P> = dyn FnMut(&Proxy, &ServerLine) -> P + 'c;
type Adjust<'c, P> = dyn FnMut(&Proxy, BackendBuilder<P>) -> BackendBuilder<P> + 'c;

impl<'c> RoutingBuilder<'c> {
    pub(super) fn new(configuration: &'c Configuration) -> Self {
        Self {
            configuration,
            payload: Box::new(|_, _| ()),
            adjust: Box::new(|_, builder| builder),
            tuning: Tuning {
                seed: 0,
                max_points: ConsistentHashRing::DEFAULT_MAX_POINTS,
                max_slots: MapHash::DEFAULT_MAX_SLOTS,
            },
        }
    }
}

impl<'c, P: Send + Sync + 'static> RoutingBuilder<'c, P> {
    /// Gives each server a payload of the caller's own, a connection pool for example;
    /// default: none. An adjustment made before is forgotten: it was about other servers.
    pub fn payload<Q: Send + Sync + 'static>(
        self,
        payload: impl FnMut(&Proxy, &ServerLine) -> Q + 'c,
    ) -> RoutingBuilder<'c, Q> {
        RoutingBuilder {
            configuration: self.configuration,
            payload: Box::new(payload),
            adjust: Box::new(|_, builder| builder),
            tuning: self.tuning,
        }
    }

    /// Lets the caller change the description of each backend before it is built: add a
    /// lookup, or a stick rule with a fetch of one's own; default: nothing is changed.
    pub fn adjust(
        mut self,
        adjust: impl FnMut(&Proxy, BackendBuilder<P>) -> BackendBuilder<P> + 'c,
    ) -> Self {
        self.adjust = Box::new(adjust);
        self
    }

    /// A number from which the draws of `balance random` follow, and how keys are strewn
    /// over the stick tables; default 0. Backends of different names draw different
    /// numbers all the same.
    ///
    /// The library reads no randomness of the operating system. Give a random number where
    /// clients choose keys, see
    /// [`StickTableBuilder::hash_seed`](crate::StickTableBuilder::hash_seed).
    pub fn seed(mut self, seed: u64) -> Self {
        self.tuning.seed = seed;
        self
    }

    /// Limits the points of each ring of `hash-type consistent` and `balance random`, 10 bytes of
    /// memory each and 16 for each unit of weight; default
    /// [`ConsistentHashRing::DEFAULT_MAX_POINTS`], some 160 MB.
    ///
    /// A backend with more is not built, nor changed so that it would have more.
    pub fn max_points(mut self, points: u32) -> Self {
        self.tuning.max_points = points;
        self
    }

    /// Limits the slots of each map of `hash-type map-based` and `balance static-rr`, 4 bytes of
    /// memory each, and as many as the weights have units after division by what they have in
    /// common; default [`MapHash::DEFAULT_MAX_SLOTS`], 64 MB.
    ///
    /// A backend with more is not built, nor changed so that it would have more.
    pub fn max_slots(mut self, slots: u32) -> Self {
        self.tuning.max_slots = slots;
        self
    }

    /// Builds everything. Sections that are disabled are left out.
    ///
    /// # Errors
    /// See [`Configuration::build`].
    pub fn build(mut self) -> Result<Routing<P>, ConfigurationError> {
        let mut findings = Vec::new();
        let tables = Tables::build(self.configuration, self.tuning.seed, &mut findings);
        let ids = numbers(self.configuration);
        let mut backends = Vec::new();
        let mut frontends = Vec::new();
        let mut modes = HashMap::new();
        for (proxy, id) in self.configuration.proxies.iter().zip(ids) {
            if proxy.disabled {
                continue;
            }
            if proxy.kind.is_frontend() {
                frontends.push(proxy);
            }
            if proxy.kind.is_backend() {
                modes.insert(proxy.name.value.clone(), proxy.mode);
                let backend = self.backend(proxy, &tables, &mut findings);
                let check = check::read(proxy).map_err(|found| findings.extend(found));
                backends.push(NamedBackend {
                    name: proxy.name.value.clone(),
                    id,
                    backend,
                    check: check.ok().flatten(),
                });
            }
        }
        let frontends = build_frontends(&frontends, &tables, modes, &mut findings);
        if findings.is_empty() {
            let tables = tables.all;
            return Ok(Routing {
                frontends,
                backends,
                tables,
            });
        }
        findings.sort_by(|a, b| a.location().cmp(b.location()));
        Err(ConfigurationError::new(findings))
    }

    /// `None` without servers, or with something that is told in `findings`.
    fn backend(
        &mut self,
        proxy: &Proxy,
        tables: &Tables,
        findings: &mut Vec<Finding>,
    ) -> Option<Arc<Backend<P>>> {
        if proxy.backend.servers.is_empty() {
            return None;
        }
        let described = backend::describe(
            self.configuration,
            proxy,
            tables,
            self.tuning,
            &mut self.payload,
        );
        let builder = described.map_err(|found| findings.extend(found)).ok()?;
        match (self.adjust)(proxy, builder).build() {
            Ok(backend) => Some(Arc::new(backend)),
            Err(error) => {
                let refused = |problem: &Problem| {
                    Finding::error(FindingKind::Conflict, &proxy.place(), problem.to_string())
                };
                findings.extend(error.problems().iter().map(refused));
                None
            }
        }
    }
}

fn build_frontends(
    proxies: &[&Proxy],
    tables: &Tables,
    backends: HashMap<String, Mode>,
    findings: &mut Vec<Finding>,
) -> Vec<Frontend> {
    let backends = Arc::new(backends);
    let built = proxies
        .iter()
        .map(|proxy| Frontend::new(proxy, tables, &backends));
    built
        .filter_map(|frontend| frontend.map_err(|finding| findings.push(finding)).ok())
        .collect()
}

impl Configuration {
    /// The numbers that HAProxy gives to the sections of [`proxies`](Self::proxies), in
    /// their order: those they have of their own, and the lowest that are left.
    pub fn proxy_ids(&self) -> Vec<ProxyId> {
        numbers(self)
    }
}

/// The number of each section: its own, or the lowest that is left. A stats socket makes
/// HAProxy itself the first.
fn numbers(configuration: &Configuration) -> Vec<ProxyId> {
    let ids = |proxy: &Proxy| proxy.id.as_ref().map(|id| id.value);
    let given: HashSet<u32> = configuration.proxies.iter().filter_map(ids).collect();
    let first = 1 + u32::from(!configuration.global.stats_sockets.is_empty());
    let mut free = (first..).filter(|id| !given.contains(id));
    let number = |proxy: &Proxy| match ids(proxy) {
        Some(id) => ProxyId::Given(id),
        None => ProxyId::Counted(free.next().expect("there are fewer sections than numbers")),
    };
    configuration.proxies.iter().map(number).collect()
}

impl<P: Send + Sync + 'static> fmt::Debug for RoutingBuilder<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoutingBuilder")
            .field("configuration", &self.configuration)
            .finish_non_exhaustive()
    }
}
