//! What can be wrong with an expression.

use std::fmt;

use crate::fetch::TypeMismatch;
use crate::pattern::PatternError;

/// An expression that cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    position: usize,
    problem: ExpressionProblem,
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExpressionProblem {
    /// A name of no fetch.
    UnknownFetch {
        /// The name.
        found: String,
    },
    /// A fetch of HAProxy's that this version of the library does not have.
    NotSupportedFetch {
        /// Its name.
        found: String,
    },
    /// A name of no converter.
    UnknownConverter {
        /// The name.
        found: String,
    },
    /// A converter of HAProxy's that this version of the library does not have.
    NotSupportedConverter {
        /// Its name.
        found: String,
    },
    /// An argument that means nothing where it stands.
    Argument {
        /// Name of the fetch or converter.
        of: String,
        /// Which argument, from 1.
        number: usize,
        /// The argument, without quotes.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// An argument that HAProxy reads and this version of the library does not.
    NotSupportedArgument {
        /// Name of the fetch or converter.
        of: String,
        /// Which argument, from 1.
        number: usize,
        /// The argument, without quotes; empty if it is left out.
        found: String,
    },
    /// An argument is left out that is needed.
    MissingArgument {
        /// Name of the fetch or converter.
        of: String,
        /// Which argument, from 1.
        number: usize,
        /// What may stand there.
        expected: &'static str,
    },
    /// One argument more than there may be.
    ExtraArgument {
        /// Name of the fetch or converter.
        of: String,
        /// Which argument, from 1.
        number: usize,
    },
    /// An argument that is no regular expression, or none that can be followed.
    Pattern {
        /// Name of the converter.
        of: String,
        /// What is wrong with it.
        error: PatternError,
    },
    /// A parenthesis or a quote that nothing closes.
    Unclosed,
    /// Something other than a comma behind a fetch or a converter.
    Junk {
        /// The rest of the text.
        found: String,
    },
    /// A fetch or converter that reads a stick table, in a text that is read for itself.
    NoTables {
        /// Its name.
        of: String,
    },
    /// A name of no stick table.
    UnknownTable {
        /// The name.
        found: String,
    },
    /// A converter that cannot read what comes before it.
    Type(TypeMismatch),
}

impl ExpressionError {
    /// Where it is: so many bytes from the start of the expression.
    pub fn position(&self) -> usize {
        self.position
    }

    /// What it is.
    pub fn problem(&self) -> &ExpressionProblem {
        &self.problem
    }
}

pub(super) fn problem(position: usize, problem: ExpressionProblem) -> ExpressionError {
    ExpressionError { position, problem }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}: {}", self.position + 1, self.problem)
    }
}

impl fmt::Display for ExpressionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFetch { found } => write!(f, "there is no fetch {found:?}"),
            Self::NotSupportedFetch { found } => {
                write!(f, "the fetch {found:?} is not supported yet")
            }
            Self::UnknownConverter { found } => write!(f, "there is no converter {found:?}"),
            Self::NotSupportedConverter { found } => {
                write!(f, "the converter {found:?} is not supported yet")
            }
            Self::Argument {
                of,
                number,
                found,
                expected,
            } => write!(
                f,
                "argument {number} of {of:?} is {found:?}; expected {expected}"
            ),
            Self::NotSupportedArgument { of, number, found } => write!(
                f,
                "argument {number} of {of:?} is {found:?}, which is not supported yet"
            ),
            Self::MissingArgument {
                of,
                number,
                expected,
            } => write!(
                f,
                "argument {number} of {of:?} is missing; expected {expected}"
            ),
            Self::ExtraArgument { of, number } => {
                write!(f, "{of:?} has no argument {number}; expected )")
            }
            Self::Pattern { of, error } => write!(f, "in the pattern of {of:?}, {error}"),
            Self::Unclosed => f.write_str("nothing closes this"),
            Self::Junk { found } => write!(f, "found {found:?}; expected a comma or the end"),
            Self::NoTables { of } => write!(
                f,
                "{of:?} reads a stick table; tables are only known to the rules and conditions of a configuration"
            ),
            Self::UnknownTable { found } => write!(f, "there is no stick table {found:?}"),
            Self::Type(mismatch) => mismatch.fmt(f),
        }
    }
}

impl std::error::Error for ExpressionError {}
