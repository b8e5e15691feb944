//! What may be wrong with a format.

use std::fmt;

use crate::haproxy::ExpressionError;

/// A format that cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    position: usize,
    problem: FormatProblem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::haproxy) enum FormatProblem {
    /// A percent sign, and nothing that could be meant.
    Nothing,
    /// A variable where there are none.
    NoVariables,
    Variable(String),
    /// A variable about HTTP where there is none.
    NotHttp(&'static str),
    Flags,
    Unclosed,
    /// A sample of a message, which is gone by then.
    Gone,
    Expression(ExpressionError),
}

pub(in crate::haproxy) fn error(position: usize, problem: FormatProblem) -> FormatError {
    FormatError { position, problem }
}

pub(super) fn of_expression(start: usize, found: ExpressionError) -> FormatError {
    let position = start + found.position();
    error(position, FormatProblem::Expression(found))
}

impl FormatError {
    /// Where it is: so many bytes from the start of the text.
    pub fn position(&self) -> usize {
        self.position
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}: ", self.position + 1)?;
        match &self.problem {
            FormatProblem::Nothing => f.write_str(
                "% begins nothing that is supported; expected %[EXPRESSION], or %% for a percent sign",
            ),
            FormatProblem::NoVariables => f.write_str(
                "the variables of log formats are not supported here; expected %[EXPRESSION], \
                 or %% for a percent sign",
            ),
            FormatProblem::Variable(name) => write!(
                f,
                "there is no variable %{name}; %% stands for a percent sign"
            ),
            FormatProblem::NotHttp(name) => {
                write!(f, "%{name} is about HTTP; expected mode http")
            }
            FormatProblem::Flags => {
                f.write_str("expected flags like %{+Q,+X}: + or - before Q, X or E")
            }
            FormatProblem::Unclosed => f.write_str("nothing closes %["),
            FormatProblem::Gone => f.write_str(
                "a log sees neither request nor response any more; expected a sample of the \
                 connection, or a captured header",
            ),
            FormatProblem::Expression(error) => error.problem().fmt(f),
        }
    }
}

impl std::error::Error for FormatError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            FormatProblem::Expression(error) => Some(error),
            _ => None,
        }
    }
}
