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

use std::hint::black_box;

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
    let keys = keys.iter().cycle().take(hits as usize);
    let found = if table == "bare" {
        keys.filter_map(|key| bare.hit(key, 1)).count()
    } else {
        keys.filter_map(|key| ours.hit(black_box(key), 1)).count()
    };
    assert_eq!(found as u64, hits);
}
