//! Which failures are worth another attempt.

use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;

/// How an attempt failed before any byte of a response was passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The connection was refused or the server is unreachable: the answer came at
    /// once, so a pause before the next attempt makes sense. HAProxy: `conn-failure`.
    Refused,
    /// The connection took too long: the time has been waited already. HAProxy:
    /// `conn-failure`.
    TimedOut,
    /// The server took the request and closed the connection before the head of a response
    /// was complete. HAProxy: `empty-response`.
    EmptyResponse,
    /// The server took the request and was silent for too long. HAProxy:
    /// `response-timeout`.
    ResponseTimeout,
    /// The server answered something that is no response. HAProxy: `junk-response`.
    JunkResponse,
    /// The server did not want the request in TLS early data. HAProxy: `0rtt-rejected`.
    EarlyDataRejected,
    /// The server answered with this status, `503` for example. HAProxy: the number.
    Status(u16),
}

/// The failures after which a request is tried again; default
/// [`CONNECTION`](Self::CONNECTION). HAProxy: `retry-on`.
///
/// Anything but a failed connection is about a request that has been sent. Ask for such a
/// retry only for requests that may be carried out twice, keep a copy of the request, and
/// pass on nothing of a response before [`Backend::may_retry`](crate::Backend::may_retry)
/// has said no.
///
/// ```
/// use stickroute::{Failure, RetryOn};
///
/// let policy = RetryOn::CONNECTION | RetryOn::EMPTY_RESPONSE | RetryOn::status(503).ok_or("503")?;
/// assert_eq!("conn-failure empty-response 503".parse(), Ok(policy));
/// assert!(policy.includes(Failure::Refused) && policy.includes(Failure::Status(503)));
/// assert!(!policy.includes(Failure::Status(500)));
///
/// // A policy that leaves connections out does not retry them.
/// let policy: RetryOn = "503".parse()?;
/// assert!(!policy.includes(Failure::Refused));
///
/// let error = "503 soon".parse::<RetryOn>().unwrap_err();
/// assert!(error.to_string().starts_with("\"soon\"; expected"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RetryOn(u32);

impl RetryOn {
    /// Nothing, not even a failed connection. HAProxy: `none`.
    pub const NONE: Self = Self(0);
    /// A connection that cannot be made. HAProxy: `conn-failure`.
    pub const CONNECTION: Self = Self(1);
    /// [`Failure::EmptyResponse`]. HAProxy: `empty-response`.
    pub const EMPTY_RESPONSE: Self = Self(1 << 1);
    /// [`Failure::ResponseTimeout`]. HAProxy: `response-timeout`.
    pub const RESPONSE_TIMEOUT: Self = Self(1 << 2);
    /// [`Failure::JunkResponse`]. HAProxy: `junk-response`.
    pub const JUNK_RESPONSE: Self = Self(1 << 3);
    /// [`Failure::EarlyDataRejected`]. HAProxy: `0rtt-rejected`.
    pub const EARLY_DATA_REJECTED: Self = Self(1 << 4);
    /// All of the above, and the statuses 500, 502, 503 and 504. HAProxy:
    /// `all-retryable-errors`.
    pub const ALL_RETRYABLE_ERRORS: Self = Self(0b1_1111)
        .or(Self::listed(500))
        .or(Self::listed(502))
        .or(Self::listed(503))
        .or(Self::listed(504));

    /// The statuses a retry may be asked for: those of HAProxy 2.6, and 421 and 429, which
    /// are in 3.x.
    pub const STATUSES: [u16; 12] = [401, 403, 404, 408, 421, 425, 429, 500, 501, 502, 503, 504];

    const FIRST_STATUS: usize = 5;

    /// A response with this status, `None` if it is none of [`STATUSES`](Self::STATUSES).
    pub const fn status(status: u16) -> Option<Self> {
        match Self::listed(status) {
            Self::NONE => None,
            listed => Some(listed),
        }
    }

    const fn listed(status: u16) -> Self {
        let mut index = 0;
        while index < Self::STATUSES.len() {
            if Self::STATUSES[index] == status {
                return Self(1 << (Self::FIRST_STATUS + index));
            }
            index += 1;
        }
        Self::NONE
    }

    /// The failures of both.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a request is tried again after this failure.
    pub const fn includes(self, failure: Failure) -> bool {
        let one = match failure {
            Failure::Refused | Failure::TimedOut => Self::CONNECTION,
            Failure::EmptyResponse => Self::EMPTY_RESPONSE,
            Failure::ResponseTimeout => Self::RESPONSE_TIMEOUT,
            Failure::JunkResponse => Self::JUNK_RESPONSE,
            Failure::EarlyDataRejected => Self::EARLY_DATA_REJECTED,
            Failure::Status(status) => Self::listed(status),
        };
        self.0 & one.0 != 0
    }

    /// Whether it is about more than connections, so that a copy of the request is needed.
    pub const fn needs_copy(self) -> bool {
        self.0 & !Self::CONNECTION.0 != 0
    }

    /// What a word of the directive stands for.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        let found = Self::words().find(|(known, _)| known == word);
        found.map(|(_, it)| it)
    }

    /// What the directive may say.
    pub(crate) fn expected() -> String {
        let words: Vec<_> = Self::words().map(|(word, _)| word).collect();
        format!("one or more of {}, or none alone", words[1..].join(", "))
    }

    /// Every word of the directive, with what it stands for.
    fn words() -> impl Iterator<Item = (String, Self)> {
        let named = NAMED.into_iter().map(|(name, it)| (name.to_owned(), it));
        let statuses = Self::STATUSES.into_iter();
        named.chain(statuses.map(|status| (status.to_string(), Self::listed(status))))
    }
}

const NAMED: [(&str, RetryOn); 7] = [
    ("none", RetryOn::NONE),
    ("conn-failure", RetryOn::CONNECTION),
    ("empty-response", RetryOn::EMPTY_RESPONSE),
    ("response-timeout", RetryOn::RESPONSE_TIMEOUT),
    ("junk-response", RetryOn::JUNK_RESPONSE),
    ("0rtt-rejected", RetryOn::EARLY_DATA_REJECTED),
    ("all-retryable-errors", RetryOn::ALL_RETRYABLE_ERRORS),
];

impl Default for RetryOn {
    /// [`RetryOn::CONNECTION`], as in HAProxy.
    fn default() -> Self {
        Self::CONNECTION
    }
}

impl BitOr for RetryOn {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.or(other)
    }
}

impl fmt::Display for RetryOn {
    /// The words of the directive.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return f.write_str("none");
        }
        let one = |&(_, it): &(String, Self)| it.0.is_power_of_two() && self.0 & it.0 != 0;
        for (index, (word, _)) in Self::words().filter(one).enumerate() {
            let blank = if index > 0 { " " } else { "" };
            write!(f, "{blank}{word}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RetryOn({self})")
    }
}

impl FromStr for RetryOn {
    type Err = RetryOnError;

    /// Reads the words of the directive, with blanks between them; `none` stands alone.
    fn from_str(text: &str) -> Result<Self, RetryOnError> {
        let words: Vec<_> = text.split_ascii_whitespace().collect();
        if words.is_empty() {
            return Err(RetryOnError::new(""));
        }
        let mut all = Self::NONE;
        for word in &words {
            match Self::of_word(word) {
                Some(one) if one != Self::NONE || words.len() == 1 => all = all | one,
                _ => return Err(RetryOnError::new(word)),
            }
        }
        Ok(all)
    }
}

/// A word that is none of `retry-on`, or `none` beside others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryOnError {
    found: Box<str>,
}

impl RetryOnError {
    fn new(found: &str) -> Self {
        Self {
            found: found.into(),
        }
    }

    /// The word; empty if there is none.
    pub fn found(&self) -> &str {
        &self.found
    }
}

impl fmt::Display for RetryOnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}; expected {}", self.found, RetryOn::expected())
    }
}

impl std::error::Error for RetryOnError {}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURES: [(Failure, &str); 7] = [
        (Failure::Refused, "conn-failure"),
        (Failure::TimedOut, "conn-failure"),
        (Failure::EmptyResponse, "empty-response"),
        (Failure::ResponseTimeout, "response-timeout"),
        (Failure::JunkResponse, "junk-response"),
        (Failure::EarlyDataRejected, "0rtt-rejected"),
        (Failure::Status(429), "429"),
    ];

    #[test]
    fn each_word_is_about_its_own_failure() {
        for (failure, word) in FAILURES {
            let policy: RetryOn = word.parse().unwrap();
            let included = FAILURES.iter().filter(|(other, _)| policy.includes(*other));
            assert!(included.map(|(_, word)| word).all(|other| *other == word));
            assert!(policy.includes(failure));
            assert_eq!(policy.needs_copy(), word != "conn-failure");
        }
        for status in RetryOn::STATUSES {
            let policy: RetryOn = status.to_string().parse().unwrap();
            assert_eq!(Some(policy), RetryOn::status(status));
            let others = RetryOn::STATUSES.iter();
            let included = others.filter(|it| policy.includes(Failure::Status(**it)));
            assert_eq!(included.collect::<Vec<_>>(), [&status]);
        }
    }

    #[test]
    fn other_statuses_are_never_retried() {
        for status in [0, 200, 302, 400, 402, 505, u16::MAX] {
            assert_eq!(RetryOn::status(status), None);
            let all = RetryOn(u32::MAX);
            assert!(!all.includes(Failure::Status(status)));
        }
    }

    #[test]
    fn what_all_retryable_errors_are() {
        let text = "conn-failure empty-response response-timeout junk-response 0rtt-rejected \
                    500 502 503 504";
        assert_eq!(text.parse(), Ok(RetryOn::ALL_RETRYABLE_ERRORS));
        assert_eq!(
            "all-retryable-errors".parse(),
            Ok(RetryOn::ALL_RETRYABLE_ERRORS)
        );
        assert!(!RetryOn::ALL_RETRYABLE_ERRORS.includes(Failure::Status(501)));
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let bits = RetryOn::FIRST_STATUS + RetryOn::STATUSES.len();
        for policy in (0..1 << bits).step_by(37).map(RetryOn) {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
    }

    // Observed on HAProxy 2.6.12, but for 421 and 429.
    #[test]
    fn what_is_wrong_is_named() {
        for (text, found) in [
            ("", ""),
            ("none 503", "none"),
            ("503 none", "none"),
            ("503 bogus", "bogus"),
            ("505", "505"),
            ("NONE", "NONE"),
        ] {
            let error = text.parse::<RetryOn>().unwrap_err();
            assert_eq!(error.found(), found);
        }
        assert_eq!("none".parse(), Ok(RetryOn::NONE));
        assert_eq!("503  503".parse::<RetryOn>().unwrap().to_string(), "503");
    }
}
