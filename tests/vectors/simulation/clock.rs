//! Virtual time.

use std::time::Duration;

use stickroute::Now;

/// A clock that only moves when it is told to.
pub(super) struct Clock {
    mono: Duration,
}

impl Clock {
    /// Some time after the start of the machine, as monotonic clocks are.
    pub(super) fn new() -> Self {
        Self {
            mono: Duration::from_secs(1_000),
        }
    }

    pub(super) fn now(&self) -> Now {
        Now::new(self.mono, Duration::from_secs(1_800_000_000) + self.mono)
    }

    pub(super) fn mono(&self) -> Duration {
        self.mono
    }

    pub(super) fn pass_to(&mut self, mono: Duration) {
        self.mono = self.mono.max(mono);
    }
}
