//! Tables of other crates behind one face: find a key and note the time, or insert it.
//!
//! All have the same hasher with fixed seeds. Those without idle expiry do it in the
//! value where that is possible: they check the time of the last access and write it.

use std::time::Duration;

use ahash::RandomState;
use parking_lot::Mutex;
use schnellru::{ByLength, LruMap};
use stickroute::{Key, KeyType, Now, StickTable, TableServer};

/// Idle time after which nothing expires in a race.
const IDLE: u32 = 3_600_000;

/// The hasher of all contenders.
pub fn hasher() -> RandomState {
    RandomState::with_seeds(1, 2, 3, 4)
}

/// Something that finds the server of a key.
pub trait Table<K: ?Sized>: Sync {
    /// The server of a key, which is then in use until `now`.
    fn hit(&self, key: &K, now: u32) -> Option<u32>;

    /// Inserts a key that is not there.
    fn put(&self, key: &K, server: u32, now: u32);
}

/// Our own, with the server handles its callers keep.
pub struct Ours {
    table: StickTable,
}

impl Ours {
    /// An empty table.
    ///
    /// # Panics
    /// Never with sizes above 0.
    pub fn new(key_type: KeyType, size: usize) -> Self {
        let table = StickTable::builder(key_type)
            .size(size as u64)
            .expire(Duration::from_millis(IDLE.into()))
            .hash_seed(1);
        let table = table.build().expect("a good table");
        Self { table }
    }

    #[inline]
    fn find(&self, key: &Key<'_>, now: u32) -> Option<u32> {
        Some(self.table.lookup(key, at(now))?.server_id())
    }

    fn store(&self, key: &Key<'_>, server: u32, now: u32) {
        let server = self.table.server(server, None);
        let server: TableServer = server.expect("a small id");
        let _ = self
            .table
            .set(key, server, at(now))
            .expect("room by eviction");
    }
}

#[inline]
fn at(milliseconds: u32) -> Now {
    Now::new(Duration::from_millis(milliseconds.into()), Duration::ZERO)
}

impl Table<u32> for Ours {
    #[inline]
    fn hit(&self, key: &u32, now: u32) -> Option<u32> {
        self.find(&Key::Ip((*key).into()), now)
    }

    fn put(&self, key: &u32, server: u32, now: u32) {
        self.store(&Key::Ip((*key).into()), server, now);
    }
}

impl Table<u128> for Ours {
    fn hit(&self, key: &u128, now: u32) -> Option<u32> {
        self.find(&Key::Ipv6((*key).into()), now)
    }

    fn put(&self, key: &u128, server: u32, now: u32) {
        self.store(&Key::Ipv6((*key).into()), server, now);
    }
}

impl Table<[u8]> for Ours {
    fn hit(&self, key: &[u8], now: u32) -> Option<u32> {
        self.find(&Key::string(key), now)
    }

    fn put(&self, key: &[u8], server: u32, now: u32) {
        self.store(&Key::string(key), server, now);
    }
}

/// A key as rivals store it.
pub trait Owned<K: ?Sized>: Clone + Eq + std::hash::Hash + Send + Sync + 'static {
    /// Makes a key to store.
    fn of(key: &K) -> Self;
}

impl Owned<u32> for u32 {
    fn of(key: &u32) -> Self {
        *key
    }
}

impl Owned<u128> for u128 {
    fn of(key: &u128) -> Self {
        *key
    }
}

impl Owned<[u8]> for Box<[u8]> {
    fn of(key: &[u8]) -> Self {
        key.into()
    }
}

/// Server and last access.
type Value = (u32, u32);

fn use_value(value: &mut Value, now: u32) -> Option<u32> {
    if now.wrapping_sub(value.1) > IDLE {
        return None;
    }
    value.1 = now;
    Some(value.0)
}

/// `H`, the floor: a bare map for one thread, without order, bound or lock.
pub struct Bare<O>(pub hashbrown::HashMap<O, Value, RandomState>);

impl<O> Default for Bare<O> {
    fn default() -> Self {
        Self(hashbrown::HashMap::with_hasher(hasher()))
    }
}

impl<O> Bare<O> {
    /// The server of a key, which is then in use until `now`.
    #[inline]
    pub fn hit<K>(&mut self, key: &K, now: u32) -> Option<u32>
    where
        O: Owned<K> + std::borrow::Borrow<K>,
        K: ?Sized + Eq + std::hash::Hash,
    {
        use_value(self.0.get_mut(key)?, now)
    }

    /// Inserts a key.
    pub fn put<K: ?Sized>(&mut self, key: &K, server: u32, now: u32)
    where
        O: Owned<K>,
    {
        self.0.insert(O::of(key), (server, now));
    }
}

/// Without idle expiry: a hit only reads.
impl<K, O> Table<K> for quick_cache::sync::Cache<O, u32, quick_cache::UnitWeighter, RandomState>
where
    O: Owned<K> + std::borrow::Borrow<K>,
    K: ?Sized + Eq + std::hash::Hash,
{
    fn hit(&self, key: &K, _now: u32) -> Option<u32> {
        self.get(key)
    }

    fn put(&self, key: &K, server: u32, _now: u32) {
        self.insert(O::of(key), server);
    }
}

/// Without bound and order.
impl<K, O> Table<K> for dashmap::DashMap<O, Value, RandomState>
where
    O: Owned<K> + std::borrow::Borrow<K>,
    K: ?Sized + Eq + std::hash::Hash,
{
    fn hit(&self, key: &K, now: u32) -> Option<u32> {
        use_value(self.get_mut(key)?.value_mut(), now)
    }

    fn put(&self, key: &K, server: u32, now: u32) {
        self.insert(O::of(key), (server, now));
    }
}

/// LRU within each bucket of 32.
impl<K, O> Table<K> for scc::HashCache<O, Value, RandomState>
where
    O: Owned<K> + std::borrow::Borrow<K>,
    K: ?Sized + Eq + std::hash::Hash,
{
    fn hit(&self, key: &K, now: u32) -> Option<u32> {
        use_value(self.get_sync(key)?.get_mut(), now)
    }

    fn put(&self, key: &K, server: u32, now: u32) {
        let _ = self.put_sync(O::of(key), (server, now));
    }
}

/// The whole cache with reads and writes recorded and its own clock.
impl<K, O> Table<K> for moka::sync::Cache<O, u32, RandomState>
where
    O: Owned<K> + std::borrow::Borrow<K>,
    K: ?Sized + Eq + std::hash::Hash,
{
    fn hit(&self, key: &K, _now: u32) -> Option<u32> {
        self.get(key)
    }

    fn put(&self, key: &K, server: u32, _now: u32) {
        self.insert(O::of(key), server);
    }
}

/// An exact LRU of the `lru` crate behind one lock.
impl<K, O> Table<K> for Mutex<lru::LruCache<O, Value, RandomState>>
where
    O: Owned<K> + std::borrow::Borrow<K>,
    K: ?Sized + Eq + std::hash::Hash,
{
    fn hit(&self, key: &K, now: u32) -> Option<u32> {
        use_value(self.lock().get_mut(key)?, now)
    }

    fn put(&self, key: &K, server: u32, now: u32) {
        self.lock().put(O::of(key), (server, now));
    }
}

/// An exact LRU in each of 64 shards with a lock of its own.
pub struct Sharded<O: Owned<K>, K: ?Sized> {
    shards: Vec<Mutex<LruMap<O, Value, ByLength, RandomState>>>,
    hasher: RandomState,
    key: std::marker::PhantomData<fn(&K)>,
}

impl<O: Owned<K>, K: ?Sized + std::hash::Hash> Sharded<O, K> {
    /// An empty table.
    pub fn new(size: usize) -> Self {
        let shard = || LruMap::with_hasher(ByLength::new((size / 64) as u32), hasher());
        Self {
            shards: (0..64).map(|_| Mutex::new(shard())).collect(),
            hasher: hasher(),
            key: std::marker::PhantomData,
        }
    }

    fn shard(&self, key: &K) -> &Mutex<LruMap<O, Value, ByLength, RandomState>> {
        &self.shards[(self.hasher.hash_one(key) >> 58) as usize]
    }
}

/// A key that compares with stored ones as schnellru asks for it.
#[derive(Hash)]
struct Same<'k, K: ?Sized>(&'k K);

impl<K: ?Sized + Eq, O: std::borrow::Borrow<K>> PartialEq<O> for Same<'_, K> {
    fn eq(&self, other: &O) -> bool {
        self.0 == other.borrow()
    }
}

impl<K, O> Table<K> for Sharded<O, K>
where
    O: Owned<K> + std::borrow::Borrow<K>,
    K: ?Sized + Eq + std::hash::Hash,
{
    fn hit(&self, key: &K, now: u32) -> Option<u32> {
        use_value(self.shard(key).lock().get(&Same(key))?, now)
    }

    fn put(&self, key: &K, server: u32, now: u32) {
        self.shard(key).lock().insert(O::of(key), (server, now));
    }
}
