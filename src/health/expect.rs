//! What an answer must be like.

use std::fmt;
use std::str::FromStr;

/// What a [check](super::HttpCheck) demands of an answer. HAProxy: `http-check expect`.
///
/// ```
/// use stickroute::health::Expect;
///
/// let expect = Expect::status("200-299,404")?;
/// let not = Expect::status("500-599")?.not();
/// let text = Expect::text("ready");
/// # let _ = (expect, not, text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    pub(super) what: What,
    pub(super) negated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Status(Vec<StatusRange>),
    Text(Vec<u8>),
}

/// Numbers of statuses, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl Default for Expect {
    /// Any status from 200 to 399, as in HAProxy.
    fn default() -> Self {
        let good = StatusRange {
            first: 200,
            last: 399,
        };
        Self::new(What::Status(vec![good]))
    }
}

impl Expect {
    fn new(what: What) -> Self {
        Self {
            what,
            negated: false,
        }
    }

    /// One of these statuses: numbers and ranges, behind commas. HAProxy: `status`.
    ///
    /// # Errors
    /// [`InvalidStatuses`] for anything else.
    pub fn status(statuses: &str) -> Result<Self, InvalidStatuses> {
        let ranges: Result<_, _> = statuses.split(',').map(str::parse).collect();
        let ranges = ranges.map_err(|_| InvalidStatuses(statuses.to_owned()))?;
        Ok(Self::new(What::Status(ranges)))
    }

    /// This text somewhere in the body. HAProxy: `string`.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::new(What::Text(text.into()))
    }

    /// The opposite; a body must be there nevertheless, if it was asked for a text. HAProxy:
    /// `!`.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "a word of the configuration")]
    pub fn not(mut self) -> Self {
        self.negated = !self.negated;
        self
    }
}

impl StatusRange {
    pub(super) fn contains(self, status: u32) -> bool {
        (self.first.into()..=self.last.into()).contains(&status)
    }
}

/// A text that is no list of statuses, like `200-299,404`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidStatuses(String);

impl fmt::Display for InvalidStatuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(found) = self;
        write!(
            f,
            "{found:?} is no list of statuses; expected some like 200-299,404"
        )
    }
}

impl std::error::Error for InvalidStatuses {}

impl FromStr for StatusRange {
    type Err = InvalidStatuses;

    fn from_str(text: &str) -> Result<Self, InvalidStatuses> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |digits: &str| {
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| is_plain)
        };
        let range = number(first).zip(number(last));
        let range = range.filter(|(first, last)| first <= last);
        let (first, last) = range.ok_or_else(|| InvalidStatuses(text.to_owned()))?;
        Ok(Self { first, last })
    }
}
