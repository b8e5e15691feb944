//! What sessions tell of a server's health between its checks.

use std::num::NonZeroU32;

use super::{CheckReport, CheckStatus};
use crate::Failure;

/// What of sessions counts. HAProxy: `observe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Observed {
    /// Connections: those that are refused or take too long. HAProxy: `layer4`.
    Connections,
    /// Answers, too: none, garbage, statuses 5xx but for 501 and 505. HAProxy: `layer7`.
    Answers,
}

/// What is done about a server with too many errors. HAProxy: `on-error`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnErrors {
    /// Nothing but to check it soon, which is done in the other cases, too. HAProxy:
    /// `fastinter`.
    CheckSoon,
    /// As if a check had failed. HAProxy: `fail-check`.
    #[default]
    FailCheck,
    /// As if all checks but the last one that it takes had failed. HAProxy: `sudden-death`.
    SuddenDeath,
    /// As if all checks that it takes had failed. HAProxy: `mark-down`.
    MarkDown,
}

/// Counts the errors in a row that sessions of one server meet.
///
/// What it gives is for [`Backend::report_errors`](crate::Backend::report_errors) or
/// [`HealthCounter::report_errors`](super::HealthCounter::report_errors). HAProxy: `observe`,
/// `error-limit`.
///
/// ```
/// use stickroute::Failure;
/// use stickroute::health::{ErrorObserver, Observed};
///
/// let mut observer = ErrorObserver::new(Observed::Answers).limit(2);
/// assert_eq!(observer.met(Failure::Status(500)), None);
/// assert_eq!(observer.met(Failure::Status(200)), None); // which is no failure
/// assert_eq!(observer.met(Failure::Refused), None);
/// let report = observer.met(Failure::Status(503)).unwrap();
/// assert_eq!(
///     report.info(),
///     "Detected 2 consecutive errors, last one was: Wrong http response"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorObserver {
    observed: Observed,
    limit: NonZeroU32,
    errors: u32,
}

impl ErrorObserver {
    /// Ten errors in a row are too many.
    pub fn new(observed: Observed) -> Self {
        Self {
            observed,
            limit: NonZeroU32::MIN.saturating_add(9),
            errors: 0,
        }
    }

    /// So many errors in a row are too many; default 10, and 0 is taken for 1. HAProxy:
    /// `error-limit`.
    #[must_use]
    pub fn limit(mut self, errors: u32) -> Self {
        self.limit = NonZeroU32::new(errors).unwrap_or(NonZeroU32::MIN);
        self
    }

    /// A session has a connection.
    pub fn connected(&mut self) {
        if self.observed == Observed::Connections {
            self.errors = 0;
        }
    }

    /// A session has met this; a [`Failure::Status`] may be any status. Tells if that is one
    /// error too many, and begins to count anew.
    pub fn met(&mut self, failure: Failure) -> Option<CheckReport> {
        let is_answered = !matches!(failure, Failure::Refused | Failure::TimedOut);
        if is_answered && self.observed == Observed::Connections {
            return None;
        }
        let Some(name) = name(failure) else {
            self.errors = 0;
            return None;
        };
        self.errors += 1;
        if self.errors < self.limit.get() {
            return None;
        }
        self.errors = 0;
        let limit = self.limit;
        let info = format!("Detected {limit} consecutive errors, last one was: {name}");
        Some(CheckReport::new(CheckStatus::Analyzed).info_is(info))
    }
}

/// HAProxy's name of an error, `None` if it is none.
fn name(failure: Failure) -> Option<&'static str> {
    match failure {
        Failure::Refused | Failure::TimedOut => Some("L4 unsuccessful connection"),
        Failure::EmptyResponse => Some("Close from server (http)"),
        Failure::ResponseTimeout => Some("Read timeout (http)"),
        Failure::JunkResponse => Some("Invalid http response (headers)"),
        Failure::Status(501 | 505) => None,
        Failure::Status(500..) => Some("Wrong http response"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Failure::{
        EmptyResponse, JunkResponse, Refused, ResponseTimeout, Status as Answer, TimedOut,
    };

    // All of HAProxy 2.6.12.
    #[test]
    fn errors_are_those_of_haproxy() {
        let counts = |observed, failure| {
            let mut observer = ErrorObserver::new(observed).limit(1);
            observer.met(failure).map(|report| report.info().to_owned())
        };
        for (failure, name) in [
            (Refused, Some("L4 unsuccessful connection")),
            (TimedOut, Some("L4 unsuccessful connection")),
            (EmptyResponse, Some("Close from server (http)")),
            (ResponseTimeout, Some("Read timeout (http)")),
            (JunkResponse, Some("Invalid http response (headers)")),
            (Answer(500), Some("Wrong http response")),
            (Answer(504), Some("Wrong http response")),
            (Answer(599), Some("Wrong http response")),
            (Answer(501), None),
            (Answer(505), None),
            (Answer(404), None),
            (Answer(200), None),
        ] {
            let text = |name| format!("Detected 1 consecutive errors, last one was: {name}");
            assert_eq!(
                counts(Observed::Answers, failure),
                name.map(text),
                "{failure:?}"
            );
            let of_connection = name.filter(|_| matches!(failure, Refused | TimedOut));
            let expected = of_connection.map(text);
            assert_eq!(
                counts(Observed::Connections, failure),
                expected,
                "{failure:?}"
            );
        }
    }

    #[test]
    fn only_errors_in_a_row_count() {
        let mut observer = ErrorObserver::new(Observed::Connections).limit(2);
        let met = |observer: &mut ErrorObserver| observer.met(Refused).is_some();
        assert!(!met(&mut observer));
        observer.connected();
        assert!(!met(&mut observer));
        assert!(met(&mut observer));
        assert!(!met(&mut observer));
        let mut observer = ErrorObserver::new(Observed::Answers).limit(2);
        assert!(!met(&mut observer));
        observer.connected();
        assert!(met(&mut observer));
        assert_eq!(
            ErrorObserver::new(Observed::Answers).limit(0).limit.get(),
            1
        );
    }
}
