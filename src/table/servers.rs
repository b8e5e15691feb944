//! The servers that entries name: a dictionary that many threads read without a lock.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use ahash::RandomState;
use parking_lot::Mutex;

use super::error::StoreError;

/// What an entry says about its server: a number of 23 bits that stands for an id and,
/// often, a name or address.
///
/// It comes from [`StickTable::server`](crate::StickTable::server) and means something to
/// that table alone. The default is no server: id 0 without a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableServer(pub(super) u32);

/// By which text a backend finds the server of an entry, before it looks at the id.
///
/// HAProxy: `srvkey name`, `srvkey addr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServerNaming {
    /// By name: a client stays with `app1`, wherever that is.
    #[default]
    Name,
    /// By address and port: a client stays with the process there, whatever it is called.
    Address,
}

impl Default for TableServer {
    fn default() -> Self {
        Self(1)
    }
}

/// Codes from here on are places in the dictionary, those below are ids plus one; 0 is
/// no entry at all.
const FIRST_NAMED: u32 = 1 << 22;
/// Places of the first chunk; each chunk has twice those of the one before.
const FIRST_CHUNK: usize = 64;
const CHUNKS: usize = 16;
const LIMIT: usize = FIRST_CHUNK * ((1 << CHUNKS) - 1);

/// All servers ever named, each once. None is ever forgotten: entries may name it.
pub(super) struct Servers {
    chunks: [OnceLock<Chunk>; CHUNKS],
    places: Mutex<HashMap<Named, u32, RandomState>>,
}

type Chunk = Box<[OnceLock<Named>]>;

/// An id and the key by which the server is found first.
type Named = (u32, Option<Arc<str>>);

impl Servers {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self {
            chunks: std::array::from_fn(|_| OnceLock::new()),
            places: Mutex::new(HashMap::with_hasher(hasher)),
        }
    }

    /// The code of a server, which is given one if it has none.
    pub(super) fn code(&self, id: u32, key: Option<&str>) -> Result<TableServer, StoreError> {
        if key.is_none() && id < FIRST_NAMED - 1 {
            return Ok(TableServer(id + 1));
        }
        let named: Named = (id, key.map(Arc::from));
        let mut places = self.places.lock();
        if let Some(&place) = places.get(&named) {
            return Ok(TableServer(FIRST_NAMED + place));
        }
        let place = places.len();
        if place >= LIMIT {
            let limit = LIMIT as u32;
            return Err(StoreError::TooManyServers { limit });
        }
        let (chunk, index) = locate(place);
        let chunk = self.chunks[chunk].get_or_init(|| new_chunk(chunk));
        // It is free: places are given out once, under the lock.
        let _ = chunk[index].set(named.clone());
        places.insert(named, place as u32);
        Ok(TableServer(FIRST_NAMED + place as u32))
    }

    /// Id and key of a server, or `None` if it is not one of this dictionary.
    #[inline]
    pub(super) fn get(&self, server: TableServer) -> Option<(u32, Option<&str>)> {
        match server.0.checked_sub(FIRST_NAMED) {
            Some(place) => self.named(place),
            None => Some((server.0.checked_sub(1)?, None)),
        }
    }

    fn named(&self, place: u32) -> Option<(u32, Option<&str>)> {
        let (chunk, index) = locate(place as usize);
        let (id, key) = self.chunks.get(chunk)?.get()?.get(index)?.get()?;
        Some((*id, key.as_deref()))
    }
}

fn locate(place: usize) -> (usize, usize) {
    let chunk = (place / FIRST_CHUNK + 1).ilog2() as usize;
    (chunk, place - FIRST_CHUNK * ((1 << chunk) - 1))
}

fn new_chunk(chunk: usize) -> Chunk {
    (0..FIRST_CHUNK << chunk).map(|_| OnceLock::new()).collect()
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} named servers", self.places.lock().len())
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use super::*;

    #[test]
    fn servers_are_given_one_code_each() {
        let servers = Servers::new(RandomState::with_seeds(1, 2, 3, 4));
        let mut codes = Vec::new();
        for id in (0..2_000).chain([u32::MAX, FIRST_NAMED - 1]) {
            for key in [None, Some("a"), Some("b")] {
                let code = servers.code(id, key).unwrap();
                assert_eq!(servers.code(id, key), Ok(code));
                assert_eq!(servers.get(code), Some((id, key)));
                codes.push(code.0);
            }
        }
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
        assert!(codes[0] > 0 && codes[count - 1] < 1 << 23);
    }

    #[test]
    fn a_server_of_another_table_is_unknown() {
        let servers = Servers::new(RandomState::with_seeds(1, 2, 3, 4));
        assert_eq!(servers.get(TableServer(FIRST_NAMED)), None);
        assert_eq!(servers.get(TableServer(FIRST_NAMED + LIMIT as u32)), None);
        assert_eq!(servers.get(TableServer::default()), Some((0, None)));
    }
}
