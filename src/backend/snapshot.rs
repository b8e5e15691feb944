//! What a backend publishes: its servers, their states, and all that is derived.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use ahash::RandomState;

use crate::handle::ServerHandle;
use crate::selector::Selector;
use crate::server::Farm;

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
