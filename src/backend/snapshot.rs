//! What a backend publishes: its servers, their states, and all that is derived.

use std::fmt;
use std::sync::Arc;

use super::stick::StickServers;
use crate::handle::ServerHandle;
use crate::queue::{Called, Line, Seated};
use crate::selector::Selector;
use crate::server::{Farm, FarmServer, ServerId};
use crate::short::Words;

/// From a cookie identifier to the servers that have it, in order of configuration.
#[derive(Debug)]
pub(crate) struct CookieIndex {
    /// A hash table at most half full, whose collisions go to the next slot. Identifiers
    /// are the operator's, so nobody can make them collide.
    slots: Box<[Option<Identifier>]>,
}

#[derive(Debug)]
struct Identifier {
    words: Words,
    bytes: Box<[u8]>,
    servers: Holders,
}

/// The servers that have an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holders {
    /// The first of them.
    pub(crate) first: usize,
    /// The first that persistence may name.
    pub(crate) up: Option<usize>,
}

impl CookieIndex {
    /// The identifiers of members, at the same positions as in `farm`.
    pub(crate) fn new<P>(members: &[Arc<ServerHandle<P>>], farm: &Farm) -> Self {
        let slots = (2 * members.len()).next_power_of_two();
        let mut index = Self {
            slots: (0..slots).map(|_| None).collect(),
        };
        for (position, (member, server)) in members.iter().zip(farm.servers()).enumerate() {
            if let Some(cookie) = &member.cookie {
                index.insert(cookie, position, server.status().accepts_persisted());
            }
        }
        index
    }

    /// Notes a server, which stands behind all that were noted before.
    fn insert(&mut self, cookie: &[u8], position: usize, is_up: bool) {
        let words = Words::of(cookie);
        let mut slot = self.slot_of(words, cookie);
        let up = is_up.then_some(position);
        while let Some(known) = &mut self.slots[slot] {
            if known.is(words, cookie) {
                known.servers.up = known.servers.up.or(up);
                return;
            }
            slot = self.behind(slot);
        }
        self.slots[slot] = Some(Identifier {
            words,
            bytes: cookie.into(),
            servers: Holders {
                first: position,
                up,
            },
        });
    }

    /// The servers whose identifier is exactly `cookie`.
    #[inline]
    pub(crate) fn find(&self, cookie: &[u8]) -> Option<Holders> {
        let words = Words::of(cookie);
        let mut slot = self.slot_of(words, cookie);
        // At least half of the slots are free, so it ends.
        while let Some(known) = self.slots.get(slot)?.as_ref() {
            if known.is(words, cookie) {
                return Some(known.servers);
            }
            slot = self.behind(slot);
        }
        None
    }

    #[inline]
    fn slot_of(&self, words: Words, cookie: &[u8]) -> usize {
        words.hash(cookie.len()) as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn behind(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}

impl Identifier {
    #[inline]
    fn is(&self, words: Words, cookie: &[u8]) -> bool {
        self.words == words
            && self.bytes.len() == cookie.len()
            && (cookie.len() <= Words::WHOLE || *self.bytes == *cookie)
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
    use super::*;
    use crate::{Backend, Server};

    /// Identifiers that differ in their length, or in one byte wherever it is.
    #[test]
    fn similar_identifiers_lead_to_their_servers() {
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
                let (first, up) = (index, Some(index));
                let found = snapshot.cookies.find(identifier);
                assert_eq!(found, Some(Holders { first, up }));
            }
            assert_eq!(snapshot.cookies.find(b""), None);
        });
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
