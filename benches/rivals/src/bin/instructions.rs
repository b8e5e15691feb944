//! Instructions a hit, P9. Counts are the same on every machine, so they can be gated.
//!
//! ```sh
//! cargo build --release --manifest-path benches/rivals/Cargo.toml --bin instructions
//! for table in stickroute bare; do for hits in 100000 200000; do
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null \
//!         benches/rivals/target/release/instructions "$table" "$hits" 2>&1 | grep Collected
//! done; done
//! ```
//!
//! The difference of two counts, divided by 100,000, is that of a hit with the loop around
//! it and the making of its key.

use stickroute::KeyType;
use stickroute_rivals::key;
use stickroute_rivals::tables::{Bare, Ours, Table};

fn main() {
    let mut words = std::env::args().skip(1);
    let table = words.next().unwrap_or_default();
    let hits: u64 = words
        .next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(0);
    let keys: Vec<u32> = (0..8_000).map(key).collect();
    let ours = Ours::new(KeyType::Ip, 10_000);
    let mut bare = Bare::<u32>::default();
    for key in &keys {
        ours.put(key, 1, 1);
        bare.put(key, 1, 1);
    }
    let found = if table == "bare" {
        count(&keys, hits, |key| bare.hit(key, 1))
    } else {
        count(&keys, hits, |key| ours.hit(key, 1))
    };
    assert_eq!(found, hits);
}

/// Plain loops, because the compiler makes a call of each turn of an iterator's.
#[inline(always)]
fn count(keys: &[u32], hits: u64, mut hit: impl FnMut(&u32) -> Option<u32>) -> u64 {
    let mut found = 0;
    let mut left = hits as usize;
    while left > 0 {
        let pass = left.min(keys.len());
        for key in &keys[..pass] {
            found += u64::from(hit(key).is_some());
        }
        left -= pass;
    }
    found
}
