//! What an answer must be like.

use std::fmt;
use std::str::FromStr;

use super::answer::Answer;
use super::{CheckReport, CheckStatus, TextMatch};
#[cfg(feature = "haproxy")]
use crate::haproxy::Pattern;

/// What a check demands of an answer. HAProxy: `http-check expect`, `tcp-check expect`.
///
/// ```
/// use stickroute::health::{CheckStatus, Expect};
///
/// let expect = Expect::status("200-299,404")?;
/// let not = Expect::status("500-599")?.not();
/// let text = Expect::text("ready").fails_as(CheckStatus::Layer6Invalid).on_error("too early");
/// # let _ = (expect, not, text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    what: What,
    negated: bool,
    passes: CheckStatus,
    fails: Option<CheckStatus>,
    times_out: CheckStatus,
    on_success: Option<String>,
    on_error: Option<String>,
    pub(super) comment: Option<String>,
    least: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Status(Vec<StatusRange>),
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Field(FieldExpect),
    #[cfg(feature = "haproxy")]
    StatusPattern(Pattern),
    #[cfg(feature = "haproxy")]
    Pattern(Pattern),
    #[cfg(feature = "haproxy")]
    BinaryPattern(Pattern),
}

/// A field that an answer is to have. HAProxy: `hdr`, `fhdr`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldExpect {
    name: TextMatch,
    value: Option<TextMatch>,
    whole: bool,
}

impl FieldExpect {
    /// A field of such a name, in letters of either case.
    pub fn new(name: TextMatch) -> Self {
        Self {
            name: name.lowered(),
            value: None,
            whole: false,
        }
    }

    /// With such a value between its commas. HAProxy: `value`.
    #[must_use]
    pub fn value(mut self, value: TextMatch) -> Self {
        self.value = Some(value);
        self
    }

    /// Commas are part of the value. HAProxy: `fhdr`.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    fn is_in(&self, fields: &[(Vec<u8>, Vec<u8>)]) -> bool {
        let named = fields.iter().filter(|(name, _)| self.name.holds(name));
        let mut values = named.map(|(_, value)| &value[..]);
        match &self.value {
            None => values.next().is_some(),
            Some(wanted) if self.whole => values.any(|value| wanted.holds(value)),
            Some(wanted) => values
                .any(|value| crate::fetch::elements(value).any(|element| wanted.holds(element))),
        }
    }
}

/// What is to be said of an answer as far as it has come.
pub(super) enum Verdict {
    Wait,
    Pass,
    Fail(CheckReport),
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

/// What is demanded.
impl Expect {
    fn new(what: What) -> Self {
        Self {
            what,
            negated: false,
            passes: CheckStatus::Answered,
            fails: None,
            times_out: CheckStatus::AnswerTimeout,
            on_success: None,
            on_error: None,
            comment: None,
            least: None,
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

    /// This text somewhere in the body, or without HTTP in the answer. HAProxy: `string`.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::new(What::Text(text.into()))
    }

    /// The same, told as bytes. HAProxy: `binary`.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(What::Binary(bytes.into()))
    }

    /// A field of the answer. HAProxy: `hdr`, `fhdr`.
    pub fn field(field: FieldExpect) -> Self {
        Self::new(What::Field(field))
    }

    /// A status whose digits the pattern matches. HAProxy: `rstatus`.
    #[cfg(feature = "haproxy")]
    pub fn status_pattern(pattern: Pattern) -> Self {
        Self::new(What::StatusPattern(pattern))
    }

    /// A match in the body, or without HTTP in the answer. HAProxy: `rstring`.
    #[cfg(feature = "haproxy")]
    pub fn pattern(pattern: Pattern) -> Self {
        Self::new(What::Pattern(pattern))
    }

    /// A match in the answer written in hexadecimal digits, `0A` for a line end. HAProxy:
    /// `rbinary`.
    #[cfg(feature = "haproxy")]
    pub fn bytes_pattern(pattern: Pattern) -> Self {
        Self::new(What::BinaryPattern(pattern))
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

/// What becomes of it.
impl Expect {
    /// What a check is that ends with this; default [`CheckStatus::Answered`]. HAProxy:
    /// `ok-status`.
    #[must_use]
    pub fn passes_as(mut self, status: CheckStatus) -> Self {
        self.passes = status;
        self
    }

    /// What a check is that fails here; default [`CheckStatus::WrongStatus`] about the head
    /// of an answer and [`CheckStatus::InvalidAnswer`] otherwise. HAProxy: `error-status`.
    #[must_use]
    pub fn fails_as(mut self, status: CheckStatus) -> Self {
        self.fails = Some(status);
        self
    }

    /// What a check is that has no more time here; default [`CheckStatus::AnswerTimeout`].
    /// HAProxy: `tout-status`.
    #[must_use]
    pub fn times_out_as(mut self, status: CheckStatus) -> Self {
        self.times_out = status;
        self
    }

    /// What is told of a check that ends with this. HAProxy: `on-success`.
    #[must_use]
    pub fn on_success(mut self, text: impl Into<String>) -> Self {
        self.on_success = Some(text.into());
        self
    }

    /// What is told of a check that fails here. HAProxy: `on-error`.
    #[must_use]
    pub fn on_error(mut self, text: impl Into<String>) -> Self {
        self.on_error = Some(text.into());
        self
    }

    /// Stands behind what is told of a check that fails here. HAProxy: `comment`.
    #[must_use]
    pub fn comment(mut self, text: impl Into<String>) -> Self {
        self.comment = Some(text.into());
        self
    }

    /// With so many bytes it is decided; default when it cannot be otherwise. Of no use over
    /// HTTP. HAProxy: `min-recv`.
    #[must_use]
    pub fn least(mut self, bytes: usize) -> Self {
        self.least = Some(bytes);
        self
    }

    pub(super) fn times_out(&self) -> CheckStatus {
        self.times_out
    }

    /// The end of a check that this is the last word of.
    pub(super) fn passed(&self, otherwise: &str) -> CheckReport {
        let info = self.on_success.as_deref().unwrap_or(otherwise);
        CheckReport::new(self.passes).info_is(info)
    }

    /// The end of a check that fails here.
    pub(super) fn failed(&self, otherwise: &str) -> CheckReport {
        let mut info = self.on_error.as_deref().unwrap_or(otherwise).to_owned();
        if let Some(comment) = &self.comment {
            info = format!("{info} comment: {comment}");
        }
        CheckReport::new(self.fails()).info_is(info)
    }

    pub(super) fn fails(&self) -> CheckStatus {
        let usual = if self.is_about_content() {
            CheckStatus::InvalidAnswer
        } else {
            CheckStatus::WrongStatus
        };
        self.fails.unwrap_or(usual)
    }

    /// What is to be read is no HTTP.
    pub(super) fn unreadable(&self) -> CheckReport {
        let report = self.failed("");
        CheckReport::new(self.fails.unwrap_or(CheckStatus::InvalidAnswer)).info_is(report.info())
    }
}

/// Verdicts.
impl Expect {
    fn is_about_content(&self) -> bool {
        match self.what {
            What::Status(_) | What::Field(_) => false,
            #[cfg(feature = "haproxy")]
            What::StatusPattern(_) => false,
            _ => true,
        }
    }

    /// About an answer over HTTP.
    pub(super) fn judge_http(&self, answer: &Answer) -> Verdict {
        let found = match &self.what {
            What::Status(ranges) => ranges.iter().any(|range| range.contains(answer.status)),
            What::Field(field) => field.is_in(&answer.fields),
            #[cfg(feature = "haproxy")]
            What::StatusPattern(pattern) => pattern.is_match(answer.status.to_string().as_bytes()),
            _ => return self.judge_body(answer),
        };
        if found == self.negated {
            return Verdict::Fail(self.failed(&answer.reason).code_is(answer.status));
        }
        Verdict::Pass
    }

    fn judge_body(&self, answer: &Answer) -> Verdict {
        let found = self.is_in(&answer.body);
        if !found && !answer.is_whole {
            return Verdict::Wait;
        }
        let why = match (answer.body.is_empty(), self.negated) {
            (true, _) => "HTTP content check could not find a response body",
            (false, negated) if found != negated => return Verdict::Pass,
            (false, true) => "HTTP check matched unwanted content",
            (false, false) => "HTTP content check did not match",
        };
        Verdict::Fail(self.failed(why).code_is(answer.status))
    }

    /// About an answer that is not over HTTP, in a step of this number.
    pub(super) fn judge_bytes(&self, bytes: &[u8], ended: bool, step: usize) -> Verdict {
        if ended && bytes.is_empty() {
            let mut why = format!("TCPCHK got an empty response at step {step}");
            if let Some(comment) = &self.comment {
                why = format!("{why} comment: '{comment}'");
            }
            return Verdict::Fail(CheckReport::new(self.fails()).info_is(why));
        }
        let is_decided = ended || self.least.is_some_and(|least| bytes.len() >= least);
        if self.least.is_some() && !is_decided {
            return Verdict::Wait;
        }
        match (self.is_in(bytes), self.negated) {
            (false, _) if !is_decided => Verdict::Wait,
            (true, false) | (false, true) => Verdict::Pass,
            (true, true) => self.refused("matched unwanted content", step),
            (false, false) => self.refused("did not match content", step),
        }
    }

    fn refused(&self, how: &str, step: usize) -> Verdict {
        let what = match &self.what {
            What::Text(text) => format!("'{}'", String::from_utf8_lossy(text)),
            What::Binary(_) => "(binary)".to_owned(),
            #[cfg(feature = "haproxy")]
            What::BinaryPattern(_) => "(binary regex)".to_owned(),
            _ => "(regex)".to_owned(),
        };
        Verdict::Fail(self.failed(&format!("TCPCHK {how} {what} at step {step}")))
    }

    /// What is told of a check that waits for this too long.
    pub(super) fn title(&self) -> String {
        match &self.what {
            What::Text(text) => format!("expect string '{}'", String::from_utf8_lossy(text)),
            What::Binary(bytes) => format!("expect binary '{}'", String::from_utf8_lossy(bytes)),
            #[cfg(feature = "haproxy")]
            What::BinaryPattern(_) => "expect binary regex".to_owned(),
            _ => "expect regex".to_owned(),
        }
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        match &self.what {
            What::Text(text) | What::Binary(text) => memchr::memmem::find(bytes, text).is_some(),
            #[cfg(feature = "haproxy")]
            What::Pattern(pattern) => pattern.is_match(bytes),
            #[cfg(feature = "haproxy")]
            What::BinaryPattern(pattern) => {
                let digit = |number: u8| b"0123456789ABCDEF"[usize::from(number)];
                let digits = bytes
                    .iter()
                    .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
                pattern.is_match(&digits.collect::<Vec<_>>())
            }
            _ => false,
        }
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
