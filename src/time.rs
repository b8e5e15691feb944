//! The caller's two clocks.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time of one event, read once by the caller and passed in.
///
/// The library reads no clock. Two readings are needed because they serve two
/// purposes: how long something has lasted is measured on the *monotonic* clock,
/// so that a step of the wall clock empties no table, and the dates written into
/// cookies are *wall* time, so that several proxies agree about them.
///
/// ```
/// use std::time::Duration;
/// use stickroute::Now;
///
/// // In a proxy: one reading per event.
/// let now = Now::system();
///
/// // In a test or a simulation: any time you like.
/// let now = Now::new(Duration::from_millis(1_500), Duration::from_secs(1_800_000_000));
/// assert_eq!(now.wall_seconds(), 1_800_000_000);
/// # let _ = now;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Now {
    mono: Duration,
    wall: Duration,
}

impl Now {
    /// Builds a reading from a monotonic time, counted from any fixed origin, and
    /// a wall time, counted from the UNIX epoch.
    pub const fn new(mono: Duration, wall: Duration) -> Self {
        Self { mono, wall }
    }

    /// Reads both clocks of the operating system.
    ///
    /// This is the only function of the crate that looks at a clock, and nothing
    /// in the crate calls it: it is here for callers without a clock of their own.
    /// A wall clock set before 1970 is read as 1970.
    #[allow(
        clippy::disallowed_methods,
        reason = "a convenience for callers; the library itself never calls it"
    )]
    pub fn system() -> Self {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        let mono = ORIGIN.get_or_init(Instant::now).elapsed();
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self { mono, wall }
    }

    /// Time on the monotonic clock since its origin.
    pub const fn mono(self) -> Duration {
        self.mono
    }

    /// Time on the wall clock since the UNIX epoch.
    pub const fn wall(self) -> Duration {
        self.wall
    }

    /// Whole seconds on the wall clock since the UNIX epoch, rounded down.
    pub const fn wall_seconds(self) -> u64 {
        self.wall.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_moves_forward() {
        let first = Now::system();
        let second = Now::system();
        assert!(second.mono() >= first.mono());
        assert!(
            second.wall_seconds() > 1_700_000_000,
            "the wall clock is set"
        );
    }
}
