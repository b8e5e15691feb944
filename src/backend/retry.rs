//! What happens when an attempt on the selected server fails.

use std::time::Duration;

use super::admit::Arrival;
use super::snapshot::Snapshot;
use super::{Backend, Failure, RetryPolicy};
use crate::error::{Refusal, SelectError};
use crate::handle::Lease;
use crate::message::Request;
use crate::queue::Admission;
use crate::selection::{Claim, Selection, Trust};
use crate::selector::Choice;
use crate::server::{OperationalState, ServerId};
use crate::time::Now;

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
    /// Whether [`redispatch`](Self::redispatch) would ask for another attempt after this
    /// failure, with the farm as it is.
    ///
    /// Ask it of a response before anything of that is passed on: where the answer is no,
    /// the response goes to the client with the selection there is. HAProxy: `retries`,
    /// `retry-on`.
    ///
    /// ```
    /// use stickroute::{Backend, Failure, Now, Retry, RetryOn, RetryPolicy, Server, SimpleRequest};
    ///
    /// let backend: Backend = Backend::builder("app")
    ///     .server(Server::new("app1", "10.0.0.1:8080"))
    ///     .retry(RetryPolicy::new(1).retry_on("conn-failure 503".parse()?))
    ///     .build()?;
    ///
    /// let request = SimpleRequest::new("GET", "/");
    /// let mut selection = backend.select(&request, Now::system())?;
    /// let failure = Failure::Status(503); // what app1 answers, again and again
    /// while backend.may_retry(&selection, failure) {
    ///     selection = match backend.redispatch(selection, &request, failure, Now::system()) {
    ///         Retry::Same { selection, .. } | Retry::Other { selection, .. } => selection,
    ///         Retry::GiveUp(error) => return Err(error.into()),
    ///     };
    /// }
    /// assert_eq!(selection.retries(), 1); // and pass its answer on
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn may_retry(&self, selection: &Selection<P>, failure: Failure) -> bool {
        let refusal = self.policy.retry.refuses(failure, selection.retries());
        refusal.is_none()
    }

    /// Whether a response may be asked to be retried at all, so that the caller keeps a copy
    /// of each request. HAProxy: whether `retry-on` says more than `conn-failure`.
    pub fn retries_responses(&self) -> bool {
        self.policy.retry.retries_responses()
    }

    /// Says what to do after an attempt on the selected server failed.
    ///
    /// `selection` is one of this backend, `request` the request as it was selected with. A
    /// request that moves to another server is no longer persistent: a cookie of `insert`
    /// mode is set anew in the response. HAProxy: `retries`, `retry-on`, `option redispatch`.
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
        if let Some(refusal) = policy.refuses(failure, claim.retries) {
            return Retry::GiveUp(SelectError::new(refusal, claim.client_cookie));
        }
        claim.retries += 1;
        let pause = policy.pause_after(failure);
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
    use crate::error::Refusal;
    use crate::{
        AdminState, ClientCookie, CookiePolicy, Redispatch, RetryOn, Server, SimpleRequest,
    };

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
    fn responses_and_connections_share_one_count() {
        let backend: Backend = Backend::builder("b")
            .servers(["s1", "s2"].map(|name| Server::new(name, "127.0.0.1:1")))
            .retry(RetryPolicy::new(2).retry_on(RetryOn::CONNECTION | RetryOn::EMPTY_RESPONSE))
            .build()
            .unwrap();
        let request = SimpleRequest::new("GET", "/");
        let now = Now::system();
        let mut selection = backend.select(&request, now).unwrap();
        assert!(!backend.may_retry(&selection, Failure::JunkResponse));
        for (failure, expected) in [
            (Failure::EmptyResponse, Duration::ZERO),
            (Failure::Refused, Duration::from_secs(1)),
        ] {
            assert!(backend.may_retry(&selection, failure));
            selection = match backend.redispatch(selection, &request, failure, now) {
                Retry::Same { selection, pause } => {
                    assert_eq!(pause, expected);
                    selection
                }
                other => panic!("{other:?}"),
            };
        }
        assert!(!backend.may_retry(&selection, Failure::EmptyResponse));
        let retry = backend.redispatch(selection, &request, Failure::EmptyResponse, now);
        let Retry::GiveUp(error) = retry else {
            panic!("{retry:?}");
        };
        assert_eq!(error.refusal(), &Refusal::RetriesUsedUp { retries: 2 });
    }

    #[test]
    fn a_failure_that_is_not_named_ends_it_at_once() {
        let policies = [
            ("none", Failure::Refused),
            ("503", Failure::TimedOut),
            ("conn-failure", Failure::Status(503)),
        ];
        for (words, failure) in policies {
            let backend: Backend = Backend::builder("b")
                .server(Server::new("s1", "127.0.0.1:1"))
                .retry(RetryPolicy::new(2).retry_on(words.parse().unwrap()))
                .build()
                .unwrap();
            let request = SimpleRequest::new("GET", "/");
            let selection = backend.select(&request, Now::system()).unwrap();
            let retry = backend.redispatch(selection, &request, failure, Now::system());
            let Retry::GiveUp(error) = retry else {
                panic!("{words}: {retry:?}");
            };
            assert_eq!(error.refusal(), &Refusal::NotRetried);
            assert_eq!(backend.server("s1").unwrap().in_flight(), 0);
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
