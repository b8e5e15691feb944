//! What can be wrong with a text of states.

use std::fmt;

/// A line of `show servers state` that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStatesError {
    line: usize,
    problem: ServerStatesProblem,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerStatesProblem {
    /// The first line is not 1, the version of the format.
    Version {
        /// What it is.
        found: String,
    },
    /// There are fewer than 20 columns.
    Columns {
        /// How many there are.
        found: usize,
    },
    /// A column with a value that it cannot have.
    Value {
        /// HAProxy's name of the column.
        column: &'static str,
        /// The value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
}

impl ServerStatesProblem {
    pub(super) fn at(self, index: usize) -> ServerStatesError {
        ServerStatesError {
            line: index + 1,
            problem: self,
        }
    }
}

impl ServerStatesError {
    /// Number of the line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// What is wrong with it.
    pub fn problem(&self) -> &ServerStatesProblem {
        &self.problem
    }
}

impl fmt::Display for ServerStatesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl fmt::Display for ServerStatesProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { found } => write!(f, "version {found:?} of the format; expected 1"),
            Self::Columns { found } => write!(f, "{found} columns; expected 20 or more"),
            Self::Value {
                column,
                found,
                expected,
            } => write!(f, "{column} is {found:?}; expected {expected}"),
        }
    }
}

impl std::error::Error for ServerStatesError {}
