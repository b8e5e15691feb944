//! Stamps: when an entry was last touched, and after which others.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release};

use super::words::AtomicU64 as Cell;
use crate::time::Now;

/// Low bits of a stamp that order touches within one millisecond; the others count
/// milliseconds of the caller's monotonic clock.
const TICK_BITS: u32 = 20;
const TICKS: u64 = (1 << TICK_BITS) - 1;

/// The last millisecond a stamp can hold: 278 years after the clock's origin. Half of the
/// stamps are left for an endless life.
const LAST: u64 = (u64::MAX >> 1) >> TICK_BITS;

/// A time as stamps have it: no stamp of this millisecond or before it is greater than
/// `0 | TICKS`, none of a later one is smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

impl Moment {
    #[inline]
    pub(super) fn of(now: Now) -> Self {
        let mono = now.mono();
        let seconds = mono.as_secs().min(LAST / 1_000 - 1);
        Self((seconds * 1_000 + u64::from(mono.subsec_millis())) << TICK_BITS)
    }

    /// The least stamp an entry touched from now on can have.
    pub(super) fn start(self) -> u64 {
        self.0
    }

    /// The greatest stamp of an entry which has lived so long at this moment; 0, which
    /// no entry has, if there can be none.
    #[inline]
    pub(super) fn minus(self, lifetime: Lifetime) -> u64 {
        self.0.saturating_sub(lifetime.0)
    }

    /// Whether an entry with this stamp has not been touched for so long.
    #[inline]
    pub(super) fn is_past(self, stamp: u64, lifetime: Lifetime) -> bool {
        stamp + lifetime.0 <= self.0
    }

    /// Milliseconds until an entry with this stamp has not been touched for so long.
    pub(super) fn until(self, stamp: u64, lifetime: Lifetime) -> u64 {
        ((stamp + lifetime.0 + TICKS) >> TICK_BITS).saturating_sub(self.0 >> TICK_BITS)
    }
}

/// How long an entry lives without being touched, in the unit of stamps, less the ticks
/// of its last millisecond: it does not matter at which tick it was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime(u64);

impl Lifetime {
    pub(super) const ENDLESS: Self = Self(1 << 63);

    pub(super) fn milliseconds(count: u32) -> Self {
        Self((u64::from(count) << TICK_BITS) - TICKS)
    }
}

/// Gives out stamps that rise, and never lag behind the caller's time.
///
/// It is a plain load and store: two threads may be given the same stamp, or one that is
/// late by what another thread gave out meanwhile, within one millisecond. An atomic
/// addition would cost every hit more than the whole lookup does.
///
/// It has cache lines of its own, so that writing it takes nothing else from the others.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Clock {
    last: AtomicU64,
    /// Bits of a key's hash that must meet those of the clock for a touch to move it on.
    rarity: u64,
}

impl Clock {
    /// Every touch has a stamp of its own.
    pub(super) const fn exact() -> Self {
        Self::new(0)
    }

    /// As many touches have the same stamp as a 64th of the entries, or fewer, so that
    /// the clock is seldom written to and threads do not take it from each other.
    pub(super) const fn coarse(size: usize) -> Self {
        Self::new((1 << (size / 64).ilog2()) - 1)
    }

    const fn new(rarity: u64) -> Self {
        Self {
            last: AtomicU64::new(0),
            rarity,
        }
    }

    /// Touches an entry that has this hash and its stamp in `cell`, where it was `old`.
    /// Nothing is written if it is as young as can be. Says what the stamp is now.
    #[inline]
    pub(super) fn touch(&self, cell: &Cell, old: u64, hash: u64, at: Moment) -> u64 {
        let last = self.last.load(Relaxed);
        if last < at.0 || (hash ^ last) & self.rarity == 0 {
            return self.move_on(cell, old, at);
        }
        // Whoever is asked for very often stays in the caches of all processors.
        if old >= last {
            return old;
        }
        cell.store(last, Release);
        last
    }

    #[inline(never)]
    fn move_on(&self, cell: &Cell, old: u64, at: Moment) -> u64 {
        if old >= self.last.load(Relaxed).max(at.0) {
            return old;
        }
        let next = self.advance(at);
        cell.store(next, Release);
        next
    }

    /// A stamp of its own for a new entry.
    pub(super) fn advance(&self, at: Moment) -> u64 {
        let next = self.last.load(Relaxed).max(at.0) + 1;
        self.last.store(next, Relaxed);
        next
    }
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use std::time::Duration;

    use super::*;

    fn moment(milliseconds: u64) -> Moment {
        Moment::of(Now::new(
            Duration::from_millis(milliseconds),
            Duration::ZERO,
        ))
    }

    #[test]
    fn a_lifetime_ends_on_its_millisecond() {
        let clock = Clock::exact();
        let stamp = clock.advance(moment(1_000));
        let lifetime = Lifetime::milliseconds(500);
        assert!(!moment(1_499).is_past(stamp, lifetime));
        assert!(moment(1_500).is_past(stamp, lifetime));
        assert_eq!(moment(1_499).until(stamp, lifetime), 1);
        assert_eq!(moment(1_600).until(stamp, lifetime), 0);
        assert!(!moment(u64::MAX).is_past(stamp, Lifetime::ENDLESS));
    }

    #[test]
    fn the_greatest_past_stamp_is_past_and_the_next_is_not() {
        let lifetime = Lifetime::milliseconds(500);
        let greatest = moment(700).minus(lifetime);
        assert!(moment(700).is_past(greatest, lifetime));
        assert!(!moment(700).is_past(greatest + 1, lifetime));
        assert_eq!(moment(400).minus(lifetime), 0);
        assert_eq!(moment(700).minus(Lifetime::ENDLESS), 0);
    }

    #[test]
    fn exact_stamps_rise_with_every_touch_but_that_of_the_youngest() {
        let clock = Clock::exact();
        let cell = Cell::new(0);
        let touch = |old, at| {
            let stamp = clock.touch(&cell, old, 7, at);
            assert!(stamp == old || cell.load(Relaxed) == stamp);
            stamp
        };
        let first = clock.advance(moment(5));
        let second = touch(first - 1, moment(5));
        let third = touch(first, moment(4));
        assert!(first < second && second < third);
        assert_eq!(touch(third, moment(5)), third);
        assert!(touch(third, moment(6)) > third);
    }

    #[test]
    fn coarse_stamps_rise_now_and_then() {
        let clock = Clock::coarse(2_048);
        let cell = Cell::new(0);
        let start = clock.advance(moment(5));
        let hashes = (0..32_000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 13);
        let last = hashes.fold(start, |last, hash| {
            clock.touch(&cell, 0, hash, moment(5)).max(last)
        });
        assert!((500..2_000).contains(&(last - start)), "{}", last - start);
    }
}
