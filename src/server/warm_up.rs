//! Slow start: how a server that has just come up is warmed up.
//!
//! All of it is a function of two times, when the server came up and now, so it makes no
//! difference when, or how often, it is asked for.

use std::num::NonZeroU32;
use std::time::Duration;

/// How long a server is warmed up, in whole seconds. HAProxy: `slowstart`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlowStart(NonZeroU32);

impl SlowStart {
    /// A part of a second counts as a whole one; `None` for no time at all.
    pub(crate) fn new(time: Duration) -> Option<Self> {
        let begun = u64::from(time.subsec_nanos() > 0);
        let seconds = time.as_secs().saturating_add(begun);
        NonZeroU32::new(u32::try_from(seconds).unwrap_or(u32::MAX)).map(Self)
    }

    pub(crate) fn time(self) -> Duration {
        Duration::from_secs(self.seconds())
    }

    fn seconds(self) -> u64 {
        self.0.get().into()
    }

    /// How long a weight stays as it is.
    fn step(self) -> Duration {
        (self.time() / 20).max(Duration::from_secs(1))
    }
}

/// A slow start under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WarmUp {
    whole: SlowStart,
    /// `None` until somebody tells the time.
    since: Option<Duration>,
    sixteenths: u32,
    percent: u8,
    next: Duration,
}

impl WarmUp {
    pub(crate) fn new(whole: SlowStart, since: Option<Duration>) -> Self {
        Self {
            whole,
            since,
            sixteenths: 1,
            percent: 0,
            next: since.unwrap_or_default(),
        }
    }

    /// As it is at this time, `None` once the server is warm. Limits of sessions grow each
    /// second, which matters if the server `is_limited`.
    ///
    /// A time before the beginning is that of another thread, read a moment ago.
    pub(crate) fn at(self, now: Duration, is_limited: bool) -> Option<Self> {
        let since = self.since.unwrap_or(now);
        let now = now.max(since);
        let seconds = |time: Duration| time.as_secs() - since.as_secs();
        let (whole, step) = (self.whole.seconds(), self.whole.step());
        let last_step = since + steps(now.saturating_sub(since), step);
        let elapsed = seconds(last_step);
        if elapsed >= whole {
            return None;
        }
        let percent = 100 * seconds(now).min(whole) / whole;
        let next_second = Duration::from_secs(now.as_secs().saturating_add(1));
        let next_step = last_step.saturating_add(step);
        Some(Self {
            since: Some(since),
            sixteenths: ((16 * elapsed + whole) / whole) as u32,
            percent: percent as u8,
            next: if is_limited {
                next_step.min(next_second)
            } else {
                next_step
            },
            ..self
        })
    }

    /// The part of its weight the server has, 1 to 16.
    pub(crate) fn sixteenths(self) -> u32 {
        self.sixteenths
    }

    /// The part of its limit of sessions the server has, 0 to 100.
    pub(crate) fn percent(self) -> u8 {
        self.percent
    }

    /// When the server is warm, on the monotonic clock, if it has begun.
    pub(crate) fn end(self) -> Option<Duration> {
        Some(self.since?.saturating_add(self.whole.time()))
    }

    /// When it is to be looked [at](Self::at) again, on the monotonic clock.
    pub(crate) fn next(self) -> Duration {
        self.next
    }
}

/// The time that whole steps take out of `elapsed`.
fn steps(elapsed: Duration, step: Duration) -> Duration {
    let count = elapsed.as_nanos() / step.as_nanos();
    step * u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(seconds: u64, since: Duration) -> WarmUp {
        let whole = SlowStart::new(Duration::from_secs(seconds)).unwrap();
        WarmUp::new(whole, Some(since))
    }

    /// Weight 100 as HAProxy reports it.
    fn weights(warm_up: WarmUp, times: impl Iterator<Item = Duration>) -> Vec<u32> {
        times
            .map(|time| {
                let sixteenths = warm_up.at(time, false).map_or(16, WarmUp::sixteenths);
                (100 * sixteenths).div_ceil(16)
            })
            .collect()
    }

    // Observed on HAProxy 2.6.12.
    #[test]
    fn ten_seconds_have_ten_steps() {
        let since = Duration::from_millis(7_300);
        let times = (0..=10).map(|n| since + Duration::from_secs(n));
        let expected = [7, 13, 25, 32, 44, 57, 63, 75, 82, 94, 100];
        assert_eq!(weights(started(10, since), times), expected);
    }

    #[test]
    fn a_long_start_has_twenty_steps() {
        let start = started(60, Duration::from_secs(1));
        let weight = |seconds| start.at(Duration::from_secs(seconds), false);
        let sixteenths = [1, 3, 4, 7, 58, 60].map(|n| weight(n).unwrap().sixteenths());
        assert_eq!(sixteenths, [1, 1, 1, 2, 16, 16]);
        assert_eq!(weight(1).unwrap().next(), Duration::from_secs(4));
        assert_eq!(weight(61), None);
    }

    #[test]
    fn limits_grow_by_the_second() {
        let start = started(3, Duration::from_millis(1_900));
        let at = |time| start.at(Duration::from_millis(time), true);
        let percent = [1_900, 1_999, 2_000, 3_000, 4_000, 4_899].map(|n| at(n).unwrap().percent());
        assert_eq!(percent, [0, 0, 33, 66, 100, 100]);
        assert_eq!(at(1_950).unwrap().next(), Duration::from_secs(2));
        assert_eq!(at(2_800).unwrap().next(), Duration::from_millis(2_900));
        assert_eq!(at(4_900), None);
    }

    #[test]
    fn it_begins_when_the_time_is_told() {
        let whole = SlowStart::new(Duration::from_millis(1_001)).unwrap();
        assert_eq!(whole.time(), Duration::from_secs(2));
        let begun = WarmUp::new(whole, None);
        assert_eq!(begun.next(), Duration::ZERO);
        let told = begun.at(Duration::from_secs(50), false).unwrap();
        assert_eq!(told.sixteenths(), 1);
        assert_eq!(
            told.at(Duration::from_secs(51), false)
                .unwrap()
                .sixteenths(),
            9
        );
        assert_eq!(told.at(Duration::from_secs(52), false), None);
    }

    #[test]
    fn times_at_the_ends_do_no_harm() {
        for since in [Duration::ZERO, Duration::from_secs(9), Duration::MAX] {
            let longest = SlowStart::new(Duration::MAX).unwrap();
            let start = WarmUp::new(longest, Some(since));
            for now in [Duration::ZERO, Duration::from_secs(1), Duration::MAX] {
                let _ = start.at(now, true);
            }
        }
        assert_eq!(SlowStart::new(Duration::ZERO), None);
        let before = started(5, Duration::from_secs(9)).at(Duration::ZERO, false);
        assert_eq!(before.unwrap().sixteenths(), 1);
    }
}
