//! What happens when a connection to the selected server fails.

use std::time::Duration;

use super::Backend;
use super::admit::Arrival;
use super::snapshot::Snapshot;
use crate::error::{Problem, Refusal, SelectError};
use crate::handle::Lease;
use crate::message::Request;
use crate::queue::Admission;
use crate::selection::{Claim, Selection, Trust};
use crate::selector::Choice;
use crate::server::{OperationalState, ServerId};
use crate::time::Now;

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

/// How often a failed connection is tried again, and where.
///
/// With three retries (R = 3), a server that refuses every connection and a request
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
/// let policy = RetryPolicy::new(3).redispatch(Redispatch::LAST_RETRY);
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    retries: u32,
    redispatch: Redispatch,
    pause: Duration,
}

impl Default for RetryPolicy {
    /// Three retries on the same server, one second apart.
    fn default() -> Self {
        Self::new(3)
    }
}

impl RetryPolicy {
    /// So many attempts beyond the first; no redispatch; pauses of one second.
    ///
    /// HAProxy: `retries N`, default 3.
    pub const fn new(retries: u32) -> Self {
        Self {
            retries,
            redispatch: Redispatch::Off,
            pause: Duration::from_secs(1),
        }
    }

    /// Sets when the request is balanced again.
    #[must_use]
    pub const fn redispatch(mut self, redispatch: Redispatch) -> Self {
        self.redispatch = redispatch;
        self
    }

    /// Sets the pause before a server that refused the connection is tried again.
    ///
    /// HAProxy takes the smaller of one second and `timeout connect`.
    #[must_use]
    pub const fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
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

    /// Whether the interval asks for a redispatch on this retry.
    fn is_due(self, retry: u32) -> bool {
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

/// How an attempt failed before any byte of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The connection was refused or the server is unreachable: the answer came at
    /// once, so a pause before the next attempt makes sense.
    Refused,
    /// The connection took too long: the time has been waited already.
    TimedOut,
}

/// What to do after a failed attempt.
///
/// `O` is what a request gets that is balanced again: a selection, or with
/// [`redispatch_or_wait`](Backend::redispatch_or_wait) an [`Admission`].
#[derive(Debug)]
#[must_use = "a retry is an order to be carried out"]
pub enum Retry<P = (), O = Selection<P>> {
    /// Try the server of this selection again.
    Same {
        /// The selection, as before.
        selection: Selection<P>,
        /// How long to wait first.
        pause: Duration,
    },
    /// Try the server of this selection, which the algorithm chose anew. It is another
    /// one if there is another.
    Other {
        /// The new selection; the slot of the old one has been given back.
        selection: O,
        /// How long to wait first.
        pause: Duration,
    },
    /// Answer the client with an error; the slot has been given back.
    GiveUp(SelectError),
}

impl<P: Send + Sync + 'static> Backend<P> {
    /// Says what to do after an attempt on the selected server failed.
    ///
    /// `selection` is one of this backend, `request` the request as it was selected with. A
    /// request that moves to another server is no longer persistent: a cookie of `insert`
    /// mode is set anew in the response. HAProxy: `retries`, `option redispatch`.
    pub fn redispatch(
        &self,
        selection: Selection<P>,
        request: &dyn Request,
        failure: Failure,
        now: Now,
    ) -> Retry<P> {
        self.warm_up(now);
        let request = &self.forwarded(request);
        self.after_failure(selection, failure, |snapshot, mut claim, failed| match self
            .balance_anew(snapshot, request, failed, now)
        {
            Ok(lease) => {
                if lease.id() != failed {
                    claim.moved();
                }
                Ok(Selection { lease, claim })
            }
            Err(refusal) => Err(SelectError::new(refusal, claim.client_cookie)),
        })
    }

    /// Balances in this snapshot, or in the next if no slot was got and that has come: the
    /// server may have left meanwhile.
    fn balance_anew(
        &self,
        snapshot: &Snapshot<P>,
        request: &dyn Request,
        failed: ServerId,
        now: Now,
    ) -> Result<Lease<P>, Refusal> {
        let choice = Choice::new(&snapshot.farm, request, now);
        match snapshot.balance(&choice.avoiding(snapshot.position(failed))) {
            Err(Refusal::Saturated) if self.has_changed_since(snapshot) => {
                let again = |newer: &_| self.balance_anew(newer, request, failed, now);
                self.current.read(again)
            }
            balanced => balanced,
        }
    }

    /// As [`redispatch`](Self::redispatch), for requests that can wait: one that is balanced
    /// again is [admitted](Self::admit).
    pub fn redispatch_or_wait(
        &self,
        selection: Selection<P>,
        request: &dyn Request,
        failure: Failure,
        now: Now,
    ) -> Retry<P, Admission<P>> {
        self.warm_up(now);
        let request = &self.forwarded(request);
        self.after_failure(selection, failure, |snapshot, claim, failed| {
            let arrival = Arrival::balanced_again(request, now, claim, failed);
            self.admit_in(snapshot, arrival.avoiding(failed))
        })
    }

    /// Retries on the same server, gives up, or lets `balance` find another; it is told
    /// which server failed.
    fn after_failure<O>(
        &self,
        mut selection: Selection<P>,
        failure: Failure,
        balance: impl FnOnce(&Snapshot<P>, Claim, ServerId) -> Result<O, SelectError>,
    ) -> Retry<P, O> {
        let policy = self.policy.retry;
        let claim = &mut selection.claim;
        if claim.retries >= policy.retries {
            let refusal = Refusal::RetriesUsedUp {
                retries: policy.retries,
            };
            return Retry::GiveUp(SelectError::new(refusal, claim.client_cookie));
        }
        claim.retries += 1;
        let pause = match failure {
            Failure::Refused => policy.pause,
            Failure::TimedOut => Duration::ZERO,
        };
        self.current.read(|snapshot| {
            if !snapshot.must_move(&selection, policy) {
                return Retry::Same { selection, pause };
            }
            let Selection { lease, mut claim } = selection;
            let failed = lease.id();
            // The slot is given back before another is looked for.
            drop(lease);
            claim.balance_again();
            let is_free = snapshot.usable_actives() > 1;
            let pause = if is_free { Duration::ZERO } else { pause };
            match balance(snapshot, claim, failed) {
                Ok(selection) => Retry::Other { selection, pause },
                Err(error) => Retry::GiveUp(error.with_server_given_up()),
            }
        })
    }
}

impl<P> Snapshot<P> {
    fn must_move(&self, selection: &Selection<P>, policy: RetryPolicy) -> bool {
        let allowed = policy.redispatches() && selection.claim.trust != Trust::Forced;
        let free = !selection.claim.direct && !self.selector.is_hash() && self.usable_actives() > 1;
        allowed && (policy.is_due(selection.claim.retries) || free || !self.is_trusted(selection))
    }

    /// Whether the server is still there and neither down nor warming up. Observed on
    /// HAProxy 2.6.12: one that is stopping is as good as one that runs.
    fn is_trusted(&self, selection: &Selection<P>) -> bool {
        self.position(selection.lease.id()).is_some_and(|index| {
            matches!(
                self.farm.servers()[index].status().operational(),
                OperationalState::Running | OperationalState::Stopping
            )
        })
    }

    fn usable_actives(&self) -> usize {
        self.farm.usable(false).take(2).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AdminState, ClientCookie, CookiePolicy, Server, SimpleRequest};

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

    // The states of `set server ... health`, observed on HAProxy 2.6.12, and slow start.
    #[test]
    fn only_a_server_that_is_down_or_warming_up_is_left_before_its_time() {
        use OperationalState::{Running, Starting, Stopped, Stopping};
        for (state, moves) in [
            (Running, false),
            (Stopping, false),
            (Starting, true),
            (Stopped, true),
        ] {
            let server = |name: &str| Server::new(name, "127.0.0.1:1").cookie(name);
            let backend: Backend = Backend::builder("b")
                .server(server("s1").operational_state(state))
                .server(server("s2"))
                .cookie(CookiePolicy::insert("SID"))
                .persist()
                .retry(RetryPolicy::new(3).redispatch(Redispatch::Interval(5)))
                .build()
                .unwrap();
            let request = SimpleRequest::new("GET", "/").header("Cookie", "SID=s1");
            let now = Now::system();
            let selection = backend.select(&request, now).unwrap();
            assert_eq!(selection.server().name(), "s1");
            let retry = backend.redispatch(selection, &request, Failure::Refused, now);
            assert_eq!(matches!(retry, Retry::Other { .. }), moves, "{state:?}");
        }
    }

    #[test]
    fn a_valid_cookie_is_down_when_a_redispatch_finds_nobody() {
        let server = Server::new("s1", "127.0.0.1:1").cookie("c1");
        let backend: Backend = Backend::builder("b")
            .server(server.admin_state(AdminState::Drain))
            .cookie(CookiePolicy::insert("SID"))
            .retry(RetryPolicy::new(3).redispatch(Redispatch::Interval(1)))
            .build()
            .unwrap();
        let request = SimpleRequest::new("GET", "/").header("Cookie", "SID=c1");
        let now = Now::system();
        let selection = backend.select(&request, now).unwrap();
        assert_eq!(selection.client_cookie(), ClientCookie::Valid);
        let retry = backend.redispatch(selection, &request, Failure::Refused, now);
        let Retry::GiveUp(error) = retry else {
            panic!("a drained server was chosen: {retry:?}");
        };
        assert_eq!(error.refusal(), &Refusal::NoServer);
        assert_eq!(error.client_cookie(), ClientCookie::Down);
    }
}
