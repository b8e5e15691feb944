//! Numbers of one frontend, backend or server. They only grow, but for the sessions at
//! this moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hyper::StatusCode;
use stickroute::haproxy::StatCounts;
use stickroute::{Now, Reason};

/// What is counted; see [`StatCounts`] for HAProxy's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Current,
    Most,
    Sessions,
    MostQueued,
    BytesIn,
    BytesOut,
    DeniedRequests,
    DeniedResponses,
    DeniedConnections,
    DeniedSessions,
    RequestErrors,
    ConnectionErrors,
    ResponseErrors,
    Retries,
    Redispatches,
    Balanced,
    Requests,
    ClientAborts,
    ServerAborts,
    Connections,
    Intercepted,
    /// When the last session was, in milliseconds and one more: 0 is never.
    Last,
}

/// Why requests went where they went, in the order in which the page shows it.
pub(crate) const REASONS: [Reason; 6] = [
    Reason::Cookie,
    Reason::StickTable,
    Reason::UseServer,
    Reason::Lookup,
    Reason::Balance,
    Reason::Redispatch,
];

#[derive(Debug, Default)]
pub(crate) struct Counters {
    counts: [AtomicU64; Count::Last as usize + 1],
    /// 1xx to 5xx, and others.
    responses: [AtomicU64; 6],
    reasons: [AtomicU64; REASONS.len()],
}

impl Counters {
    pub(crate) fn add(&self, count: Count, number: u64) {
        self.counts[count as usize].fetch_add(number, Relaxed);
    }

    pub(crate) fn get(&self, count: Count) -> u64 {
        self.counts[count as usize].load(Relaxed)
    }

    /// Keeps the largest number.
    pub(crate) fn raise(&self, count: Count, number: u64) {
        self.counts[count as usize].fetch_max(number, Relaxed);
    }

    /// One more at this moment.
    pub(crate) fn enter(&self) {
        let before = self.counts[Count::Current as usize].fetch_add(1, Relaxed);
        self.raise(Count::Most, before + 1);
    }

    pub(crate) fn leave(&self) {
        self.counts[Count::Current as usize].fetch_sub(1, Relaxed);
    }

    /// One that never came is among the others.
    pub(crate) fn count_response(&self, status: Option<StatusCode>) {
        let class = match status.map(|status| status.as_u16()) {
            Some(status @ 100..600) => status / 100 - 1,
            _ => 5,
        };
        self.responses[usize::from(class)].fetch_add(1, Relaxed);
    }

    pub(crate) fn count_reason(&self, reason: Reason) {
        let place = REASONS.iter().position(|known| *known == reason);
        if let Some(place) = place {
            self.reasons[place].fetch_add(1, Relaxed);
        }
    }

    /// In the order of [`REASONS`].
    pub(crate) fn reasons(&self) -> [u64; REASONS.len()] {
        self.reasons.each_ref().map(|count| count.load(Relaxed))
    }

    pub(crate) fn touch(&self, now: Now) {
        self.raise(Count::Last, now.mono().as_millis() as u64 + 1);
    }

    /// Seconds since the last session, if there was one.
    pub(crate) fn since(&self, now: Now) -> Option<u64> {
        let last = self.get(Count::Last).checked_sub(1)?;
        Some((now.mono().as_millis() as u64).saturating_sub(last) / 1_000)
    }

    pub(crate) fn snapshot(&self) -> StatCounts {
        StatCounts {
            current: self.get(Count::Current),
            most: self.get(Count::Most),
            sessions: self.get(Count::Sessions),
            most_queued: self.get(Count::MostQueued),
            bytes_in: self.get(Count::BytesIn),
            bytes_out: self.get(Count::BytesOut),
            denied_requests: self.get(Count::DeniedRequests),
            denied_responses: self.get(Count::DeniedResponses),
            denied_connections: self.get(Count::DeniedConnections),
            denied_sessions: self.get(Count::DeniedSessions),
            request_errors: self.get(Count::RequestErrors),
            connection_errors: self.get(Count::ConnectionErrors),
            response_errors: self.get(Count::ResponseErrors),
            retries: self.get(Count::Retries),
            redispatches: self.get(Count::Redispatches),
            balanced: self.get(Count::Balanced),
            responses: self.responses.each_ref().map(|count| count.load(Relaxed)),
            requests: self.get(Count::Requests),
            client_aborts: self.get(Count::ClientAborts),
            server_aborts: self.get(Count::ServerAborts),
            connections: self.get(Count::Connections),
            intercepted: self.get(Count::Intercepted),
        }
    }
}

static CLIENTS: AtomicU64 = AtomicU64::new(0);

/// Clients of all frontends that are here.
pub(crate) fn clients() -> u64 {
    CLIENTS.load(Relaxed)
}

/// A client that is here until this is dropped.
#[derive(Debug)]
pub(crate) struct Visit(Arc<Counters>);

impl Visit {
    pub(crate) fn begin(counters: &Arc<Counters>) -> Self {
        CLIENTS.fetch_add(1, Relaxed);
        counters.enter();
        Self(Arc::clone(counters))
    }

    /// It is known who it is.
    pub(crate) fn is_known(&self) {
        self.0.add(Count::Sessions, 1);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        CLIENTS.fetch_sub(1, Relaxed);
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_at_a_time_are_kept() {
        let counters = Arc::new(Counters::default());
        let (one, two) = (Visit::begin(&counters), Visit::begin(&counters));
        one.is_known();
        drop((one, two));
        let _three = Visit::begin(&counters);
        let counts = counters.snapshot();
        assert_eq!((counts.current, counts.most, counts.sessions), (1, 2, 1));
    }

    #[test]
    fn responses_are_counted_by_class() {
        let counters = Counters::default();
        for status in [100, 204, 299, 404, 599, 600, 999] {
            counters.count_response(StatusCode::from_u16(status).ok());
        }
        counters.count_response(None);
        assert_eq!(counters.snapshot().responses, [1, 2, 0, 1, 1, 3]);
    }
}
