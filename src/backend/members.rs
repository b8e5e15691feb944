//! What a backend publishes: its servers, their states, and all that is derived.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use ahash::RandomState;

use crate::cookie::CookiePolicy;
use crate::selector::Selector;
use crate::server::{Address, Farm, Load, ServerId, Spec};

/// The server of a selection: who it is, where it is, and the caller's payload.
///
/// It stays as it was when it was selected, even when the backend changes or drops the
/// server meanwhile.
pub struct ServerHandle<P = ()> {
    pub(crate) spec: Arc<Spec>,
    pub(crate) load: Arc<Load>,
    pub(crate) payload: Arc<P>,
    /// The identifier as configured, which always wins over a computed one.
    pub(crate) own_cookie: Option<Box<[u8]>>,
    /// The identifier in force: configured, computed, or none.
    pub(crate) cookie: Option<Box<[u8]>>,
    /// The backend's policy, so that a selection can edit its request on its own.
    pub(crate) policy: Option<Arc<CookiePolicy>>,
}

impl<P> ServerHandle<P> {
    /// Identity of the server.
    pub fn id(&self) -> ServerId {
        self.spec.id
    }

    /// Name of the server.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Where to connect to.
    pub fn address(&self) -> &Address {
        &self.spec.address
    }

    /// What the caller attached with [`Server::payload`](crate::Server::payload).
    pub fn payload(&self) -> &P {
        &self.payload
    }

    /// The identifier that stands for the server in the persistence cookie, if it has
    /// one: configured, or computed for a dynamic cookie.
    pub fn cookie(&self) -> Option<&[u8]> {
        self.cookie.as_deref()
    }

    /// Sessions that hold a slot on this server at this very moment, this one included.
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    pub(crate) fn limit(&self) -> Option<u32> {
        self.spec.max_connections.map(std::num::NonZeroU32::get)
    }
}

// By hand: a derived one would ask for `P: Clone`, which an `Arc` does not need.
impl<P> Clone for ServerHandle<P> {
    fn clone(&self) -> Self {
        Self {
            spec: Arc::clone(&self.spec),
            load: Arc::clone(&self.load),
            payload: Arc::clone(&self.payload),
            own_cookie: self.own_cookie.clone(),
            cookie: self.cookie.clone(),
            policy: self.policy.clone(),
        }
    }
}

impl<P> fmt::Debug for ServerHandle<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandle")
            .field("spec", &self.spec)
            .field("load", &self.load)
            .finish_non_exhaustive()
    }
}

/// A slot on a server, given back when dropped.
#[derive(Debug)]
pub(crate) struct Lease<P>(Arc<ServerHandle<P>>);

impl<P> Lease<P> {
    /// Takes a slot, or `None` when all are taken.
    pub(crate) fn take(member: &Arc<ServerHandle<P>>) -> Option<Self> {
        let limit = member.limit();
        member
            .load
            .try_take(limit)
            .then(|| Self(Arc::clone(member)))
    }
}

impl<P> Deref for Lease<P> {
    type Target = ServerHandle<P>;

    fn deref(&self) -> &ServerHandle<P> {
        &self.0
    }
}

impl<P> Drop for Lease<P> {
    fn drop(&mut self) {
        self.0.load.give_back();
    }
}

/// From a cookie identifier to the servers that have it, in order of configuration.
#[derive(Debug)]
pub(crate) struct CookieIndex {
    /// First server of each identifier.
    first: HashMap<Box<[u8]>, usize, RandomState>,
    /// For each server the next one with the same identifier.
    next: Box<[Option<usize>]>,
}

impl CookieIndex {
    pub(crate) fn new<P>(members: &[Arc<ServerHandle<P>>]) -> Self {
        // The keys are the operator's, so nobody can make them collide: fixed seeds.
        let mut first: HashMap<Box<[u8]>, usize, RandomState> =
            HashMap::with_hasher(RandomState::with_seeds(1, 2, 3, 4));
        let mut next = vec![None; members.len()];
        for (index, member) in members.iter().enumerate().rev() {
            if let Some(cookie) = &member.cookie {
                next[index] = first.insert(cookie.clone(), index);
            }
        }
        Self {
            first,
            next: next.into(),
        }
    }

    /// Positions of the servers whose identifier is exactly `cookie`.
    pub(crate) fn find(&self, cookie: &[u8]) -> impl Iterator<Item = usize> + '_ {
        let first = self.first.get(cookie).copied();
        std::iter::successors(first, |&index| self.next[index])
    }
}

/// Everything one request looks at, consistent in itself and immutable.
pub(crate) struct Snapshot<P> {
    pub(crate) farm: Farm,
    /// At the same positions as in `farm`.
    pub(crate) members: Arc<[Arc<ServerHandle<P>>]>,
    pub(crate) cookies: Arc<CookieIndex>,
    pub(crate) selector: Arc<dyn Selector>,
    pub(crate) dynamic: DynamicCookies,
}

impl<P> fmt::Debug for Snapshot<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("farm", &self.farm)
            .field("selector", &self.selector)
            .field("dynamic", &self.dynamic)
            .finish_non_exhaustive()
    }
}

/// Whether servers without an identifier of their own get a computed one.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DynamicCookies {
    pub(crate) enabled: bool,
    pub(crate) key: Option<Arc<[u8]>>,
}

impl fmt::Debug for DynamicCookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Who knows the key can compute every identifier.
        f.debug_struct("DynamicCookies")
            .field("enabled", &self.enabled)
            .field("key", &self.key.as_ref().map(|_| "(hidden)"))
            .finish()
    }
}
