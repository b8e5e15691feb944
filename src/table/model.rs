//! Readers of a slot beside a writer, in all interleavings:
//! `RUSTFLAGS="--cfg crossbeam_loom" cargo test --release --lib table::model`.

use std::time::Duration;

use ahash::RandomState;
use loom::sync::Arc;
use loom::thread;

use super::clock::{Clock, Lifetime, Moment};
use super::layout::{Layout, Narrow, Wide};
use super::slots::{Slots, Touch};
use crate::time::Now;

fn hasher() -> RandomState {
    RandomState::with_seeds(1, 2, 3, 4)
}

fn slots<L: Layout>(layout: L) -> Slots<L> {
    Slots::new(layout, 1, Lifetime::ENDLESS, Clock::exact()).unwrap()
}

fn now() -> Moment {
    Moment::of(Now::new(Duration::from_secs(1), Duration::ZERO))
}

/// Two keys of two words, and the mixture of them, all with the same mark, so that
/// only the words tell them apart.
fn alike() -> [[u8; 16]; 3] {
    let layout = Wide::words(2, hasher());
    let key = |front: u64, back: u64| {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&front.to_le_bytes());
        key[8..].copy_from_slice(&back.to_le_bytes());
        key
    };
    let mark = |key: &[u8; 16]| layout.mark(key, layout.hash(key));
    let one = key(1 << 60, 1 << 60);
    let others = (1..).map(|n| 1 << 60 | n);
    let mut others = others.map(|n| (key(n, n), key(1 << 60, n)));
    let alike = others.find(|(two, mixed)| mark(two) == mark(&one) && mark(mixed) == mark(&one));
    let (two, mixed) = alike.unwrap();
    [one, two, mixed]
}

/// A slot gets another key while it is looked at: nobody sees a mixture of both, or
/// the server of one with the key of the other.
#[test]
fn a_reader_of_a_wide_key_never_sees_two_entries_mixed() {
    let [one, two, mixed] = alike();
    loom::model(move || {
        let slots = Arc::new(slots(Wide::words(2, hasher())));
        let slot = slots.insert(slots.sought(&one), 1, now());
        let reader = {
            let slots = Arc::clone(&slots);
            thread::spawn(move || {
                let code = |key: &[u8; 16]| {
                    let found = slots.lookup(slots.sought(key), now(), Touch::Refresh);
                    found.hit().map(|hit| hit.code)
                };
                assert_eq!(code(&mixed), None);
                let found = code(&two);
                assert!(matches!(found, Some(2) | None), "{found:?}");
            })
        };
        slots.vacate(slot, &mut Vec::new());
        assert_eq!(slots.insert(slots.sought(&two), 2, now()), slot);
        reader.join().unwrap();
    });
}

#[test]
fn a_reader_of_a_narrow_key_never_sees_the_server_of_another() {
    loom::model(|| {
        let slots = Arc::new(slots(Narrow::new(&hasher())));
        let slot = slots.insert(slots.sought(7), 1, now());
        let reader = {
            let slots = Arc::clone(&slots);
            thread::spawn(move || {
                let code = |key| {
                    let found = slots.lookup(slots.sought(key), now(), Touch::Refresh);
                    found.hit().map(|hit| hit.code)
                };
                let (seven, eight) = (code(7), code(8));
                assert!(matches!(seven, Some(1 | 3) | None), "{seven:?}");
                assert!(matches!(eight, Some(2) | None), "{eight:?}");
            })
        };
        slots.rewrite(slot, 3, now());
        slots.vacate(slot, &mut Vec::new());
        assert_eq!(slots.insert(slots.sought(8), 2, now()), slot);
        reader.join().unwrap();
    });
}
