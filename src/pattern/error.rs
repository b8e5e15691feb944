//! What can be wrong with a pattern.

use std::fmt;

/// A pattern that cannot be compiled, and where that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    position: usize,
    problem: PatternProblem,
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternProblem {
    /// PCRE knows it, and it is not done here.
    NotSupported {
        /// What stands there.
        found: String,
        /// What it means to PCRE.
        what: &'static str,
    },
    /// It means nothing where it stands.
    Unexpected {
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// Something is wrong with the pattern as a whole.
    Invalid {
        /// What it is.
        reason: String,
    },
    /// It would take more memory than a pattern may.
    TooLarge,
}

impl PatternError {
    /// Where it is: so many bytes from the start of the pattern.
    pub fn position(&self) -> usize {
        self.position
    }

    /// What it is.
    pub fn problem(&self) -> &PatternProblem {
        &self.problem
    }

    pub(super) fn not_supported(position: usize, found: &[u8], what: &'static str) -> Self {
        let found = String::from_utf8_lossy(found).into_owned();
        let problem = PatternProblem::NotSupported { found, what };
        Self { position, problem }
    }

    pub(super) fn unexpected(position: usize, found: &[u8], expected: &'static str) -> Self {
        let found = String::from_utf8_lossy(found).into_owned();
        let problem = PatternProblem::Unexpected { found, expected };
        Self { position, problem }
    }

    /// The crate shows the pattern as it was translated, which would puzzle readers, and the
    /// reason on a line of its own.
    pub(super) fn of_crate(error: &regex::Error) -> Self {
        let problem = match error {
            regex::Error::CompiledTooBig(_) => PatternProblem::TooLarge,
            error => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                let reason = last.strip_prefix("error: ").unwrap_or(last).to_owned();
                PatternProblem::Invalid { reason }
            }
        };
        let position = 0;
        Self { position, problem }
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}: {}", self.position + 1, self.problem)
    }
}

impl fmt::Display for PatternProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSupported { found, what } => write!(f, "{found:?}: {what} not supported"),
            Self::Unexpected { found, expected } => {
                write!(f, "found {found:?}; expected {expected}")
            }
            Self::Invalid { reason } => write!(f, "no regular expression: {reason}"),
            Self::TooLarge => f.write_str("the pattern takes more than 1 MiB of memory"),
        }
    }
}

impl std::error::Error for PatternError {}
