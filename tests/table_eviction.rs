//! Promise: eviction keeps what comes back. Up to 4,096 entries the least recently
//! touched entry goes, exactly; above that, the hit ratio is within half a percent of an
//! exact LRU, and no victim is among the more recently touched half.
#![allow(
    clippy::cast_precision_loss,
    reason = "rates and means of small numbers"
)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use stickroute::{Key, KeyType, Now, StickTable};

/// An exact LRU: keys by last touch, and the other way round.
#[derive(Default)]
struct Lru {
    touches: u64,
    by_key: HashMap<u32, u64>,
    by_touch: BTreeMap<u64, u32>,
}

impl Lru {
    /// Touches a key; says whether it was there.
    fn touch(&mut self, key: u32) -> bool {
        self.touches += 1;
        let before = self.by_key.insert(key, self.touches);
        self.by_touch.insert(self.touches, key);
        before.is_some_and(|before| self.by_touch.remove(&before).is_some())
    }

    fn evict_beyond(&mut self, size: usize) {
        while self.by_key.len() > size
            && let Some((_, oldest)) = self.by_touch.pop_first()
        {
            self.by_key.remove(&oldest);
        }
    }

    fn forget(&mut self, key: u32) {
        if let Some(touch) = self.by_key.remove(&key) {
            self.by_touch.remove(&touch);
        }
    }
}

struct Random(u64);

impl Random {
    /// Evenly from 0 to 1.
    fn draw(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        f64::from((self.0 >> 32) as u32) / 4_294_967_296.0
    }
}

/// Keys by Zipf's law with exponent 1.
fn zipf(universe: u32) -> impl FnMut(&mut Random) -> u32 {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=universe)
        .map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        })
        .collect();
    move |random| {
        let share = random.draw() * sum;
        sums.partition_point(|&sum| sum < share) as u32
    }
}

fn key(key: u32) -> Key<'static> {
    Key::Ip(key.wrapping_mul(0x9e37_79b1).into())
}

fn table(size: usize) -> StickTable {
    let table = StickTable::builder(KeyType::Ip).size(size as u64);
    table.hash_seed(7).build().unwrap()
}

/// Hits of the table and of the exact twin. Many touches fall into one millisecond.
fn hits(size: usize, requests: impl Iterator<Item = u32>) -> (f64, f64) {
    let (table, mut twin) = (table(size), Lru::default());
    let (mut ours, mut theirs, mut count) = (0.0, 0.0, 0.0);
    for (i, request) in requests.enumerate() {
        let now = Now::new(Duration::from_millis(i as u64 / 1_000), Duration::ZERO);
        let key = key(request);
        if table.lookup(&key, now).is_some() {
            ours += 1.0;
        } else {
            let _ = table.insert(&key, now).unwrap();
        }
        theirs += f64::from(u8::from(twin.touch(request)));
        twin.evict_beyond(size);
        count += 1.0;
    }
    assert_eq!(
        table.len(),
        size,
        "nothing is evicted before the table is full"
    );
    (ours / count, theirs / count)
}

#[test]
fn a_small_table_hits_exactly_as_often_as_an_exact_lru() {
    for size in [1, 7, 300, 4_096] {
        let (mut random, mut zipf) = (Random(3), zipf(20_000));
        let (ours, theirs) = hits(size, (0..40_000).map(|_| zipf(&mut random)));
        assert_eq!(ours.to_bits(), theirs.to_bits(), "{size}");
    }
}

#[test]
fn a_large_table_hits_nearly_as_often_as_an_exact_lru() {
    // From 65,537 entries on, groups are fuller.
    for (size, universe, requests) in [
        (4_097, 100_000, 120_000),
        (10_000, 100_000, 120_000),
        (66_000, 400_000, 400_000),
    ] {
        let (mut random, mut zipf) = (Random(5), zipf(universe));
        let (ours, theirs) = hits(size, (0..requests).map(|_| zipf(&mut random)));
        assert!(ours > theirs - 0.005, "{size}: {ours} to {theirs}");
    }
}

#[test]
fn keys_that_come_once_push_out_no_more_than_in_an_exact_lru() {
    let (mut random, mut zipf) = (Random(9), zipf(20_000));
    let mut once = 1_000_000;
    let requests = (0..120_000).map(|_| {
        if random.draw() < 0.5 {
            return zipf(&mut random);
        }
        once += 1;
        once
    });
    let (ours, theirs) = hits(10_000, requests);
    assert!(ours > theirs - 0.005, "{ours} to {theirs}");
}

/// Whoever is missing is looked for after each eviction, by asking for all keys of the
/// twin from the oldest on; the rank of the victim is how many were older.
#[test]
fn no_victim_is_among_the_more_recently_touched_half() {
    let size = 6_000;
    let (table, mut twin) = (table(size), Lru::default());
    let (mut random, now) = (Random(11), Now::new(Duration::from_secs(1), Duration::ZERO));
    let mut worst = 0;
    for i in 0..size as u32 * 2 {
        // Everything comes again but an evenly chosen half, all in one millisecond.
        for _ in 0..2 {
            let again = (f64::from(i) * random.draw()) as u32;
            if table.lookup(&key(again), now).is_some() {
                twin.touch(again);
            }
        }
        let _ = table.insert(&key(i), now).unwrap();
        twin.touch(i);
        if twin.by_key.len() > size {
            let missing = |&(_, old): &(usize, &u32)| table.peek(&key(*old), now).is_none();
            let (rank, &victim) = twin.by_touch.values().enumerate().find(missing).unwrap();
            worst = worst.max(rank);
            twin.forget(victim);
        }
    }
    assert!(
        worst < size / 2,
        "the victim was younger than {worst} others"
    );
}

/// However few may go, the table finds them, and evicts nothing that is held.
#[test]
fn a_table_of_held_entries_evicts_the_others() {
    let (size, free) = (5_000, 7);
    let table = Arc::new(table(size));
    let now = Now::new(Duration::from_secs(1), Duration::ZERO);
    let held: Vec<_> = (free..size as u32)
        .map(|n| table.hold(&key(n), now).unwrap())
        .collect();
    for n in 0..200 {
        let _ = table.insert(&key(size as u32 + n), now).unwrap();
        assert!(table.len() <= size);
    }
    assert!((free..size as u32).all(|n| table.peek(&key(n), now).is_some()));
    drop(held);
}
