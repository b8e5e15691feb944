//! A value that is replaced as a whole while readers never wait.
//!
//! # How it works
//!
//! The cell holds one pointer to a heap value. A reader *pins* the current epoch of
//! `crossbeam-epoch`, loads the pointer and looks at the value until it unpins; a
//! writer swaps the pointer and hands the old value to the epoch collector, which
//! destroys it once every reader pinned at that time has unpinned. A read costs one
//! pin (a thread-local store and a fence) and one load, with no shared cache line
//! written to, so readers on many cores do not slow each other down.
//!
//! What it is bad at: an old value lives until later pins move the epoch on, so a
//! destructor may run much later and on another thread than the swap; and a write
//! costs an allocation and a copy of whatever the new value shares with the old.
//!
//! # Safety argument
//!
//! This is the only module of the crate with `unsafe` code. It rests on four facts:
//!
//! 1. *The pointer is never null and always came from `Owned::new`.* It is set in
//!    `new` and replaced in `publish`, nowhere else, and nobody else sees it.
//! 2. *A reader sees a fully built value.* `publish` swaps with release, `read`
//!    loads with acquire, so the writes that built the value happen before the read.
//! 3. *A reader never sees a destroyed value.* It loads under a pin. A value is
//!    handed to the collector after the swap made it unreachable, and the collector
//!    destroys nothing before all pins of that time are gone. The reference cannot
//!    outlive the pin: it is lent to a closure whose result cannot borrow from it.
//! 4. *A value is destroyed exactly once.* Each swap gives its caller, and nobody
//!    else, the old pointer; `drop` has `&mut self`, so neither reader nor writer is
//!    left, and destroys the one pointer still in the cell.
//!
//! Values are destroyed on any thread, at any later time, hence `T: Send + Sync +
//! 'static`. The model in `tests` checks all of this for every interleaving with
//! loom: `RUSTFLAGS="--cfg crossbeam_loom" cargo test --release --lib snapshot::model`.
#![allow(
    unsafe_code,
    reason = "the one module that needs it; see the safety argument"
)]

use std::fmt;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crossbeam_epoch::{self as epoch, Atomic, Owned};

/// A cell whose value is read without waiting and replaced as a whole.
pub(crate) struct SnapshotCell<T: Send + Sync + 'static> {
    current: Atomic<T>,
}

impl<T: Send + Sync + 'static> SnapshotCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            current: Atomic::new(value),
        }
    }

    /// Lends the current value to `look`; the value stays as it is however often a
    /// new one is published meanwhile.
    pub(crate) fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        let pin = epoch::pin();
        let current = self.current.load(Acquire, &pin);
        // SAFETY: never null (fact 1), fully built (fact 2), not destroyed while
        // `pin` lives (fact 3), and `pin` lives to the end of this function.
        look(unsafe { current.deref() })
    }

    /// Replaces the value. Reads that began earlier finish with the old one.
    pub(crate) fn publish(&self, value: T) {
        let pin = epoch::pin();
        let old = self.current.swap(Owned::new(value), AcqRel, &pin);
        // SAFETY: the swap made `old` unreachable for new readers and gave it to us
        // alone (fact 4); readers that still hold it are pinned (fact 3).
        unsafe { pin.defer_destroy(old) };
        // Without this the garbage would wait in a buffer of this thread, which
        // perhaps never publishes again.
        pin.flush();
    }
}

impl<T: Send + Sync + 'static> Drop for SnapshotCell<T> {
    fn drop(&mut self) {
        // SAFETY: `&mut self` proves that there is no reader and no writer, so no
        // pin is needed and this is the only owner of the pointer (fact 4).
        drop(unsafe {
            self.current
                .load(Relaxed, epoch::unprotected())
                .into_owned()
        });
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for SnapshotCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read(|value| value.fmt(f))
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::thread;

    use super::*;

    /// Two halves that must agree, and a count of those alive.
    struct Probe(u64, u64, Arc<AtomicUsize>);

    impl Probe {
        fn new(value: u64, alive: &Arc<AtomicUsize>) -> Self {
            alive.fetch_add(1, AcqRel);
            Self(value, !value, Arc::clone(alive))
        }
    }

    impl Drop for Probe {
        fn drop(&mut self) {
            self.1 = self.0;
            self.2.fetch_sub(1, AcqRel);
        }
    }

    #[test]
    fn readers_see_whole_values_in_order_and_every_value_is_destroyed_once() {
        let alive = Arc::new(AtomicUsize::new(0));
        let cell = Arc::new(SnapshotCell::new(Probe::new(0, &alive)));
        let done = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (cell, done) = (Arc::clone(&cell), Arc::clone(&done));
                thread::spawn(move || {
                    let mut last = 0;
                    while !done.load(Acquire) {
                        last = cell.read(|probe| {
                            assert_eq!(probe.0, !probe.1, "a torn or destroyed value");
                            assert!(probe.0 >= last, "time went backwards");
                            probe.0
                        });
                    }
                })
            })
            .collect();
        for value in 1..=2_000 {
            cell.publish(Probe::new(value, &alive));
        }
        done.store(true, std::sync::atomic::Ordering::Release);
        for reader in readers {
            reader.join().unwrap();
        }
        drop(Arc::into_inner(cell).unwrap());
        // The collector works off its garbage as epochs advance with further pins.
        for _ in 0..10_000 {
            if alive.load(Acquire) == 0 {
                return;
            }
            epoch::pin().flush();
            thread::yield_now();
        }
        panic!("{} values were never destroyed", alive.load(Acquire));
    }
}

#[cfg(all(test, crossbeam_loom))]
mod model {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use loom::thread;

    use super::SnapshotCell;

    /// Marks itself destroyed, so that a reader of a destroyed value is found out
    /// and a second destruction too.
    struct Probe {
        value: usize,
        copy: usize,
        destroyed: Arc<AtomicUsize>,
    }

    impl Probe {
        fn new(value: usize, destroyed: &Arc<AtomicUsize>) -> Self {
            Self {
                value,
                copy: value,
                destroyed: Arc::clone(destroyed),
            }
        }
    }

    impl Drop for Probe {
        fn drop(&mut self) {
            let bit = 1 << self.value;
            assert_eq!(
                self.destroyed.fetch_or(bit, SeqCst) & bit,
                0,
                "destroyed twice"
            );
        }
    }

    fn check(probe: &Probe) -> usize {
        assert_eq!(probe.value, probe.copy, "a torn value");
        assert_eq!(
            probe.destroyed.load(SeqCst) & (1 << probe.value),
            0,
            "read after destruction"
        );
        probe.value
    }

    /// One reader that looks twice beside one writer.
    #[test]
    fn a_reader_sees_whole_living_values_in_order() {
        loom::model(|| {
            let destroyed = Arc::new(AtomicUsize::new(0));
            let cell = Arc::new(SnapshotCell::new(Probe::new(0, &destroyed)));
            let reader = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || {
                    let first = cell.read(check);
                    let second = cell.read(check);
                    assert!(second >= first, "time went backwards");
                })
            };
            cell.publish(Probe::new(1, &destroyed));
            assert_eq!(cell.read(check), 1);
            reader.join().unwrap();
        });
    }

    /// Two writers: each old value goes to exactly one of them.
    #[test]
    fn writers_never_destroy_a_value_twice() {
        loom::model(|| {
            let destroyed = Arc::new(AtomicUsize::new(0));
            let cell = Arc::new(SnapshotCell::new(Probe::new(0, &destroyed)));
            let writer = {
                let (cell, destroyed) = (Arc::clone(&cell), Arc::clone(&destroyed));
                thread::spawn(move || cell.publish(Probe::new(1, &destroyed)))
            };
            cell.publish(Probe::new(2, &destroyed));
            cell.read(check);
            writer.join().unwrap();
        });
    }
}
