//! What is wrong or odd in a configuration.

use std::fmt;

use super::location::{Location, Word};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something to know: a `.notice` line.
    Notice,
    /// Odd, and accepted.
    Warning,
    /// Refused.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What sort of thing a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// Quotes, escapes, variables, lengths: the line has no words.
    Line,
    /// `.if` and the lines around it.
    Block,
    /// A keyword or option that HAProxy does not know either.
    Unknown,
    /// A keyword or option that HAProxy knows and this library does not support.
    NotSupported,
    /// Something that is not allowed where it stands, or has no effect there.
    Misplaced,
    /// An argument is missing.
    Missing,
    /// An argument is out of range or of the wrong form, or one too many.
    Argument,
    /// Two things exclude each other, or have the same name or number.
    Conflict,
    /// A name of something that does not exist.
    Target,
    /// Keywords that have no effect on routing and persistence.
    NoEffect,
    /// Accepted, and probably not what was meant.
    Doubtful,
    /// The text of a `.notice`, `.warning`, `.alert` or `.diag` line.
    Message,
}

/// Something wrong or odd, where it is, and what would be accepted.
///
/// Shown on one line: `file:12:5: 'wieght': did you mean 'weight'? Expected one of ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub(super) severity: Severity,
    pub(super) kind: FindingKind,
    pub(super) location: Location,
    pub(super) word: String,
    pub(super) message: String,
}

impl Finding {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What sort of thing it is about.
    pub fn kind(&self) -> FindingKind {
        self.kind
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The word it is about; bytes that are not printable ASCII are shown as escapes.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// What is wrong with the word, and what would be accepted; one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(in crate::haproxy) fn error(
        kind: FindingKind,
        word: &Word,
        message: impl Into<String>,
    ) -> Self {
        Self::new(Severity::Error, kind, word, message.into())
    }

    pub(super) fn warning(kind: FindingKind, word: &Word, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, kind, word, message.into())
    }

    fn new(severity: Severity, kind: FindingKind, word: &Word, message: String) -> Self {
        Self {
            severity,
            kind,
            location: word.location.clone(),
            word: shown(&word.bytes),
            message,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: '{}': {}", self.location, self.word, self.message)
    }
}

/// The word as messages show it: long ones are cut.
pub(super) fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 80;
    let cut = if bytes.len() > LONGEST { "..." } else { "" };
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    format!("{}{cut}", bytes.escape_ascii())
}

/// A configuration that is refused, with everything that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigurationError {
    pub(in crate::haproxy) findings: Vec<Finding>,
}

impl ConfigurationError {
    pub(in crate::haproxy) fn new(findings: Vec<Finding>) -> Self {
        Self { findings }
    }

    /// Everything that was found, at least one error, sorted by place; warnings are
    /// among them.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Only what the configuration is refused for.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        let is_error = |finding: &&Finding| finding.severity == Severity::Error;
        self.findings.iter().filter(is_error)
    }
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("configuration refused")?;
        for finding in self.errors() {
            write!(f, "\n  {finding}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigurationError {}
