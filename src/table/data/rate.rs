//! Events in a period, from two counters and a date.

/// How often something happened in a period of so many milliseconds: the whole of the
/// current period, and the part of the one before that is not over yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rate {
    /// When the current period began, in milliseconds.
    pub(super) start: u64,
    pub(super) current: u32,
    pub(super) previous: u32,
}

impl Rate {
    /// So many events just now and none before.
    pub(super) fn set(now: u64, value: u32) -> Self {
        Self {
            start: now,
            current: value,
            previous: 0,
        }
    }

    /// Counts events. The last bit of a start is dropped, as in HAProxy.
    pub(super) fn add(&mut self, now: u64, period: u32, events: u32) {
        let period = u64::from(period);
        if now.saturating_sub(self.start) < period {
            self.current = self.current.wrapping_add(events);
            return;
        }
        self.previous = self.current;
        self.current = events;
        self.start += period;
        if now - self.start >= period {
            self.previous = 0;
            self.start = now;
        }
        self.start &= !1;
    }

    /// Events in the last period. A single one is told until the second period is over,
    /// rather than flickering.
    pub(super) fn read(&self, now: u64, period: u32) -> u32 {
        let period = u64::from(period);
        let (mut current, mut previous) = (u64::from(self.current), u64::from(self.previous));
        let age = now.saturating_sub(self.start);
        let mut left = period.saturating_sub(age);
        if age > period {
            left = (2 * period).saturating_sub(age);
            previous = if age <= 2 * period { current } else { 0 };
            current = 0;
        }
        if current == 0 && previous <= 1 {
            return previous as u32;
        }
        let events =
            (u128::from(previous) * u128::from(left) / u128::from(period)) as u64 + current;
        u32::try_from(events).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Recorded on HAProxy 2.6.12: 100 of `set table`, over a second.
    #[test]
    fn what_is_set_holds_for_a_period_and_fades_in_the_next() {
        let rate = Rate::set(10_000, 100);
        let read = |at: u64| rate.read(10_000 + at, 1_000);
        assert_eq!([0, 500, 1_000].map(read), [100; 3]);
        assert_eq!([1_250, 1_540, 1_990].map(read), [75, 46, 1]);
        assert_eq!([2_000, 2_001, 60_000].map(read), [0; 3]);
    }

    // Recorded on HAProxy 2.6.12.
    #[test]
    fn a_single_event_does_not_flicker() {
        let mut rate = Rate::default();
        rate.add(5_000, 1_000, 1);
        let read = |at: u64| rate.read(5_000 + at, 1_000);
        assert_eq!([0, 500, 1_500, 2_200].map(read), [1, 1, 1, 0]);
    }

    #[test]
    fn steady_events_are_told_as_they_come() {
        let mut rate = Rate::default();
        for event in 0..100 {
            rate.add(1_000_000 + event * 100, 1_000, 1);
        }
        let read = rate.read(1_000_000 + 9_950, 1_000);
        assert!((9..=11).contains(&read), "{read}");
    }

    #[test]
    fn a_clock_that_steps_back_and_numbers_that_overflow_do_no_harm() {
        let mut rate = Rate::set(10_000, u32::MAX);
        rate.add(9_000, 1_000, 2);
        assert_eq!(rate.current, 1);
        rate.current = u32::MAX;
        rate.previous = u32::MAX;
        assert_eq!(rate.read(9_000, 1_000), u32::MAX);
        rate.add(u64::MAX, i32::MAX as u32, 1);
        assert_eq!(rate.read(u64::MAX, i32::MAX as u32), 1);
    }
}
