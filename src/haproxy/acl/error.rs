//! What can be wrong with an ACL or a condition.

use std::fmt;

use crate::haproxy::ExpressionError;
use crate::pattern::PatternError;
use crate::sample::SampleType;

/// An ACL or a condition that cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclError {
    position: usize,
    problem: AclProblem,
}

/// What is wrong with an ACL or a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AclProblem {
    /// A word that means nothing where it stands.
    Unexpected {
        /// The word.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// The line ends too early.
    Missing {
        /// What may stand there.
        expected: &'static str,
    },
    /// A name of no ACL.
    UnknownAcl {
        /// The name.
        found: String,
    },
    /// HAProxy knows the word and this version of the library does not.
    NotSupported {
        /// The word.
        found: String,
    },
    /// A criterion that is no sample expression.
    Expression(ExpressionError),
    /// A pattern that is no regular expression, or none that can be followed.
    Pattern(PatternError),
    /// A sample of this type has no matching method of its own; one is needed with `-m`.
    MethodNeeded {
        /// The type.
        found: SampleType,
    },
    /// A sample that the matching method cannot read.
    Type {
        /// The type of the sample.
        found: SampleType,
        /// What the method reads.
        expected: SampleType,
    },
}

impl AclError {
    /// Where it is: so many bytes from the start of the text.
    pub fn position(&self) -> usize {
        self.position
    }

    /// What it is.
    pub fn problem(&self) -> &AclProblem {
        &self.problem
    }
}

pub(super) fn at(position: usize, problem: AclProblem) -> AclError {
    AclError { position, problem }
}

pub(super) fn unexpected(position: usize, found: &[u8], expected: &'static str) -> AclError {
    let found = String::from_utf8_lossy(found).into_owned();
    at(position, AclProblem::Unexpected { found, expected })
}

pub(super) fn missing(position: usize, expected: &'static str) -> AclError {
    at(position, AclProblem::Missing { expected })
}

impl fmt::Display for AclError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}: {}", self.position + 1, self.problem)
    }
}

impl fmt::Display for AclProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected { found, expected } => {
                write!(f, "found {found:?}; expected {expected}")
            }
            Self::Missing { expected } => write!(f, "the line ends; expected {expected}"),
            Self::UnknownAcl { found } => write!(f, "there is no ACL {found:?}"),
            Self::NotSupported { found } => write!(f, "{found:?} is not supported yet"),
            Self::Expression(error) => write!(f, "in the criterion, {error}"),
            Self::Pattern(error) => write!(f, "in the pattern, {error}"),
            Self::MethodNeeded { found } => {
                write!(f, "{found} needs -m and a matching method")
            }
            Self::Type { found, expected } => write!(f, "{found} cannot become {expected}"),
        }
    }
}

impl std::error::Error for AclError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            AclProblem::Expression(error) => Some(error),
            AclProblem::Pattern(error) => Some(error),
            _ => None,
        }
    }
}
