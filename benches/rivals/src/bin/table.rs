//! What does a stick table cost? P1 to P8: hits, evictions and mixed traffic against the
//! tables and caches of other crates. P10 to P12: bytes an entry.
//!
//! H is a bare hashbrown map with the same hasher, for one thread, that checks and writes
//! the time of the last access: the least a hit can cost. A hit of stickroute's includes
//! the making of the key and of `Now`, and reading the server's id.
//!
//! With an argument, `bytes`, `hits` or `changes`, only that part is run.

use std::hint::black_box;

use ahash::RandomState;
use parking_lot::Mutex;
use stickroute::KeyType;
use stickroute_rivals::tables::{Bare, Ours, Owned, Sharded, Table, hasher};
use stickroute_rivals::{Race, Target, key};

const NOW: u32 = 1_000_000;

/// All tables of one size, filled to 80 %, as large as the keys say.
struct Field<'k, K: ?Sized, O: Owned<K>> {
    keys: &'k [O],
    bare: Bare<O>,
    /// Called as directly as H is; the rivals are called through a table of methods.
    ours: Ours,
    rivals: Vec<(&'static str, Box<dyn Table<K>>)>,
}

impl<'k, K, O> Field<'k, K, O>
where
    O: Owned<K> + std::borrow::Borrow<K>,
    K: ?Sized + Eq + std::hash::Hash + 'static,
    Ours: Table<K>,
{
    fn new(keys: &'k [O], size: usize, key_type: KeyType) -> Self {
        let mut bare = Bare::default();
        let (ours, rivals) = (Ours::new(key_type, size), rivals::<K, O>(size, key_type));
        for (i, key) in keys.iter().enumerate() {
            bare.put(key.borrow(), server(i), NOW);
            ours.put(key.borrow(), server(i), NOW);
            for (_, table) in &rivals {
                table.put(key.borrow(), server(i), NOW);
            }
        }
        for (name, table) in &rivals {
            let there = keys
                .iter()
                .filter(|&key| table.hit(key.borrow(), NOW).is_some());
            let share = there.count() as f64 / keys.len() as f64;
            println!(
                "     {name:<40} {:.2} % of the keys are there",
                share * 100.0
            );
        }
        Self {
            keys,
            bare,
            ours,
            rivals,
        }
    }

    /// Nanoseconds a hit: of H, then of the others.
    fn hits(&mut self, pace: Pace) -> Vec<f64> {
        let (keys, bare) = (self.keys, &mut self.bare);
        let ours = &self.ours;
        let mut race = Race::new()
            .contender("H", |repeats| {
                walk(keys, repeats, pace, |key| bare.hit(key, NOW))
            })
            .contender("stickroute", |repeats| {
                walk(keys, repeats, pace, |key| ours.hit(key, NOW))
            });
        for (name, table) in &self.rivals[1..] {
            race = race.contender(name, move |repeats| {
                walk(keys, repeats, pace, |key| table.hit(key, NOW))
            });
        }
        race.run()
    }

    fn judge(&self, target: Target, what: &str, times: &[f64]) {
        target.judge(&format!("{what} / H"), times[1], times[0]);
        for ((name, _), time) in self.rivals.iter().zip(&times[1..]).skip(1) {
            println!(
                "     {name:<40} {time:>10.1} ns {:>10.3}x H",
                time / times[0]
            );
        }
    }
}

fn server(i: usize) -> u32 {
    i as u32 % 10 + 1
}

/// Ours first.
fn rivals<K, O>(size: usize, key_type: KeyType) -> Vec<(&'static str, Box<dyn Table<K>>)>
where
    O: Owned<K> + std::borrow::Borrow<K>,
    K: ?Sized + Eq + std::hash::Hash + 'static,
    Ours: Table<K>,
{
    let options = || {
        quick_cache::OptionsBuilder::new()
            .estimated_items_capacity(size)
            .weight_capacity(size as u64)
            .build()
            .expect("complete")
    };
    let quick: quick_cache::sync::Cache<O, u32, _, RandomState> =
        quick_cache::sync::Cache::with_options(
            options(),
            quick_cache::UnitWeighter,
            hasher(),
            quick_cache::sync::DefaultLifecycle::default(),
        );
    let moka = moka::sync::Cache::<O, u32>::builder().max_capacity(size as u64);
    let idle = std::time::Duration::from_secs(3_600);
    let lru = lru::LruCache::with_hasher(size.try_into().expect("not 0"), hasher());
    vec![
        ("stickroute", Box::new(Ours::new(key_type, size))),
        ("quick_cache", Box::new(quick)),
        (
            "dashmap",
            Box::new(dashmap::DashMap::<O, _, _>::with_hasher(hasher())),
        ),
        (
            "scc::HashCache",
            Box::new(scc::HashCache::<O, _, _>::with_capacity_and_hasher(
                0,
                size,
                hasher(),
            )),
        ),
        (
            "schnellru in 64 mutexes",
            Box::new(Sharded::<O, K>::new(size)),
        ),
        (
            "moka",
            Box::new(moka.time_to_idle(idle).build_with_hasher(hasher())),
        ),
        (
            "lru in one mutex",
            Box::new(Mutex::<lru::LruCache<O, (u32, u32), _>>::new(lru)),
        ),
    ]
}

/// Whether a lookup waits for the one before.
#[derive(Clone, Copy, PartialEq)]
enum Pace {
    Throughput,
    Dependent,
}

/// Looks up one key after the other; returns the sum of their servers.
#[inline]
fn walk<K: ?Sized, O: std::borrow::Borrow<K>>(
    keys: &[O],
    repeats: u64,
    pace: Pace,
    hit: impl FnMut(&K) -> Option<u32>,
) -> u64 {
    match pace {
        Pace::Throughput => stroll::<false, K, O>(keys, repeats, hit),
        Pace::Dependent => stroll::<true, K, O>(keys, repeats, hit),
    }
}

fn stroll<const WAIT: bool, K: ?Sized, O: std::borrow::Borrow<K>>(
    keys: &[O],
    repeats: u64,
    mut hit: impl FnMut(&K) -> Option<u32>,
) -> u64 {
    let (mut sum, mut at) = (0, 0);
    for _ in 0..repeats {
        let server = hit(keys[at].borrow()).unwrap_or(0);
        sum += u64::from(server);
        // Servers are small, which the compiler cannot know: the shift is always 0.
        at += if WAIT { 1 + (server >> 31) as usize } else { 1 };
        if at >= keys.len() {
            at = 0;
        }
    }
    sum
}

fn addresses(count: usize) -> Vec<u32> {
    (0..count as u64).map(key).collect()
}

/// Session ids of 20 to 40 bytes.
fn sessions(count: usize) -> Vec<Box<[u8]>> {
    let text = |i: usize| {
        let length = 20 + i % 21;
        let digits = format!("{:08x}{:08x}", key(i as u64), key(!i as u64)).repeat(3);
        digits.as_bytes()[..length].into()
    };
    (0..count).map(text).collect()
}

fn hits() {
    for (size, ids, limits) in [
        (10_000, ["P1", "P2"], [2.5, 1.25]),
        (1_125_000, ["P3", "P4"], [1.6, 1.0]),
    ] {
        let keys = addresses(size / 10 * 8);
        println!("IPv4, {} of {size} entries", keys.len());
        let mut field = Field::<u32, u32>::new(&keys, size, KeyType::Ip);
        for (i, pace) in [Pace::Throughput, Pace::Dependent].into_iter().enumerate() {
            let times = field.hits(pace);
            let what = ["hits, throughput", "hits, dependent"][i];
            field.judge(
                Target {
                    id: ids[i],
                    ratio: limits[i],
                },
                what,
                &times,
            );
        }
        if size == 10_000 {
            two_threads(&field);
        }
    }
    let keys = sessions(8_000);
    println!("strings of 20 to 40 bytes, 8000 of 10000 entries");
    let mut field = Field::<[u8], Box<[u8]>>::new(&keys, 10_000, KeyType::String(40));
    let times = field.hits(Pace::Throughput);
    field.judge(
        Target {
            id: "P5",
            ratio: 1.6,
        },
        "hits, throughput",
        &times,
    );
    let keys: Vec<u128> = (0..8_000)
        .map(|i| u128::from(key(i)) << 64 | u128::from(key(!i)))
        .collect();
    println!("IPv6, 8000 of 10000 entries");
    let mut field = Field::<u128, u128>::new(&keys, 10_000, KeyType::Ipv6);
    let times = field.hits(Pace::Throughput);
    field.judge(
        Target {
            id: "-",
            ratio: 2.5,
        },
        "hits, throughput",
        &times,
    );
}

fn two_threads(field: &Field<'_, u32, u32>) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("IPv4 hits by two threads, load {}", load.trim());
    let mut race = Race::new();
    for (name, table) in &field.rivals {
        let half = move |keys: &[u32], repeats| {
            walk(keys, repeats, Pace::Throughput, |key| table.hit(key, NOW))
        };
        race = race.contender(name, move |repeats| {
            let (front, back) = field.keys.split_at(field.keys.len() / 2);
            std::thread::scope(|scope| {
                let other = scope.spawn(|| half(&[back, front].concat(), repeats / 2));
                half(field.keys, repeats / 2) + other.join().expect("no panic")
            })
        });
    }
    let times = race.run();
    Target {
        id: "P8",
        ratio: 0.5,
    }
    .judge("hits, 2 threads / quick_cache", times[0], times[1]);
    for ((name, _), time) in field.rivals.iter().zip(&times).skip(2) {
        println!(
            "     {name:<40} {time:>10.1} ns {:>10.3}x quick_cache",
            time / times[1]
        );
    }
}

fn changes() {
    let size = 10_000;
    let fresh: Vec<u32> = (0..400_000).map(|i| key(i + 1_000_000)).collect();
    let tables = rivals::<u32, u32>(size, KeyType::Ip);
    let race = |keys: &[u32], what: &str, id: &'static str, limits: &[(usize, f64)]| {
        println!("{what}, {size} entries");
        let mut race = Race::new();
        for (name, table) in &tables {
            let mut at = 0;
            race = race.contender(name, move |repeats| {
                for _ in 0..repeats {
                    let key = &keys[at];
                    at = if at + 1 == keys.len() { 0 } else { at + 1 };
                    if id == "P6" || black_box(table.hit(key, NOW)).is_none() {
                        table.put(key, server(at), NOW);
                    }
                }
                0
            });
        }
        let times = race.run();
        for &(rival, ratio) in limits {
            let what = format!("{what} / {}", tables[rival].0);
            Target { id, ratio }.judge(&what, times[0], times[rival]);
        }
        for ((name, _), time) in tables.iter().zip(&times).skip(1) {
            println!("     {name:<40} {time:>10.1} ns");
        }
    };
    race(&fresh, "insert and evict", "P6", &[(4, 0.6), (3, 0.6)]);
    race(
        &mixed(&fresh),
        "95 % Zipf hits, 5 % inserts",
        "P7",
        &[(4, 0.5)],
    );
}

/// 95 % of 8000 keys by Zipf's law, 5 % fresh ones.
fn mixed(fresh: &[u32]) -> Vec<u32> {
    let weights = (1..=8_000).map(|rank| 1.0 / f64::from(rank));
    let sums: Vec<f64> = weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect();
    let mut random = 1u64;
    let mut draw = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 11) as f64 / (1u64 << 53) as f64
    };
    let zipf = |share: f64| sums.partition_point(|sum| *sum < share * sums[sums.len() - 1]) as u64;
    let mut fresh = fresh.iter().cycle();
    (0..1_000_000)
        .map(|_| {
            if draw() < 0.05 {
                *fresh.next().expect("endless")
            } else {
                key(zipf(draw()))
            }
        })
        .collect()
}

fn bytes() {
    println!("bytes an entry, tables of 1,000,000 filled to the last");
    let (v4, v6): (Vec<u32>, Vec<u128>) = (
        addresses(1_000_000),
        (0..1_000_000)
            .map(|i| u128::from(key(i)) << 64 | u128::from(key(!i)))
            .collect(),
    );
    let text = |i: &u32| format!("{i:032x}").into_bytes().into();
    let texts: Vec<Box<[u8]>> = v4.iter().map(text).collect();
    weigh::<u32, u32>("P10", "IPv4", 26.0, &v4, KeyType::Ip);
    weigh::<u128, u128>("P11", "IPv6", 38.0, &v6, KeyType::Ipv6);
    weigh::<[u8], Box<[u8]>>("P12", "32-byte strings", 68.0, &texts, KeyType::String(32));
}

fn weigh<K, O>(id: &str, what: &str, limit: f64, keys: &[O], key_type: KeyType)
where
    O: Owned<K> + std::borrow::Borrow<K>,
    K: ?Sized + Eq + std::hash::Hash + 'static,
    Ours: Table<K>,
{
    let mut table = None;
    let info = allocation_counter::measure(|| {
        let ours = Ours::new(key_type, keys.len());
        keys.iter().for_each(|key| ours.put(key.borrow(), 1, NOW));
        table = Some(ours);
    });
    let there = keys.iter().filter(|key| {
        table
            .as_ref()
            .is_some_and(|table| table.hit((**key).borrow(), NOW).is_some())
    });
    assert_eq!(there.count(), keys.len());
    let each = info.bytes_current as f64 / keys.len() as f64;
    let verdict = if each <= limit { "PASS" } else { "MISS" };
    println!("{id:<4} {what:<44} {each:>10.2} bytes (<= {limit}) {verdict}");
}

fn main() {
    let only = std::env::args().nth(1);
    let parts: [(&str, fn()); 3] = [("bytes", bytes), ("hits", hits), ("changes", changes)];
    for (name, part) in parts {
        if only.as_deref().is_none_or(|only| only == name) {
            part();
        }
    }
}
