//! How many checks it takes, and how often they are made.

use std::num::NonZeroU32;
use std::time::Duration;

/// How results of checks count, and how long it is from one check to the next.
///
/// ```
/// use std::time::Duration;
/// use stickroute::health::HealthPolicy;
///
/// let policy = HealthPolicy::new()
///     .rise(3)
///     .interval(Duration::from_secs(10))
///     .fast_interval(Duration::from_secs(1));
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    rise: NonZeroU32,
    fall: NonZeroU32,
    interval: Duration,
    fast: Option<Duration>,
    down: Option<Duration>,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl HealthPolicy {
    /// As HAProxy without any option: `rise 2 fall 3 inter 2s`.
    pub const fn new() -> Self {
        Self {
            rise: at_least_one(2),
            fall: at_least_one(3),
            interval: Duration::from_secs(2),
            fast: None,
            down: None,
        }
    }

    /// So many checks in a row must pass for a server that is down to come up; default 2,
    /// and 0 is taken for 1. HAProxy: `rise N`.
    #[must_use]
    pub const fn rise(mut self, checks: u32) -> Self {
        self.rise = at_least_one(checks);
        self
    }

    /// So many checks in a row must fail for a server to go down; default 3, and 0 is taken
    /// for 1. HAProxy: `fall N`.
    #[must_use]
    pub const fn fall(mut self, checks: u32) -> Self {
        self.fall = at_least_one(checks);
        self
    }

    /// The time from one check to the next; default two seconds. HAProxy: `inter T`.
    #[must_use]
    pub const fn interval(mut self, time: Duration) -> Self {
        self.interval = time;
        self
    }

    /// The same while the server is on its way up or down; default
    /// [`interval`](Self::interval). HAProxy: `fastinter T`.
    #[must_use]
    pub const fn fast_interval(mut self, time: Duration) -> Self {
        self.fast = Some(time);
        self
    }

    /// The same while the server is down and not on its way up; default
    /// [`interval`](Self::interval). HAProxy: `downinter T`.
    #[must_use]
    pub const fn down_interval(mut self, time: Duration) -> Self {
        self.down = Some(time);
        self
    }

    /// See [`rise`](Self::rise).
    pub const fn rises_after(self) -> u32 {
        self.rise.get()
    }

    /// See [`fall`](Self::fall).
    pub const fn falls_after(self) -> u32 {
        self.fall.get()
    }

    /// In which time a server is to be checked whose sessions meet errors, if that is to be
    /// soon: [`fast_interval`](Self::fast_interval), where it is set.
    pub const fn hurried(self) -> Option<Duration> {
        self.fast
    }

    /// The time from one check to the next while nothing happens.
    #[cfg(feature = "haproxy")]
    pub(crate) const fn normal_interval(self) -> Duration {
        self.interval
    }

    /// From this number on a server is up.
    pub(super) const fn least(self) -> u32 {
        self.rise.get()
    }

    /// The highest number.
    pub(super) const fn full(self) -> u32 {
        self.rise.get().saturating_add(self.fall.get() - 1)
    }

    /// How long to wait with the next check.
    pub(super) fn wait(self, health: u32) -> Duration {
        let special = match health {
            0 => self.down,
            _ if health < self.full() => self.fast,
            _ => None,
        };
        special.unwrap_or(self.interval)
    }
}

const fn at_least_one(checks: u32) -> NonZeroU32 {
    match NonZeroU32::new(checks) {
        Some(checks) => checks,
        None => NonZeroU32::MIN,
    }
}
