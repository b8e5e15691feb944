//! In which order those who wait get their turn.

use std::time::Duration;

/// How urgent a request is among those that [wait](crate::Backend::admit_with).
///
/// The lowest class goes first, and within a class whoever came first, its arrival moved by
/// the offset. HAProxy: `http-request set-priority-class` and `set-priority-offset`.
///
/// ```
/// use stickroute::Priority;
///
/// let urgent = Priority::default().class(-5);
/// // As if it had come half a second earlier.
/// let sooner = Priority::default().offset_millis(-500);
/// # let _ = (urgent, sooner);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Priority {
    class: i16,
    offset_millis: i32,
}

impl Priority {
    #[cfg(all(test, crossbeam_loom))]
    pub(super) const DEFAULT: Self = Self {
        class: 0,
        offset_millis: 0,
    };

    /// Sets the class, default 0; lower is more urgent. HAProxy takes −2047 to 2047.
    #[must_use]
    pub const fn class(mut self, class: i16) -> Self {
        self.class = class;
        self
    }

    /// Moves the arrival by so many milliseconds, default 0, to an earlier time if they are
    /// negative. HAProxy takes −524,287 to 524,287.
    #[must_use]
    pub const fn offset_millis(mut self, offset: i32) -> Self {
        self.offset_millis = offset;
        self
    }

    /// The rank of a request of this priority that comes at this time.
    pub(super) fn rank(self, arrival: Duration) -> Rank {
        let nanos = i64::try_from(arrival.as_nanos()).unwrap_or(i64::MAX);
        let due = nanos.saturating_add(i64::from(self.offset_millis) * 1_000_000);
        Rank(self.class, due)
    }
}

/// Of two, the lower is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(i16, i64);

/// The place of a request in one queue: its rank, and behind all that came before with the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) rank: Rank,
    pub(super) number: u64,
}

#[cfg(all(test, not(crossbeam_loom)))]
mod tests {
    use super::*;

    #[test]
    fn class_comes_before_arrival_and_an_offset_moves_the_arrival() {
        let at = Duration::from_millis;
        let plain = Priority::default();
        assert!(plain.class(-1).rank(at(9)) < plain.rank(at(1)));
        assert!(plain.rank(at(1)) < plain.rank(at(2)));
        assert!(plain.offset_millis(-5).rank(at(4)) < plain.rank(at(0)));
        assert!(plain.offset_millis(i32::MIN).rank(at(0)) < plain.rank(at(0)));
        assert!(plain.offset_millis(i32::MAX).rank(Duration::MAX) >= plain.rank(Duration::MAX));
    }
}
