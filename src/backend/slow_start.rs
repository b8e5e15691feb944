//! Slow starts, which go on although nothing keeps time.
//!
//! Whoever comes with the time, most of all each request, looks whether the next step is
//! due, which is one load of an atomic while no server warms up. Who finds it due makes the
//! step as any other change of the backend is made; requests that come meanwhile go on
//! with what there is.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::Backend;
use super::assemble::{Draft, DraftServer};
use crate::handle::ServerHandle;
use crate::server::{Farm, OperationalState, Spec, Status, WarmUp};
use crate::time::Now;

/// When the next step of any server is due, in nanoseconds on the monotonic clock, so that
/// it is one word.
///
/// It guards nothing: who reads an old value makes a step late, or looks again under the
/// lock of writers.
#[derive(Debug)]
pub(super) struct Steps(AtomicU64);

impl Steps {
    const NEVER: u64 = u64::MAX;

    /// Those of the servers that warm up.
    pub(super) fn of(farm: &Farm) -> Self {
        let warm_ups = farm.servers().iter().filter_map(|server| server.warm_up);
        let next = warm_ups.map(WarmUp::next).min();
        Self(AtomicU64::new(next.map_or(Self::NEVER, nanoseconds)))
    }

    pub(super) fn become_those(&self, next: Self) {
        self.0.store(next.0.into_inner(), Relaxed);
    }

    fn next(&self) -> Option<u64> {
        let next = self.0.load(Relaxed);
        (next != Self::NEVER).then_some(next)
    }

    fn is_due(&self, now: Duration) -> bool {
        self.next().is_some_and(|next| next <= nanoseconds(now))
    }

    fn wait_until(&self, time: Duration) {
        self.0.store(nanoseconds(time), Relaxed);
    }
}

/// Enough for 584 years, less one for [`Steps::NEVER`].
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).map_or(u64::MAX - 1, |it| it.min(u64::MAX - 1))
}

impl<P> DraftServer<P> {
    /// It is new: it has been down so far.
    pub(super) fn arrive(&mut self, at: Option<Duration>) {
        let up = mem::replace(&mut self.status.operational, OperationalState::Stopped);
        self.turn(self.status.with_operational(up), at);
    }

    /// Puts it into this state, by way of a slow start if it comes up.
    ///
    /// Observed on HAProxy 2.6.12: whatever changes while it starts, drain for example,
    /// lets it start anew, and a report that it is up changes nothing then.
    pub(super) fn turn(&mut self, to: Status, at: Option<Duration>) {
        let before = mem::replace(&mut self.status, to);
        let Some(slow_start) = self.member.spec.slow_start else {
            return;
        };
        let operational = &mut self.status.operational;
        if *operational == OperationalState::Running && before.operational != *operational {
            *operational = OperationalState::Starting;
        }
        if *operational != OperationalState::Starting {
            self.warm_up = None;
        } else if self.status != before {
            self.warm_up = Some(WarmUp::new(slow_start, at));
        }
    }

    /// Brings its slow start up to date.
    pub(super) fn warm(&mut self, now: Duration) {
        let Some(warm_up) = self.warm_up else {
            return;
        };
        self.warm_up = warm_up.at(now, self.member.spec.limits.most.is_some());
        if self.warm_up.is_none() {
            self.status.operational = OperationalState::Running;
            self.history.after_change(warm_up.end());
        }
    }

    /// Makes its limit of sessions that of its slow start.
    pub(super) fn fit_limit(&mut self) {
        let warmth = self.warm_up.map(WarmUp::percent);
        if self.member.spec.limits.warmth != warmth {
            let mut member = ServerHandle::clone(&self.member);
            let mut spec = Spec::clone(&member.spec);
            spec.limits.warmth = warmth;
            member.spec = Arc::new(spec);
            self.member = Arc::new(member);
        }
    }
}

impl<P: Send + Sync + 'static> Backend<P> {
    /// Brings [slow starts](crate::Server::slow_start) up to date, and says after how long
    /// there is more to do; `None` while no server warms up.
    ///
    /// Requests do it themselves. Call it after that time to have waiting requests served as
    /// soon as limits grow, and before weights or states are shown, which
    /// runtime commands do. It returns at once when nothing is due.
    pub fn maintain(&self, now: Now) -> Option<Duration> {
        self.warm_up(now);
        let next = Duration::from_nanos(self.steps.next()?);
        Some(next.saturating_sub(now.mono()))
    }

    /// Makes the step of slow starts that is due, if any is.
    #[inline]
    pub(super) fn warm_up(&self, now: Now) {
        if self.steps.next().is_some() {
            self.step(now.mono());
        }
    }

    #[cold]
    fn step(&self, now: Duration) {
        if !self.steps.is_due(now) {
            return;
        }
        // A request waits for no change. The next one will find the step still due.
        let Some(writer) = self.writer.try_lock() else {
            return;
        };
        if !self.steps.is_due(now) {
            return;
        }
        let (mut draft, selector) = self.current.read(|snapshot| {
            let draft = Draft::from_snapshot(snapshot);
            (draft, Arc::clone(&snapshot.selector))
        });
        let servers = draft.servers.iter_mut();
        servers.for_each(|server: &mut DraftServer<P>| server.warm(now));
        let Ok(next) = draft.assemble(&selector, &self.policy.stick) else {
            // A selector that refuses the farm is asked again, but not by every request.
            self.steps
                .wait_until(now.saturating_add(Duration::from_secs(1)));
            return;
        };
        let called = self.publish(next);
        drop(writer);
        called.wake();
    }
}
