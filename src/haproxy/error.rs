//! What can be wrong with a line of configuration.

use std::fmt;

use super::ExpressionError;

/// A `balance` or `hash-type` line that cannot be followed.
///
/// Words are counted from 1, after the keyword that names the directive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirectiveError {
    /// A word that means nothing where it stands.
    UnexpectedWord {
        /// Keyword of the line, `balance` for example.
        directive: &'static str,
        /// Which word it is, from 1.
        position: usize,
        /// The word.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// The line ends too early.
    MissingWord {
        /// Keyword of the line.
        directive: &'static str,
        /// Which word is missing, from 1.
        position: usize,
        /// What may stand there.
        expected: &'static str,
    },
    /// A word that is no sample expression.
    Expression {
        /// Keyword of the line.
        directive: &'static str,
        /// Which word it is, from 1.
        position: usize,
        /// What is wrong with it.
        error: ExpressionError,
    },
    /// HAProxy knows the word and this version of the library does not.
    NotSupportedYet {
        /// Keyword of the line.
        directive: &'static str,
        /// Which word it is, from 1.
        position: usize,
        /// The word.
        found: String,
    },
}

impl fmt::Display for DirectiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedWord {
                directive,
                position,
                found,
                expected,
            } => write!(
                f,
                "{directive}: word {position} is {found:?}; expected {expected}"
            ),
            Self::MissingWord {
                directive,
                position,
                expected,
            } => write!(
                f,
                "{directive}: word {position} is missing; expected {expected}"
            ),
            Self::Expression {
                directive,
                position,
                error,
            } => write!(f, "{directive}: word {position}: {error}"),
            Self::NotSupportedYet {
                directive,
                position,
                found,
            } => write!(
                f,
                "{directive}: word {position} is {found:?}, which is not supported yet"
            ),
        }
    }
}

impl std::error::Error for DirectiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Expression { error, .. } => Some(error),
            _ => None,
        }
    }
}
