//! Virtual time.

use std::cell::Cell;
use std::time::Duration;

use stickroute::Now;

/// A clock that only moves when it is told to.
pub(super) struct Clock {
    mono: Cell<Duration>,
}

impl Clock {
    /// Some time after the start of the machine, as monotonic clocks are.
    pub(super) fn new() -> Self {
        Self {
            mono: Cell::new(Duration::from_secs(1_000)),
        }
    }

    pub(super) fn now(&self) -> Now {
        let mono = self.mono();
        Now::new(mono, Duration::from_secs(1_800_000_000) + mono)
    }

    pub(super) fn mono(&self) -> Duration {
        self.mono.get()
    }

    pub(super) fn pass_to(&self, mono: Duration) {
        self.mono.set(self.mono().max(mono));
    }
}
