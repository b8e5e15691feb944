//! How often a failed attempt is followed by another, after which failures, and where.

use std::time::Duration;

use super::{Failure, RetryOn};
use crate::error::{Problem, Refusal};

/// When a request gives up its server and is balanced again.
///
/// HAProxy: `option redispatch [interval]`. Whatever the interval, an enabled
/// redispatch also happens as soon as the server is known to be down or warming up, and
/// at every failure of a request that came without persistence, if the algorithm is not
/// a hash and more than one server is usable. A server that drains or is
/// [stopping](crate::OperationalState::Stopping) is tried again like any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Redispatch {
    /// Never; the default, as in HAProxy.
    #[default]
    Off,
    /// On every `n`-th retry (`n` > 0), or counted back from the last one (`n` < 0:
    /// −1 is the last retry, −2 the one before). 0 leaves only the two other occasions.
    ///
    /// Counted back means: on retries that are a multiple of `retries + 1 + n`, so −2
    /// with three retries is the second one and no other.
    Interval(i32),
}

impl Redispatch {
    /// On the last retry. HAProxy: `option redispatch` without an argument.
    pub const LAST_RETRY: Self = Self::Interval(-1);
}

/// How often a failed attempt is followed by another, after which failures, and where.
///
/// # When nothing is tried any more
///
/// After so many retries, and at once after a failure that is not one of
/// [`retry_on`](Self::retry_on). Connections and responses share one count.
///
/// # When a request is balanced again
///
/// Never with [`Redispatch::Off`], or if it is force-persisted. Otherwise as soon as any of
/// these holds, and else the same server is tried again:
///
/// 1. the server is down, warming up, or gone;
/// 2. the interval asks for it on this retry, see the table below;
/// 3. nothing but the algorithm had chosen the server, the algorithm is not a hash, and more
///    than one server is usable that is no backup.
///
/// Balancing again gives the slot back first, ends persistence for good, and passes over the
/// server that has just failed, and no other.
///
/// | `retries` R | interval I | retries that are balanced again |
/// |---|---|---|
/// | 3 | −1, the last | 3 |
/// | 3 | −2 | 2 |
/// | 3 | −3 | 1, 2, 3 |
/// | 3 | −4 = −(R + 1) | refused by `build()`; HAProxy crashes |
/// | 3 | −5 | 1, 2, 3 |
/// | 3 | 1 | 1, 2, 3 |
/// | 3 | 2 | 2 |
/// | 3 | 3 | 3 |
/// | 3 | 0 or 5 | none |
/// | 5 | 2 | 2, 4 |
/// | 5 | −2 | 4 |
///
/// # Where the retries go
///
///
/// With three retries, a server that refuses every connection and a request
/// that a cookie sent there, the retries go to:
///
/// | redispatch | retry 1 | retry 2 | retry 3 |
/// |---|---|---|---|
/// | off | same | same | same |
/// | −1, the last retry | same | same | other |
/// | −2 | same | other | same as before |
/// | 1 | other | again balanced | again balanced |
/// | 2 | same | other | same as before |
///
/// ```
/// use stickroute::{Redispatch, RetryPolicy};
///
/// let balanced_again = |retries, interval| -> Vec<u32> {
///     let policy = RetryPolicy::new(retries).redispatch(Redispatch::Interval(interval));
///     (1..=retries).filter(|&retry| policy.is_due(retry)).collect()
/// };
/// assert_eq!(balanced_again(3, -1), [3]);
/// assert_eq!(balanced_again(3, -2), [2]);
/// assert_eq!(balanced_again(3, -3), [1, 2, 3]);
/// assert_eq!(balanced_again(5, 2), [2, 4]);
/// ```
///
/// # How long to wait first
///
/// For the [`pause`](Self::pause), if the connection was [refused](Failure::Refused) and
/// the same server is tried again, or there is at most one usable server that is no backup.
/// After any other failure not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    retries: u32,
    redispatch: Redispatch,
    retry_on: RetryOn,
    pause: Duration,
}

impl Default for RetryPolicy {
    /// Three retries of connections on the same server, one second apart.
    fn default() -> Self {
        Self::new(3)
    }
}

impl RetryPolicy {
    /// So many attempts beyond the first, if the connection failed; no redispatch; pauses of
    /// one second.
    ///
    /// HAProxy: `retries N`, default 3.
    pub const fn new(retries: u32) -> Self {
        Self {
            retries,
            redispatch: Redispatch::Off,
            retry_on: RetryOn::CONNECTION,
            pause: Duration::from_secs(1),
        }
    }

    /// Sets when the request is balanced again.
    #[must_use]
    pub const fn redispatch(mut self, redispatch: Redispatch) -> Self {
        self.redispatch = redispatch;
        self
    }

    /// Sets the failures after which there is another attempt; default
    /// [`RetryOn::CONNECTION`]. HAProxy: `retry-on`.
    #[must_use]
    pub const fn retry_on(mut self, retry_on: RetryOn) -> Self {
        self.retry_on = retry_on;
        self
    }

    /// Sets the pause before a server that refused the connection is tried again.
    ///
    /// Default one second. HAProxy takes the smaller of one second and `timeout connect`.
    #[must_use]
    pub const fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Why there is no attempt after this failure and so many retries, if there is none.
    pub(super) fn refuses(self, failure: Failure, retries: u32) -> Option<Refusal> {
        if retries >= self.retries {
            return Some(Refusal::RetriesUsedUp {
                retries: self.retries,
            });
        }
        (!self.retry_on.includes(failure)).then_some(Refusal::NotRetried)
    }

    /// The pause after this failure, if one is due.
    pub(super) fn pause_after(self, failure: Failure) -> Duration {
        match failure {
            Failure::Refused => self.pause,
            _ => Duration::ZERO,
        }
    }

    pub(super) fn retries_responses(self) -> bool {
        self.retries > 0 && self.retry_on.needs_copy()
    }

    pub(super) fn redispatches(self) -> bool {
        self.redispatch != Redispatch::Off
    }

    /// The interval for which HAProxy divides by zero.
    pub(super) fn problem(&self) -> Option<Problem> {
        let Redispatch::Interval(interval) = self.redispatch else {
            return None;
        };
        // Without retries nothing is ever divided.
        let forbidden = interval < 0 && self.retries > 0 && self.counted_back(interval) == 0;
        forbidden.then_some(Problem::RedispatchInterval {
            interval,
            retries: self.retries,
        })
    }

    /// Retries between two redispatches that are counted back from the last.
    fn counted_back(self, interval: i32) -> i64 {
        i64::from(self.retries) + 1 + i64::from(interval)
    }

    /// Whether the interval of [`redispatch`](Self::redispatch) asks for it on this retry, the
    /// first being 1.
    pub fn is_due(self, retry: u32) -> bool {
        let Redispatch::Interval(interval) = self.redispatch else {
            return false;
        };
        let modulus = match interval {
            0 => return false,
            1.. => i64::from(interval),
            _ => self.counted_back(interval),
        };
        // A remainder of zero does not depend on the sign of the modulus.
        i64::from(retry).checked_rem(modulus) == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(retries: u32, interval: i32) -> Vec<u32> {
        let policy = RetryPolicy::new(retries).redispatch(Redispatch::Interval(interval));
        (1..=retries).filter(|&n| policy.is_due(n)).collect()
    }

    #[test]
    fn intervals_fall_due_as_worked_out_in_the_documentation() {
        assert_eq!(due(3, -1), [3]);
        assert_eq!(due(3, -2), [2]);
        assert_eq!(due(3, -3), [1, 2, 3]);
        assert_eq!(due(3, 1), [1, 2, 3]);
        assert_eq!(due(3, 2), [2]);
        assert_eq!(due(3, 3), [3]);
        assert!(due(3, 5).is_empty());
        assert_eq!(due(5, 2), [2, 4]);
        assert_eq!(due(5, -2), [4]);
        assert_eq!(due(3, -5), [1, 2, 3]);
        assert!(due(3, 0).is_empty());
    }

    #[test]
    fn the_interval_that_divides_by_zero_is_a_problem() {
        let policy = |retries, n| RetryPolicy::new(retries).redispatch(Redispatch::Interval(n));
        assert!(policy(3, -4).problem().is_some());
        assert!(policy(1, -2).problem().is_some());
        assert_eq!(policy(0, -1).problem(), None);
        for interval in [i32::MIN, -5, -3, 0, 4, i32::MAX] {
            assert_eq!(policy(3, interval).problem(), None);
            policy(3, interval).is_due(2);
        }
    }
}
