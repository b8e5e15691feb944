//! What a backend publishes: its servers, their states, and all that is derived.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::stick::StickServers;
use crate::handle::ServerHandle;
use crate::queue::{Called, Line, Seated};
use crate::selector::Selector;
use crate::server::{Farm, FarmServer, ServerId};

/// From a cookie identifier to the servers that have it, in order of configuration.
#[derive(Debug)]
pub(crate) struct CookieIndex {
    /// First server of each identifier.
    first: HashMap<Box<[u8]>, usize, BuildHasherDefault<Folded>>,
    /// For each server the next one with the same identifier.
    next: Box<[Option<usize>]>,
}

impl CookieIndex {
    pub(crate) fn new<P>(members: &[Arc<ServerHandle<P>>]) -> Self {
        let mut first: HashMap<Box<[u8]>, usize, _> = HashMap::default();
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

/// A quick hash of identifiers, which are short. They are the operator's, so nobody can
/// make them collide.
#[derive(Default)]
struct Folded(u64);

impl Folded {
    fn fold(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}

impl Hasher for Folded {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((word, behind)) = rest.split_first_chunk() {
            self.fold(u64::from_le_bytes(*word));
            rest = behind;
        }
        // Two halves that overlap, or three bytes that may be the same.
        let word = match (rest.first_chunk(), rest.last_chunk()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
            }
            _ if rest.is_empty() => return,
            _ => [0, rest.len() / 2, rest.len() - 1]
                .iter()
                .fold(0, |word, &at| word << 8 | u64::from(rest[at])),
        };
        self.fold(word);
    }

    #[inline]
    fn write_usize(&mut self, length: usize) {
        // Spread, lest it be taken for a byte that is another.
        self.0 ^= (length as u64).wrapping_mul(0xff51_afd7_ed55_8ccd);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// From an id to the position of its server, for rules and lookups that name one.
#[derive(Debug)]
pub(crate) struct IdIndex(Box<[(ServerId, usize)]>);

impl IdIndex {
    pub(crate) fn new(farm: &Farm) -> Self {
        let ids = farm.servers().iter().map(FarmServer::id);
        let mut index: Box<[_]> = ids.zip(0..).collect();
        index.sort_unstable();
        Self(index)
    }

    fn find(&self, id: ServerId) -> Option<usize> {
        let found = self.0.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        Some(self.0[found].1)
    }
}

/// Everything one request looks at, consistent in itself and immutable.
pub(crate) struct Snapshot<P> {
    /// How many there were, this one included.
    pub(crate) version: u64,
    pub(crate) farm: Farm,
    /// At the same positions as in `farm`.
    pub(crate) members: Arc<[Arc<ServerHandle<P>>]>,
    pub(crate) cookies: CookieIndex,
    pub(crate) ids: IdIndex,
    pub(crate) stick: StickServers,
    pub(crate) selector: Arc<dyn Selector>,
    pub(crate) dynamic: DynamicCookies,
    /// Who waits, in this snapshot and those before and after it.
    pub(crate) line: Arc<Line<P>>,
}

impl<P> Snapshot<P> {
    /// Lets the queues know of this farm, and those go on who can.
    pub(super) fn adapt_line(&self) -> Called<P> {
        let mut serves_all = vec![false; self.members.len()];
        for (position, _) in self.farm.candidates() {
            serves_all[position] = true;
        }
        let servers = self.members.iter().zip(self.farm.servers());
        let seated = servers
            .zip(serves_all)
            .map(|((member, server), all)| Seated {
                member,
                status: server.status(),
                serves_all: all,
            });
        self.line.adapt(self.version, seated)
    }

    /// Position of the server of this name. It looks at all of them.
    pub(super) fn named(&self, name: &[u8]) -> Option<usize> {
        let mut servers = self.farm.servers().iter();
        servers.position(|server| server.name().as_bytes() == name)
    }

    /// Position of a server, `None` when it has left the farm.
    pub(super) fn position(&self, id: ServerId) -> Option<usize> {
        self.ids.find(id)
    }
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{Backend, Server};

    /// Identifiers that differ in their length, or in one byte wherever it is.
    #[test]
    fn similar_identifiers_lead_to_their_servers_and_spread() {
        let lengths = (1..40).map(|length| vec![b'a'; length]);
        let places = (0..20).map(|place| {
            let mut identifier = vec![b'a'; 20];
            identifier[place] = b'b';
            identifier
        });
        let identifiers: Vec<_> = lengths.chain(places).collect();
        let server = |(n, cookie): (usize, &Vec<u8>)| {
            Server::new(format!("s{n}"), "127.0.0.1:1").cookie(cookie.clone())
        };
        let backend: Backend = Backend::builder("b")
            .servers(identifiers.iter().enumerate().map(server))
            .build()
            .unwrap();
        backend.current.read(|snapshot| {
            for (index, identifier) in identifiers.iter().enumerate() {
                let found: Vec<_> = snapshot.cookies.find(identifier).collect();
                assert_eq!(found, [index]);
            }
            assert_eq!(snapshot.cookies.find(b"").count(), 0);
        });
        let hash = |identifier: &Vec<u8>| {
            let mut hasher = Folded::default();
            hasher.write_usize(identifier.len());
            hasher.write(identifier);
            hasher.finish()
        };
        let hashes: HashSet<u64> = identifiers.iter().map(hash).collect();
        assert_eq!(hashes.len(), identifiers.len());
    }

    #[test]
    fn every_id_leads_to_its_server_whatever_the_order() {
        let server = |id: u32| Server::new(format!("s{id}"), "127.0.0.1:1").id(id);
        let backend: Backend = Backend::builder("b")
            .servers([70_000, 3, 17, 1].map(server))
            .build()
            .unwrap();
        backend.update(|change| change.remove("s3")).unwrap();
        let position = |id| {
            let id = ServerId::new(id).unwrap();
            backend.current.read(|snapshot| snapshot.position(id))
        };
        let found = [70_000, 17, 1, 3, 2].map(position);
        assert_eq!(found, [Some(0), Some(1), Some(2), None, None]);
    }
}
